//! A LoRA adapter from two models: what was trained, squeezed into rank r.
//!
//! The difference of each linear layer is replaced by the nearest matrix of rank r (Eckart and Young 1936), cut into
//! `B = U √S` and `A = √S Vᵀ` so that both have entries of like size. Embeddings and the output layer that changed or
//! grew are saved whole, as adapters for grown vocabularies do. What an adapter cannot say is reported, never
//! dropped in silence. Keys and configuration are those of the PEFT library.

mod plan;
mod write;

pub use plan::{ExtractionPlan, Left};
pub use write::{ADAPTER_FILE, CONFIG_FILE, Extracted, Extraction};

use std::path::PathBuf;

use crate::weights::Dtype;

/// How an adapter is made.
#[derive(Debug, Clone)]
pub struct ExtractOptions {
    /// The rank of all updates.
    pub rank: usize,
    /// The type of the two matrices: F16 or F32. Saved modules keep the type they have in B.
    pub dtype: Dtype,
    /// Only modules with these names or ends of names; `None` for all linear layers that changed.
    pub targets: Option<Vec<String>>,
    /// Whether norms that changed are saved whole; otherwise their change is left out.
    pub save_norms: bool,
    /// What the configuration calls the base.
    pub base_model: String,
    /// The folder of B, whose tokenizer goes with rows of vocabulary that are saved.
    pub tokenizer_from: Option<PathBuf>,
}

#[cfg(test)]
mod tests;
