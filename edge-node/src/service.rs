//! A request's way through the node: route, version, front cache, dispatch, answer.

use std::sync::Arc;
use std::time::Instant;

use atoll_runtime::{Body, FetchEvent, FetchHead, FetchResponse, HandlerError, OutboundRequest, RequestId};
use bytes::Bytes;
use http::header::{ALT_SVC, EXPECT, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body as HttpBody;
use url::Url;

use crate::access_log::{AccessLog, Record};
use crate::answer::{self, Answer, Ticket};
use crate::assets;
use crate::authority::Host;
use crate::body::{Outgoing, limited, taken};
use crate::cache::{self, Asked, Asking, Begin, Concluded, FrontCache, Hold, Step};
use crate::certificates::ControlledCertificates;
use crate::client::Client;
use crate::compress::{Accepts, Compression};
use crate::dispatch::{DispatchError, Dispatched, Dispatcher, Instance, Start};
use crate::egress::Egress;
use crate::errors::EdgeError;
use crate::headers::{first, has, loop_depth, remove_hop_by_hop};
use crate::hints::Hints;
use crate::listeners::Rule;
use crate::logs::{Logs, now};
use crate::request::{self, RequestIds};
use crate::scheduled::Trigger;
use crate::spare::Spare;
use crate::state::{AppEntry, Serving, VersionEntry};
use crate::websocket::handshake::Handshake;
use crate::websocket::{Granted, Upgrade, WebSockets, handshake};

/// A client that sends this is recognised by its value instead of its address when a deployment has two versions.
const VERSION_KEY: HeaderName = HeaderName::from_static("atoll-version-key");

/// What the operator chose.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Say in headers how the answer was made.
    pub debug_headers: bool,
    /// Put stacks into error bodies.
    pub expose_stacks: bool,
    /// Let requests for certain paths set off scheduled handlers.
    pub scheduled_endpoint: bool,
    /// Refuse requests that passed this platform so often.
    pub loop_limit: usize,
}

/// Answers requests. One for all connections.
pub struct Service {
    /// What is served.
    pub serving: Arc<Serving>,
    /// Answers the challenges of certificate authorities.
    pub certificates: Arc<ControlledCertificates>,
    /// Who runs it.
    pub dispatcher: Arc<Dispatcher>,
    /// The cache in front of them.
    pub cache: Arc<FrontCache>,
    /// What makes answers smaller.
    pub compression: Compression,
    /// For requests that pass through to an origin.
    pub egress: Arc<Egress>,
    /// The apps' logs.
    pub logs: Arc<Logs>,
    /// The access log.
    pub access_log: Option<AccessLog>,
    /// What the operator chose.
    pub options: Options,
    /// Connections of clients that became WebSockets.
    pub websockets: Arc<WebSockets>,
    /// Names for requests.
    pub ids: RequestIds,
}

/// Where a request goes, and from whom it comes.
struct Way<'a> {
    app: &'a AppEntry,
    version: &'a Arc<VersionEntry>,
    host: &'a Host,
    client: &'a Client,
    id: &'a RequestId,
    http: Version,
}

impl Way<'_> {
    /// What the app is given, with the fields that say where it comes from.
    fn event(&self, method: Method, url: String, mut headers: HeaderMap, body: Body) -> FetchEvent {
        let added = request::add_forwarding(&mut headers, self.host, self.client);
        let cf = Some(self.client.cf(self.http));
        FetchEvent::new(FetchHead { method, url, headers, added, request_id: self.id.clone(), cf }, body)
    }
}

/// What is learnt of a request on its way, for headers and logs.
#[derive(Default)]
struct Trace {
    host: Option<Arc<Host>>,
    version: Option<Arc<VersionEntry>>,
    start: Option<Start>,
    cache: Option<&'static str>,
    error: Option<&'static str>,
    accepts: Accepts,
    ticket: Ticket,
    granted: Option<Granted>,
    /// An isolate that was started for it before its turn.
    begun: Option<Arc<Instance>>,
    /// Where its client can be told of links before the answer.
    hints: Option<Hints>,
}

