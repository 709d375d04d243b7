//! Nodes: the stream they follow, what they report, how far they are.

use std::sync::Arc;
use std::time::Duration;

use atoll_protocol::api::{ErrorBody, Health, LogLine, Node, NodeReport, RevisionStatus};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use crate::auth::{Allowed, ToRead, ToServe};
use crate::error::ApiError;
use crate::extract::{JsonBody, Params, QueryOf};
use crate::nodes::settled;
use crate::plane::Plane;
use crate::sync::{Follower, check_key, follow};
use crate::{stream, time, validate};

/// The longest that a request waits for nodes.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// That the control plane answers.
#[utoipa::path(get, path = "/v1/health", tag = "control plane", security(()),
    responses((status = 200, body = Health)))]
pub(super) async fn health(State(plane): State<Arc<Plane>>) -> Json<Health> {
    Json(Health {
        revision: *plane.store.watch().borrow(),
        history: plane.store.history().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// All nodes by name.
#[utoipa::path(get, path = "/v1/nodes", tag = "nodes",
    responses((status = 200, body = [Node]), (status = "default", body = ErrorBody)))]
pub(super) async fn list(State(plane): State<Arc<Plane>>, _: Allowed<ToRead>) -> Json<Vec<Node>> {
    Json(plane.nodes.all())
}

/// How long to wait.
#[derive(Deserialize)]
pub(super) struct Wait {
    /// Milliseconds to wait for all connected nodes, at most 30,000. Default 0.
    #[serde(default)]
    wait_ms: u64,
}

/// Which connected nodes run at least a revision. Answers as soon as all do, or after the time to wait.
#[utoipa::path(get, path = "/v1/revisions/{revision}", tag = "nodes",
    params(("revision" = u64, Path, description = "A revision"),
        ("wait_ms" = Option<u64>, Query, description = "Milliseconds to wait, at most 30,000; default 0")),
    responses((status = 200, body = RevisionStatus), (status = "default", body = ErrorBody)))]
pub(super) async fn revision(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToRead>,
    Params(revision): Params<u64>,
    QueryOf(wait): QueryOf<Wait>,
) -> Result<Json<RevisionStatus>, ApiError> {
    let last = *plane.store.watch().borrow();
    if revision > last {
        let message = format!("there is no revision {revision} yet; the last is {last}");
        return Err(ApiError::not_found("revision-not-found", message));
    }
    let mut changed = plane.nodes.watch();
    let all = async { while !settled(&plane.nodes.connected(), revision) && changed.changed().await.is_ok() {} };
    tokio::select! {
        () = all => {}
        () = tokio::time::sleep(Duration::from_millis(wait.wait_ms).min(MAX_WAIT)) => {}
        () = plane.closing.cancelled() => {}
    }
    let nodes = plane.nodes.connected();
    Ok(Json(RevisionStatus { revision, settled: settled(&nodes, revision), nodes }))
}

/// What a node runs; sent on every change, and at least every 10 s.
#[utoipa::path(post, path = "/v1/nodes/{node}/report", tag = "nodes",
    params(("node" = String, Path, description = "The node's name")), request_body = NodeReport,
    responses((status = 204, description = "It is noted"), (status = "default", body = ErrorBody)))]
pub(super) async fn report(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToServe>,
    Params(node): Params<String>,
    JsonBody(report): JsonBody<NodeReport>,
) -> Result<StatusCode, ApiError> {
    validate::node_name(&node)?;
    validate::report(&report)?;
    plane.nodes.report(&node, report, time::now());
    Ok(StatusCode::NO_CONTENT)
}

/// Log lines for those who tail the apps.
#[utoipa::path(post, path = "/v1/nodes/{node}/logs", tag = "nodes",
    params(("node" = String, Path, description = "The node's name")), request_body = [LogLine],
    responses((status = 204, description = "They are passed on"), (status = "default", body = ErrorBody)))]
pub(super) async fn logs(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToServe>,
    Params(node): Params<String>,
    JsonBody(lines): JsonBody<Vec<LogLine>>,
) -> Result<StatusCode, ApiError> {
    validate::node_name(&node)?;
    for line in lines {
        plane.tails.publish(LogLine { node: node.clone(), ..line });
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Who follows, from where.
#[derive(Deserialize)]
pub(super) struct Follow {
    /// The revision of the state that the node has. Default 0: none.
    #[serde(default)]
    since: u64,
    /// The node's name.
    node: String,
    /// The node's X25519 public key, 64 hexadecimal digits.
    key: String,
    /// The history of the state that the node has; a snapshot follows when it is another than the control plane's.
    history: Option<String>,
}

/// The state since a revision and every change after it: one signed frame, a JSON object, a line.
#[utoipa::path(get, path = "/v1/sync", tag = "nodes", 
    params(
        ("since" = Option<u64>, Query, description = "Revision of the state that the node has; default 0, none"),
        ("node" = String, Query, description = "The node's name"),
        ("key" = String, Query, description = "The node's X25519 public key, 64 hexadecimal digits"),
        ("history" = Option<String>, Query, description = "History of the state that the node has")
    ),
    responses((status = 200, body = String, content_type = "application/x-ndjson"),
        (status = "default", body = ErrorBody)))]
pub(super) async fn sync(
    State(plane): State<Arc<Plane>>,
    allowed: Allowed<ToServe>,
    QueryOf(query): QueryOf<Follow>,
) -> Result<Response, ApiError> {
    validate::node_name(&query.node)?;
    let key = check_key(&query.key)?;
    let connection = plane.nodes.connect(&query.node, query.since, time::now());
    let (lines, response) = stream::open(plane.closing.clone());
    let follower = Follower { name: query.node, key, token: allowed.token };
    let from = (query.since, query.history);
    plane.tasks.spawn(follow(Arc::clone(&plane), follower, from, lines, connection));
    Ok(response)
}
