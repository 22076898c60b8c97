//! `strftime` for the date that some templates print. Time is UTC.
//!
//! The calendar is the proleptic Gregorian one.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::base::calendar::date_of_day;

const DAY: u64 = 86_400;
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A moment in parts.
struct Moment {
    year: u64,
    /// From 1.
    month: u64,
    /// From 1.
    day: u64,
    /// Of the year, from 1.
    day_of_year: u64,
    /// From Monday, 0.
    weekday: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Moment {
    /// Times before 1970 count as its first second.
    fn new(time: SystemTime) -> Moment {
        let seconds = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let days = seconds / DAY;
        let (year, month, day) = date_of_day(days);
        let first = days_before_year(year);
        let of_day = seconds % DAY;
        Moment {
            year,
            month,
            day,
            day_of_year: days.saturating_sub(first) + 1,
            weekday: (days + 3) % 7,
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
        }
    }
}

/// Days from 1970-01-01 to the first of January of a year from 1970 on.
fn days_before_year(year: u64) -> u64 {
    let past = year.saturating_sub(1);
    (365 * past + past / 4 - past / 100 + past / 400).saturating_sub(719_162)
}

/// The time in the given format; the directives of C and Python without those of locales, weeks and zones.
///
/// # Errors
/// An unknown directive, in words.
pub(super) fn strftime(format: &str, time: SystemTime) -> Result<String, String> {
    let moment = Moment::new(time);
    let named = |names: &[&'static str], at: u64| -> &'static str {
        usize::try_from(at).ok().and_then(|at| names.get(at).copied()).unwrap_or_default()
    };
    let weekday = named(&WEEKDAYS, moment.weekday);
    let month = named(&MONTHS, moment.month.saturating_sub(1));
    let hour = (moment.hour + 11) % 12 + 1;
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let directive = chars.next().ok_or("strftime_now: expected a directive after %, found the end")?;
        let written = match directive {
            'Y' => write!(out, "{:04}", moment.year),
            'y' => write!(out, "{:02}", moment.year % 100),
            'm' => write!(out, "{:02}", moment.month),
            'd' => write!(out, "{:02}", moment.day),
            'e' => write!(out, "{:2}", moment.day),
            'j' => write!(out, "{:03}", moment.day_of_year),
            'H' => write!(out, "{:02}", moment.hour),
            'I' => write!(out, "{hour:02}"),
            'M' => write!(out, "{:02}", moment.minute),
            'S' => write!(out, "{:02}", moment.second),
            'p' => write!(out, "{}", if moment.hour < 12 { "AM" } else { "PM" }),
            'A' => write!(out, "{weekday}"),
            'a' => write!(out, "{}", weekday.get(..3).unwrap_or_default()),
            'B' => write!(out, "{month}"),
            'b' | 'h' => write!(out, "{}", month.get(..3).unwrap_or_default()),
            'u' => write!(out, "{}", moment.weekday + 1),
            'F' => write!(out, "{:04}-{:02}-{:02}", moment.year, moment.month, moment.day),
            'T' => write!(out, "{:02}:{:02}:{:02}", moment.hour, moment.minute, moment.second),
            '%' => write!(out, "%"),
            other => return Err(format!("strftime_now: expected a known directive, found %{other}")),
        };
        written.map_err(|error| error.to_string())?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64, format: &str) -> String {
        strftime(format, UNIX_EPOCH + Duration::from_secs(seconds)).unwrap()
    }

    #[test]
    fn dates_of_the_calendar() {
        assert_eq!(at(0, "%A %d %B %Y %j"), "Thursday 01 January 1970 001");
        assert_eq!(at(951_782_400, "%F %a %j"), "2000-02-29 Tue 060");
        assert_eq!(at(1_709_251_199, "%d %b %Y %H:%M:%S"), "29 Feb 2024 23:59:59");
        assert_eq!(at(4_107_542_399, "%F %j %u %I%p"), "2100-02-28 059 7 11PM");
        assert_eq!(at(4_107_542_400, "%e.%m.%y %T 100%%"), " 1.03.00 00:00:00 100%");
        assert_eq!(at(1_735_603_200, "%F %j"), "2024-12-31 366");
    }

    #[test]
    fn unknown_directives_are_named() {
        assert!(strftime("%Q", UNIX_EPOCH).unwrap_err().contains("%Q"));
        assert!(strftime("50%", UNIX_EPOCH).is_err());
    }
}
