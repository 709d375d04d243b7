//! The requests an isolate is working on: what was asked, who waits for the answer, and when each is finished.
//!
//! A request is finished when it was answered, the answer's body has been taken to its end or dropped, its WebSocket is
//! closed, and all promises given to `waitUntil` have settled.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use deno_core::OpState;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::sync::oneshot;

use crate::bodies::{Bodies, HostBody};
use crate::event::{
    Body, BodyError, Call, Calls, Event, FetchEvent, FetchHead, FetchResponse, HandlerError, LogLevel, LogRecord,
    ScheduledEvent, Trailers, Work,
};
use crate::handles::Handles;
use crate::pipes::Guarded;
use crate::socket::Socket;
use crate::sockets::Sockets;
use crate::{IsolateContext, headers};

/// Where an answer goes.
pub type Responder = oneshot::Sender<Result<FetchResponse, HandlerError>>;

/// An answer on its way to whoever waits for it.
#[derive(Debug)]
pub struct Answer {
    /// The request that is answered.
    pub slot: u32,
    responder: Responder,
    answer: Result<FetchResponse, HandlerError>,
}

impl Answer {
    /// Gives it to whoever waits. Nobody waiting is no error: the client went away, and dropping the body says so to its
    /// producer.
    pub fn send(self) {
        let _ = self.responder.send(self.answer);
    }
}

/// The status that answers a scheduled event whose handler is done.
pub const DONE: StatusCode = StatusCode::OK;
/// The same, when the handler has called `noRetry`.
pub const DONE_NO_RETRY: StatusCode = StatusCode::NO_CONTENT;

/// What the JavaScript function `dispatch(slot, method, url, bodyKind)` is to be called with.
#[derive(Debug)]
pub struct Dispatch {
    /// Names the request in this isolate.
    pub slot: u32,
    /// Method and URL.
    head: Arc<FetchHead>,
    /// What kind of body the request has.
    pub body: BodyKind,
    /// Whether it is for a named entrypoint.
    pub named: bool,
}

impl Dispatch {
    /// The method.
    pub fn method(&self) -> &Method {
        &self.head.method
    }

    /// The URL, in the serialisation of the URL standard.
    pub fn url(&self) -> Cow<'_, str> {
        headers::normalise_url(&self.head.url)
    }

    /// The number that `dispatch` takes as the kind of its body.
    pub fn code(&self) -> u32 {
        self.body.code() + if self.named { NAMED } else { 0 }
    }
}

/// The kind of an event: a request with a body of some kind, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// There is none.
    Empty,
    /// It is here as a whole.
    Full,
    /// It comes in chunks.
    Stream,
    /// It is a scheduled event, and no request at all.
    Scheduled,
    /// It is a call of a method, and no request at all.
    Call,
}

/// Added to the number of a kind when the event is for an entrypoint other than the default export.
const NAMED: u32 = 8;

impl BodyKind {
    /// The number that `dispatch` takes.
    pub fn code(self) -> u32 {
        match self {
            Self::Empty => 0,
            Self::Full => 1,
            Self::Stream => 2,
            Self::Scheduled => 3,
            Self::Call => 4,
        }
    }
}

/// One request under way.
pub(crate) struct Request {
    pub(crate) head: Arc<FetchHead>,
    pub(crate) scheduled: Option<ScheduledEvent>,
    /// The entrypoint that another worker asked for.
    pub(crate) entrypoint: Option<String>,
    /// What the caller has for `ctx.props`.
    pub(crate) props: Bytes,
    pub(crate) call: Option<Call>,
    calls: Option<Calls>,
    body: Option<Body>,
    responder: Option<Responder>,
    pass_through: bool,
    waiting: u32,
    /// Resolves when whoever takes the response's body has dropped it. `Some` also while a future waits for it.
    body_open: bool,
    body_gone: Option<oneshot::Receiver<()>>,
    /// The end that the code keeps of the WebSocket it answered with; 0 when there is none or it is closed.
    socket: u32,
    /// WebSockets to other hosts, which end with the request.
    outbound: Vec<u32>,
    /// A message has come in on one of the sockets since [`take_fresh`] was asked.
    fresh: bool,
    subrequests: u32,
}

/// All requests under way in an isolate.
#[derive(Default)]
pub(crate) struct Requests {
    table: Handles<Request>,
    finished: Vec<u32>,
    /// Requests that are `fresh`.
    fresh: Vec<u32>,
    /// The requests whose jobs have ended.
    ended_jobs: Vec<u32>,
    /// Reads the fields of answers.
    pub(crate) reader: headers::Reader,
    /// The type of answers of text that JavaScript gives again and again.
    pub(crate) text_type: Option<HeaderValue>,
    /// Answers that wait to be taken; `None` sends each at once.
    held: Option<Vec<Answer>>,
}

