//! What is measured: a module for each scenario.

mod bundles;
mod cold;
mod fetch;
mod hello;
mod json;
mod many;
mod memory;
mod neighbours;
mod reload;
mod stream;
mod sustained;

use crate::bench::{Bench, Outcome};

/// A scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Scenario {
    /// Hello world under load: CPU time per request.
    Hello,
    /// A JSON API of 20 routes with Hono.
    Json,
    /// 10 MB through a handler.
    Stream,
    /// `fetch` to an origin from a handler.
    Fetch,
    /// The first request of an app that never ran.
    Cold,
    /// The first request of larger apps: Hono, and React on the server.
    Bundles,
    /// Cold starts one after another: how many a second of CPU time.
    Sustained,
    /// Memory of an idle app.
    Memory,
    /// A light app while another burns CPU time on every core.
    Neighbours,
    /// 10,000 apps deployed, 1,000 live.
    Many,
    /// `atoll dev`: from saving a file to its being served.
    Reload,
    /// Cache hits, against nginx and Varnish; only when named, with a report of its own.
    Cached,
}

impl Scenario {
    /// Those that are measured when none is named, in the order of the report.
    pub const ALL: [Self; 11] = [
        Self::Hello,
        Self::Json,
        Self::Stream,
        Self::Fetch,
        Self::Cold,
        Self::Bundles,
        Self::Sustained,
        Self::Memory,
        Self::Neighbours,
        Self::Many,
        Self::Reload,
    ];

    /// Its name on the command line and in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Json => "json",
            Self::Stream => "stream",
            Self::Fetch => "fetch",
            Self::Cold => "cold",
            Self::Bundles => "bundles",
            Self::Sustained => "sustained",
            Self::Memory => "memory",
            Self::Neighbours => "neighbours",
            Self::Many => "many",
            Self::Reload => "reload",
            Self::Cached => "cached",
        }
    }

    /// Its title in the report.
    pub fn title(self) -> &'static str {
        match self {
            Self::Hello => "Warm hello",
            Self::Json => "A JSON API with Hono, 20 routes",
            Self::Stream => "10 MB through a handler",
            Self::Fetch => "`fetch` to an origin",
            Self::Cold => "Cold start, hello",
            Self::Bundles => "Cold start, larger apps",
            Self::Sustained => "Cold starts one after another",
            Self::Memory => "Memory",
            Self::Neighbours => "A busy neighbour",
            Self::Many => "10,000 apps",
            Self::Reload => "Reload after saving a file",
            Self::Cached => "Cache hits",
        }
    }

    /// Measures it. There are no figures when an answer was wrong.
    pub fn measure(self, bench: &Bench) -> anyhow::Result<Outcome> {
        match self {
            Self::Hello => hello::measure(bench),
            Self::Json => json::measure(bench),
            Self::Stream => stream::measure(bench),
            Self::Fetch => fetch::measure(bench),
            Self::Cold => cold::measure(bench),
            Self::Bundles => bundles::measure(bench),
            Self::Sustained => sustained::measure(bench),
            Self::Memory => memory::measure(bench),
            Self::Neighbours => neighbours::measure(bench),
            Self::Many => many::measure(bench),
            Self::Reload => reload::measure(bench),
            Self::Cached => anyhow::bail!("`cached` is measured alone, with a report of its own"),
        }
    }
}
