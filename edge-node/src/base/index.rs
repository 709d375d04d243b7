//! The index of a base: where in the base each app's state is, what the app is called, and where it answers.
//!
//! It is searched as it lies on disk, so that a node with ten thousand apps makes nothing of them when it starts. It is
//! only worth something with the very base that it was made for, which its head names; who has none makes it anew of the
//! base. Little-endian: `MAGIC`, CRC-32 of the rest, [`Head`], and the tables one behind the other; the last is text,
//! in which the others name their places. Tables that are searched are sorted by the hash of what is searched for, then
//! by the text itself: hashes that were made to be equal cost nobody anything.

use std::cmp::Ordering;
use std::ops::Range;

use crate::routing::{Parts, RoutePattern, normalize_host};
use crate::source::Source;

const MAGIC: &[u8; 8] = b"ATOLLX1\n";

/// Who has written it. Another version of the program may read states otherwise, so it reads them all, once.
const WRITER: &str = env!("CARGO_PKG_VERSION");

/// Bytes of a row: a place, a length and a name, and flags; a hash and a row of the apps; a hash, a host, a path, a row of
/// the apps, the place among its routes, and flags.
const APP: usize = 24;
const NAME: usize = 8;
const ROUTE: usize = 32;
/// And of a list of apps.
const LISTED: usize = 4;

/// Flags of apps.
const DEFAULT_ROUTE: u32 = 1;

/// Flags of routes.
const PREFIX: u32 = 1;
const APEX: u32 = 2;

/// Which base an index is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The base's generation.
    pub generation: u64,
    /// Its length, bytes.
    pub length: u64,
    /// Its checksum.
    pub checksum: u32,
    /// Where the field with its apps begins.
    pub apps_at: u64,
}

/// An index that has been read.
pub struct Index {
    tables: Vec<u8>,
    /// Where each table is.
    apps: Range<usize>,
    names: Range<usize>,
    exact: Range<usize>,
    below: Range<usize>,
    with_crons: Range<usize>,
    unlike_their_hosts: Range<usize>,
    text: Range<usize>,
}

/// An app of an index.
#[derive(Clone, Copy, Debug)]
pub struct App<'a> {
    /// Where in the base its state is.
    pub at: u64,
    /// How long that is, bytes.
    pub length: u32,
    /// The app's name.
    pub name: &'a str,
    flags: u32,
}

impl App<'_> {
    /// Whether it answers by its name.
    pub fn default_route(&self) -> bool {
        self.flags & DEFAULT_ROUTE != 0
    }
}

/// A route of an index.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    /// What it says.
    pub parts: Parts<'a>,
    /// Whose it is.
    pub app: u32,
    /// Its place among the app's routes.
    pub position: usize,
}

/// What an index is made of.
#[derive(Default)]
pub struct Builder {
    apps: Vec<u8>,
    names: Vec<(u32, String, u32)>,
    routes: Vec<(RoutePattern, u32, u32)>,
    with_crons: Vec<u32>,
    unlike_their_hosts: Vec<u32>,
    text: String,
}

/// More than 4 GiB: there is no index of that.
#[derive(Debug, thiserror::Error)]
#[error("there are more apps, or more of their names and routes, than an index has room for")]
pub struct TooLarge;

impl Builder {
    /// The next app, whose state is at a place in the base.
    pub fn add(&mut self, name: &str, (at, length): (u64, usize), source: &Source) -> Result<(), TooLarge> {
        let number = u32::try_from(self.names.len()).map_err(|_| TooLarge)?;
        let [name_at, name_length] = self.put(name)?;
        let unlike_its_host = normalize_host(name) != name || name.contains(':');
        self.with_crons.extend(source.has_crons.then_some(number));
        self.unlike_their_hosts.extend((source.default_route && unlike_its_host).then_some(number));
        let flags = if source.default_route { DEFAULT_ROUTE } else { 0 };
        self.apps.extend_from_slice(&at.to_le_bytes());
        put_numbers(&mut self.apps, &[u32::try_from(length).map_err(|_| TooLarge)?, name_at, name_length, flags]);
        self.names.push((hash(name), name.to_owned(), number));
        for (position, route) in source.routes.iter().enumerate() {
            // What is wrong with one is said when the app is asked for.
            if let Ok(pattern) = RoutePattern::parse(route) {
                self.routes.push((pattern, number, u32::try_from(position).map_err(|_| TooLarge)?));
            }
        }
        Ok(())
    }

