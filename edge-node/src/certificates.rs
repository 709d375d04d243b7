//! Certificates that come from the control plane: what TLS listeners serve beside their files, and the answers to the
//! challenges of an authority, over HTTP (RFC 8555 §8.3) and in handshakes (RFC 8737).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwap;
use atoll_protocol::certificates::{CHALLENGE_PATH, CertificateState, ChallengeKind};
use atoll_protocol::seal::{NodeKey, SealError};
use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::sign::CertifiedKey;

use crate::listeners::{Certificate, CertificateError, NamedCertificates, Tls};

/// Why a certificate from the control plane cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The control plane sent no key.
    #[error("its private key did not come with it; the control plane's log says why")]
    NoKey,
    /// The key is for another node.
    #[error(transparent)]
    Sealed(#[from] SealError),
    /// Certificate or key are not what they should be.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// What the control plane has sent, as listeners and requests use it.
#[derive(Default)]
pub struct ControlledCertificates {
    named: ArcSwap<NamedCertificates>,
    /// The answer by host and token.
    challenges: ArcSwap<HashMap<(String, String), String>>,
    /// By name, the certificates that are served.
    taken: Mutex<BTreeMap<String, Taken>>,
    listeners: Mutex<Vec<Weak<Tls>>>,
}

impl ControlledCertificates {
    /// What new connections are served from.
    pub fn named(&self) -> Arc<NamedCertificates> {
        self.named.load_full()
    }

    /// Tells a listener of all changes from now on.
    pub fn attach(&self, tls: &Arc<Tls>) {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(tls));
        tls.adopt(self.named());
    }

    /// Serves these from now on; open connections go on with what they began with. One that cannot be used, which
    /// [`check`] would have told, is left out.
    pub fn serve(&self, states: &BTreeMap<String, CertificateState>, key: &NodeKey) {
        let (mut answers, mut handshakes) = (HashMap::new(), HashMap::new());
        for known in states.values().flat_map(|state| &state.challenges) {
            match known.kind {
                ChallengeKind::Http01 => {
                    answers.insert((known.host.clone(), known.token.clone()), known.answer.clone());
                }
                ChallengeKind::TlsAlpn01 => match answer_in_handshake(&known.host, &known.answer) {
                    Ok(certificate) => drop(handshakes.insert(known.host.clone(), certificate)),
                    Err(problem) => tracing::error!(host = known.host, problem, "a challenge cannot be answered"),
                },
            }
        }
        self.challenges.store(Arc::new(answers));
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *taken);
        for state in states.values() {
            let print = fingerprint(state);
            // Most have not changed, and to read them all again would take long when there are many.
            if let Some(same) = before.remove(&state.name).filter(|(known, _)| *known == print) {
                taken.insert(state.name.clone(), same);
                continue;
            }
            match take(state, key) {
                Ok(Some(certificate)) => drop(taken.insert(state.name.clone(), (print, Arc::new(certificate)))),
                Ok(None) => {}
                Err(error) => tracing::error!(certificate = state.name, %error, "a certificate cannot be served"),
            }
        }
        let named = NamedCertificates::new(taken.values().map(|(_, certificate)| certificate.clone()).collect());
        drop(taken);
        let named = Arc::new(named.answering(handshakes));
        self.named.store(named.clone());
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| {
            listener.upgrade().is_some_and(|tls| {
                tls.adopt(named.clone());
                true
            })
        });
    }

    /// The answer to a request for a challenge, while there is one under way for this host.
    pub fn answer(&self, host: &str, path: &str) -> Option<String> {
        let token = path.strip_prefix(CHALLENGE_PATH)?;
        let challenges = self.challenges.load();
        if challenges.is_empty() {
            return None;
        }
        challenges.get(&(host.to_ascii_lowercase(), token.to_owned())).cloned()
    }
}

/// A certificate with the digest of its chain.
type Taken = ([u8; 32], Arc<Certificate>);

