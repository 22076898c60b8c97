//! The comparison for people: sentences, the most changed tensors, layers × kinds.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Report;
use crate::compare::spectrum::{Spectrum, SpectrumMethod};
use crate::compare::{
    Comparison, TensorChange, TensorGroup, TensorKind, all, by_kind, by_layer, by_layer_and_kind,
};
use crate::report::numbers::{digits, percent, short_count};
use crate::report::table::{Cell, NO_BOUND, number, text};
use crate::report::words::paragraph;
use crate::report::{Format, Table};
use crate::weights::TensorInfo;

/// All of it, as Markdown or on a terminal of `width` columns of text.
pub(super) fn page(report: &Report<'_>, top: usize, format: Format, width: usize) -> String {
    let mut out = headline(report);
    if format != Format::Md && width != NO_BOUND {
        out = out.lines().map(|line| paragraph(line, 0, width)).collect();
    }
    if report.found.is_identical() {
        return out;
    }
    let mut add = |title: String, table: String| {
        out.push_str(&match format {
            Format::Md => format!("\n## {title}\n\n{table}"),
            _ => format!("\n{title}\n{table}"),
        });
    };
    let (title, table) = most_changed(report, top);
    add(title, format.draw(&table, width));
    let title = "Relative change by layer and kind (= is equal)".to_owned();
    let parts = layers_in_parts(report, if format == Format::Md { NO_BOUND } else { width });
    add(title, parts.iter().map(|part| format.draw(part, width)).collect::<Vec<_>>().join("\n"));
    if report.spectra {
        let groups = by_kind(&report.found.changes, report.rank);
        add("By kind".to_owned(), format.draw(&kinds(report, &groups), width));
    }
    out
}

/// What can be said in sentences.
fn headline(report: &Report<'_>) -> String {
    let Report { names: [a, b], found, .. } = report;
    let mut out = String::new();
    if found.is_identical() {
        let types =
            if found.changes.iter().any(|c| c.dtype_a != c.dtype_b) { ", stored as other types" } else { "" };
        let n = found.changes.len();
        let _ = writeln!(out, "{a} and {b} are identical: {n} tensors with equal values{types}.");
        return out;
    }
    let all = all(&found.changes);
    let _ = writeln!(
        out,
        "{a} → {b}: {} of {} tensors changed, {} elements compared, {} of them equal.",
        all.changed,
        all.tensors,
        short_count(all.moments.elements),
        percent(all.moments.equal_share()),
    );
    let _ = writeln!(
        out,
        "‖A‖ {}, ‖B − A‖ {}, relative change {}, cosine {}.",
        digits(all.moments.a_squared.sqrt()),
        digits(all.moments.delta_squared.sqrt()),
        optional(all.moments.relative_change(), digits),
        optional(all.moments.cosine(), |x| format!("{x:.6}")),
    );
    for change in &found.changes {
        if let (Some(common), [a, ..], [b, ..]) =
            (change.common_rows(), change.shape_a.as_slice(), change.shape_b.as_slice())
        {
            let name = &change.name;
            let _ = writeln!(out, "{name}: {a} rows in A, {b} in B; the first {common} were compared.");
        }
        if change.moments.non_finite > 0 {
            let name = &change.name;
            let n = change.moments.non_finite;
            let _ = writeln!(out, "{name}: {n} elements are infinite or no numbers; they were left out.");
        }
    }
    if let Some(sentence) = randomised(found) {
        let _ = writeln!(out, "{sentence}");
    }
    for tensor in found.incomparable.iter().take(SHOWN) {
        let _ = writeln!(out, "{}: {} in A, {} in B; not compared.", tensor.name, tensor.a, tensor.b);
    }
    if found.incomparable.len() > SHOWN {
        let more = found.incomparable.len() - SHOWN;
        let _ = writeln!(out, "{more} more tensors have other shapes; --format csv lists them.");
    }
    for (side, infos) in [("A", &found.only_in_a), ("B", &found.only_in_b)] {
        if let Some(words) = names(infos) {
            let _ = writeln!(out, "Only in {side}: {words}.");
        }
    }
    out
}