    /// The bytes of the index.
    pub fn finish(mut self, head: Head) -> Result<Vec<u8>, TooLarge> {
        self.names.sort_unstable();
        // The names of apps decide last between patterns, so routes are sorted by those too.
        let mut ranks = vec![0; self.names.len()];
        let mut by_name: Vec<_> = self.names.iter().map(|(_, name, number)| (name, *number)).collect();
        by_name.sort_unstable();
        for (rank, (_, number)) in by_name.into_iter().enumerate() {
            ranks[number as usize] = rank;
        }
        let mut routes = std::mem::take(&mut self.routes);
        routes.sort_by(|(a, a_app, a_position), (b, b_app, b_position)| {
            let (a, b) = (a.parts(), b.parts());
            let by_host = (hash(a.host), a.host).cmp(&(hash(b.host), b.host));
            let by_path = || (b.path.len(), a.prefix, a.apex).cmp(&(a.path.len(), b.prefix, b.apex));
            let by_rank = || (ranks[*a_app as usize], a_position).cmp(&(ranks[*b_app as usize], b_position));
            by_host.then_with(by_path).then_with(by_rank)
        });
        let (mut exact, mut below) = (Vec::new(), Vec::new());
        for (pattern, app, position) in &routes {
            let parts = pattern.parts();
            let table = if parts.wildcard { &mut below } else { &mut exact };
            let [host_at, host_length] = self.put(parts.host)?;
            let [path_at, path_length] = self.put(parts.path)?;
            let flags = if parts.prefix { PREFIX } else { 0 } | if parts.apex { APEX } else { 0 };
            let row = [hash(parts.host), host_at, host_length, path_at, path_length, *app, *position, flags];
            put_numbers(table, &row);
        }
        let mut out = Vec::with_capacity(self.apps.len() + exact.len() + below.len() + self.text.len() + 1024);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[0; 4]);
        put_numbers(&mut out, &[u32::try_from(WRITER.len()).map_err(|_| TooLarge)?]);
        out.extend_from_slice(WRITER.as_bytes());
        for number in [head.generation, head.length, u64::from(head.checksum), head.apps_at] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let lists = [self.with_crons.len(), self.unlike_their_hosts.len()];
        let counts = [self.apps.len() / APP, self.names.len(), exact.len() / ROUTE, below.len() / ROUTE];
        for count in counts.into_iter().chain(lists) {
            put_numbers(&mut out, &[u32::try_from(count).map_err(|_| TooLarge)?]);
        }
        out.extend_from_slice(&self.apps);
        for (hash, _, number) in &self.names {
            put_numbers(&mut out, &[*hash, *number]);
        }
        out.extend_from_slice(&exact);
        out.extend_from_slice(&below);
        put_numbers(&mut out, &self.with_crons);
        put_numbers(&mut out, &self.unlike_their_hosts);
        out.extend_from_slice(self.text.as_bytes());
        let checksum = crc32fast::hash(&out[MAGIC.len() + 4..]);
        out[MAGIC.len()..][..4].copy_from_slice(&checksum.to_le_bytes());
        Ok(out)
    }

    fn put(&mut self, text: &str) -> Result<[u32; 2], TooLarge> {
        let at = u32::try_from(self.text.len()).map_err(|_| TooLarge)?;
        self.text.push_str(text);
        Ok([at, u32::try_from(text.len()).map_err(|_| TooLarge)?])
    }
}

impl Index {
    /// Reads an index; `None` when the bytes are not what this version writes for some base, whole and unchanged.
    pub fn read(bytes: Vec<u8>) -> Option<(Head, Self)> {
        let mut input = bytes.strip_prefix(MAGIC)?;
        let checksum = number(take(&mut input, 4)?, 0);
        if crc32fast::hash(input) != checksum {
            return None;
        }
        let length = number(take(&mut input, 4)?, 0);
        if take(&mut input, length as usize)? != WRITER.as_bytes() {
            return None;
        }
        let mut long = || take(&mut input, 8)?.first_chunk().copied().map(u64::from_le_bytes);
        let [generation, length, checksum, apps_at] = [long()?, long()?, long()?, long()?];
        let head = Head { generation, length, checksum: u32::try_from(checksum).ok()?, apps_at };
        let mut rows = || Some(number(take(&mut input, 4)?, 0) as usize);
        let counts = [rows()?, rows()?, rows()?, rows()?, rows()?, rows()?];
        let mut at = bytes.len() - input.len();
        let mut table = |rows: usize, size: usize| {
            let start = at;
            at = rows.checked_mul(size)?.checked_add(at)?;
            Some(start..at)
        };
        let [apps, names] = [table(counts[0], APP)?, table(counts[1], NAME)?];
        let [exact, below] = [table(counts[2], ROUTE)?, table(counts[3], ROUTE)?];
        let [with_crons, unlike_their_hosts] = [table(counts[4], LISTED)?, table(counts[5], LISTED)?];
        let text = at..bytes.len();
        let is_whole = counts[0] == counts[1] && str::from_utf8(bytes.get(text.clone())?).is_ok();
        let index = Self { tables: bytes, apps, names, exact, below, with_crons, unlike_their_hosts, text };
        is_whole.then_some((head, index))
    }

