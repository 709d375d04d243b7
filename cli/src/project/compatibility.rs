//! `compatibility_date` and `compatibility_flags` of a project file: which there are, and what a user has to know of those
//! that are asked for.
//!
//! The flags are those of the table in `docs/compatibility-flags.md`, which is compiled in: what users can look up and
//! what is checked are the same.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::date_of;
use super::document::{Node, Value};
use super::reader::{TableReader, WrongValue};

static TABLE: &str = include_str!("../../../docs/compatibility-flags.md");

/// A day in seconds.
const DAY: u64 = 86_400;

/// What a flag and its opposite come to here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Here {
    /// The flag does what it says.
    Read,
    /// It is always as with the flag.
    AsFlag,
    /// It is always as without the flag.
    AsOpposite,
    /// Neither could change anything.
    NoDifference,
}

#[derive(Clone, Debug)]
struct Flag {
    opposite: Option<&'static str>,
    /// That this is the flag of the second column.
    is_opposite: bool,
    here: Here,
    topic: &'static str,
}

impl Flag {
    /// What the user should know when it is asked for.
    fn warning(&self, name: &str) -> Option<String> {
        let differs = matches!((self.here, self.is_opposite), (Here::AsFlag, true) | (Here::AsOpposite, false));
        let instead = match self.opposite {
            Some(other) => format!("it is as with `{other}`"),
            None => "it is as without it".into(),
        };
        differs.then(|| format!("the compatibility flag `{name}` changes nothing here: {instead} ({})", self.topic))
    }
}

/// All flags, and the latest date of the table.
struct Flags {
    flags: BTreeMap<&'static str, Flag>,
    newest: &'static str,
}

fn flags() -> &'static Flags {
    static PARSED: OnceLock<Flags> = OnceLock::new();
    PARSED.get_or_init(|| {
        let mut flags = BTreeMap::new();
        let mut newest = "";
        for line in TABLE.lines() {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let ["", flag, opposite, since, here, topic, ""] = cells[..] else { continue };
            let here = match here {
                "read" => Here::Read,
                "as the flag" => Here::AsFlag,
                "as the opposite" => Here::AsOpposite,
                "no difference" => Here::NoDifference,
                _ => continue,
            };
            let (flag, opposite) = (flag.trim_matches('`'), opposite.trim_matches('`'));
            let opposite = (!opposite.is_empty()).then_some(opposite);
            flags.insert(flag, Flag { opposite, is_opposite: false, here, topic });
            if let Some(name) = opposite {
                flags.insert(name, Flag { opposite: Some(flag), is_opposite: true, here, topic });
            }
            if is_date(since) {
                newest = newest.max(since);
            }
        }
        Flags { flags, newest }
    })
}

/// Takes `compatibility_flags`, with a warning for each that is not followed. `Ok(Err(problem))` is a mistake that is more
/// than a wrong type.
pub fn read_flags(
    table: &mut TableReader<'_>,
    file: &str,
    warnings: &mut Vec<String>,
) -> Result<Result<Vec<String>, String>, WrongValue> {
    const KEY: &str = "compatibility_flags";
    let known = &flags().flags;
    let mut read: Vec<String> = Vec::new();
    for item in table.array(KEY)?.unwrap_or_default() {
        let Node { value: Value::String(name), line } = item else {
            return Err(table.wrong(KEY, item, "an array of strings"));
        };
        let place = format!("line {line}: `{KEY}`");
        let Some(flag) = known.get(name.as_str()) else {
            let nearest = known.keys().min_by_key(|known| distance(known, name)).copied().unwrap_or_default();
            return Ok(Err(format!("{place}: there is no flag {name:?}; the nearest is {nearest:?}")));
        };
        if let Some(other) = flag.opposite.filter(|other| read.iter().any(|flag| flag == other)) {
            return Ok(Err(format!("{place}: {name:?} is the opposite of {other:?}; leave one out")));
        }
        if read.contains(name) {
            continue;
        }
        warnings.extend(flag.warning(name).map(|warning| format!("{file}, line {line}: {warning}")));
        read.push(name.clone());
    }
    Ok(Ok(read))
}

/// What is wrong with a compatibility date; nothing, when it is a day until tomorrow. A clock that is behind the dates of
/// the table is not believed.
pub fn check_date(date: &str, today: &str) -> Result<(), String> {
    if !is_date(date) {
        return Err(format!("`compatibility_date` is {date:?}; it must be YYYY-MM-DD"));
    }
    let tomorrow = seconds_of(today).map(|seconds| date_of(seconds + DAY)).unwrap_or_default();
    if date > tomorrow.as_str().max(flags().newest) {
        return Err(format!("`compatibility_date` is {date:?}, which is in the future; today is {today}"));
    }
    Ok(())
}