/// Takes up an event. `None` when the isolate has no slot left (262,144 requests under way); it has been answered then.
pub fn begin(state: &mut OpState, event: impl Into<Event>, responder: Responder) -> Option<Dispatch> {
    let (mut scheduled, mut call, mut entrypoint, mut calls) = (None, None, None, None);
    let mut props = Bytes::new();
    let event = match event.into() {
        Event::Fetch(event) => event,
        Event::Scheduled(event) => {
            let nothing = FetchEvent::nothing(&event.request_id);
            scheduled = Some(event);
            nothing
        }
        Event::Service(event) => {
            entrypoint = Some(event.entrypoint).filter(|name| name != "default");
            calls = Some(event.calls);
            props = event.props;
            match event.work {
                Work::Fetch(event) => event,
                Work::Call(work) => {
                    let nothing = FetchEvent::nothing(&work.request_id);
                    call = Some(work);
                    nothing
                }
            }
        }
    };
    let named = entrypoint.is_some();
    let kind = match &event.body {
        _ if scheduled.is_some() => BodyKind::Scheduled,
        _ if call.is_some() => BodyKind::Call,
        Body::Empty | Body::Socket(_) => BodyKind::Empty,
        Body::Full(_) => BodyKind::Full,
        Body::Stream { .. } => BodyKind::Stream,
    };
    let request = Request {
        head: event.head.clone(),
        scheduled,
        entrypoint,
        props,
        call,
        calls,
        body: Some(event.body),
        responder: Some(responder),
        pass_through: false,
        waiting: 0,
        body_open: false,
        body_gone: None,
        socket: 0,
        outbound: Vec::new(),
        fresh: false,
        subrequests: 0,
    };
    match state.borrow_mut::<Requests>().table.insert(request) {
        Ok(slot) => Some(Dispatch { slot, head: event.head, body: kind, named }),
        Err(request) => {
            if let Some(responder) = request.responder {
                let _ = responder.send(Err(HandlerError::Stopped("too many requests at once".into())));
            }
            None
        }
    }
}

/// Ends a request with an error: whoever waits for the answer gets it, unless there was an answer already. The slot is
/// free from now on and [`take_finished`] does not report it.
pub fn fail(state: &mut OpState, slot: u32, error: HandlerError) {
    let Some(request) = state.borrow_mut::<Requests>().table.remove(slot) else { return };
    state.borrow_mut::<Sockets>().abandon(request.sockets());
    if let Some(responder) = request.responder {
        let _ = responder.send(Err(error));
    }
    state.borrow_mut::<Bodies>().drop_of(slot);
}

/// [`fail`]s every request under way. Bodies of answers under way break off with the error's message.
pub fn fail_all(state: &mut OpState, error: HandlerError) {
    state.borrow_mut::<crate::pipes::Pipes>().fail_all(&BodyError::Failed(error.to_string()));
    let slots: Vec<u32> = state.borrow_mut::<Requests>().table.iter_mut().map(|(slot, _)| slot).collect();
    for slot in slots {
        fail(state, slot, error.clone());
    }
    state.borrow_mut::<Requests>().finished.clear();
}

/// How many requests are under way, those waiting to be collected by [`take_finished`] included.
pub fn in_flight(state: &OpState) -> usize {
    state.borrow::<Requests>().table.len()
}

/// The slots of requests under way.
pub fn slots(state: &mut OpState) -> Vec<u32> {
    state.borrow_mut::<Requests>().table.iter_mut().map(|(slot, _)| slot).collect()
}

/// Frees the slots of finished requests and says which they were. A request shows up here once.
pub fn take_finished(state: &mut OpState) -> Vec<u32> {
    let requests = state.borrow_mut::<Requests>();
    if requests.finished.is_empty() {
        return Vec::new();
    }
    let mut finished = std::mem::take(&mut requests.finished);
    let mut sockets = Vec::new();
    finished.retain(|slot| match requests.table.remove(*slot) {
        Some(request) => {
            sockets.extend(request.sockets());
            true
        }
        None => false,
    });
    state.borrow_mut::<Sockets>().abandon(sockets);
    let bodies = state.borrow_mut::<Bodies>();
    for slot in &finished {
        bodies.drop_of(*slot);
    }
    finished
}

/// From now on answers wait for [`take_answers`] instead of being sent one by one. Errors by [`fail`] are still sent at once.
pub fn hold_answers(state: &mut OpState) {
    state.borrow_mut::<Requests>().held.get_or_insert_default();
}

/// Moves the answers given since the last call to `into`, in their order. The caller sends them.
pub fn take_answers(state: &mut OpState, into: &mut Vec<Answer>) {
    if let Some(held) = &mut state.borrow_mut::<Requests>().held {
        into.append(held);
    }
}

