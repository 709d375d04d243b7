//! Apps: listing, deploying, routes, logs, deletion.

use std::sync::Arc;

use atoll_protocol::api::{App, Changed, DeployRequest, DeployResponse, ErrorBody, LogLine, Node, RoutesRequest};
use atoll_store::{AppRecord, NewDeploy, NewVersion};
use axum::Json;
use axum::extract::State;
use axum::response::Response;

use super::to_the_end;
use crate::auth::{Allowed, ToDeploy, ToRead};
use crate::error::ApiError;
use crate::extract::{JsonBody, Params};
use crate::plane::Plane;
use crate::stream::{self, Ended, Lines};
use crate::tails::Tail;
use crate::{auth, time, urls, validate};

fn app_of(record: AppRecord, nodes: &[Node]) -> App {
    App {
        urls: urls::urls(&record.name, record.default_route, &record.routes, nodes),
        name: record.name,
        created_at: record.created_at,
        revision: record.revision,
        deployment: record.deployment,
        routes: record.routes,
        default_route: record.default_route,
    }
}

/// All apps by name.
#[utoipa::path(get, path = "/v1/apps", tag = "apps",
    responses((status = 200, body = [App]), (status = "default", body = ErrorBody)))]
pub(super) async fn list(State(plane): State<Arc<Plane>>, _: Allowed<ToRead>) -> Result<Json<Vec<App>>, ApiError> {
    let nodes = plane.nodes.connected();
    let apps = plane.store.apps().await?;
    Ok(Json(apps.into_iter().map(|app| app_of(app, &nodes)).collect()))
}

/// One app.
#[utoipa::path(get, path = "/v1/apps/{app}", tag = "apps", params(("app" = String, Path, description = "The app's name")),
    responses((status = 200, body = App), (status = "default", body = ErrorBody)))]
pub(super) async fn get(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToRead>,
    Params(app): Params<String>,
) -> Result<Json<App>, ApiError> {
    validate::app_name(&app)?;
    Ok(Json(app_of(plane.store.app(app).await?, &plane.nodes.connected())))
}

/// Deletes an app with its versions, deployments, routes and secrets.
#[utoipa::path(delete, path = "/v1/apps/{app}", tag = "apps",
    params(("app" = String, Path, description = "The app's name")),
    responses((status = 200, body = Changed), (status = "default", body = ErrorBody)))]
pub(super) async fn delete(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToDeploy>,
    Params(app): Params<String>,
) -> Result<Json<Changed>, ApiError> {
    validate::app_name(&app)?;
    let revision = plane.store.delete_app(app.clone(), time::now()).await?;
    tracing::info!(app, revision, "deleted");
    Ok(Json(Changed { app, revision }))
}

/// Makes a version of an uploaded bundle, sets the app's routes and points the app at the version, all or nothing.
#[utoipa::path(post, path = "/v1/apps/{app}/deploy", tag = "apps",
    params(("app" = String, Path, description = "The app's name; created when there is none")),
    request_body = DeployRequest,
    responses((status = 200, body = DeployResponse), (status = "default", body = ErrorBody)))]
pub(super) async fn deploy(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToDeploy>,
    Params(app): Params<String>,
    JsonBody(request): JsonBody<DeployRequest>,
) -> Result<Json<DeployResponse>, ApiError> {
    validate::app_name(&app)?;
    validate::version(&request.config, request.message.as_deref())?;
    let deploy = NewDeploy {
        version: NewVersion { bundle: request.bundle, config: request.config, message: request.message },
        routes: validate::routes(&request.routes)?,
        default_route: request.default_route,
    };
    let (state, name) = (Arc::clone(&plane), app.clone());
    let deployed = to_the_end(&plane, async move {
        let _pins = (state.bundles.objects.pin().await, state.assets.objects.pin().await);
        state.bundles.objects.named_size(deploy.version.bundle).await?;
        super::services::require(&state, &name, &deploy.version.config).await?;
        state.assets.require(deploy.version.config.assets.as_ref()).await?;
        Ok(state.store.deploy(name, deploy, time::now()).await?)
    })
    .await?;
    let record = deployed.app;
    tracing::info!(app, version = deployed.version, revision = record.revision, "deployed");
    Ok(Json(DeployResponse {
        urls: urls::urls(&app, record.default_route, &record.routes, &plane.nodes.connected()),
        app,
        version: deployed.version,
        deployment: record.deployment.map_or(0, |made| made.number),
        revision: record.revision,
    }))
}

