//! A figure: what each server measured in each turn, how they compare, and what was aimed at.

use std::collections::BTreeMap;

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use crate::stats::median;

/// The server that the others are compared with.
pub const OURS: &str = "atoll";

/// One measure of all servers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figure {
    /// What is measured.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Which is better.
    pub better: Better,
    /// What was aimed at.
    pub targets: Vec<Target>,
    /// One value for each turn, by server.
    pub turns: BTreeMap<String, Vec<f64>>,
}

/// Which of two values is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    Lower,
    Higher,
}

/// What was aimed at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// At most so much, in the figure's unit.
    AtMost(f64),
    /// At least so many times as good as that server; below 1, it may be that much worse.
    TimesAsGood { than: String, least: f64 },
}

/// Whether a target is reached, in words.
#[derive(Debug, PartialEq)]
pub struct Verdict {
    /// What was aimed at.
    pub aim: String,
    /// What was measured.
    pub measured: String,
    /// Whether it is reached; `None` when the server to compare with has no figure.
    pub reached: Option<bool>,
}

impl Figure {
    /// A figure without values.
    pub fn new(name: impl Into<String>, unit: &str, better: Better) -> Self {
        Self { name: name.into(), unit: unit.to_owned(), better, targets: Vec::new(), turns: BTreeMap::new() }
    }

    /// One where less is better.
    pub fn lower(name: impl Into<String>, unit: &str) -> Self {
        Self::new(name, unit, Better::Lower)
    }

    /// One where more is better.
    pub fn higher(name: impl Into<String>, unit: &str) -> Self {
        Self::new(name, unit, Better::Higher)
    }

    /// Aims at so much at most.
    pub fn at_most(mut self, value: f64) -> Self {
        self.targets.push(Target::AtMost(value));
        self
    }

    /// Aims at being so many times as good as another server.
    pub fn times_as_good_as(mut self, than: &str, least: f64) -> Self {
        self.targets.push(Target::TimesAsGood { than: than.to_owned(), least });
        self
    }

    /// Adds what a turn measured. A value that is no number is an error.
    pub fn add(&mut self, server: &str, value: f64) -> anyhow::Result<()> {
        ensure!(value.is_finite() && value >= 0.0, "{}: {value} is no figure", self.name);
        self.turns.entry(server.to_owned()).or_default().push(value);
        Ok(())
    }

    /// The median of a server's turns.
    pub fn median(&self, server: &str) -> Option<f64> {
        Some(median(self.turns.get(server)?.iter().copied()))
    }

    /// The least and the greatest of a server's turns.
    pub fn spread(&self, server: &str) -> Option<(f64, f64)> {
        let turns = self.turns.get(server)?;
        let fold = |start, pick: fn(f64, f64) -> f64| turns.iter().copied().fold(start, pick);
        Some((fold(f64::INFINITY, f64::min), fold(f64::NEG_INFINITY, f64::max)))
    }

    /// How many times as good ours is as `server`; below 1, worse.
    pub fn times_as_good(&self, server: &str) -> Option<f64> {
        let (ours, theirs) = (self.median(OURS)?, self.median(server)?);
        Some(match self.better {
            Better::Lower => theirs / ours,
            Better::Higher => ours / theirs,
        })
    }

    /// The servers, the best first.
    pub fn ranking(&self) -> Vec<&str> {
        let mut servers: Vec<&str> = self.turns.keys().map(String::as_str).collect();
        let value = |server: &str| self.median(server).unwrap_or(f64::NAN);
        servers.sort_by(|a, b| match self.better {
            Better::Lower => value(a).total_cmp(&value(b)),
            Better::Higher => value(b).total_cmp(&value(a)),
        });
        servers
    }

    /// How each target fared.
    pub fn verdicts(&self) -> Vec<Verdict> {
        self.targets.iter().map(|target| self.verdict(target)).collect()
    }

    fn verdict(&self, target: &Target) -> Verdict {
        match target {
            Target::AtMost(most) => {
                let ours = self.median(OURS);
                let measured = ours.map_or_else(|| "nothing".into(), |ours| format!("{} {}", digits(ours), self.unit));
                Verdict {
                    aim: format!("at most {} {}", digits(*most), self.unit),
                    measured,
                    reached: ours.map(|ours| ours <= *most),
                }
            }
            Target::TimesAsGood { than, least } => {
                let times = self.times_as_good(than);
                let words = |times: f64| match self.better {
                    Better::Lower if *least < 1.0 => format!("{:.2} times that of {than}", 1.0 / times),
                    _ => format!("{times:.2} times as good as {than}"),
                };
                let aim = match self.better {
                    Better::Lower if *least < 1.0 => format!("at most {}", words(*least)),
                    _ => format!("at least {}", words(*least)),
                };
                let measured = times.map_or_else(|| format!("nothing of {than}"), words);
                Verdict { aim, measured, reached: times.map(|times| times >= *least) }
            }
        }
    }
}

/// Three significant digits.
pub fn digits(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(better: Better, values: &[(&str, &[f64])]) -> Figure {
        let mut figure = Figure::new("time", "ms", better);
        for (server, turns) in values {
            for value in *turns {
                figure.add(server, *value).unwrap();
            }
        }
        figure
    }

    #[test]
    fn ratios_say_how_much_better_ours_is() {
        let lower = figure(Better::Lower, &[("atoll", &[2.0, 1.0, 9.0]), ("x", &[6.0])]);
        assert_eq!(lower.times_as_good("x"), Some(3.0));
        assert_eq!(lower.spread("atoll"), Some((1.0, 9.0)));
        assert_eq!(lower.ranking(), ["atoll", "x"]);
        let higher = figure(Better::Higher, &[("atoll", &[2.0]), ("x", &[6.0])]);
        assert_eq!(higher.times_as_good("x"), Some(1.0 / 3.0));
        assert_eq!(higher.ranking(), ["x", "atoll"]);
        assert_eq!(higher.times_as_good("y"), None);
    }

    #[test]
    fn targets_are_reached_or_not() {
        let figure = figure(Better::Lower, &[("atoll", &[2.0]), ("x", &[6.0]), ("floor", &[1.0])]);
        let figure = figure.at_most(1.5).times_as_good_as("x", 3.0).times_as_good_as("floor", 1.0 / 1.3);
        let figure = figure.times_as_good_as("y", 1.0);
        let verdicts = figure.verdicts();
        assert_eq!(verdicts[0].aim, "at most 1.50 ms");
        assert_eq!(
            verdicts.iter().map(|verdict| verdict.reached).collect::<Vec<_>>()[..],
            [Some(false), Some(true), Some(false), None]
        );
        assert_eq!(verdicts[2].aim, "at most 1.30 times that of floor");
        assert_eq!(verdicts[2].measured, "2.00 times that of floor");
    }

    #[test]
    fn what_is_no_number_is_no_figure() {
        let mut figure = Figure::lower("time", "ms");
        assert!(figure.add("atoll", f64::NAN).is_err() && figure.add("atoll", f64::INFINITY).is_err());
        assert!(figure.turns.is_empty());
    }
}