/// What the numbers of randomised spectra are: a projection finds values a little below the true ones, never above.
fn randomised(found: &Comparison) -> Option<String> {
    let spectra = || found.changes.iter().filter_map(|change| change.spectrum.as_ref());
    let matrices = match spectra().filter(|spectrum| spectrum.method == SpectrumMethod::Randomized).count() {
        0 => return None,
        1 => "1 matrix".to_owned(),
        n => format!("{n} matrices"),
    };
    Some(format!(
        "Singular values of {matrices} of {} are randomised: σ₁ and the shares (top r) are lower bounds, the stable rank \
         is an upper bound, and the effective rank lies in the interval; --method svd or gram finds them all.",
        spectra().count()
    ))
}

/// Names that a sentence lists before it counts.
const SHOWN: usize = 4;

fn names(infos: &[TensorInfo]) -> Option<String> {
    let first: Vec<&str> = infos.iter().take(SHOWN).map(|info| info.name.as_str()).collect();
    match infos.len().saturating_sub(SHOWN) {
        _ if infos.is_empty() => None,
        0 => Some(first.join(", ")),
        more => Some(format!("{} and {more} more", first.join(", "))),
    }
}

/// The title and the most changed tensors.
fn most_changed<'r>(report: &Report<'r>, top: usize) -> (String, Table<&'r TensorChange>) {
    let mut changes: Vec<&TensorChange> =
        report.found.changes.iter().filter(|c| !c.moments.is_equal()).collect();
    // What was 0 and is not any more has changed most.
    let key = |c: &TensorChange| c.moments.relative_change().unwrap_or(f64::INFINITY);
    changes.sort_by(|x, y| key(y).total_cmp(&key(x)).then_with(|| x.name.cmp(&y.name)));
    let all = changes.len();
    if top > 0 {
        changes.truncate(top);
    }
    let title = match (changes.len(), all) {
        (0, _) => "No tensor changed in the part that both have".to_owned(),
        (shown, all) if shown == all => "Changed tensors, most changed first".to_owned(),
        (shown, all) => format!("The {shown} most changed of {all} tensors (--top 0 shows all)"),
    };
    let optional = |value: Option<f64>, text: fn(f64) -> String| Cell::written(value, text).or_dash();
    let mut table = Table::of(changes)
        .column(text("tensor"), |c| short_name(&c.name))
        .column(number("change"), |c| optional(c.moments.relative_change(), digits))
        .column(number("‖Δ‖").from_width(90), |c| digits(c.moments.delta_squared.sqrt()))
        .column(number("max |Δ|").from_width(108), |c| digits(c.moments.delta_max))
        .column(number("cosine").from_width(120), |c| optional(c.moments.cosine(), |x| format!("{x:.5}")))
        .column(number("equal").from_width(72), |c| percent(c.moments.equal_share()));
    if !report.spectra {
        return (title, table);
    }
    let of = |c: &TensorChange, value: &dyn Fn(&Spectrum) -> Option<f64>, text| {
        optional(c.spectrum.as_ref().and_then(value), text)
    };
    table = table
        .column(number("σ₁").from_width(100), |c| of(c, &|s| s.values.first().copied(), digits))
        .column(number("stable").from_width(80), |c| of(c, &|s| s.stable_rank(), digits))
        .column(number("effective"), effective);
    let mut ranks: Vec<(usize, usize)> = vec![(1, 0), (8, 0), (16, 130), (report.rank, 0)];
    ranks.retain(|&(r, _)| r <= report.rank);
    ranks.sort_unstable();
    ranks.dedup_by_key(|(r, _)| *r);
    for (r, from) in ranks {
        let heading = number(format!("top {r}")).from_width(from);
        table = table.column(heading, |c| of(c, &|s| s.energy(r), percent));
    }
    (title, table)
}

/// The effective rank, as an interval where it is not known better.
fn effective(change: &TensorChange) -> Cell {
    let interval = change.spectrum.as_ref().and_then(|s| s.effective_rank());
    let words = interval.map(|(low, high)| match (digits(low), digits(high)) {
        (low, high) if low == high => low,
        (low, high) => format!("{low}–{high}"),
    });
    Cell::from(words).or_dash()
}

