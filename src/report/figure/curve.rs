//! A curve over steps, with axes, ticks and marked points: the learning rate of a training.

use std::fmt::Write as _;

use super::axis::{count_label, ticks};
use super::svg::{Anchor, INK, SOFT, Style, Svg, fit, short};
use crate::report::numbers::rate;

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 440.0;
/// The plot's frame: left, top, right, bottom.
const FRAME: [f64; 4] = [84.0, 84.0, 770.0, 380.0];
const LINE: &str = "#1f6f9f";
const SHADE: &str = "#e4eff6";
const GRID: &str = "#e3e5e8";

/// What is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// The first line.
    pub title: String,
    /// The second line, smaller.
    pub subtitle: String,
    /// What the horizontal axis counts.
    pub x_label: String,
    /// What the vertical axis measures.
    pub y_label: String,
    /// The points in order of x; not negative.
    pub points: Vec<(f64, f64)>,
    /// Points with words.
    pub marks: Vec<Mark>,
}

/// A point with words.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// On the horizontal axis.
    pub x: f64,
    /// On the vertical axis.
    pub y: f64,
    /// What stands beside it.
    pub words: String,
}

impl Curve {
    /// The figure as an SVG document of 800 × 440 pixels.
    pub fn svg(&self) -> String {
        let [left, top, right, bottom] = FRAME;
        let largest = |values: &mut dyn Iterator<Item = f64>| {
            values.filter(|value| value.is_finite()).fold(0.0, f64::max)
        };
        let x_max = largest(&mut self.points.iter().map(|point| point.0)).max(1.0);
        let y_max = largest(&mut self.points.iter().map(|point| point.1));
        let y_top = if y_max > 0.0 { y_max * 1.12 } else { 1.0 };
        let at = |x: f64, y: f64| {
            (left + (x / x_max) * (right - left), bottom - (y / y_top).clamp(0.0, 1.0) * (bottom - top))
        };
        let mut svg = Svg::new(WIDTH, HEIGHT, &self.title);
        svg.text(left, 36.0, &fit(&self.title, 18.0, right - left), Style::new(18.0, INK).bold());
        svg.text(left, 58.0, &fit(&self.subtitle, 12.5, right - left), Style::new(12.5, SOFT));
        let small = Style::new(11.5, SOFT);
        for y in ticks(y_top, 6) {
            let (_, pixel) = at(0.0, y);
            svg.line([left, pixel, right, pixel], GRID);
            svg.text(left - 9.0, pixel + 4.0, &rate(y), small.anchor(Anchor::End));
        }
        for x in ticks(x_max, 6) {
            let (pixel, _) = at(x, 0.0);
            svg.line([pixel, bottom, pixel, bottom + 5.0], SOFT);
            svg.text(pixel, bottom + 20.0, &count_label(x), small.anchor(Anchor::Middle));
        }
        self.draw_line(&mut svg, &at);
        svg.line([left, bottom, right, bottom], SOFT);
        svg.line([left, top, left, bottom], SOFT);
        let label = Style::new(12.5, INK).anchor(Anchor::Middle);
        svg.text((left + right) / 2.0, bottom + 44.0, &self.x_label, label);
        svg.text_up(24.0, (top + bottom) / 2.0, &self.y_label, label);
        for mark in &self.marks {
            let (x, y) = at(mark.x, mark.y);
            svg.dot(x, y, 4.0, LINE);
            let words = Style::new(12.0, INK);
            // In the left half beside the point. In the right half, where curves fall towards their end,
            // below it, or if there is no room, high above it with a line to lead there.
            if x <= (left + right) / 2.0 {
                svg.text(x + 9.0, y - 8.0, &mark.words, words);
            } else if bottom - y >= 24.0 {
                svg.text(x - 6.0, y + 18.0, &mark.words, words.anchor(Anchor::End));
            } else {
                svg.line([x, y - 7.0, x, y - 58.0], SOFT);
                svg.text(x, y - 64.0, &mark.words, words.anchor(Anchor::End));
            }
        }
        svg.finish()
    }

    fn draw_line(&self, svg: &mut Svg, at: &dyn Fn(f64, f64) -> (f64, f64)) {
        let mut path = String::new();
        for (position, &(x, y)) in self.points.iter().enumerate() {
            let (x, y) = at(x, y);
            let command = if position == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{command}{} {}", short(x), short(y));
        }
        if let (Some(first), Some(last)) = (self.points.first(), self.points.last()) {
            let ((x0, base), (x1, _)) = (at(first.0, 0.0), at(last.0, 0.0));
            let base = short(base);
            svg.area(&format!("{path}L{} {base}L{} {base}Z", short(x1), short(x0)), SHADE);
            svg.path(&path, LINE, 2.25);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: Vec<(f64, f64)>) -> Curve {
        Curve {
            title: "a < b".to_owned(),
            subtitle: "cosine".to_owned(),
            x_label: "step".to_owned(),
            y_label: "learning rate".to_owned(),
            marks: points.iter().map(|&(x, y)| Mark { x, y, words: "here".to_owned() }).collect(),
            points,
        }
    }

    #[test]
    fn points_land_on_the_frame() {
        let svg = curve(vec![(0.0, 0.0), (100.0, 1.0)]).svg();
        let [left, _, right, bottom] = FRAME.map(short);
        assert!(svg.contains(&format!("<path d=\"M{left} {bottom}L{right} ")), "{svg}");
        assert!(svg.contains("a &lt; b") && svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("<circle").count(), 2);
    }

    #[test]
    fn nothing_and_zero_are_drawn_without_nan() {
        for points in [vec![], vec![(0.0, 0.0)], vec![(5.0, 0.0), (5.0, 0.0)], vec![(0.0, f64::NAN)]] {
            let svg = curve(points).svg();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
