//! How sure models are against how often they are right: a calibration curve for each, with its expected calibration error.

use super::looks::{Look, heading, legend, look};
use super::plane::{Axis, Plane};
use super::svg::{SOFT, Style, Svg, short};
use crate::report::numbers::digits;

const WIDTH: f64 = 720.0;
const LEFT: f64 = 92.0;
const SIDE: f64 = 440.0;

/// What is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// The first line.
    pub title: String,
    /// The second line, smaller.
    pub subtitle: String,
    /// A curve for each model.
    pub curves: Vec<CalibrationCurve>,
}

/// One model's curve.
#[derive(Debug, Clone, PartialEq)]
pub struct CalibrationCurve {
    /// The model.
    pub name: String,
    /// Its expected calibration error.
    pub ece: f64,
    /// Bins in the order of confidence; those without documents are left out.
    pub bins: Vec<CalibrationBin>,
}

/// Documents of about one confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CalibrationBin {
    /// Their mean confidence, 0 to 1.
    pub confidence: f64,
    /// The share of them that is right.
    pub right: f64,
    /// How many they are.
    pub documents: usize,
}

impl Calibration {
    /// The figure as an SVG document. The area of a point grows with its documents.
    pub fn svg(&self) -> String {
        let name = |(at, curve): (usize, &CalibrationCurve)| {
            (look(at), format!("{} (ECE {})", curve.name, digits(curve.ece)))
        };
        let names: Vec<(Look, String)> = self.curves.iter().enumerate().map(name).collect();
        let right = LEFT + SIDE + 160.0;
        let high = legend(&mut Svg::new(WIDTH, SIDE, ""), [LEFT, 84.0], right - LEFT, &names);
        let (top, bottom) = (84.0 + high, 84.0 + high + SIDE);
        let mut svg = Svg::new(WIDTH, bottom + 62.0, &self.title);
        heading(&mut svg, [28.0, WIDTH - 28.0], &self.title, &self.subtitle);
        legend(&mut svg, [LEFT, 84.0], right - LEFT, &names);
        let axis = |label| Axis {
            label,
            range: [0.0, 1.0],
            logarithmic: false,
            number: |share| format!("{:.0}", 100.0 * share),
        };
        let plane = Plane {
            frame: [LEFT, top, LEFT + SIDE, bottom],
            x: axis("confidence: probability of the chosen answer among the choices (per cent)"),
            y: axis("right answers (per cent)"),
        };
        plane.draw(&mut svg);
        let [[x0, y0], [x1, y1]] = [plane.at(0.0, 0.0), plane.at(1.0, 1.0)];
        svg.dashed([x0, y0, x1, y1], SOFT);
        svg.text(x1 + 8.0, y1 + 4.0, "as right as sure", Style::new(11.5, SOFT));
        for (at, curve) in self.curves.iter().enumerate() {
            let usable = |bin: &&CalibrationBin| bin.confidence.is_finite() && bin.right.is_finite();
            let all: usize = curve.bins.iter().map(|bin| bin.documents).sum();
            let mut path = String::new();
            let places =
                curve.bins.iter().filter(usable).map(|bin| (plane.at(bin.confidence, bin.right), bin));
            let places: Vec<_> = places.collect();
            for (number, ([x, y], _)) in places.iter().enumerate() {
                path += &format!("{}{} {}", if number == 0 { 'M' } else { 'L' }, short(*x), short(*y));
            }
            svg.path(&path, look(at).color, 1.8);
            for (place, bin) in places {
                let share = bin.documents as f64 / all.max(1) as f64;
                look(at).draw(&mut svg, place, 3.0 + 7.0 * share.sqrt());
            }
        }
        svg.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(name: &str, bins: &[(f64, f64, usize)]) -> CalibrationCurve {
        let bins = bins.iter().map(|&(confidence, right, documents)| CalibrationBin {
            confidence,
            right,
            documents,
        });
        CalibrationCurve { name: name.to_owned(), ece: 0.0571, bins: bins.collect() }
    }

    fn calibration(curves: Vec<CalibrationCurve>) -> Calibration {
        Calibration { title: "a <b>".to_owned(), subtitle: "mmlu".to_owned(), curves }
    }

    #[test]
    fn two_curves() {
        let curves = vec![
            curve("llama-7b", &[(0.3, 0.28, 700), (0.5, 0.44, 250), (0.9, 0.7, 50)]),
            curve("alpaca-7b", &[(0.45, 0.4, 10)]),
        ];
        insta::assert_snapshot!(calibration(curves).svg());
    }

    #[test]
    fn nothing_and_no_numbers_are_drawn() {
        let svg = calibration(vec![curve("m", &[]), curve("n", &[(f64::NAN, 0.5, 0), (2.0, -1.0, 0)])]).svg();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
