//! The API's description, made from the handlers themselves.

use axum::response::IntoResponse;
use http::header::CONTENT_TYPE;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Atoll control plane",
        description = "Apps, versions, deployments, routes, secrets, certificates, tokens and nodes of an Atoll installation.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    security(("token" = [])),
    modifiers(&Tokens),
    paths(
        super::apps::list, super::apps::get, super::apps::delete, super::apps::deploy, super::apps::routes,
        super::apps::set_routes, super::apps::tail, super::purges::purge,
        super::versions::list, super::versions::create, super::versions::deployments, super::versions::deploy,
        super::secrets::list, super::secrets::set, super::secrets::delete,
        super::bundles::get, super::bundles::head, super::bundles::put,
        super::certificates::list, super::certificates::put, super::certificates::delete, super::certificates::renew,
        super::assets::get, super::assets::head, super::assets::put, super::assets::missing,
        super::tokens::list, super::tokens::create, super::tokens::delete,
        super::nodes::health, super::nodes::list, super::nodes::report, super::nodes::logs, super::nodes::revision,
        super::nodes::sync, super::crons::claim,
    )
)]
struct Api;

struct Tokens;

impl Modify for Tokens {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("atoll_ID_SECRET").build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The OpenAPI description of the API, as JSON. It is also in the repository, as `control-plane/openapi.json`.
pub fn openapi_json() -> String {
    let mut text = Api::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// The API's OpenAPI description.
pub(super) async fn serve() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], openapi_json())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_description_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let current = super::openapi_json();
        if std::env::var_os("ATOLL_REFRESH_OPENAPI").is_some() {
            std::fs::write(path, &current).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == current,
            "control-plane/openapi.json is out of date; refresh it with \
             ATOLL_REFRESH_OPENAPI=1 cargo test -p atoll-control-plane --lib openapi"
        );
    }
}
