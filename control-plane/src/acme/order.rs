//! One order from its beginning, or from wherever it was, to the certificate (RFC 8555 §7.4).

use std::time::Duration;

use atoll_protocol::certificates::{CertificateSource, Challenge, ChallengeKind};
use atoll_store::{StoreError, StoredCertificate};
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeStatus, ChallengeType, Error, Identifier, NewAccount,
    NewOrder, Order, OrderStatus, Problem, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use super::Acme;
use super::client::AuthorityClient;
use super::note::{Note, OpenOrder};
use super::plan::{Kind, name_of};
use crate::certificates::{Unusable, check, covers, pem};
use crate::nodes::settled;
use crate::plane::Plane;
use crate::time;
use crate::vault::certificate_key;

/// How long nodes may take to have a challenge's answer.
const NODES_TIME: Duration = Duration::from_secs(10);
/// How often and how long the authority is asked whether it is done.
const POLL: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(300)).backoff(1.5).timeout(Duration::from_secs(90));

/// Why there is no certificate yet.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    /// The rule: the authority's word for it, or ours.
    pub(super) rule: String,
    pub(super) message: String,
    /// The order can be gone on with.
    pub(super) resumable: bool,
}

impl Failure {
    fn new(kind: Kind, rule: &str, message: impl Into<String>) -> Self {
        Self { kind, rule: rule.to_owned(), message: message.into(), resumable: kind == Kind::Unreachable }
    }

    /// What is wrong is wrong here; an order that leads to it is not gone on with.
    pub(super) fn internal(message: String) -> Self {
        Self::new(Kind::Refused, "internal", message)
    }

