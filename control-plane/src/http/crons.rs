//! Crons: which node runs what is due.

use std::sync::Arc;

use atoll_protocol::api::{CronClaims, CronGrants, ErrorBody};
use axum::Json;
use axum::extract::State;

use crate::auth::{Allowed, ToServe};
use crate::error::ApiError;
use crate::extract::{JsonBody, Params};
use crate::plane::Plane;
use crate::{time, validate};

/// Asks for due times of crons. Each is given to one node, once; the same holder gets the same answer when it asks again.
#[utoipa::path(post, path = "/v1/nodes/{node}/crons", tag = "nodes",
    params(("node" = String, Path, description = "The node's name")), request_body = CronClaims,
    responses((status = 200, body = CronGrants), (status = "default", body = ErrorBody)))]
pub(super) async fn claim(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToServe>,
    Params(node): Params<String>,
    JsonBody(request): JsonBody<CronClaims>,
) -> Result<Json<CronGrants>, ApiError> {
    validate::node_name(&node)?;
    validate::cron_claims(&request)?;
    let holder = format!("{node}/{}", request.holder);
    let granted = plane.store.claim_crons(holder, request.claims, time::now()).await?;
    Ok(Json(CronGrants { granted }))
}
