//! Static files: upload and download by content hash, and which of many are not there.

use std::sync::Arc;

use atoll_bundle::BundleHash;
use atoll_protocol::api::{AssetList, AssetStored, ErrorBody};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;

use super::bundles::{content, presence};
use crate::assets::LIMIT;
use crate::auth::{Allowed, ToDeploy, ToFetch};
use crate::error::ApiError;
use crate::extract::{JsonBody, Params, read_body};
use crate::plane::Plane;

/// The most hashes of one question.
const MOST: usize = 10_000;

fn hash_of(text: &str) -> Result<BundleHash, ApiError> {
    let message = || format!("{:?} is no hash of a static file: 64 lower-case hexadecimal digits", shortened(text));
    text.parse().map_err(|_: atoll_bundle::ParseHashError| ApiError::bad_request("asset-hash-invalid", message()))
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Uploads a static file or a manifest.
#[utoipa::path(put, path = "/v1/assets/{hash}", tag = "assets",
    params(("hash" = String, Path, description = "SHA-256 of the content, 64 hexadecimal digits")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The content"),
    responses((status = 200, body = AssetStored), (status = "default", body = ErrorBody)))]
pub(super) async fn put(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToDeploy>,
    Params(hash): Params<String>,
    body: Body,
) -> Result<Json<AssetStored>, ApiError> {
    let asset = hash_of(&hash)?;
    let size = plane.assets.put(asset, read_body(body, LIMIT)).await?;
    Ok(Json(AssetStored { asset, size }))
}

/// A static file or a manifest.
#[utoipa::path(get, path = "/v1/assets/{hash}", tag = "assets",
    params(("hash" = String, Path, description = "SHA-256 of the content")),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "default", body = ErrorBody)))]
pub(super) async fn get(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToFetch>,
    Params(hash): Params<String>,
) -> Result<Response, ApiError> {
    content(&plane.assets.objects, hash_of(&hash)?).await
}

/// Whether a static file or manifest is there.
#[utoipa::path(head, path = "/v1/assets/{hash}", tag = "assets",
    params(("hash" = String, Path, description = "SHA-256 of the content")),
    responses((status = 200, description = "It is there"), (status = "default", description = "As for GET")))]
pub(super) async fn head(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToFetch>,
    Params(hash): Params<String>,
) -> Result<Response, ApiError> {
    presence(&plane.assets.objects, hash_of(&hash)?).await
}

/// Which of these static files are not there and have to be uploaded.
#[utoipa::path(post, path = "/v1/assets/missing", tag = "assets", request_body = AssetList,
    responses((status = 200, body = AssetList), (status = "default", body = ErrorBody)))]
pub(super) async fn missing(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToDeploy>,
    JsonBody(list): JsonBody<AssetList>,
) -> Result<Json<AssetList>, ApiError> {
    if list.assets.len() > MOST {
        let message = format!("the list has {} hashes; the limit is {MOST}, so ask several times", list.assets.len());
        return Err(ApiError::unprocessable("asset-list-too-long", message));
    }
    Ok(Json(AssetList { assets: plane.assets.missing(list.assets).await? }))
}