/// An app's routes.
#[utoipa::path(get, path = "/v1/apps/{app}/routes", tag = "routes",
    params(("app" = String, Path, description = "The app's name")),
    responses((status = 200, body = RoutesRequest), (status = "default", body = ErrorBody)))]
pub(super) async fn routes(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToRead>,
    Params(app): Params<String>,
) -> Result<Json<RoutesRequest>, ApiError> {
    validate::app_name(&app)?;
    let record = plane.store.app(app).await?;
    Ok(Json(RoutesRequest { routes: record.routes, default_route: record.default_route }))
}

/// Replaces an app's routes.
#[utoipa::path(put, path = "/v1/apps/{app}/routes", tag = "routes",
    params(("app" = String, Path, description = "The app's name")), request_body = RoutesRequest,
    responses((status = 200, body = App), (status = "default", body = ErrorBody)))]
pub(super) async fn set_routes(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToDeploy>,
    Params(app): Params<String>,
    JsonBody(request): JsonBody<RoutesRequest>,
) -> Result<Json<App>, ApiError> {
    validate::app_name(&app)?;
    let routes = validate::routes(&request.routes)?;
    let record = plane.store.set_routes(app, routes, request.default_route, time::now()).await?;
    Ok(Json(app_of(record, &plane.nodes.connected())))
}

/// What an app logs from now on, on every node: one JSON object a line; empty lines keep the connection alive.
#[utoipa::path(get, path = "/v1/apps/{app}/tail", tag = "apps",
    params(("app" = String, Path, description = "The app's name")),
    responses((status = 200, body = LogLine, content_type = "application/x-ndjson"),
        (status = "default", body = ErrorBody)))]
pub(super) async fn tail(
    State(plane): State<Arc<Plane>>,
    allowed: Allowed<ToDeploy>,
    Params(app): Params<String>,
) -> Result<Response, ApiError> {
    validate::app_name(&app)?;
    plane.store.app(app.clone()).await?;
    let tail = plane.tails.open(&app);
    let (lines, response) = stream::open(plane.closing.clone());
    let state = Arc::clone(&plane);
    plane.tasks.spawn(async move {
        // Its only error is its end.
        let _ = feed(&state, &app, &allowed.token, tail, &lines).await;
    });
    Ok(response)
}

async fn feed(plane: &Plane, app: &str, token: &str, mut tail: Tail, lines: &Lines) -> Result<(), Ended> {
    lines.keep_alive().await?;
    let mut heartbeat = tokio::time::interval(plane.heartbeat);
    heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = lines.ended() => return Ok(()),
            line = tail.next() => match line {
                Ok(line) => lines.send(&line).await?,
                Err(lost) => lines.send(&lost_line(app, lost)).await?,
            },
            _ = heartbeat.tick() => {
                if auth::is_void(plane.store.as_ref(), token, time::now()).await {
                    return Ok(());
                }
                lines.keep_alive().await?;
            }
        }
    }
}

fn lost_line(app: &str, lost: u64) -> LogLine {
    LogLine {
        at: time::now(),
        node: "control-plane".to_owned(),
        app: app.to_owned(),
        version: 0,
        level: "warn".to_owned(),
        message: format!("{lost} lines are missing here: they came faster than this connection took them"),
        request_id: None,
    }
}