    fn refused(problem: &Problem) -> Self {
        let rule = problem.r#type.as_deref().unwrap_or("refused");
        let rule = rule.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(rule);
        let kind = match (rule, problem.status) {
            ("rateLimited", _) | (_, Some(429)) => Kind::Limited,
            ("serverInternal" | "badNonce" | "accountDoesNotExist", _) | (_, Some(500..)) => Kind::Unreachable,
            _ => Kind::Refused,
        };
        let details = problem.subproblems.iter().filter_map(|problem| problem.detail.clone());
        let message = problem.detail.clone().into_iter().chain(details).collect::<Vec<_>>().join("; ");
        Self::new(kind, rule, message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Api(problem) => Self::refused(&problem),
            Error::Timeout(_) => Self::new(Kind::Unreachable, "slow", "the authority has not finished yet"),
            other => Self::new(Kind::Unreachable, "unreachable", other.to_string()),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(Kind::Unreachable, error.code(), error.to_string())
    }
}

impl From<Unusable> for Failure {
    fn from(error: Unusable) -> Self {
        Self::new(Kind::Refused, "certificate", format!("the authority gave one that cannot be used: {error}"))
    }
}

fn broken(what: &str) -> Failure {
    Failure::new(Kind::Unreachable, "internal", what)
}

/// Gets a certificate for a host and stores it. What has to outlive a crash is written into the note, and the note into
/// the store, before it is acted upon.
pub(super) async fn drive(
    plane: &Plane,
    acme: &Acme,
    client: &AuthorityClient,
    host: &str,
    note: &mut Note,
) -> Result<(), Failure> {
    let account = account(plane, acme, client).await?;
    let resumed = note.order.take_if(|order| order.directory == acme.config.directory);
    let is_resumed = resumed.is_some();
    let (mut order, open) = match resumed {
        Some(open) => {
            note.order = Some(open.clone());
            tracing::info!(host, order = open.url, "an order for a certificate is resumed");
            (account.order(open.url.clone()).await.map_err(lost)?, open)
        }
        None => {
            let order = account.new_order(&NewOrder::new(&[Identifier::Dns(host.to_owned())])).await?;
            let key = KeyPair::generate().map_err(|_| broken("no key could be made"))?;
            let key = plane.vault.seal(&order_key(host), &pem("PRIVATE KEY", &key.serialize_der()));
            let key = key.ok_or_else(|| broken("the key could not be sealed"))?;
            let url = order.url().to_owned();
            let open = OpenOrder { directory: acme.config.directory.clone(), url, key };
            note.order = Some(open.clone());
            acme.save(plane, host, Some(note)).await?;
            tracing::info!(host, order = open.url, "a certificate is ordered");
            (order, open)
        }
    };
    if order.state().status == OrderStatus::Pending {
        answer_challenges(plane, acme.config.challenge, &mut order, host, is_resumed).await?;
        if !matches!(order.poll_ready(&POLL).await, Ok(OrderStatus::Ready)) {
            order.refresh().await?;
        }
    }
    let key = plane
        .vault
        .open(&order_key(host), &open.key)
        .map_err(|error| Failure { resumable: false, ..broken(&error.to_string()) })?;
    match order.state().status {
        OrderStatus::Ready => {
            let csr = signing_request(host, &key).map_err(|error| broken(&error.to_string()))?;
            order.finalize_csr(&csr).await?;
        }
        OrderStatus::Invalid => return Err(why_invalid(&mut order).await),
        // Its authority is still looking.
        OrderStatus::Pending => return Err(Error::Timeout(None).into()),
        OrderStatus::Processing | OrderStatus::Valid => {}
    }
    let chain = match order.poll_certificate(&POLL).await {
        Ok(chain) => chain,
        Err(_) if order.state().status == OrderStatus::Invalid => return Err(why_invalid(&mut order).await),
        Err(error) => return Err(error.into()),
    };
    let now = time::now();
    let checked = check(&chain, &key, now)?;
    if !checked.facts.names.iter().any(|name| covers(name, host)) {
        let message = format!("the authority gave one for {}", checked.facts.names.join(", "));
        return Err(Failure::new(Kind::Refused, "certificate", message));
    }
    let name = name_of(host);
    let key = plane.vault.seal(&certificate_key(&name, &checked.facts.fingerprint), &checked.key);
    let key = key.ok_or_else(|| broken("the key could not be sealed"))?;
    let not_after = time::rfc3339(checked.facts.not_after);
    let issued = StoredCertificate { chain: checked.chain, key, facts: checked.facts, updated_at: now };
    let revision = plane.store.put_certificate(name, CertificateSource::Acme, issued, now).await?;
    tracing::info!(host, revision, not_after, "a certificate has been issued");
    Ok(())
}

/// An order that its authority does not know any more is begun anew.
fn lost(error: Error) -> Failure {
    let gone = matches!(&error, Error::Api(problem) if !matches!(problem.status, Some(429 | 500..)));
    let failure = Failure::from(error);
    if gone { Failure { kind: Kind::Unreachable, resumable: false, ..failure } } else { failure }
}

fn order_key(host: &str) -> String {
    format!("key of the order for {host}")
}

fn account_key(directory: &str) -> String {
    format!("acme/account/{directory}")
}

/// The account at the authority, made when there is none yet.
async fn account(plane: &Plane, acme: &Acme, client: &AuthorityClient) -> Result<Account, Failure> {
    // One at a time, so that only one is made.
    let _made = acme.account.lock().await;
    let directory = &acme.config.directory;
    let note = account_key(directory);
    let builder = || Account::builder_with_http(Box::new(client.clone()));
    if let Some(sealed) = plane.store.notes().await?.remove(&note) {
        let text = plane.vault.open(&note, &sealed).map_err(|error| broken(&error.to_string()))?;
        let credentials: AccountCredentials = serde_json::from_str(&text).map_err(Error::from)?;
        return Ok(builder().from_credentials(credentials).await?);
    }
    let contact: Vec<&str> = acme.config.contact.as_deref().into_iter().collect();
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let (account, credentials) = builder().create(&new, directory.clone(), None).await?;
    let text = serde_json::to_string(&credentials).map_err(Error::from)?;
    let sealed = plane.vault.seal(&note, &text).ok_or_else(|| broken("the account's key could not be sealed"))?;
    plane.store.set_note(note, Some(sealed)).await?;
    tracing::info!(directory, account = account.id(), "an account has been made at the certificate authority");
    Ok(account)
}

/// Forgets the account when its authority says that it does not know it.
pub(super) async fn forget_unknown_account(plane: &Plane, acme: &Acme, failure: &Failure) -> Result<(), StoreError> {
    match failure.rule.as_str() {
        "accountDoesNotExist" => plane.store.set_note(account_key(&acme.config.directory), None).await,
        _ => Ok(()),
    }
}

/// Has all nodes answer the challenges of what is not authorized yet, then tells the authority to look.
async fn answer_challenges(
    plane: &Plane,
    kind: ChallengeKind,
    order: &mut Order,
    host: &str,
    resumed: bool,
) -> Result<(), Failure> {
    let (offered, name) = match kind {
        ChallengeKind::Http01 => (ChallengeType::Http01, "http-01"),
        ChallengeKind::TlsAlpn01 => (ChallengeType::TlsAlpn01, "tls-alpn-01"),
    };
    let mut answers = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Pending {
            let challenge = authorization.challenge(offered.clone()).ok_or_else(|| {
                let message = format!("the authority does not offer {name} for this host");
                Failure::new(Kind::Refused, "unsupported", message)
            })?;
            let (token, answer) = (challenge.token.clone(), challenge.key_authorization().as_str().to_owned());
            answers.push(Challenge { host: host.to_owned(), kind, token, answer });
        }
    }
    if answers.is_empty() {
        return Ok(());
    }
    let revision = plane.store.set_challenges(name_of(host), answers, time::now()).await?;
    nodes_answer(plane, revision).await?;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status != AuthorizationStatus::Pending {
            continue;
        }
        if let Some(mut challenge) = authorization.challenge(offered.clone())
            && challenge.status == ChallengeStatus::Pending
        {
            match challenge.set_ready().await {
                // It may have been told before the control plane ended.
                Err(Error::Api(_)) if resumed => {}
                done => done?,
            }
        }
    }
    Ok(())
}

