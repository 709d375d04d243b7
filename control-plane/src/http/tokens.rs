//! Tokens: made and deleted by administrators.

use std::sync::Arc;

use atoll_protocol::api::{ErrorBody, TokenCreated, TokenInfo, TokenRequest};
use axum::Json;
use axum::extract::State;
use http::StatusCode;

use crate::auth::{Allowed, ToAdminister, mint};
use crate::error::ApiError;
use crate::extract::{JsonBody, Params};
use crate::plane::Plane;
use crate::{time, validate};

/// All tokens, oldest first, without their secrets.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens",
    responses((status = 200, body = [TokenInfo]), (status = "default", body = ErrorBody)))]
pub(super) async fn list(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToAdminister>,
) -> Result<Json<Vec<TokenInfo>>, ApiError> {
    let tokens = plane.store.tokens().await?;
    Ok(Json(tokens.into_iter().map(|token| token.info).collect()))
}

/// Makes a token. It is shown in this answer and never again.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", request_body = TokenRequest,
    responses((status = 200, body = TokenCreated), (status = "default", body = ErrorBody)))]
pub(super) async fn create(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToAdminister>,
    JsonBody(request): JsonBody<TokenRequest>,
) -> Result<Json<TokenCreated>, ApiError> {
    if request.name.is_empty() {
        return Err(ApiError::unprocessable("token-name-missing", "a token needs a name that says what it is for"));
    }
    validate::note("name", &request.name)?;
    let now = time::now();
    let expires_at = match request.expires_in {
        None => None,
        Some(seconds) => {
            // Past this, instants do not fit into every JSON reader's numbers.
            let at = seconds.checked_mul(1000).and_then(|millis| now.checked_add(millis)).filter(|at| *at < 1 << 53);
            let wrong = || {
                let message = format!("expires_in is {seconds} seconds; leave it out for a token that never expires");
                ApiError::unprocessable("token-expiry-invalid", message)
            };
            Some(at.filter(|at| *at > now).ok_or_else(wrong)?)
        }
    };
    let (token, stored) = mint(&request.name, request.scope, now, expires_at).ok_or_else(|| {
        ApiError::internal("token-not-made", "the token could not be made", "the system gives no randomness")
    })?;
    let info = stored.info.clone();
    plane.store.create_token(stored, false).await?;
    tracing::info!(id = info.id, name = info.name, scope = info.scope.as_str(), "token made");
    Ok(Json(TokenCreated { token, info, control_plane_key: plane.signing.public_key().to_string() }))
}

/// Deletes a token. Requests and streams that use it end.
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "tokens",
    params(("id" = String, Path, description = "The token's id")),
    responses((status = 204, description = "It is deleted"), (status = "default", body = ErrorBody)))]
pub(super) async fn delete(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToAdminister>,
    Params(id): Params<String>,
) -> Result<StatusCode, ApiError> {
    plane.store.delete_token(id.clone()).await?;
    tracing::info!(id, "token deleted");
    Ok(StatusCode::NO_CONTENT)
}
