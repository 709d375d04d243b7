//! A base: the file with a node's whole state, as text, and beside it an index of where each app's state is.
//!
//! `state.json` is JSON, `{"generation":N,"checksum":"…","history":…,…,"apps":{…}}`, and all there is to know; versions of
//! the program before this one read it too. Its checksum covers every byte but its own, so that damage is found when the
//! file is read. `state-N.index` (see [`index`]) is there to read it faster: with it nothing is made of an app until
//! somebody asks for it, and without it, or when it is damaged or not of this very base, the whole text is read.

mod index;
mod states;

use std::collections::BTreeMap;
use std::ops::Range;

use atoll_protocol::certificates::CertificateState;
use bytes::Bytes;
use serde::Serialize;

use self::index::{Builder, Head, Index, TooLarge};
pub use self::states::{Kept, States};
use crate::routing::Order;
use crate::saved::SavedState;
use crate::source::Source;

/// What a base begins with, before its generation.
const GENERATION: &str = "{\"generation\":";
/// Before its checksum, eight hexadecimal digits; and behind that.
const CHECKSUM: &str = ",\"checksum\":\"";
const CHECKSUM_END: &str = "\",";
const CHECKSUM_DIGITS: usize = 8;
/// What the fields of a state begin with.
const FIRST_FIELD: &str = "\"history\":";
/// What the last field begins with.
const APPS: &str = ",\"apps\":{";

/// Apps as they were read from disk, of which nothing has been made yet.
pub struct Base {
    text: Bytes,
    index: Index,
}

/// What is wrong with a base.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// It begins with something else than a base.
    #[error("it does not begin as a state does, with {GENERATION:?} and {FIRST_FIELD:?}")]
    Beginning,
    /// It was changed.
    #[error("its checksum is {written:08x}, but that of its content is {counted:08x}: it was damaged")]
    Checksum {
        /// What it says of itself.
        written: u32,
        /// What it is.
        counted: u32,
    },
    /// It is no state.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// What a base says of itself.
#[derive(Clone, Copy, Debug)]
struct Beginning {
    /// 0 of versions of the program that had none.
    generation: u64,
    /// None of versions that had none.
    checksum: Option<u32>,
}

impl Beginning {
    fn of(text: &[u8]) -> Option<Self> {
        let Some(rest) = text.strip_prefix(GENERATION.as_bytes()) else {
            let is_old = text.strip_prefix(b"{")?.starts_with(FIRST_FIELD.as_bytes());
            return is_old.then_some(Self { generation: 0, checksum: None });
        };
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let generation = str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
        let rest = &rest[digits..];
        let Some(rest) = rest.strip_prefix(CHECKSUM.as_bytes()) else {
            let is_old = rest.strip_prefix(b",")?.starts_with(FIRST_FIELD.as_bytes());
            return is_old.then_some(Self { generation, checksum: None });
        };
        let (digits, rest) = rest.split_at_checked(CHECKSUM_DIGITS)?;
        let checksum = u32::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
        let goes_on = rest.strip_prefix(CHECKSUM_END.as_bytes())?.starts_with(FIRST_FIELD.as_bytes());
        let is_whole = goes_on && digits == hexadecimal(checksum).as_bytes();
        is_whole.then_some(Self { generation, checksum: Some(checksum) })
    }

    /// Where the checksum is in the text of a base of this generation.
    fn checksum_at(self) -> Range<usize> {
        let start = GENERATION.len() + self.generation.to_string().len() + CHECKSUM.len();
        start..start + CHECKSUM_DIGITS
    }

    /// The checksum that the text should have.
    fn count(self, text: &[u8]) -> u32 {
        let Range { start, end } = self.checksum_at();
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(text.get(..start).unwrap_or(text));
        hasher.update(text.get(end..).unwrap_or_default());
        hasher.finalize()
    }
}

/// A checksum as it is written.
fn hexadecimal(checksum: u32) -> String {
    format!("{checksum:08x}")
}

/// A base as it is read.
pub struct Read {
    /// Which log belongs to it.
    pub generation: u64,
    /// The state.
    pub state: SavedState,
    /// Whether it came with its index.
    pub indexed: bool,
}

/// Reads a base. `index` gives the bytes of the index of a generation, if there are any.
pub fn read(text: Bytes, index: impl FnOnce(u64) -> Option<Vec<u8>>) -> Result<Read, BaseError> {
    let beginning = Beginning::of(&text).ok_or(BaseError::Beginning)?;
    let generation = beginning.generation;
    if let Some(written) = beginning.checksum {
        let counted = beginning.count(&text);
        if counted != written {
            return Err(BaseError::Checksum { written, counted });
        }
        let index = index(generation).and_then(Index::read);
        if let Some((head, index)) = index
            && (head.generation, head.length, head.checksum) == (generation, text.len() as u64, written)
            && let Some(mut state) = without_apps(&text, head.apps_at)
        {
            state.apps = States::of(Base { text, index });
            return Ok(Read { generation, state, indexed: true });
        }
    }
    Ok(Read { generation, state: serde_json::from_slice(&text)?, indexed: false })
}

