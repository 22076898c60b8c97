//! A heat map: a grid of numbers with colours under them, rows above and below that span the grid, a legend.
//!
//! Every cell has its number written in it, so that the figure can be read without its colours.

use super::svg::{Anchor, INK, SOFT, Style, Svg, fit, text_width};

const MARGIN: f64 = 28.0;
/// The top of the first cell.
const TOP: f64 = 108.0;
const GAP: f64 = 2.0;
/// Between the grid and what spans it.
const BAND_GAP: f64 = 10.0;
const CELL_WIDTH: f64 = 74.0;
const HEAD_SIZE: f64 = 12.5;
/// The most that an upright name takes.
const HEAD_MAX: f64 = 220.0;
/// Heights between which cells are chosen, and the height all rows together should not exceed.
const CELL_HEIGHT: [f64; 2] = [15.0, 26.0];
const GRID_HEIGHT: f64 = 760.0;
const LEGEND_WIDTH: f64 = 260.0;
const EMPTY: &str = "#f1f2f3";
const EQUAL: &str = "#ffffff";
const RIM: &str = "#d9dce0";
/// Beyond this ratio of largest to smallest the colours follow the logarithm.
const LOGARITHMIC_FROM: f64 = 30.0;
/// From light to dark, even steps to the eye: a blue for what is small, a violet for what is large.
const RAMP: [[u8; 3]; 5] =
    [[0xee, 0xf4, 0xf8], [0xb5, 0xd3, 0xe6], [0x66, 0xa3, 0xc9], [0x2a, 0x68, 0x9e], [0x1c, 0x2f, 0x5e]];

/// What is drawn.
#[derive(Debug, Clone)]
pub struct HeatMap {
    /// The first line.
    pub title: String,
    /// The second line, smaller.
    pub subtitle: String,
    /// What the rows are.
    pub row_label: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Name and cells of each row.
    pub rows: Vec<(String, Vec<HeatCell>)>,
    /// Rows of one cell above the grid.
    pub above: Vec<(String, HeatCell)>,
    /// Rows of one cell below the grid.
    pub below: Vec<(String, HeatCell)>,
    /// What the colours measure.
    pub measure: String,
    /// Where the colours begin: what is not above it has the lightest one. `None` for 0 or, where numbers are far apart, the
    /// smallest.
    pub floor: Option<f64>,
    /// What a white cell means; empty where there is none.
    pub equal_label: String,
    /// How a number is written.
    pub number: fn(f64) -> String,
}

/// One cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HeatCell {
    /// There is nothing here.
    Absent,
    /// There is something, and it has not changed.
    Equal,
    /// A number, not negative.
    Value(f64),
}

/// From a number to a place on the ramp.
struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Scale {
    fn of(values: impl Iterator<Item = f64> + Clone, floor: Option<f64>) -> Self {
        let values = values.filter(|v| v.is_finite() && *v > 0.0);
        let (low, high) = values.fold((f64::INFINITY, 0.0), |(l, h), v| (v.min(l), v.max(h)));
        if let Some(floor) = floor.filter(|floor| *floor < high) {
            return Scale { low: floor, high, logarithmic: false };
        }
        if high == 0.0 {
            return Scale { low: 0.0, high: 1.0, logarithmic: false };
        }
        let logarithmic = high / low > LOGARITHMIC_FROM;
        Scale { low: if logarithmic { low } else { 0.0 }, high, logarithmic }
    }

    /// 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let place = if self.logarithmic {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        if place.is_finite() { place.clamp(0.0, 1.0) } else { 1.0 }
    }

    /// The number at a place.
    fn at(&self, place: f64) -> f64 {
        if self.logarithmic {
            self.low * (self.high / self.low).powf(place)
        } else {
            self.low + (self.high - self.low) * place
        }
    }
}

fn color(place: f64) -> String {
    let last = RAMP.len() - 1;
    let x = place.clamp(0.0, 1.0) * last as f64;
    let step = (x.floor() as usize).min(last - 1);
    let (from, to) = (RAMP[step].map(f64::from), RAMP[step + 1].map(f64::from));
    let t = x - step as f64;
    let [r, g, b] = [0, 1, 2].map(|i| (from[i] + t * (to[i] - from[i])).round() as u8);
    format!("#{r:02x}{g:02x}{b:02x}")
}

