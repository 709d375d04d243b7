//! Secrets at rest. Each app has a data key of its own, which is sealed under the master key; its secrets are sealed
//! under the data key with AES-256-GCM. The associated data binds a sealed secret to app, name and version, and a data
//! key to its app. Sealed bytes are nonce (12), ciphertext and tag (16).
//!
//! What belongs to no app (keys of certificates, of the ACME account and of its orders) is sealed under the master key, with
//! what it is as associated data.

use std::sync::Arc;

use atoll_protocol::seal::{NodePublicKey, SealError, seal_for, seal_key};
use atoll_protocol::sync::{SealedSecret, seal_context};
use atoll_store::{AppRecord, CertificateRecord, SealFailed, Sealed, Sealer};
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const KEY: usize = 32;

/// The master key and what is done with it.
#[derive(Clone)]
pub(crate) struct Vault {
    master: Arc<RandomizedNonceKey>,
    fingerprint: String,
}

/// A sealed value does not open: another key, or damaged data.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {0} does not open under the master key")]
pub(crate) struct OpenFailed(String);

impl Vault {
    /// A new master key as text for its file; `None` when the system gives no randomness.
    pub(crate) fn generate() -> Option<String> {
        random_key().map(|key| STANDARD.encode(key))
    }

    /// Takes the master key from its text.
    pub(crate) fn from_text(text: &str) -> Result<Self, String> {
        let key: [u8; KEY] = STANDARD
            .decode(text)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| "it must be 32 bytes in base64".to_owned())?;
        let print = digest(&SHA256, &[b"atoll-master-key\0", key.as_slice()].concat());
        let master = RandomizedNonceKey::new(&AES_256_GCM, &key).map_err(|_| "it is refused by AES-256".to_owned())?;
        Ok(Self { master: Arc::new(master), fingerprint: STANDARD.encode(print) })
    }

    /// A digest that tells this key from another.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// What seals `value`, the secret `name` of `app`, within the store's transaction.
    pub(crate) fn sealer(&self, app: String, name: String, value: String) -> Sealer {
        let vault = self.clone();
        Box::new(move |data_key, version| {
            let failed = |problem: &str| SealFailed(problem.to_owned());
            let (key, data_key) = match data_key {
                Some(sealed) => {
                    let key = vault.open_data_key(&app, sealed).map_err(|error| failed(&error.to_string()))?;
                    (key, sealed.to_vec())
                }
                None => {
                    let key = random_key().ok_or_else(|| failed("no randomness"))?;
                    let sealed = seal(&vault.master, data_key_context(&app), &key);
                    (key, sealed.ok_or_else(|| failed("the data key cannot be encrypted"))?)
                }
            };
            let key = RandomizedNonceKey::new(&AES_256_GCM, &key).map_err(|_| failed("the data key is refused"))?;
            let value = seal(&key, seal_context(&app, &name, version), value.as_bytes());
            Ok(Sealed { data_key, value: value.ok_or_else(|| failed("the value cannot be encrypted"))? })
        })
    }

    /// Seals a value of the control plane's own; `what` tells it from every other. `None` when the system gives no
    /// randomness.
    pub(crate) fn seal(&self, what: &str, value: &str) -> Option<Vec<u8>> {
        seal(&self.master, own_context(what), value.as_bytes())
    }

    /// Opens what [`seal`](Self::seal) gave.
    pub(crate) fn open(&self, what: &str, sealed: &[u8]) -> Result<String, OpenFailed> {
        let value = open(&self.master, own_context(what), sealed).and_then(|value| String::from_utf8(value).ok());
        value.ok_or_else(|| OpenFailed(what.to_owned()))
    }

    /// The private key of a certificate, sealed for a node instead; none as long as there is no certificate.
    pub(crate) fn reseal_key(
        &self,
        certificate: &CertificateRecord,
        node: &NodePublicKey,
    ) -> Result<Option<String>, ResealError> {
        let Some(issued) = &certificate.issued else { return Ok(None) };
        let key = self.open(&certificate_key(&certificate.name, &issued.facts.fingerprint), &issued.key)?;
        Ok(Some(seal_key(node, &certificate.name, certificate.revision, &key)?))
    }

    fn open_data_key(&self, app: &str, sealed: &[u8]) -> Result<[u8; KEY], OpenFailed> {
        open(&self.master, data_key_context(app), sealed)
            .and_then(|key| key.try_into().ok())
            .ok_or_else(|| OpenFailed(format!("data key of app {app:?}")))
    }

    /// An app's secrets, sealed for a node instead. A secret that does not open is left out and given back as an error.
    pub(crate) fn reseal(&self, app: &AppRecord, node: &NodePublicKey) -> (Vec<SealedSecret>, Vec<ResealError>) {
        let (mut sealed, mut errors) = (Vec::new(), Vec::new());
        if app.secrets.is_empty() {
            return (sealed, errors);
        }
        let key = match self.open_data_key(&app.name, app.data_key.as_deref().unwrap_or_default()) {
            Ok(key) => RandomizedNonceKey::new(&AES_256_GCM, &key).expect("a key of 32 bytes"),
            Err(error) => return (sealed, vec![error.into()]),
        };
        for secret in &app.secrets {
            let context = seal_context(&app.name, &secret.name, secret.version);
            let value = open(&key, context, &secret.sealed).and_then(|value| String::from_utf8(value).ok());
            let resealed = value
                .ok_or_else(|| OpenFailed(format!("secret {:?} of app {:?}", secret.name, app.name)).into())
                .and_then(|value| Ok(seal_for(node, &app.name, &secret.name, secret.version, &value)?));
            match resealed {
                Ok(secret) => sealed.push(secret),
                Err(error) => errors.push(error),
            }
        }
        (sealed, errors)
    }
}

