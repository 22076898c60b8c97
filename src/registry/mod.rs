//! Model cards: the family as data.

pub mod embedded;