/// Waits until every connected node has a revision; those that take too long are not waited for.
async fn nodes_answer(plane: &Plane, revision: u64) -> Result<(), Failure> {
    let mut changed = plane.nodes.watch();
    let all = async { while !settled(&plane.nodes.connected(), revision) && changed.changed().await.is_ok() {} };
    let _ = tokio::time::timeout(NODES_TIME, all).await;
    if plane.nodes.connected().is_empty() {
        let message = "no edge node is connected that could answer the authority";
        return Err(Failure::new(Kind::Unreachable, "no-node", message));
    }
    Ok(())
}

/// Why an order became invalid: its own error, or that of the challenge that failed.
async fn why_invalid(order: &mut Order) -> Failure {
    let invalid = |failure: Failure| match failure.kind {
        Kind::Unreachable => Failure { kind: Kind::Refused, resumable: false, ..failure },
        _ => failure,
    };
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if let Ok(state) = authorization.refresh().await
            && let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref())
        {
            return invalid(Failure::refused(problem));
        }
    }
    match &order.state().error {
        Some(problem) => invalid(Failure::refused(problem)),
        None => Failure::new(Kind::Refused, "invalid", "the authority does not say why the order is invalid"),
    }
}

/// The request for a certificate (RFC 2986) of a host with a key in PEM, DER.
fn signing_request(host: &str, key: &str) -> Result<Vec<u8>, rcgen::Error> {
    let der = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
    let key = KeyPair::try_from(&der)?;
    let mut params = CertificateParams::new(vec![host.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(&key)?.der().to_vec())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn failure(problem: serde_json::Value) -> Failure {
        Failure::from(Error::Api(serde_json::from_value(problem).unwrap()))
    }

    #[test]
    fn what_the_authority_says_decides_when_it_is_asked_again() {
        let of = |rule: &str, status: u16| {
            let failure = failure(json!({
                "type": format!("urn:ietf:params:acme:error:{rule}"), "detail": "why", "status": status,
            }));
            assert_eq!((failure.rule.as_str(), failure.message.as_str()), (rule, "why"));
            (failure.kind, failure.resumable)
        };
        assert_eq!(of("dns", 400), (Kind::Refused, false));
        assert_eq!(of("rejectedIdentifier", 403), (Kind::Refused, false));
        assert_eq!(of("rateLimited", 429), (Kind::Limited, false));
        assert_eq!(of("userActionRequired", 429), (Kind::Limited, false));
        assert_eq!(of("serverInternal", 500), (Kind::Unreachable, true));
        assert_eq!(of("badNonce", 400), (Kind::Unreachable, true));
        let parts = failure(json!({ "detail": "two", "subproblems": [{ "detail": "one" }, { "detail": "other" }] }));
        assert_eq!((parts.rule.as_str(), parts.message.as_str()), ("refused", "two; one; other"));
        let late = Failure::from(Error::Timeout(None));
        assert_eq!((late.kind, late.rule.as_str(), late.resumable), (Kind::Unreachable, "slow", true));
    }

    #[test]
    fn an_order_that_its_authority_does_not_know_is_begun_anew() {
        let lost = |status: u16| {
            let problem = json!({ "type": "urn:ietf:params:acme:error:malformed", "status": status });
            let failure = lost(Error::Api(serde_json::from_value(problem).unwrap()));
            (failure.kind, failure.resumable)
        };
        assert_eq!(lost(404), (Kind::Unreachable, false));
        assert_eq!(lost(500), (Kind::Unreachable, true));
    }

    #[test]
    fn a_request_names_the_host_and_nothing_else() {
        let key = KeyPair::generate().unwrap();
        let csr = signing_request("shop.example", &key.serialize_pem()).unwrap();
        assert!(csr.windows(12).any(|window| window == b"shop.example"));
        assert!(!csr.windows(5).any(|window| window == b"rcgen"));
    }
}
