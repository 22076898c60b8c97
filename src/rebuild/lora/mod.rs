//! Low-rank adapters, merged into their base: `W + scale · B A`, rounded once.
//!
//! `config` and `fields` read what an adapter says of itself, `adapter` its tensors by their `role`s, `merge` joins it with a base. Several adapters
//! are merged one after the other, and the weights have the base's own type after each, as in the tools whose
//! merged models people use. Sources: Hu et al., "LoRA" (2021); the PEFT library; Chinese-LLaMA-Alpaca's merge scripts.

mod adapter;
mod config;
mod fields;
mod merge;
mod role;
mod targets;

pub use adapter::Adapter;
pub(crate) use adapter::TOKENIZER_FILES;
pub use config::AdapterConfig;
pub(crate) use merge::add_update;
pub use merge::merge;

#[cfg(test)]
mod tests;
