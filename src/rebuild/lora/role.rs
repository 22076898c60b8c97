//! Roles of an adapter's tensors, by their names.
//!
//! Source: `get_peft_model_state_dict` of the PEFT library.

/// What PEFT puts before the names of the model.
const PREFIX: &str = "base_model.model.";

/// What a tensor's name says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Role<'a> {
    /// `lora_A` of a module.
    A(&'a str),
    /// `lora_B` of a module.
    B(&'a str),
    /// `lora_embedding_A` of an embedding.
    EmbeddingA(&'a str),
    /// `lora_embedding_B` of an embedding.
    EmbeddingB(&'a str),
    /// The whole weight of a module.
    Saved(&'a str),
    /// The whole weight of a module that has an update as well.
    Base(&'a str),
    /// Part of a relative of LoRA, in words.
    Relative(&'static str),
    /// Nothing that is known.
    Unknown,
}

/// What the name of a tensor says, with or without PEFT's prefix and the adapter's name.
pub(super) fn role(name: &str) -> Role<'_> {
    let name = name.strip_prefix(PREFIX).unwrap_or(name);
    // "weight", or an adapter's name and "weight".
    let ends = |rest: &str| match rest.strip_suffix("weight") {
        Some("") => true,
        Some(label) => label.strip_suffix('.').is_some_and(|label| !label.is_empty() && !label.contains('.')),
        None => false,
    };
    for (mark, make) in [(".lora_A.", Role::A as fn(_) -> _), (".lora_B.", Role::B as fn(_) -> _)] {
        if let Some((module, rest)) = name.split_once(mark) {
            return match rest {
                rest if ends(rest) => make(module),
                rest if rest.ends_with("bias") => Role::Relative("a bias of lora_B"),
                _ => Role::Unknown,
            };
        }
    }
    if name.contains("lora_magnitude_vector") {
        return Role::Relative("a magnitude vector (DoRA)");
    }
    for (mark, make) in [
        (".lora_embedding_A", Role::EmbeddingA as fn(_) -> _),
        (".lora_embedding_B", Role::EmbeddingB as fn(_) -> _),
    ] {
        if let Some((module, rest)) = name.split_once(mark) {
            let is_label = |label: &str| !label.is_empty() && !label.contains('.');
            let is_end = rest.is_empty() || rest.strip_prefix('.').is_some_and(is_label);
            return if is_end { make(module) } else { Role::Unknown };
        }
    }
    if name.contains("trainable_tokens_") {
        return Role::Relative("rows of single tokens");
    }
    if let Some(module) = name.strip_suffix(".base_layer.weight") {
        return Role::Base(module);
    }
    if let Some((module, rest)) = name.split_once(".modules_to_save.") {
        return if ends(rest) { Role::Saved(module) } else { Role::Unknown };
    }
    match name.strip_suffix(".weight") {
        Some(module) if !module.contains("lora_") => Role::Saved(module),
        _ if name.ends_with(".bias") => Role::Relative("a bias"),
        _ => Role::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_prefix_and_infix() {
        let module = "model.layers.0.self_attn.q_proj";
        for name in [
            "base_model.model.M.lora_A.weight",
            "base_model.model.M.lora_A.default.weight",
            "M.lora_A.weight",
        ] {
            assert_eq!(role(&name.replace('M', module)), Role::A(module), "{name}");
        }
        assert_eq!(role("base_model.model.x.lora_B.my-run.weight"), Role::B("x"));
        assert_eq!(role("base_model.model.lm_head.weight"), Role::Saved("lm_head"));
        assert_eq!(role("lm_head.modules_to_save.default.weight"), Role::Saved("lm_head"));
        for name in [
            "x.lora_A.a.b.weight",
            "x.lora_A",
            "x.lora_A.weights",
            "x.lora_C.weight",
            "x",
            "",
            "x.lora_Aweight",
        ] {
            assert_eq!(role(name), Role::Unknown, "{name}");
        }
        for name in
            ["embed_tokens.lora_embedding_A", "base_model.model.embed_tokens.lora_embedding_A.default"]
        {
            assert_eq!(role(name), Role::EmbeddingA("embed_tokens"), "{name}");
        }
        assert_eq!(role("base_model.model.lm_head.base_layer.weight"), Role::Base("lm_head"));
        for name in [
            "x.lora_magnitude_vector",
            "embed_tokens.token_adapter.trainable_tokens_delta",
            "x.bias",
            "x.lora_B.bias",
        ] {
            assert!(matches!(role(name), Role::Relative(_)), "{name}");
        }
    }
}
