//! When a run took place.

use std::time::SystemTime;

use chrono::{DateTime, Utc};

/// A moment in UTC, used to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// Now.
    pub fn now() -> Self {
        Self(SystemTime::now().into())
    }

    /// What [`rfc3339`](Self::rfc3339) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|moment| Self(moment.to_utc()))
    }

    /// So many seconds after 1970, where that is a date.
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        DateTime::from_timestamp(seconds as i64, 0).filter(|_| seconds.is_finite()).map(Self)
    }

    /// `2024-02-29T23:59:58Z`.
    pub fn rfc3339(self) -> String {
        self.0.format("%FT%TZ").to_string()
    }

    /// `2024-02-29T23-59-58`, as the reference harness has it in file names.
    pub fn file_date(self) -> String {
        self.0.format("%FT%H-%M-%S").to_string()
    }

    /// Whole seconds since 1970.
    pub fn seconds(self) -> f64 {
        self.0.timestamp() as f64
    }

    /// `20240229-235958`, for file names.
    pub fn compact(self) -> String {
        self.0.format("%Y%m%d-%H%M%S").to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(DateTime::from_timestamp(seconds, 0).unwrap())
    }

    #[test]
    fn days_become_dates() {
        assert_eq!(at(0).rfc3339(), "1970-01-01T00:00:00Z");
        assert_eq!(at(1_709_251_198).rfc3339(), "2024-02-29T23:59:58Z");
        assert_eq!(Timestamp::parse("1970-01-01T00:00:07Z"), Some(at(7)));
        assert_eq!(Timestamp::parse("yesterday"), None);
        assert_eq!(at(951_868_800).rfc3339(), "2000-03-01T00:00:00Z");
        assert_eq!(at(1_709_251_198).compact(), "20240229-235958");
        assert_eq!(at(1_709_251_198).file_date(), "2024-02-29T23-59-58");
    }
}
