//! Acceptance: this program against reference results, and work too large for every day. All of it is ignored unless asked
//! for (`make acceptance`); what is asked for and finds no data fails, see `support/shared.rs`.

mod answers;
mod build;
mod convert;
mod elsewhere;
mod eval;
mod facts;
mod hub;
mod large;
mod lineage;
mod lineage_eval;
mod malformed;
mod mission;
mod model_config;
mod prompt_templates;
mod prompts;
mod published;
mod race;
mod registry;
mod resume;
#[path = "../support/mod.rs"]
mod support;
mod text_stream;
mod tokenizer;
mod torch;
mod verify;
mod weights;
mod xor;
