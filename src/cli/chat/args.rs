//! The flags of `zoo chat`.

use crate::cli::Global;
use crate::cli::flags::{AnsweringFlags, ComputingFlags, ModelSources, at_least_one};
use crate::run::{ChatOptions, Computing, RunError};

const EXAMPLES: &str = "\
Examples:
  zoo chat smollm2-135m
  zoo chat smollm2-135m --system 'You answer in one word.' --temperature 0.7 --seed 3
  zoo chat vicuna-7b-v1.5 llama-2-7b --max-tokens 200      # both answer, one after the other
  printf 'Hi\\nWhat was my first word?\\n' | zoo chat ./my-model";

/// Speak with a model, or with several side by side
///
/// A message is a line; one that ends in a backslash goes on in the next, and so does all between two \"\"\". What begins with / is
/// said to the program: /help lists it. Ctrl-C stops an answer, Ctrl-D ends the program. A conversation is put to the model in the
/// template of its card, else in the checkpoint's own, and only what is new is computed each turn. What does not fit any more is
/// left out from its beginning, and that is said. Without a terminal each line of standard input is a message.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Models: names of the registry (zoo list), org/name[@revision] of the hub, folders in Hugging Face's layout or Meta's,
    /// or .gguf files
    #[arg(required = true, value_name = "MODEL")]
    pub models: Vec<String>,
    #[command(flatten)]
    pub answering: AnsweringFlags,
    /// Tokens of an answer, at most [default: what generation_config.json says, else as many as the model has positions]
    #[arg(short = 'n', long, value_name = "N", value_parser = at_least_one)]
    pub max_tokens: Option<usize>,
    /// Leave out what a checkpoint's own generation_config.json says: do_sample, temperature, top_k, top_p, min_p,
    /// repetition_penalty, max_new_tokens
    #[arg(long)]
    pub ignore_generation_config: bool,
    /// Say after each answer how many tokens it took, and how fast they came
    #[arg(long)]
    pub speed: bool,
    #[command(flatten, next_help_heading = "Model")]
    pub sources: ModelSources,
    /// Run weights even if they look like a difference from a base rather than a model
    #[arg(long, help_heading = "Model")]
    pub allow_difference: bool,
    #[command(flatten, next_help_heading = "Computation")]
    pub machine: ComputingFlags,
}

impl Args {
    /// With whom to speak, and how.
    ///
    /// # Errors
    /// Values of sampling that cannot be.
    pub fn options(&self, global: &Global) -> Result<ChatOptions, RunError> {
        let computing = Computing { allow_difference: self.allow_difference, ..self.machine.computing() };
        let most = (self.max_tokens, !self.ignore_generation_config);
        let answering = self.answering.answering(most, computing, global)?;
        Ok(ChatOptions { models: self.models.clone(), answering })
    }
}
