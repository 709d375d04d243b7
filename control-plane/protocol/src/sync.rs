//! The stream by which a node follows the control plane.
//!
//! `GET /v1/sync?since=R&node=NAME&key=HEX` answers with one JSON object a line, each a [`SignedFrame`]: first what has
//! changed since revision R (or a [`Frame::Snapshot`] when R is 0, too old, or not of this control plane), then changes
//! as they are committed, and a heartbeat at least every 5 s. `key` is the node's X25519 public key, under which secrets
//! are sealed for it ([`crate::seal`]). With `history=ID`, the history of the state that the node has, revision R counts only
//! if the control plane's history is the same.

use std::collections::BTreeMap;
use std::fmt;

use atoll_bundle::BundleHash;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::api::Target;
use crate::certificates::CertificateState;
use crate::config::VersionConfig;

/// Everything a node needs to serve one app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppState {
    /// The app's name.
    pub name: String,
    /// A word that no other app has ever had: not one of this name that was deleted, nor one of another control plane.
    /// What a node keeps for an app it keeps under this word, not under the name, which can come to somebody else.
    #[serde(default)]
    pub incarnation: String,
    /// The revision of its last change.
    pub revision: u64,
    /// Route patterns as in the project file.
    pub routes: Vec<String>,
    /// Whether it also answers at `NAME.<default domain>`.
    pub default_route: bool,
    /// The deployment's number.
    pub deployment: u64,
    /// The deployment's versions and weights; empty when nothing is deployed.
    pub targets: Vec<Target>,
    /// The versions named in `targets`, by number.
    #[serde(deserialize_with = "by_number")]
    pub versions: BTreeMap<u64, VersionState>,
    /// Secrets, sealed for the receiving node.
    #[serde(default)]
    pub secrets: Vec<SealedSecret>,
    /// Purges of its cached responses that can matter still, by revision.
    #[serde(default)]
    pub purges: Vec<Purge>,
}

/// What is cached of an app from before a revision is not to be used any more, as far as the scope goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purge {
    /// The revision of the change that this is.
    pub revision: u64,
    /// What it covers.
    pub scope: PurgeScope,
}

/// What a purge covers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PurgeScope {
    /// Everything of the app.
    Everything,
    /// Responses with this `Cache-Tag`.
    Tag(String),
    /// Responses whose host and path begin so.
    Prefix(String),
}

/// Reads a map whose keys are numbers. JSON has them as strings, and within a tagged enum such as [`Frame`] serde has
/// forgotten by then that they were keys, and does not turn them into numbers by itself.
fn by_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<u64, VersionState>, D::Error> {
    struct ByNumber;

    impl<'de> Visitor<'de> for ByNumber {
        type Value = BTreeMap<u64, VersionState>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map of versions by their numbers")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut versions = BTreeMap::new();
            while let Some(key) = map.next_key::<String>()? {
                let Ok(number) = key.parse() else {
                    return Err(A::Error::custom(format!("a version's number is expected as key, not {key:?}")));
                };
                versions.insert(number, map.next_value()?);
            }
            Ok(versions)
        }
    }

    deserializer.deserialize_map(ByNumber)
}

/// A version as a node needs it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VersionState {
    /// The bundle, fetched with `GET /v1/bundles/{hash}`.
    pub bundle: BundleHash,
    /// Its settings. In a box, because a map of one version has room for eleven.
    pub config: Box<VersionConfig>,
}

/// A secret that only the node it was sealed for can open ([`crate::sync::seal_context`] is the associated data).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SealedSecret {
    /// Its name in `env`.
    pub name: String,
    /// Counts up with every change.
    pub version: u64,
    /// Ephemeral X25519 public key, nonce and ciphertext, base64.
    pub sealed: String,
}

/// The associated data of a sealed secret: app, name and version, so that a sealed value cannot be moved.
pub fn seal_context(app: &str, name: &str, version: u64) -> Vec<u8> {
    format!("atoll-secret\0{app}\0{name}\0{version}").into_bytes()
}

