//! The flags of `zoo generate`.

use std::path::PathBuf;

use crate::cli::Global;
use crate::cli::flags::{AnsweringFlags, ComputingFlags, ModelSources, at_least_one};
use crate::cli::format::formats;
use crate::report::Format;
use crate::run::{Computing, GenerateOptions, RunError, Wording};

const EXAMPLES: &str = "\
Examples:
  zoo generate smollm2-135m 'What is the capital of France?'
  zoo generate smollm2-135m --system 'You answer in one word.' 'What is the capital of France?'
  zoo generate smollm2-135m --raw 'The capital of France is' --max-tokens 12 --stop .
  zoo generate vicuna-7b-v1.5 'Tell me a story.' --temperature 0.8 --top-p 0.95 --seed 7
  zoo generate ./my-model --prompts questions.txt --out answers.jsonl
  zoo generate ./model.gguf --template vicuna-v1.1 --prompts - --format json --logprobs < prompts.jsonl";

/// Write a model's answers to prompts
///
/// A prompt is put to the model in the template of its card, else in the checkpoint's own, else as it is. The answer is written
/// to stdout while it comes, and ends where the model ends it, at a stop of the template or at --stop. The most probable tokens are
/// taken unless --temperature, --top-k, --top-p or --min-p says otherwise. Several prompts are answered together, each with the same
/// tokens as by itself. Ctrl-C ends with what was written until then.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A model: a name of the registry (zoo list), a folder in Hugging Face's layout, or a .gguf file
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// What the model is to answer, or to go on with where there is no template
    #[arg(value_name = "PROMPT", required_unless_present = "prompts", conflicts_with = "prompts")]
    pub prompt: Option<String>,
    /// A file with a prompt in each line, or with an object in each line whose `prompt` is one; - for standard input
    #[arg(long, value_name = "FILE")]
    pub prompts: Option<PathBuf>,
    /// Put prompts to the model as they are
    #[arg(long, conflicts_with_all = ["template", "system"])]
    pub raw: bool,
    #[command(flatten)]
    pub answering: AnsweringFlags,
    /// Tokens of an answer, at most [default: 256]
    #[arg(short = 'n', long, value_name = "N", value_parser = at_least_one)]
    pub max_tokens: Option<usize>,
    /// Follow the checkpoint's own generation_config.json where flags say nothing: do_sample, temperature, top_k, top_p, min_p,
    /// repetition_penalty, max_new_tokens
    #[arg(long)]
    pub generation_config: bool,
    /// What stdout gets
    #[arg(long, default_value = "text", value_name = "FORM", value_parser = formats([
        (Format::Text, "The answers"),
        (Format::Json, "An object a line for each prompt: answer, why it ended, tokens, seconds"),
    ]))]
    pub format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// Write the objects of --format json to this file, and nothing to stdout
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Also say the natural logarithm of each token's probability, in the objects of --format json or --out
    #[arg(long)]
    pub logprobs: bool,
    #[command(flatten, next_help_heading = "Model")]
    pub sources: ModelSources,
    /// Run weights even if they look like a difference from a base rather than a model
    #[arg(long, help_heading = "Model")]
    pub allow_difference: bool,
    #[command(flatten, next_help_heading = "Computation")]
    pub machine: ComputingFlags,
}

impl Args {
    /// What the model is to write.
    ///
    /// # Errors
    /// Values of sampling that cannot be, and flags that do not go together.
    pub fn options(&self, prompts: Vec<String>, global: &Global) -> Result<GenerateOptions, RunError> {
        if self.logprobs && !self.writes_objects() {
            let text =
                "--logprobs: the text of an answer has no place for them; add --format json or --out FILE";
            return Err(RunError::Usage(text.to_owned()));
        }
        let computing = Computing { allow_difference: self.allow_difference, ..self.machine.computing() };
        let most = (self.max_tokens, self.generation_config);
        let mut answering = self.answering.answering(most, computing, global)?;
        if self.raw {
            answering.wording = Wording::Raw;
        }
        Ok(GenerateOptions { model: self.model.clone(), prompts, answering, logprobs: self.logprobs })
    }

    /// Whether answers are written as objects.
    pub fn writes_objects(&self) -> bool {
        self.out.is_some() || self.json || self.format == Format::Json
    }
}
