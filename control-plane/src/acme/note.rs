//! What is kept of getting a certificate, so that it goes on where it was after a crash at any point.

use std::collections::BTreeMap;

use atoll_protocol::api::UnixMillis;
use serde::{Deserialize, Serialize};

/// Before the host in the keys of notes.
const PREFIX: &str = "acme/order/";

/// What is kept of a host: an order that is open, what failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Note {
    /// The order that is open.
    pub(crate) order: Option<OpenOrder>,
    /// Failures since the last success.
    pub(crate) failures: u32,
    /// Nothing is done before.
    pub(crate) retry_at: Option<UnixMillis>,
    /// Why it failed the last time.
    pub(crate) problem: Option<String>,
    /// Somebody asked for a new certificate, whatever the old one's age.
    pub(crate) renew: bool,
}

/// An order that the authority knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenOrder {
    /// Whose order it is.
    pub(crate) directory: String,
    /// Its URL.
    pub(crate) url: String,
    /// The private key of the certificate to be, PEM, sealed.
    pub(crate) key: Vec<u8>,
}

/// The key of a host's note.
pub(crate) fn key(host: &str) -> String {
    format!("{PREFIX}{host}")
}

/// The notes of all hosts. One that cannot be read counts as none.
pub(crate) fn of_hosts(notes: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Note> {
    let read = |(key, value): (String, Vec<u8>)| {
        let host = key.strip_prefix(PREFIX)?.to_owned();
        Some((host, serde_json::from_slice(&value).unwrap_or_default()))
    };
    notes.into_iter().filter_map(read).collect()
}

impl Note {
    /// The note as it is stored.
    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}
