//! The files of the cache's contents: after any one change, what is read is what was written, or an error.
#![no_main]

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use atoll_http_cache::disk::Disk;
use libfuzzer_sys::fuzz_target;

/// The content's length and a number that its bytes follow from; which change, with its numbers and bytes; what is read.
type Input = ((u32, u8), (u8, u32, [u8; 4], Vec<u8>), (u32, u32));

fuzz_target!(|input: Input| {
    let ((length, seed), (change, at, mask, other), (start, count)) = input;
    let content: Vec<u8> = (0..length % 200_000).map(|at| (at / 7) as u8 ^ seed).collect();
    let root = std::env::temp_dir().join(format!("atoll-fuzz-blob-{}", std::process::id()));
    let disk = Disk::open(&root, 1 << 30).expect("a folder");
    let blob = disk.put(&content).expect("it is written");
    let path = only_file(&root.join("contents"));
    let file = OpenOptions::new().read(true).write(true).open(&path).expect("it is there");
    let size = file.metadata().expect("it is there").len();
    match change % 3 {
        // Up to four bytes in a row, which the checksums are sure to tell.
        0 => {
            let at = u64::from(at) % size;
            let mut bytes = [0; 4];
            let read = file.read_at(&mut bytes, at).expect("it can be read");
            bytes.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
            file.write_all_at(&bytes[..read], at).expect("it can be written");
        }
        // It ends earlier, or has more.
        1 => file.set_len(u64::from(at) % (size * 2)).expect("its length can be set"),
        _ => fs::write(&path, other).expect("it can be written"),
    }
    let (start, count) = (u64::from(start), u64::from(count));
    if let Ok(opened) = disk.open_blob(&blob) {
        for (start, count) in [(0, blob.length), (start % (blob.length + 1), count), (start, count)] {
            if let Ok(read) = opened.read(start, count) {
                assert_eq!(read, content[start as usize..(start + count) as usize]);
            }
        }
    }
    fs::remove_dir_all(&root).expect("it can be deleted");
});

fn only_file(folder: &Path) -> PathBuf {
    let below = fs::read_dir(folder).expect("a folder").next().expect("a folder in it").expect("its name").path();
    fs::read_dir(below).expect("a folder").next().expect("a file in it").expect("its name").path()
}
