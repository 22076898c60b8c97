//! Parts of a network, counted in one place: its widths, and the name and shape of every tensor.
//!
//! Loading, memory, arithmetic, checks of names and counts of parameters all ask the [`Shape`] of a configuration, so that
//! they agree. Names are those of transformers' `LlamaForCausalLM` and `BloomForCausalLM`.

use super::{BloomConfig, LlamaConfig};
use crate::base::names::number_in_name;

/// A linear layer or a norm: the tensors `NAME.weight` and, with a bias, `NAME.bias`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModuleShape {
    /// The name, without what stands before it.
    pub name: &'static str,
    /// Numbers that come out: rows of a matrix, the length of a norm.
    pub out: usize,
    /// Numbers that go in: columns of a matrix; `None` for a norm, whose weight is a vector.
    pub input: Option<usize>,
    /// Whether there is a bias.
    pub bias: bool,
}

impl ModuleShape {
    fn linear(name: &'static str, [out, input]: [usize; 2], bias: bool) -> Self {
        Self { name, out, input: Some(input), bias }
    }

    fn norm(name: &'static str, out: usize, bias: bool) -> Self {
        Self { name, out, input: None, bias }
    }

    /// The tensors, their names after `prefix`.
    pub fn tensors(self, prefix: &str) -> impl Iterator<Item = (String, Vec<usize>)> {
        let Self { name, out, input, bias } = self;
        let weight = (format!("{prefix}{name}.weight"), [out].into_iter().chain(input).collect());
        [weight].into_iter().chain(bias.then(|| (format!("{prefix}{name}.bias"), vec![out])))
    }
}

/// Widths and tensors of a network of any kind that runs here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Rows of the embedding and of the output matrix.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the MLP.
    pub intermediate_size: usize,
    /// Whether the MLP has a gate beside its first matrix.
    pub is_gated: bool,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads.
    pub num_key_value_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Whether queries and keys are turned, by `head_dim` cosines and sines for each token.
    pub is_rotary: bool,
    /// Whether the output matrix is the embedding.
    pub tie_word_embeddings: bool,
    /// What every name but [`HEAD`] begins with.
    pub prefix: &'static str,
    /// Between prefix and number in the names of a block.
    pub blocks: &'static str,
    /// The parts of a block, in the order in which a token passes them.
    pub block: Vec<ModuleShape>,
    /// The token embedding.
    pub embedding: ModuleShape,
    /// Norms outside of the blocks.
    pub norms: Vec<ModuleShape>,
}

/// The output matrix of its own that a network has whose ends are not tied.
pub const HEAD: &str = "lm_head";

impl Shape {
    /// Width of all query heads.
    pub fn queries(&self) -> usize {
        self.num_attention_heads * self.head_dim
    }

    /// Width of all key heads; values have the same.
    pub fn keys(&self) -> usize {
        self.num_key_value_heads * self.head_dim
    }

    /// The number of the block that a tensor belongs to, if it belongs to one.
    pub fn block_of(&self, name: &str) -> Option<usize> {
        let rest = name.strip_prefix(self.prefix)?.strip_prefix(self.blocks)?;
        number_in_name(rest.split('.').next()?)
    }

    /// What the names of block number `index` begin with.
    pub fn prefix_of(&self, index: usize) -> String {
        format!("{}{}{index}.", self.prefix, self.blocks)
    }

    /// The part of a block, or outside of them, that is called `name`.
    ///
    /// # Panics
    /// If networks of this kind have none.
    pub fn part(&self, name: &str) -> ModuleShape {
        let found = self.block.iter().chain(&self.norms).find(|part| part.name == name);
        *found.unwrap_or_else(|| panic!("{name}: no part of this kind of network"))
    }

    /// The output matrix, whatever it is made of.
    pub fn head(&self) -> ModuleShape {
        ModuleShape { name: HEAD, ..self.embedding }
    }

    /// Weights of the linear layers of one block, without biases.
    pub fn block_weights(&self) -> u64 {
        self.block.iter().filter_map(|part| Some(part.out as u64 * part.input? as u64)).sum()
    }

    /// What the widest product of a block reads.
    pub fn widest_input(&self) -> usize {
        self.block.iter().filter_map(|part| part.input).max().expect("blocks have linear layers")
    }

    /// Name and shape of every tensor.
    pub fn tensors(&self) -> impl Iterator<Item = (String, Vec<usize>)> {
        let outside = [self.embedding].into_iter().chain(self.norms.iter().copied());
        let outside = outside.flat_map(|part| part.tensors(self.prefix));
        let head = (!self.tie_word_embeddings).then(|| self.head());
        let blocks = (0..self.num_hidden_layers).flat_map(|index| {
            let prefix = self.prefix_of(index);
            self.block.iter().flat_map(move |part| part.tensors(&prefix).collect::<Vec<_>>())
        });
        outside.chain(head.into_iter().flat_map(|part| part.tensors(""))).chain(blocks)
    }