/// Why a secret could not be sealed for a node.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResealError {
    #[error(transparent)]
    Open(#[from] OpenFailed),
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// What the private key of a certificate is sealed as.
pub(crate) fn certificate_key(name: &str, fingerprint: &str) -> String {
    format!("key of certificate {name:?} {fingerprint}")
}

fn own_context(what: &str) -> Vec<u8> {
    format!("atoll-own\0{what}").into_bytes()
}

fn data_key_context(app: &str) -> Vec<u8> {
    format!("atoll-data-key\0{app}").into_bytes()
}

fn random_key() -> Option<[u8; KEY]> {
    let mut key = [0; KEY];
    aws_lc_rs::rand::fill(&mut key).ok()?;
    Some(key)
}

fn seal(key: &RandomizedNonceKey, context: Vec<u8>, value: &[u8]) -> Option<Vec<u8>> {
    let mut in_out = value.to_vec();
    let nonce = key.seal_in_place_append_tag(Aad::from(context), &mut in_out).ok()?;
    Some([nonce.as_ref().as_slice(), &in_out].concat())
}

fn open(key: &RandomizedNonceKey, context: Vec<u8>, sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut in_out = ciphertext.to_vec();
    let value = key.open_in_place(Nonce::from(nonce), Aad::from(context), &mut in_out).ok()?;
    Some(value.to_vec())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use atoll_protocol::seal::NodeKey;
    use atoll_store::StoredSecret;

    use super::*;

    fn new_vault() -> Vault {
        Vault::from_text(&Vault::generate().unwrap()).unwrap()
    }

    fn app_with(vault: &Vault, value: &str) -> AppRecord {
        let Ok(sealed) = vault.sealer("shop".into(), "KEY".into(), value.into())(None, 4) else {
            panic!("the secret is not sealed");
        };
        AppRecord {
            name: "shop".into(),
            created_at: 0,
            predecessor: 0,
            revision: 4,
            routes: Vec::new(),
            default_route: true,
            deployment: None,
            versions: BTreeMap::new(),
            secrets: vec![StoredSecret { name: "KEY".into(), version: 4, sealed: sealed.value }],
            purges: Vec::new(),
            data_key: Some(sealed.data_key),
            deleted: false,
        }
    }

    #[test]
    fn a_secret_reaches_the_node_and_is_nowhere_in_clear() {
        let (vault, node) = (new_vault(), NodeKey::generate().unwrap());
        let app = app_with(&vault, "very secret");
        assert!(!app.secrets[0].sealed.windows(6).any(|window| window == b"secret"));
        let (sealed, errors) = vault.reseal(&app, &node.public_key());
        assert!(errors.is_empty());
        assert_eq!(node.open("shop", &sealed[0]).unwrap(), "very secret");
    }

    #[test]
    fn a_moved_secret_or_another_master_key_does_not_open() {
        let (vault, node) = (new_vault(), NodeKey::generate().unwrap().public_key());
        let app = app_with(&vault, "value");
        let problems = |app: &AppRecord, vault: &Vault| {
            let (sealed, errors) = vault.reseal(app, &node);
            assert!(sealed.is_empty());
            errors.into_iter().map(|error| error.to_string()).collect::<Vec<_>>().join(" ")
        };
        let mut moved = app.clone();
        moved.secrets[0].name = "OTHER".into();
        assert!(problems(&moved, &vault).contains("OTHER"));
        let mut older = app.clone();
        older.secrets[0].version = 3;
        assert!(problems(&older, &vault).contains("KEY"));
        let renamed = AppRecord { name: "blog".into(), ..app.clone() };
        assert!(problems(&renamed, &vault).contains("data key"));
        assert!(problems(&app, &new_vault()).contains("data key"));
        assert!(problems(&AppRecord { data_key: None, ..app }, &vault).contains("data key"));
    }

    #[test]
    fn an_app_keeps_its_data_key() {
        let vault = new_vault();
        let mut app = app_with(&vault, "one");
        let Ok(second) = vault.sealer("shop".into(), "KEY2".into(), "two".into())(app.data_key.as_deref(), 5) else {
            panic!("the secret is not sealed");
        };
        assert_eq!(Some(&second.data_key), app.data_key.as_ref());
        app.secrets.push(StoredSecret { name: "KEY2".into(), version: 5, sealed: second.value });
        let node = NodeKey::generate().unwrap();
        let (sealed, _) = vault.reseal(&app, &node.public_key());
        assert_eq!(node.open("shop", &sealed[1]).unwrap(), "two");
    }

    #[test]
    fn what_is_the_control_planes_own_opens_as_what_it_was_sealed() {
        let vault = new_vault();
        let sealed = vault.seal("one", "value").unwrap();
        assert_eq!(vault.open("one", &sealed).unwrap(), "value");
        assert!(vault.open("two", &sealed).is_err() && new_vault().open("one", &sealed).is_err());
    }

    #[test]
    fn a_wrong_key_file_is_refused() {
        assert!(Vault::from_text("AAAA").is_err());
        assert!(Vault::from_text("?").is_err());
    }
}
