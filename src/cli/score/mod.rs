//! `zoo score`: grades stored answers again, without the model.

use std::path::PathBuf;

use super::eval::{Shown, print};
use super::flags::{AskedFlags, CodeFlags};
use super::{Global, bar};
use crate::run::{Options, Places, WrittenAnswers, score_answers, score_run};

const EXAMPLES: &str = "\
Examples:
  zoo score reports/mmlu-run
  zoo score reports/mmlu-run --suite mmlu_anatomy --format csv
  zoo score --answers answers.jsonl --suite gsm8k --num-fewshot 5
  zoo score --answers samples_gsm8k_2024-05-01T10-00-00.jsonl --suite gsm8k --limit 10 --out reports/gsm8k

A file of answers has one JSON object per line:
  {\"doc_id\": 0, \"text\": \"So the answer is 4.\"}
doc_id is the row of the evaluation split, from 0. Also read are texts (several answers to one prompt), task,
prompt_sha256 (an answer to another prompt is refused), and the samples files that lm-evaluation-harness writes (resps,
prompt_hash). Texts are cut at the task's stops; texts that were cut already stay as they are.";

/// Grade the answers of a run again, or answers that were written elsewhere
///
/// Of a RUN, its samples are graded by the task files and data as they are now; log-probabilities are taken from the
/// samples, so that neither weights nor tokenizer are needed. Prompts that have changed since are refused.
#[derive(Debug, clap::Args)]
#[command(
    after_help = EXAMPLES,
    mut_arg("num_fewshot", |arg| arg.requires("answers")),
    mut_arg("limit", |arg| arg.requires("answers")),
    mut_arg("system_instruction", |arg| arg.requires("answers")),
    mut_arg("fewshot_seed", |arg| arg.requires("answers"))
)]
pub struct Args {
    /// The folder of a finished run
    #[arg(value_name = "RUN", required_unless_present = "answers", conflicts_with = "answers")]
    pub run: Option<PathBuf>,
    /// A file of written answers; may be given several times
    #[arg(long, value_name = "FILE", requires = "suite")]
    pub answers: Vec<PathBuf>,
    /// Name of the model that wrote the answers [default: what the file says]
    #[arg(long, value_name = "NAME", requires = "answers")]
    pub model: Option<String>,
    #[command(flatten)]
    pub asked: AskedFlags,
    /// Grade only the documents that have an answer, and report how many have none
    #[arg(long, requires = "answers")]
    pub skip_missing: bool,
    /// Only cut and filter the answers
    #[arg(long, alias = "predict_only", requires = "answers")]
    pub predict_only: bool,
    #[command(flatten)]
    pub code: CodeFlags,
    /// Write the files of a run to this folder; a run that is already there is moved aside
    #[arg(short, long, alias = "output_path", value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Keep no prompts, choices and right answers in words there, for data sets whose licences ask for it
    #[arg(long, requires = "out")]
    pub no_texts: bool,
    #[command(flatten)]
    pub shown: Shown,
}

impl Args {
    /// How the prompts were made that were answered, and where things are.
    fn options(&self, global: &Global) -> Options {
        let options = self.asked.options(global);
        let code = self.code.code();
        Options {
            places: Places { out: self.out.clone(), no_texts: self.no_texts, ..options.places },
            code,
            ..options
        }
    }
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let options = args.options(global);
    let progress = bar(global);
    let finished = match &args.run {
        Some(folder) => score_run(folder, &options, &progress)?,
        None => {
            let written = WrittenAnswers {
                files: args.answers.clone(),
                model: args.model.clone(),
                skip_missing: args.skip_missing,
                predict_only: args.predict_only,
            };
            score_answers(&written, &options, &progress)?
        }
    };
    print(&finished, args.shown, global)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Score {
        #[command(flatten)]
        args: Args,
    }

    fn parsed(line: &str) -> Result<Args, String> {
        Ok(Score::try_parse_from(line.split_whitespace()).map_err(|error| error.to_string())?.args)
    }

    #[test]
    fn spellings_of_the_reference_harness_mean_the_same() {
        let theirs = "score --answers a --tasks t --num_fewshot 3 --limit 10% --output_path out --system_instruction s \
                      --include_path i --predict_only";
        let ours = "score --answers a --suite t --num-fewshot 3 --limit 0.1 --out out --system-instruction s \
                    --include-path i --predict-only";
        assert_eq!(format!("{:?}", parsed(theirs).unwrap()), format!("{:?}", parsed(ours).unwrap()));
    }

    #[test]
    fn how_prompts_were_made_is_known_of_a_run() {
        for flag in ["--num-fewshot 3", "--limit 5", "--system-instruction s", "--fewshot-seed 1"] {
            assert!(parsed(&format!("score run {flag}")).unwrap_err().contains("--answers"), "{flag}");
            assert!(parsed(&format!("score --answers a --suite t {flag}")).is_ok(), "{flag}");
        }
        assert!(parsed("score --answers a").unwrap_err().contains("--suite"));
        assert_eq!(parsed("score run").unwrap().asked.fewshot_seed, 1234);
    }
}