    /// Number of parameters, tied embeddings counted once.
    pub fn parameters(&self) -> u64 {
        let of =
            |part: &ModuleShape| part.out as u64 * (part.input.unwrap_or(1) as u64 + u64::from(part.bias));
        let block: u64 = self.block.iter().map(of).sum();
        let norms: u64 = self.norms.iter().map(of).sum();
        let ends = of(&self.embedding) * if self.tie_word_embeddings { 1 } else { 2 };
        ends + norms + self.num_hidden_layers as u64 * block
    }
}

impl LlamaConfig {
    /// What a network of this configuration is made of.
    pub fn shape(&self) -> Shape {
        let (hidden, inner) = (self.hidden_size, self.intermediate_size);
        let [queries, keys] = [self.num_attention_heads, self.num_key_value_heads].map(|n| n * self.head_dim);
        let attention = |name, shape| ModuleShape::linear(name, shape, self.attention_bias);
        let mlp = |name, shape| ModuleShape::linear(name, shape, self.mlp_bias);
        Shape {
            vocab_size: self.vocab_size,
            hidden_size: hidden,
            intermediate_size: inner,
            is_gated: true,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: self.num_key_value_heads,
            head_dim: self.head_dim,
            is_rotary: true,
            tie_word_embeddings: self.tie_word_embeddings,
            prefix: "model.",
            blocks: "layers.",
            block: vec![
                ModuleShape::norm("input_layernorm", hidden, false),
                attention("self_attn.q_proj", [queries, hidden]),
                attention("self_attn.k_proj", [keys, hidden]),
                attention("self_attn.v_proj", [keys, hidden]),
                attention("self_attn.o_proj", [hidden, queries]),
                ModuleShape::norm("post_attention_layernorm", hidden, false),
                mlp("mlp.gate_proj", [inner, hidden]),
                mlp("mlp.up_proj", [inner, hidden]),
                mlp("mlp.down_proj", [hidden, inner]),
            ],
            embedding: ModuleShape::linear("embed_tokens", [self.vocab_size, hidden], false),
            norms: vec![ModuleShape::norm("norm", hidden, false)],
        }
    }
}

impl BloomConfig {
    /// What a network of this configuration is made of.
    pub fn shape(&self) -> Shape {
        let (hidden, inner) = (self.hidden_size, self.intermediate_size());
        Shape {
            vocab_size: self.vocab_size,
            hidden_size: hidden,
            intermediate_size: inner,
            is_gated: false,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: self.num_attention_heads,
            head_dim: self.head_dim(),
            is_rotary: false,
            tie_word_embeddings: self.tie_word_embeddings,
            prefix: "transformer.",
            blocks: "h.",
            block: vec![
                ModuleShape::norm("input_layernorm", hidden, true),
                ModuleShape::linear("self_attention.query_key_value", [3 * hidden, hidden], true),
                ModuleShape::linear("self_attention.dense", [hidden, hidden], true),
                ModuleShape::norm("post_attention_layernorm", hidden, true),
                ModuleShape::linear("mlp.dense_h_to_4h", [inner, hidden], true),
                ModuleShape::linear("mlp.dense_4h_to_h", [hidden, inner], true),
            ],
            embedding: ModuleShape::linear("word_embeddings", [self.vocab_size, hidden], false),
            norms: vec![
                ModuleShape::norm("word_embeddings_layernorm", hidden, true),
                ModuleShape::norm("ln_f", hidden, true),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelConfig;
    use crate::config::tests::bloom_7b;

    #[test]
    fn parameters_are_the_numbers_of_all_tensors() {
        let untied = LlamaConfig {
            tie_word_embeddings: false,
            attention_bias: true,
            mlp_bias: true,
            head_dim: 32,
            ..LlamaConfig::SMOLLM2_135M
        };
        for config in [LlamaConfig::SMOLLM2_135M.into(), untied.into(), ModelConfig::Bloom(bloom_7b())] {
            let shape = config.shape();
            let numbers = shape.tensors().map(|(_, shape)| shape.iter().product::<usize>() as u64);
            assert_eq!(numbers.sum::<u64>(), shape.parameters());
        }
    }

    #[test]
    fn names_are_those_of_transformers() {
        let names = |config: ModelConfig| config.shape().tensors().map(|(name, _)| name).collect::<Vec<_>>();
        let llama = names(LlamaConfig::SMOLLM2_135M.into());
        for name in ["model.embed_tokens.weight", "model.layers.29.mlp.down_proj.weight", "model.norm.weight"]
        {
            assert!(llama.iter().any(|found| found == name), "{name}");
        }
        let bloom = names(bloom_7b().into());
        for name in ["transformer.h.29.self_attention.dense.bias", "transformer.ln_f.bias"] {
            assert!(bloom.iter().any(|found| found == name), "{name}");
        }
        assert!(!llama.iter().chain(&bloom).any(|name| name.starts_with(HEAD)), "ends are tied");
    }

    #[test]
    fn a_block_is_known_by_the_name_that_it_has() {
        let shape = LlamaConfig::SMOLLM2_135M.shape();
        let block = |number: &str| shape.block_of(&format!("model.layers.{number}.mlp.up_proj.weight"));
        assert_eq!((block("0"), block("29")), (Some(0), Some(29)));
        assert_eq!(["+1", "00", "x", ""].map(block), [None; 4]);
    }
}
