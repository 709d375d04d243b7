//! What the user reads: the only place that writes to standard output and standard error.
//!
//! Standard output carries answers, standard error everything said on the way. A reader that has gone away is no error.

use std::io::{IsTerminal, Write};

use serde::Serialize;

/// One line on standard output.
pub fn line(text: impl AsRef<str>) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", text.as_ref());
    let _ = out.flush();
}

/// One JSON value on one line of standard output.
pub fn json(value: &impl Serialize) {
    line(serde_json::to_string(value).expect("answers are JSON"));
}

/// One line on standard error.
pub fn note(text: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr().lock(), "{}", text.as_ref());
}

/// A warning on standard error.
pub fn warning(text: impl AsRef<str>) {
    let (yellow, plain) = if colors() { ("\u{1b}[33m", "\u{1b}[0m") } else { ("", "") };
    note(format!("{yellow}warning:{plain} {}", text.as_ref()));
}

/// Whether standard error is a terminal that takes colours (<https://no-color.org>).
pub fn colors() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A table on standard output; nothing but `empty` when it has no rows.
pub fn table<const N: usize>(header: [&str; N], rows: Vec<[String; N]>, empty: &str) {
    if rows.is_empty() {
        return line(empty);
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    // Each line begins with the padding of its first cell.
    line(table.to_string().lines().map(|line| line[1..].trim_end()).collect::<Vec<_>>().join("\n"));
}

/// An instant as `2026-01-02 03:04:05` UTC.
pub fn time(unix_millis: u64) -> String {
    let seconds = unix_millis / 1_000;
    let of_day = seconds % 86_400;
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{} {hour:02}:{minute:02}:{second:02}", crate::project::date_of(seconds))
}

/// `1 module`, `2 modules`.
pub fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// How often the spinner turns.
const TICK: std::time::Duration = std::time::Duration::from_millis(80);

/// A spinner on standard error while something goes on; nothing when that is no terminal.
pub struct Progress(Option<indicatif::ProgressBar>);

impl Progress {
    /// Starts with `text`; `quiet` shows nothing.
    pub fn new(text: &str, quiet: bool) -> Self {
        if quiet || !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = indicatif::ProgressBar::new_spinner();
        bar.enable_steady_tick(TICK);
        bar.set_message(text.to_owned());
        Self(Some(bar))
    }

    /// Makes way for what others print.
    pub fn pause(&self) {
        if let Some(bar) = &self.0 {
            bar.disable_steady_tick();
            bar.finish_and_clear();
        }
    }

    /// Shows itself again.
    pub fn resume(&self) {
        if let Some(bar) = &self.0 {
            bar.reset();
            bar.enable_steady_tick(TICK);
        }
    }

    /// Goes on with `text`.
    pub fn step(&self, text: &str) {
        if let Some(bar) = &self.0 {
            bar.set_message(text.to_owned());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