impl Trace {
    /// With the port, as it was asked for.
    fn host(&self) -> &str {
        self.host.as_ref().map_or("", |host| host.as_str())
    }
}

impl Service {
    /// Answers one request, whatever happens. With a `refusal`, the request only stands in the place of one that the
    /// client's connection refused.
    pub async fn answer<B>(&self, request: Request<B>, client: &Arc<Client>, refusal: Option<Rule>) -> Response<Answer>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    {
        let started = Instant::now();
        let id = self.ids.next();
        let (mut parts, body) = request.into_parts();
        let (method, uri, version) = (parts.method.clone(), parts.uri.clone(), parts.version);
        let mut trace = Trace { accepts: self.compression.accepts(&parts.headers), ..Trace::default() };
        trace.hints = parts.extensions.remove::<Hints>();
        trace.ticket.in_flight = client.begin();
        let routed = match (refusal, &trace.ticket.in_flight) {
            (Some(rule), _) => Err(EdgeError::Refused(rule).into()),
            (None, None) => Err(EdgeError::NodeBusy.into()),
            (None, Some(_)) => self.route(parts, body, client, &id, &mut trace).await,
        };
        if let Some(hints) = &trace.hints {
            hints.close();
        }
        let routed = match client.body_refusal() {
            Some(rule) => Err(EdgeError::Refused(rule).into()),
            None => routed,
        };
        let mut response = match routed {
            Ok(response) => match &trace.version {
                Some(version) => self.compression.apply(&version.compression, &method, &trace.accepts, response),
                None => response,
            },
            Err(error) => {
                trace.error = Some(error.code());
                let mut response = answer::from_error(&method, &error, self.options.expose_stacks);
                set(&mut response, "atoll-request-id", &id.to_string());
                // Whatever is left of the request is not worth reading.
                if version < Version::HTTP_2 && matches!(&error, DispatchError::Edge(error) if error.ends_connection())
                {
                    client.set_closing();
                    response.headers_mut().insert(http::header::CONNECTION, HeaderValue::from_static("close"));
                }
                response
            }
        };
        if let Some(value) = &client.transport.alt_svc {
            response.headers_mut().insert(ALT_SVC, value.clone());
        }
        if self.options.debug_headers {
            add_debug_headers(&mut response, &trace, &id, started);
        }
        let status = response.status().as_u16();
        if let Some(version) = &trace.version
            && self.logs.wanted(&version.app)
        {
            let took = started.elapsed().as_secs_f64() * 1e3;
            let error = trace.error.map(|code| format!(" {code}")).unwrap_or_default();
            let line =
                format!("{method} {}://{}{} {status}{error} {took:.2} ms", client.scheme(), trace.host(), uri.path());
            self.logs.write(&version.app, version.number, "request", line, Some(id.to_string()));
        }
        if let Some(log) = &self.access_log {
            let record = Record {
                ts: now(),
                id: id.to_string(),
                client: client.address,
                method: method.to_string(),
                host: trace.host().to_owned(),
                path: uri.path().to_owned(),
                status,
                bytes: 0,
                duration_us: 0,
                app: trace.version.as_ref().map(|version| version.app.clone()),
                version: trace.version.as_ref().map(|version| version.number),
                start: trace.start.map(Start::as_str),
                cache: trace.cache,
                error: trace.error,
            };
            trace.ticket.log = Some(Box::new((log.clone(), record, started)));
        }
        if let Some(granted) = trace.granted {
            self.websockets.spawn(granted, trace.ticket);
            return response.map(|body| Answer::new(body, Ticket::default()));
        }
        response.map(|body| Answer::new(body, trace.ticket))
    }

