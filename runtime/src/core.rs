//! One isolate: a `JsRuntime` restored from S0, the functions by which it is driven, and its limits.
//!
//! Nothing here decides when to run; that is the [host](crate::host)'s part. Every method that touches V8 does so within a
//! [turn](crate::turn).

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use atoll_bundle::Bundle;
use atoll_web::event::{Event, HandlerError};
use atoll_web::{IsolateContext, OffHeap, rehearsal, requests};
use deno_core::error::{CoreError, CoreErrorKind, JsError};
use deno_core::v8;
use deno_core::{FastString, JsRuntime, OpState, PollEventLoopOptions, RuntimeOptions, SourceMapper};
use futures::FutureExt;
use http::Method;
use tokio::sync::oneshot;

use crate::alone::{self, Entry};
use crate::builtins::{Builtins, NodeGlobals};
use crate::code_cache::{Code, CodeCache};
use crate::compile;
use crate::isolate::{Responder, Shared};
use crate::jobs::Jobs;
use crate::loader::{BundleLoader, evaluate_custom_module, module_url};
use crate::memory::{Account, Guard, allocator, measure};
use crate::park;
use crate::platform_modules::{self, PlatformModules};
use crate::rests::Rests;
use crate::snapshot;
use crate::source_map;
use crate::turn::{Bracket, Held, Meter};
use crate::watchdog::{Watchdog, Watched};
use crate::{Limits, Worker};

/// How often memory is measured after turns.
const MEASURE_EVERY: Duration = Duration::from_millis(100);

/// The JavaScript functions that drive an isolate.
struct Functions {
    /// The context they belong to.
    context: v8::Global<v8::Context>,
    prepare: v8::Global<v8::Function>,
    start: v8::Global<v8::Function>,
    dispatch: v8::Global<v8::Function>,
    abort: v8::Global<v8::Function>,
}

/// The compiled code of the [rehearsal]'s worker, with what its request called.
static REHEARSED: OnceLock<Vec<u8>> = OnceLock::new();

/// A restored isolate, not yet or already given a worker. Belongs to the thread it was made on.
pub(crate) struct Core {
    runtime: ManuallyDrop<JsRuntime>,
    functions: Functions,
    loader: Rc<BundleLoader>,
    builtins: Rc<Builtins>,
    state: Rc<RefCell<OpState>>,
    bracket: Bracket,
    meter: Arc<Meter>,
    jobs: Arc<Jobs>,
    watchdog: Watchdog,
    account: Arc<Account>,
    guard: Option<Box<Guard>>,
    shared: Option<Arc<Shared>>,
    verdict: Arc<Mutex<HandlerError>>,
    measured: Instant,
    /// The worker's entry has a default export.
    has_default: bool,
    /// The last event's method, as JavaScript has it.
    method: Option<(Method, v8::Global<v8::String>)>,
}

