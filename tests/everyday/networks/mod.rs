//! The forward passes against stored logits.

mod bloom_reference;
mod llama_reference;
mod long_context;
mod relatives;
