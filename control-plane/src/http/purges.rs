//! Purges of what nodes have cached of an app.

use std::sync::Arc;

use atoll_protocol::api::{Changed, ErrorBody, PurgeRequest};
use axum::Json;
use axum::extract::State;

use crate::auth::{Allowed, ToDeploy};
use crate::error::ApiError;
use crate::extract::{JsonBody, Params};
use crate::plane::Plane;
use crate::{time, validate};

/// Makes nodes not use cached responses of an app any more. The nodes that report the answer's revision have done so.
#[utoipa::path(post, path = "/v1/apps/{app}/purge", tag = "cache",
    params(("app" = String, Path, description = "The app's name")), request_body = PurgeRequest,
    responses((status = 200, body = Changed), (status = "default", body = ErrorBody)))]
pub(crate) async fn purge(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToDeploy>,
    Params(app): Params<String>,
    JsonBody(request): JsonBody<PurgeRequest>,
) -> Result<Json<Changed>, ApiError> {
    validate::app_name(&app)?;
    let scopes = validate::purge(request)?;
    let revision = plane.store.purge(app.clone(), scopes, time::now()).await?;
    tracing::info!(app, revision, "purged");
    Ok(Json(Changed { app, revision }))
}
