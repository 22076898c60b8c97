//! Bars with intervals: a block for each group (suites, choices), in it a bar for each series (models).
//!
//! Bars lie, so that names of any length can be read, and begin at 0, so that lengths can be compared.

use super::axis::ticks;
use super::looks::heading;
use super::svg::{Anchor, INK, SOFT, Style, Svg, fit, short, text_width};

const WIDTH: f64 = 860.0;
const MARGIN: f64 = 28.0;
const TOP: f64 = 84.0;
const ROW: f64 = 19.0;
const BAR: f64 = 12.0;
const HEAD: f64 = 26.0;
const GAP: f64 = 10.0;
/// The most that names take.
const NAME_MAX: f64 = 250.0;
/// What the numbers after bars take.
const NUMBER: f64 = 150.0;
const GRID: &str = "#e3e5e8";
/// Neighbours differ in lightness, and every bar has its name beside it.
const FILLS: [&str; 2] = ["#0072b2", "#56a5d3"];
const REFERENCE: &str = "#d55e00";

/// What is drawn.
#[derive(Debug, Clone)]
pub struct Bars {
    /// The first line.
    pub title: String,
    /// The second line, smaller.
    pub subtitle: String,
    /// What bars measure, with its unit.
    pub label: String,
    /// What the dashed lines are, if there are any: chance, the share of right answers.
    pub reference_label: String,
    /// How a number is written.
    pub number: fn(f64) -> String,
    /// The blocks.
    pub groups: Vec<BarGroup>,
}

/// A block of bars.
#[derive(Debug, Clone, PartialEq)]
pub struct BarGroup {
    /// Its heading.
    pub name: String,
    /// Where a dashed line crosses it.
    pub reference: Option<f64>,
    /// The name of each bar, and the bar itself; `Err` says why there is none.
    pub bars: Vec<(String, Result<Bar, String>)>,
}

/// One bar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
    /// Its length, not negative.
    pub value: f64,
    /// What it may be as well; `None` where that is not known.
    pub interval: Option<[f64; 2]>,
}

impl Bars {
    /// The figure as an SVG document, as high as it needs.
    pub fn svg(&self) -> String {
        let rows = || self.groups.iter().flat_map(|group| &group.bars);
        let widest = rows().map(|(name, _)| text_width(name, 12.0)).fold(40.0, f64::max);
        let left = MARGIN + widest.min(NAME_MAX) + 12.0;
        let right = WIDTH - MARGIN - NUMBER;
        let ends = rows().filter_map(|(_, bar)| bar.as_ref().ok());
        let ends = ends.flat_map(|bar| [Some(bar.value), bar.interval.map(|[_, high]| high)]).flatten();
        let ends = ends.chain(self.groups.iter().filter_map(|group| group.reference));
        let longest = ends.filter(|end| end.is_finite()).fold(0.0, f64::max);
        let longest = if longest > 0.0 { longest } else { 1.0 };
        let at = |value: f64| {
            let share = (value / longest).clamp(0.0, 1.0);
            left + if share.is_finite() { share } else { 0.0 } * (right - left)
        };
        let block = |group: &BarGroup| HEAD + group.bars.len() as f64 * ROW + GAP;
        let bottom = TOP + self.groups.iter().map(block).sum::<f64>();
        let mut svg = Svg::new(WIDTH, bottom + 62.0, &self.title);
        heading(&mut svg, [MARGIN, WIDTH - MARGIN], &self.title, &self.subtitle);
        let small = Style::new(11.5, SOFT);
        for tick in ticks(longest, 6) {
            svg.line([at(tick), TOP, at(tick), bottom], GRID);
            svg.text(at(tick), bottom + 18.0, &(self.number)(tick), small.anchor(Anchor::Middle));
        }
        let label = Style::new(12.5, INK).anchor(Anchor::Middle);
        svg.text((left + right) / 2.0, bottom + 42.0, &self.label, label);
        if !self.reference_label.is_empty() && self.groups.iter().any(|group| group.reference.is_some()) {
            let words = format!("- - -  {}", self.reference_label);
            svg.text(WIDTH - MARGIN, bottom + 42.0, &words, Style::new(12.0, REFERENCE).anchor(Anchor::End));
        }
        let mut top = TOP;
        for group in &self.groups {
            svg.text(MARGIN, top + 17.0, &fit(&group.name, 13.0, left + 200.0), Style::new(13.0, INK).bold());
            for (place, (name, bar)) in group.bars.iter().enumerate() {
                let y = top + HEAD + place as f64 * ROW;
                let middle = y + BAR / 2.0;
                let words = Style::new(12.0, INK);
                svg.text(left - 9.0, middle + 4.2, &fit(name, 12.0, NAME_MAX), words.anchor(Anchor::End));
                match bar {
                    Ok(bar) => self.draw_bar(&mut svg, [left, y], &at, *bar, FILLS[place % FILLS.len()]),
                    Err(why) => {
                        let room = right - left + NUMBER - 12.0;
                        svg.text(left + 6.0, middle + 4.0, &fit(why, 11.5, room), small);
                    }
                }
            }
            if let Some(reference) = group.reference.filter(|value| value.is_finite()) {
                let (x, end) =
                    (at(reference), top + HEAD + group.bars.len() as f64 * ROW - (ROW - BAR) + 3.0);
                svg.dashed([x, top + HEAD - 4.0, x, end], REFERENCE);
            }
            top += block(group);
        }
        svg.line([left, TOP, left, bottom], SOFT);
        svg.finish()
    }

