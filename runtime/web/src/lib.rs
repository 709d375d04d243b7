//! The web platform of an isolate: extensions, their JavaScript and their ops.
//!
//! # How a runtime is made of it
//!
//! [`extensions`] is given both to `deno_core::snapshot::create_snapshot` and to every runtime restored from the
//! snapshot. Rare scripts are not evaluated when the snapshot is built; a restored runtime needs their sources as
//! `RuntimeOptions::residual_lazy_js_sources`: a build script writes those of [`residual_scripts`] out as a table.
//! Restoring takes `skip_op_registration: true`. `RuntimeOptions::shared_array_buffer_store` must be a store of the
//! isolate's own: transferring an `ArrayBuffer` goes through it.
//!
//! # How a request goes through it
//!
//! Right after a runtime is made, `globalThis.__atoll__` holds these functions. The embedder keeps them and deletes
//! `__atoll__`, `__bootstrap` and `Deno` from `globalThis` before code of a tenant runs. [`install`] says which worker
//! the isolate belongs to. Then:
//!
//! - `finish()` does to the global what a snapshot cannot hold. To be called once, at once, through [`finish`].
//! - `reset()` forgets the worker and `env`: when the snapshot is made, and after the [rehearsal].
//! - `prepare(namespace)` takes the namespace of the entry module before it is evaluated: a script without exports finds
//!   its bindings on the global. A module with a default export does not need it.
//! - `builtin(specifier)` returns the exports of a module that the platform has built in ([`BUILTINS`]).
//! - `start(namespace)` takes the namespace of the entry module, finds its handler and builds `env`. It throws a
//!   `TypeError` that says what is missing.
//! - `dispatch(slot, method, url, bodyKind)` calls the handler, with what [`requests::begin`] has returned. It never
//!   throws and returns nothing; the answer goes to the request's [`requests::Responder`].
//! - `abort(slot)` says that the client has gone: `request.signal` aborts and a response that is being streamed ends.
//!   Needed only while there is no response yet ([`requests::abandoned`]); later the dropped body says it.
//!
//! [`off_heap`] says what the isolate holds outside of V8's sight, for a memory limit to count in.
//!
//! After each turn of the event loop [`requests::take_finished`] tells which requests are finished.

mod bodies;
mod caches;
mod calls;
mod coding;
mod compatibility;
mod connections;
mod crypto;
pub mod event;
mod extension;
pub mod gcm;
mod handles;
mod headers;
mod memory;
mod ops;
mod pipes;
pub mod rehearsal;
pub mod requests;
mod rewriter;
pub mod socket;
mod sockets;
mod stacks;
mod unused;
mod warm_up;

use std::sync::Arc;

use deno_core::OpState;

pub use compatibility::{Compatibility, Switch, flags};
pub use crypto::finish;
pub use extension::{extensions, residual_scripts};
pub use memory::{OffHeap, off_heap};
pub use rehearsal::Nowhere;
pub use stacks::prepare_stack_trace;
pub use warm_up::{set_snapshot_flags, warm_up};

use crate::connections::Connections;
use crate::event::{Environment, Host};

/// The modules that the platform has built in, and the names that each exports.
pub const BUILTINS: &[(&str, &[&str])] = &[
    ("atoll:wasi", &["WASI"]),
    // Its exports come with the modules of Node.js.
    ("cloudflare:node", &["handleAsNodeRequest", "httpServerHandler"]),
    (
        "cloudflare:workers",
        &[
            "DurableObject",
            "RpcPromise",
            "RpcProperty",
            "RpcStub",
            "RpcTarget",
            "ServiceStub",
            "WorkerEntrypoint",
            "WorkflowEntrypoint",
            "cache",
            "env",
            "exports",
            "tracing",
            "waitUntil",
            "withEnv",
            "withEnvAndExports",
            "withExports",
        ],
    ),
];

/// Which worker an isolate runs, as far as its web platform needs to know.
pub struct IsolateContext {
    /// What it may ask of the world.
    pub host: Arc<dyn Host>,
    /// `env`.
    pub env: Environment,
    /// Outbound requests per request.
    pub subrequests: u32,
    /// The largest body from outside that is read as a whole (`text()`, `json()`, `arrayBuffer()`, …), bytes.
    pub body_limit: usize,
    /// What its compatibility date and flags ask for.
    pub compatibility: Compatibility,
    /// Which flags are on, as [`flags`] says it; for code that asks.
    pub flags: Box<dyn Fn() -> Vec<(&'static str, bool)>>,
    /// The app's name and the version's number, by which the worker calls its own entrypoints; `None` where it cannot.
    pub own: Option<(Arc<str>, u64)>,
    gate: Connections,
}

impl IsolateContext {
    /// A context with a `body_limit` of 128 MiB, without any [`Switch`] on, and for no app. `connections` outbound requests
    /// may be under way at once.
    pub fn new(host: Arc<dyn Host>, env: Environment, subrequests: u32, connections: u32) -> Self {
        Self {
            host,
            env,
            subrequests,
            body_limit: 128 << 20,
            compatibility: Compatibility::default(),
            flags: Box::new(Vec::new),
            own: None,
            gate: Connections::new(connections),
        }
    }
}

/// Gives a runtime its worker. To be called before `start`.
pub fn install(state: &mut OpState, context: IsolateContext) {
    state.put(context);
}
