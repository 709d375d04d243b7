//! What an app's isolates may ask of this node.

use std::sync::Arc;

use atoll_runtime::{
    CacheRequest, CachedResponse, FetchFailure, Host, LogRecord, OutboundRequest, OutboundResponse, ServiceRequest,
};
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::cache_api::AppCaches;
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
