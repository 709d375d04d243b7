//! The extensions of an isolate, in the one order that snapshots are built and restored with.

use std::path::PathBuf;

use deno_core::{Extension, ExtensionFileSourceCode};

use crate::bodies::Bodies;
use crate::memory::{Meter, MeteredBlobs};
use crate::ops::decode::Decoders;
use crate::ops::digest::{self, Digests};
use crate::ops::rewriter::{self, Rewriters};
use crate::ops::{app, body, cache, decode, fetch, form, function, gcm, request, service, websocket};
use crate::pipes::Pipes;
use crate::requests::Requests;
use crate::sockets::Sockets;
use crate::unused;

deno_core::extension!(
    atoll_web,
    deps = [deno_webidl, deno_web, deno_crypto],
    ops = [
        app::op_atoll_env,
        app::op_atoll_flags,
        app::op_atoll_is_on,
        app::op_atoll_job_ended,
        app::op_atoll_log,
        body::op_atoll_body_collect,
        body::op_atoll_body_collect_text,
        body::op_atoll_body_drop,
        body::op_atoll_body_read,
        body::op_atoll_body_take_bytes,
        body::op_atoll_body_take_text,
        body::op_atoll_pipe_close,
        body::op_atoll_pipe_fail,
        body::op_atoll_pipe_open,
        body::op_atoll_pipe_room,
        body::op_atoll_pipe_write,
        cache::op_atoll_cache_delete,
        cache::op_atoll_cache_match,
        cache::op_atoll_cache_put,
        decode::op_atoll_decode_drop,
        decode::op_atoll_decode_finish,
        decode::op_atoll_decode_open,
        decode::op_atoll_decode_read,
        decode::op_atoll_decode_write,
        digest::op_atoll_digest_drop,
        digest::op_atoll_digest_finish,
        digest::op_atoll_digest_open,
        digest::op_atoll_digest_write,
        digest::op_atoll_same_bytes,
        fetch::op_atoll_assets_fetch,
        fetch::op_atoll_fetch,
        form::op_atoll_form_parse,
        function::op_atoll_is_platform_function,
        gcm::op_atoll_gcm_open,
        gcm::op_atoll_gcm_seal,
        request::op_atoll_pass_through,
        request::op_atoll_request_body,
        request::op_atoll_request_cf,
        request::op_atoll_request_headers,
        request::op_atoll_respond_body,
        request::op_atoll_respond_bytes,
        request::op_atoll_respond_empty,
        request::op_atoll_respond_exception,
        request::op_atoll_respond_invalid,
        request::op_atoll_respond_pipe,
        request::op_atoll_respond_scheduled,
        fetch::op_atoll_status_text,
        request::op_atoll_remember_type,
        request::op_atoll_respond_same,
        request::op_atoll_respond_text,
        request::op_atoll_respond_unanswered,
        request::op_atoll_response_gone,
        request::op_atoll_scheduled,
        request::op_atoll_wait_begin,
        request::op_atoll_wait_end,
        rewriter::op_atoll_rewriter_attribute,
        rewriter::op_atoll_rewriter_attributes,
        rewriter::op_atoll_rewriter_drop,
        rewriter::op_atoll_rewriter_element,
        rewriter::op_atoll_rewriter_emit,
        rewriter::op_atoll_rewriter_emit_bytes,
        rewriter::op_atoll_rewriter_emit_token,
        rewriter::op_atoll_rewriter_end,
        rewriter::op_atoll_rewriter_hide,
        rewriter::op_atoll_rewriter_is_hidden,
        rewriter::op_atoll_rewriter_is_last,
        rewriter::op_atoll_rewriter_next,
        rewriter::op_atoll_rewriter_open,
        rewriter::op_atoll_rewriter_remove_attribute,
        rewriter::op_atoll_rewriter_select,
        rewriter::op_atoll_rewriter_set_attribute,
        rewriter::op_atoll_rewriter_set_text,
        rewriter::op_atoll_rewriter_take,
        rewriter::op_atoll_rewriter_text,
        rewriter::op_atoll_rewriter_watch,
        rewriter::op_atoll_rewriter_who,
        rewriter::op_atoll_rewriter_write,
        service::op_atoll_aim,
        service::op_atoll_call,
        service::op_atoll_entrypoint,
        service::op_atoll_props,
        service::op_atoll_respond_call,
        service::op_atoll_respond_thrown,
        service::op_atoll_service_call,
        websocket::op_atoll_respond_socket,
        websocket::op_atoll_socket_buffered,
        websocket::op_atoll_socket_close,
        websocket::op_atoll_socket_done,
        websocket::op_atoll_socket_give,
        websocket::op_atoll_socket_keep,
        websocket::op_atoll_socket_next,
        websocket::op_atoll_socket_pair,
        websocket::op_atoll_socket_quiet,
        websocket::op_atoll_socket_send_bytes,
        websocket::op_atoll_socket_send_text,
        websocket::op_atoll_socket_take,
    ],
    lazy_loaded_js = [
        dir "js",
        "assets.js",
        "body.js",
        "builtins.js",
        "byob.js",
        "cache.js",
        "cf.js",
        "cloudflare.js",
        "compatibility.js",
        "compression.js",
        "console.js",
        "context.js",
        "crypto.js",
        "crypto_gcm.js",
        "crypto_guard.js",
        "data_url.js",
        "decompression.js",
        "engine_ops.js",
        "entrypoint.js",
        "errors.js",
        "event_source.js",
        "execution.js",
        "fetch.js",
        "fetcher.js",
        "form_data.js",
        "function_text.js",
        "globals.js",
        "guards.js",
        "handler.js",
        "headers.js",
        "html_rewriter.js",
        "html_tokens.js",
        "identity_streams.js",
        "iteration.js",
        "pump.js",
        "request.js",
        "response.js",
        "rpc.js",
        "rpc_errors.js",
        "rpc_stubs.js",
        "rpc_target.js",
        "rpc_values.js",
        "shapes.js",
        "websocket.js",
        "service.js",
        "service_worker.js",
        "substitutes.js",
        "tracing.js",
        "wasm_streaming.js",
        "wasi.js",
    ],
    js = [dir "js", "main.js"],
    options = { meter: Meter },
    state = |state, options| {
        state.put(options.meter);
        state.put(Requests::default());
        state.put(Bodies::default());
        state.put(Pipes::default());
        state.put(Decoders::default());
        state.put(Rewriters::default());
        state.put(Sockets::default());
        state.put(Digests::default());
        state.put(service::Aim::default());
        state.put(fetch::LastUrl::default());
    },
);