/// Whether the request was answered, with a response or an error. True of a slot that is free.
pub fn responded(state: &OpState, slot: u32) -> bool {
    state.borrow::<Requests>().table.get(slot).is_none_or(|request| request.responder.is_none())
}

/// Those of the slots whose requests were not answered.
pub fn unanswered(state: &OpState, slots: impl Iterator<Item = u32>) -> Vec<u32> {
    let table = &state.borrow::<Requests>().table;
    slots.filter(|slot| table.get(*slot).is_some_and(|request| request.responder.is_some())).collect()
}

/// The request's id in logs; `None` when the slot is free.
pub fn request_id(state: &OpState, slot: u32) -> Option<String> {
    state.borrow::<Requests>().table.get(slot).map(|request| request.head.request_id.to_string())
}

/// Whether whoever waits for the answer has gone, so that the request's `signal` should abort.
pub fn abandoned(state: &OpState, slot: u32) -> bool {
    let request = state.borrow::<Requests>().table.get(slot);
    request.and_then(|request| request.responder.as_ref()).is_some_and(oneshot::Sender::is_closed)
}

/// Whether the request's answer is a stream that has not been taken to its end or dropped, or a WebSocket that is open.
pub fn streaming(state: &OpState, slot: u32) -> bool {
    state.borrow::<Requests>().table.get(slot).is_some_and(|request| request.body_open || request.socket != 0)
}

/// A job of `crypto.subtle` has ended that the code of this request, or of none (0), has begun.
pub(crate) fn job_ended(state: &mut OpState, slot: u32) {
    state.borrow_mut::<Requests>().ended_jobs.push(slot);
}

/// The slots of requests whose jobs on the isolate's second thread have ended since this was asked last, once for each job;
/// 0 stands for code that works for no request.
pub fn take_ended_jobs(state: &mut OpState) -> Vec<u32> {
    std::mem::take(&mut state.borrow_mut::<Requests>().ended_jobs)
}

/// The slots of requests to whose WebSockets a message has come since this was asked last: each message has CPU time of
/// its own, like a request.
pub fn take_fresh(state: &mut OpState) -> Vec<u32> {
    let requests = state.borrow_mut::<Requests>();
    if requests.fresh.is_empty() {
        return Vec::new();
    }
    let fresh = std::mem::take(&mut requests.fresh);
    for slot in &fresh {
        if let Some(request) = requests.table.get_mut(*slot) {
            request.fresh = false;
        }
    }
    fresh
}

impl Request {
    /// The WebSockets that end with the request.
    fn sockets(&self) -> impl Iterator<Item = u32> + use<> {
        (self.socket != 0).then_some(self.socket).into_iter().chain(self.outbound.clone())
    }
}

impl Requests {
    pub(crate) fn get(&self, slot: u32) -> Option<&Request> {
        self.table.get(slot)
    }

    /// Counts an outbound request of `slot`; false when it is one more than `limit`.
    pub(crate) fn count_subrequest(&mut self, slot: u32, limit: u32) -> bool {
        let Some(request) = self.table.get_mut(slot) else { return true };
        if request.subrequests >= limit {
            return false;
        }
        request.subrequests += 1;
        true
    }

    /// The count that calls of other workers for `slot` take from.
    pub(crate) fn calls(&mut self, slot: u32) -> Calls {
        let request = self.table.get_mut(slot);
        request.map(|request| request.calls.get_or_insert_default().clone()).unwrap_or_default()
    }

    /// Takes the method and its arguments, once.
    pub(crate) fn take_call(&mut self, slot: u32) -> Option<Call> {
        self.table.get_mut(slot)?.call.take()
    }

    /// Takes the request's body, once.
    pub(crate) fn take_body(&mut self, slot: u32) -> Option<HostBody> {
        let body = self.table.get_mut(slot)?.body.take()?;
        HostBody::new(body, slot)
    }

    pub(crate) fn pass_through(&mut self, slot: u32) {
        if let Some(request) = self.table.get_mut(slot) {
            request.pass_through = true;
        }
    }

    /// A promise was given to `waitUntil`; false when the request is finished already.
    pub(crate) fn wait_begin(&mut self, slot: u32) -> bool {
        self.table.get_mut(slot).map(|request| request.waiting += 1).is_some()
    }

    /// A promise given to `waitUntil` has settled.
    pub(crate) fn wait_end(&mut self, slot: u32) {
        if let Some(request) = self.table.get_mut(slot) {
            request.waiting = request.waiting.saturating_sub(1);
            self.settle(slot);
        }
    }

    /// Answers with a body that is here as a whole. False when the request was answered before or is gone.
    pub(crate) fn respond(&mut self, slot: u32, status: u16, headers: HeaderMap, body: Option<Bytes>) -> bool {
        let body = body.map_or(Body::Empty, Body::Full);
        self.answer(slot, Ok(FetchResponse { status: headers::status(status), headers, body }))
    }