/// A message of the stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Frame {
    /// The whole state at a revision: replaces everything the node had.
    Snapshot {
        /// Identifies this control plane's history; a node that knew another takes the snapshot whatever the revision.
        history: String,
        /// The revision.
        revision: u64,
        /// Every app.
        apps: Vec<AppState>,
        /// Every certificate.
        #[serde(default)]
        certificates: Vec<CertificateState>,
    },
    /// One app changed.
    Change {
        /// The revision this brings the node to.
        revision: u64,
        /// The app's name.
        app: String,
        /// Its new state; `None` when it was deleted.
        state: Option<Box<AppState>>,
    },
    /// One certificate changed, or the challenges that are answered for it.
    Certificate {
        /// The revision this brings the node to.
        revision: u64,
        /// The certificate's name.
        name: String,
        /// Its new state; `None` when it was deleted.
        state: Option<Box<CertificateState>>,
    },
    /// Nothing changed; the control plane is there.
    Heartbeat {
        /// The revision the node should have.
        revision: u64,
    },
    /// Send the log lines of these apps from now on, and of no others.
    Tail {
        /// The apps' names.
        apps: Vec<String>,
    },
}

/// A frame as it goes over the wire: the signed bytes are exactly `payload`'s UTF-8.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedFrame {
    /// The frame as JSON text.
    pub payload: String,
    /// Ed25519 signature of `payload` by the control plane's key, base64.
    pub signature: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::Challenge;

    #[test]
    fn every_frame_survives_its_encoding() {
        let version = VersionState { bundle: BundleHash::of(b"code"), config: Box::default() };
        let app = AppState {
            name: "shop".into(),
            incarnation: "h.2".into(),
            revision: 7,
            routes: vec!["shop.example/*".into()],
            default_route: true,
            deployment: 3,
            targets: vec![Target { version: 2, weight: 100 }],
            versions: BTreeMap::from([(2, version)]),
            secrets: vec![SealedSecret { name: "KEY".into(), version: 6, sealed: "AAAA".into() }],
            purges: vec![
                Purge { revision: 3, scope: PurgeScope::Everything },
                Purge { revision: 5, scope: PurgeScope::Tag("news".into()) },
                Purge { revision: 7, scope: PurgeScope::Prefix("shop.example/img/".into()) },
            ],
        };
        let certificate = CertificateState {
            name: "shop".into(),
            revision: 6,
            chain: Some("PEM".into()),
            key: Some("AAAA".into()),
            challenges: vec![Challenge {
                host: "shop.example".into(),
                kind: Default::default(),
                token: "t".into(),
                answer: "t.x".into(),
            }],
        };
        for frame in [
            Frame::Snapshot {
                history: "h".into(),
                revision: 7,
                apps: vec![app.clone()],
                certificates: vec![certificate.clone()],
            },
            Frame::Certificate { revision: 8, name: "shop".into(), state: Some(Box::new(certificate)) },
            Frame::Certificate { revision: 8, name: "shop".into(), state: None },
            Frame::Change { revision: 7, app: "shop".into(), state: Some(Box::new(app)) },
            Frame::Change { revision: 8, app: "shop".into(), state: None },
            Frame::Heartbeat { revision: 8 },
            Frame::Tail { apps: vec!["shop".into()] },
        ] {
            let text = serde_json::to_string(&frame).unwrap();
            assert_eq!(serde_json::from_str::<Frame>(&text).unwrap(), frame, "{text}");
        }
        let wrong = r#"{"type":"change","revision":1,"app":"a","state":{"name":"a","revision":1,"routes":[],
            "default_route":true,"deployment":1,"targets":[],"versions":{"x":{}}}}"#;
        assert!(serde_json::from_str::<Frame>(wrong).is_err());
    }
}
