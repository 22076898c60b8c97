//! Measurements, line by line, and their form as CSV.

use serde::Deserialize;

use super::{BenchError, Goes, Peaks};
use crate::report::Table;
use crate::report::numbers::plain_digits;
use crate::report::table::{Cell, number, read_csv, text};

/// Columns that an error names.
const COLUMNS: usize = 10;
/// One sequence through the whole network; the name of its lines.
pub(super) const PREFILL: &str = "prefill";
/// One more token for several sequences; the name of its lines, whose tokens are the sequences.
pub(super) const DECODE: &str = "decode";
/// Operations and bytes are printed in billions.
const GIGA: f64 = 1e9;

/// One measurement.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Measurement {
    /// What was measured.
    pub what: String,
    /// What was multiplied; empty where nothing was.
    pub precision: String,
    /// Threads that worked.
    pub threads: usize,
    /// Tokens of one pass.
    pub tokens: Option<usize>,
    /// The median of all goes; of a peak the highest.
    pub value: f64,
    /// What `value`, `min`, `max` and `peak` count.
    pub unit: String,
    /// The slowest go.
    pub min: f64,
    /// The fastest go.
    pub max: f64,
    /// What it would be if the machine were at its peak all the time.
    pub peak: Option<f64>,
    /// `value` by `peak`.
    pub fraction: Option<f64>,
    /// `value` by that of another run; not read back.
    #[serde(skip)]
    pub ratio: Option<f64>,
}

impl Measurement {
    fn new(what: &str, precision: &str, threads: usize, goes: Goes, unit: &str) -> Self {
        Self {
            what: what.to_owned(),
            precision: precision.to_owned(),
            threads,
            value: goes.median,
            unit: unit.to_owned(),
            min: goes.min,
            max: goes.max,
            ..Self::default()
        }
    }

    /// Tokens a second, beside what it would be at the peak.
    pub fn of_tokens(
        (what, precision): (&str, &str),
        threads: usize,
        tokens: usize,
        goes: Goes,
        peak: f64,
    ) -> Self {
        let line = Self::new(what, precision, threads, goes, "tokens/s");
        Self { tokens: Some(tokens), peak: Some(peak), fraction: Some(goes.median / peak), ..line }
    }

    /// What it is about: lines of two runs with the same key are compared.
    fn key(&self) -> (&str, &str, Option<usize>, &str) {
        (&self.what, &self.precision, self.tokens, &self.unit)
    }

    /// A peak: its value is the highest of all goes.
    fn peak(what: &str, precision: &str, threads: usize, goes: Goes, unit: &str) -> Self {
        let goes = Goes { median: goes.max / GIGA, min: goes.min / GIGA, max: goes.max / GIGA };
        Self::new(what, precision, threads, goes, unit)
    }

    /// The peaks of a machine.
    pub fn of_machine(peaks: &Peaks) -> Vec<Self> {
        let threads = peaks.threads;
        let mut lines = vec![
            Self::peak("multiply-add", "f32", threads, peaks.multiply_add, "GFLOP/s"),
            Self::peak("multiply-add, one thread", "f32", 1, peaks.one_thread, "GFLOP/s"),
        ];
        lines.extend(peaks.bf16.map(|goes| Self::peak("bf16 products", "bf16", threads, goes, "GFLOP/s")));
        lines.extend(peaks.tiles.map(|goes| Self::peak("tile products", "bf16", threads, goes, "GFLOP/s")));
        lines.push(Self::peak("integer products", "int8", threads, peaks.integer, "GOP/s"));
        lines.push(Self::peak("memory read", "", threads, peaks.memory, "GB/s"));
        lines
    }

    /// The speed of a disk, by the median of its goes.
    pub fn of_disk(goes: Goes) -> Self {
        Self { value: goes.median / GIGA, ..Self::peak("disk read", "", 1, goes, "GB/s") }
    }
}

/// Gives each line its ratio to the line of the same key in `other`; returns how many have one.
pub fn compare(lines: &mut [Measurement], other: &[Measurement]) -> usize {
    let mut found = 0;
    for line in lines {
        let same = other.iter().find(|o| o.key() == line.key() && o.value > 0.0);
        line.ratio = same.map(|o| line.value / o.value);
        found += usize::from(line.ratio.is_some());
    }
    found
}

/// A precision of which the machine's peak was measured too low.
#[derive(Debug, Clone, PartialEq)]
pub struct Exceeded {
    /// What was multiplied.
    pub precision: String,
    /// How many times the loop's peak the products of a prefill reach.
    pub factor: f64,
}

/// Takes what products reach for the peak, where that is more than the loop found that should have measured it: all lines
/// of `PREFILL` in that precision are then against the fastest of their goes.
pub fn raise_peaks(lines: &mut [Measurement]) -> Vec<Exceeded> {
    let mut exceeded: Vec<Exceeded> = Vec::new();
    for line in lines.iter().filter(|line| line.what == PREFILL) {
        let Some(factor) = line.peak.map(|peak| line.max / peak).filter(|factor| *factor > 1.0) else {
            continue;
        };
        match exceeded.iter_mut().find(|known| known.precision == line.precision) {
            Some(known) => known.factor = known.factor.max(factor),
            None => exceeded.push(Exceeded { precision: line.precision.clone(), factor }),
        }
    }
    for line in lines.iter_mut().filter(|line| line.what == PREFILL) {
        if let Some(Exceeded { factor, .. }) = exceeded.iter().find(|own| own.precision == line.precision) {
            line.peak = line.peak.map(|peak| peak * factor);
            line.fraction = line.peak.map(|peak| line.value / peak);
        }
    }
    exceeded
}

