//! `zoo convert`: a model in another form or element type.

mod form;

use std::path::{Path, PathBuf};
use std::time::Duration;

use self::form::{Form, Type};
use super::interrupted::{kept_of, listen_for_again};
use super::size::ByteSize;
use super::{Global, bar, models, source};
use crate::forms::HfModel;
use crate::rebuild::{BuildRecord, InputRecord};
use crate::report::numbers::short_bytes;
use crate::run::LocatedModel;
use crate::store::{
    SHARD_BYTES, StoreOptions, WrittenFile, WrittenModel, no_check, write_gguf_file, write_meta_folder,
    write_model,
};
use crate::verify::norms_of_a_difference;
use crate::weights::Dtype;

/// Write a model in another form or element type.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo convert ./llama-7b --out ./llama-7b-hf
  zoo convert ./model.gguf --out ./model-f16 --dtype f16
  zoo convert ./vicuna-7b --out ./vicuna-7b-q8.gguf --dtype q8_0
  zoo convert ./llama-13b-hf --to meta --out ./13B --shards 2
  zoo convert smollm2-135m --out ./smollm2-bf16 --dtype bf16 --shard-size 200MB

Forms: hf is a folder in Hugging Face's layout, gguf one file for llama.cpp and its relatives, meta
a folder of consolidated.NN.pth as Meta released LLaMA. Any of them, and PyTorch's .bin files, can
be read. GGUF and Meta outputs are read back and compared before they get their name.

Folders have a zoo.lock.yaml, which holds the SHA-256 of every tensor. Until the output is complete,
all of it is in .NAME.zoo-partial beside it. An interrupted call for hf is gone on with by the same
command; one for another form is started over.")]
pub struct Args {
    /// A registry id or alias, a folder, or a file of weights
    #[arg(value_name = "MODEL|PATH")]
    model: String,
    /// The folder or file to write
    #[arg(short, long, value_name = "PATH")]
    out: PathBuf,
    /// The form to write [default: gguf if --out ends in .gguf, else hf]
    #[arg(long, value_enum, value_name = "FORM")]
    to: Option<Form>,
    /// Element type of float tensors; block types for GGUF only
    #[arg(long, value_enum, default_value = "keep", value_name = "TYPE")]
    dtype: Type,
    /// With hf, largest size of the tensors in one file, such as 5GB or 500MB [default: 5GB]
    #[arg(long, value_name = "SIZE")]
    shard_size: Option<ByteSize>,
    /// With meta, number of consolidated.NN.pth files [default: as many as Meta's release of this size]
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
    /// Replace an earlier build, or an earlier GGUF file
    #[arg(long)]
    force: bool,
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let form = Form::of(args)?;
    let out = args.out.clone();
    listen_for_again(move || kept_of(&out, form == Form::Hf))?;
    let LocatedModel { name, path, .. } = source::find(&args.model, global)?;
    let model = HfModel::open(&path)?;
    if norms_of_a_difference(model.tensors.as_ref())?.is_some() {
        tracing::warn!(
            "{}: its norm weights are near zero: this is a difference to a base and no model; zoo build makes one of both",
            args.model
        );
    }
    let inputs = vec![InputRecord::of("source", &name, model.tensors.as_ref())];
    let progress = bar(global);
    let (text, notes) = match form {
        Form::Gguf => {
            let file_type = args.dtype.of_gguf(&model, &args.model)?;
            let written = write_gguf_file(&model, &args.out, file_type, args.force, &inputs, &progress)?;
            (written.summary(), written.notes)
        }
        Form::Hf | Form::Meta => {
            let dtype = args.dtype.of_folder(&model, &args.model)?;
            let lineage = record(dtype, inputs);
            let written = if form == Form::Meta {
                let model = match dtype {
                    Some(dtype) => model.cast(dtype)?,
                    None => model,
                };
                write_meta_folder(&model, &args.out, args.shards, args.force, &lineage, &progress)?
            } else {
                let shard_bytes = args.shard_size.map_or(SHARD_BYTES, |size| size.0);
                let options = StoreOptions { dtype, shard_bytes, force: args.force, ..Default::default() };
                write_model(&model, &args.out, &options, lineage, &no_check, &progress)?
            };
            (written.summary(), written.notes)
        }
    };
    models::deliver(&text, None)?;
    for note in notes {
        models::note(global, &format!("note: {note}"));
    }
    Ok(())
}

fn record(dtype: Option<Dtype>, inputs: Vec<InputRecord>) -> BuildRecord {
    BuildRecord {
        model: None,
        rule: "convert".to_owned(),
        arithmetic: match dtype {
            None => "every tensor as it was".to_owned(),
            Some(dtype) => format!("floats widened to f32, then rounded once to {dtype}, ties to even"),
        },
        inputs,
    }
}

impl WrittenModel {
    /// What was written, and what to do with it.
    pub(super) fn summary(&self) -> String {
        let Self { folder, lock, tensor_bytes, elapsed, .. } = self;
        let is_weights = |name: &str| name.ends_with(".safetensors") || name.ends_with(".pth");
        let files = lock.files.iter().filter(|file| is_weights(&file.name)).count();
        let plural = if files == 1 { "" } else { "s" };
        let size = format!("{} in {files} file{plural}", short_bytes(*tensor_bytes));
        summary(folder, lock.tensors.len(), lock.dtype, &size, *elapsed, &lock.tensors_sha256)
    }
}

impl WrittenFile {
    fn summary(&self) -> String {
        let Self { file, tensors, dtype, tensor_bytes, elapsed, tensors_sha256, .. } = self;
        summary(file, tensors.len(), *dtype, &short_bytes(*tensor_bytes), *elapsed, tensors_sha256)
    }
}

fn summary(
    path: &Path,
    tensors: usize,
    dtype: Dtype,
    size: &str,
    elapsed: Duration,
    tensors_sha256: &str,
) -> String {
    let path = path.display();
    let seconds = elapsed.as_secs_f64();
    format!(
        "{path}: {tensors} tensors, mostly {dtype}, {size} after {seconds:.1} s\n\
         tensors_sha256 {tensors_sha256}\nnext: zoo eval {path} --suite basics\n"
    )
}
