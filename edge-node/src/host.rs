//! What an app's isolates may ask of this node.

use std::sync::Arc;

use atoll_runtime::{
    CacheRequest, CachedResponse, FetchFailure, Host, LogRecord, OutboundRequest, OutboundResponse, ServiceRequest,
};
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::assets::{self, VersionAssets};
use crate::cache_api::AppCaches;
use crate::compress::Accepts;
use crate::egress::Egress;
use crate::logs::Logs;
use crate::services::Services;

/// The node as one version of one app sees it.
pub struct AppHost {
    /// The app's name.
    pub app: Arc<str>,
    /// The version's number.
    pub version: u64,
    /// Outbound requests.
    pub egress: Arc<Egress>,
    /// Log lines.
    pub logs: Arc<Logs>,
    /// What `caches` holds.
    pub caches: AppCaches,
    /// Other apps.
    pub services: Arc<Services>,
    /// Static files.
    pub assets: Option<Arc<VersionAssets>>,
}

impl Host for AppHost {
    fn fetch(&self, request: OutboundRequest) -> BoxFuture<'static, Result<OutboundResponse, FetchFailure>> {
        self.egress.fetch(&self.app, request).boxed()
    }

    fn log(&self, record: LogRecord) {
        self.logs.write(&self.app, self.version, record.level.as_str(), record.message, record.request_id);
    }

    fn call(&self, request: ServiceRequest) -> BoxFuture<'static, Result<OutboundResponse, FetchFailure>> {
        self.services.call(request).boxed()
    }

    fn assets_fetch(&self, request: OutboundRequest) -> BoxFuture<'static, Result<OutboundResponse, FetchFailure>> {
        let assets = self.assets.clone();
        async move {
            let failed = |message: String| FetchFailure { code: "asset-unavailable", message };
            let assets = assets.ok_or_else(|| failed("the app has no static files".into()))?;
            let asked = assets::Request {
                method: &request.method,
                host: request.url.host_str().unwrap_or_default(),
                path: request.url.path(),
                query: request.url.query(),
                headers: &request.headers,
                // The answer to the client is compressed on its way out.
                accepts: Accepts::default(),
            };
            let response = assets.fetch(&asked).await.map_err(|error| failed(error.to_string()))?;
            let (parts, body) = response.into_parts();
            Ok(OutboundResponse { status: parts.status, headers: parts.headers, body: body.into_body() })
        }
        .boxed()
    }

    fn cache_match(&self, request: CacheRequest) -> BoxFuture<'static, Result<Option<CachedResponse>, FetchFailure>> {
        let caches = self.caches.clone();
        async move { Ok(caches.find(request).await) }.boxed()
    }

    fn cache_put(
        &self,
        request: CacheRequest,
        response: CachedResponse,
    ) -> BoxFuture<'static, Result<(), FetchFailure>> {
        let caches = self.caches.clone();
        async move { caches.put(request, response).await }.boxed()
    }

    fn cache_delete(&self, request: CacheRequest) -> BoxFuture<'static, Result<bool, FetchFailure>> {
        let caches = self.caches.clone();
        async move { Ok(caches.delete(request).await) }.boxed()
    }
}