/// All lines; `ratio` is a column where a line has one.
pub fn measurements(lines: &[Measurement]) -> Table<&Measurement> {
    let table = Table::of(lines)
        .column(text("what").wraps(), |line| &line.what)
        .column(text("precision"), |line| &line.precision)
        .column(number("threads"), |line| line.threads)
        .column(number("tokens"), |line| line.tokens)
        .column(number("value"), |line| Cell::written(line.value, plain_digits))
        .column(text("unit"), |line| &line.unit)
        .column(number("min"), |line| Cell::written(line.min, plain_digits))
        .column(number("max"), |line| Cell::written(line.max, plain_digits))
        .column(number("peak"), |line| Cell::written(line.peak, plain_digits))
        .column(number("fraction").titled("of peak"), |line| {
            Cell::written(line.fraction, |fraction: f64| format!("{:.0} %", 100.0 * fraction))
        })
        .decimal_floats();
    if lines.iter().all(|line| line.ratio.is_none()) {
        return table;
    }
    table.column(number("ratio"), |line| Cell::written(line.ratio, |ratio: f64| format!("{ratio:.2}")))
}

/// Reads the CSV of [`measurements`]; ratios are those of that run and are left out.
pub fn read_lines(bytes: &[u8]) -> Result<Vec<Measurement>, BenchError> {
    let wrong =
        |error: csv::Error| BenchError::Table { reason: format!("found one that cannot be read: {error}") };
    let mut reader = csv::Reader::from_reader(bytes);
    let head = reader.headers().map_err(wrong)?;
    let columns = measurements(&[]).csv();
    let mut columns = columns.trim_end().split(',');
    if let Some(missing) = columns.find(|column| !head.iter().any(|found| found == *column)) {
        let found: Vec<&str> = head.iter().take(COLUMNS).collect();
        let reason = format!("found no column {missing:?} among {}", found.join(", "));
        return Err(BenchError::Table { reason });
    }
    read_csv(bytes).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Vec<Measurement> {
        let goes = Goes { median: 250.0, min: 200.5, max: 1.0 / 3.0 };
        let disk = Goes { median: 2e9, min: 1e9, max: 3e9 };
        vec![
            Measurement::of_tokens(("prefill", "exact"), 2, 512, goes, 1000.0),
            Measurement::of_tokens(("prefill", "exact"), 2, 2048, goes, 1000.0),
            Measurement::of_disk(disk),
            Measurement::peak("memory read", "", 2, disk, "GB/s"),
        ]
    }

    #[test]
    fn a_table_is_read_back() {
        let written = measurements(&lines()).csv();
        assert!(
            written.starts_with("what,precision,threads,tokens,value,unit,min,max,peak,fraction\n"),
            "{written}"
        );
        assert!(written.contains("disk read,,1,,2,GB/s,1,3,,\n"), "{written}");
        assert!(written.contains("memory read,,2,,3,GB/s,1,3,,\n"), "{written}");
        assert_eq!(read_lines(written.as_bytes()).unwrap(), lines());
    }

    #[test]
    fn lines_of_one_key_are_compared() {
        let (mut own, mut other) = (lines(), lines());
        other[0].value = 500.0;
        other.remove(1);
        assert_eq!(compare(&mut own, &other), 3);
        let ratios: Vec<Option<f64>> = own.iter().map(|line| line.ratio).collect();
        assert_eq!(ratios, [Some(0.5), None, Some(1.0), Some(1.0)]);
        let written = measurements(&own).csv();
        assert!(written.lines().next().unwrap().ends_with(",fraction,ratio"), "{written}");
        // The ratio is that of another run, and a file with it can be compared again.
        assert_eq!(read_lines(written.as_bytes()).unwrap(), lines());
    }

    #[test]
    fn a_peak_below_what_a_product_reaches_is_none() {
        let goes = |max: f64| Goes { median: 0.9 * max, min: 0.5 * max, max };
        let mut own = vec![
            Measurement::of_tokens((PREFILL, "bf16"), 2, 512, goes(1200.0), 1000.0),
            Measurement::of_tokens((PREFILL, "bf16"), 2, 2048, goes(1680.0), 1000.0),
            Measurement::of_tokens((PREFILL, "exact"), 2, 2048, goes(800.0), 1000.0),
            Measurement::of_tokens(("decode", "bf16"), 2, 1, goes(90.0), 50.0),
        ];
        let exceeded = raise_peaks(&mut own);
        assert_eq!(exceeded, [Exceeded { precision: "bf16".into(), factor: 1.68 }]);
        let peaks: Vec<Option<f64>> = own.iter().map(|line| line.peak).collect();
        assert_eq!(peaks, [Some(1680.0), Some(1680.0), Some(1000.0), Some(50.0)]);
        let most = own[..3].iter().filter_map(|line| line.fraction).fold(0.0, f64::max);
        assert!((own[1].fraction.unwrap() - 0.9).abs() < 1e-12 && most < 1.0, "{own:?}");
        assert!(raise_peaks(&mut own).is_empty(), "once is enough");
    }

    #[test]
    fn every_form() {
        let mut own = lines();
        compare(&mut own, &lines()[..1]);
        let table = measurements(&own);
        insta::assert_snapshot!(format!("{}\n{}\n{}", table.text(100), table.csv(), table.json()));
    }

    #[test]
    fn what_is_no_such_table_is_refused() {
        let refused = |text: &str| read_lines(text.as_bytes()).unwrap_err().to_string();
        assert!(refused("model,value\na,1\n").contains("no column \"what\" among model, value"));
        let broken = measurements(&lines()).csv().replace("250", "fast");
        assert!(refused(&broken).contains("zoo bench"), "{}", refused(&broken));
    }
}
