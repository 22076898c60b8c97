//! How sure models are of their choices, and which places they prefer: a line for each model and suite.

use super::Table;
use super::table::{Cell, number, text};

/// A model's choices in one suite.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibrated {
    /// The model's column.
    pub label: String,
    /// The suite, with its shots.
    pub suite: String,
    /// Documents with choices.
    pub n: usize,
    /// Expected calibration error, of 15 bins of equal width.
    pub ece: f64,
    /// Brier score over all choices: 0 for one who is sure and right, 2 for one who is sure and wrong.
    pub brier: f64,
    /// The place that is chosen most, from 1, and in which share of the documents; where all have as many choices.
    pub place: Option<(usize, f64)>,
    /// How likely choices would stand that unevenly beside the right answers without a preference.
    pub p: Option<f64>,
}

/// What has to be known to read the table.
pub const CALIBRATED: &str = "ECE is the expected calibration error of 15 bins of equal width, Brier the Brier score over all choices: less is \
                              better. p is that of the test that chosen and right answers stand in each place equally often.";

/// A line for each model and suite.
pub fn calibrated(lines: &[Calibrated]) -> Table<&Calibrated> {
    let four = |value: f64| format!("{value:.4}");
    Table::of(lines)
        .column(text("model").wraps(), |line| &line.label)
        .column(text("suite").wraps(), |line| &line.suite)
        .column(number("n"), |line| line.n)
        .column(number("ece").titled("ECE"), |line| Cell::written(line.ece, four))
        .column(number("brier").titled("Brier"), |line| Cell::written(line.brier, four))
        .column(number("most_chosen_place").titled("place chosen most"), |line| {
            Cell::from(line.place.map(|(place, _)| place)).or_dash()
        })
        .column(number("its_share").titled("how often"), |line| {
            Cell::written(line.place.map(|(_, share)| share), four).or_dash()
        })
        .column(number("p_of_places").titled("p"), |line| {
            Cell::written(line.p, |p: f64| if p < 1e-4 { format!("{p:.0e}") } else { four(p) }).or_dash()
        })
}
