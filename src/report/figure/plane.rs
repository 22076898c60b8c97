//! Two axes with ticks, a grid and labels, and where a pair of numbers is between them.

use super::axis::{powers, ticks_between};
use super::svg::{Anchor, INK, SOFT, Style, Svg};

const GRID: &str = "#e3e5e8";

/// One axis.
pub(super) struct Axis<'a> {
    /// What it measures, with its unit.
    pub label: &'a str,
    /// Both ends, the lower one first; positive where it is logarithmic.
    pub range: [f64; 2],
    pub logarithmic: bool,
    /// How its numbers are written.
    pub number: fn(f64) -> String,
}

impl Axis<'_> {
    /// Both ends around `values`, with some room on both sides.
    pub fn around(values: impl Iterator<Item = f64>, logarithmic: bool) -> [f64; 2] {
        let usable = values.filter(|value| value.is_finite() && (!logarithmic || *value > 0.0));
        let [low, high] = usable.fold([f64::INFINITY, f64::NEG_INFINITY], |[l, h], v| [v.min(l), v.max(h)]);
        match (low <= high, logarithmic) {
            (false, _) => [0.1, 1.0],
            (true, true) => [low / 1.5, high * 1.5],
            (true, false) => {
                let room = if high > low { 0.08 * (high - low) } else { high.abs().max(1.0) * 0.1 };
                [low - room, high + room]
            }
        }
    }

    /// 0 at the lower end, 1 at the higher one.
    fn place(&self, value: f64) -> f64 {
        let [low, high] = self.range;
        let place = if self.logarithmic {
            (value / low).ln() / (high / low).ln()
        } else {
            (value - low) / (high - low)
        };
        if place.is_finite() { place.clamp(0.0, 1.0) } else { 0.0 }
    }

    fn ticks(&self) -> Vec<f64> {
        let [low, high] = self.range;
        if self.logarithmic { powers(low, high) } else { ticks_between(low, high, 6) }
    }
}

/// Both axes, and the frame between them: left, top, right, bottom.
pub(super) struct Plane<'a> {
    pub frame: [f64; 4],
    pub x: Axis<'a>,
    pub y: Axis<'a>,
}

impl Plane<'_> {
    /// The place of a pair of numbers, in pixels.
    pub fn at(&self, x: f64, y: f64) -> [f64; 2] {
        let [left, top, right, bottom] = self.frame;
        [left + self.x.place(x) * (right - left), bottom - self.y.place(y) * (bottom - top)]
    }

    /// Draws the grid, the ticks and the labels.
    pub fn draw(&self, svg: &mut Svg) {
        let [left, top, right, bottom] = self.frame;
        let small = Style::new(11.5, SOFT);
        for y in self.y.ticks() {
            let [_, pixel] = self.at(self.x.range[0], y);
            svg.line([left, pixel, right, pixel], GRID);
            svg.text(left - 9.0, pixel + 4.0, &(self.y.number)(y), small.anchor(Anchor::End));
        }
        for x in self.x.ticks() {
            let [pixel, _] = self.at(x, self.y.range[0]);
            svg.line([pixel, top, pixel, bottom], GRID);
            svg.line([pixel, bottom, pixel, bottom + 5.0], SOFT);
            svg.text(pixel, bottom + 20.0, &(self.x.number)(x), small.anchor(Anchor::Middle));
        }
        svg.line([left, bottom, right, bottom], SOFT);
        svg.line([left, top, left, bottom], SOFT);
        let label = Style::new(12.5, INK).anchor(Anchor::Middle);
        svg.text((left + right) / 2.0, bottom + 44.0, self.x.label, label);
        svg.text_up(left - 58.0, (top + bottom) / 2.0, self.y.label, label);
    }
}
