//! Points between two axes, by family: parameters against score with the edges of lineage, tokens or seconds against score.

use super::looks::{Look, heading, legend, look};
use super::plane::{Axis, Plane};
use super::svg::{INK, SOFT, Style, Svg, short, text_width};

const WIDTH: f64 = 900.0;
const LEFT: f64 = 92.0;
const RIGHT: f64 = 872.0;
const HEIGHT: f64 = 440.0;
/// How far to the right of its base a derivative stands that is as large, in pixels.
const STEP: f64 = 64.0;
const EDGE: &str = "#8b95a1";
const NAME: f64 = 11.5;

/// What is drawn.
#[derive(Debug, Clone)]
pub struct Scatter {
    /// The first line.
    pub title: String,
    /// The second line, smaller.
    pub subtitle: String,
    /// What the horizontal axis measures, with its unit; its scale is logarithmic.
    pub x_label: String,
    /// What the vertical axis measures, with its unit.
    pub y_label: String,
    /// How numbers of the horizontal axis are written.
    pub x_number: fn(f64) -> String,
    /// How those of the vertical axis are written.
    pub y_number: fn(f64) -> String,
    /// The points.
    pub points: Vec<ScatterPoint>,
    /// From a base to a derivative, by their places among the points: what was gained is written on it.
    pub edges: Vec<(usize, usize)>,
}

/// One model.
#[derive(Debug, Clone, PartialEq)]
pub struct ScatterPoint {
    /// Its name.
    pub name: String,
    /// What gives it its look.
    pub family: String,
    /// On the horizontal axis; positive.
    pub x: f64,
    /// On the vertical axis.
    pub y: f64,
    /// What `y` may be as well; `None` where that is not known.
    pub interval: Option<[f64; 2]>,
}

impl ScatterPoint {
    fn is_drawn(&self) -> bool {
        self.x > 0.0 && self.x.is_finite() && self.y.is_finite()
    }
}

impl Scatter {
    /// The figure as an SVG document.
    pub fn svg(&self) -> String {
        let mut families: Vec<&str> = Vec::new();
        for point in &self.points {
            if !families.contains(&point.family.as_str()) {
                families.push(&point.family);
            }
        }
        let look_of = |point: &ScatterPoint| {
            look(
                families
                    .iter()
                    .position(|known| *known == point.family)
                    .expect("families are those of points"),
            )
        };
        let names: Vec<(Look, String)> =
            families.iter().enumerate().map(|(at, name)| (look(at), (*name).to_owned())).collect();
        // How high the legend is is known when it is drawn: once on a document that is thrown away.
        let high = legend(&mut Svg::new(WIDTH, HEIGHT, ""), [LEFT, 84.0], RIGHT - LEFT, &names);
        let top = 84.0 + high;
        let bottom = top + HEIGHT - 130.0;
        let mut svg = Svg::new(WIDTH, bottom + 62.0, &self.title);
        heading(&mut svg, [28.0, RIGHT], &self.title, &self.subtitle);
        legend(&mut svg, [LEFT, 84.0], RIGHT - LEFT, &names);
        let drawn = || self.points.iter().filter(|point| point.is_drawn());
        let ends = drawn().flat_map(|point| point.interval.into_iter().flatten().chain([point.y]));
        let plane = Plane {
            frame: [LEFT, top, RIGHT, bottom],
            x: Axis {
                label: &self.x_label,
                range: Axis::around(drawn().map(|point| point.x), true),
                logarithmic: true,
                number: self.x_number,
            },
            y: Axis {
                label: &self.y_label,
                range: Axis::around(ends, false),
                logarithmic: false,
                number: self.y_number,
            },
        };
        plane.draw(&mut svg);
        let places = self.places(&plane);
        let mut taken: Vec<[f64; 4]> =
            places.iter().flatten().map(|[x, y]| [x - 7.0, y - 7.0, x + 7.0, y + 7.0]).collect();
        for &(from, to) in &self.edges {
            let (Some(start), Some(end)) = (places[from], places[to]) else { continue };
            self.draw_edge(&mut svg, start, end, self.points[to].y - self.points[from].y, &mut taken);
        }
        for (point, place) in self.points.iter().zip(&places) {
            let Some([x, y]) = *place else { continue };
            if let Some([low, high]) = point.interval {
                let [a, b] = [low, high].map(|end| short(plane.at(point.x, end)[1]));
                let [x, l, r] = [x, x - 3.5, x + 3.5].map(short);
                svg.path(&format!("M{l} {a}H{r}M{x} {a}V{b}M{l} {b}H{r}"), look_of(point).color, 1.3);
            }
            look_of(point).draw(&mut svg, [x, y], 5.5);
        }
        for (number, (point, place)) in self.points.iter().zip(&places).enumerate() {
            let Some(place) = *place else { continue };
            // Where edges begin to the right, the name stands to the left.
            let leads = self.edges.iter().any(|(from, _)| *from == number);
            let bounds = [LEFT, top, WIDTH - 6.0, bottom];
            let at = free((place, leads), text_width(&point.name, NAME), bounds, &mut taken);
            svg.text(at[0], at[1], &point.name, Style::new(NAME, INK));
        }
        svg.finish()
    }

