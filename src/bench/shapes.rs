//! Shapes that can be measured without any file.

use crate::config::LlamaConfig;

/// Names that [`shape`] knows, the smallest first.
pub const SHAPES: [&str; 3] = ["smollm2-135m", "tinyllama-1.1b", "llama-7b"];

/// The shape of a name.
pub fn shape(name: &str) -> Option<LlamaConfig> {
    match name {
        "smollm2-135m" => Some(LlamaConfig::SMOLLM2_135M),
        "tinyllama-1.1b" => Some(LlamaConfig::TINYLLAMA_1B),
        "llama-7b" => Some(LlamaConfig::LLAMA_7B),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_have_the_published_numbers_of_parameters() {
        let parameters = SHAPES.map(|name| shape(name).unwrap().shape().parameters());
        assert_eq!(parameters, [134_515_008, 1_100_048_384, 6_738_415_616]);
        assert!(SHAPES.iter().all(|name| shape(name).unwrap().check(name).is_ok()));
        assert_eq!(shape("llama-8b"), None);
    }
}
