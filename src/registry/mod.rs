//! Model cards: the family as data.
//!
//! A card is one YAML file that says what a model is (architecture, licence, languages, published scores), how it
//! was trained, in what form it was released and where its files come from. What several models share has its own
//! file: the shape of a network, a tokenizer, a training recipe. The files in `zoo/` are part of the binary; a
//! folder of the user's own is read beside them. This room knows names and facts, and no tensors.

mod architecture;
mod card;
mod checker;
mod choosing;
mod cross;
mod draft;
pub mod embedded;
mod error;
mod leaderboard;
mod load;
mod lookup;
mod parts;
mod published;
pub mod recipe;
mod recognise;
mod records;
mod reference;
mod release;
mod source;
mod tokenizer;
mod trained;
mod validate;
mod words;

pub use architecture::{ArchitectureRecord, ModelType, RopeScalingKind, RopeScalingRecord};
pub use card::{Bos, Card, CardOrigin, CardStop, Integrity};
pub use draft::Draft;
pub use error::{RegistryError, UnknownModel};
pub use leaderboard::{Score, is_of};
pub use lookup::Registry;
pub use published::Published;
pub use reference::Reference;
pub use release::{
    FileDigest, Key, Lora, Release, ReleaseDigests, ReleaseKind, Rule, VocabularyChange, VocabularyRule,
};
pub use source::{HubSource, PipSource, Source};
pub use tokenizer::{TokenizerDifference, TokenizerKind, TokenizerRecord};
