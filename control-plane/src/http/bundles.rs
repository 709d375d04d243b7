//! Bundles: upload and download by content hash.

use std::sync::Arc;

use atoll_bundle::BundleHash;
use atoll_protocol::api::{BundleStored, ErrorBody};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};

use crate::auth::{Allowed, ToDeploy, ToFetch};
use crate::error::ApiError;
use crate::extract::{Params, read_body};
use crate::objects::Objects;
use crate::plane::Plane;

fn hash_of(text: &str) -> Result<BundleHash, ApiError> {
    text.parse()
        .map_err(|error: atoll_bundle::ParseHashError| ApiError::bad_request("bundle-hash-invalid", error.to_string()))
}

/// Stores a bundle that has this hash. Storing it again changes nothing.
#[utoipa::path(put, path = "/v1/bundles/{hash}", tag = "bundles",
    params(("hash" = String, Path, description = "SHA-256 of the canonical encoding, 64 hexadecimal digits")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The archive"),
    responses((status = 200, body = BundleStored), (status = "default", body = ErrorBody)))]
pub(super) async fn put(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToDeploy>,
    Params(hash): Params<String>,
    body: Body,
) -> Result<Json<BundleStored>, ApiError> {
    let hash = hash_of(&hash)?;
    let archive = read_body(body, plane.bundles.archive_limit()).await?;
    let size = archive.len() as u64;
    plane.bundles.put(hash, archive).await?;
    Ok(Json(BundleStored { bundle: hash, size }))
}

/// A bundle's archive.
#[utoipa::path(get, path = "/v1/bundles/{hash}", tag = "bundles",
    params(("hash" = String, Path, description = "The bundle's hash")),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "default", body = ErrorBody)))]
pub(super) async fn get(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToFetch>,
    Params(hash): Params<String>,
) -> Result<Response, ApiError> {
    content(&plane.bundles.objects, hash_of(&hash)?).await
}

/// Whether a bundle is there.
#[utoipa::path(head, path = "/v1/bundles/{hash}", tag = "bundles",
    params(("hash" = String, Path, description = "The bundle's hash")),
    responses((status = 200, description = "It is there"), (status = "default", description = "As for GET")))]
pub(super) async fn head(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToFetch>,
    Params(hash): Params<String>,
) -> Result<Response, ApiError> {
    presence(&plane.bundles.objects, hash_of(&hash)?).await
}

/// The answer that has an object's content.
pub(super) async fn content(objects: &Objects, hash: BundleHash) -> Result<Response, ApiError> {
    let (size, bytes) = objects.get(hash).await?;
    Ok(answer(size, Body::from_stream(bytes)))
}

/// The answer to HEAD where [`content`] answers GET.
pub(super) async fn presence(objects: &Objects, hash: BundleHash) -> Result<Response, ApiError> {
    Ok(answer(objects.size(hash).await?, Body::empty()))
}

fn answer(size: u64, body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(size));
    response
}