    async fn route<B>(
        &self,
        mut parts: Parts,
        body: B,
        client: &Client,
        id: &RequestId,
        trace: &mut Trace,
    ) -> Result<Response<Outgoing>, DispatchError>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    {
        let handshake = handshake::detect(&parts)?;
        let upgrade = handshake.as_ref().and_then(|handshake| {
            handshake.show(&mut parts);
            Upgrade::take(&mut parts.extensions)
        });
        request::check(&parts)?;
        let host = request::host(&parts, client)?;
        request::settle(&mut parts, &host);
        trace.host = Some(host.clone());
        let name = host.name();
        if let Some(answer) = self.certificates.answer(name, request::path(&parts)) {
            return Ok(answer::challenge(&parts.method, answer));
        }
        if let Some(port) = client.transport.redirect_https {
            return Ok(answer::to_https(&parts, name, port));
        }
        if !client.may_ask_for(name) {
            return Err(EdgeError::Misdirected(name.to_owned()).into());
        }
        let depth = loop_depth(&parts.headers);
        if depth >= self.options.loop_limit {
            return Err(EdgeError::LoopDetected { depth }.into());
        }
        let path = request::path(&parts);
        let (app, version) = {
            let snapshot = self.serving.current();
            let app = snapshot
                .find(host.normal(), path)
                .ok_or_else(|| EdgeError::RouteNotFound { host: name.to_owned(), path: path.to_owned() })?;
            let not_deployed = || EdgeError::NotDeployed(app.name.to_string());
            let version = match first(&parts.headers, &VERSION_KEY) {
                Some(key) => app.version_for(key.as_bytes()),
                None => match client.address {
                    std::net::IpAddr::V4(address) => app.version_for(&address.octets()),
                    std::net::IpAddr::V6(address) => app.version_for(&address.octets()),
                },
            };
            (app.clone(), version.ok_or_else(not_deployed)?.clone())
        };
        trace.version = Some(version.clone());
        if self.options.scheduled_endpoint
            && version.has_code()
            && let Some(trigger) = Trigger::of(&parts)
        {
            let limit = version.limits.concurrency;
            let overloaded = || EdgeError::AppOverloaded { app: app.name.to_string(), limit };
            trace.ticket.permit = Some(app.admit(limit).ok_or_else(overloaded)?);
            return Box::pin(self.schedule(&version, &trigger, &id.to_string(), trace)).await;
        }
        let upgrades = handshake.is_some() || has(&parts.headers, &UPGRADE);
        if let Some(assets) = version.assets.as_ref().filter(|_| !upgrades || version.is_without_worker()) {
            let asked = assets::Request {
                method: &parts.method,
                host: host.normal(),
                path: request::path(&parts),
                query: parts.uri.query(),
                headers: &parts.headers,
                accepts: trace.accepts,
            };
            // In memory of its own: what is rare must not make the state of every request larger.
            if let Some(response) = Box::pin(assets.answer(&asked)).await? {
                trace.cache = Some("asset");
                return Ok(response);
            }
        }
        if version.has_code() && !version.cache.is_proven() {
            // Nothing that the cache could answer with: what is left of the way and the start of the code go side by side.
            trace.begun = self.dispatcher.begin(&version);
        }
        let url = request::url(&parts, &host, client.scheme());
        remove_hop_by_hop(&mut parts.headers);
        let way = Way { app: &app, version: &version, host: &host, client, id, http: parts.version };
        let asked = cache::Request {
            method: &parts.method,
            url: &url,
            headers: &parts.headers,
            has_body: !body.is_end_stream(),
            upgrade: upgrades,
            looped: depth > 0,
            coded: cache::Coded { accepts: trace.accepts, settings: version.compression },
        };
        let why = match self.cache.begin(&version.cache, app.purges(), &asked) {
            Begin::Answer(response, outcome) => {
                trace.cache = Some(outcome.as_str());
                return Ok(response);
            }
            // In memory of its own, as above.
            Begin::Ask(asked) => return Box::pin(self.through_cache(&way, asked, trace)).await,
            Begin::Pass(why) => why,
        };
        let invalidation = self.cache.invalidation(&version.cache, &asked);
        let limit = version.limits.request_body_bytes;
        if body.size_hint().lower() > limit {
            return Err(EdgeError::BodyTooLarge { limit }.into());
        }
        if let Some(handshake) = &handshake {
            handshake.show(&mut parts);
        }
        // A client that waits to be told to go on is told so when the app reads.
        let (body, overflow) = if has(&parts.headers, &EXPECT) { limited(body, limit) } else { taken(body, limit) };
        let event = way.event(parts.method, url, parts.headers, body);
        let mut response = match self.forward(&way, event, (handshake, upgrade), trace).await {
            Err(_) if overflow.happened() => return Err(EdgeError::BodyTooLarge { limit }.into()),
            result => result?,
        };
        trace.cache = Some(self.cache.passed(&version.cache, why, invalidation, &mut response).as_str());
        Ok(response)
    }