/// Whether a certificate can be served.
pub fn check(state: &CertificateState, key: &NodeKey) -> Result<(), TakeError> {
    take(state, key).map(drop)
}

/// The certificate by which a handshake answers a challenge: one for the host that signed itself and has the digest of the
/// key authorization in it (RFC 8737 §3).
fn answer_in_handshake(host: &str, answer: &str) -> Result<Arc<CertifiedKey>, String> {
    let made = || {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![host.to_owned()])?;
        params.custom_extensions =
            vec![CustomExtension::new_acme_identifier(digest(&SHA256, answer.as_bytes()).as_ref())];
        Ok::<_, rcgen::Error>((params.self_signed(&key)?.der().clone(), key.serialize_der()))
    };
    let (certificate, key) = made().map_err(|error| error.to_string())?;
    let key = default_provider().key_provider.load_private_key(PrivatePkcs8KeyDer::from(key).into());
    Ok(Arc::new(CertifiedKey::new(vec![certificate], key.map_err(|error| error.to_string())?)))
}

fn fingerprint(state: &CertificateState) -> [u8; 32] {
    let mut print = [0; 32];
    print.copy_from_slice(digest(&SHA256, state.chain.as_deref().unwrap_or_default().as_bytes()).as_ref());
    print
}

fn take(state: &CertificateState, key: &NodeKey) -> Result<Option<Certificate>, TakeError> {
    let Some(chain) = &state.chain else { return Ok(None) };
    let sealed = state.key.as_ref().ok_or(TakeError::NoKey)?;
    let private = key.open_key(&state.name, state.revision, sealed)?;
    Ok(Some(Certificate::from_pem(chain, &private, &default_provider())?))
}

#[cfg(test)]
mod tests {
    use atoll_protocol::certificates::Challenge;

    use super::*;

    #[test]
    fn only_live_challenges_are_answered_and_only_for_their_host() {
        let key = NodeKey::generate().unwrap();
        let controlled = ControlledCertificates::default();
        let challenge = Challenge {
            host: "shop.example".into(),
            kind: Default::default(),
            token: "t".into(),
            answer: "t.print".into(),
        };
        let state = |challenges| {
            let name = "acme:shop.example".to_owned();
            let state = CertificateState { name: name.clone(), revision: 1, chain: None, key: None, challenges };
            BTreeMap::from([(name, state)])
        };
        controlled.serve(&state(vec![challenge]), &key);
        assert_eq!(controlled.answer("Shop.Example", "/.well-known/acme-challenge/t").as_deref(), Some("t.print"));
        for (host, path) in [
            ("other.example", "/.well-known/acme-challenge/t"),
            ("shop.example", "/.well-known/acme-challenge/u"),
            ("shop.example", "/.well-known/acme-challenge/"),
            ("shop.example", "/x/.well-known/acme-challenge/t"),
        ] {
            assert_eq!(controlled.answer(host, path), None, "{host}{path}");
        }
        controlled.serve(&state(vec![]), &key);
        assert_eq!(controlled.answer("shop.example", "/.well-known/acme-challenge/t"), None);
    }

    #[test]
    fn a_certificate_without_its_key_or_with_another_is_an_error() {
        let key = NodeKey::generate().unwrap();
        let mut state = CertificateState {
            name: "shop".into(),
            revision: 1,
            chain: Some("no PEM".into()),
            key: None,
            challenges: Vec::new(),
        };
        assert!(matches!(check(&state, &key), Err(TakeError::NoKey)));
        state.key = Some(atoll_protocol::seal::seal_key(&key.public_key(), "shop", 2, "PEM").unwrap());
        assert!(matches!(check(&state, &key), Err(TakeError::Sealed(_))), "of another revision");
        state.key = Some(atoll_protocol::seal::seal_key(&key.public_key(), "shop", 1, "PEM").unwrap());
        assert!(matches!(check(&state, &key), Err(TakeError::Certificate(_))));
    }
}
