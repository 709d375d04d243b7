//! Errors as the API gives them: a status, a code, and a message that says what would be right.

use std::io;

use atoll_bundle::BundleError;
use atoll_protocol::api::{ERROR_HEADER, ErrorBody, ErrorDetail};
use atoll_store::StoreError;
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};

/// An error answer.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    /// What the caller may read.
    pub(crate) message: String,
    /// What only the log gets.
    internal: Option<String>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), internal: None }
    }

    pub(crate) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn unprocessable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    pub(crate) fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    pub(crate) fn too_large(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, code, message)
    }

    /// The platform's fault, whose details are for the log.
    pub(crate) fn internal(code: &'static str, message: impl Into<String>, internal: impl Into<String>) -> Self {
        Self { internal: Some(internal.into()), ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, code, message) }
    }

    /// A failure of the storage: 507 when that is full, which the operator can help, 500 otherwise.
    pub(crate) fn storage(full: bool, internal: String) -> Self {
        if full {
            let message = "the disk of the control plane is full and nothing was changed; free some space there and \
                           try again";
            Self {
                status: StatusCode::INSUFFICIENT_STORAGE,
                ..Self::internal(StoreError::Full(String::new()).code(), message, internal)
            }
        } else {
            let message = "the storage of the control plane failed and the change was not acknowledged; its log says \
                           why";
            Self::internal(StoreError::Storage(String::new()).code(), message, internal)
        }
    }
}

/// Whether an error comes of a full disk or quota.
pub(crate) fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|io| matches!(io.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
            return true;
        }
        next = error.source();
    }
    false
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let status = match &error {
            StoreError::AppNotFound { .. }
            | StoreError::VersionNotFound { .. }
            | StoreError::SecretNotFound { .. }
            | StoreError::CertificateNotFound { .. }
            | StoreError::TokenNotFound { .. } => StatusCode::NOT_FOUND,
            StoreError::RouteTaken { .. } | StoreError::BindingConflict { .. } => StatusCode::CONFLICT,
            StoreError::TooManySecrets { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            StoreError::Full(_) => return Self::storage(true, error.to_string()),
            StoreError::Storage(_) => return Self::storage(false, error.to_string()),
            StoreError::Corrupt(_) | StoreError::Seal(_) | StoreError::WrongMasterKey => {
                let message = "the control plane cannot use its data; its log says why";
                return Self::internal(error.code(), message, error.to_string());
            }
        };
        Self::new(status, error.code(), error.to_string())
    }
}

impl From<BundleError> for ApiError {
    fn from(error: BundleError) -> Self {
        let status = match error {
            BundleError::TooLarge { .. } | BundleError::TooManyModules { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            BundleError::Malformed(_) | BundleError::Module { .. } | BundleError::HashMismatch { .. } => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
        };
        Self::new(status, error.code(), error.to_string())
    }
}

impl From<object_store::Error> for ApiError {
    fn from(error: object_store::Error) -> Self {
        Self::storage(is_full(&error), format!("objects: {error}"))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Some(internal) = &self.internal {
            tracing::error!(code = self.code, "{internal}");
        }
        let detail = ErrorDetail { code: self.code.to_owned(), message: self.message };
        let mut response = (self.status, Json(ErrorBody { error: detail })).into_response();
        response.headers_mut().insert(ERROR_HEADER, HeaderValue::from_static(self.code));
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"atoll\""));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_found_behind_other_errors() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let wrapped = object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(full) };
        assert!(is_full(&wrapped));
        assert_eq!(ApiError::from(wrapped).status, StatusCode::INSUFFICIENT_STORAGE);
        let other = io::Error::from(io::ErrorKind::PermissionDenied);
        let wrapped = object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(other) };
        assert_eq!(ApiError::from(wrapped).status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
