//! What `zoo bench` keeps for the forecasts of `zoo plan`.

use crate::bench::{BenchModel, Measurement, operations};
use crate::cli::{Global, models};
use crate::hub::zoo_home;
use crate::kernels::Precision;
use crate::records::Timestamp;
use crate::run::{Figure, remember};

/// Tokens from which on a prefill says how fast a pass of a run is.
const ENOUGH: usize = 512;

/// Keeps the speed of the longest prefill of each precision, unless that is a short one. A machine that has no place for it is
/// measured again when it is needed.
pub fn keep(subject: &BenchModel, precisions: &[Precision], measured: &[Measurement], global: &Global) {
    let date: String = Timestamp::now().rfc3339().chars().take(10).collect();
    let figure = |precision: &Precision| {
        let own = |line: &&Measurement| line.what == "prefill" && line.precision == precision.name();
        let longest = measured.iter().filter(own).max_by_key(|line| line.tokens)?;
        let tokens = longest.tokens.filter(|&tokens| tokens >= ENOUGH)?;
        let each = operations(&subject.config, tokens).ok()? / tokens as f64;
        let what = (*precision, subject.weights());
        Some(Figure::new(what, &subject.config, each * longest.value, &subject.name, date.clone()))
    };
    let figures: Vec<Figure> = precisions.iter().filter_map(figure).collect();
    if figures.is_empty() {
        return;
    }
    let kept = zoo_home().map_err(anyhow::Error::from).and_then(|home| Ok(remember(&home, figures)?));
    if let Err(error) = kept {
        models::note(global, &format!("the speeds are not remembered for zoo plan: {error:#}"));
    }
}
