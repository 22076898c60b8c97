//! Ticks at round numbers, and how they are written.

/// About `count` round numbers from 0 to `max`, at steps of 1, 2, 2.5 or 5 times a power of ten.
pub(super) fn ticks(max: f64, count: usize) -> Vec<f64> {
    if !max.is_finite() || max <= 0.0 {
        return vec![0.0];
    }
    let rough = max / count.max(1) as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(10.0 * power);
    let last = (max / step * (1.0 + 1e-9)).floor() as u32;
    (0..=last).map(|i| f64::from(i) * step).collect()
}

/// Round numbers between two ends, about `count` of them, at such steps.
pub(super) fn ticks_between(low: f64, high: f64, count: usize) -> Vec<f64> {
    let steps = ticks(high - low, count);
    let step = steps.get(1).copied().unwrap_or(high - low);
    if !(step > 0.0 && step.is_finite()) {
        return vec![low];
    }
    let first = (low / step - 1e-9).ceil();
    let numbers = (0..=2 * count).map(|n| (first + n as f64) * step);
    numbers.take_while(|number| *number <= high + 1e-9 * step).collect()
}

/// 1, 2 and 5 times powers of ten between two positive ends; powers alone where these are many.
pub(super) fn powers(low: f64, high: f64) -> Vec<f64> {
    let [first, last] = [low, high].map(|end| end.log10().floor() as i32);
    let all = |factors: &[f64]| -> Vec<f64> {
        let numbers = (first..=last).flat_map(|power| factors.iter().map(move |f| f * 10_f64.powi(power)));
        numbers.filter(|number| (low..=high).contains(number)).collect()
    };
    let fine = all(&[1.0, 2.0, 5.0]);
    if fine.len() > 10 { all(&[1.0]) } else { fine }
}

/// A count of steps: `0`, `500`, `50K`, `1.5M`.
pub(super) fn count_label(value: f64) -> String {
    let scaled = |unit: f64, suffix: &str| {
        let text = format!("{:.2}", value / unit);
        format!("{}{suffix}", text.trim_end_matches('0').trim_end_matches('.'))
    };
    match value {
        v if v >= 1e9 => scaled(1e9, "B"),
        v if v >= 1e6 => scaled(1e6, "M"),
        v if v >= 1e4 => scaled(1e3, "K"),
        _ => scaled(1.0, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(ticks(500_000.0, 5), [0.0, 100_000.0, 200_000.0, 300_000.0, 400_000.0, 500_000.0]);
        assert_eq!(ticks(1218.0, 6), [0.0, 250.0, 500.0, 750.0, 1000.0]);
        assert_eq!(ticks(3e-4, 6).len(), 7);
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(ticks(bad, 5), [0.0]);
        }
        assert!(ticks(u64::MAX as f64, 5).len() <= 7);
        assert!(ticks(f64::MIN_POSITIVE, 5).len() <= 12);
    }

    #[test]
    fn ticks_lie_between_both_ends() {
        let close = |found: Vec<f64>, expected: &[f64]| {
            assert_eq!(found.len(), expected.len(), "{found:?}");
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?}");
        };
        close(ticks_between(0.23, 0.61, 6), &[0.3, 0.4, 0.5, 0.6]);
        close(ticks_between(-0.4, 0.4, 4), &[-0.4, -0.2, 0.0, 0.2, 0.4]);
        close(ticks_between(2.0, 2.0, 4), &[2.0]);
        assert_eq!(powers(9e8, 1.5e10), [1e9, 2e9, 5e9, 1e10]);
        assert_eq!(powers(1.0, 1e6).len(), 7);
        assert!(powers(3.0, 4.0).is_empty());
    }

    #[test]
    fn labels_are_short() {
        let counts = [0.0, 250.0, 7500.0, 50_000.0, 350_000.0, 1.5e6, 2e9].map(count_label);
        assert_eq!(counts, ["0", "250", "7500", "50K", "350K", "1.5M", "2B"]);
    }
}
