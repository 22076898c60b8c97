//! Numbers as people read them in tables.

/// Three digits that count.
pub fn digits(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 {
        return "0".to_owned();
    }
    if !(1e-3..1e5).contains(&magnitude) {
        return format!("{value:.2e}");
    }
    let decimals = match magnitude {
        m if m >= 99.95 => 0,
        m if m >= 9.995 => 1,
        m if m >= 0.9995 => 2,
        m if m >= 0.09995 => 3,
        m if m >= 0.009995 => 4,
        _ => 5,
    };
    format!("{value:.decimals$}")
}

/// A share of one. What is not all is never shown as all, and what is something never as nothing.
pub fn percent(share: f64) -> String {
    let text = format!("{:.1}%", share * 100.0);
    match text.as_str() {
        "100.0%" if share < 1.0 => ">99.9%".to_owned(),
        "0.0%" if share > 0.0 => "<0.1%".to_owned(),
        _ => text,
    }
}

/// Three digits that count, or all before the point; no exponents.
pub fn plain_digits(value: f64) -> String {
    let decimals = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

/// A rate of learning: `3e-4`, `1.5e-4`.
pub fn rate(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let text = format!("{value:.5e}");
    let (digits, power) = text.split_once('e').expect("an exponent was asked for");
    format!("{}e{power}", digits.trim_end_matches('0').trim_end_matches('.'))
}

/// `500 000`: groups of three from five digits on.
pub fn spaced(value: u64) -> String {
    let digits = value.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// A count as people write it: `135M`, `6.74B`.
pub fn short_count(n: u64) -> String {
    let scaled = |unit: u64, suffix: &str| {
        let value = n as f64 / unit as f64;
        let decimals = if value >= 100.0 { 0 } else { 2 };
        format!("{value:.decimals$}{suffix}")
    };
    match n {
        999_500_000.. => scaled(1_000_000_000, "B"),
        999_500.. => scaled(1_000_000, "M"),
        1000.. => scaled(1000, "K"),
        _ => n.to_string(),
    }
}

/// Bytes in decimal units: `98.4 MB`.
pub fn short_bytes(n: u64) -> String {
    let scaled = |unit: f64, suffix: &str| format!("{:.1} {suffix}", n as f64 / unit);
    match n {
        1_000_000_000.. => scaled(1e9, "GB"),
        1_000_000.. => scaled(1e6, "MB"),
        1000.. => scaled(1e3, "kB"),
        _ => format!("{n} B"),
    }
}

/// Seconds as people say them: `90 s`, `10 min`, `2.5 h`, `10.0 days`.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => "under 1 s".to_owned(),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_sizes_are_short() {
        let counts = [999, 260_000, 134_515_008, 999_700_000, 6_738_415_616, 174_000_000_000];
        let texts: Vec<String> = counts.into_iter().map(short_count).collect();
        assert_eq!(texts, ["999", "260K", "135M", "1.00B", "6.74B", "174B"]);
        let texts: Vec<String> = [7, 1500, 98_362_432, 13_476_939_516].into_iter().map(short_bytes).collect();
        assert_eq!(texts, ["7 B", "1.5 kB", "98.4 MB", "13.5 GB"]);
    }

    #[test]
    fn times_are_short() {
        let shown = [0.5, 90.0, 600.0, 9000.0, 864_000.0].map(duration);
        assert_eq!(shown, ["under 1 s", "90 s", "10 min", "2.5 h", "10.0 days"]);
    }

    #[test]
    fn rates_and_steps_are_short() {
        assert_eq!([0.0, 3e-4, 0.1 * 3e-4, 1.65e-4].map(rate), ["0", "3e-4", "3e-5", "1.65e-4"]);
        assert_eq!(
            [7, 2000, 12_345, 500_000, 1_234_567].map(spaced),
            ["7", "2000", "12 345", "500 000", "1 234 567"]
        );
    }

    #[test]
    fn numbers_have_three_digits() {
        let texts = [0.0, 0.000_012_34, 0.001_234, 0.012_34, 0.5, 1.0, 12.34, 99.99, 1234.0, 1e6].map(digits);
        assert_eq!(
            texts,
            ["0", "1.23e-5", "0.00123", "0.0123", "0.500", "1.00", "12.3", "100", "1234", "1.00e6"]
        );
        assert_eq!(
            [0.0, 1e-9, 0.5, 0.999_99, 1.0].map(percent),
            ["0.0%", "<0.1%", "50.0%", ">99.9%", "100.0%"]
        );
    }
}
