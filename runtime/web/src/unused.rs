//! What `deno_web` has and no script of the platform uses. Left in, it would take its part of every isolate: three hundred
//! methods of matrices, rectangles and style sheets in the heap and in the engine's tables.

#![expect(unsafe_code, reason = "the engine does not say that declarations can be shared between threads")]

use std::borrow::Cow;
use std::sync::{LazyLock, OnceLock};

use deno_core::{Extension, OpDecl};
use deno_web::InMemoryBroadcastChannel;

/// The one class of `deno_web` that is made in Rust and used.
const USED: &str = "Console";

/// How the names of functions begin that only scripts call which are never loaded.
const UNUSED: [&str; 3] = ["op_broadcast_", "op_geometry_", "op_lock_manager_"];

/// Functions of `deno_web` that are left, once for all isolates.
struct Functions(&'static [OpDecl]);

// SAFETY: a declaration is names, numbers, addresses of functions and of constants; it is copied and never changed, and
// every isolate's thread reads the ones in static memory just so.
unsafe impl Send for Functions {}
// SAFETY: as above.
unsafe impl Sync for Functions {}

/// `deno_web` without it. The same in the snapshot's build and in every restored isolate, as the order of functions has to be.
pub(crate) fn left_out(mut extension: Extension) -> Extension {
    static LEFT: OnceLock<Functions> = OnceLock::new();
    let left = LEFT.get_or_init(|| {
        let used = |function: &&OpDecl| !UNUSED.iter().any(|start| function.name.starts_with(start));
        Functions(Vec::leak(extension.ops.iter().filter(used).copied().collect()))
    });
    extension.objects = extension.objects.iter().filter(|class| class.name.0 == USED).copied().collect();
    extension.ops = Cow::Borrowed(left.0);
    extension
}

/// What `deno_web` wants for `BroadcastChannel`, which no worker has. One serves all isolates: none has the functions that
/// would reach it.
pub(crate) fn broadcasts() -> InMemoryBroadcastChannel {
    static ALL: LazyLock<InMemoryBroadcastChannel> = LazyLock::new(Default::default);
    ALL.clone()
}