    /// A request that the cache has a part in, but no answer at hand.
    async fn through_cache(
        &self,
        way: &Way<'_>,
        asked: Asked,
        trace: &mut Trace,
    ) -> Result<Response<Outgoing>, DispatchError> {
        let mut asking = match asked.next().await {
            Step::Answer(response, outcome, refresh) => {
                way.version.cache.note_found();
                trace.cache = Some(outcome.as_str());
                if let Some(asking) = refresh {
                    self.refresh(way, asking);
                }
                return Ok(response);
            }
            Step::Failed(error) => return Err(error),
            Step::Ask(asking) => asking,
        };
        loop {
            let event = way.event(asking.method().clone(), asking.url().to_owned(), asking.headers(), Body::Empty);
            let result = self.forward(way, event, (None, None), trace).await;
            let ticket = &mut trace.ticket;
            let hold = || Hold { permit: ticket.permit.take(), instance: ticket.instance.clone() };
            match asking.conclude(&way.version.cache, result, hold).await {
                Concluded::Answer(response, outcome) => {
                    trace.cache = Some(outcome.as_str());
                    return Ok(response);
                }
                Concluded::Failed(error) => return Err(error),
                Concluded::Again(again) => asking = again,
            }
        }
    }

    /// Has a stale response validated in the background, when the app may have one more request.
    fn refresh(&self, way: &Way<'_>, asking: Box<Asking>) {
        let permit = way.app.admit(way.version.limits.concurrency);
        if permit.is_none() {
            return;
        }
        let event = way.event(Method::GET, asking.url().to_owned(), asking.headers(), Body::Empty);
        let (dispatcher, version, http) = (self.dispatcher.clone(), way.version.clone(), way.http);
        tokio::spawn(async move {
            let Dispatched { result, instance, .. } = ask(&dispatcher, &version, event, http, None, None).await;
            let answered = |answer| answer::from_app(&Method::GET, answer).map_err(DispatchError::Handler);
            asking.conclude(&version.cache, result.and_then(answered), || Hold { permit, instance }).await;
        });
    }

    /// Asks the app.
    async fn forward(
        &self,
        way: &Way<'_>,
        mut event: FetchEvent,
        (handshake, upgrade): (Option<Handshake>, Option<Upgrade>),
        trace: &mut Trace,
    ) -> Result<Response<Outgoing>, DispatchError> {
        let version = way.version;
        let name = || way.app.name.to_string();
        let permit = if upgrade.is_some() {
            let limit = self.websockets.max_per_app();
            way.app.admit_websocket(limit).ok_or_else(|| EdgeError::WebSocketLimit { app: name(), limit })
        } else {
            let limit = version.limits.concurrency;
            way.app.admit(limit).ok_or_else(|| EdgeError::AppOverloaded { app: name(), limit })
        };
        trace.ticket.permit = Some(permit?);
        let method = event.head.method.clone();
        let page = trace.hints.as_ref().zip(version.cache.links()).map(|(hints, links)| {
            hints.tell(&links.of(&event.head.url));
            (links, event.head.clone())
        });
        let spare = version.origin.as_ref().and_then(|origin| Some((Spare::keep(&mut event)?, origin)));
        let Dispatched { result, start, instance } =
            ask(&self.dispatcher, version, event, way.http, trace.begun.take(), trace.hints.clone()).await;
        trace.start = start;
        trace.ticket.instance = instance;
        let result = match (result, handshake, upgrade) {
            (Ok(FetchResponse { mut headers, body: Body::Socket(socket), .. }), Some(handshake), Some(upgrade)) => {
                remove_hop_by_hop(&mut headers);
                trace.granted =
                    Some(Granted { app: version.app.clone(), upgrade, socket, retired: version.retired.token() });
                let mut response = Response::new(Outgoing::new(Body::Empty));
                *response.status_mut() = handshake.grant(&mut headers);
                *response.headers_mut() = headers;
                return Ok(response);
            }
            (result, ..) => result,
        };
        let error = match result.and_then(|answer| answer::from_app(&method, answer).map_err(DispatchError::Handler)) {
            Ok(response) => {
                if let Some((links, head)) = page
                    && response.status() == StatusCode::OK
                {
                    links.note(&head.url, response.headers());
                }
                return Ok(response);
            }
            Err(error) => error,
        };
        let failed = match error {
            DispatchError::Handler(HandlerError::Exception { pass_through: true, .. }) => true,
            DispatchError::Handler(HandlerError::Unanswered) => false,
            _ => {
                self.logs.failure(version, &error, &way.id.to_string());
                return Err(error);
            }
        };
        let back = spare.and_then(|(spare, origin)| Some((spare.back()?, origin)));
        if failed || back.is_none() {
            self.logs.failure(version, &error, &way.id.to_string());
        }
        let Some((event, origin)) = back else { return Err(error) };
        if failed {
            trace.error = Some(error.code());
        }
        Box::pin(self.pass_through(&version.app, event, origin)).await
    }

