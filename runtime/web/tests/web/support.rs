//! An isolate as the embedder makes it, with a host that the case scripts.

use std::collections::HashMap;
use std::future::poll_fn;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use atoll_web::event::*;
use atoll_web::{IsolateContext, install, requests};
use bytes::Bytes;
use deno_core::{
    JsRuntime, ModuleCodeString, PollEventLoopOptions, RuntimeOptions, SharedArrayBufferStore, StaticModuleLoader, v8,
};
use futures::StreamExt;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::sync::oneshot;

/// What a runtime is made of.
#[derive(Clone, Copy)]
pub enum Source {
    /// The scripts of the extensions.
    Scripts,
    /// A snapshot, and the sources of the scripts that are not in it.
    Snapshot { blob: &'static [u8], scripts: &'static [(&'static str, &'static str)] },
}

impl Source {
    pub fn name(self) -> &'static str {
        match self {
            Self::Scripts => "plain",
            Self::Snapshot { .. } => "snapshot",
        }
    }

    pub fn restored(file: &Path) -> Self {
        let blob = Box::leak(std::fs::read(file).expect("the snapshot").into_boxed_slice());
        let consumed = std::fs::read_to_string(file.with_extension("consumed")).expect("the list of scripts");
        let consumed: Vec<&str> = consumed.lines().collect();
        let scripts = atoll_web::residual_scripts(&consumed)
            .into_iter()
            .map(|(specifier, path)| {
                let source = std::fs::read_to_string(path).expect("the source of a script");
                (specifier, &*Box::leak(source.into_boxed_str()))
            })
            .collect::<Vec<_>>();
        Self::Snapshot { blob, scripts: Box::leak(scripts.into_boxed_slice()) }
    }
}

pub fn build_snapshot(file: &Path) -> ExitCode {
    atoll_web::set_snapshot_flags();
    let output = deno_core::snapshot::create_snapshot(
        deno_core::snapshot::CreateSnapshotOptions {
            cargo_manifest_dir: env!("CARGO_MANIFEST_DIR"),
            startup_snapshot: None,
            skip_op_registration: false,
            extensions: atoll_web::extensions(),
            extension_transpiler: None,
            with_runtime_cb: None,
        },
        None,
    )
    .expect("a snapshot");
    std::fs::write(file, &output.output).expect("the snapshot can be written");
    std::fs::write(file.with_extension("consumed"), output.consumed_lazy_specifiers.join("\n")).expect("the list too");
    ExitCode::SUCCESS
}

type Route = dyn Fn(OutboundRequest) -> BoxFuture<'static, Result<OutboundResponse, FetchFailure>> + Send + Sync;

type Cached = HashMap<(Option<String>, String), (StatusCode, HeaderMap, Bytes)>;

/// A world outside that answers what the case says, and remembers what was logged.
pub struct World {
    route: Box<Route>,
    cached: Arc<Mutex<Cached>>,
    pub log: Mutex<Vec<LogRecord>>,
}

impl World {
    pub fn silent() -> Arc<Self> {
        Self::answering(|request| async move {
            Err(FetchFailure { code: "connect", message: format!("nobody is at {}", request.url) })
        })
    }

    pub fn answering<F>(route: impl Fn(OutboundRequest) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Result<OutboundResponse, FetchFailure>> + Send + 'static,
    {
        Arc::new(Self {
            route: Box::new(move |request| Box::pin(route(request))),
            cached: Arc::default(),
            log: Mutex::default(),
        })
    }

    /// Levels, request ids and messages of the log so far.
    pub fn lines(&self) -> Vec<(&'static str, Option<String>, String)> {
        let log = self.log.lock().unwrap();
        log.iter().map(|r| (r.level.as_str(), r.request_id.clone(), r.message.clone())).collect()
    }
}

impl Host for World {
    fn fetch(&self, request: OutboundRequest) -> BoxFuture<'static, Result<OutboundResponse, FetchFailure>> {
        (self.route)(request)
    }

    fn log(&self, record: LogRecord) {
        self.log.lock().unwrap().push(record);
    }

    fn cache_match(&self, request: CacheRequest) -> BoxFuture<'static, Result<Option<CachedResponse>, FetchFailure>> {
        let found = self.cached.lock().unwrap().get(&(request.cache, request.url.into())).cloned();
        let found = found.map(|(status, headers, body)| CachedResponse { status, headers, body: Body::Full(body) });
        Box::pin(std::future::ready(Ok(found)))
    }

    fn cache_put(
        &self,
        request: CacheRequest,
        response: CachedResponse,
    ) -> BoxFuture<'static, Result<(), FetchFailure>> {
        let body = collect(response.body);
        let cached = self.cached.clone();
        Box::pin(async move {
            let body = body.await.map_err(|error| FetchFailure { code: "cache-body", message: error.to_string() })?;
            let key = (request.cache, request.url.into());
            cached.lock().unwrap().insert(key, (response.status, response.headers, body));
            Ok(())
        })
    }

    fn cache_delete(&self, request: CacheRequest) -> BoxFuture<'static, Result<bool, FetchFailure>> {
        let was = self.cached.lock().unwrap().remove(&(request.cache, request.url.into()));
        Box::pin(std::future::ready(Ok(was.is_some())))
    }
}

