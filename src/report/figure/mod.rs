//! Figures: curves, bars, points, calibration, a family tree and a heat map, as SVG and as text.
//!
//! Nothing is drawn by a library: an SVG file is text, and what the figures need (lines, rounded
//! boxes, words of about known width) is little. Colours stand on a light ground and every figure can be
//! read without them.

mod axis;
mod bars;
mod calibration;
mod curve;
mod diagram;
mod forest;
mod heatmap;
mod layout;
mod looks;
mod plane;
mod scatter;
mod svg;
mod tree;

pub use bars::{Bar, BarGroup, Bars};
pub use calibration::{Calibration, CalibrationBin, CalibrationCurve};
pub use curve::{Curve, Mark};
pub use diagram::{dot, mermaid};
pub use forest::{Forest, Node};
pub use heatmap::{HeatCell, HeatMap};
pub use scatter::{Scatter, ScatterPoint};
pub use tree::tree_svg;
