//! `zoo plan`: what a run would fetch, hold and take, before anything large is fetched.

use super::flags::{AskedFlags, ComputingFlags, ModelFlags, VariantFlags, WritingFlags};
use super::format::formats;
use super::supply::Supply;
use super::{Global, forecast};
use crate::base::stop::Stop;
use crate::report::Format;
use crate::run::{self, Code, Options};

/// Say what a run would fetch, hold and take
///
/// Weights are not needed: the model's card tells its shape. What is small is fetched, the tokenizer and the data of the suites,
/// to count tokens before and after shared beginnings are computed once; with --offline what is missing is said instead. Times
/// come from what zoo bench has measured on this machine, or from a measurement of about two seconds.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "\
Examples:
  zoo plan vicuna-13b --suite mmlu --num-fewshot 5
  zoo plan llama-2-7b llama-2-13b --suite open-llm-v1 --memory 8GiB
  zoo plan vicuna-13b-v0 --suite mmlu --from llama-13b=/models/llama/13B
  zoo plan smollm2-135m --suite basics --format json",
    mut_arg("models", |arg| arg.required(true)),
    mut_arg("suite", |arg| arg.required(true))
)]
pub struct Args {
    /// How to print
    #[arg(long, default_value = "table", value_parser = formats([
        (Format::Table, "A page for each model"),
        (Format::Csv, "Comma-separated values, one quantity a line"),
        (Format::Json, "An array of objects, one for each quantity"),
    ]))]
    format: Format,
    #[command(flatten, next_help_heading = "Questions")]
    asked: AskedFlags,
    #[command(flatten, next_help_heading = "Questions")]
    variants: VariantFlags,
    #[command(flatten, next_help_heading = "Questions")]
    writing: WritingFlags,
    #[command(flatten, next_help_heading = "Models")]
    models: ModelFlags,
    #[command(flatten, next_help_heading = "Computation")]
    computing: ComputingFlags,
}

impl Args {
    /// What is planned.
    fn options(&self, global: &Global) -> Options {
        Options {
            models: self.models.models.clone(),
            computing: self.computing.computing(),
            // Nothing is run, and a run may be allowed to.
            code: Code { allow: true, python: None },
            ..self.writing.in_options(self.variants.in_options(self.asked.options(global)))
        }
    }
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    args.computing.threads.apply()?;
    let options = args.options(global);
    let supply = Supply {
        models: &args.models.models,
        sources: &args.models.sources,
        tasks: &args.asked.folders.tasks,
        stop: &Stop::default(),
        global,
    };
    forecast::print(&supply.with(|world| run::forecast(&options, world))?, args.format)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;
    use crate::cli::eval;

    #[derive(Debug, Parser)]
    struct Plan {
        #[command(flatten)]
        args: Args,
    }

    #[derive(Debug, Parser)]
    struct Eval {
        #[command(flatten)]
        args: eval::Args,
    }

    /// What decides tokens and memory is the same as of the run: a plan with other examples would be of other prompts.
    #[test]
    fn a_plan_is_of_the_run_with_the_same_flags() {
        let words = "zoo m --tasks t --num_fewshot 3 --fewshot-seed 7 --system-instruction s --metrics acc_mutual_info \
                     --overlong skip --apply-chat-template=both --memory 1GiB --batch-tokens 9 --layers disk";
        let global = Cli::parse_from(["zoo", "doctor"]).global;
        for words in ["zoo m -s t", words] {
            let words = || words.split_whitespace();
            let plan = Plan::parse_from(words()).args.options(&global);
            let mut run = Eval::parse_from(words()).args.options(&global);
            // Whether programs may run decides neither, and a plan runs none.
            run.code.allow = true;
            assert_eq!(format!("{plan:?}"), format!("{run:?}"));
        }
        assert!(Plan::try_parse_from(["zoo", "m"]).unwrap_err().to_string().contains("--suite"));
        assert!(Plan::try_parse_from(["zoo", "-s", "t"]).unwrap_err().to_string().contains("MODEL"));
    }
}
