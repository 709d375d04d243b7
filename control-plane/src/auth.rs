//! Who may do what: bearer tokens and their scopes.
//!
//! A token is `atoll_<id>_<secret>`; the store has the SHA-256 of the secret, which is 256 random bits and so needs no
//! slow hash. Handlers name the scope that they need in the type of their first argument.

use std::marker::PhantomData;
use std::sync::Arc;

use atoll_protocol::api::{Scope, TokenInfo, UnixMillis};
use atoll_store::{Store, StoredToken};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::FromRequestParts;
use http::StatusCode;
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::error::ApiError;
use crate::plane::Plane;
use crate::time;

/// What a handler asks of the caller's token.
pub(crate) trait Requirement: Send + 'static {
    /// One of these scopes.
    const SCOPES: &'static [Scope];
}

macro_rules! requirements {
    ($($(#[$doc:meta])* $name:ident: $($scope:ident)|+;)*) => {
        $($(#[$doc])*
        pub(crate) struct $name;

        impl Requirement for $name {
            const SCOPES: &'static [Scope] = &[$(Scope::$scope),+];
        })*
    };
}

requirements! {
    /// Managing tokens.
    ToAdminister: Admin;
    /// Changing apps.
    ToDeploy: Deploy;
    /// Looking.
    ToRead: Read;
    /// Being a node.
    ToServe: Node;
    /// Fetching bundles.
    ToFetch: Read | Node;
}

/// Proof that the caller's token fulfils a requirement.
pub(crate) struct Allowed<R> {
    /// The token's id.
    pub(crate) token: String,
    requirement: PhantomData<R>,
}

impl<R: Requirement> FromRequestParts<Arc<Plane>> for Allowed<R> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, plane: &Arc<Plane>) -> Result<Self, ApiError> {
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let info = authenticate(plane.store.as_ref(), header, time::now()).await?;
        if R::SCOPES.iter().any(|needed| includes(info.scope, *needed)) {
            return Ok(Self { token: info.id, requirement: PhantomData });
        }
        let needed = R::SCOPES.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" or ");
        let message = format!(
            "the token {:?} has scope {}, but scope {needed} is needed here; create one with POST /v1/tokens",
            info.name,
            info.scope.as_str()
        );
        Err(ApiError::new(StatusCode::FORBIDDEN, "scope-insufficient", message))
    }
}

/// Whether a token with the scope `held` may do what `needed` stands for.
fn includes(held: Scope, needed: Scope) -> bool {
    held == needed || held == Scope::Admin || (held == Scope::Deploy && needed == Scope::Read)
}

async fn authenticate(store: &dyn Store, header: &str, now: UnixMillis) -> Result<TokenInfo, ApiError> {
    let invalid = |message: &str| ApiError::new(StatusCode::UNAUTHORIZED, "token-invalid", message);
    let token = match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => return Err(invalid("a token is needed: send the header Authorization: Bearer TOKEN")),
    };
    let unknown = || invalid("the token is not valid: it was deleted, or is of another control plane");
    let (id, secret) = token
        .strip_prefix("atoll_")
        .and_then(|rest| rest.split_once('_'))
        .ok_or_else(|| invalid("the token is not valid: tokens have the form atoll_ID_SECRET"))?;
    let stored = store.token(id.to_owned()).await?.ok_or_else(unknown)?;
    verify_slices_are_equal(digest(&SHA256, secret.as_bytes()).as_ref(), &stored.digest).map_err(|_| unknown())?;
    match stored.info.expires_at {
        Some(at) if at <= now => {
            let message = format!(
                "the token {:?} expired at {}; create another with POST /v1/tokens or `atoll token create`",
                stored.info.name,
                time::rfc3339(at)
            );
            Err(ApiError::new(StatusCode::UNAUTHORIZED, "token-expired", message))
        }
        _ => Ok(stored.info),
    }
}

/// Whether a token that was good when a stream began has been deleted or has expired since.
pub(crate) async fn is_void(store: &dyn Store, id: &str, now: UnixMillis) -> bool {
    match store.token(id.to_owned()).await {
        Ok(Some(token)) => token.info.expires_at.is_some_and(|at| at <= now),
        Ok(None) => true,
        // A storage that fails for a moment is no reason to cut off every node.
        Err(_) => false,
    }
}

/// Whether `token` is one that the store knows and that has not expired.
pub(crate) async fn is_good(store: &dyn Store, token: &str, now: UnixMillis) -> bool {
    authenticate(store, &format!("Bearer {token}"), now).await.is_ok()
}

/// Makes a token: its text, and what the store keeps of it. `None` when the system gives no randomness.
pub(crate) fn mint(
    name: &str,
    scope: Scope,
    now: UnixMillis,
    expires_at: Option<UnixMillis>,
) -> Option<(String, StoredToken)> {
    let (id, secret) = (random_hex::<8>()?, random_hex::<32>()?);
    let mut stored = [0; 32];
    stored.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
    let token = format!("atoll_{id}_{secret}");
    let info = TokenInfo { id, name: name.to_owned(), scope, created_at: now, expires_at };
    Some((token, StoredToken { info, digest: stored }))
}

/// `N` random bytes in hexadecimal.
pub(crate) fn random_hex<const N: usize>() -> Option<String> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_include_each_other_as_documented() {
        use Scope::{Admin, Deploy, Node, Read};
        let all = [Admin, Deploy, Read, Node];
        let of = |held| all.into_iter().filter(|needed| includes(held, *needed)).collect::<Vec<_>>();
        assert_eq!(of(Admin), all);
        assert_eq!(of(Deploy), [Deploy, Read]);
        assert_eq!(of(Read), [Read]);
        assert_eq!(of(Node), [Node]);
    }

    #[test]
    fn tokens_do_not_repeat_and_keep_no_secret() {
        let (token, stored) = mint("ci", Scope::Read, 5, None).unwrap();
        let (other, _) = mint("ci", Scope::Read, 5, None).unwrap();
        assert_ne!(token, other);
        let secret = token.rsplit('_').next().unwrap();
        assert_eq!((token.matches('_').count(), secret.len()), (2, 64));
        assert!(!format!("{stored:?}").contains(secret));
    }
}
