//! Figures: a curve over steps and a family tree, as SVG and as text.
//!
//! Nothing is drawn by a library: an SVG file is text, and what the two figures need (lines, rounded
//! boxes, words of about known width) is little. Colours stand on a light ground and every figure can be
//! read without them.

mod axis;
mod curve;
mod diagram;
mod forest;
mod layout;
mod svg;
mod tree;

pub use curve::{Curve, Mark};
pub use diagram::{dot, mermaid};
pub use forest::{Forest, Node};
pub use tree::tree_svg;
