//! What every scenario is given: the servers, how much is to be measured, and turns that alternate.

use std::path::PathBuf;

use anyhow::Context;

use crate::figure::{Figure, OURS};
use crate::peers::atoll::Atoll;
use crate::peers::bare_hyper::BareHyper;
use crate::peers::programs::{self, Program};
use crate::peers::workerd::{self, Workerd};
use crate::peers::{Peer, Prepared};
use crate::report::progress;
use crate::site::Site;

/// The servers and how much is measured.
pub struct Bench {
    /// Fewer and shorter turns: to see that it works, not for figures.
    pub quick: bool,
    /// Where peers and built apps are kept.
    pub out: PathBuf,
    /// Ours.
    pub atoll: Atoll,
    /// Ours, as `cargo xtask dist` builds it.
    pub dist: Option<Atoll>,
    /// Bundled apps for every server.
    pub workerd: Workerd,
    /// Deno, Bun and Node.js.
    pub programs: [Program; 3],
}

/// What a scenario measured.
pub struct Outcome {
    /// The figures.
    pub figures: Vec<Figure>,
    /// How it was measured, a sentence or two each.
    pub notes: Vec<String>,
}

/// How long a server is loaded.
#[derive(Clone, Copy)]
pub struct Length {
    /// Turns of each server.
    pub rounds: usize,
    /// Length of the load, milliseconds.
    pub load_ms: u64,
    /// Length of the load that warms up, milliseconds.
    pub warmup_ms: u64,
}

impl Bench {
    /// Fetches what is not on this machine.
    pub fn new(
        quick: bool,
        out: PathBuf,
        atoll: PathBuf,
        dist: Option<PathBuf>,
        workerd: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let npm = out.join("npm");
        let workerd = match workerd {
            Some(path) => path,
            None => workerd::fetch(&npm)?,
        };
        let (atoll, workerd) = (Atoll::new(atoll)?, Workerd::new(workerd)?);
        let dist = dist.map(Atoll::dist).transpose()?;
        Ok(Self { quick, atoll, dist, workerd, programs: programs::all(&npm)?, out })
    }

    /// `full` for figures, less to see that it works.
    pub fn length(&self, full: Length) -> Length {
        if self.quick { Length { rounds: 1, load_ms: 700, warmup_ms: 300 } } else { full }
    }

    /// `full` for figures, `quick` to see that it works.
    pub fn count(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// The one of Deno, Bun and Node.js that is called so.
    pub fn program(&self, name: &str) -> anyhow::Result<&Program> {
        self.programs.iter().find(|program| program.name() == name).with_context(|| format!("there is no {name}"))
    }

    /// Those that host many apps.
    pub fn platforms(&self) -> Vec<&dyn Peer> {
        let dist = self.dist.as_ref().map(|dist| dist as &dyn Peer);
        [&self.atoll as &dyn Peer].into_iter().chain(dist).chain([&self.workerd as &dyn Peer]).collect()
    }

    /// Those that run JavaScript.
    pub fn runtimes(&self) -> Vec<&dyn Peer> {
        let programs = self.programs.iter().map(|program| program as &dyn Peer);
        self.platforms().into_iter().chain(programs).collect()
    }

    /// All of them.
    pub fn everybody(&self) -> Vec<&dyn Peer> {
        [self.runtimes(), vec![&BareHyper]].concat()
    }

    /// What they are.
    pub fn versions(&self) -> Vec<String> {
        self.everybody().iter().map(|peer| peer.version()).collect()
    }
}

/// Measures the peers in turns, A, B, A, B and so on, each turn with what `turn` starts, so that a machine that gets
/// slower in between favours none. A turn gives a value for each figure, in their order. An error of ours ends the scenario;
/// a peer with an error has no figures in it, and a note says why.
pub fn alternate(
    rounds: usize,
    peers: &[&dyn Peer],
    site: &Site,
    figures: Vec<Figure>,
    mut turn: impl FnMut(&dyn Peer, &dyn Prepared) -> anyhow::Result<Vec<f64>>,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome { figures, notes: Vec::new() };
    let mut taking_part = Vec::new();
    for peer in peers {
        progress(&format!("  preparing {}", peer.name()));
        taking_part.push((*peer, peer.prepare(site).with_context(|| peer.name())?));
    }
    for round in 1..=rounds {
        let mut dropped = Vec::new();
        for (peer, prepared) in &taking_part {
            progress(&format!("  round {round} of {rounds}: {}", peer.name()));
            let values = turn(*peer, prepared.as_ref()).and_then(|values| {
                let figures = outcome.figures.iter_mut().zip(values);
                figures.map(|(figure, value)| figure.add(peer.name(), value)).collect::<anyhow::Result<Vec<()>>>()
            });
            match values {
                Ok(_) => {}
                Err(error) if peer.name() == OURS => return Err(error.context(format!("{OURS}, round {round}"))),
                Err(error) => {
                    progress(&format!("  {} has no figures here: {error:#}", peer.name()));
                    outcome.notes.push(format!("No figures of {}: {}", peer.name(), brief(&error)));
                    dropped.push(peer.name());
                }
            }
        }
        for name in dropped {
            taking_part.retain(|(peer, _)| peer.name() != name);
            outcome.figures.iter_mut().for_each(|figure| drop(figure.turns.remove(name)));
        }
    }
    Ok(outcome)
}

/// The beginning of an error in one line.
fn brief(error: &anyhow::Error) -> String {
    let line = format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(160).collect()
}
