//! The comparison for people: sentences, the most changed tensors, layers × kinds.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use comfy_table::{Cell, CellAlignment};

use super::Report;
use super::numbers::{digits, percent};
use crate::cli::models::short_count;
use crate::compare::spectrum::Method;
use crate::compare::{Group, TensorChange, TensorKind, all, by_kind, by_layer, by_layer_and_kind};
use crate::report::{plain_table, render};
use crate::weights::TensorInfo;

/// Head and cells; the first column is text, the others are numbers.
struct Grid {
    title: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// All of it, for `width` columns.
pub(super) fn text(report: &Report<'_>, top: usize, width: usize) -> String {
    let mut out = headline(report);
    for grid in grids(report, top, width) {
        let _ = write!(out, "\n{}\n", grid.title);
        let mut table = plain_table(width);
        let right = |text: &String| Cell::new(text).set_alignment(CellAlignment::Right);
        let cells = |row: &[String]| {
            let mut cells: Vec<Cell> = row.iter().map(right).collect();
            if let (Some(cell), Some(first)) = (cells.first_mut(), row.first()) {
                *cell = Cell::new(first);
            }
            cells
        };
        table.set_header(cells(&grid.head));
        for row in &grid.rows {
            table.add_row(cells(row));
        }
        out.push_str(&render(&mut table, &[]));
    }
    out
}

/// The same as Markdown.
pub(super) fn markdown(report: &Report<'_>, top: usize) -> String {
    let mut out = headline(report);
    for grid in grids(report, top, usize::MAX) {
        let _ = write!(out, "\n## {}\n\n", grid.title);
        let line = |row: &[String]| {
            let cells: Vec<String> =
                row.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        out.push_str(&line(&grid.head));
        let _ = writeln!(out, "|---|{}", "--:|".repeat(grid.head.len().saturating_sub(1)));
        for row in &grid.rows {
            out.push_str(&line(row));
        }
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
            let (name, n) = (&change.name, change.moments.non_finite);
            let _ = writeln!(out, "{name}: {n} elements are infinite or no numbers; they were left out.");
        }
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

fn grids(report: &Report<'_>, top: usize, width: usize) -> Vec<Grid> {
    if report.found.is_identical() {
        return Vec::new();
    }
    let mut grids = vec![most_changed(report, top, width)];
    grids.push(layers(report));
    if report.spectra {
        grids.push(kinds(report));
    }
    grids
}

/// Title, from which width on it is shown, whether it needs singular values, its text.
type Column = (String, usize, bool, Box<dyn Fn(&TensorChange) -> String>);

fn columns(rank: usize) -> Vec<Column> {
    let column = |title: &str, from, spectrum, text: Box<dyn Fn(&TensorChange) -> String>| -> Column {
        (title.to_owned(), from, spectrum, text)
    };
    let energy = |r: usize, from: usize| -> Column {
        let text = move |c: &TensorChange| optional(c.spectrum.as_ref().and_then(|s| s.energy(r)), percent);
        (format!("top {r}"), from, true, Box::new(text))
    };
    let mut columns = vec![
        column("change", 0, false, Box::new(|c| optional(c.moments.relative_change(), digits))),
        column("‖Δ‖", 90, false, Box::new(|c| digits(c.moments.delta_squared.sqrt()))),
        column("max |Δ|", 108, false, Box::new(|c| digits(c.moments.delta_max))),
        column("cosine", 120, false, Box::new(|c| optional(c.moments.cosine(), |x| format!("{x:.5}")))),
        column("equal", 72, false, Box::new(|c| percent(c.moments.equal_share()))),
        column(
            "σ₁",
            100,
            true,
            Box::new(|c| optional(c.spectrum.as_ref().and_then(|s| s.values.first().copied()), digits)),
        ),
        column(
            "stable",
            80,
            true,
            Box::new(|c| optional(c.spectrum.as_ref().and_then(|s| s.stable_rank()), digits)),
        ),
        column("effective", 0, true, Box::new(effective)),
    ];
    let mut ranks: Vec<(usize, usize)> = vec![(1, 0), (8, 0), (16, 130), (rank, 0)];
    ranks.retain(|&(r, _)| r <= rank);
    ranks.sort_unstable();
    ranks.dedup_by_key(|(r, _)| *r);
    columns.extend(ranks.into_iter().map(|(r, from)| energy(r, from)));
    columns
}

/// The effective rank, as an interval where it is not known better.
fn effective(change: &TensorChange) -> String {
    let Some((low, high)) = change.spectrum.as_ref().and_then(|s| s.effective_rank()) else {
        return "–".to_owned();
    };
    let (low, high) = (digits(low), digits(high));
    if low == high { low } else { format!("{low}–{high}") }
}

fn most_changed(report: &Report<'_>, top: usize, width: usize) -> Grid {
    let mut changes: Vec<&TensorChange> =
        report.found.changes.iter().filter(|c| !c.moments.is_equal()).collect();
    // What was 0 and is not any more has changed most.
    let key = |c: &TensorChange| c.moments.relative_change().unwrap_or(f64::INFINITY);
    changes.sort_by(|x, y| key(y).total_cmp(&key(x)).then_with(|| x.name.cmp(&y.name)));
    let all = changes.len();
    if top > 0 {
        changes.truncate(top);
    }
    let columns: Vec<Column> = columns(report.rank)
        .into_iter()
        .filter(|(_, from, spectrum, _)| width >= *from && (report.spectra || !spectrum))
        .collect();
    let title = match (changes.len(), all) {
        (0, _) => "No tensor changed in the part that both have".to_owned(),
        (shown, all) if shown == all => "Changed tensors, most changed first".to_owned(),
        (shown, all) => format!("The {shown} most changed of {all} tensors (--top 0 shows all)"),
    };
    let mut head = vec!["tensor".to_owned()];
    head.extend(columns.iter().map(|(title, ..)| title.clone()));
    let rows = changes.iter().map(|change| {
        let mut row = vec![short_name(&change.name)];
        row.extend(columns.iter().map(|(.., text)| text(change)));
        row
    });
    Grid { title, head, rows: rows.collect() }
}

/// Relative changes, one row to a layer and one column to a kind.
fn layers(report: &Report<'_>) -> Grid {
    let changes = &report.found.changes;
    let cells = by_layer_and_kind(changes, report.rank);
    let (rows, columns) = (by_layer(changes, report.rank), by_kind(changes, report.rank));
    let kinds: Vec<TensorKind> =
        TensorKind::ALL.into_iter().filter(|kind| columns.contains_key(kind)).collect();
    let mut head = vec!["layer".to_owned()];
    head.extend(kinds.iter().map(TensorKind::to_string));
    head.push("all".to_owned());
    let mut grid =
        Grid { title: "Relative change by layer and kind (= is equal)".to_owned(), head, rows: Vec::new() };
    // What belongs to no layer comes after the layers.
    let order =
        rows.keys().filter(|layer| layer.is_some()).chain(rows.keys().filter(|layer| layer.is_none()));
    for layer in order {
        let mut row = vec![layer.map_or_else(|| "none".to_owned(), |layer| layer.to_string())];
        row.extend(kinds.iter().map(|kind| cell(cells.get(&(*layer, *kind)))));
        row.push(cell(rows.get(layer)));
        grid.rows.push(row);
    }
    let mut row = vec!["all".to_owned()];
    row.extend(kinds.iter().map(|kind| cell(columns.get(kind))));
    row.push(cell(Some(&all(changes))));
    grid.rows.push(row);
    grid
}

fn cell(group: Option<&Group>) -> String {
    match group {
        None => String::new(),
        Some(group) if group.moments.is_equal() => "=".to_owned(),
        Some(group) => optional(group.moments.relative_change(), digits),
    }
}

/// What the spectra of each kind of matrix have in common.
fn kinds(report: &Report<'_>) -> Grid {
    let groups: BTreeMap<TensorKind, Group> = by_kind(&report.found.changes, report.rank);
    let energy = format!("top {}", report.rank);
    let head =
        ["kind", "tensors", "changed", "change", "stable rank, mean", &energy].map(str::to_owned).to_vec();
    let randomized = report.found.changes.iter().filter_map(|c| c.spectrum.as_ref());
    let randomized = randomized.filter(|s| s.method == Method::Randomized).count();
    let title = if randomized > 0 {
        format!("By kind (singular values of {randomized} matrices are randomised: shares are lower bounds)")
    } else {
        "By kind".to_owned()
    };
    let rows = groups.iter().map(|(kind, group)| {
        vec![
            kind.to_string(),
            group.tensors.to_string(),
            group.changed.to_string(),
            cell(Some(group)),
            optional(group.mean_stable_rank(), digits),
            optional(group.mean_energy(), percent),
        ]
    });
    Grid { title, head, rows: rows.collect() }
}

/// A tensor's name without what all names share.
fn short_name(name: &str) -> String {
    let name = name.strip_prefix("model.").unwrap_or(name);
    name.strip_suffix(".weight").unwrap_or(name).to_owned()
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
