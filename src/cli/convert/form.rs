//! Form and element type that the flags of `zoo convert` ask for, checked against each other.

use clap::ValueEnum;

use super::super::exit::Usage;
use super::Args;
use crate::forms::HfModel;
use crate::store::GgufFileType;
use crate::weights::{Dtype, is_gguf};

/// A form as the command line names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Form {
    /// A folder of safetensors in Hugging Face's layout
    Hf,
    /// One GGUF file
    Gguf,
    /// A folder in Meta's form
    Meta,
}

/// An element type as the command line names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Type {
    /// As they are
    Keep,
    /// Single precision
    F32,
    /// Half precision
    F16,
    /// The upper half of f32
    Bf16,
    /// Blocks of 8-bit numbers, in GGUF
    #[value(name = "q8_0")]
    Q8_0,
    /// Blocks of 4-bit numbers, in GGUF
    #[value(name = "q4_0")]
    Q4_0,
}

impl Form {
    /// The form that the flags ask for.
    ///
    /// # Errors
    /// Wrong usage for flags that contradict each other.
    pub(super) fn of(args: &Args) -> Result<Form, Usage> {
        let out = args.out.display();
        let is_gguf = is_gguf(&args.out);
        let form = match args.to {
            Some(form) => form,
            None if is_gguf => Form::Gguf,
            None => Form::Hf,
        };
        if (form == Form::Gguf) != is_gguf {
            let expected =
                if is_gguf { "--to gguf, or the name of a folder" } else { "a file name ending in .gguf" };
            return Err(Usage(format!("--out {out}: expected {expected}, found --to {}", form.name())));
        }
        let only = |flag: &str, of: Form| {
            Usage(format!("{flag} belongs to --to {}, and {out} is to be {}", of.name(), form.name()))
        };
        if form != Form::Gguf && matches!(args.dtype, Type::Q8_0 | Type::Q4_0) {
            return Err(only("a block type (--dtype q8_0 or q4_0)", Form::Gguf));
        }
        if form != Form::Hf && args.shard_size.is_some() {
            return Err(only("--shard-size", Form::Hf));
        }
        if form != Form::Meta && args.shards.is_some() {
            return Err(only("--shards", Form::Meta));
        }
        Ok(form)
    }

    /// The value of `--to`.
    fn name(self) -> String {
        self.to_possible_value().expect("no form is hidden").get_name().to_owned()
    }
}

impl Type {
    /// The type of the matrices of a GGUF file; `name` is the model as the user named it.
    ///
    /// # Errors
    /// Wrong usage if the model's own type is to be kept and is not written.
    pub(super) fn of_gguf(self, model: &HfModel, name: &str) -> Result<GgufFileType, Usage> {
        let kept = model.dtype();
        Ok(match self {
            Type::F32 => GgufFileType::F32,
            Type::F16 => GgufFileType::F16,
            Type::Bf16 => GgufFileType::BF16,
            Type::Q8_0 => GgufFileType::Q8_0,
            Type::Q4_0 => GgufFileType::Q4_0,
            Type::Keep => GgufFileType::of(kept)
                .ok_or_else(|| cannot_keep(name, kept, "f32, f16, bf16, q8_0 or q4_0"))?,
        })
    }

    /// The type of the float tensors of a folder; `None` leaves each its own.
    ///
    /// # Errors
    /// Wrong usage if the model's own types are to be kept and are those of GGUF.
    pub(super) fn of_folder(self, model: &HfModel, name: &str) -> Result<Option<Dtype>, Usage> {
        match self {
            Type::F32 => Ok(Some(Dtype::F32)),
            Type::F16 => Ok(Some(Dtype::F16)),
            Type::Bf16 => Ok(Some(Dtype::BF16)),
            Type::Keep | Type::Q8_0 | Type::Q4_0 => {
                let blocks = model.tensors.tensors().iter().find(|info| info.dtype.block_size() > 1);
                blocks.map_or(Ok(None), |info| Err(cannot_keep(name, info.dtype, "f32, f16 or bf16")))
            }
        }
    }
}

fn cannot_keep(name: &str, found: Dtype, types: &str) -> Usage {
    Usage(format!(
        "--dtype keep: {name} has {found} tensors, which the output cannot have; choose --dtype {types}"
    ))
}
