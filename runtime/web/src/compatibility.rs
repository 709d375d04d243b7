//! What a worker's compatibility date and flags change of the web platform.

/// The word that every [`Switch`] has in `docs/compatibility-flags.md`.
#[cfg(test)]
const READ: &str = "read";

/// Something that is done in one of two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Switch {
    /// Binary messages of a WebSocket are `Blob`s unless its `binaryType` says otherwise.
    BlobMessages = 0,
    /// Methods of requests are in upper case, whatever they are called.
    UpperCaseMethods = 1,
    /// There is `ctx.exports`.
    ContextExports = 2,
    /// What a called worker throws has its own properties.
    WholeErrors = 3,
}

/// All switches, each with its flag, the opposite one, and the date from which it is on without a flag.
const TABLE: [(Switch, &str, &str, &str); 4] = [
    (Switch::BlobMessages, "websocket_standard_binary_type", "no_websocket_standard_binary_type", "2026-03-17"),
    (Switch::UpperCaseMethods, "upper_case_all_http_methods", "no_upper_case_all_http_methods", "2024-10-14"),
    (Switch::ContextExports, "enable_ctx_exports", "disable_ctx_exports", "2025-11-17"),
    (Switch::WholeErrors, "enhanced_error_serialization", "legacy_error_serialization", "2026-04-21"),
];

/// What users read, and code too.
static PAGE: &str = include_str!("../../../docs/compatibility-flags.md");

/// The flags that Workers have, each with whether this platform does as it says for a worker with this compatibility date
/// (`YYYY-MM-DD`) and these flags.
pub fn flags<'a>(date: &str, asked: impl IntoIterator<Item = &'a str> + Clone) -> Vec<(&'static str, bool)> {
    let has = |wanted: &str| asked.clone().into_iter().any(|flag| flag == wanted);
    let row = |line: &'static str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let ["", flag, opposite, since, here, _, ""] = cells[..] else { return None };
        let (flag, opposite) = (flag.strip_prefix('`')?.strip_suffix('`')?, opposite.trim_matches('`'));
        let by_date = || (since == "always" || is_day(since) && date >= since) && !has(opposite);
        match here {
            "as the flag" => Some((flag, true)),
            "as the opposite" => Some((flag, false)),
            _ => Some((flag, has(flag) || by_date())),
        }
    };
    PAGE.lines().filter_map(row).collect()
}

fn is_day(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
}

/// Which switches are on; by default none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compatibility(u32);

impl Compatibility {
    /// What this compatibility date (`YYYY-MM-DD`) and these flags ask for. A flag counts for more than the date.
    pub fn of<'a>(date: &str, flags: impl IntoIterator<Item = &'a str> + Clone) -> Self {
        let has = |wanted: &str| flags.clone().into_iter().any(|flag| flag == wanted);
        let on = |&(switch, flag, opposite, since): &(Switch, &str, &str, &str)| {
            let on = has(flag) || date >= since && !has(opposite);
            if on { 1 << switch as u32 } else { 0 }
        };
        Self(TABLE.iter().map(on).fold(0, |all, bit| all | bit))
    }

    /// Whether a switch is on.
    pub fn is_on(self, switch: Switch) -> bool {
        self.has(switch as u32)
    }

    /// Whether the switch with this number is on, which JavaScript knows it by.
    pub(crate) fn has(self, number: u32) -> bool {
        self.0.checked_shr(number).is_some_and(|bits| bits & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_flags_decide() {
        let of = |date: &str, flags: &[&'static str]| Compatibility::of(date, flags.iter().copied());
        assert_eq!(of("2021-01-01", &[]), Compatibility::default());
        assert!(of("2024-10-14", &[]).is_on(Switch::UpperCaseMethods));
        assert!(!of("2024-10-13", &[]).is_on(Switch::UpperCaseMethods));
        assert!(!of("2026-11-01", &["disable_ctx_exports"]).is_on(Switch::ContextExports));
        assert!(of("2024-01-01", &["enable_ctx_exports"]).is_on(Switch::ContextExports));
        assert!(!of("2024-01-01", &["enable_ctx_exports"]).is_on(Switch::BlobMessages));
        let all = of("2026-11-17", &["url_standard"]);
        assert!(TABLE.iter().all(|(switch, ..)| all.is_on(*switch)));
        assert!(!all.has(TABLE.len() as u32) && !all.has(u32::MAX));
    }

    #[test]
    fn code_learns_which_flags_are_on() {
        let of = |date: &str, asked: &[&'static str], name: &str| {
            let all = flags(date, asked.iter().copied());
            assert!(all.len() > 200, "{}", all.len());
            all.iter().find(|(flag, _)| *flag == name).map(|(_, on)| *on)
        };
        assert_eq!(of("2021-01-01", &[], "enable_nodejs_process_v2"), Some(true));
        assert_eq!(of("2026-11-01", &["rtti_api"], "rtti_api"), Some(false));
        assert_eq!(of("2026-08-04", &[], "nodejs_compat"), Some(true));
        assert_eq!(of("2026-08-03", &[], "nodejs_compat"), Some(false));
        assert_eq!(of("2026-08-04", &["no_nodejs_compat"], "nodejs_compat"), Some(false));
        assert_eq!(of("2021-01-01", &["nodejs_compat"], "nodejs_compat"), Some(true));
        assert_eq!(of("2026-08-04", &[], "no_nodejs_compat"), None);
    }

    #[test]
    fn switches_are_those_of_the_table_that_users_read() {
        for (switch, flag, opposite, since) in TABLE {
            let row = format!("| `{flag}` | `{opposite}` | {since} | {READ} |");
            assert!(PAGE.contains(&row), "{switch:?}: {row}");
        }
    }
}
