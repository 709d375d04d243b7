//! The apps that a version calls.

use atoll_protocol::config::VersionConfig;
use atoll_store::StoreError;

use crate::error::ApiError;
use crate::plane::Plane;

/// That all apps exist which a version of `app` has among its services. An app may call itself before it exists. One that
/// is deleted later is missed when it is called.
pub(super) async fn require(plane: &Plane, app: &str, config: &VersionConfig) -> Result<(), ApiError> {
    for (name, binding) in config.services.iter().filter(|(_, binding)| binding.service != app) {
        match plane.store.app(binding.service.clone()).await {
            Ok(_) => {}
            Err(StoreError::AppNotFound { .. }) => {
                let service = &binding.service;
                let message =
                    format!("{name} is bound to the service {service:?}, but there is no such app; deploy it first");
                return Err(ApiError::unprocessable("service-not-found", message));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