    /// How many apps there are.
    pub fn len(&self) -> u32 {
        u32::try_from(self.apps.len() / APP).unwrap_or(u32::MAX)
    }

    /// An app; one without a name and a state when there is none of that number.
    pub fn app(&self, app: u32) -> App<'_> {
        let Some(row) = self.apps().get(app as usize) else { return App { at: 0, length: 0, name: "", flags: 0 } };
        let at = row.first_chunk().copied().map(u64::from_le_bytes).unwrap_or_default();
        App { at, length: number(row, 8), name: self.text(row, 12), flags: number(row, 20) }
    }

    /// The app of a name.
    pub fn find(&self, name: &str) -> Option<u32> {
        let (names, wanted) = (rows::<NAME>(&self.tables[self.names.clone()]), hash(name));
        let name_of = |row: &[u8; NAME]| {
            self.apps().get(number(row, 4) as usize).map(|row| self.bytes(row, 12)).unwrap_or_default()
        };
        let at = names.partition_point(|row| order(number(row, 0), || name_of(row), wanted, name) == Ordering::Less);
        let found = names.get(at).filter(|row| number(*row, 0) == wanted && name_of(row) == name.as_bytes());
        found.map(|row| number(row, 4))
    }

    /// The routes for exactly this host, those that go first before others.
    pub fn exact<'a>(&'a self, host: &'a str) -> impl Iterator<Item = Route<'a>> {
        self.routes(&self.exact, host, false)
    }

    /// The routes for hosts below this domain, in the same order.
    pub fn below<'a>(&'a self, domain: &'a str) -> impl Iterator<Item = Route<'a>> {
        self.routes(&self.below, domain, true)
    }

    /// The apps of which something may be due.
    pub fn with_crons(&self) -> impl Iterator<Item = u32> {
        rows::<LISTED>(&self.tables[self.with_crons.clone()]).iter().map(|row| number(row, 0))
    }

    /// The apps that are not found by their own names where they answer by them.
    pub fn unlike_their_hosts(&self) -> impl Iterator<Item = u32> {
        rows::<LISTED>(&self.tables[self.unlike_their_hosts.clone()]).iter().map(|row| number(row, 0))
    }

    /// Whether any route has a wildcard for its host.
    pub fn has_wildcards(&self) -> bool {
        !self.below.is_empty()
    }

    fn routes<'a>(&'a self, table: &Range<usize>, host: &'a str, wildcard: bool) -> impl Iterator<Item = Route<'a>> {
        let routes = rows::<ROUTE>(&self.tables[table.clone()]);
        let wanted = if routes.is_empty() { 0 } else { hash(host) };
        let host_of = |row: &[u8; ROUTE]| self.bytes(row, 4);
        let at = routes.partition_point(|row| order(number(row, 0), || host_of(row), wanted, host) == Ordering::Less);
        let same = move |row: &&[u8; ROUTE]| number(*row, 0) == wanted && self.bytes(*row, 4) == host.as_bytes();
        routes[at..].iter().take_while(same).map(move |row| {
            let flags = number(row, 28);
            let (prefix, apex) = (flags & PREFIX != 0, flags & APEX != 0);
            let parts = Parts { host, wildcard, apex, path: self.text(row, 12), prefix };
            Route { parts, app: number(row, 20), position: number(row, 24) as usize }
        })
    }

    fn apps(&self) -> &[[u8; APP]] {
        rows(&self.tables[self.apps.clone()])
    }

    /// The text whose place and length are there in a row.
    fn text(&self, row: &[u8], at: usize) -> &str {
        str::from_utf8(self.bytes(row, at)).unwrap_or_default()
    }

    /// The same as bytes.
    fn bytes(&self, row: &[u8], at: usize) -> &[u8] {
        let (start, length) = (number(row, at) as usize, number(row, at + 4) as usize);
        self.tables[self.text.clone()].get(start..start.saturating_add(length)).unwrap_or_default()
    }
}

/// How a row with this hash and text stands to what is searched for.
fn order<'a>(hash: u32, text: impl FnOnce() -> &'a [u8], wanted: u32, name: &str) -> Ordering {
    hash.cmp(&wanted).then_with(|| text().cmp(name.as_bytes()))
}

fn rows<const SIZE: usize>(table: &[u8]) -> &[[u8; SIZE]] {
    table.as_chunks().0
}

fn take<'a>(input: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(taken)
}

/// The number at a place; 0 beyond the end.
fn number(row: &[u8], at: usize) -> u32 {
    row.get(at..).and_then(<[u8]>::first_chunk).copied().map(u32::from_le_bytes).unwrap_or_default()
}

fn put_numbers(out: &mut Vec<u8>, numbers: &[u32]) {
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

/// FNV-1a, folded.
fn hash(text: &str) -> u32 {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, mix);
    (hash >> 32) as u32 ^ hash as u32
}
