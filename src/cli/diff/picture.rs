//! The comparison as a heat map of layers × kinds.

use super::{Measure, Report};
use crate::compare::{TensorChange, TensorKind};
use crate::report::figure::{HeatCell, HeatMap};
use crate::report::numbers::{digits, percent};

/// What a cell says when several tensors share it: the one that says most.
fn cell<'a>(changes: impl Iterator<Item = &'a TensorChange>, measure: Measure, rank: usize) -> HeatCell {
    let cells = changes.map(|change| {
        if change.moments.is_equal() {
            return HeatCell::Equal;
        }
        let spectrum = change.spectrum.as_ref();
        let value = match measure {
            // What was 0 before has changed beyond all measure; black on the scale, ∞ in words.
            Measure::Change => Some(change.moments.relative_change().unwrap_or(f64::INFINITY)),
            Measure::Energy => spectrum.and_then(|s| s.energy(rank)),
            Measure::StableRank => spectrum.and_then(|s| s.stable_rank()),
            Measure::EffectiveRank => spectrum.and_then(|s| s.effective_rank()).map(|(low, _)| low),
        };
        value.map_or(HeatCell::Absent, HeatCell::Value)
    });
    cells.fold(HeatCell::Absent, |best, cell| match (best, cell) {
        (HeatCell::Value(x), HeatCell::Value(y)) => HeatCell::Value(x.max(y)),
        (HeatCell::Value(x), _) => HeatCell::Value(x),
        (HeatCell::Equal, HeatCell::Absent) => HeatCell::Equal,
        (_, cell) => cell,
    })
}

/// The figure: layers as rows, kinds as columns, embeddings above, the last norm and the head below.
pub(super) fn heat_map(report: &Report<'_>, measure: Measure) -> HeatMap {
    let changes = &report.found.changes;
    let of = |layer: Option<u32>, kind: TensorKind| {
        let here = changes.iter().filter(move |c| c.place.layer == layer && c.place.kind == kind);
        cell(here, measure, report.rank)
    };
    let mut layers: Vec<u32> = changes.iter().filter_map(|c| c.place.layer).collect();
    layers.sort_unstable();
    layers.dedup();
    let has = |layered: bool, kind: TensorKind| {
        changes.iter().any(|c| c.place.kind == kind && c.place.layer.is_some() == layered)
    };
    // Vectors have no singular values: their column would be empty.
    let measured = |kind: TensorKind| measure == Measure::Change || kind != TensorKind::Norm;
    let kinds: Vec<TensorKind> =
        TensorKind::ALL.into_iter().filter(|kind| has(true, *kind) && measured(*kind)).collect();
    let (above, below): (Vec<TensorKind>, Vec<TensorKind>) = TensorKind::ALL
        .into_iter()
        .filter(|kind| has(false, *kind) && measured(*kind))
        .partition(|kind| *kind == TensorKind::Embed);
    let band = |kinds: Vec<TensorKind>| {
        kinds.into_iter().map(|kind| (kind.to_string(), of(None, kind))).collect::<Vec<_>>()
    };
    let rows = layers
        .iter()
        .map(|&layer| (layer.to_string(), kinds.iter().map(|&kind| of(Some(layer), kind)).collect()));
    let rank = report.rank;
    let (subtitle, legend, number): (String, String, fn(f64) -> String) = match measure {
        Measure::Change => (
            "How far each matrix moved: the norm of the difference B − A relative to the norm of A"
                .to_owned(),
            "relative change ‖B − A‖ / ‖A‖".to_owned(),
            change_text,
        ),
        Measure::Energy => (
            format!("How much of the squared difference its {rank} largest singular values hold"),
            format!("energy in the top {rank}"),
            percent,
        ),
        Measure::StableRank => (
            "How many directions as strong as the strongest make up the difference".to_owned(),
            "stable rank ‖B − A‖² / σ₁²".to_owned(),
            digits,
        ),
        Measure::EffectiveRank => (
            "Over how many directions the difference is spread: the entropy of its squared singular values"
                .to_owned(),
            "effective rank, at least".to_owned(),
            digits,
        ),
    };
    let [a, b] = report.names;
    HeatMap {
        title: format!("{a} → {b}"),
        subtitle,
        row_label: "layer".to_owned(),
        columns: kinds.iter().map(TensorKind::to_string).collect(),
        rows: rows.collect(),
        above: band(above),
        below: band(below),
        measure: legend,
        floor: None,
        equal_label: "equal in both".to_owned(),
        number,
    }
}

fn change_text(value: f64) -> String {
    if value.is_infinite() { "∞".to_owned() } else { digits(value) }
}
