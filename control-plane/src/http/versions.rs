//! Versions and deployments. A rollback is a deployment of an older version.

use std::sync::Arc;

use atoll_protocol::api::{Deployment, DeploymentRequest, ErrorBody, Version, VersionRequest};
use atoll_store::NewVersion;
use axum::Json;
use axum::extract::State;

use super::to_the_end;
use crate::auth::{Allowed, ToDeploy, ToRead};
use crate::error::ApiError;
use crate::extract::{JsonBody, Params};
use crate::plane::Plane;
use crate::{time, validate};

/// An app's versions, newest first.
#[utoipa::path(get, path = "/v1/apps/{app}/versions", tag = "versions",
    params(("app" = String, Path, description = "The app's name")),
    responses((status = 200, body = [Version]), (status = "default", body = ErrorBody)))]
pub(super) async fn list(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToRead>,
    Params(app): Params<String>,
) -> Result<Json<Vec<Version>>, ApiError> {
    validate::app_name(&app)?;
    Ok(Json(plane.store.versions(app).await?))
}

/// Makes a version that serves nothing until it is deployed. Creates the app when there is none.
#[utoipa::path(post, path = "/v1/apps/{app}/versions", tag = "versions",
    params(("app" = String, Path, description = "The app's name")), request_body = VersionRequest,
    responses((status = 200, body = Version), (status = "default", body = ErrorBody)))]
pub(super) async fn create(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToDeploy>,
    Params(app): Params<String>,
    JsonBody(request): JsonBody<VersionRequest>,
) -> Result<Json<Version>, ApiError> {
    validate::app_name(&app)?;
    validate::version(&request.config, request.message.as_deref())?;
    let version = NewVersion { bundle: request.bundle, config: request.config, message: request.message };
    let state = Arc::clone(&plane);
    let version = to_the_end(&plane, async move {
        let _pins = (state.bundles.objects.pin().await, state.assets.objects.pin().await);
        state.bundles.objects.named_size(version.bundle).await?;
        super::services::require(&state, &app, &version.config).await?;
        state.assets.require(version.config.assets.as_ref()).await?;
        Ok(state.store.create_version(app, version, time::now()).await?)
    });
    Ok(Json(version.await?))
}

/// An app's deployments, newest first.
#[utoipa::path(get, path = "/v1/apps/{app}/deployments", tag = "versions",
    params(("app" = String, Path, description = "The app's name")),
    responses((status = 200, body = [Deployment]), (status = "default", body = ErrorBody)))]
pub(super) async fn deployments(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToRead>,
    Params(app): Params<String>,
) -> Result<Json<Vec<Deployment>>, ApiError> {
    validate::app_name(&app)?;
    Ok(Json(plane.store.deployments(app).await?))
}

/// Points an app at one or two of its versions.
#[utoipa::path(post, path = "/v1/apps/{app}/deployments", tag = "versions",
    params(("app" = String, Path, description = "The app's name")), request_body = DeploymentRequest,
    responses((status = 200, body = Deployment), (status = "default", body = ErrorBody)))]
pub(super) async fn deploy(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToDeploy>,
    Params(app): Params<String>,
    JsonBody(request): JsonBody<DeploymentRequest>,
) -> Result<Json<Deployment>, ApiError> {
    validate::app_name(&app)?;
    validate::targets(&request.targets)?;
    let made = plane.store.create_deployment(app.clone(), request.targets, time::now()).await?;
    tracing::info!(app, deployment = made.number, revision = made.revision, "deployed versions that exist");
    Ok(Json(made))
}
