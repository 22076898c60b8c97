//! The flags of how tokens are drawn.

use crate::engine::{Sampling, SamplingError};
use crate::run::RunError;

/// How tokens are drawn.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Drawing {
    /// Divides logits: below 1 the probable becomes more probable; 0 takes the most probable token [default: 0; 1 with --top-k,
    /// --top-p or --min-p]
    #[arg(long, value_name = "T")]
    pub temperature: Option<f64>,
    /// Draw from the K most probable tokens alone; 0 for all
    #[arg(long, value_name = "K")]
    pub top_k: Option<usize>,
    /// Draw from the most probable tokens alone that have a probability of P together
    #[arg(long, value_name = "P")]
    pub top_p: Option<f64>,
    /// Draw from tokens alone that are at least P times as probable as the most probable one
    #[arg(long, value_name = "P")]
    pub min_p: Option<f64>,
    /// Divides the logits of tokens that are there already, above 1 against repetition [default: 1]
    #[arg(long, value_name = "X")]
    pub repetition_penalty: Option<f64>,
    /// Seed of the draws; each prompt has a generator of its own
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
}

impl Drawing {
    /// What the engine is told; `None` where the most probable token is taken.
    ///
    /// # Errors
    /// The first value that cannot be.
    pub fn sampling(&self) -> Result<Option<Sampling>, RunError> {
        let own = Sampling::default();
        let draws = self.top_k.is_some() || self.top_p.is_some() || self.min_p.is_some();
        let sampling = Sampling {
            temperature: self.temperature.unwrap_or(if draws { own.temperature } else { 0.0 }),
            top_k: self.top_k.unwrap_or(own.top_k),
            top_p: self.top_p.unwrap_or(own.top_p),
            min_p: self.min_p.unwrap_or(own.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(own.repetition_penalty),
            seed: self.seed,
        };
        let sampling = sampling.checked().map_err(|SamplingError { rule, expected, found }| {
            let flag = rule.replace('_', "-");
            RunError::Usage(format!("--{flag}: expected {expected}, found {found}"))
        })?;
        let is_greedy = sampling.temperature == 0.0 && sampling.repetition_penalty == 1.0;
        Ok((!is_greedy).then_some(sampling))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_drawn_where_a_rule_of_drawing_is_named() {
        let none = Drawing::default();
        assert_eq!(none.sampling().unwrap(), None);
        assert_eq!(Drawing { seed: 3, temperature: Some(0.0), ..none.clone() }.sampling().unwrap(), None);
        let of = |drawing: Drawing| drawing.sampling().unwrap().unwrap();
        let punished = of(Drawing { repetition_penalty: Some(1.2), ..none.clone() });
        assert_eq!((punished.temperature, punished.repetition_penalty), (0.0, 1.2));
        assert_eq!(of(Drawing { top_p: Some(0.9), ..none.clone() }).temperature, 1.0);
        let both = of(Drawing { top_k: Some(5), temperature: Some(0.3), seed: 9, ..none.clone() });
        assert_eq!((both.temperature, both.top_k, both.seed), (0.3, 5, 9));
        let error = Drawing { repetition_penalty: Some(0.0), ..none }.sampling().unwrap_err().to_string();
        assert_eq!(error, "--repetition-penalty: expected a number above 0, found 0");
    }
}