    async fn schedule(
        &self,
        version: &Arc<VersionEntry>,
        trigger: &Trigger,
        id: &str,
        trace: &mut Trace,
    ) -> Result<Response<Outgoing>, DispatchError> {
        let Dispatched { result, start, instance } = self.dispatcher.schedule(version, trigger.event(id)).await;
        trace.start = start;
        trace.ticket.instance = instance;
        match result {
            Ok(_) => Ok(trigger.done()),
            Err(error) => {
                self.logs.failure(version, &error, id);
                Err(error)
            }
        }
    }

    async fn pass_through(
        &self,
        app: &Arc<str>,
        event: FetchEvent,
        origin: &Url,
    ) -> Result<Response<Outgoing>, DispatchError> {
        let unreachable = |problem: String| {
            DispatchError::Edge(EdgeError::OriginUnreachable(format!(
                "the app failed, and so did its origin: {problem}"
            )))
        };
        let FetchEvent { head, body } = event;
        let mut head = Arc::unwrap_or_clone(head);
        let mut url: Url = head.url.parse().map_err(|_| unreachable("the request's URL is not valid".into()))?;
        // The setters refuse only what an http origin cannot have.
        let _ = url.set_scheme(origin.scheme());
        let _ = url.set_host(origin.host_str());
        let _ = url.set_port(origin.port());
        let headers = std::mem::take(head.all_headers());
        let request = OutboundRequest { method: head.method.clone(), url, headers, body };
        let response = self.egress.fetch(app, request).await.map_err(|failure| unreachable(failure.message))?;
        let response = FetchResponse { status: response.status, headers: response.headers, body: response.body };
        answer::from_app(&head.method, response).map_err(DispatchError::Handler)
    }
}

/// Asks an isolate of the version, or the origin it is a proxy of.
async fn ask(
    dispatcher: &Dispatcher,
    version: &Arc<VersionEntry>,
    event: FetchEvent,
    http: Version,
    begun: Option<Arc<Instance>>,
    hints: Option<Hints>,
) -> Dispatched {
    match &version.proxy {
        None => dispatcher.send(version, event, begun).await,
        Some(proxy) => {
            let result = Box::pin(proxy.send(event, http, hints)).await.map_err(DispatchError::Edge);
            Dispatched { result, start: None, instance: None }
        }
    }
}

fn add_debug_headers(response: &mut Response<Outgoing>, trace: &Trace, id: &RequestId, started: Instant) {
    let duration = started.elapsed().as_secs_f64() * 1e3;
    let start = trace.start.map_or("none", Start::as_str);
    set(response, "server-timing", &format!("isolate;desc=\"{start}\";dur={duration:.3}"));
    set(response, "atoll-request-id", &id.to_string());
    if let Some(version) = &trace.version {
        set(response, "atoll-app", &version.app);
        set(response, "atoll-version", &version.number.to_string());
    }
    if let Some(start) = trace.start {
        set(response, "atoll-isolate", start.as_str());
    }
}

fn set(response: &mut Response<Outgoing>, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
}
