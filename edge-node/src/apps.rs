//! The apps of a snapshot. Those that the node has read from its disk are made when somebody asks for them, so that a start
//! costs the same whatever their number; those that have changed since are a map of which the next snapshot shares all that
//! stays.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use atoll_bundle::BundleHash;

use crate::app::{AppEntry, Opener};
use crate::base::Base;
use crate::routing::{Beside, Order, normalize_host};
use crate::sharded::Sharded;
use crate::source;
use crate::version::Maker;

/// Apps by name. Clones share what they have in common.
#[derive(Clone, Default)]
pub struct Apps {
    read: Option<Arc<ReadApps>>,
    /// A bit for each app that was read: whether it is not there any more, or another one is in its place.
    hidden: Arc<[u64]>,
    own: Sharded<Arc<AppEntry>>,
}

/// So many apps have memory for what is made of them together, when something is made of one: as many as a word has bits.
const BLOCK: usize = u64::BITS as usize;
type Block = Box<[OnceLock<Arc<AppEntry>>; BLOCK]>;

/// Apps that were read from disk.
struct ReadApps {
    base: Arc<Base>,
    /// What has been made of them, by their numbers.
    made: Box<[OnceLock<Block>]>,
    maker: Arc<Maker>,
    opener: Opener,
    /// What follows an app's name in the host by which it answers.
    domain: String,
}

/// An app's block, or word, and its place there.
fn place(app: u32) -> (usize, usize) {
    (app as usize / BLOCK, app as usize % BLOCK)
}

impl ReadApps {
    /// The app with this number, which is made now if it was not before.
    fn entry(&self, app: u32) -> Option<&Arc<AppEntry>> {
        let make = || Arc::new(AppEntry::new(&self.maker, &self.base.source(app), &self.opener, None, None));
        let (block, bit) = place(app);
        let block = self.made.get(block)?.get_or_init(|| Box::new([const { OnceLock::new() }; BLOCK]));
        Some(block[bit].get_or_init(make))
    }
}

impl Apps {
    /// The apps of a base, made with `maker` when they are asked for; `opener` must be able to open all their secrets.
    pub fn read(base: &Arc<Base>, maker: &Arc<Maker>, opener: &Opener) -> Self {
        let blocks = (base.len() as usize).div_ceil(BLOCK);
        let host = format!("app.{}", maker.default_domain);
        let read = ReadApps {
            base: base.clone(),
            made: (0..blocks).map(|_| OnceLock::new()).collect(),
            maker: maker.clone(),
            opener: opener.clone(),
            domain: normalize_host(&host).strip_prefix("app").unwrap_or_default().to_owned(),
        };
        Self { read: Some(Arc::new(read)), hidden: vec![0; blocks].into(), own: Sharded::default() }
    }

    /// The app of a name.
    pub fn get(&self, name: &str) -> Option<&Arc<AppEntry>> {
        self.own.get(name).or_else(|| {
            let (read, app) = self.find_read(name)?;
            read.entry(app)
        })
    }

    /// Whether the app of a name has this state. Nothing is made of it.
    pub fn is_of(&self, name: &str, text: &[u8]) -> bool {
        match (self.own.get(name), self.find_read(name)) {
            (Some(own), _) => own.is_of(text),
            (None, Some((read, app))) => read.base.text(app) == text,
            (None, None) => false,
        }
    }

    /// Puts an app in the place of the one that has its name. Returns that if it was put there too.
    pub fn insert(&mut self, app: &Arc<AppEntry>) -> Option<Arc<AppEntry>> {
        let previous = self.remove(&app.name);
        self.own.insert(app.name.clone(), app.clone());
        previous
    }

    /// Takes the app of a name out. Returns it if it was put there.
    pub fn remove(&mut self, name: &str) -> Option<Arc<AppEntry>> {
        if let Some((_, app)) = self.find_read(name) {
            let (word, bit) = place(app);
            Arc::make_mut(&mut self.hidden)[word] |= 1 << bit;
        }
        self.own.remove(name)
    }

    /// The names of all apps, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let read = self.still_read().map(|(read, app)| read.base.name(app));
        read.chain(self.own.iter().map(|(name, _)| name))
    }

    /// The bundles that all apps name. Nothing is made of any app.
    pub fn bundles(&self) -> impl Iterator<Item = BundleHash> {
        let read = self.still_read().flat_map(|(read, app)| source::bundles(read.base.text(app)));
        read.chain(self.own.values().flat_map(|app| app.bundles()))
    }

    /// Makes what the first requests would make to those apps that name one of the bundles.
    pub fn make_ready(&self, bundles: &HashSet<BundleHash>) {
        let names_one = |named: Vec<BundleHash>| named.iter().any(|bundle| bundles.contains(bundle));
        for (read, app) in self.still_read().filter(|(read, app)| names_one(source::bundles(read.base.text(*app)))) {
            read.entry(app).into_iter().for_each(|entry| entry.make_ready());
        }
        self.own.values().filter(|entry| names_one(entry.bundles())).for_each(|entry| entry.make_ready());
    }

    /// Those apps, of what was read, of which something may be due.
    pub fn read_with_crons(&self) -> impl Iterator<Item = &Arc<AppEntry>> {
        self.read.iter().flat_map(|read| read.base.with_crons().filter_map(|app| self.entry(read, app)))
    }

    /// Those apps, of what was read, that cannot be found by the hosts by which they answer.
    pub fn read_unlike_their_hosts(&self) -> impl Iterator<Item = &Arc<AppEntry>> {
        self.read.iter().flat_map(|read| read.base.unlike_their_hosts().filter_map(|app| self.entry(read, app)))
    }

    fn entry<'a>(&self, read: &'a ReadApps, app: u32) -> Option<&'a Arc<AppEntry>> {
        self.counts(app).then(|| read.entry(app)).flatten()
    }

    fn still_read(&self) -> impl Iterator<Item = (&ReadApps, u32)> {
        let all = self.read.iter().flat_map(|read| (0..read.base.len()).map(move |app| (&**read, app)));
        all.filter(|(_, app)| self.counts(*app))
    }

    /// An app that was read, if it is there still.
    fn find_read(&self, name: &str) -> Option<(&ReadApps, u32)> {
        let read = self.read.as_deref()?;
        read.base.find(name).filter(|app| self.counts(*app)).map(|app| (read, app))
    }

    /// Whether an app that was read is there still.
    fn counts(&self, app: u32) -> bool {
        let (word, bit) = place(app);
        self.hidden.get(word).is_some_and(|bits| bits & (1 << bit) == 0)
    }
}

/// The routes of what was read.
impl Beside<Arc<AppEntry>> for Apps {
    type Number = u32;

    fn exact<'a>(&'a self, host: &str, path: &str) -> Option<(Order<'a>, u32)> {
        let read = self.read.as_deref()?;
        read.base.exact(host, path, |app| self.counts(app)).or_else(|| {
            // Whatever is written down goes before this.
            read.base.by_default(host.strip_suffix(&read.domain)?, path, |app| self.counts(app))
        })
    }

    fn below<'a>(&'a self, domain: &str, path: &str, at_apex: bool) -> Option<(Order<'a>, u32)> {
        self.read.as_deref()?.base.below(domain, path, at_apex, |app| self.counts(app))
    }

    fn has_wildcards(&self) -> bool {
        self.read.as_ref().is_some_and(|read| read.base.has_wildcards())
    }

    fn target(&self, app: u32) -> Option<&Arc<AppEntry>> {
        self.read.as_ref()?.entry(app)
    }
}