impl Core {
    /// Restores a generic isolate from S0. Must be called within a current-thread tokio runtime, near the base of its
    /// thread's stack.
    pub(crate) fn restore(watchdog: &Watchdog, jobs: Arc<Jobs>, rehearses: impl FnOnce() -> bool) -> Self {
        let defaults = Limits::default();
        let account = Arc::new(Account::new(defaults.memory));
        let params = v8::CreateParams::default()
            .heap_limits(0, defaults.memory)
            .array_buffer_allocator(allocator(account.clone()))
            .allow_atomics_wait(false);
        let loader = Rc::new(BundleLoader::default());
        let mut extensions = atoll_web::extensions();
        extensions.extend(atoll_node::extensions());
        let builtins = Rc::<Builtins>::default();
        let platform_modules = PlatformModules::default();
        let mut runtime = JsRuntime::new(RuntimeOptions {
            startup_snapshot: Some(snapshot::S0),
            residual_lazy_js_sources: snapshot::RESIDUAL_JS,
            residual_lazy_esm_sources: snapshot::RESIDUAL_ESM,
            skip_op_registration: true,
            extensions,
            module_loader: Some(loader.clone()),
            create_params: Some(params),
            // Its own: nothing is shared between isolates. Transfer lists need one.
            shared_array_buffer_store: Some(deno_core::SharedArrayBufferStore::default()),
            custom_module_evaluation_cb: Some(Box::new({
                let (loader, builtins) = (loader.clone(), builtins.clone());
                let platform_modules = platform_modules.clone();
                move |scope, kind, url, code| match kind.as_ref() {
                    platform_modules::KIND => platform_modules.evaluate(scope, url.as_str()),
                    _ => evaluate_custom_module(&loader, &builtins, scope, kind, url, code),
                }
            })),
            ..Default::default()
        });
        runtime.v8_isolate().set_prepare_stack_trace_callback(atoll_web::prepare_stack_trace);
        let (functions, reset) = take_functions(&mut runtime, &builtins, &platform_modules);
        park::learn(runtime.v8_isolate());
        let state = runtime.op_state();
        let meter = Meter::of_this_thread();
        // SAFETY: `Core` keeps the runtime until its own drop, which is the bracket's last use; neither is `Send`.
        let bracket = unsafe { Bracket::leave(runtime.v8_isolate(), meter.clone(), watchdog.clone()) };
        let mut core = Self {
            runtime: ManuallyDrop::new(runtime),
            functions,
            loader,
            builtins,
            state,
            bracket,
            meter,
            jobs,
            watchdog: watchdog.clone(),
            account,
            guard: None,
            shared: None,
            verdict: Arc::new(Mutex::new(HandlerError::Hung)),
            measured: Instant::now(),
            has_default: false,
            method: None,
        };
        if rehearses()
            && let Err(error) = core.rehearse(&reset)
        {
            tracing::error!(%error, "an isolate's rehearsal failed");
        }
        core
    }

    /// Starts a worker of the platform's own and has it answer one request, so that what happens only once in an isolate
    /// happens before an app is waited for. One request and no more: the heap does not grow by what an app that runs once
    /// would never need.
    fn rehearse(&mut self, reset: &v8::Global<v8::Function>) -> Result<(), HandlerError> {
        let mut budget = Limits::default().startup_cpu;
        atoll_web::install(&mut self.state.borrow_mut(), rehearsal::context());
        let Self { runtime, bracket, .. } = self;
        let code = REHEARSED.get();
        let (module, _) = bracket.turn(budget, || {
            deno_core::scope!(scope, runtime);
            let text = FastString::from_static(rehearsal::WORKER);
            alone::load(scope, "atoll:rehearsal", &text, code.map(Vec::as_slice))
        });
        let module = module.ok_or(HandlerError::Hung)?;
        let entry = Entry::Alone { module: module.clone(), has_default: true };
        self.evaluate(&entry, &mut budget).now_or_never().ok_or(HandlerError::Hung)??;
        self.start(&entry, &mut budget)?;
        let (responder, mut answer) = oneshot::channel();
        self.dispatch(Event::Fetch(rehearsal::request()), responder, budget);
        self.call(budget, |_| reset, |_| Some([]));
        if code.is_none() {
            let Self { runtime, bracket, .. } = self;
            let (code, _) = bracket.turn(budget, || {
                deno_core::scope!(scope, runtime);
                alone::code(scope, &module)
            });
            let _ = code.map(|code| REHEARSED.set(code));
        }
        let mut state = self.state.borrow_mut();
        requests::take_finished(&mut state);
        state.try_take::<IsolateContext>();
        answer.try_recv().unwrap_or(Err(HandlerError::Hung)).map(drop)
    }

