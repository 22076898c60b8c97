//! Model cards: what they say together, and what is refused.

mod family;
mod faults;
mod scores;
mod training;
