//! The modules of Node.js that a worker finds with the compatibility flag `nodejs_compat`, and what stands behind them.
//!
//! # How a module gets into a worker
//!
//! `js/registry.js` knows which script is which module. Of the scripts only the timers, which most workers have on the
//! global, are in the snapshot; any other is read when its module is asked for first. `globalThis.__atoll__.node(name)` gives
//! a module's exports to the embedder, which makes an ES module of them with the [names](exports) that are known here;
//! `globalThis.__atoll__.addNode()` puts `Buffer`, `process`, their like and the timers on the global when the snapshot is built;
//! `removeNodeGlobals()` and `removeNodeTimers()` take them away from it again.
//!
//! # Whose scripts they are
//!
//! Pure JavaScript comes from packages (`third_party/node-compat`); what is native in Node.js is in `js/` and in the ops
//! of this crate. All of them run with the rights of the worker's own code: they are handed single operations and never
//! the engine's internals, so that a worker which changes the built-in prototypes gains nothing.

#![allow(
    unsafe_code,
    reason = "what the engine collects says so by an unsafe trait; every implementation says why it is sound"
)]

mod asymmetric;
mod cipher;
mod exports;
mod hash;
mod kdf;
mod rsa_private;
mod secp256k1;
mod text;
mod zlib;

use deno_core::Extension;

pub use exports::{Compatibility, exports, has_timers, is_known, known, modules};

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
    ops = [
        asymmetric::op_node_ecdh_generate,
        asymmetric::op_node_ecdh_public,
        asymmetric::op_node_ecdh_secret,
        asymmetric::op_node_key_check,
        asymmetric::op_node_key_from_sec1,
        asymmetric::op_node_key_generate,
        asymmetric::op_node_key_public,
        asymmetric::op_node_key_sec1,
        asymmetric::op_node_rsa_encrypt,
        asymmetric::op_node_rsa_private,
        asymmetric::op_node_sign,
        asymmetric::op_node_verify,
        cipher::op_node_cipher_aad,
        cipher::op_node_cipher_finish,
        cipher::op_node_cipher_open,
        cipher::op_node_cipher_update,
        hash::op_node_equal,
        hash::op_node_hash_copy,
        hash::op_node_hash_finish,
        hash::op_node_hash_open,
        hash::op_node_hash_update,
        hash::op_node_random,
        kdf::op_node_pbkdf2_open,
        kdf::op_node_pbkdf2_step,
        kdf::op_node_scrypt,
        text::op_node_text,
        text::op_node_write,
        zlib::op_node_zlib_close,
        zlib::op_node_zlib_finish,
        zlib::op_node_zlib_flush,
        zlib::op_node_zlib_open,
        zlib::op_node_zlib_write,
    ],
    lazy_loaded_js = [
        dir "js",
        "assert.js",
        "async_hooks.js",
        "buffer.js",
        "buffer_numbers.js",
        "console.js",
        "constants.js",
        "crypto.js",
        "crypto_ciphers.js",
        "crypto_keys.js",
        "crypto_der.js",
        "crypto_dh.js",
        "crypto_ecdh.js",
        "crypto_numbers.js",
        "crypto_pairs.js",
        "crypto_sealed.js",
        "crypto_signing.js",
        "crypto_x509.js",
        "crypto_x509_names.js",
        "diagnostics_channel.js",
        "engine.js",
        "errors.js",
        "events.js",
        "http.js",
        "http_client.js",
        "http_messages.js",
        "http_server.js",
        "https.js",
        "mime.js",
        "module.js",
        "net_addresses.js",
        "os.js",
        "parse_args.js",
        "parse_env.js",
        "perf_hooks.js",
        "process.js",
        "registry.js",
        "stream.js",
        "stream_consumers.js",
        "stream_web.js",
        "string_decoder.js",
        "stub_names.js",
        "stubs.js",
        "system_errors.js",
        "timer_objects.js",
        "timers.js",
        "tty.js",
        "url.js",
        "util.js",
        "util_types.js",
        "zlib.js",
    ],
    js = [dir "js", "main.js"],
    state = |state| state.put(zlib::Held::default()),
);

/// The extensions, to come after those of the web platform.
pub fn extensions() -> Vec<Extension> {
    vec![atoll_node_packages::init(), atoll_node::init()]
}