    /// Makes the isolate this worker's. Its code is not loaded yet.
    pub(crate) fn adopt(&mut self, worker: &Worker, shared: Arc<Shared>, cache: Arc<CodeCache>, rests: Arc<Rests>) {
        self.loader.set(worker.bundle.clone(), worker.hash, cache);
        self.account.set_limit(worker.limits.memory);
        let isolate = self.runtime.v8_isolate();
        self.guard = Some(Guard::install(isolate, self.account.clone(), shared.clone()));
        shared.attach(isolate.thread_safe_handle(), self.meter.clone());
        self.set_verdict(HandlerError::StartupCpuLimit { limit_ms: millis(worker.limits.startup_cpu) });
        self.watchdog.watch(Watched {
            shared: shared.clone(),
            meter: self.meter.clone(),
            jobs: self.jobs.clone(),
            verdict: self.verdict.clone(),
            account: self.account.clone(),
            off_heap: OffHeap::of(&self.state.borrow()),
            rests,
            app: worker.app.clone(),
            version: worker.version,
            worker: format!("{} v{}", worker.app, worker.version),
        });
        self.shared = Some(shared);
        let limits = &worker.limits;
        let mut context =
            IsolateContext::new(worker.host.clone(), worker.env.clone(), limits.subrequests, limits.connections);
        let Bundle { compatibility_date: date, compatibility_flags: flags, .. } = &*worker.bundle;
        context.compatibility = atoll_web::Compatibility::of(date, flags.iter().map(String::as_str));
        let bundle = worker.bundle.clone();
        context.flags = Box::new(move || {
            atoll_web::flags(&bundle.compatibility_date, bundle.compatibility_flags.iter().map(String::as_str))
        });
        context.own = Some((worker.app.clone(), worker.version));
        atoll_web::install(&mut self.state.borrow_mut(), context);
    }

    /// Has compiled code keep the regular expressions that the worker's top level makes, and not only those that are written in
    /// its text. For an isolate in which there is nothing but the program: no request and no secret.
    pub(crate) fn keep_expressions(&mut self) {
        // V8 looks at its last slot, which is no pointer (`third_party/v8/patches/0019-code-caches-hold-regexps.patch`).
        let isolate = self.runtime.v8_isolate();
        let last = isolate.get_number_of_data_slots() - 1;
        isolate.set_data(last, std::ptr::NonNull::<std::ffi::c_void>::dangling().as_ptr());
    }

    /// What the watchdog says of a turn that overstays from now on.
    pub(crate) fn set_verdict(&self, verdict: HandlerError) {
        *self.verdict.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = verdict;
    }

    /// The CPU time of what runs on the isolate's second thread.
    pub(crate) fn jobs(&self) -> &Arc<Jobs> {
        &self.jobs
    }

    pub(crate) fn state(&self) -> &Rc<RefCell<OpState>> {
        &self.state
    }

    /// Compiles the module graph whose entry is `main`.
    pub(crate) async fn load(&mut self, main: &str, budget: &mut Duration) -> Result<Entry, HandlerError> {
        let url = module_url(main);
        let Self { runtime, bracket, loader, builtins, .. } = self;
        let globals = loader.node_globals();
        if globals != NodeGlobals::ALL {
            let (restricted, used) = bracket.turn(*budget, || builtins.restrict_globals(runtime, globals));
            *budget = budget.saturating_sub(used);
            restricted.map_err(|message| HandlerError::Startup { message, stack: String::new() })?;
        }
        if let Some(entry) = loader.alone() {
            let (module, used) = bracket.turn(*budget, || {
                deno_core::scope!(scope, runtime);
                let module = alone::load(scope, url.as_str(), &entry.text, entry.code())?;
                if entry.wants_code()
                    && let Some(code) = alone::code(scope, &module)
                {
                    loader.put_alone(&entry, code);
                }
                Some(module)
            });
            *budget = budget.saturating_sub(used);
            if let Some(module) = module {
                loader.forget_code();
                loader.give_maps();
                return Ok(Entry::Alone { module, has_default: entry.has_default() });
            }
        }
        let mapper = runtime.source_mapper();
        let load = runtime.load_main_es_module(&url);
        let mut load = std::pin::pin!(load);
        let id = std::future::poll_fn(|cx| {
            let (polled, used) = bracket.turn(*budget, || load.as_mut().poll(cx));
            *budget = budget.saturating_sub(used);
            polled
        })
        .await;
        loader.forget_code();
        if loader.give_maps() {
            // The engine remembers that there was none.
            *mapper.borrow_mut() = SourceMapper::new(loader.clone());
        }
        id.map(Entry::Mapped).map_err(|mut error| {
            source_map::map_positions(&mut error, &mut mapper.borrow_mut());
            startup_error(&error)
        })
    }

