//! `--config`: a finished run's description in place of flags, and what a run records for that.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ArgMatches;
use serde::Serialize;

use super::Args;
use crate::cli::build::Given;
use crate::cli::defaults::FlagDefault;
use crate::cli::flags::{ComputingFlags, Folders, ModelFlags, ModelSources, ServingFlags, TaskFolders};
use crate::kernels::Precision;
use crate::records::RecordedOptions;
use crate::run::{read_repeated, repeated_flags};

/// The flags of the run that the command line wants repeated, if it does.
pub fn repeated_run(matches: &ArgMatches) -> anyhow::Result<Option<Vec<FlagDefault>>> {
    let eval = matches.subcommand_matches("eval");
    let Some(path) = eval.and_then(|eval| eval.get_one::<PathBuf>("config")) else { return Ok(None) };
    let flags = repeated_flags(&read_repeated(path)?.record)?;
    let default = |(flag, values): (String, Vec<String>)| FlagDefault {
        flag,
        values: values.into_iter().map(Into::into).collect(),
    };
    Ok(Some(flags.into_iter().map(default).collect()))
}

/// What a repetition needs beside the options that decide what is asked. Paths are whole, so that it may be started
/// anywhere.
pub fn flags(args: &Args) -> anyhow::Result<RecordedOptions> {
    let model = |name: &String| {
        let path = Path::new(name);
        if path.exists() { whole(path) } else { Ok(name.clone()) }
    };
    let part = |given: &Given| Ok(format!("{}={}", given.name, whole(&given.path)?));
    let ModelFlags { models, sources: ModelSources { weights, from, .. } } = &args.models;
    let Folders { data_dir, tasks: TaskFolders { include_path } } = &args.asked.folders;
    let ComputingFlags { max_length, batch_tokens, precision, matmul, .. } = &args.computing;
    let ServingFlags { tokenizer, concurrency, dtype, ca_file } = &args.serving;
    let flags = Flags {
        models: models.iter().map(model).collect::<anyhow::Result<_>>()?,
        weights: weights.as_deref().map(whole).transpose()?,
        from: from.iter().map(part).collect::<anyhow::Result<_>>()?,
        data_dir: data_dir.as_deref().map(whole).transpose()?,
        include_path: include_path.iter().map(|path| whole(path)).collect::<anyhow::Result<_>>()?,
        allow_difference: args.allow_difference,
        max_length: *max_length,
        batch_tokens: *batch_tokens,
        precision: *precision,
        against: args.against,
        matmul: matmul.clone(),
        tokenizer: tokenizer.as_ref().map(model).transpose()?,
        concurrency: *concurrency,
        dtype: dtype.clone(),
        ca_file: ca_file.as_deref().map(whole).transpose()?,
        log_samples: args.log_samples,
        no_texts: args.no_texts,
        skip_missing_data: args.variants.skip_missing_data,
    };
    let mut recorded: RecordedOptions = serde_yaml::from_value(serde_yaml::to_value(flags)?)?;
    // What was not asked for needs no line.
    recorded.retain(|_, value| match value {
        serde_yaml::Value::Null | serde_yaml::Value::Bool(false) => false,
        serde_yaml::Value::Sequence(values) => !values.is_empty(),
        _ => true,
    });
    Ok(recorded)
}

/// Flags by their names.
#[derive(Debug, Default, Serialize)]
struct Flags {
    models: Vec<String>,
    weights: Option<String>,
    from: Vec<String>,
    data_dir: Option<String>,
    include_path: Vec<String>,
    allow_difference: bool,
    max_length: Option<usize>,
    batch_tokens: Option<usize>,
    precision: Precision,
    against: Option<Precision>,
    matmul: Option<String>,
    tokenizer: Option<String>,
    concurrency: Option<usize>,
    dtype: Option<String>,
    ca_file: Option<String>,
    log_samples: bool,
    no_texts: bool,
    skip_missing_data: bool,
}

/// A path from the root. One that is no text cannot be written down.
fn whole(path: &Path) -> anyhow::Result<String> {
    let whole = std::path::absolute(path).with_context(|| format!("{}: no path", path.display()))?;
    let text = whole.into_os_string().into_string().ok();
    text.with_context(|| format!("{}: expected a path that is text", path.display()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;
    use crate::run::Options;

    /// A new flag has to decide whether a repetition needs it.
    #[test]
    fn every_flag_is_recorded_or_belongs_to_one_call() {
        // Where the run goes and what is shown of it, and what does not change its numbers.
        let once = [
            "config",
            "out",
            "resume",
            "reuse",
            "memory",
            "threads",
            "layers",
            "format",
            "all_tasks",
            "dry_run",
            "offline",
            // Leave to run programs is given by whoever calls, and by no record of a run.
            "allow_code",
            "python",
        ];
        // Some are recorded only where they are set.
        let gen_kwargs = serde_json::from_str(r#"{"until": "."}"#).unwrap();
        let shard = "0/2".parse().ok();
        let options =
            Options { shard, gen_kwargs, predict_only: true, rotate_options: true, ..Options::default() }
                .recorded()
                .unwrap();
        let flags: RecordedOptions =
            serde_yaml::from_value(serde_yaml::to_value(Flags::default()).unwrap()).unwrap();
        let command = Cli::command();
        let eval = command.find_subcommand("eval").unwrap();
        for arg in eval.get_arguments().filter(|arg| !arg.is_hide_set()) {
            let id = arg.get_id().as_str();
            let recorded = options.contains_key(id) || flags.contains_key(id);
            assert!(recorded != once.contains(&id), "{id}");
        }
        for flag in options.keys().chain(flags.keys()) {
            assert!(eval.get_arguments().any(|arg| arg.get_id() == flag.as_str()), "{flag}");
        }
    }
}
