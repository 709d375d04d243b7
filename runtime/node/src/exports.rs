//! Which modules there are, what each exports, and which a worker's flags let it import.

use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Modules and their exports, one module a line. A test compares it with what the modules truly export.
static TABLE: &str = include_str!("exports.txt");

/// Modules that Node.js has and this platform does not.
const ABSENT: [&str; 1] = ["sqlite"];

/// From this compatibility date on, Workers have `nodejs_compat` without the flag, unless `no_nodejs_compat` is set.
const DEFAULT_DATE: &str = "2026-08-04";

/// How much of Node.js a worker's compatibility flags ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compatibility {
    /// Nothing.
    #[default]
    Off,
    /// `nodejs_als`: `AsyncLocalStorage` of `node:async_hooks`.
    AsyncLocalStorage,
    /// `nodejs_compat` together with `no_nodejs_compat_v2`: all modules, and no globals.
    Modules,
    /// `nodejs_compat` (or `nodejs_compat_v2`), or a late compatibility date: all modules and the globals.
    On,
}

impl Compatibility {
    /// What this compatibility date (`YYYY-MM-DD`) and these flags ask for.
    pub fn of<'a>(date: &str, flags: impl IntoIterator<Item = &'a str> + Clone) -> Self {
        let has = |wanted: &str| flags.clone().into_iter().any(|flag| flag == wanted);
        let by_date = date >= DEFAULT_DATE && !has("no_nodejs_compat");
        if has("nodejs_compat_v2") {
            Self::On
        } else if by_date || has("nodejs_compat") {
            if has("no_nodejs_compat_v2") { Self::Modules } else { Self::On }
        } else if has("nodejs_als") {
            Self::AsyncLocalStorage
        } else {
            Self::Off
        }
    }

    /// The module that `specifier` names, without `node:`, when there is one and the flags allow it.
    pub fn module(self, specifier: &str) -> Option<&'static str> {
        let name = specifier.strip_prefix("node:").unwrap_or(specifier);
        let (name, _) = table().get_key_value(name)?;
        match self {
            Self::On | Self::Modules => Some(*name),
            Self::AsyncLocalStorage if *name == "async_hooks" => Some(*name),
            Self::AsyncLocalStorage | Self::Off => None,
        }
    }
}

/// The flag by which the global timers are those of Node.js, the opposite one, and the date from which they are with
/// `nodejs_compat`.
const TIMERS: (&str, &str, &str) = ("enable_nodejs_global_timers", "no_nodejs_global_timers", "2026-02-10");

/// Whether this compatibility date (`YYYY-MM-DD`) and these flags ask for the timers of Node.js on the global. As on
/// Workers, the date does so with `nodejs_compat` and the flag by itself.
pub fn has_timers<'a>(date: &str, flags: impl IntoIterator<Item = &'a str> + Clone) -> bool {
    let has = |wanted: &str| flags.clone().into_iter().any(|flag| flag == wanted);
    let (flag, opposite, since) = TIMERS;
    let has_modules = has("nodejs_compat") || date >= DEFAULT_DATE && !has("no_nodejs_compat");
    has(flag) || has_modules && date >= since && !has(opposite)
}

fn table() -> &'static BTreeMap<&'static str, Vec<&'static str>> {
    static PARSED: OnceLock<BTreeMap<&str, Vec<&str>>> = OnceLock::new();
    PARSED.get_or_init(|| {
        let line = |line: &'static str| {
            let (module, names) = line.split_once(':')?;
            Some((module, names.split_whitespace().collect()))
        };
        TABLE.lines().filter_map(line).collect()
    })
}

/// The names that `module` exports beside `default`; `None` when there is no such module here.
pub fn exports(module: &str) -> Option<&'static [&'static str]> {
    table().get(module).map(Vec::as_slice)
}

/// All modules by name, without `node:`.
pub fn modules() -> impl Iterator<Item = &'static str> {
    table().keys().copied()
}

/// All modules that Node.js has by name, without `node:`, be they here or not.
pub fn known() -> impl Iterator<Item = &'static str> {
    modules().chain(ABSENT)
}

/// Whether Node.js has a module of this name, without `node:`, be it here or not.
pub fn is_known(name: &str) -> bool {
    ABSENT.contains(&name) || table().contains_key(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_decide_which_modules_there_are() {
        let of = |date: &str, flags: &[&'static str]| Compatibility::of(date, flags.iter().copied());
        let early = "2026-08-03";
        let on = of(early, &["nodejs_compat"]);
        assert_eq!(on.module("node:buffer"), Some("buffer"));
        assert_eq!(on.module("path/posix"), Some("path/posix"));
        assert_eq!(on.module("node:sqlite"), None);
        assert_eq!(on.module("lodash"), None);
        let storage = of(early, &["other", "nodejs_als"]);
        assert_eq!(storage.module("node:async_hooks"), Some("async_hooks"));
        assert_eq!(storage.module("node:buffer"), None);
        assert_eq!(of(early, &["nodejs_als", "nodejs_compat_v2"]), Compatibility::On);
        assert_eq!(of(early, &[]).module("async_hooks"), None);
        assert_eq!(of("2026-08-04", &[]), Compatibility::On);
        for date in [early, "2026-08-04"] {
            let modules = of(date, &["nodejs_compat", "no_nodejs_compat_v2"]);
            assert_eq!((modules, modules.module("node:buffer")), (Compatibility::Modules, Some("buffer")));
        }
        assert_eq!(of(early, &["no_nodejs_compat_v2"]), Compatibility::Off);
        assert_eq!(of("2026-08-04", &["no_nodejs_compat", "nodejs_als"]), Compatibility::AsyncLocalStorage);
    }

    #[test]
    fn flags_decide_which_timers_there_are() {
        let of = |date: &str, flags: &[&'static str]| has_timers(date, flags.iter().copied());
        assert!(
            of("2026-02-10", &["nodejs_compat"]) && of("2026-08-04", &[]) && of("2026-08-04", &["no_nodejs_compat_v2"])
        );
        assert!(of("2024-01-01", &["enable_nodejs_global_timers"]));
        assert!(
            !of("2026-02-09", &["nodejs_compat"]) && !of("2026-02-10", &[]) && !of("2026-02-10", &["nodejs_compat_v2"])
        );
        assert!(!of("2026-08-04", &["no_nodejs_compat"]) && !of("2026-08-04", &["no_nodejs_global_timers"]));
        let (flag, opposite, since) = TIMERS;
        let row = format!("| `{flag}` | `{opposite}` | {since} | read |");
        assert!(include_str!("../../../docs/compatibility-flags.md").contains(&row), "{row}");
    }

    #[test]
    fn a_module_is_here_or_absent() {
        assert!(ABSENT.iter().all(|name| exports(name).is_none()));
        assert!(is_known("sqlite") && is_known("buffer") && !is_known("lodash"));
        assert!(exports("buffer").unwrap().contains(&"Buffer"));
    }
}