    /// Readies the global for the graph of `entry`, before it is evaluated. That takes something only for an entry without a
    /// default export.
    pub(crate) fn prepare(&mut self, entry: &Entry, budget: &mut Duration) -> Result<(), HandlerError> {
        let Self { runtime, bracket, .. } = self;
        if matches!(entry, Entry::Alone { has_default: true, .. }) {
            self.has_default = true;
            return Ok(());
        }
        let (has_default, _) = bracket.turn(*budget, || {
            let namespace = entry.namespace(runtime).ok_or_else(terminated)?;
            deno_core::scope!(scope, runtime);
            let name = key(scope, "default");
            Ok(v8::Local::new(scope, namespace).has(scope, name) == Some(true))
        });
        if has_default? {
            self.has_default = true;
            return Ok(());
        }
        let (result, used) = self.call_with_namespace(entry, |functions| &functions.prepare, *budget);
        *budget = budget.saturating_sub(used);
        result
    }

    /// Evaluates a loaded graph, driving the event loop while it awaits at its top level.
    pub(crate) async fn evaluate(&mut self, entry: &Entry, budget: &mut Duration) -> Result<(), HandlerError> {
        let id = match entry {
            Entry::Mapped(id) => *id,
            Entry::Alone { module, .. } => {
                let Self { runtime, bracket, .. } = self;
                let (evaluated, used) = bracket.turn(*budget, || {
                    deno_core::scope!(scope, runtime);
                    alone::evaluate(scope, module)
                });
                *budget = budget.saturating_sub(used);
                return evaluated.map_err(|error| error.map_or_else(terminated, |error| thrown_at_start(&error)));
            }
        };
        let (evaluation, used) = self.bracket.turn(*budget, || {
            let evaluation = self.runtime.mod_evaluate(id);
            self.runtime.v8_isolate().perform_microtask_checkpoint();
            evaluation
        });
        *budget = budget.saturating_sub(used);
        let mut evaluation = std::pin::pin!(evaluation);
        let Self { runtime, bracket, .. } = self;
        std::future::poll_fn(|cx| {
            let (polled, used) = bracket.turn(*budget, || {
                if let Poll::Ready(result) = evaluation.as_mut().poll(cx) {
                    return Poll::Ready(result.map_err(|error| startup_error(&error)));
                }
                match runtime.poll_event_loop(cx, PollEventLoopOptions::default()) {
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(startup_error(&error))),
                    Poll::Ready(Ok(())) | Poll::Pending => {}
                }
                match evaluation.as_mut().poll(cx) {
                    Poll::Ready(result) => Poll::Ready(result.map_err(|error| startup_error(&error))),
                    Poll::Pending => Poll::Pending,
                }
            });
            *budget = budget.saturating_sub(used);
            polled
        })
        .await
    }

    /// Finds the handler among the entry's exports.
    pub(crate) fn start(&mut self, entry: &Entry, budget: &mut Duration) -> Result<(), HandlerError> {
        let (result, used) = self.call_with_namespace(entry, |functions| &functions.start, *budget);
        *budget = budget.saturating_sub(used);
        result
    }

    /// The compiled code of the bundle's modules as it is now, with the functions that have been called; modules that do not
    /// compile are left out.
    pub(crate) fn compiled(&mut self, bundle: &Bundle, budget: Duration) -> Code {
        let Self { runtime, bracket, .. } = self;
        let (code, _) = bracket.turn(budget, || {
            deno_core::scope!(scope, runtime);
            compile::compiled(scope, bundle)
        });
        Code { default: self.has_default, ..code }
    }

    fn call_with_namespace(
        &mut self,
        entry: &Entry,
        function: impl FnOnce(&Functions) -> &v8::Global<v8::Function>,
        budget: Duration,
    ) -> (Result<(), HandlerError>, Duration) {
        let Self { runtime, bracket, functions, .. } = self;
        bracket.turn(budget, || {
            let namespace = entry.namespace(runtime).ok_or_else(terminated)?;
            deno_core::scope!(scope, runtime);
            v8::tc_scope!(let scope, scope);
            let namespace = v8::Local::new(scope, namespace);
            let function = v8::Local::new(scope, function(functions));
            let this = v8::undefined(scope).into();
            match function.call(scope, this, &[namespace.into()]) {
                Some(_) => Ok(()),
                None => Err(exception(scope)),
            }
        })
    }

    /// Gives the handler an event; its answer comes through the ops. Returns the request's slot (`None` when there is no
    /// slot left, which has been answered) and the CPU time used.
    pub(crate) fn dispatch(&mut self, event: Event, responder: Responder, budget: Duration) -> (Option<u32>, Duration) {
        let begun = requests::begin(&mut self.state.borrow_mut(), event, responder);
        let Some(begun) = begun else { return (None, Duration::ZERO) };
        let slot = begun.slot;
        let mut last = self.method.take();
        let used = self.call(
            budget,
            |functions| &functions.dispatch,
            |scope| {
                let slot = v8::Integer::new_from_unsigned(scope, slot).into();
                let method = match &last {
                    Some((method, string)) if method == begun.method() => v8::Local::new(scope, string),
                    _ => {
                        let method = begun.method();
                        let bytes = method.as_str().as_bytes();
                        let string = v8::String::new_from_one_byte(scope, bytes, v8::NewStringType::Internalized)?;
                        last = Some((method.clone(), v8::Global::new(scope, string)));
                        string
                    }
                };
                let url = begun.url();
                let url = url.as_bytes();
                let url = match url.is_ascii() {
                    true => v8::String::new_from_one_byte(scope, url, v8::NewStringType::Normal)?,
                    false => v8::String::new_from_utf8(scope, url, v8::NewStringType::Normal)?,
                };
                let kind = v8::Integer::new_from_unsigned(scope, begun.code()).into();
                Some([slot, method.into(), url.into(), kind])
            },
        );
        self.method = last;
        (Some(slot), used)
    }

    /// Keeps the isolate entered until the guard is dropped, for several turns that follow each other.
    pub(crate) fn hold(&self) -> Held {
        self.bracket.hold()
    }

    /// Tells the handler that a request's client has gone. Returns the CPU time used.
    pub(crate) fn abort(&mut self, slot: u32, budget: Duration) -> Duration {
        self.call(
            budget,
            |functions| &functions.abort,
            |scope| Some([v8::Integer::new_from_unsigned(scope, slot).into()]),
        )
    }

    /// Calls a driving function, which never throws, and runs the microtasks it leaves.
    fn call<'a, const N: usize>(
        &'a mut self,
        budget: Duration,
        function: impl FnOnce(&'a Functions) -> &'a v8::Global<v8::Function>,
        arguments: impl for<'s> FnOnce(&mut v8::PinScope<'s, '_>) -> Option<[v8::Local<'s, v8::Value>; N]>,
    ) -> Duration {
        let Self { runtime, bracket, functions, .. } = self;
        let ((), used) = bracket.turn(budget, || {
            let isolate = &mut **runtime.v8_isolate();
            v8::scope!(let scope, isolate);
            let context = v8::Local::new(scope, &functions.context);
            let scope = &mut v8::ContextScope::new(scope, context);
            v8::tc_scope!(let scope, scope);
            let function = v8::Local::new(scope, function(functions));
            let this = v8::undefined(scope).into();
            if let Some(arguments) = arguments(scope) {
                function.call(scope, this, &arguments);
                // A catch takes the termination away: the microtasks would run, and there is nobody to end them.
                if !scope.has_terminated() {
                    scope.perform_microtask_checkpoint();
                }
            }
        });
        used
    }

    /// Runs what is due: settled operations, timers, microtasks. `Ready` means that nothing more can happen by itself.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, budget: Duration) -> (Poll<Result<(), CoreError>>, Duration) {
        let Self { runtime, bracket, .. } = self;
        bracket.turn(budget, || runtime.poll_event_loop(cx, PollEventLoopOptions::default()))
    }

    /// Publishes how much memory the isolate uses, when that has not been done for a while.
    pub(crate) fn measure(&mut self) {
        let Some(shared) = &self.shared else { return };
        if self.measured.elapsed() < MEASURE_EVERY && shared.memory.load(std::sync::atomic::Ordering::Relaxed) != 0 {
            return;
        }
        self.measured = Instant::now();
        let (heap, external) = measure(self.runtime.v8_isolate());
        let external = external + atoll_web::off_heap(&self.state.borrow());
        self.account.set_heap(heap);
        shared.memory.store(heap + external, std::sync::atomic::Ordering::Relaxed);
        if self.account.is_exceeded(heap, external) {
            shared.kill(self.account.verdict());
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            self.watchdog.forget(&shared);
        }
        self.bracket.enter_to_dispose();
        // SAFETY: the runtime is not used after this; its isolate is entered, as its disposal asserts.
        unsafe { ManuallyDrop::drop(&mut self.runtime) };
    }
}

