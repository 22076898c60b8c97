//! When a run took place.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::base::calendar::date_of_day;

/// A moment in UTC, to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Now; the epoch if the clock stands before it.
    pub fn now() -> Self {
        Self(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()))
    }

    fn date(self) -> (u64, u64, u64) {
        date_of_day(self.0 / 86_400)
    }

    fn time(self) -> (u64, u64, u64) {
        let seconds = self.0 % 86_400;
        (seconds / 3600, seconds / 60 % 60, seconds % 60)
    }

    /// `2024-02-29T23:59:58Z`.
    pub fn rfc3339(self) -> String {
        let ((year, month, day), (hour, minute, second)) = (self.date(), self.time());
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }

    /// `2024-02-29T23-59-58`, as the reference harness has it in file names.
    pub fn file_date(self) -> String {
        self.rfc3339().trim_end_matches('Z').replace(':', "-")
    }

    /// Seconds since 1970.
    pub fn seconds(self) -> f64 {
        self.0 as f64
    }

    /// `20240229-235958`, for file names.
    pub fn compact(self) -> String {
        let ((year, month, day), (hour, minute, second)) = (self.date(), self.time());
        format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!(Timestamp(0).rfc3339(), "1970-01-01T00:00:00Z");
        assert_eq!(Timestamp(1_709_251_198).rfc3339(), "2024-02-29T23:59:58Z");
        assert_eq!(Timestamp(951_868_800).rfc3339(), "2000-03-01T00:00:00Z");
        assert_eq!(Timestamp(1_709_251_198).compact(), "20240229-235958");
        assert_eq!(Timestamp(1_709_251_198).file_date(), "2024-02-29T23-59-58");
    }
}
