//! Cron expressions, and any minute.
#![no_main]

use atoll_protocol::cron::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u32, &str)| {
    let (minute, text) = input;
    if let Ok(schedule) = parse(text) {
        schedule.is_due(u64::from(minute));
        schedule.is_due(u64::MAX);
    }
});