/// The extensions, for building the snapshot and for restoring from it alike.
pub fn extensions() -> Vec<Extension> {
    let meter = Meter::default();
    vec![
        deno_webidl::deno_webidl::init(),
        unused::left_out(deno_web::deno_web::init(
            MeteredBlobs::store(meter.clone()),
            None,
            false,
            unused::broadcasts(),
        )),
        deno_crypto::deno_crypto::init(None),
        atoll_web::init(meter),
    ]
}

/// Specifier and file of the scripts that a runtime restored from a snapshot needs besides it: those that are loaded on
/// first use and were not loaded when it was built, given `consumed`, the snapshot's
/// `CreateSnapshotOutput::consumed_lazy_specifiers`. Sorted by specifier, as `RuntimeOptions::residual_lazy_js_sources`
/// has to be. The paths are those of the machine the crates were compiled on.
pub fn residual_scripts(consumed: &[impl AsRef<str>]) -> Vec<(&'static str, PathBuf)> {
    let mut scripts = Vec::new();
    for extension in extensions() {
        for file in extension.lazy_loaded_js_files.iter() {
            if let ExtensionFileSourceCode::LoadedFromFsDuringSnapshot(path) = &file.code
                && !consumed.iter().any(|specifier| specifier.as_ref() == file.specifier)
            {
                scripts.push((file.specifier, PathBuf::from(path)));
            }
        }
    }
    scripts.sort_unstable_by_key(|(specifier, _)| *specifier);
    scripts
}
