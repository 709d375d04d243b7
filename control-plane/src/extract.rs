//! Reading requests: bodies within their limits, JSON, path and query, with our errors where they are wrong.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// The most bytes of a JSON body.
pub(crate) const JSON_LIMIT: usize = 1 << 20;

/// How much of a body past its limit is still read (and thrown away), so that a client that sends everything before it
/// reads gets its answer rather than a reset connection.
const DISCARD: usize = 32 << 20;

/// A whole body of at most `limit` bytes.
pub(crate) async fn read_body(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let mut collected = BytesMut::new();
    let mut size = 0_usize;
    let mut stream = body.into_data_stream();
    while let Some(chunk) = stream.next().await {
        let chunk =
            chunk.map_err(|error| ApiError::bad_request("body-incomplete", format!("the body broke off: {error}")))?;
        size = size.saturating_add(chunk.len());
        if size > limit.saturating_add(DISCARD) {
            break;
        }
        if size <= limit {
            collected.extend_from_slice(&chunk);
        }
    }
    if size > limit {
        return Err(ApiError::too_large(
            "body-too-large",
            format!("the body is larger than {limit} bytes, which is the limit here"),
        ));
    }
    Ok(collected.freeze())
}

/// A JSON body.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let bytes = read_body(request.into_body(), JSON_LIMIT).await?;
        let Json(value) = Json::from_bytes(&bytes).map_err(|rejection| {
            // The inner error alone has the path of the field, what was expected and where.
            let problem = match &rejection {
                JsonRejection::JsonDataError(error) => error.body_text(),
                JsonRejection::JsonSyntaxError(error) => error.body_text(),
                other => other.body_text(),
            };
            ApiError::bad_request("json-invalid", problem)
        })?;
        Ok(Self(value))
    }
}

/// The parameters of the path.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(value) = Path::from_request_parts(parts, state)
            .await
            .map_err(|rejection: PathRejection| ApiError::bad_request("path-invalid", rejection.body_text()))?;
        Ok(Self(value))
    }
}

/// The query.
pub(crate) struct QueryOf<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryOf<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(value) = Query::from_request_parts(parts, state)
            .await
            .map_err(|rejection: QueryRejection| ApiError::bad_request("query-invalid", rejection.body_text()))?;
        Ok(Self(value))
    }
}
