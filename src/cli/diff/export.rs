//! The comparison for other programs: CSV and JSON.

use serde::Serialize;

use super::{RANKS, Report};
use crate::compare::{Comparison, TensorChange, TensorKind, TensorPlace, by_kind, by_layer};
use crate::weights::TensorInfo;

/// One tensor; fields that have no value are empty.
#[derive(Debug, Default, Serialize)]
struct Line {
    tensor: String,
    layer: Option<u32>,
    kind: Option<TensorKind>,
    /// `changed`, `equal`, `other shape`, `only in A` or `only in B`.
    status: &'static str,
    a: String,
    b: String,
    /// Rows that were compared, if one of the models has more.
    common_rows: Option<usize>,
    elements: Option<u64>,
    equal: Option<u64>,
    non_finite: Option<u64>,
    norm_a: Option<f64>,
    norm_b: Option<f64>,
    norm_delta: Option<f64>,
    relative_change: Option<f64>,
    max_abs_delta: Option<f64>,
    cosine: Option<f64>,
    method: Option<crate::compare::spectrum::Method>,
    sigma_1: Option<f64>,
    stable_rank: Option<f64>,
    effective_rank_low: Option<f64>,
    effective_rank_high: Option<f64>,
    energy_1: Option<f64>,
    energy_4: Option<f64>,
    energy_8: Option<f64>,
    energy_16: Option<f64>,
    energy_64: Option<f64>,
}

impl Line {
    fn of(change: &TensorChange) -> Self {
        let moments = &change.moments;
        let spectrum = change.spectrum.as_ref();
        let effective = spectrum.and_then(|s| s.effective_rank());
        let [energy_1, energy_4, energy_8, energy_16, energy_64] =
            RANKS.map(|r| spectrum.and_then(|s| s.energy(r)));
        Line {
            tensor: change.name.clone(),
            layer: change.place.layer,
            kind: Some(change.place.kind),
            status: if moments.is_equal() && change.common_rows().is_none() { "equal" } else { "changed" },
            a: format!("{} {:?}", change.dtype_a, change.shape_a),
            b: format!("{} {:?}", change.dtype_b, change.shape_b),
            common_rows: change.common_rows(),
            elements: Some(moments.elements),
            equal: Some(moments.equal),
            non_finite: Some(moments.non_finite),
            norm_a: Some(moments.a_squared.sqrt()),
            norm_b: Some(moments.b_squared.sqrt()),
            norm_delta: Some(moments.delta_squared.sqrt()),
            relative_change: moments.relative_change(),
            max_abs_delta: Some(moments.delta_max),
            cosine: moments.cosine(),
            method: spectrum.map(|s| s.method),
            sigma_1: spectrum.and_then(|s| s.values.first().copied()),
            stable_rank: spectrum.and_then(|s| s.stable_rank()),
            effective_rank_low: effective.map(|(low, _)| low),
            effective_rank_high: effective.map(|(_, high)| high),
            energy_1,
            energy_4,
            energy_8,
            energy_16,
            energy_64,
        }
    }

    fn without_partner(info: &TensorInfo, in_a: bool) -> Self {
        let place = TensorPlace::of(&info.name);
        let shape = format!("{} {:?}", info.dtype, info.shape);
        let (status, a, b) =
            if in_a { ("only in A", shape, String::new()) } else { ("only in B", String::new(), shape) };
        Line {
            tensor: info.name.clone(),
            layer: place.layer,
            kind: Some(place.kind),
            status,
            a,
            b,
            ..Line::default()
        }
    }
}

fn lines(found: &Comparison) -> Vec<Line> {
    let mut lines: Vec<Line> = found.changes.iter().map(Line::of).collect();
    lines.extend(found.incomparable.iter().map(|tensor| {
        let place = TensorPlace::of(&tensor.name);
        Line {
            tensor: tensor.name.clone(),
            layer: place.layer,
            kind: Some(place.kind),
            status: "other shape",
            a: tensor.a.clone(),
            b: tensor.b.clone(),
            ..Line::default()
        }
    }));
    lines.extend(found.only_in_a.iter().map(|info| Line::without_partner(info, true)));
    lines.extend(found.only_in_b.iter().map(|info| Line::without_partner(info, false)));
    lines.sort_by(|x, y| x.tensor.cmp(&y.tensor));
    lines
}

/// One line to a tensor.
pub(super) fn csv(report: &Report<'_>) -> anyhow::Result<String> {
    crate::cli::lines::csv(lines(report.found))
}

/// Everything that was found, as one object.
pub(super) fn json(report: &Report<'_>) -> anyhow::Result<String> {
    #[derive(Serialize)]
    struct Summary {
        tensors: usize,
        changed: usize,
        relative_change: Option<f64>,
        /// The share of the squared change in the largest `rank` singular values of each matrix.
        energy: Option<f64>,
        mean_stable_rank: Option<f64>,
    }
    let summary = |group: &crate::compare::Group| Summary {
        tensors: group.tensors,
        changed: group.changed,
        relative_change: group.moments.relative_change(),
        energy: group.mean_energy(),
        mean_stable_rank: group.mean_stable_rank(),
    };
    let kinds: serde_json::Map<String, serde_json::Value> = by_kind(&report.found.changes, report.rank)
        .iter()
        .map(|(kind, group)| Ok((kind.to_string(), serde_json::to_value(summary(group))?)))
        .collect::<Result<_, serde_json::Error>>()?;
    let layers: serde_json::Map<String, serde_json::Value> = by_layer(&report.found.changes, report.rank)
        .iter()
        .filter_map(|(layer, group)| layer.map(|layer| (layer, group)))
        .map(|(layer, group)| Ok((layer.to_string(), serde_json::to_value(summary(group))?)))
        .collect::<Result<_, serde_json::Error>>()?;
    let [a, b] = report.names;
    let all = serde_json::json!({
        "a": a,
        "b": b,
        "identical": report.found.is_identical(),
        "rank": report.spectra.then_some(report.rank),
        "kinds": kinds,
        "layers": layers,
        "tensors": lines(report.found),
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&all)?))
}

/// All singular values that were found: tensor, number from 1, value, energy up to it.
pub(super) fn spectra(found: &Comparison) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["tensor", "i", "singular_value", "energy", "method", "count"])?;
    for change in &found.changes {
        let Some(spectrum) = &change.spectrum else { continue };
        let method = serde_json::to_value(spectrum.method)?;
        let mut sum = 0.0;
        for (i, value) in spectrum.values.iter().enumerate() {
            sum += value * value;
            writer.serialize((
                &change.name,
                i + 1,
                value,
                (sum / spectrum.total).min(1.0),
                method.as_str(),
                spectrum.count,
            ))?;
        }
    }
    Ok(writer.into_inner()?)
}