/// The table of layers and kinds, cut into parts that are no wider than this; the last one has the column of all kinds.
fn layers_in_parts(report: &Report<'_>, width: usize) -> Vec<Table<Option<Option<u32>>>> {
    let present = by_kind(&report.found.changes, report.rank);
    let kinds: Vec<TensorKind> =
        TensorKind::ALL.into_iter().filter(|kind| present.contains_key(kind)).collect();
    let fits = |part: &Table<_>| {
        let text = part.text(NO_BOUND);
        text.lines().all(|line| line.chars().count() <= width)
    };
    let mut parts = Vec::new();
    let mut rest = kinds.as_slice();
    loop {
        let last = layers(report, rest, true);
        if rest.is_empty() || fits(&last) {
            parts.push(last);
            return parts;
        }
        let most = (1..=rest.len()).rev().find(|&kinds| fits(&layers(report, &rest[..kinds], false)));
        let (part, behind) = rest.split_at(most.unwrap_or(1));
        parts.push(layers(report, part, false));
        rest = behind;
    }
}

/// Relative changes, one row to a layer and one column to a kind; `None` is the row of all layers.
fn layers(report: &Report<'_>, kinds: &[TensorKind], with_all_kinds: bool) -> Table<Option<Option<u32>>> {
    let changes = &report.found.changes;
    let cells = by_layer_and_kind(changes, report.rank);
    let (layers, columns) = (by_layer(changes, report.rank), by_kind(changes, report.rank));
    let whole = all(changes);
    // What belongs to no layer comes after the layers.
    let layered = layers.keys().filter(|layer| layer.is_some());
    let order = layered.chain(layers.keys().filter(|layer| layer.is_none()));
    let mut table =
        Table::of(order.map(|layer| Some(*layer)).chain([None])).column(text("layer"), |row| match row {
            Some(Some(layer)) => layer.to_string(),
            Some(None) => "none".to_owned(),
            None => "all".to_owned(),
        });
    for &kind in kinds {
        table = table.column(number(kind.as_str()), |row| match row {
            Some(layer) => cells.get(&(layer, kind)).map(change),
            None => columns.get(&kind).map(change),
        });
    }
    if !with_all_kinds {
        return table;
    }
    table.column(number("all"), |row| change(row.map_or(&whole, |layer| &layers[&layer])))
}

fn change(group: &TensorGroup) -> Cell {
    if group.moments.is_equal() {
        return Cell::from("=");
    }
    Cell::written(group.moments.relative_change(), digits).or_dash()
}

/// What the spectra of each kind of matrix have in common.
fn kinds<'g>(
    report: &Report<'_>,
    groups: &'g BTreeMap<TensorKind, TensorGroup>,
) -> Table<(&'g TensorKind, &'g TensorGroup)> {
    Table::of(groups)
        .column(text("kind"), |(kind, _)| kind.as_str())
        .column(number("tensors"), |(_, group)| group.tensors)
        .column(number("changed"), |(_, group)| group.changed)
        .column(number("change"), |(_, group)| change(group))
        .column(number("stable rank, mean"), |(_, group)| {
            Cell::written(group.mean_stable_rank(), digits).or_dash()
        })
        .column(number(format!("top {}", report.rank)), |(_, group)| {
            Cell::written(group.mean_energy(), percent).or_dash()
        })
}

/// A tensor's name without what all names share.
pub(in crate::cli) fn short_name(name: &str) -> &str {
    let name = name.strip_prefix("model.").unwrap_or(name);
    name.strip_suffix(".weight").unwrap_or(name)
}

/// A value, or a dash.
fn optional(value: Option<f64>, text: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| "–".to_owned(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_they_share() {
        assert_eq!(short_name("model.layers.3.mlp.up_proj.weight"), "layers.3.mlp.up_proj");
        assert_eq!(short_name("lm_head.weight"), "lm_head");
    }
}