fn key<'s>(scope: &mut v8::PinScope<'s, '_>, name: &str) -> v8::Local<'s, v8::Value> {
    v8::String::new(scope, name).expect("a short string").into()
}

/// Takes the driving functions and `reset` from the global object and leaves nothing of the engine's internals on it.
fn take_functions(
    runtime: &mut JsRuntime,
    builtins: &Builtins,
    platform_modules: &PlatformModules,
) -> (Functions, v8::Global<v8::Function>) {
    deno_core::scope!(scope, runtime);
    let global = scope.get_current_context().global(scope);
    let internal_key = key(scope, "__atoll__");
    let internal = global.get(scope, internal_key).expect("S0 defines __atoll__");
    let internal = v8::Local::<v8::Object>::try_from(internal).expect("S0 defines __atoll__ as an object");
    let function = |scope: &mut v8::PinScope<'_, '_>, name: &str| {
        let name = v8::String::new(scope, name).expect("a short string").into();
        let value = internal.get(scope, name).expect("S0 defines the driving functions");
        let function = v8::Local::<v8::Function>::try_from(value).expect("a driving function is a function");
        v8::Global::new(scope, function)
    };
    platform_modules.set(function(scope, "builtin"));
    let finish = function(scope, "finish");
    let finish = v8::Local::new(scope, finish);
    atoll_web::finish(scope, finish);
    let context = scope.get_current_context();
    let functions = Functions {
        context: v8::Global::new(scope, context),
        prepare: function(scope, "prepare"),
        start: function(scope, "start"),
        dispatch: function(scope, "dispatch"),
        abort: function(scope, "abort"),
    };
    let reset = function(scope, "reset");
    builtins.set(|name| function(scope, name));
    for name in ["__atoll__", "Deno", "__bootstrap"] {
        let name = key(scope, name);
        global.delete(scope, name);
    }
    (functions, reset)
}

