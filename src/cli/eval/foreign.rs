//! Flags of the reference harness that have no counterpart here: what to write instead.
//!
//! Those that mean the same (`--num_fewshot`, `--output_path`, …) are hidden aliases of this program's own flags.

use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::error::{Error, ErrorKind};
use clap::{Arg, ArgMatches, Command, FromArgMatches};

/// Flags with a letter, if the harness has one, other flags of the same kind, and what to write instead of them.
const FLAGS: [(&str, Option<char>, &[&str], &str); 16] = [
    (
        "model",
        None,
        &[],
        "models are named without a flag, and this program runs them itself: zoo eval NAME --suite SUITE",
    ),
    (
        "model_args",
        Some('a'),
        &["model-args"],
        "pretrained=X is X here: zoo eval X --suite SUITE; revision=R is X@R, dtype is --precision, max_length is \
         --max-length, and an adapter (peft=P) is merged first: zoo build",
    ),
    (
        "batch_size",
        Some('b'),
        &["batch-size", "max_batch_size", "max-batch-size"],
        "leave it out: a pass takes as many tokens as fit into the memory, and results do not depend on it (--memory \
         SIZE and --batch-tokens N bound it)",
    ),
    ("device", None, &[], "leave it out: models run on the processor; --threads N says on how many cores"),
    ("seed", None, &[], "write --fewshot-seed N: nothing but the examples is drawn at random"),
    (
        "use_cache",
        None,
        &["use-cache"],
        "leave it out: every score is kept in the run's folder; --out DIR --resume goes on with a run, and --reuse RUN \
         takes the scores of another",
    ),
    (
        "cache_requests",
        None,
        &["cache-requests"],
        "leave it out: prompts are written anew each time, in seconds",
    ),
    ("samples", Some('E'), &[], "write --limit N for the first documents of each task"),
    (
        "write_out",
        Some('w'),
        &["write-out"],
        "leave it out: prompts and answers are in samples/ of the run's folder",
    ),
    ("show_config", None, &["show-config"], "leave it out: run.yaml in the run's folder has it"),
    ("check_integrity", None, &["check-integrity"], "leave it out: files are always checked"),
    (
        "trust_remote_code",
        None,
        &["trust-remote-code"],
        "leave it out: code of models and data sets is never run",
    ),
    ("metadata", None, &[], "write it into the task file, under metadata"),
    ("verbosity", None, &[], "write -v (what is done), -vv (why) or --quiet"),
    (
        "wandb_args",
        None,
        &["wandb-args", "wandb_config_args", "wandb-config-args", "trackio_args", "trackio-args"],
        "leave it out: results are in the run's folder, as results.csv, comparison.md and in the harness's own form",
    ),
    (
        "hf_hub_log_args",
        None,
        &["hf-hub-log-args"],
        "leave it out: results are in the run's folder, as results.csv, comparison.md and in the harness's own form",
    ),
];

/// Makes the command line know the flags; none of them can be set, since reading one is the error.
#[derive(Debug, Clone, Copy)]
pub struct Foreign;

impl clap::Args for Foreign {
    fn augment_args(command: Command) -> Command {
        let arguments = FLAGS.into_iter().map(|(name, letter, others, instead)| {
            let argument = Arg::new(name).long(name).aliases(others).hide(true).num_args(0..=1);
            let argument = argument.default_missing_value("").value_parser(Instead(instead));
            match letter {
                Some(letter) => argument.short(letter),
                None => argument,
            }
        });
        command.args(arguments)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Foreign {
    fn from_arg_matches(_: &ArgMatches) -> Result<Self, Error> {
        Ok(Self)
    }

    fn update_from_arg_matches(&mut self, _: &ArgMatches) -> Result<(), Error> {
        Ok(())
    }
}

/// Refuses every value with the sentence that says what to write instead.
#[derive(Debug, Clone, Copy)]
struct Instead(&'static str);

impl TypedValueParser for Instead {
    type Value = String;

    fn parse_ref(&self, command: &Command, flag: Option<&Arg>, _: &OsStr) -> Result<String, Error> {
        let flag = flag.and_then(Arg::get_long).unwrap_or_default();
        let text = format!("--{flag} is a flag of lm-evaluation-harness; {}\n", self.0);
        Err(Error::raw(ErrorKind::InvalidValue, text).with_cmd(command))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::eval::Args;
    use crate::tasks::Limit;

    #[derive(Debug, Parser)]
    struct Eval {
        #[command(flatten)]
        args: Args,
    }

    fn parsed(line: &str) -> Result<Args, String> {
        let words = line.split(' ').filter(|word| !word.is_empty());
        Ok(Eval::try_parse_from(words).map_err(|error| error.to_string())?.args)
    }

    #[test]
    fn spellings_of_the_reference_harness_mean_the_same() {
        let theirs = "eval m --tasks arc_easy --num_fewshot 3 --limit 10% --output_path out --log_samples \
                      --apply_chat_template --fewshot_as_multiturn --system_instruction s --include_path tasks";
        let ours = "eval m --suite arc_easy --num-fewshot 3 --limit 0.1 --out out --log-samples \
                    --apply-chat-template --fewshot-as-multiturn --system-instruction s --include-path tasks";
        let (theirs, ours) = (parsed(theirs).unwrap(), parsed(ours).unwrap());
        assert_eq!(format!("{theirs:?}"), format!("{ours:?}"));
        assert_eq!(theirs.asked.limit, Some(Limit::Fraction(0.1)));
    }

    #[test]
    fn flags_without_a_counterpart_say_what_to_write() {
        for (flags, words) in [
            ("--model hf --model_args pretrained=x --tasks y", "--model is a flag"),
            ("m -s y --model_args pretrained=x,dtype=float16", "zoo eval X --suite SUITE"),
            ("m -s y --batch_size auto", "--batch-tokens N"),
            ("m -s y -b 8", "--batch_size is a flag"),
            ("m -s y --device cuda:0", "--threads N"),
            ("m -s y --seed 0,1,2", "--fewshot-seed N"),
            ("m -s y --use_cache db", "--out DIR --resume"),
            ("m -s y --trust_remote_code", "never run"),
            ("m -s y --hf_hub_log_args a=b", "results.csv"),
        ] {
            let error = parsed(&format!("eval {flags}")).unwrap_err();
            assert!(error.contains(words), "{flags}: {error}");
        }
    }
}