    fn draw_bar(&self, svg: &mut Svg, [left, y]: [f64; 2], at: &dyn Fn(f64) -> f64, bar: Bar, fill: &str) {
        let middle = y + BAR / 2.0;
        svg.rect([left, y, at(bar.value) - left, BAR], 0.0, fill, "none");
        let mut end = at(bar.value);
        let mut words = (self.number)(bar.value);
        if let Some([low, high]) = bar.interval {
            let [a, b] = [at(low), at(high)];
            let [x1, x2, up, down, mid] = [a, b, middle - 4.0, middle + 4.0, middle].map(short);
            svg.path(&format!("M{x1} {up}V{down}M{x1} {mid}H{x2}M{x2} {up}V{down}"), INK, 1.5);
            end = end.max(b);
            words += &format!("  [{}, {}]", (self.number)(low), (self.number)(high));
        }
        svg.text(end + 8.0, middle + 4.0, &words, Style::new(11.5, INK));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars(groups: Vec<BarGroup>) -> Bars {
        Bars {
            title: "a <b>".to_owned(),
            subtitle: "5-shot".to_owned(),
            label: "accuracy (per cent)".to_owned(),
            reference_label: "chance".to_owned(),
            number: |value| format!("{:.1}", 100.0 * value),
            groups,
        }
    }

    fn group(bars: Vec<(String, Result<Bar, String>)>) -> BarGroup {
        BarGroup { name: "mmlu".to_owned(), reference: Some(0.25), bars }
    }

    #[test]
    fn a_small_figure() {
        let known = Bar { value: 0.351, interval: Some([0.343, 0.359]) };
        let bars = bars(vec![
            group(vec![
                ("llama-7b".to_owned(), Ok(known)),
                ("alpaca-7b".to_owned(), Ok(Bar { value: 0.5, interval: None })),
                ("ziya".to_owned(), Err("data missing".to_owned())),
            ]),
            BarGroup { reference: None, ..group(vec![("llama-7b".to_owned(), Ok(known))]) },
        ]);
        insta::assert_snapshot!(bars.svg());
    }

    #[test]
    fn any_number_is_drawn_on_the_ground() {
        for value in [0.0, f64::NAN, f64::INFINITY, 1e300, -1.0] {
            let bar = Bar { value, interval: Some([value, value]) };
            let svg = bars(vec![group(vec![("x".repeat(500), Ok(bar))])]).svg();
            assert!(!svg.contains("=\"NaN") && !svg.contains("=\"inf") && !svg.contains("=\"-"), "{svg}");
        }
        let empty = bars(Vec::new()).svg();
        assert!(empty.starts_with("<svg ") && empty.ends_with("</svg>\n"));
    }
}
