//! The modules of Node.js that a worker finds with the compatibility flag `nodejs_compat`, and what stands behind them.
//!
//! # How a module gets into a worker
//!
//! `js/registry.js` knows which script is which module; no script but that table's own loader is in the snapshot, and a
//! script is read when its module is asked for first. `globalThis.__atoll__.node(name)` gives a module's exports to the
//! embedder, which makes an ES module of them with the [names](exports) that are known here;
//! `globalThis.__atoll__.nodeGlobals()` puts `Buffer`, `process` and their like on the global.
//!
//! # Whose scripts they are
//!
//! Pure JavaScript comes from packages (`third_party/node-compat`); what is native in Node.js is in `js/` and in the ops
//! of this crate. All of them run with the rights of the worker's own code: they are handed single operations and never
//! the engine's internals, so that a worker which changes the built-in prototypes gains nothing.

mod exports;
mod text;

use deno_core::Extension;

pub use exports::{Compatibility, exports, is_known, known, modules};

deno_core::extension!(
    atoll_node_packages,
    lazy_loaded_js = [
        dir "../../third_party/node-compat/dist",
        "assert.js",
        "inspect.js",
        "path.js",
        "punycode.js",
        "querystring.js",
        "stream.js",
        "string_decoder.js",
        "url.js",
    ],
);

deno_core::extension!(
    atoll_node,
    deps = [atoll_web, atoll_node_packages],
    ops = [text::op_node_text, text::op_node_write],
    lazy_loaded_js = [
        dir "js",
        "assert.js",
        "async_hooks.js",
        "buffer.js",
        "buffer_numbers.js",
        "console.js",
        "constants.js",
        "diagnostics_channel.js",
        "engine.js",
        "errors.js",
        "events.js",
        "mime.js",
        "module.js",
        "os.js",
        "parse_args.js",
        "perf_hooks.js",
        "process.js",
        "registry.js",
        "stream.js",
        "stream_consumers.js",
        "stream_web.js",
        "string_decoder.js",
        "timers.js",
        "tty.js",
        "url.js",
        "util.js",
        "util_types.js",
    ],
    js = [dir "js", "main.js"],
);

/// The extensions, to come after those of the web platform.
pub fn extensions() -> Vec<Extension> {
    vec![atoll_node_packages::init(), atoll_node::init()]
}
