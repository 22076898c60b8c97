//! How series are told from each other: colours that people see differently however they see colours, and shapes.
//!
//! Colours: M. Okabe and K. Ito, Color Universal Design (2008), without the yellow, which no light ground shows.

use super::svg::{INK, SOFT, Style, Svg, fit, short, text_width};

const COLORS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#aa4c86", "#c98500", "#2f8fc7", "#22272e"];

/// What a point looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Circle,
    Square,
    Triangle,
    Diamond,
    Cross,
    Fallen,
}

const SHAPES: [Shape; 6] =
    [Shape::Circle, Shape::Square, Shape::Triangle, Shape::Diamond, Shape::Cross, Shape::Fallen];

/// The look of one series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub color: &'static str,
    shape: Shape,
}

/// That of the series of this number; 42 of them differ.
pub(super) fn look(series: usize) -> Look {
    Look { color: COLORS[series % COLORS.len()], shape: SHAPES[series % SHAPES.len()] }
}

impl Look {
    /// A point in this look.
    pub fn draw(self, svg: &mut Svg, [x, y]: [f64; 2], radius: f64) {
        let r = radius;
        let corners: &[[f64; 2]] = match self.shape {
            Shape::Circle => return svg.dot(x, y, r, self.color),
            Shape::Square => &[[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]],
            Shape::Triangle => &[[0.0, -1.2], [1.1, 0.8], [-1.1, 0.8]],
            Shape::Fallen => &[[0.0, 1.2], [1.1, -0.8], [-1.1, -0.8]],
            Shape::Diamond => &[[0.0, -1.25], [1.25, 0.0], [0.0, 1.25], [-1.25, 0.0]],
            Shape::Cross => &[
                [-0.4, -1.2],
                [0.4, -1.2],
                [0.4, -0.4],
                [1.2, -0.4],
                [1.2, 0.4],
                [0.4, 0.4],
                [0.4, 1.2],
                [-0.4, 1.2],
                [-0.4, 0.4],
                [-1.2, 0.4],
                [-1.2, -0.4],
                [-0.4, -0.4],
            ],
        };
        let points = corners.iter().map(|[dx, dy]| format!("{} {}", short(x + r * dx), short(y + r * dy)));
        svg.area(&format!("M{}Z", points.collect::<Vec<_>>().join("L")), self.color);
    }
}

/// What stands in a legend: from `left` on in as many lines as `width` asks for; gives the height that it takes.
pub(super) fn legend(svg: &mut Svg, [left, top]: [f64; 2], width: f64, names: &[(Look, String)]) -> f64 {
    const LINE: f64 = 20.0;
    let (mut x, mut y) = (0.0, 0.0);
    for (look, name) in names {
        let name = fit(name, 12.0, width - 30.0);
        let length = text_width(&name, 12.0) + 40.0;
        if x > 0.0 && x + length > width {
            (x, y) = (0.0, y + LINE);
        }
        look.draw(svg, [left + x + 6.0, top + y], 5.0);
        svg.text(left + x + 17.0, top + y + 4.2, &name, Style::new(12.0, INK));
        x += length;
    }
    if names.is_empty() { 0.0 } else { y + LINE }
}

/// The first two lines of a figure.
pub(super) fn heading(svg: &mut Svg, [left, right]: [f64; 2], title: &str, subtitle: &str) {
    svg.text(left, 36.0, &fit(title, 18.0, right - left), Style::new(18.0, INK).bold());
    svg.text(left, 58.0, &fit(subtitle, 12.5, right - left), Style::new(12.5, SOFT));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_series_look_different() {
        let all: Vec<Look> = (0..COLORS.len() * SHAPES.len()).map(look).collect();
        assert!(all.iter().enumerate().all(|(at, one)| !all[..at].contains(one)));
    }

    #[test]
    fn a_legend_keeps_to_its_width() {
        let mut svg = Svg::new(300.0, 100.0, "t");
        let names: Vec<(Look, String)> = (0..6).map(|at| (look(at), format!("model number {at}"))).collect();
        assert_eq!(legend(&mut svg, [0.0, 0.0], 290.0, &names), 60.0);
        assert_eq!(legend(&mut svg, [0.0, 0.0], 280.0, &[]), 0.0);
        assert_eq!(svg.finish().matches("<text").count(), 6);
    }
}
