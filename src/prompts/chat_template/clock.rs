//! `strftime` for the date that some templates print. Time is UTC.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};

/// The directives of C and Python without those of locales, weeks and zones.
const DIRECTIVES: &str = "YymdejHIMSpAaBbhuFT%";

/// The time in the given format; times before 1970 count as its first second.
///
/// # Errors
/// An unknown directive, in words.
pub(super) fn strftime(format: &str, time: SystemTime) -> Result<String, String> {
    let mut chars = format.chars();
    while chars.by_ref().any(|c| c == '%') {
        let directive = chars.next().ok_or("strftime_now: expected a directive after %, found the end")?;
        if !DIRECTIVES.contains(directive) {
            return Err(format!("strftime_now: expected a known directive, found %{directive}"));
        }
    }
    Ok(DateTime::<Utc>::from(time.max(UNIX_EPOCH)).format(format).to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