/// The state but for its apps, which begin at a place in the text.
fn without_apps(text: &[u8], apps_at: u64) -> Option<SavedState> {
    let (fields, apps) = text.split_at_checked(usize::try_from(apps_at).ok()?)?;
    let fields = apps.starts_with(APPS.as_bytes()).then(|| [fields, APPS.as_bytes(), b"}}"].concat())?;
    serde_json::from_slice(&fields).ok()
}

/// The fields of a state before its apps, as they are written.
#[derive(Serialize)]
struct Fields<'a> {
    history: &'a str,
    revision: u64,
    key: &'a str,
    pending: &'a BTreeMap<String, Source>,
    certificates: &'a BTreeMap<String, CertificateState>,
}

/// The text of a base, and its index; there is none of what is larger than 4 GiB.
pub fn compose(generation: u64, state: &SavedState) -> (Vec<u8>, Option<Vec<u8>>) {
    let SavedState { history, revision, key, pending, certificates, .. } = state;
    let fields = Fields { history, revision: *revision, key, pending, certificates };
    let fields = serde_json::to_string(&fields).expect("a state has string keys only");
    let fields = &fields[1..fields.len() - 1];
    let unknown = hexadecimal(0);
    let mut text = format!("{GENERATION}{generation}{CHECKSUM}{unknown}{CHECKSUM_END}{fields}").into_bytes();
    let apps_at = text.len() as u64;
    text.extend_from_slice(APPS.as_bytes());
    let mut index = Ok(Builder::default());
    for (number, app) in state.apps.iter().enumerate() {
        let separator: &[u8] = if number > 0 { b"," } else { b"" };
        text.extend_from_slice(separator);
        serde_json::to_writer(&mut text, app.name()).expect("a text is written to memory");
        text.push(b':');
        let place = (text.len() as u64, app.text().len());
        text.extend_from_slice(app.text());
        index = index.and_then(|mut index| {
            index.add(app.name(), place, &app.source())?;
            Ok::<_, TooLarge>(index)
        });
    }
    text.extend_from_slice(b"}}");
    let beginning = Beginning { generation, checksum: None };
    let checksum = beginning.count(&text);
    text[beginning.checksum_at()].copy_from_slice(hexadecimal(checksum).as_bytes());
    let head = Head { generation, length: text.len() as u64, checksum, apps_at };
    (text, index.and_then(|index| index.finish(head)).ok())
}

impl Base {
    /// How many apps there are. They have the numbers below that.
    pub fn len(&self) -> u32 {
        self.index.len()
    }

    /// The number of an app.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.index.find(name)
    }

    /// An app's name.
    pub fn name(&self, app: u32) -> &str {
        self.index.app(app).name
    }

    /// An app's state as text.
    pub fn text(&self, app: u32) -> &[u8] {
        self.text.get(self.place(app)).unwrap_or_default()
    }

    /// An app's state. It was understood when it was written, and did not change since.
    pub fn source(&self, app: u32) -> Source {
        let text = match self.text.get(self.place(app)) {
            Some(_) => self.text.slice(self.place(app)),
            None => Bytes::new(),
        };
        Source::read(text.clone()).unwrap_or_else(|_| Source::unreadable(self.name(app), text))
    }

    fn place(&self, app: u32) -> Range<usize> {
        let app = self.index.app(app);
        let at = usize::try_from(app.at).unwrap_or(usize::MAX);
        at..at.saturating_add(app.length as usize)
    }

    /// The apps of which something may be due.
    pub fn with_crons(&self) -> impl Iterator<Item = u32> {
        self.index.with_crons()
    }

    /// The apps that [`by_default`](Self::by_default) does not find, because the host by which they answer does not begin
    /// with their name as it is.
    pub fn unlike_their_hosts(&self) -> impl Iterator<Item = u32> {
        self.index.unlike_their_hosts()
    }

    /// The first of the routes for exactly this host that fits the path, among the apps that count.
    pub fn exact<'a>(&'a self, host: &str, path: &str, counts: impl Fn(u32) -> bool) -> Option<(Order<'a>, u32)> {
        let mut routes = self.index.exact(host);
        let route = routes.find(|route| route.parts.fits(path, false) && counts(route.app))?;
        Some((Order::written(&route.parts, self.name(route.app), route.position), route.app))
    }

    /// The first of the routes for hosts below this domain that fits the path; at the domain itself, of those that take it too.
    pub fn below<'a>(
        &'a self,
        domain: &str,
        path: &str,
        at_apex: bool,
        counts: impl Fn(u32) -> bool,
    ) -> Option<(Order<'a>, u32)> {
        let mut routes = self.index.below(domain);
        let route = routes.find(|route| route.parts.fits(path, at_apex) && counts(route.app))?;
        Some((Order::written(&route.parts, self.name(route.app), route.position), route.app))
    }

    /// The app that answers by this name.
    pub fn by_default(&self, name: &str, path: &str, counts: impl Fn(u32) -> bool) -> Option<(Order<'_>, u32)> {
        let number = self.find(name).filter(|_| path.starts_with('/'))?;
        let app = self.index.app(number);
        (app.default_route() && counts(number)).then(|| (Order::by_default(app.name), number))
    }

    /// Whether any route has a wildcard for its host.
    pub fn has_wildcards(&self) -> bool {
        self.index.has_wildcards()
    }
}

#[cfg(test)]
#[path = "tests.rs"]
pub(crate) mod tests;
