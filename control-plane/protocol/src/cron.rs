//! Cron expressions of five fields, in UTC, as Workers have them: in the field of the weekday, 1 is Sunday and 7 Saturday.

use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, Weekday};

/// When something is due, to the minute.
#[derive(Clone, Debug)]
pub struct Schedule(Cron);

/// Reads an expression: minute, hour, day of the month, month, weekday. The error says what is wrong with it.
pub fn parse(text: &str) -> Result<Schedule, String> {
    let parser =
        CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).alternative_weekdays(true).build();
    match parser.parse(text) {
        Ok(cron) => Ok(Schedule(cron)),
        Err(error) => Err(error.to_string()),
    }
}

impl Schedule {
    /// Whether it is due in the minute that begins `minute` minutes after the Unix epoch.
    pub fn is_due(&self, minute: u64) -> bool {
        let pattern = &self.0.pattern;
        let (day, within) = (minute / 1440, (minute % 1440) as u32);
        let (year, month, date) = civil(day);
        // The epoch was a Thursday.
        let weekday = Weekday::from_days_from_sunday(((day + 4) % 7) as u32);
        let matches = || {
            Ok::<_, croner::errors::CronError>(
                pattern.minute_match(within % 60)?
                    && pattern.hour_match(within / 60)?
                    && pattern.month_match(month)?
                    && pattern.day_match(year, month, date, weekday)?,
            )
        };
        matches().unwrap_or(false)
    }
}

/// Year, month and day of the month of a day since the Unix epoch, in the Gregorian calendar.
fn civil(day: u64) -> (i32, u32, u32) {
    let (mut year, mut left) = (1970, day % 146_097);
    // 400 years always have the same number of days.
    let cycles = day / 146_097;
    loop {
        let days = if is_leap(year) { 366 } else { 365 };
        if left < days {
            break;
        }
        left -= days;
        year += 1;
    }
    let mut month = 1;
    loop {
        let days = match month {
            2 if is_leap(year) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        if left < days {
            break;
        }
        left -= days;
        month += 1;
    }
    let year = i32::try_from(cycles).unwrap_or(i32::MAX / 400 - 10).saturating_mul(400).saturating_add(year);
    (year, month, left as u32 + 1)
}

fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTES_A_DAY: u64 = 1440;

    /// The minutes of a day at which an expression is due, as `hh:mm`.
    fn due(text: &str, day: u64) -> Vec<String> {
        let schedule = parse(text).unwrap();
        let minutes = (0..MINUTES_A_DAY).filter(|minute| schedule.is_due(day * MINUTES_A_DAY + minute));
        minutes.map(|minute| format!("{:02}:{:02}", minute / 60, minute % 60)).collect()
    }

    #[test]
    fn days_have_dates() {
        for (day, date) in [
            (0, (1970, 1, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_778, (2026, 11, 21)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
            (146_097, (2370, 1, 1)),
        ] {
            assert_eq!(civil(day), date, "{day}");
        }
        civil(u64::MAX);
    }

    #[test]
    fn expressions_are_due_to_the_minute() {
        // A Saturday.
        let day = 20_778;
        assert_eq!(due("30 12 * * *", day), ["12:30"]);
        assert_eq!(due("*/20 8-9 * * *", day), ["08:00", "08:20", "08:40", "09:00", "09:20", "09:40"]);
        assert_eq!(due("0 0 21 11 *", day), ["00:00"]);
        assert_eq!(due("0 0 22 11 *", day), Vec::<String>::new());
        assert_eq!(due("* * * * *", day).len(), 1440);
        assert_eq!(due("0 1 L * *", day), Vec::<String>::new());
        assert_eq!(due("0 1 L * *", day + 9), ["01:00"]);
        assert_eq!(due("0 2 31 2 *", day), Vec::<String>::new());
    }

    #[test]
    fn the_week_begins_on_sunday_with_1() {
        let saturday = 20_778;
        for weekday in ["7", "SAT", "sat", "1-7", "6,7"] {
            assert_eq!(due(&format!("0 17 * * {weekday}"), saturday), ["17:00"], "{weekday}");
        }
        for weekday in ["1", "SUN", "6", "MON-FRI", "2-6"] {
            assert_eq!(due(&format!("0 17 * * {weekday}"), saturday), Vec::<String>::new(), "{weekday}");
        }
        assert_eq!(due("0 17 * * 1", saturday + 1), ["17:00"]);
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for wrong in ["", "every day", "61 * * * *", "0 0 * * * *", "* * * *", "0 0 0 * *", "* * * 13 *"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
