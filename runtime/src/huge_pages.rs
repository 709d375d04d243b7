//! Puts the program's code on huge pages.
//!
//! A request that comes after a pause finds caches and address translations cold: what it takes then is mostly waiting for
//! memory, and the code it passes through is spread over tens of megabytes. On pages of 2 MiB the translations of all of it
//! are a few dozen instead of thousands. Few kernels put code that is mapped from a file on huge pages, so it is copied to
//! anonymous memory, which takes the place of the mapping. The copy counts towards the process's memory in place of the
//! mapped file.

use std::os::raw::{c_int, c_void};
use std::sync::Once;
use std::{fs, io, ptr, slice, thread};

/// The size of a huge page, bytes.
const HUGE: usize = 2 << 20;

/// Where the kernel says whether it gives huge pages.
const POLICY: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

/// Moves the program's code to huge pages, in a thread of its own, once per process. Code runs on meanwhile. Where the kernel
/// gives no huge pages, nothing is moved; a page that cannot be moved stays where it is.
pub fn move_code() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let moving = || match fs::read_to_string(POLICY) {
            Ok(policy) if !policy.contains("[never]") => {
                let (moved, of) = move_all(code());
                tracing::debug!(moved, of, "code was moved to huge pages");
            }
            _ => tracing::debug!("the kernel gives no huge pages"),
        };
        if let Err(error) = thread::Builder::new().name("huge-pages".into()).spawn(moving) {
            tracing::warn!(%error, "code stays on small pages");
        }
    });
}

/// The addresses of the program's own code: begin and end of the executable segment of the first object, which is the
/// program itself.
pub(crate) fn code() -> (usize, usize) {
    extern "C" fn look(info: *mut libc::dl_phdr_info, _size: libc::size_t, found: *mut c_void) -> c_int {
        // SAFETY: the loader gives a valid description for the time of the call, and `found` is what `code` passes on.
        let (info, found) = unsafe { (&*info, &mut *found.cast::<(usize, usize)>()) };
        // SAFETY: as above; the loader says how many headers there are.
        let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
        let runs = |header: &&libc::Elf64_Phdr| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0;
        if let Some(header) = headers.iter().find(runs) {
            let begin = info.dlpi_addr.wrapping_add(header.p_vaddr);
            *found = (begin as usize, begin.wrapping_add(header.p_memsz) as usize);
        }
        1
    }
    let mut found = (0, 0);
    // SAFETY: `look` matches the signature, and `found` outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut found).cast()) };
    found
}

/// Moves the whole huge pages between two addresses. Returns how many were moved, and how many there are.
fn move_all((begin, end): (usize, usize)) -> (usize, usize) {
    let first = begin.next_multiple_of(HUGE);
    let pages = end.saturating_sub(first) / HUGE;
    let moved = (0..pages).take_while(|page| {
        // SAFETY: the page lies within the program's code, which is mapped as long as the process runs.
        let result = unsafe { move_page(first + page * HUGE) };
        result.inspect_err(|error| tracing::warn!(%error, "code stays on small pages")).is_ok()
    });
    (moved.count(), pages)
}

/// Moves what is at an address to one huge page.
///
/// # Safety
///
/// At `at`, a multiple of [`HUGE`], as many bytes are mapped that can be read and executed and that nobody changes.
unsafe fn move_page(at: usize) -> io::Result<()> {
    let (readable, private) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // Twice the size has an aligned page in it; what is before and behind that is given back at once, for after the move the
    // addresses are free for others.
    // SAFETY: a mapping at an address of the kernel's choice touches nothing that is there.
    let room = unsafe { libc::mmap(ptr::null_mut(), HUGE * 2, readable, private, -1, 0) };
    if room == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let start = room as usize;
    let page = start.next_multiple_of(HUGE);
    for (begin, end) in [(start, page), (page + HUGE, start + 2 * HUGE)] {
        if begin < end {
            // SAFETY: it is a part of the room, which is this function's own, and not used.
            check(unsafe { libc::munmap(begin as *mut c_void, end - begin) })?;
        }
    }
    let result = (|| {
        // SAFETY: the page is what is left of the room.
        check(unsafe { libc::madvise(page as *mut c_void, HUGE, libc::MADV_HUGEPAGE) })?;
        // SAFETY: the caller says that the source is mapped; the target is this function's own; they do not overlap.
        unsafe { ptr::copy_nonoverlapping(at as *const u8, page as *mut u8, HUGE) };
        // SAFETY: as above. Nothing is ever both writable and executable.
        check(unsafe { libc::mprotect(page as *mut c_void, HUGE, libc::PROT_READ | libc::PROT_EXEC) })?;
        let (may_move, fixed) = (libc::MREMAP_MAYMOVE, libc::MREMAP_FIXED);
        // SAFETY: the same bytes with the same protection take the place of those that were there. The kernel does it in one
        // step for whoever runs in them: a thread that needs the page meanwhile waits for it.
        let moved = unsafe { libc::mremap(page as *mut c_void, HUGE, HUGE, may_move | fixed, at as *mut c_void) };
        if moved == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    })();
    if result.is_err() {
        // SAFETY: it was not moved, so it is still this function's own.
        unsafe { libc::munmap(page as *mut c_void, HUGE) };
    }
    result
}

fn check(returned: c_int) -> io::Result<()> {
    if returned == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_that_was_moved_runs_and_is_the_same() {
        let (begin, end) = code();
        let here = code_that_was_moved_runs_and_is_the_same as fn() as usize;
        assert!((begin..end).contains(&here));
        let sum = || {
            // SAFETY: it is the program's code.
            let bytes = unsafe { slice::from_raw_parts(begin as *const u8, end - begin) };
            bytes.iter().fold(0_u64, |sum, byte| sum.rotate_left(5) ^ u64::from(*byte))
        };
        let before = sum();
        let (moved, pages) = move_all((begin, end));
        assert_eq!(moved, pages);
        assert_eq!(sum(), before);
    }
}