/// An isolate that runs a worker.
pub struct Isolate {
    pub runtime: JsRuntime,
    pub world: Arc<World>,
    dispatch: v8::Global<v8::Function>,
    abort: v8::Global<v8::Function>,
}

/// A request under way.
pub struct Pending {
    pub slot: u32,
    pub answer: oneshot::Receiver<Result<FetchResponse, HandlerError>>,
}

impl Isolate {
    /// A worker whose entry module is `code`.
    pub async fn new(source: Source, code: &str) -> Self {
        Self::with(source, code, World::silent(), Vec::new()).await
    }

    pub async fn with(source: Source, code: &str, world: Arc<World>, env: Vec<(String, Binding)>) -> Self {
        Self::start(source, code, world, env).await.expect("the worker starts")
    }

    /// With other limits than 5 outbound requests per request and 2 at once.
    pub async fn with_limits(
        source: Source,
        code: &str,
        world: Arc<World>,
        subrequests: u32,
        connections: u32,
    ) -> Self {
        let context = IsolateContext::new(world.clone(), Vec::new().into(), subrequests, connections);
        Self::load(source, code, world, context).await.expect("the worker starts")
    }

    /// As [`with`](Self::with); an error is what the worker's start threw.
    pub async fn start(
        source: Source,
        code: &str,
        world: Arc<World>,
        env: Vec<(String, Binding)>,
    ) -> Result<Self, String> {
        let context = IsolateContext::new(world.clone(), env.into(), 5, 2);
        Self::load(source, code, world, context).await
    }

    async fn load(source: Source, code: &str, world: Arc<World>, context: IsolateContext) -> Result<Self, String> {
        let entry = deno_core::ModuleSpecifier::parse("app:///index.js").unwrap();
        let loader = StaticModuleLoader::with(entry.clone(), ModuleCodeString::from(code.to_owned()));
        let mut options = RuntimeOptions {
            extensions: atoll_web::extensions(),
            module_loader: Some(Rc::new(loader)),
            shared_array_buffer_store: Some(SharedArrayBufferStore::default()),
            ..RuntimeOptions::default()
        };
        if let Source::Snapshot { blob, scripts } = source {
            options.startup_snapshot = Some(blob);
            options.skip_op_registration = true;
            options.residual_lazy_js_sources = scripts;
        }
        let mut runtime = JsRuntime::new(options);
        let [prepare, start, dispatch, abort] = entry_points(&mut runtime);
        install(&mut runtime.op_state().borrow_mut(), context);
        let id = runtime.load_main_es_module(&entry).await.map_err(|error| error.to_string())?;
        call_with_namespace(&mut runtime, id, prepare)?;
        let evaluated = runtime.mod_evaluate(id);
        runtime.run_event_loop(PollEventLoopOptions::default()).await.map_err(|error| error.to_string())?;
        evaluated.await.map_err(|error| error.to_string())?;
        call_with_namespace(&mut runtime, id, start)?;
        Ok(Self { runtime, world, dispatch, abort })
    }

    /// Begins with a request, without running the event loop.
    pub fn send(&mut self, event: FetchEvent) -> Pending {
        let (responder, answer) = oneshot::channel();
        let state = self.runtime.op_state();
        let dispatch = requests::begin(&mut state.borrow_mut(), event, responder).expect("a free slot");
        deno_core::scope!(scope, &mut self.runtime);
        let function = v8::Local::new(scope, &self.dispatch);
        let slot = v8::Integer::new_from_unsigned(scope, dispatch.slot).into();
        let method = v8::String::new(scope, dispatch.method().as_str()).unwrap().into();
        let url = v8::String::new(scope, &dispatch.url()).unwrap().into();
        let kind = v8::Integer::new_from_unsigned(scope, dispatch.body.code()).into();
        let receiver = v8::undefined(scope).into();
        assert!(function.call(scope, receiver, &[slot, method, url, kind]).is_some(), "dispatch never throws");
        Pending { slot: dispatch.slot, answer }
    }

    /// Says that the client of a request has gone.
    pub fn abort(&mut self, slot: u32) {
        deno_core::scope!(scope, &mut self.runtime);
        let function = v8::Local::new(scope, &self.abort);
        let slot = v8::Integer::new_from_unsigned(scope, slot).into();
        let receiver = v8::undefined(scope).into();
        assert!(function.call(scope, receiver, &[slot]).is_some(), "abort never throws");
    }

