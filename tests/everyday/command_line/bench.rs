//! `zoo bench` as a program: a small shape, measured once.

use crate::support::tiny::{stderr, stdout, zoo};

#[test]
fn a_shape_is_measured_compared_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bench.csv");
    let file = file.to_str().unwrap();
    let asked = ["bench", "--shape", "smollm2-135m", "--layers", "1", "--tokens", "16", "--format", "csv"];
    let output = zoo(&[&asked[..], &["--decode", "2", "--sequences", "1,3", "--out", file]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    assert_eq!(std::fs::read_to_string(file).unwrap(), text);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let columns = "what,precision,threads,tokens,value,unit,min,max,peak,fraction";
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>().join(","), columns);
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let mut peaks = vec!["multiply-add", "multiply-add, one thread", "integer products", "memory read"];
    if zoo::kernels::has_tiles() && zoo::kernels::Isa::best().has_tiles() {
        peaks.insert(2, "tile products");
    }
    if zoo::kernels::Isa::best().vectors().has_bf16_products() {
        peaks.insert(2, "bf16 products");
    }
    let expected = peaks.iter().copied().chain(["prefill", "decode", "decode"].repeat(3));
    assert_eq!(records.iter().map(|record| &record[0]).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    let precisions: Vec<&str> =
        records.iter().skip(peaks.len()).step_by(3).map(|record| &record[1]).collect();
    assert_eq!(precisions, ["exact", "bf16", "int8"]);
    for record in &records {
        let [value, min, max] = [4, 6, 7].map(|at| record[at].parse::<f64>().unwrap());
        assert!(min > 0.0 && min <= value && value <= max && max.is_finite(), "{record:?}");
        if let Ok(fraction) = record[9].parse::<f64>() {
            // Weights that stay in caches are read faster than memory, so it may be above 1.
            let peak = record[8].parse::<f64>().unwrap();
            assert!(peak > 0.0 && (fraction - value / peak).abs() <= 1e-9 * fraction, "{record:?}");
        } else {
            assert!(peaks.contains(&&record[0]) && record[9].is_empty(), "{record:?}");
        }
    }
}

#[test]
fn wrong_usage_is_said_before_anything_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.csv");
    std::fs::write(&file, "model,value\nllama,1\n").unwrap();
    for (args, word) in [
        (["--shape", "llama-8b"], "tinyllama-1.1b"),
        (["--layers", "31"], "at most 30"),
        (["--vs", file.to_str().unwrap()], "no column \"what\""),
        (["--vs", "./no-such.csv"], "zoo bench"),
        (["--vs-csv", file.to_str().unwrap()], "llama-bench"),
        (["--vs-csv", "./no-such.csv"], "no-such.csv"),
        (["--tokens", "0"], "at least 1"),
        (["--precision", "fp8"], "exact, bf16 or int8"),
    ] {
        let output = zoo(&[&["bench"][..], &args[..]].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).contains(word), "{args:?}: {}", stderr(&output));
    }
}
