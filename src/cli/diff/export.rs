//! The comparison for other programs: CSV and JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{RANKS, Report};
use crate::compare::spectrum::Spectrum;
use crate::compare::{Comparison, Group, Incomparable, TensorChange, TensorPlace, by_kind, by_layer};
use crate::report::Table;
use crate::report::table::{Cell, data};
use crate::weights::TensorInfo;

/// What is to be said of one tensor.
#[derive(Clone, Copy)]
pub(super) enum Tensor<'c> {
    Compared(&'c TensorChange),
    OtherShape(&'c Incomparable),
    OnlyInA(&'c TensorInfo),
    OnlyInB(&'c TensorInfo),
}

impl<'c> Tensor<'c> {
    fn name(self) -> &'c str {
        match self {
            Self::Compared(change) => &change.name,
            Self::OtherShape(tensor) => &tensor.name,
            Self::OnlyInA(info) | Self::OnlyInB(info) => &info.name,
        }
    }

    fn status(self) -> &'static str {
        match self {
            Self::Compared(change) if change.moments.is_equal() && change.common_rows().is_none() => "equal",
            Self::Compared(_) => "changed",
            Self::OtherShape(_) => "other shape",
            Self::OnlyInA(_) => "only in A",
            Self::OnlyInB(_) => "only in B",
        }
    }

    /// Type and shape in A and in B; empty where it is not.
    fn shapes(self) -> [String; 2] {
        let of = |info: &TensorInfo| format!("{} {:?}", info.dtype, info.shape);
        match self {
            Self::Compared(c) => {
                [format!("{} {:?}", c.dtype_a, c.shape_a), format!("{} {:?}", c.dtype_b, c.shape_b)]
            }
            Self::OtherShape(tensor) => [tensor.a.clone(), tensor.b.clone()],
            Self::OnlyInA(info) => [of(info), String::new()],
            Self::OnlyInB(info) => [String::new(), of(info)],
        }
    }
}

/// One row to a tensor, in order of names; cells that have no value are empty.
pub(super) fn tensors(found: &Comparison) -> Table<Tensor<'_>> {
    let mut rows: Vec<Tensor> = found.changes.iter().map(Tensor::Compared).collect();
    rows.extend(found.incomparable.iter().map(Tensor::OtherShape));
    rows.extend(found.only_in_a.iter().map(Tensor::OnlyInA));
    rows.extend(found.only_in_b.iter().map(Tensor::OnlyInB));
    rows.sort_by_key(|tensor| tensor.name());
    let mut table = Table::of(rows)
        .column(data("tensor"), Tensor::name)
        .column(data("layer"), |tensor| TensorPlace::of(tensor.name()).layer)
        .column(data("kind"), |tensor| TensorPlace::of(tensor.name()).kind.as_str())
        .column(data("status"), Tensor::status)
        .column(data("a"), |tensor| tensor.shapes()[0].clone())
        .column(data("b"), |tensor| tensor.shapes()[1].clone());
    let compared: [(&str, fn(&TensorChange) -> Cell); 10] = [
        ("common_rows", |c| c.common_rows().into()),
        ("elements", |c| c.moments.elements.into()),
        ("equal", |c| c.moments.equal.into()),
        ("non_finite", |c| c.moments.non_finite.into()),
        ("norm_a", |c| c.moments.a_squared.sqrt().into()),
        ("norm_b", |c| c.moments.b_squared.sqrt().into()),
        ("norm_delta", |c| c.moments.delta_squared.sqrt().into()),
        ("relative_change", |c| c.moments.relative_change().into()),
        ("max_abs_delta", |c| c.moments.delta_max.into()),
        ("cosine", |c| c.moments.cosine().into()),
    ];
    for (key, cell) in compared {
        table = table.column(data(key), |tensor| match tensor {
            Tensor::Compared(change) => cell(change),
            _ => Cell::empty(),
        });
    }
    let spectral: [(&str, fn(&Spectrum) -> Cell); 5] = [
        ("method", |s| s.method.as_str().into()),
        ("sigma_1", |s| s.values.first().copied().into()),
        ("stable_rank", |s| s.stable_rank().into()),
        ("effective_rank_low", |s| s.effective_rank().map(|(low, _)| low).into()),
        ("effective_rank_high", |s| s.effective_rank().map(|(_, high)| high).into()),
    ];
    let of = |tensor: Tensor<'_>, cell: &dyn Fn(&Spectrum) -> Cell| match tensor {
        Tensor::Compared(TensorChange { spectrum: Some(spectrum), .. }) => cell(spectrum),
        _ => Cell::empty(),
    };
    for (key, cell) in spectral {
        table = table.column(data(key), |tensor| of(tensor, &cell));
    }
    for rank in RANKS {
        table = table.column(data(format!("energy_{rank}")), |tensor| of(tensor, &|s| s.energy(rank).into()));
    }
    table
}

/// Everything that was found, as one object.
pub(super) fn json(report: &Report<'_>) -> String {
    // Energy is the share of the squared change in the largest `rank` singular values of each matrix.
    let summary = |group: &Group| {
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
