//! Figures: a curve over steps, a family tree and a heat map, as SVG and as text.
//!
//! Nothing is drawn by a library: an SVG file is text, and what the figures need (lines, rounded
//! boxes, words of about known width) is little. Colours stand on a light ground and every figure can be
//! read without them.

mod axis;
mod curve;
mod diagram;
mod forest;
mod heatmap;
mod layout;
mod svg;
mod tree;

pub use curve::{Curve, Mark};
pub use diagram::{dot, mermaid};
pub use forest::{Forest, Node};
pub use heatmap::{HeatCell, HeatMap};
pub use tree::tree_svg;