    /// Runs the event loop until `future` is done.
    pub async fn run_until<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        poll_fn(|context| {
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                return Poll::Ready(value);
            }
            match self.runtime.poll_event_loop(context, PollEventLoopOptions::default()) {
                Poll::Ready(Err(error)) => panic!("the event loop failed: {error}"),
                // Nothing is under way inside; only the outside can go on.
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
            future.as_mut().poll(context)
        })
        .await
    }

    /// Runs the event loop until nothing is under way.
    pub async fn run(&mut self) {
        let idle = self.runtime.run_event_loop(PollEventLoopOptions::default()).await;
        idle.expect("nothing ends the isolate");
    }

    pub async fn answer(&mut self, event: FetchEvent) -> Result<FetchResponse, HandlerError> {
        let pending = self.send(event);
        self.run_until(pending.answer).await.expect("an answer")
    }

    /// Status, headers and body of the answer to a request.
    pub async fn fetch(&mut self, event: FetchEvent) -> Answer {
        let response = self.answer(event).await.expect("a response");
        let (status, headers) = (response.status, response.headers);
        let body = self.run_until(collect(response.body)).await.expect("a whole body");
        Answer { status, headers, body }
    }

    /// The body of the answer to `GET http://app.example/PATH`, which must have status 200.
    pub async fn get(&mut self, path: &str) -> String {
        let answer = self.fetch(get(path)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer.text()
    }

    pub fn finished(&mut self) -> Vec<u32> {
        requests::take_finished(&mut self.runtime.op_state().borrow_mut())
    }

    pub fn in_flight(&mut self) -> usize {
        requests::in_flight(&self.runtime.op_state().borrow())
    }
}

/// Calls one of the entry points with the namespace of a module; an error is what it threw.
fn call_with_namespace(
    runtime: &mut JsRuntime,
    id: deno_core::ModuleId,
    function: v8::Global<v8::Function>,
) -> Result<(), String> {
    let namespace = runtime.get_module_namespace(id).map_err(|error| error.to_string())?;
    deno_core::scope!(scope, runtime);
    v8::tc_scope!(scope, scope);
    let function = v8::Local::new(scope, function);
    let namespace = v8::Local::new(scope, namespace);
    let receiver = v8::undefined(scope).into();
    match function.call(scope, receiver, &[namespace.into()]) {
        Some(_) => Ok(()),
        None => Err(scope.exception().expect("what it threw").to_rust_string_lossy(scope)),
    }
}

fn entry_points(runtime: &mut JsRuntime) -> [v8::Global<v8::Function>; 4] {
    deno_core::scope!(scope, runtime);
    let global = scope.get_current_context().global(scope);
    let key =
        |scope: &mut v8::PinScope<'_, '_>, name: &str| v8::Global::new(scope, v8::String::new(scope, name).unwrap());
    let name = key(scope, "__atoll__");
    let name = v8::Local::new(scope, name);
    let entry = global.get(scope, name.into()).unwrap().to_object(scope).unwrap();
    let functions = ["prepare", "start", "dispatch", "abort"].map(|name| {
        let name = v8::String::new(scope, name).unwrap();
        let function = entry.get(scope, name.into()).unwrap();
        v8::Global::new(scope, v8::Local::<v8::Function>::try_from(function).unwrap())
    });
    // What a module over the asynchronous context is built on, for cases that have no such module.
    let code = "Object.defineProperty(globalThis, 'crypto', { get: __atoll__.finish() }); globalThis.AsyncVariable = Deno.core.AsyncVariable; globalThis.restore = Deno.core.setAsyncContext;";
    let code = v8::String::new(scope, code).unwrap();
    v8::Script::compile(scope, code, None).unwrap().run(scope).unwrap();
    for name in ["__atoll__", "__bootstrap", "Deno"] {
        let name = v8::String::new(scope, name).unwrap();
        global.delete(scope, name.into());
    }
    functions
}

/// An answer that was taken whole.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub async fn collect(body: Body) -> Result<Bytes, BodyError> {
    match body {
        Body::Empty => Ok(Bytes::new()),
        Body::Full(bytes) => Ok(bytes),
        Body::Socket(_) => Err(BodyError::Failed("a WebSocket is no body".into())),
        Body::Stream { mut stream, .. } => {
            let mut all = Vec::new();
            while let Some(chunk) = stream.next().await {
                all.extend_from_slice(&chunk?);
            }
            Ok(all.into())
        }
    }
}

pub fn request(method: Method, path: &str, headers: &[(&str, &str)], body: Body) -> FetchEvent {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let url = format!("http://app.example{path}");
    let head = FetchHead { method, url, headers: map, request_id: "request-1".into(), ..FetchHead::default() };
    FetchEvent::new(head, body)
}

pub fn get(path: &str) -> FetchEvent {
    request(Method::GET, path, &[], Body::Empty)
}

pub fn post(path: &str, body: impl Into<Bytes>) -> FetchEvent {
    request(Method::POST, path, &[], Body::Full(body.into()))
}

/// A body that comes in these chunks.
pub fn chunks<const N: usize>(chunks: [&'static str; N]) -> Body {
    let stream = futures::stream::iter(chunks.map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))));
    Body::Stream { stream: Box::pin(stream), length: None, trailers: Default::default() }
}

pub fn response(status: u16, headers: &[(&str, &str)], body: Body) -> OutboundResponse {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    OutboundResponse { status: StatusCode::from_u16(status).unwrap(), headers: map, body }
}
