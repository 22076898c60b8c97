//! The flags of how tokens are drawn.

use crate::run::{Drawing, RunError};

/// How tokens are drawn.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct DrawingFlags {
    /// Divides logits: below 1 the probable becomes more probable; 0 takes the most probable token [default: 0; 1 with --top-k,
    /// --top-p or --min-p]
    #[arg(long, value_name = "T")]
    temperature: Option<f64>,
    /// Draw from the K most probable tokens alone; 0 for all
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// Draw from the most probable tokens alone that have a probability of P together
    #[arg(long, value_name = "P")]
    top_p: Option<f64>,
    /// Draw from tokens alone that are at least P times as probable as the most probable one
    #[arg(long, value_name = "P")]
    min_p: Option<f64>,
    /// Divides the logits of tokens that are there already, above 1 against repetition [default: 1]
    #[arg(long, value_name = "X")]
    repetition_penalty: Option<f64>,
    /// Seed of the draws; each prompt has a generator of its own
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
}

impl DrawingFlags {
    /// How tokens are drawn, as far as flags say it.
    ///
    /// # Errors
    /// The first value that cannot be.
    pub fn drawing(self) -> Result<Drawing, RunError> {
        let Self { temperature, top_k, top_p, min_p, repetition_penalty, seed } = self;
        let drawing = Drawing { temperature, top_k, top_p, min_p, repetition_penalty, seed };
        drawing.alone()?;
        Ok(drawing)
    }
}
