//! Certificates: uploaded here or got by ACME, read with their keys by nodes only.

use std::collections::BTreeMap;
use std::sync::Arc;

use atoll_protocol::api::ErrorBody;
use atoll_protocol::certificates::{
    CertificateChanged, CertificateInfo, CertificateRequest, CertificateSource, Renewal,
};
use atoll_store::{CertificateRecord, StoredCertificate};
use axum::Json;
use axum::extract::State;
use http::StatusCode;

use crate::acme;
use crate::auth::{Allowed, ToAdminister, ToRead};
use crate::certificates::check;
use crate::error::ApiError;
use crate::extract::{JsonBody, Params};
use crate::plane::Plane;
use crate::vault::certificate_key;
use crate::{time, validate};

/// All certificates by name, without their keys, and what is being done to get and renew those by ACME.
#[utoipa::path(get, path = "/v1/certificates", tag = "certificates",
    responses((status = 200, body = [CertificateInfo]), (status = "default", body = ErrorBody)))]
pub(super) async fn list(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToRead>,
) -> Result<Json<Vec<CertificateInfo>>, ApiError> {
    let mut renewals: BTreeMap<String, Renewal> = BTreeMap::new();
    for (host, renewal) in acme::renewals(&plane).await? {
        renewals.insert(acme::name_of(&host), renewal);
    }
    let nodes = plane.nodes.connected();
    let info = |record: CertificateRecord, renewal: Option<Renewal>| {
        let failure = |node: &atoll_protocol::api::Node| {
            let failure = node.report.as_ref()?.certificate_failures.get(&record.name)?;
            Some((node.name.clone(), failure.clone()))
        };
        CertificateInfo {
            failures: nodes.iter().filter_map(failure).collect(),
            name: record.name,
            source: record.source,
            updated_at: record.issued.as_ref().map(|issued| issued.updated_at),
            facts: record.issued.map(|issued| issued.facts),
            revision: record.revision,
            renewal,
        }
    };
    let mut infos = Vec::new();
    for record in plane.store.certificates().await? {
        let renewal = renewals.remove(&record.name);
        infos.push(info(record, renewal));
    }
    // Hosts that an uploaded certificate serves are not worth a line of their own.
    let served = |name: &str| {
        let host = name.strip_prefix("acme:").unwrap_or(name);
        let names = infos.iter().filter_map(|info| info.facts.as_ref()).flat_map(|facts| &facts.names);
        names.into_iter().any(|name| crate::certificates::covers(name, host))
    };
    let asked_for = renewals.into_iter().filter(|(name, renewal)| renewal.problem.is_some() || !served(name));
    let asked_for: Vec<_> = asked_for
        .map(|(name, renewal)| {
            let record = CertificateRecord {
                name,
                revision: 0,
                source: CertificateSource::Acme,
                issued: None,
                challenges: Vec::new(),
                deleted: false,
            };
            info(record, Some(renewal))
        })
        .collect();
    infos.extend(asked_for);
    infos.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Json(infos))
}

/// Sets a certificate. The nodes serve it at once for the names in it; connections that are open are not touched.
#[utoipa::path(put, path = "/v1/certificates/{name}", tag = "certificates",
    params(("name" = String, Path, description = "A name for it: 1 to 64 of a-z, 0-9, '-', '_' and '.'")),
    request_body = CertificateRequest,
    responses((status = 200, body = CertificateChanged), (status = "default", body = ErrorBody)))]
pub(super) async fn put(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToAdminister>,
    Params(name): Params<String>,
    JsonBody(request): JsonBody<CertificateRequest>,
) -> Result<Json<CertificateChanged>, ApiError> {
    validate::certificate_name(&name)?;
    let now = time::now();
    let checked = check(&request.chain, &request.key, now)
        .map_err(|error| ApiError::unprocessable(error.code(), error.to_string()))?;
    let key = plane.vault.seal(&certificate_key(&name, &checked.facts.fingerprint), &checked.key).ok_or_else(|| {
        ApiError::internal("secret-seal-failed", "the key could not be encrypted", "the system gives no randomness")
    })?;
    let names = checked.facts.names.join(" ");
    let issued = StoredCertificate { chain: checked.chain, key, facts: checked.facts, updated_at: now };
    let revision = plane.store.put_certificate(name.clone(), CertificateSource::Upload, issued, now).await?;
    tracing::info!(certificate = name, names, revision, "certificate set");
    Ok(Json(CertificateChanged { name, revision }))
}

/// Deletes a certificate. One by ACME is ordered anew as long as an app has a route for its host.
#[utoipa::path(delete, path = "/v1/certificates/{name}", tag = "certificates",
    params(("name" = String, Path, description = "The certificate's name")),
    responses((status = 200, body = CertificateChanged), (status = "default", body = ErrorBody)))]
pub(super) async fn delete(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToAdminister>,
    Params(name): Params<String>,
) -> Result<Json<CertificateChanged>, ApiError> {
    let revision = plane.store.delete_certificate(name.clone(), time::now()).await?;
    if let (Some(host), Some(acme)) = (name.strip_prefix("acme:"), &plane.acme) {
        acme.forget(&plane, host).await?;
    }
    tracing::info!(certificate = name, revision, "certificate deleted");
    Ok(Json(CertificateChanged { name, revision }))
}

/// Gets a new certificate by ACME now, whatever the age of the one that is there, which serves on meanwhile. Pauses after
/// failures are cut short.
#[utoipa::path(post, path = "/v1/certificates/{name}/renew", tag = "certificates",
    params(("name" = String, Path, description = "The certificate's name, acme:HOST")),
    responses((status = 202, description = "It is asked for"), (status = "default", body = ErrorBody)))]
pub(super) async fn renew(
    State(plane): State<Arc<Plane>>,
    _: Allowed<ToAdminister>,
    Params(name): Params<String>,
) -> Result<StatusCode, ApiError> {
    let conflict = |code, message: String| Err(ApiError::new(StatusCode::CONFLICT, code, message));
    let Some(acme) = &plane.acme else {
        return conflict("acme-off", "no certificate authority is configured: [acme] in control-plane.toml".into());
    };
    let Some(host) = name.strip_prefix("acme:") else {
        return conflict("certificate-not-acme", format!("{name:?} was uploaded; set it again to renew it"));
    };
    let wanted = acme::renewals(&plane).await?.get(host).is_some_and(|renewal| renewal.next.is_some());
    if !wanted {
        let message = format!("no certificate is asked for {host:?}: no app has a route for this host, written out");
        return Err(ApiError::not_found("certificate-not-found", message));
    }
    acme.renew(&plane, host).await?;
    Ok(StatusCode::ACCEPTED)
}