impl HeatMap {
    /// The figure as an SVG document, as wide and as high as it needs.
    pub fn svg(&self) -> String {
        let bands = || self.above.iter().chain(&self.below);
        let cells = self.rows.iter().flat_map(|(_, cells)| cells).chain(bands().map(|(_, cell)| cell));
        let numbers = cells.filter_map(|cell| match cell {
            HeatCell::Value(value) => Some(*value),
            _ => None,
        });
        let scale = Scale::of(numbers, self.floor);
        let label_size = 12.0;
        let labels = self.rows.iter().map(|(name, _)| name).chain(bands().map(|(name, _)| name));
        let label_width = labels.map(|name| text_width(name, label_size)).fold(20.0, f64::max).ceil() + 26.0;
        let left = MARGIN + label_width;
        let grid_width = self.columns.len().max(1) as f64 * (CELL_WIDTH + GAP) - GAP;
        let legend = LEGEND_WIDTH + 16.0 + text_width(&format!("{}, logarithmic", self.measure), 12.0);
        let width = (left + grid_width.max(legend) + MARGIN).max(2.0 * MARGIN + LEGEND_WIDTH + 320.0);
        let [least, most] = CELL_HEIGHT;
        let height = (GRID_HEIGHT / self.rows.len().max(1) as f64 - GAP).clamp(least, most);
        let pitch = height + GAP;
        let band_space = |n: usize| if n == 0 { 0.0 } else { n as f64 * pitch + BAND_GAP };
        // Names that are wider than their columns stand upright.
        let longest = self.columns.iter().map(|name| 1.1 * text_width(name, HEAD_SIZE)).fold(0.0, f64::max);
        let upright = longest > CELL_WIDTH;
        let top = if upright { TOP - 16.0 + longest.min(HEAD_MAX) } else { TOP };
        let grid_top = top + band_space(self.above.len());
        let grid_bottom = grid_top + self.rows.len() as f64 * pitch;
        let bottom = grid_bottom + band_space(self.below.len());
        let mut svg = Svg::new(width, bottom + 84.0, &self.title);
        let room = width - 2.0 * MARGIN;
        svg.text(MARGIN, 40.0, &fit(&self.title, 20.0, room), Style::new(20.0, INK).bold());
        svg.text(MARGIN, 63.0, &fit(&self.subtitle, 12.5, room), Style::new(12.5, SOFT));

        let head = Style::new(HEAD_SIZE, INK).bold();
        for (i, name) in self.columns.iter().enumerate() {
            let middle = left + i as f64 * (CELL_WIDTH + GAP) + CELL_WIDTH / 2.0;
            if upright {
                svg.text_up(middle + 4.0, top - 10.0, &fit(name, 1.1 * HEAD_SIZE, HEAD_MAX), head);
            } else {
                svg.text(middle, top - 10.0, name, head.anchor(Anchor::Middle));
            }
        }
        let mut draw = |name: &str, y: f64, cells: &[HeatCell], width: f64| {
            let label = Style::new(label_size, INK).anchor(Anchor::End);
            svg.text(left - 10.0, y + height / 2.0 + 4.2, name, label);
            for (i, cell) in cells.iter().enumerate() {
                let frame = [left + i as f64 * (CELL_WIDTH + GAP), y, width, height];
                self.draw_cell(&mut svg, frame, *cell, &scale);
            }
        };
        for (i, (name, cell)) in self.above.iter().enumerate() {
            draw(name, top + i as f64 * pitch, &[*cell], grid_width);
        }
        for (i, (name, cells)) in self.rows.iter().enumerate() {
            draw(name, grid_top + i as f64 * pitch, cells, CELL_WIDTH);
        }
        for (i, (name, cell)) in self.below.iter().enumerate() {
            draw(name, grid_bottom + BAND_GAP + i as f64 * pitch, &[*cell], grid_width);
        }
        let middle = (grid_top + grid_bottom) / 2.0;
        if !self.rows.is_empty() {
            let style = Style::new(12.5, SOFT).anchor(Anchor::Middle);
            svg.text_up(MARGIN + 4.0, middle, &self.row_label, style);
        }
        self.draw_legend(&mut svg, left, bottom + 34.0, &scale);
        svg.finish()
    }

    fn draw_cell(&self, svg: &mut Svg, [x, y, w, h]: [f64; 4], cell: HeatCell, scale: &Scale) {
        let size = (h * 0.62).clamp(9.0, 11.5);
        let (fill, stroke, words, ink) = match cell {
            HeatCell::Absent => (EMPTY.to_owned(), EMPTY, String::new(), SOFT),
            HeatCell::Equal => (EQUAL.to_owned(), RIM, "=".to_owned(), SOFT),
            HeatCell::Value(value) => {
                let place = scale.place(value);
                let ink = if place > 0.55 { "#ffffff" } else { INK };
                (color(place), "none", (self.number)(value), ink)
            }
        };
        svg.rect([x, y, w, h], 3.0, &fill, stroke);
        if !words.is_empty() {
            let style = Style::new(size, ink).anchor(Anchor::Middle);
            svg.text(x + w / 2.0, y + h / 2.0 + 0.36 * size, &fit(&words, size, w), style);
        }
    }

