//! Checks on one architecture or tokenizer record: numbers that no network can have.

use super::checker::{Checker, is_id};
use super::parts::digests;
use super::{ArchitectureRecord, ModelType, RegistryError, RopeScalingKind, TokenizerKind, TokenizerRecord};
use crate::config::limits::{MAX_LAYERS, MAX_POSITIONS, MAX_VOCABULARY, MAX_WIDTH};

/// Checks an architecture; `prefix` goes before the names of its fields (`architecture.` inside a card).
pub(super) fn architecture(
    checker: &Checker<'_>,
    prefix: &str,
    a: &ArchitectureRecord,
) -> Result<(), RegistryError> {
    let field = |name: &str| format!("{prefix}{name}");
    for (name, value, limit) in [
        ("hidden_size", Some(a.hidden_size), MAX_WIDTH),
        ("intermediate_size", Some(a.intermediate_size), MAX_WIDTH),
        ("num_hidden_layers", Some(a.num_hidden_layers), MAX_LAYERS),
        ("num_attention_heads", Some(a.num_attention_heads), MAX_WIDTH),
        ("num_key_value_heads", a.num_key_value_heads, MAX_WIDTH),
        ("head_dim", a.head_dim, MAX_WIDTH),
        ("vocab_size", Some(a.vocab_size), MAX_VOCABULARY),
        ("max_context", Some(a.max_context), MAX_POSITIONS),
        ("max_position_embeddings", a.max_position_embeddings, MAX_POSITIONS),
    ] {
        checker.within(&field(name), value, limit)?;
    }
    for (name, value) in [
        ("rms_norm_eps", a.rms_norm_eps),
        ("layer_norm_epsilon", a.layer_norm_epsilon),
        ("rope_theta", a.rope_theta),
        ("rope_scaling.factor", a.rope_scaling.as_ref().map(|scaling| scaling.factor)),
    ] {
        checker.positive_float(&field(name), value)?;
    }
    if a.head_dim.is_none() {
        let expected = format!("a divisor of hidden_size ({}), or a head_dim", a.hidden_size);
        let found = a.num_attention_heads.to_string();
        let ok = a.hidden_size.is_multiple_of(a.num_attention_heads);
        checker.require(ok, &field("num_attention_heads"), expected, &found)?;
    }
    let expected = format!("a divisor of num_attention_heads ({})", a.num_attention_heads);
    let ok = a.num_attention_heads.is_multiple_of(a.kv_heads());
    checker.require(ok, &field("num_key_value_heads"), expected, &a.kv_heads().to_string())?;
    network(checker, &field, a)?;
    let counted = a.count_parameters().map_err(|error| {
        let found = format!("{} heads", a.num_attention_heads);
        checker.wrong(&field("num_attention_heads"), format!("the numbers of a network ({error})"), &found)
    })?;
    let stated = a.parameters.unwrap_or(counted);
    let expected = format!("{counted}, the sum of the shapes");
    checker.require(stated == counted, &field("parameters"), expected, &stated.to_string())
}

/// What each kind of network has and has not.
fn network(
    checker: &Checker<'_>,
    field: &dyn Fn(&str) -> String,
    a: &ArchitectureRecord,
) -> Result<(), RegistryError> {
    let rotary = a.model_type == ModelType::Llama;
    let kind = a.model_type.as_str();
    for (name, stated, wanted) in [
        ("rope_theta", a.rope_theta.is_some(), rotary),
        ("rms_norm_eps", a.rms_norm_eps.is_some(), rotary),
        ("rope_scaling", a.rope_scaling.is_some(), rotary),
        ("layer_norm_epsilon", a.layer_norm_epsilon.is_some(), !rotary),
    ] {
        checker.require(
            wanted || !stated,
            &field(name),
            format!("no such field for model_type {kind}"),
            name,
        )?;
    }
    if rotary {
        let ok = a.head_size().is_multiple_of(2);
        let name = if a.head_dim.is_some() { "head_dim" } else { "num_attention_heads" };
        checker.require(
            ok,
            &field(name),
            "heads of even width (rotary pairs)",
            &a.head_size().to_string(),
        )?;
    }
    if let Some(scaling) = &a.rope_scaling {
        let original = scaling.original_max_position_embeddings;
        checker.within(&field("rope_scaling.original_max_position_embeddings"), original, MAX_POSITIONS)?;
        let is_llama3 = scaling.kind == RopeScalingKind::Llama3;
        let needs_original = is_llama3 || scaling.kind == RopeScalingKind::Yarn;
        for (name, stated, needed) in [
            ("original_max_position_embeddings", original.is_some(), needs_original),
            ("low_freq_factor", scaling.low_freq_factor.is_some(), is_llama3),
            ("high_freq_factor", scaling.high_freq_factor.is_some(), is_llama3),
        ] {
            let expected = format!("a number, for type {}", scaling.kind.as_str());
            checker.require(
                stated || !needed,
                &field(&format!("rope_scaling.{name}")),
                expected,
                "nothing",
            )?;
        }
        if let (Some(low), Some(high)) = (scaling.low_freq_factor, scaling.high_freq_factor) {
            checker.positive_float(&field("rope_scaling.low_freq_factor"), Some(low))?;
            let expected = format!("more than low_freq_factor ({low})");
            let ok = high > low && high.is_finite();
            checker.require(ok, &field("rope_scaling.high_freq_factor"), expected, &high.to_string())?;
        }
    }
    Ok(())
}

/// Checks a tokenizer.
pub(super) fn tokenizer(checker: &Checker<'_>, t: &TokenizerRecord) -> Result<(), RegistryError> {
    checker.within("vocab_size", Some(t.vocab_size), MAX_VOCABULARY)?;
    checker.within("embedding_rows", t.embedding_rows, MAX_VOCABULARY)?;
    if let Some(rows) = t.embedding_rows {
        let expected = format!("at least vocab_size ({})", t.vocab_size);
        checker.require(rows >= t.vocab_size, "embedding_rows", expected, &rows.to_string())?;
    }
    if let Some(pieces) = t.sentencepiece_pieces {
        let expected = format!("at most vocab_size ({})", t.vocab_size);
        let ok = pieces <= t.vocab_size && t.kind == TokenizerKind::SentencepieceBpe;
        checker.require(ok, "sentencepiece_pieces", expected, &pieces.to_string())?;
    }
    if let Some(base) = &t.base {
        checker.require(is_id(base), "base", "the name of a tokenizer record", base)?;
    }
    let special = [("unk", t.unk), ("bos", t.bos), ("eos", t.eos), ("pad", t.pad)];
    let ids = special.into_iter().filter_map(|(name, id)| Some((name, id?)));
    let added = t.added.values().map(|id| ("added", *id));
    let landmarks = t.landmarks.values().map(|id| ("landmarks", *id));
    let bytes = t.byte_fallback.iter().flatten().map(|id| ("byte_fallback", *id));
    for (name, id) in ids.chain(added).chain(landmarks).chain(bytes) {
        let expected = format!("an id below vocab_size ({})", t.vocab_size);
        checker.require(u64::from(id) < t.vocab_size, name, expected, &id.to_string())?;
    }
    if let Some([first, last]) = t.byte_fallback {
        let ok = last.checked_sub(first) == Some(255);
        checker.require(ok, "byte_fallback", "256 ids", &format!("{first}, {last}"))?;
    }
    match &t.digests {
        Some(known) => digests(checker, "digests", known),
        None => Ok(()),
    }
}