    /// Answers with a stream; the request is not finished before the stream was dropped.
    pub(crate) fn respond_stream(
        &mut self,
        slot: u32,
        status: u16,
        headers: HeaderMap,
        body: Guarded,
        trailers: Trailers,
    ) -> bool {
        let (body, length, gone) = body.split();
        if let Some(request) = self.table.get_mut(slot) {
            request.body_open = true;
            request.body_gone = Some(gone);
        }
        let body = Body::Stream { stream: body, length, trailers };
        self.answer(slot, Ok(FetchResponse { status: headers::status(status), headers, body }))
    }

    /// Answers with a WebSocket. `kept` is the end of it that the code keeps, 0 when it keeps none. The request is not
    /// finished before the other end was dropped and [`socket_done`](Self::socket_done) was said of the kept one.
    pub(crate) fn respond_socket(&mut self, slot: u32, headers: HeaderMap, mut socket: Socket, kept: u32) -> bool {
        if let Some(request) = self.table.get_mut(slot).filter(|request| request.responder.is_some()) {
            request.body_open = true;
            request.body_gone = Some(socket.watch());
            request.socket = kept;
        }
        let status = StatusCode::SWITCHING_PROTOCOLS;
        self.answer(slot, Ok(FetchResponse { status, headers, body: Body::Socket(socket) }))
    }

    /// The end of a WebSocket that the code kept is closed, and the code knows it.
    pub(crate) fn socket_done(&mut self, slot: u32) {
        if let Some(request) = self.table.get_mut(slot) {
            request.socket = 0;
            self.settle(slot);
        }
    }

    /// The end that the code keeps of the WebSocket the request was answered with.
    pub(crate) fn socket_of(&self, slot: u32) -> u32 {
        self.table.get(slot).map_or(0, |request| request.socket)
    }

    /// A WebSocket to another host was opened for the request; false when the request is finished already.
    pub(crate) fn own_outbound(&mut self, slot: u32, socket: u32) -> bool {
        self.table.get_mut(slot).map(|request| request.outbound.push(socket)).is_some()
    }

    /// A WebSocket to another host is closed.
    pub(crate) fn disown_outbound(&mut self, slot: u32, socket: u32) {
        if let Some(request) = self.table.get_mut(slot) {
            request.outbound.retain(|owned| *owned != socket);
        }
    }

    /// A message has come in for the request.
    pub(crate) fn message_came(&mut self, slot: u32) {
        if let Some(request) = self.table.get_mut(slot)
            && !std::mem::replace(&mut request.fresh, true)
        {
            self.fresh.push(slot);
        }
    }

    /// What to wait for to know that the response's body was dropped; once.
    pub(crate) fn body_gone(&mut self, slot: u32) -> Option<oneshot::Receiver<()>> {
        self.table.get_mut(slot)?.body_gone.take()
    }

    pub(crate) fn body_closed(&mut self, slot: u32) {
        if let Some(request) = self.table.get_mut(slot) {
            request.body_open = false;
            self.settle(slot);
        }
    }

    /// Answers with what the handler threw.
    pub(crate) fn respond_exception(&mut self, slot: u32, message: String, stack: String) -> bool {
        let pass_through = self.table.get(slot).is_some_and(|request| request.pass_through);
        self.answer(slot, Err(HandlerError::Exception { message, stack, pass_through }))
    }

    /// Answers that nobody has answered.
    pub(crate) fn respond_unanswered(&mut self, slot: u32) -> bool {
        self.answer(slot, Err(HandlerError::Unanswered))
    }

    /// Answers that what the handler returned cannot be sent.
    pub(crate) fn respond_invalid(&mut self, slot: u32, problem: String) -> bool {
        self.answer(slot, Err(HandlerError::InvalidResponse(problem)))
    }

    fn answer(&mut self, slot: u32, answer: Result<FetchResponse, HandlerError>) -> bool {
        let Some(request) = self.table.get_mut(slot) else { return false };
        let Some(responder) = request.responder.take() else { return false };
        let answer = Answer { slot, responder, answer };
        match &mut self.held {
            Some(held) => held.push(answer),
            None => answer.send(),
        }
        self.settle(slot);
        true
    }

    fn settle(&mut self, slot: u32) {
        let Some(request) = self.table.get(slot) else { return };
        let open = request.responder.is_some() || request.body_open || request.socket != 0 || request.waiting != 0;
        if !open && !self.finished.contains(&slot) {
            self.finished.push(slot);
        }
    }
}

/// Writes a line into the app's log, under the request's id when `slot` names one.
pub(crate) fn log(state: &OpState, level: LogLevel, slot: u32, message: String) {
    if let Some(context) = state.try_borrow::<IsolateContext>() {
        context.host.log(LogRecord { level, message, request_id: request_id(state, slot) });
    }
}
