//! The table of `zoo bench`.

use super::Args;
use crate::base::machine::cpu_name;
use crate::bench::{BenchModel, Exceeded, Measurement, Peaks, measurements};
use crate::kernels::{Precision, chosen, products_of_tiles};
use crate::weights::Dtype;

/// Head, measurements and what has to be known to read them.
pub fn page(
    subject: &BenchModel,
    lines: &[Measurement],
    (peaks, exceeded): (&Peaks, &[Exceeded]),
    args: &Args,
    width: usize,
) -> String {
    let head = title(subject, args.model.is_none(), peaks);
    let mut text = format!("{head}\n{}", measurements(lines).text(width));
    let notes = notes(lines, (peaks, subject.weights()), args.layers.is_some(), &args.precision);
    for note in notes.into_iter().chain(of_peaks(peaks, exceeded)) {
        text.push_str(&format!("{note}\n"));
    }
    text
}

/// What was measured, and on what.
fn title(subject: &BenchModel, random: bool, peaks: &Peaks) -> String {
    let (layers, all) = (subject.config.num_hidden_layers(), subject.all_layers);
    let layers = if layers == all { format!("{all} layers") } else { format!("{layers} of {all} layers") };
    let random = if random { ", random weights" } else { "" };
    let threads = peaks.threads;
    let isa = peaks.isa.name();
    let plural = if threads == 1 { "" } else { "s" };
    format!("{}, {layers}{random}\n{}, {threads} thread{plural}, {isa}", subject.name, cpu_name())
}

fn notes(
    lines: &[Measurement],
    (peaks, weights): (&Peaks, Dtype),
    cut: bool,
    precisions: &[Precision],
) -> Vec<String> {
    let mut notes = vec![
        "Values are medians, of peaks the highest. The peak of prefill is all its operations at the speed of multiply-adds, that \
         of decode all weights, keys and values read at the speed of memory, or its operations if they take longer. Tokens of \
         decode are the sequences that get one each."
            .to_owned(),
    ];
    if precisions.iter().any(|&precision| precision != Precision::Exact) {
        notes.push(
            "In bf16 and int8 they are products of bf16 numbers and of integers; attention is in bf16 in both where the \
             processor has a bf16 dot product, else in f32."
                .to_owned(),
        );
    }
    if lines.iter().any(|line| line.tokens == Some(1) && line.fraction.is_some_and(|fraction| fraction > 1.0))
    {
        notes.push("Decode is faster than memory where weights stay in the processor's caches.".to_owned());
    }
    if let (true, Some(_), Some(products)) =
        (precisions.contains(&Precision::Exact), peaks.tiles, products_of_tiles(weights))
    {
        notes.push(format!(
            "The peak of exact is that of tile products by {products}: so many products of bf16 numbers are one of f32 activations \
             with weights of {weights}."
        ));
    }
    if precisions.contains(&Precision::Bf16) && !peaks.isa.has_bf16_products() {
        let mut note =
            "The peak of bf16 is that of f32: no instruction multiplies pairs of bf16 numbers here"
                .to_owned();
        for (isa, why) in &chosen().passed_over {
            note += &format!("; {} is not used: {why}", isa.name());
        }
        notes.push(note + ".");
    }
    if cut {
        notes.push(
            "Not all layers were measured (--layers): tokens/s are those of the shorter model.".to_owned(),
        );
    }
    if cfg!(debug_assertions) {
        notes.push("This zoo was built for debugging: a release build is many times as fast.".to_owned());
    }
    notes
}

/// What is wrong with a peak, or with the instruction that it is of.
fn of_peaks(peaks: &Peaks, exceeded: &[Exceeded]) -> Vec<String> {
    let mut notes: Vec<String> = exceeded
        .iter()
        .map(|Exceeded { precision, factor }| {
            format!(
                "Products of {precision} are {factor:.2} times as fast as the loop that should measure their peak: the peak of \
                 prefill in {precision} is that of the products. The loop is wrong for this processor; please report it."
            )
        })
        .collect();
    let slow = peaks.bf16.filter(|bf16| bf16.max < peaks.multiply_add.max && peaks.tiles.is_none());
    if let Some(bf16) = slow {
        notes.push(format!(
            "This processor's bf16 dot product does {:.0} GFLOP/s and its multiply-adds in f32 {:.0}: the peak of bf16 is that \
             of f32, and bf16 saves memory here, not time.",
            bf16.max / 1e9,
            peaks.multiply_add.max / 1e9
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Goes;
    use crate::kernels::Isa;

    #[test]
    fn a_peak_that_is_none_is_said() {
        let mut peaks = peaks();
        let notes = of_peaks(&peaks, &[Exceeded { precision: "bf16".into(), factor: 1.68 }]);
        assert!(notes[0].contains("bf16 are 1.68 times as fast as the loop"), "{notes:?}");
        assert!(notes[1].contains("60 GFLOP/s") && notes[1].contains("100"), "{notes:?}");
        peaks.bf16 = Some(goes(200e9));
        assert!(of_peaks(&peaks, &[]).is_empty());
    }

    fn goes(max: f64) -> Goes {
        Goes { median: max, min: max, max }
    }

    fn peaks() -> Peaks {
        Peaks {
            isa: Isa::Plain,
            threads: 1,
            multiply_add: goes(100e9),
            one_thread: goes(100e9),
            bf16: Some(goes(60e9)),
            tiles: None,
            integer: goes(400e9),
            memory: goes(10e9),
        }
    }

    fn lines() -> Vec<Measurement> {
        let goes = |median: f64| Goes { median, min: median / 2.0, max: median * 1.25 };
        vec![
            Measurement::of_disk(goes(1.5e9)),
            Measurement::of_tokens(("prefill", "exact"), 8, 512, goes(1234.5), 2000.0),
            Measurement::of_tokens(("decode", "int8"), 8, 1, goes(61.25), 50.0),
        ]
    }

    #[test]
    fn a_table_for_reading() {
        let mut lines = lines();
        let text = measurements(&lines).text(120);
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0][..4], ["what", "precision", "threads", "tokens"]);
        assert_eq!(rows[2], ["disk", "read", "1", "1.50", "GB/s", "0.75", "1.88"]);
        assert_eq!(
            rows[3],
            ["prefill", "exact", "8", "512", "1234", "tokens/s", "617", "1543", "2000", "62", "%"]
        );
        assert!(!text.contains("ratio"));
        lines[1].ratio = Some(1.2345);
        let text = measurements(&lines).text(120);
        assert!(text.contains("ratio") && text.contains("1.23\n"), "{text}");
    }

    #[test]
    fn notes_say_what_has_to_be_known() {
        let all = notes(&lines(), (&peaks(), Dtype::F32), true, &Precision::ALL).join("\n");
        for word in ["caches", "bf16", "--layers"] {
            assert!(all.contains(word), "{word}: {all}");
        }
        let few = notes(&lines()[..2], (&peaks(), Dtype::F32), false, &[Precision::Exact]).join("\n");
        assert!(!few.contains("caches") && !few.contains("bf16") && !few.contains("--layers"), "{few}");
    }
}
