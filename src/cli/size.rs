//! Sizes of files and of memory on the command line.

/// A size in bytes, written with a decimal unit (GB) or a binary one (GiB).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde_with::DeserializeFromStr)]
pub struct ByteSize(pub u64);

/// In the largest unit of which it is a whole number.
impl std::fmt::Display for ByteSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let units =
            [(1 << 30, "GiB"), (1_000_000_000, "GB"), (1 << 20, "MiB"), (1_000_000, "MB"), (1 << 10, "KiB")];
        let whole = units.into_iter().find(|(unit, _)| self.0.is_multiple_of(*unit));
        let (unit, name) = whole.unwrap_or((1, "B"));
        write!(f, "{}{name}", self.0 / unit)
    }
}

impl std::str::FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let factor = match unit.to_ascii_uppercase().as_str() {
            "" | "B" => Some(1),
            "KB" => Some(1000),
            "MB" => Some(1_000_000),
            "GB" => Some(1_000_000_000),
            "KIB" => Some(1 << 10),
            "MIB" => Some(1 << 20),
            "GIB" => Some(1 << 30),
            _ => None,
        };
        let bytes = factor.and_then(|factor: u64| number.parse::<u64>().ok()?.checked_mul(factor));
        bytes.filter(|&bytes| bytes > 0).map(ByteSize).ok_or_else(|| {
            "expected a whole number of bytes with a unit: 5GB, 500MB, 20KB or 4GiB".to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SHARD_BYTES;

    #[test]
    fn sizes_are_read_and_shown() {
        let read = |text: &str| text.parse::<ByteSize>();
        for (text, bytes) in [
            ("5GB", 5_000_000_000),
            ("500mb", 500_000_000),
            ("20kb", 20_000),
            ("4GiB", 4 << 30),
            ("7", 7),
            ("7B", 7),
        ] {
            assert_eq!(read(text), Ok(ByteSize(bytes)), "{text}");
            assert_eq!(read(&ByteSize(bytes).to_string()), Ok(ByteSize(bytes)), "{text}");
        }
        for text in ["", "GB", "0GB", "-1GB", "5 GB", "5GiBi", "1.5GB", "99999999999GB"] {
            assert!(read(text).unwrap_err().contains("500MB"), "{text}");
        }
        let shown = [5_000_000_000, 8 << 30, 300 << 20, 7].map(|bytes| ByteSize(bytes).to_string());
        assert_eq!(shown, ["5GB", "8GiB", "300MiB", "7B"]);
        assert_eq!(read("5GB"), Ok(ByteSize(SHARD_BYTES)), "the default of --shard-size");
    }
}
