//! Model cards: the family as data.
//!
//! A card is one YAML file that says what a model is (architecture, licence, languages, published
//! scores) and where its weights come from. The cards in `zoo/` are part of the binary; a folder of
//! the user's own is read beside them. This room knows names and facts, and no tensors.

mod card;
pub mod embedded;
mod error;
mod load;
mod lookup;
pub mod recipe;
mod source;
mod validate;

pub use card::{Architecture, Bos, Card, Origin, Published, Release, ReleaseKind};
pub use error::{RegistryError, UnknownModel};
pub use lookup::Registry;
pub use source::{HubSource, PipSource, Source};
