//! The HTTP API: which request goes where. What each takes and gives is in `atoll_protocol::api`.

mod apps;
mod assets;
mod bundles;
mod certificates;
mod crons;
mod nodes;
pub(crate) mod openapi;
pub(crate) mod purges;
mod secrets;
mod services;
mod tokens;
mod versions;

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, post, put};
use http::{Method, StatusCode, Uri};
use tower_http::trace::TraceLayer;

use crate::error::ApiError;
use crate::plane::Plane;

/// All of the API.
pub(crate) fn router(plane: Arc<Plane>) -> Router {
    Router::new()
        .route("/v1/health", get(nodes::health))
        .route("/v1/openapi.json", get(openapi::serve))
        .route("/v1/apps", get(apps::list))
        .route("/v1/apps/{app}", get(apps::get).delete(apps::delete))
        .route("/v1/apps/{app}/deploy", post(apps::deploy))
        .route("/v1/apps/{app}/routes", get(apps::routes).put(apps::set_routes))
        .route("/v1/apps/{app}/purge", post(purges::purge))
        .route("/v1/apps/{app}/tail", get(apps::tail))
        .route("/v1/apps/{app}/versions", get(versions::list).post(versions::create))
        .route("/v1/apps/{app}/deployments", get(versions::deployments).post(versions::deploy))
        .route("/v1/apps/{app}/secrets", get(secrets::list))
        .route("/v1/apps/{app}/secrets/{name}", put(secrets::set).delete(secrets::delete))
        .route("/v1/bundles/{hash}", get(bundles::get).head(bundles::head).put(bundles::put))
        .route("/v1/certificates", get(certificates::list))
        .route("/v1/certificates/{name}", put(certificates::put).delete(certificates::delete))
        .route("/v1/certificates/{name}/renew", post(certificates::renew))
        .route("/v1/assets/missing", post(assets::missing))
        .route("/v1/assets/{hash}", get(assets::get).head(assets::head).put(assets::put))
        .route("/v1/tokens", get(tokens::list).post(tokens::create))
        .route("/v1/tokens/{id}", delete(tokens::delete))
        .route("/v1/nodes", get(nodes::list))
        .route("/v1/nodes/{node}/report", post(nodes::report))
        .route("/v1/nodes/{node}/logs", post(nodes::logs))
        .route("/v1/nodes/{node}/crons", post(crons::claim))
        .route("/v1/revisions/{revision}", get(nodes::revision))
        .route("/v1/sync", get(nodes::sync))
        .fallback(route_not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(TraceLayer::new_for_http())
        .with_state(plane)
}

async fn route_not_found(uri: Uri) -> ApiError {
    let message = format!("there is nothing at {}; GET /v1/openapi.json lists all there is", uri.path());
    ApiError::not_found("route-not-found", message)
}

async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} does not take {method}; the Allow header says what it takes", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", message)
}

/// Runs a change to its end even when the client goes away in the middle, so that what keeps it safe (a pinned bundle)
/// is held as long as it lasts.
async fn to_the_end<T: Send + 'static>(
    plane: &Plane,
    change: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    plane
        .tasks
        .spawn(change)
        .await
        .unwrap_or_else(|error| Err(ApiError::internal("change-stopped", "the change was stopped", error.to_string())))
}
