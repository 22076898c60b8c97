//! The comparison for other programs: CSV and JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{RANKS, Report};
use crate::compare::spectrum::Spectrum;
use crate::compare::{Comparison, Incomparable, TensorChange, TensorGroup, TensorPlace, by_kind, by_layer};
use crate::report::Table;
use crate::report::table::{Cell, data};
use crate::weights::{Dtype, TensorInfo};

/// What is to be said of one tensor.
#[derive(Clone, Copy)]
pub(super) enum Tensor<'c> {
    Compared(&'c TensorChange),
    OtherShape(&'c Incomparable),
    OnlyInA(&'c TensorInfo),
    OnlyInB(&'c TensorInfo),
}

impl<'c> Tensor<'c> {
    /// Name and status, then type and shape in A and in B; empty where it is not.
    fn facts(self) -> (&'c str, &'static str, [String; 2]) {
        let form = |dtype: Dtype, shape: &[usize]| format!("{dtype} {shape:?}");
        match self {
            Self::Compared(c) => {
                let is_equal = c.moments.is_equal() && c.common_rows().is_none();
                let status = if is_equal { "equal" } else { "changed" };
                (&c.name, status, [form(c.dtype_a, &c.shape_a), form(c.dtype_b, &c.shape_b)])
            }
            Self::OtherShape(tensor) => (&tensor.name, "other shape", [tensor.a.clone(), tensor.b.clone()]),
            Self::OnlyInA(info) => (&info.name, "only in A", [form(info.dtype, &info.shape), String::new()]),
            Self::OnlyInB(info) => (&info.name, "only in B", [String::new(), form(info.dtype, &info.shape)]),
        }
    }

    fn name(self) -> &'c str {
        self.facts().0
    }
}

/// One row to a tensor, in order of names; cells that have no value are empty.
pub(super) fn tensors<'c>(found: &'c Comparison) -> Table<Tensor<'c>> {
    let mut rows: Vec<Tensor> = found.changes.iter().map(Tensor::Compared).collect();
    rows.extend(found.incomparable.iter().map(Tensor::OtherShape));
    rows.extend(found.only_in_a.iter().map(Tensor::OnlyInA));
    rows.extend(found.only_in_b.iter().map(Tensor::OnlyInB));
    rows.sort_by_key(|tensor| tensor.name());
    let change = |cell: fn(&TensorChange) -> Cell| {
        move |tensor: Tensor<'c>| match tensor {
            Tensor::Compared(change) => cell(change),
            _ => Cell::empty(),
        }
    };
    let spectrum = |tensor: Tensor<'c>| match tensor {
        Tensor::Compared(change) => change.spectrum.as_ref(),
        _ => None,
    };
    let mut table = Table::of(rows)
        .column(data("tensor"), Tensor::name)
        .column(data("layer"), |tensor| TensorPlace::of(tensor.name()).layer)
        .column(data("kind"), |tensor| TensorPlace::of(tensor.name()).kind.as_str())
        .column(data("status"), |tensor| tensor.facts().1)
        .column(data("a"), |tensor| tensor.facts().2[0].clone())
        .column(data("b"), |tensor| tensor.facts().2[1].clone())
        .column(data("common_rows"), change(|c| c.common_rows().into()))
        .column(data("elements"), change(|c| c.moments.elements.into()))
        .column(data("equal"), change(|c| c.moments.equal.into()))
        .column(data("non_finite"), change(|c| c.moments.non_finite.into()))
        .column(data("norm_a"), change(|c| c.moments.a_squared.sqrt().into()))
        .column(data("norm_b"), change(|c| c.moments.b_squared.sqrt().into()))
        .column(data("norm_delta"), change(|c| c.moments.delta_squared.sqrt().into()))
        .column(data("relative_change"), change(|c| c.moments.relative_change().into()))
        .column(data("max_abs_delta"), change(|c| c.moments.delta_max.into()))
        .column(data("cosine"), change(|c| c.moments.cosine().into()))
        .column(data("method"), |tensor| spectrum(tensor).map(|s| s.method.as_str()))
        .column(data("sigma_1"), |tensor| spectrum(tensor)?.values.first().copied())
        .column(data("stable_rank"), |tensor| spectrum(tensor)?.stable_rank())
        .column(data("effective_rank_low"), |tensor| Some(spectrum(tensor)?.effective_rank()?.0))
        .column(data("effective_rank_high"), |tensor| Some(spectrum(tensor)?.effective_rank()?.1));
    for rank in RANKS {
        table = table.column(data(format!("energy_{rank}")), |tensor| spectrum(tensor)?.energy(rank));
    }
    table
}

/// Everything that was found, as one object.
pub(super) fn json(report: &Report<'_>) -> String {
    // Energy is the share of the squared change in the largest `rank` singular values of each matrix.
    let summary = |group: &TensorGroup| {
        json!({
            "tensors": group.tensors,
            "changed": group.changed,
            "relative_change": group.moments.relative_change(),
            "energy": group.mean_energy(),
            "mean_stable_rank": group.mean_stable_rank(),
        })
    };
    let changes = &report.found.changes;
    let kinds = by_kind(changes, report.rank);
    let kinds = kinds.iter().map(|(kind, group)| (kind.to_string(), summary(group)));
    let layers: BTreeMap<_, _> = by_layer(changes, report.rank);
    let layers =
        layers.iter().filter_map(|(layer, group)| Some((layer.as_ref()?.to_string(), summary(group))));
    let [a, b] = report.names;
    let all = json!({
        "a": a,
        "b": b,
        "identical": report.found.is_identical(),
        "rank": report.spectra.then_some(report.rank),
        "kinds": kinds.collect::<Value>(),
        "layers": layers.collect::<Value>(),
        "tensors": tensors(report.found).objects(),
    });
    format!("{all:#}\n")
}

/// All singular values that were found: tensor, number from 1, value, energy up to it.
pub(super) fn spectra(found: &Comparison) -> Table<(&str, &Spectrum, usize, f64)> {
    let mut rows = Vec::new();
    for change in &found.changes {
        let Some(spectrum) = &change.spectrum else { continue };
        let mut sum = 0.0;
        for (i, value) in spectrum.values.iter().enumerate() {
            sum += value * value;
            rows.push((change.name.as_str(), spectrum, i, (sum / spectrum.total).min(1.0)));
        }
    }
    Table::of(rows)
        .column(data("tensor"), |(name, ..)| name)
        .column(data("i"), |(_, _, i, _)| i + 1)
        .column(data("singular_value"), |(_, spectrum, i, _)| spectrum.values[i])
        .column(data("energy"), |(.., energy)| energy)
        .column(data("method"), |(_, spectrum, ..)| spectrum.method.as_str())
        .column(data("count"), |(_, spectrum, ..)| spectrum.count)
}