fn startup_error(error: &CoreError) -> HandlerError {
    match error.as_kind() {
        CoreErrorKind::Js(js) => thrown_at_start(js),
        _ => HandlerError::Startup { message: error.to_string(), stack: String::new() },
    }
}

fn thrown_at_start(error: &JsError) -> HandlerError {
    HandlerError::Startup {
        message: error.exception_message.trim_start_matches("Uncaught ").to_owned(),
        // A syntax error's own stack does not say where it is.
        stack: error.stack.clone().filter(|stack| stack.contains("\n    at ")).unwrap_or_else(|| frames(error)),
    }
}

fn terminated() -> HandlerError {
    HandlerError::Startup { message: "execution was terminated".into(), stack: String::new() }
}

fn frames(error: &JsError) -> String {
    let at = |frame: &deno_core::error::JsStackFrame| {
        let file = frame.file_name.as_deref().unwrap_or("<anonymous>").trim_start_matches("file:///").to_owned();
        format!("    at {file}:{}:{}", frame.line_number.unwrap_or(0), frame.column_number.unwrap_or(0))
    };
    error.frames.iter().map(at).collect::<Vec<_>>().join("\n")
}

/// What a call that gave nothing has thrown, as text. A catch takes a termination away, and JavaScript could go on after it,
/// so that it is begun again.
pub(crate) fn thrown(scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, '_, v8::HandleScope<'_>>>) -> String {
    let text = scope.exception().map(|error| error.to_rust_string_lossy(scope));
    // The text may be that of a method of the thrown object, which can be terminated as well.
    if scope.has_terminated() {
        scope.terminate_execution();
        return "its execution was terminated".to_owned();
    }
    text.unwrap_or_default()
}

fn exception(scope: &mut v8::PinnedRef<'_, v8::TryCatch<'_, '_, v8::HandleScope<'_>>>) -> HandlerError {
    let Some(value) = scope.exception() else {
        return terminated();
    };
    let error = JsError::from_v8_exception(scope, value);
    HandlerError::Startup {
        message: error.exception_message.trim_start_matches("Uncaught ").to_owned(),
        stack: String::new(),
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
