//! Ops of the app as a whole: its log and its `env`.

use deno_core::{OpState, op2};

use crate::event::{Binding, LogLevel};
use crate::{IsolateContext, requests};

/// The longest line of a log in bytes.
const LONGEST_LINE: usize = 16 << 10;

/// Whether the [`Switch`](crate::Switch) with this number is on.
#[op2(fast)]
pub(crate) fn op_atoll_is_on(state: &mut OpState, #[smi] switch: u32) -> bool {
    state.try_borrow::<IsolateContext>().is_some_and(|context| context.compatibility.has(switch))
}

/// The flags that Workers have, and which of them are on.
#[op2]
#[serde]
pub(crate) fn op_atoll_flags(state: &mut OpState) -> Vec<(&'static str, bool)> {
    state.try_borrow::<IsolateContext>().map(|context| (context.flags)()).unwrap_or_default()
}

/// Writes a line into the app's log. `slot` is 0 when no request is known.
#[op2(fast)]
pub(crate) fn op_atoll_log(state: &mut OpState, #[smi] level: u32, #[smi] slot: u32, #[string] mut message: String) {
    let level = match level {
        0 => LogLevel::Debug,
        2 => LogLevel::Info,
        3 => LogLevel::Warn,
        4 => LogLevel::Error,
        _ => LogLevel::Log,
    };
    shorten(&mut message);
    requests::log(state, level, slot, message);
}

/// Cuts a message that is too long, at a character's boundary, and says so.
fn shorten(message: &mut String) {
    const MARK: &str = "… (shortened)";
    if message.len() > LONGEST_LINE {
        let mut end = LONGEST_LINE - MARK.len();
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        message.push_str(MARK);
    }
}

/// `env` as a list of kind, name, value, kind, …; the kind is `json` for values that are to be parsed, `service` for other
/// workers, which have no value but their place in the list, and `assets` for the app's static files, which have none.
#[op2]
#[serde]
pub(crate) fn op_atoll_env(state: &mut OpState) -> Vec<String> {
    let Some(context) = state.try_borrow::<IsolateContext>() else { return Vec::new() };
    let mut list = Vec::with_capacity(context.env.len() * 3);
    for (name, binding) in context.env.iter() {
        let (kind, value) = match binding {
            Binding::Text(text) | Binding::Secret(text) => ("text", text.as_str()),
            Binding::Json(json) => ("json", json.as_str()),
            Binding::Service { .. } => ("service", ""),
            Binding::Assets => ("assets", ""),
        };
        list.extend([kind.to_owned(), name.clone(), value.to_owned()]);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_between_characters() {
        let mut message = "é".repeat(LONGEST_LINE);
        shorten(&mut message);
        assert!(message.len() <= LONGEST_LINE && message.ends_with("(shortened)"));
        let mut short = "short".to_owned();
        shorten(&mut short);
        assert_eq!(short, "short");
    }
}

/// Notes that a job has ended which the code of a request has begun.
#[op2(fast)]
pub(crate) fn op_atoll_job_ended(state: &mut OpState, #[smi] slot: u32) {
    requests::job_ended(state, slot);
}
