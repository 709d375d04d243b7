//! For which hosts certificates are asked for, and when. Pure: routes, certificates, notes and the time go in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use atoll_protocol::api::UnixMillis;
use atoll_protocol::certificates::{CertificateFacts, CertificateSource};
use atoll_store::CertificateRecord;
use aws_lc_rs::digest::{SHA256, digest};

use super::note::Note;
use crate::certificates::covers;

/// New orders within [`WINDOW`]. Let's Encrypt takes 300 of an account.
const ORDERS: usize = 250;
const WINDOW: u64 = 3 * 60 * 60_000;

/// The name of the certificate that is got for a host.
pub(crate) fn name_of(host: &str) -> String {
    format!("acme:{host}")
}

/// What there is.
pub(crate) struct Situation<'a> {
    /// The route patterns of all apps.
    pub(crate) routes: &'a [String],
    /// `acme.hosts`.
    pub(crate) allowed: &'a [String],
    pub(crate) certificates: &'a [CertificateRecord],
    /// By host.
    pub(crate) notes: &'a BTreeMap<String, Note>,
}

impl Situation<'_> {
    /// The hosts that are to have a certificate by ACME: those of routes, written out in full.
    pub(crate) fn wanted(&self) -> BTreeSet<String> {
        let hosts = self.routes.iter().filter_map(|pattern| {
            let host = pattern.split_once('/').map_or(pattern.as_str(), |(host, _)| host);
            is_public(host).then(|| host.to_owned())
        });
        hosts.filter(|host| self.allows(host)).collect()
    }

    fn allows(&self, host: &str) -> bool {
        let allows = |pattern: &String| match pattern.strip_prefix("*.") {
            Some(parent) => host.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.')),
            None => pattern == host,
        };
        self.allowed.is_empty() || self.allowed.iter().any(allows)
    }

    /// When each wanted host is asked for next.
    pub(crate) fn next_attempts(&self) -> BTreeMap<String, UnixMillis> {
        self.wanted().into_iter().map(|host| (self.next_attempt(&host), host)).map(|(at, host)| (host, at)).collect()
    }

    fn next_attempt(&self, host: &str) -> UnixMillis {
        let name = name_of(host);
        // An uploaded certificate spares the host one by ACME for as long as it need not be renewed itself.
        let serves = |record: &&CertificateRecord| match (record.source, &record.issued) {
            (CertificateSource::Acme, Some(_)) => record.name == name,
            (CertificateSource::Upload, Some(issued)) => issued.facts.names.iter().any(|name| covers(name, host)),
            (_, None) => false,
        };
        let issued = self.certificates.iter().filter(serves).filter_map(|record| record.issued.as_ref());
        let renewal = issued.map(|issued| renew_at(host, &issued.facts)).max().unwrap_or(0);
        match self.notes.get(host) {
            None => renewal,
            Some(note) if note.order.is_some() || note.renew => note.retry_at.unwrap_or(0),
            Some(note) => renewal.max(note.retry_at.unwrap_or(0)),
        }
    }

    /// Hosts with notes that nobody wants any more.
    pub(crate) fn forgotten(&self) -> Vec<String> {
        let wanted = self.wanted();
        self.notes.keys().filter(|host| !wanted.contains(*host)).cloned().collect()
    }

    /// Certificates by ACME that nobody wants any more and that nodes need not serve: expired, or never issued.
    pub(crate) fn outlived(&self, now: UnixMillis) -> Vec<String> {
        let wanted: BTreeSet<String> = self.wanted().iter().map(|host| name_of(host)).collect();
        let over = |record: &&CertificateRecord| {
            record.source == CertificateSource::Acme
                && !wanted.contains(&record.name)
                && record.issued.as_ref().is_none_or(|issued| issued.facts.not_after <= now)
        };
        self.certificates.iter().filter(over).map(|record| record.name.clone()).collect()
    }
}

/// Whether a route's host is one that an authority could look up: a whole name of two labels or more, no address, not
/// this machine.
fn is_public(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    host.contains('.')
        && !host.contains(['*', '_', ':'])
        && last != "localhost"
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// When a certificate is renewed: when two thirds of its life are over, or up to a twentieth of its life earlier, by host
/// and certificate, so that what was issued together is not renewed together.
pub(crate) fn renew_at(host: &str, facts: &CertificateFacts) -> UnixMillis {
    let life = facts.not_after.saturating_sub(facts.not_before);
    let hash = digest(&SHA256, format!("{host}\0{}", facts.fingerprint).as_bytes());
    let spread = u64::from(u16::from_le_bytes([hash.as_ref()[0], hash.as_ref()[1]]));
    let early = life / 20 * spread / u64::from(u16::MAX);
    facts.not_before.saturating_add(life / 3 * 2).saturating_sub(early)
}

/// What kind of failure it was, as far as the next attempt depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The authority refuses, or could not validate the host: most often something has to be put right first, and
    /// authorities count failures (Let's Encrypt: five an hour for a host).
    Refused,
    /// The authority says that there were too many requests.
    Limited,
    /// The authority, or every node, cannot be reached; or it takes long.
    Unreachable,
}

/// How long to wait after the `failures`-th failure in a row, given what the authority asked for in `Retry-After` and a
/// random number from 0 to 1, which makes it up to a tenth longer.
pub(crate) fn pause(kind: Kind, failures: u32, asked: Option<Duration>, random: f64) -> Duration {
    const HOUR: u64 = 3600;
    let (first, factor, most) = match kind {
        Kind::Refused => (120, 4_u64, 12 * HOUR),
        Kind::Limited => (HOUR, 2, 24 * HOUR),
        Kind::Unreachable => (2, 2, HOUR / 4),
    };
    let seconds = factor.saturating_pow(failures.saturating_sub(1)).saturating_mul(first).min(most);
    let asked = asked.unwrap_or_default().min(Duration::from_secs(7 * 24 * HOUR));
    Duration::from_secs(seconds).max(asked).mul_f64(1.0 + random.clamp(0.0, 1.0) / 10.0)
}

/// Counts new orders, so that deploys of many hosts do not use up what the authority allows the account.
#[derive(Debug, Default)]
pub(crate) struct Window(VecDeque<UnixMillis>);

impl Window {
    /// Counts an order at `now`, or says when there is room for one again.
    pub(crate) fn admit(&mut self, now: UnixMillis) -> Result<(), UnixMillis> {
        while self.0.front().is_some_and(|first| first.saturating_add(WINDOW) <= now) {
            self.0.pop_front();
        }
        match self.0.front() {
            Some(first) if self.0.len() >= ORDERS => Err(first.saturating_add(WINDOW)),
            _ => {
                self.0.push_back(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
