//! Calls between the apps of this node: what `services` of a project file binds in `env`.
//!
//! A call goes straight to the other app's isolate. It takes no connection, passes no cache, and counts as a request of the
//! called app, under its own limits.

use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll};

use atoll_runtime::{
    Body, BodyError, BodyStream, FetchFailure, HandlerError, OutboundResponse, ServiceEvent, ServiceRequest, Work,
};
use bytes::Bytes;
use futures::Stream;
use http::Version;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use crate::assets;
use crate::compress::Accepts;
use crate::dispatch::{DispatchError, Dispatched, Dispatcher, Instance};
use crate::errors::EdgeError;
use crate::headers::remove_hop_by_hop;
use crate::logs::Logs;
use crate::state::{Permit, Serving};

/// The way from one app to another. Made before what it leads to, because every app's host has it.
pub struct Services {
    /// Weak, because what is served has the hosts of all apps.
    serving: OnceLock<Weak<Serving>>,
    dispatcher: OnceLock<Weak<Dispatcher>>,
    logs: Arc<Logs>,
    runtime: Handle,
}

impl Services {
    /// A way that leads nowhere yet. Calls run on the current tokio runtime.
    pub fn new(logs: Arc<Logs>) -> Arc<Self> {
        Arc::new(Self { serving: OnceLock::new(), dispatcher: OnceLock::new(), logs, runtime: Handle::current() })
    }

    /// Says where the apps are and who runs them. Once.
    pub fn connect(&self, serving: &Arc<Serving>, dispatcher: &Arc<Dispatcher>) {
        let _ = self.serving.set(Arc::downgrade(serving));
        let _ = self.dispatcher.set(Arc::downgrade(dispatcher));
    }

    /// Has an app do some work. The future may be polled on any thread; dropping it gives the call up.
    pub fn call(
        self: &Arc<Self>,
        request: ServiceRequest,
    ) -> impl Future<Output = Result<OutboundResponse, FetchFailure>> + Send + use<> {
        let services = self.clone();
        let task = AbortOnDropHandle::new(self.runtime.spawn(async move { services.run(request).await }));
        async move { task.await.unwrap_or_else(|_| Err(stopping())) }
    }

    async fn run(&self, request: ServiceRequest) -> Result<OutboundResponse, FetchFailure> {
        let ServiceRequest { service, version: own, event } = request;
        let serving = self.serving.get().and_then(Weak::upgrade).ok_or_else(stopping)?;
        let dispatcher = self.dispatcher.get().and_then(Weak::upgrade).ok_or_else(stopping)?;
        let app = serving.current().apps.get(&service).cloned().ok_or_else(|| FetchFailure {
            code: "service-not-found",
            message: format!("there is no app {service:?} on this node; deploy it"),
        })?;
        let request_id = event.request_id();
        // Whatever the request leads to, it meets one version of each app; a worker that calls itself meets itself.
        let chosen = match own {
            Some(number) => app.version(number),
            None => app.version_for(request_id.as_bytes()),
        };
        let version = chosen
            .cloned()
            .ok_or_else(|| failure(&service, &DispatchError::Edge(EdgeError::NotDeployed(app.name.to_string()))))?;
        // A named entrypoint is code alone, and so is what a worker finds of itself.
        let is_default = event.entrypoint == "default" && own.is_none();
        if let (Some(assets), Work::Fetch(event)) = (&version.assets, &event.work)
            && is_default
            && let Ok(url) = Url::parse(&event.head.url)
        {
            let asked = assets::Request {
                method: &event.head.method,
                host: url.host_str().unwrap_or_default(),
                path: url.path(),
                query: url.query(),
                headers: &event.head.headers,
                accepts: Accepts::default(),
            };
            let answer = assets.answer(&asked).await.map_err(|error| failure(&service, &DispatchError::Edge(error)))?;
            if let Some(answer) = answer {
                let (parts, body) = answer.into_parts();
                return Ok(OutboundResponse { status: parts.status, headers: parts.headers, body: body.into_body() });
            }
        }
        if version.is_without_worker() {
            let message = format!("the service {service:?} has static files only, so it has no methods");
            return Err(FetchFailure { code: "service-not-found", message });
        }
        let limit = version.limits.concurrency;
        let permit = app.admit(limit).ok_or_else(|| {
            failure(&service, &DispatchError::Edge(EdgeError::AppOverloaded { app: app.name.to_string(), limit }))
        })?;
        let Dispatched { result, instance, .. } = match (&version.proxy, event.work) {
            (None, work) => dispatcher.service(&version, ServiceEvent { work, ..event }).await,
            (Some(proxy), Work::Fetch(event)) => {
                let result = proxy.send(event, Version::HTTP_11, None).await.map_err(DispatchError::Edge);
                Dispatched { result, start: None, instance: None }
            }
            (Some(_), Work::Call(_)) => {
                let message = format!("the service {service:?} has no code, so it has no methods");
                return Err(FetchFailure { code: "service-not-found", message });
            }
        };
        let answer = result.map_err(|error| {
            self.logs.failure(&version, &error, &request_id);
            failure(&service, &error)
        })?;
        let mut headers = answer.headers;
        remove_hop_by_hop(&mut headers);
        let body = match answer.body {
            Body::Stream { stream, length, trailers } => {
                let stream = Box::pin(Held { stream, _permit: permit, _instance: instance });
                Body::Stream { stream, length, trailers }
            }
            body => body,
        };
        Ok(OutboundResponse { status: answer.status, headers, body })
    }
}

fn stopping() -> FetchFailure {
    FetchFailure { code: "node-stopping", message: "the node is shutting down".into() }
}

/// What the caller is told: what the called code threw as it is, everything else with the name of the service.
fn failure(service: &str, error: &DispatchError) -> FetchFailure {
    let message = match error {
        DispatchError::Handler(HandlerError::Exception { message, .. }) => message.clone(),
        error => format!("the service {service:?} gave no answer: {}", error.message()),
    };
    FetchFailure { code: error.code(), message }
}

/// A body that keeps what makes it counted.
struct Held {
    stream: BodyStream,
    _permit: Permit,
    _instance: Option<Arc<Instance>>,
}

impl Stream for Held {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.stream.as_mut().poll_next(cx)
    }
}
