//! Which queries are taken together: those that see the same blocks of keys, so that a block is taken once for all of them.

use std::collections::HashMap;
use std::ops::Range;

use crate::model::{BLOCK, BlockTable, Wave};

/// Consecutive queries of one segment.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub segment: usize,
    pub rows: Range<usize>,
    /// Position of the first one.
    pub start: usize,
}

/// Runs that see the same keys up to a position.
pub(super) struct Unit {
    pub runs: Vec<usize>,
    /// Whole blocks of keys that all of them see.
    pub shared_blocks: usize,
}

/// Cuts the segments that are computed into runs of at most `piece` queries, in the order of rows.
pub(super) fn runs(wave: &Wave, piece: usize) -> Vec<Run> {
    let mut runs = Vec::new();
    let segments = wave.segments.iter().enumerate();
    for (index, segment) in segments.skip_while(|(_, segment)| segment.rows.start < wave.given) {
        assert!(segment.rows.start >= wave.given, "given rows come first");
        let mut position = segment.start;
        let end = segment.start + segment.rows.len();
        while position < end {
            let next = ((position / piece + 1) * piece).min(end);
            let row = |p: usize| segment.rows.start + (p - segment.start);
            runs.push(Run { segment: index, rows: row(position)..row(next), start: position });
            position = next;
        }
    }
    runs
}

/// Puts short runs with the same past together, up to `piece` queries.
pub(super) fn units(wave: &Wave, runs: &[Run], piece: usize) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    // The last unit of each parent, with its queries, while there is room in it.
    let mut open: HashMap<usize, (usize, usize)> = HashMap::new();
    for (index, run) in runs.iter().enumerate() {
        let segment = &wave.segments[run.segment];
        let blocks = run.start / BLOCK;
        let is_first = run.start == segment.start;
        let parent = segment.parent.filter(|_| is_first && blocks > 0 && run.rows.len() < piece);
        let Some(parent) = parent else {
            units.push(Unit { runs: vec![index], shared_blocks: 0 });
            continue;
        };
        match open.get_mut(&parent) {
            Some((unit, queries)) if *queries + run.rows.len() <= piece => {
                *queries += run.rows.len();
                units[*unit].runs.push(index);
                units[*unit].shared_blocks = blocks;
            }
            _ => {
                open.insert(parent, (units.len(), run.rows.len()));
                units.push(Unit { runs: vec![index], shared_blocks: 0 });
            }
        }
    }
    units
}

/// Puts runs together whose tables begin with the same blocks, up to `piece` queries.
///
/// Runs are taken in the order of their tables. One joins the unit before it if fewer blocks are taken so: what it has in common
/// with the unit is taken once for all, but what the unit has in common beyond that once for each.
pub(super) fn units_of_tables(tables: &[&BlockTable], runs: &[Run], piece: usize) -> Vec<Unit> {
    let whole = |run: usize| tables[runs[run].segment].first_blocks(runs[run].start / BLOCK);
    let mut order: Vec<usize> = (0..runs.len()).collect();
    order.sort_by_key(|&run| whole(run));
    let mut units: Vec<Unit> = Vec::new();
    let mut queries = 0;
    for run in order {
        let own = runs[run].rows.len();
        if let Some(unit) = units.last_mut() {
            let [first, next] = [whole(unit.runs[0]), whole(run)].map(|blocks| blocks.iter());
            let common = first.take(unit.shared_blocks).zip(next).take_while(|(a, b)| a == b).count();
            if common > unit.runs.len() * (unit.shared_blocks - common) && queries + own <= piece {
                unit.runs.push(run);
                unit.shared_blocks = common;
                queries += own;
                continue;
            }
        }
        units.push(Unit { runs: vec![run], shared_blocks: whole(run).len() });
        queries = own;
    }
    units
}
