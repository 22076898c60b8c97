//! Sizes of files on the command line.

/// A size in decimal units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardSize(pub u64);

impl std::str::FromStr for ShardSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let factor = match unit.to_ascii_uppercase().as_str() {
            "" | "B" => Some(1),
            "KB" => Some(1000),
            "MB" => Some(1_000_000),
            "GB" => Some(1_000_000_000),
            _ => None,
        };
        let bytes = factor.and_then(|factor: u64| number.parse::<u64>().ok()?.checked_mul(factor));
        bytes
            .filter(|&bytes| bytes > 0)
            .map(ShardSize)
            .ok_or_else(|| "expected a whole number of bytes with a unit: 5GB, 500MB or 20KB".to_owned())
    }
}

impl std::fmt::Display for ShardSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "KB")];
        match units.into_iter().find(|(size, _)| self.0.is_multiple_of(*size)) {
            Some((size, unit)) => write!(f, "{}{unit}", self.0 / size),
            None => write!(f, "{}B", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lineage::SHARD_BYTES;

    #[test]
    fn sizes_are_read_and_shown() {
        let read = |text: &str| text.parse::<ShardSize>();
        for (text, bytes) in
            [("5GB", 5_000_000_000), ("500mb", 500_000_000), ("20kb", 20_000), ("7", 7), ("7B", 7)]
        {
            assert_eq!(read(text), Ok(ShardSize(bytes)), "{text}");
        }
        for text in ["", "GB", "0GB", "-1GB", "5 GB", "5GiB", "1.5GB", "99999999999GB"] {
            assert!(read(text).unwrap_err().contains("500MB"), "{text}");
        }
        assert_eq!(ShardSize(SHARD_BYTES).to_string(), "5GB");
        assert_eq!(ShardSize(1234).to_string(), "1234B");
    }
}
