//! V8, initialised once per process.

use std::sync::OnceLock;

use deno_core::{JsRuntime, v8};

/// How V8 is set up.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// More V8 flags, for measuring; each as on V8's command line.
    pub flags: Vec<String>,
}

/// V8, initialised. Cheap to clone; a witness that initialisation has happened.
#[derive(Clone, Debug)]
pub struct Engine(());

/// Flags every process that runs isolates sets before V8 starts. They are part of the key of V8's code caches.
const FLAGS: &[&str] = &[
    // Garbage collection runs on the isolate's own thread, so that a tenant pays for it from its own CPU budget.
    "--single-threaded-gc",
    // A WebAssembly memory bypasses the array-buffer allocator: 2,048 pages are 128 MiB.
    "--wasm-max-mem-pages=2048",
    // Loop unrolling takes the interrupt check out of loops known to be short. When such a loop has none, being made by
    // the compiler (as for `new Array(1000)`), the check of the next loop is taken out in its place
    // (`LoopStackCheckElisionReducer` keeps `skip_next_stack_check_` set), and code as innocent as
    // `while (true) a.push(new Array(1000))` can no longer be terminated once it is optimised.
    "--no-turboshaft-loop-unrolling",
    "--no-wasm-loop-unrolling",
    // The baseline compiler would compile a good part of the platform's functions during an isolate's first request, on
    // its own thread or on one that has to be woken; code that stays hot is optimised soon anyway.
    "--no-sparkplug",
    // Machine code of all isolates of a process shares a range of 128 MiB, of which each isolate that has any takes 256 KiB at
    // least. Optimised functions do without when it is full; a regular expression ends the process, so none is compiled to
    // machine code.
    "--regexp-interpret-all",
    // Rearranging the byte code of regular expressions takes longer than all else of their compilation, and matching is not seen
    // to gain by it. Applications with Unicode classes compile for milliseconds when they start.
    "--no-regexp-peephole-optimization",
    // V8 aborts by `abort()` and not by an illegal instruction, so that `crate::abort` can contain it.
    "--no-hard-abort",
];

impl Engine {
    /// Initialises V8. Must be called on the main thread before any other thread exists (memory protection keys are
    /// inherited at thread creation), so before a tokio runtime is built. Later calls return the same engine and ignore
    /// their options.
    pub fn init(options: EngineOptions) -> Self {
        static ENGINE: OnceLock<()> = OnceLock::new();
        ENGINE.get_or_init(|| {
            let flags = FLAGS.iter().map(|flag| (*flag).to_owned()).chain(options.flags);
            // The first element stands for the program's name, which V8 skips.
            let unknown = deno_core::v8_set_flags(std::iter::once(String::new()).chain(flags).collect());
            for flag in unknown.iter().skip(1) {
                tracing::warn!(%flag, "V8 does not know this flag");
            }
            v8::V8::set_entropy_source(entropy);
            JsRuntime::init_platform(None);
            crate::abort::install();
            crate::park::install();
        });
        Self(())
    }
}

/// Fills a seed from the kernel. Left to itself V8 opens and reads `/dev/urandom`, 4 KiB at a time, several times for each
/// isolate.
fn entropy(seed: &mut [u8]) -> bool {
    // SAFETY: the kernel writes into the slice and no further.
    let filled = unsafe { libc::getrandom(seed.as_mut_ptr().cast(), seed.len(), 0) };
    usize::try_from(filled) == Ok(seed.len())
}