    fn draw_legend(&self, svg: &mut Svg, x: f64, y: f64, scale: &Scale) {
        /// Of whole pixels, so that no ground shows between two.
        const STEPS: usize = 52;
        let small = Style::new(11.5, SOFT);
        let step = LEGEND_WIDTH / STEPS as f64;
        for i in 0..STEPS {
            let place = i as f64 / (STEPS - 1) as f64;
            svg.rect([x + i as f64 * step, y, step, 12.0], 0.0, &color(place), "none");
        }
        for place in [0.0, 0.5, 1.0] {
            let at = x + place * LEGEND_WIDTH;
            let anchor = [Anchor::Start, Anchor::Middle, Anchor::End][(place * 2.0) as usize];
            svg.text(at, y + 28.0, &(self.number)(scale.at(place)), small.anchor(anchor));
        }
        let measure =
            if scale.logarithmic { format!("{}, logarithmic", self.measure) } else { self.measure.clone() };
        svg.text(x + LEGEND_WIDTH + 16.0, y + 10.5, &measure, Style::new(12.0, INK));
        if !self.equal_label.is_empty() {
            svg.rect([x + LEGEND_WIDTH + 16.0, y + 18.0, 16.0, 12.0], 2.0, EQUAL, RIM);
            svg.text(x + LEGEND_WIDTH + 38.0, y + 28.0, &self.equal_label, small);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(rows: usize, value: impl Fn(usize, usize) -> HeatCell) -> HeatMap {
        let columns = ["q", "k", "v"].map(str::to_owned).to_vec();
        HeatMap {
            title: "a → b <x>".to_owned(),
            subtitle: "relative change".to_owned(),
            row_label: "layer".to_owned(),
            rows: (0..rows).map(|r| (r.to_string(), (0..3).map(|c| value(r, c)).collect())).collect(),
            columns,
            above: vec![("embed".to_owned(), HeatCell::Equal)],
            below: vec![("head".to_owned(), HeatCell::Value(0.5))],
            measure: "‖Δ‖ / ‖A‖".to_owned(),
            floor: None,
            equal_label: "equal".to_owned(),
            number: |x| format!("{x:.2}"),
        }
    }

    #[test]
    fn a_small_map() {
        let cells = |r: usize, c: usize| match (r, c) {
            (0, 0) => HeatCell::Absent,
            (1, 1) => HeatCell::Equal,
            _ => HeatCell::Value((1 + r + c) as f64 / 4.0),
        };
        insta::assert_snapshot!(map(2, cells).svg());
    }

    #[test]
    fn colours_follow_the_numbers() {
        let linear = Scale::of([1.0, 2.0, 0.0, f64::NAN].into_iter(), None);
        assert!(!linear.logarithmic && linear.place(1.0) == 0.5 && linear.place(0.0) == 0.0);
        let wide = Scale::of([1e-4, 1.0].into_iter(), None);
        assert!(
            wide.logarithmic && (wide.place(1e-2) - 0.5).abs() < 1e-12 && wide.place(f64::INFINITY) == 1.0
        );
        assert!((wide.at(wide.place(0.03)) - 0.03).abs() < 1e-12);
        let above = Scale::of([1e-4, 0.75].into_iter(), Some(0.25));
        assert_eq!([0.1, 0.25, 0.5, 0.75].map(|v| above.place(v)), [0.0, 0.0, 0.5, 1.0]);
        assert_eq!(above.at(0.5), 0.5);
        assert_eq!([color(0.0), color(1.0), color(9.0)], ["#eef4f8", "#1c2f5e", "#1c2f5e"]);
        // Darker all the way.
        let light = |hex: String| u32::from_str_radix(&hex[3..5], 16).unwrap();
        let steps: Vec<u32> = (0..=20).map(|i| light(color(f64::from(i) / 20.0))).collect();
        assert!(steps.windows(2).all(|pair| pair[0] > pair[1]), "{steps:?}");
    }

    #[test]
    fn long_names_of_columns_stand_upright() {
        let mut map = map(1, |_, _| HeatCell::Value(0.5));
        assert!(!map.svg().contains("rotate(-90)\" font-size=\"12.5\" fill=\"#22272e\" font-weight"));
        map.columns[1] = "chinese-alpaca-2-7b".to_owned();
        assert!(
            map.svg().contains("rotate(-90)\" font-size=\"12.5\" fill=\"#22272e\" font-weight"),
            "{}",
            map.svg()
        );
    }

    #[test]
    fn any_size_and_any_number_is_drawn() {
        for (rows, value) in [(0, 1.0), (80, 0.0), (1, f64::NAN), (3, f64::INFINITY), (200, 1e-300)] {
            let svg = map(rows, |_, _| HeatCell::Value(value)).svg();
            assert!(svg.ends_with("</svg>\n") && !svg.contains("=\"NaN") && !svg.contains("=\"inf"));
            assert!(svg.contains("a → b &lt;x&gt;"));
        }
    }
}
