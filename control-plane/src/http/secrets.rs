//! Secrets: set and deleted here, read by nodes only.

use std::sync::Arc;

use atoll_protocol::api::{Changed, ErrorBody, SecretInfo, SecretRequest};
use axum::Json;
use axum::extract::State;

use crate::auth::{Allowed, ToDeploy, ToRead};
use crate::error::ApiError;
use crate::extract::{JsonBody, Params};
use crate::plane::Plane;
use crate::{time, validate};

/// An app's secrets by name, without their values.
#[utoipa::path(get, path = "/v1/apps/{app}/secrets", tag = "secrets",
    params(("app" = String, Path, description = "The app's name")),
    responses((status = 200, body = [SecretInfo]), (status = "default", body = ErrorBody)))]
pub(super) async fn list(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToRead>,
    Params(app): Params<String>,
) -> Result<Json<Vec<SecretInfo>>, ApiError> {
    validate::app_name(&app)?;
    Ok(Json(plane.store.secrets(app).await?))
}

/// Sets a secret. The nodes get it with the app's next state, at once.
#[utoipa::path(put, path = "/v1/apps/{app}/secrets/{name}", tag = "secrets",
    params(("app" = String, Path, description = "The app's name"),
        ("name" = String, Path, description = "The secret's name in env")),
    request_body = SecretRequest,
    responses((status = 200, body = Changed), (status = "default", body = ErrorBody)))]
pub(super) async fn set(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToDeploy>,
    Params((app, name)): Params<(String, String)>,
    JsonBody(request): JsonBody<SecretRequest>,
) -> Result<Json<Changed>, ApiError> {
    validate::app_name(&app)?;
    validate::binding_name(&name)?;
    let size = request.value.len();
    if size > validate::MAX_VALUE {
        let message = format!("secret {name:?} has {size} bytes; the limit is {}", validate::MAX_VALUE);
        return Err(ApiError::too_large("secret-too-large", message));
    }
    let seal = plane.vault.sealer(app.clone(), name.clone(), request.value);
    let revision = plane.store.set_secret(app.clone(), name.clone(), seal, time::now()).await?;
    tracing::info!(app, name, revision, "secret set");
    Ok(Json(Changed { app, revision }))
}

/// Deletes a secret.
#[utoipa::path(delete, path = "/v1/apps/{app}/secrets/{name}", tag = "secrets",
    params(("app" = String, Path, description = "The app's name"),
        ("name" = String, Path, description = "The secret's name in env")),
    responses((status = 200, body = Changed), (status = "default", body = ErrorBody)))]
pub(super) async fn delete(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToDeploy>,
    Params((app, name)): Params<(String, String)>,
) -> Result<Json<Changed>, ApiError> {
    validate::app_name(&app)?;
    let revision = plane.store.delete_secret(app.clone(), name.clone(), time::now()).await?;
    tracing::info!(app, name, revision, "secret deleted");
    Ok(Json(Changed { app, revision }))
}