fn is_date(text: &str) -> bool {
    seconds_of(text).is_some()
}

/// When the day `YYYY-MM-DD` began, in seconds since the Unix epoch.
fn seconds_of(day: &str) -> Option<u64> {
    let parts: Vec<_> = day.split('-').collect();
    let [year, month, date] = parts[..] else { return None };
    let number = |text: &str, digits: usize| {
        (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse::<u64>().ok())?
    };
    let (year, month, date) = (number(year, 4)?, number(month, 2)?, number(date, 2)?);
    if year < 1970 || !(1..=12).contains(&month) {
        return None;
    }
    // Days are counted from 1 March of year 0, as `date_of` does.
    let (shifted_year, shifted_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = shifted_year / 4 - shifted_year / 100 + shifted_year / 400;
    let days = (shifted_year * 365 + leap_days + (153 * shifted_month + 2) / 5 + date).checked_sub(719_469)?;
    let seconds = days * DAY;
    (date_of(seconds) == day).then_some(seconds)
}

/// How many letters are to be put in, taken out or replaced to make one text of the other (Levenshtein 1966).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(100).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::{Project, ProjectError, parse};

    fn read(rest: &str) -> Result<Project, ProjectError> {
        parse(&format!("name = \"a\"\n{rest}\n"), "wrangler.toml", None, "2026-11-22")
    }

    #[test]
    fn flags_are_those_of_the_table() {
        let known = &flags().flags;
        assert!(known.len() > 350, "{}", known.len());
        for name in ["nodejs_compat", "no_nodejs_compat", "nodejs_als", "global_navigator", "python_workers"] {
            assert!(known.contains_key(name), "{name}");
        }
        assert_eq!(flags().newest, "2026-11-17");
    }

    #[test]
    fn flags_that_are_not_followed_are_named_and_others_pass() {
        let date = "compatibility_date = \"2026-01-01\"";
        let flags = "[\"nodejs_compat\", \"global_navigator\", \"queues_json_messages\", \"no_queues_json_messages\"]";
        let error = read(&format!("{date}\ncompatibility_flags = {flags}")).unwrap_err().to_string();
        assert!(error.contains("line 3") && error.contains("is the opposite of \"queues_json_messages\""), "{error}");
        let project =
            read(&format!("{date}\ncompatibility_flags = [\"nodejs_compat\", \"nodejs_compat\", \"url_standard\"]"));
        let project = project.unwrap();
        assert_eq!((project.compatibility_flags.len(), project.warnings.len()), (2, 0), "{:?}", project.warnings);
        let project = read(&format!("{date}\ncompatibility_flags = [\n\"no_global_navigator\",\n\"rtti_api\",\n]"));
        assert_eq!(
            project.unwrap().warnings,
            [
                "wrangler.toml, line 4: the compatibility flag `no_global_navigator` changes nothing here: it is as with `global_navigator` (`navigator`)",
                "wrangler.toml, line 5: the compatibility flag `rtti_api` changes nothing here: it is as without it (`workerd:rtti`)",
            ]
        );
        for (wrong, right) in [("nodejs-compat", "nodejs_compat"), ("Nodejs_als", "nodejs_als"), ("", "rpc")] {
            let error = read(&format!("{date}\ncompatibility_flags = [{wrong:?}]")).unwrap_err().to_string();
            assert!(error.contains(&format!("no flag {wrong:?}; the nearest is {right:?}")), "{error}");
        }
        assert!(read("compatibility_flags = [1]").unwrap_err().to_string().contains("array of strings"));
    }

    #[test]
    fn dates_are_days_that_have_come() {
        for good in ["1970-01-01", "2024-02-29", "2026-11-22", "2026-11-23"] {
            assert_eq!(check_date(good, "2026-11-22"), Ok(()), "{good}");
            assert_eq!(seconds_of(good).map(date_of).as_deref(), Some(good));
        }
        for bad in ["2026-02-29", "2026-13-01", "2026-00-10", "2026-1-1", "soon", "", "20261101", "1969-12-31"] {
            assert!(check_date(bad, "2026-11-22").unwrap_err().contains("YYYY-MM-DD"), "{bad}");
        }
        for late in ["2026-11-24", "9999-12-31"] {
            assert!(check_date(late, "2026-11-22").unwrap_err().contains("today is 2026-11-22"), "{late}");
        }
        // A clock that is far behind stops nobody.
        assert_eq!(check_date("2026-11-01", "2001-01-01"), Ok(()));
        assert!(check_date("2026-11-18", "2001-01-01").is_err());
    }
}
