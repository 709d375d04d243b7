//! The table of cases.
//!
//! ```toml
//! [[case]]
//! name = "a lifetime in Cache-Control"
//! answers = ["200 | Cache-Control: max-age=5000"]   # of the origin, in turn; the last one again and again
//! asks = ["GET", "GET | Range: bytes=0-1"]          # in turn: `[until asked: ]METHOD[ SUFFIX OF THE PATH][ | FIELD]…`
//! all = ["fetched 200 first", "stored 206 fi"]      # what came of each; or:
//! atoll = […]
//! nginx = […]
//! varnish = […]
//! because = "RFC 9111 §…: …"                        # where the three differ
//! ```
//!
//! An answer is `STATUS[ | FIELD]…`. Its body is `first`, `second` and so on, by how often the origin was asked in the
//! case. Status 0: the origin closes the connection without a word. In fields `{date+N}` is a date N seconds from now,
//! and `{self}` the case's path. A field `cut` makes the origin announce more than it sends.

use std::path::Path;

use serde::Deserialize;

/// What one case is, and what becomes of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it is about.
    pub name: String,
    /// What the origin answers.
    pub answers: Vec<String>,
    asks: Vec<String>,
    /// Whether `Age` is compared.
    #[serde(default)]
    pub shows_age: bool,
    all: Option<Vec<String>>,
    atoll: Option<Vec<String>>,
    nginx: Option<Vec<String>>,
    varnish: Option<Vec<String>>,
    because: Option<String>,
}

/// A request of a case.
pub struct Ask {
    /// It is repeated until the origin is asked.
    pub until_asked: bool,
    /// The method.
    pub method: String,
    /// What follows the case's path.
    pub suffix: String,
    /// Its fields.
    pub headers: Vec<(String, String)>,
}

impl Case {
    /// The requests in turn.
    pub fn asks(&self) -> impl Iterator<Item = Ask> {
        self.asks.iter().map(|text| {
            let (until_asked, text) = text.strip_prefix("until asked: ").map_or((false, text.as_str()), |t| (true, t));
            let mut parts = text.split(" | ");
            let line = parts.next().unwrap_or_default();
            let (method, suffix) = line.split_once(' ').unwrap_or((line, ""));
            let headers = parts.map(field).collect();
            Ask { until_asked, method: method.into(), suffix: suffix.into(), headers }
        })
    }

    /// What the table says of a cache.
    pub fn expected(&self, cache: &str) -> &[String] {
        let own = match cache {
            "atoll" => &self.atoll,
            "nginx" => &self.nginx,
            _ => &self.varnish,
        };
        own.as_ref().or(self.all.as_ref()).map_or(&[], Vec::as_slice)
    }

    /// Whether the same comes of it everywhere.
    pub fn agree(&self) -> bool {
        self.all.is_some()
    }

    fn complaint(&self) -> Option<String> {
        let own = [&self.atoll, &self.nginx, &self.varnish];
        let wrong = match self.all {
            Some(_) if own.iter().any(|of| of.is_some()) || self.because.is_some() => "`all` stands alone",
            None if own.iter().any(|of| of.is_none()) => "either `all`, or each of the three",
            None if own[0] == own[1] && own[1] == own[2] => "the three are the same: say `all`",
            None if self.because.as_deref().unwrap_or_default().is_empty() => "`because` names the clause that decides",
            _ => return None,
        };
        Some(format!("{}: {wrong}", self.name))
    }
}

/// A header field of the table.
pub fn field(text: &str) -> (String, String) {
    let (name, value) = text.split_once(':').unwrap_or_else(|| panic!("no field: {text:?}"));
    (name.trim().to_owned(), value.trim().to_owned())
}

/// All cases.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    case: Vec<Case>,
}

impl Cases {
    /// Those of a file.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// In the order of the file.
    pub fn all(&self) -> &[Case] {
        &self.case
    }

    /// What is wrong with the table itself.
    pub fn complaints(&self) -> Vec<String> {
        self.case.iter().filter_map(Case::complaint).collect()
    }
}
