//! The metadata of a GGUF file: the configuration in llama.cpp's words, and the vocabulary.

use std::io;

use serde_json::Value as Json;

use super::GgufFileType;
use super::tensors::GgufTensor;
use crate::base::fault::Refusal;
use crate::base::yaml::FileError;
use crate::config::{LlamaConfig, RopeScaling};
use crate::forms::{FormError, HfModel, Sidecar};
use crate::prompts::PromptError;
use crate::prompts::chat_template::ChatTemplates;
use crate::tokenizer::{TokenizerError, gguf_vocabulary};
use crate::weights::gguf::{Metadata, Value};

/// The keys of the model itself. What GGUF has no word for becomes a note.
pub(super) fn of_model(
    model: &HfModel,
    config: &LlamaConfig,
    file_type: GgufFileType,
    notes: &mut Vec<String>,
) -> Result<Metadata, FormError> {
    let mut metadata = Metadata::default();
    let mut set = |key: &str, value: Value| {
        metadata.0.insert(key.to_owned(), value);
    };
    let count = |n: usize| Value::Unsigned(n as u64);
    set("general.architecture", Value::String("llama".into()));
    set("general.type", Value::String("model".into()));
    if let Some(name) = model.path.file_name() {
        set("general.name", Value::String(name.to_string_lossy().into_owned()));
    }
    set("general.file_type", Value::Unsigned(file_type.number()));
    set("general.quantization_version", Value::Unsigned(2));
    set("llama.vocab_size", count(config.vocab_size));
    set("llama.context_length", count(config.max_position_embeddings));
    set("llama.embedding_length", count(config.hidden_size));
    set("llama.block_count", count(config.num_hidden_layers));
    set("llama.feed_forward_length", count(config.intermediate_size));
    set("llama.attention.head_count", count(config.num_attention_heads));
    set("llama.attention.head_count_kv", count(config.num_key_value_heads));
    set("llama.attention.layer_norm_rms_epsilon", Value::Float(config.rms_norm_eps));
    set("llama.rope.dimension_count", count(config.head_dim));
    set("llama.rope.freq_base", Value::Float(config.rope_theta));
    if config.shape().queries() != config.hidden_size {
        set("llama.attention.key_length", count(config.head_dim));
        set("llama.attention.value_length", count(config.head_dim));
    }
    match config.rope_scaling {
        RopeScaling::None | RopeScaling::Llama3 { .. } => {}
        RopeScaling::Linear { factor } => {
            set("llama.rope.scaling.type", Value::String("linear".into()));
            set("llama.rope.scaling.factor", Value::Float(factor));
        }
        RopeScaling::Dynamic { factor } => notes.push(format!(
            "dynamic rotary scaling (factor {factor}) has no word in GGUF: results are the same up to {} tokens \
             and differ beyond them",
            config.max_position_embeddings
        )),
    }
    if let Some(template) = chat_template(model)? {
        set("tokenizer.chat_template", Value::String(template));
    }
    Ok(metadata)
}

/// The keys of the vocabulary, with as many tokens as the embedding has rows.
pub(super) fn vocabulary(
    model: &HfModel,
    tensors: &[GgufTensor],
    notes: &mut Vec<String>,
) -> Result<Metadata, FormError> {
    let embedding = tensors.iter().find(|tensor| tensor.info.name == "token_embd.weight");
    let GgufTensor { origin, info, .. } = embedding.expect("a plan has all tensors of a LLaMA");
    let &[rows, _] = info.shape.as_slice() else {
        let place = format!("{}: tensor {origin:?}", model.path.display());
        let found = format!("shape {:?}", info.shape);
        let advice = "the weights are damaged or no LLaMA's: fetch them again";
        return Err(Refusal::new(place, "a matrix with a row for each token", found, advice).into());
    };
    let read = |name: &str| -> Result<Option<Vec<u8>>, TokenizerError> {
        if name == "config.json" {
            return Ok(Some(Json::Object(model.config.clone()).to_string().into_bytes()));
        }
        let read = |sidecar: &Sidecar| {
            let io = |source| TokenizerError::Io { file: sidecar.place(), source };
            sidecar.content.read().map_err(io)
        };
        model.sidecar(name).map(read).transpose()
    };
    if let Some(vocabulary) = gguf_vocabulary(&model.path, &read, rows)? {
        return Ok(vocabulary);
    }
    notes.push(
        "the model has no tokenizer.model and no tokenizer.json: the file has no vocabulary, and programs that need \
         one refuse it"
            .to_owned(),
    );
    let none = Value::String("no_vocab".into());
    Ok(Metadata([("tokenizer.ggml.model".to_owned(), none)].into()))
}

/// The template for plain chats.
fn chat_template(model: &HfModel) -> Result<Option<String>, FormError> {
    let read = |name: &str| {
        let Some(sidecar) = model.sidecar(name) else { return Ok(None) };
        let unreadable = |reason| FileError::Io { path: sidecar.place(), reason };
        let bytes = sidecar.content.read().map_err(unreadable)?;
        let text = String::from_utf8(bytes)
            .map_err(|error| unreadable(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        Ok(Some(text))
    };
    let found = ChatTemplates::from_files(&model.path, &read).map_err(|error| match error {
        PromptError::Settings(refusal) => refusal,
        other => {
            let place = model.path.display().to_string();
            Refusal::new(place, "a chat template that can be read", other.to_string(), "mend or remove it")
        }
    })?;
    Ok(found.default_template().map(|template| template.source.clone()))
}
