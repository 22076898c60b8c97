//! Numbers as people read them in tables.

/// Three digits that count.
pub(in crate::cli) fn digits(value: f64) -> String {
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
pub(in crate::cli) fn percent(share: f64) -> String {
    let text = format!("{:.1}%", share * 100.0);
    match text.as_str() {
        "100.0%" if share < 1.0 => ">99.9%".to_owned(),
        "0.0%" if share > 0.0 => "<0.1%".to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
