//! What was measured, line by line, and its form as CSV.

use serde::{Deserialize, Serialize};

use super::{BenchError, Goes, Peaks};

/// The columns of a table; `ratio` comes after them where it is compared with another one.
const COLUMNS: [&str; 10] =
    ["what", "precision", "threads", "tokens", "value", "unit", "min", "max", "peak", "fraction"];
/// Operations and bytes are printed in billions.
const GIGA: f64 = 1e9;

/// What a line is about. Lines of two runs with the same key are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// What was measured.
    pub what: String,
    /// What was multiplied; empty where nothing was.
    pub precision: String,
    /// Tokens of one pass.
    pub tokens: Option<usize>,
}

/// One measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What it is about.
    pub key: Key,
    /// Threads that worked.
    pub threads: usize,
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
    /// `value` by that of another run.
    pub ratio: Option<f64>,
}

/// A line as files have it.
#[derive(Debug, Serialize, Deserialize)]
struct Flat {
    what: String,
    precision: String,
    threads: usize,
    tokens: Option<usize>,
    value: f64,
    unit: String,
    min: f64,
    max: f64,
    peak: Option<f64>,
    fraction: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
}

impl Serialize for Line {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { key, threads, value, unit, min, max, peak, fraction, ratio } = self.clone();
        let Key { what, precision, tokens } = key;
        let flat = Flat { what, precision, threads, tokens, value, unit, min, max, peak, fraction, ratio };
        flat.serialize(serializer)
    }
}

impl From<Flat> for Line {
    fn from(flat: Flat) -> Self {
        let Flat { what, precision, threads, tokens, value, unit, min, max, peak, fraction, ratio: _ } = flat;
        let key = Key { what, precision, tokens };
        Self { key, threads, value, unit, min, max, peak, fraction, ratio: None }
    }
}

impl Line {
    /// A speed beside its peak.
    pub fn of_peak(key: Key, threads: usize, goes: Goes, unit: &str, peak: f64) -> Self {
        Self {
            key,
            threads,
            value: goes.median,
            unit: unit.to_owned(),
            min: goes.min,
            max: goes.max,
            peak: Some(peak),
            fraction: Some(goes.median / peak),
            ratio: None,
        }
    }

    /// A peak: its value is the highest of all goes.
    fn peak(what: &str, precision: &str, threads: usize, goes: Goes, unit: &str) -> Self {
        let key = Key { what: what.to_owned(), precision: precision.to_owned(), tokens: None };
        let [value, min, max] = [goes.max, goes.min, goes.max].map(|rate| rate / GIGA);
        let unit = unit.to_owned();
        Self { key, threads, value, unit, min, max, peak: None, fraction: None, ratio: None }
    }

    /// The peaks of a machine.
    pub fn of_machine(peaks: &Peaks) -> Vec<Self> {
        let threads = peaks.threads;
        let mut lines = vec![
            Self::peak("multiply-add", "f32", threads, peaks.multiply_add, "GFLOP/s"),
            Self::peak("multiply-add, one thread", "f32", 1, peaks.one_thread, "GFLOP/s"),
        ];
        lines.extend(peaks.bf16.map(|goes| Self::peak("bf16 products", "bf16", threads, goes, "GFLOP/s")));
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
pub fn compare(lines: &mut [Line], other: &[Line]) -> usize {
    let mut found = 0;
    for line in lines {
        let same = other.iter().find(|o| o.key == line.key && o.unit == line.unit && o.value > 0.0);
        line.ratio = same.map(|o| line.value / o.value);
        found += usize::from(line.ratio.is_some());
    }
    found
}

/// A head and all lines; `ratio` is a column where a line has one.
pub fn lines_csv(lines: &[Line]) -> Result<String, csv::Error> {
    let compared = lines.iter().any(|line| line.ratio.is_some());
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS.into_iter().chain(compared.then_some("ratio")))?;
    let text = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
    for line in lines {
        let Key { what, precision, tokens } = &line.key;
        let mut record = vec![
            what.clone(),
            precision.clone(),
            line.threads.to_string(),
            tokens.map(|tokens| tokens.to_string()).unwrap_or_default(),
            line.value.to_string(),
            line.unit.clone(),
            line.min.to_string(),
            line.max.to_string(),
            text(line.peak),
            text(line.fraction),
        ];
        if compared {
            record.push(text(line.ratio));
        }
        writer.write_record(&record)?;
    }
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads what [`lines_csv`] wrote; ratios are those of that run and are left out.
pub fn read_lines(bytes: &[u8]) -> Result<Vec<Line>, BenchError> {
    let wrong =
        |error: csv::Error| BenchError::Table { reason: format!("found one that cannot be read: {error}") };
    let mut reader = csv::Reader::from_reader(bytes);
    let head = reader.headers().map_err(wrong)?;
    if let Some(missing) = COLUMNS.iter().find(|column| !head.iter().any(|found| found == **column)) {
        let found: Vec<&str> = head.iter().take(COLUMNS.len()).collect();
        let reason = format!("found no column {missing:?} among {}", found.join(", "));
        return Err(BenchError::Table { reason });
    }
    reader.deserialize::<Flat>().map(|line| line.map(Line::from).map_err(wrong)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Vec<Line> {
        let goes = Goes { median: 250.0, min: 200.5, max: 1.0 / 3.0 };
        let key = |tokens| Key { what: "prefill".into(), precision: "exact".into(), tokens: Some(tokens) };
        let disk = Goes { median: 2e9, min: 1e9, max: 3e9 };
        vec![
            Line::of_peak(key(512), 2, goes, "tokens/s", 1000.0),
            Line::of_peak(key(2048), 2, goes, "tokens/s", 1000.0),
            Line::of_disk(disk),
            Line::peak("memory read", "", 2, disk, "GB/s"),
        ]
    }

    #[test]
    fn a_table_is_read_back() {
        let written = lines_csv(&lines()).unwrap();
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
        let written = lines_csv(&own).unwrap();
        assert!(written.lines().next().unwrap().ends_with(",fraction,ratio"), "{written}");
        // The ratio is that of another run, and a file with it can be compared again.
        assert_eq!(read_lines(written.as_bytes()).unwrap(), lines());
    }

    #[test]
    fn what_is_no_such_table_is_refused() {
        let refused = |text: &str| read_lines(text.as_bytes()).unwrap_err().to_string();
        assert!(refused("model,value\na,1\n").contains("no column \"what\" among model, value"));
        let broken = lines_csv(&lines()).unwrap().replace("250", "fast");
        assert!(refused(&broken).contains("zoo bench"), "{}", refused(&broken));
    }
}