    /// Where points stand; a derivative that is no larger than its base stands to the right of it.
    fn places(&self, plane: &Plane<'_>) -> Vec<Option<[f64; 2]>> {
        let depth = |point: usize| {
            let (mut depth, mut now) = (0, point);
            // A circle of bases would be a mistake of whoever made the edges, and ends here too.
            while let Some((from, _)) = self.edges.iter().find(|(from, to)| *to == now && *from != now) {
                if depth > self.points.len() {
                    break;
                }
                depth += 1;
                now = *from;
            }
            depth
        };
        let place = |(at, point): (usize, &ScatterPoint)| {
            point.is_drawn().then(|| {
                let [x, y] = plane.at(point.x, point.y);
                [(x + depth(at) as f64 * STEP).min(RIGHT - 8.0), y]
            })
        };
        self.points.iter().enumerate().map(place).collect()
    }

    fn draw_edge(
        &self,
        svg: &mut Svg,
        [x0, y0]: [f64; 2],
        [x1, y1]: [f64; 2],
        gain: f64,
        taken: &mut Vec<[f64; 4]>,
    ) {
        let bend = (x0 + x1) / 2.0;
        let [a, b, c, d, e] = [x0, y0, bend, x1, y1].map(short);
        svg.path(&format!("M{a} {b}C{c} {b} {c} {e} {d} {e}"), EDGE, 1.4);
        let sign = if gain < 0.0 { "−" } else { "+" };
        let words = format!("{sign}{}", (self.y_number)(gain.abs()));
        let middle = [bend, (y0 + y1) / 2.0];
        let at =
            free((middle, false), text_width(&words, 10.5), [LEFT, 0.0, WIDTH - 6.0, f64::INFINITY], taken);
        svg.text(at[0], at[1], &words, Style::new(10.5, SOFT));
    }
}

/// A place for words of this width near a point where nothing else stands: the left end of their baseline. Where there is no
/// such place they stand to the right of it.
fn free(
    ([x, y], leftmost): ([f64; 2], bool),
    width: f64,
    [left, top, right, bottom]: [f64; 4],
    taken: &mut Vec<[f64; 4]>,
) -> [f64; 2] {
    let mut beside = [[x + 9.0, y + 4.0], [x - 9.0 - width, y + 4.0]];
    if leftmost {
        beside.reverse();
    }
    let others = (1..=12).map(|step| f64::from(step) * 14.0).flat_map(|far| {
        let columns = [x - width / 2.0, x + 6.0, x - 6.0 - width];
        columns.into_iter().flat_map(move |column| [[column, y - far + 2.0], [column, y + far + 6.0]])
    });
    let frame = |[a, b]: [f64; 2]| [a - 2.0, b - 10.0, a + width + 2.0, b + 3.0];
    let fits = |place: &[f64; 2]| {
        let own = frame(*place);
        let within = own[0] >= left && own[2] <= right && own[1] >= top && own[3] <= bottom;
        within && taken.iter().all(|t| own[0] >= t[2] || own[2] <= t[0] || own[1] >= t[3] || own[3] <= t[1])
    };
    let place = beside.into_iter().chain(others).find(fits).unwrap_or(beside[0]);
    taken.push(frame(place));
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(name: &str, family: &str, x: f64, y: f64) -> ScatterPoint {
        let interval = Some([y - 0.01, y + 0.01]);
        ScatterPoint { name: name.to_owned(), family: family.to_owned(), x, y, interval }
    }

    fn scatter(points: Vec<ScatterPoint>, edges: Vec<(usize, usize)>) -> Scatter {
        Scatter {
            title: "a <b>".to_owned(),
            subtitle: "derivatives stand to the right of their bases".to_owned(),
            x_label: "parameters".to_owned(),
            y_label: "accuracy (per cent)".to_owned(),
            x_number: |value| format!("{:.0}B", value / 1e9),
            y_number: |value| format!("{:.1}", 100.0 * value),
            points,
            edges,
        }
    }

    #[test]
    fn bases_and_derivatives() {
        let points = vec![
            point("llama-7b", "LLaMA", 7e9, 0.351),
            point("alpaca-7b", "Alpaca", 7e9, 0.412),
            point("llama-13b", "LLaMA", 13e9, 0.469),
        ];
        insta::assert_snapshot!(scatter(points, vec![(0, 1)]).svg());
    }

    #[test]
    fn names_do_not_stand_on_each_other() {
        let points: Vec<ScatterPoint> =
            (0..12).map(|n| point(&format!("model-{n}"), "a", 7e9, 0.5)).collect();
        let mut taken = Vec::new();
        for point in &points {
            free(
                ([300.0, 200.0], false),
                text_width(&point.name, NAME),
                [0.0, 0.0, 900.0, 440.0],
                &mut taken,
            );
        }
        for (at, a) in taken.iter().enumerate() {
            let meets = |b: &[f64; 4]| a[0] < b[2] && a[2] > b[0] && a[1] < b[3] && a[3] > b[1];
            assert!(!taken[..at].iter().any(meets), "{at}");
        }
    }

    #[test]
    fn what_is_no_place_is_left_out_and_circles_end() {
        let mut points = vec![point("a", "x", 1e9, 0.5), point("b", "x", 1e9, 0.6)];
        points.extend([f64::NAN, 0.0, -1.0, f64::INFINITY].map(|x| point("nowhere", "x", x, 0.5)));
        points.push(point("nothing", "x", 1e9, f64::NAN));
        let svg = scatter(points, vec![(0, 1), (1, 0), (0, 2), (0, 0)]).svg();
        assert!(!svg.contains("NaN") && !svg.contains("inf") && !svg.contains("nowhere"), "{svg}");
        assert!(scatter(Vec::new(), Vec::new()).svg().ends_with("</svg>\n"));
    }
}
