//! What an app's isolates may ask of this node.

use std::sync::Arc;

use atoll_runtime::{FetchFailure, Host, LogRecord, OutboundRequest, OutboundResponse};
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::egress::Egress;
use crate::logs::Logs;

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
}

impl Host for AppHost {
    fn fetch(&self, request: OutboundRequest) -> BoxFuture<'static, Result<OutboundResponse, FetchFailure>> {
        self.egress.fetch(request).boxed()
    }

    fn log(&self, record: LogRecord) {
        self.logs.write(&self.app, self.version, record.level.as_str(), record.message, record.request_id);
    }
}
