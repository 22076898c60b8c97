//! A family tree as SVG: boxes coloured by family, what was done written on the edges, a legend.

use super::layout::{Placed, place};
use super::svg::{INK, SOFT, Style, Svg, fit, short, text_width};
use super::{Forest, Node};

const MARGIN: f64 = 28.0;
const ROW: f64 = 36.0;
const BOX_HEIGHT: f64 = 26.0;
const NAME_SIZE: f64 = 13.0;
const TAG_SIZE: f64 = 10.5;
const EDGE_SIZE: f64 = 11.0;
/// Where an edge bends before it runs straight to the child.
const BEND: f64 = 46.0;
/// The longest text on an edge, in pixels.
const EDGE_MAX: f64 = 270.0;
const PAD: f64 = 9.0;
const EDGE_COLOR: &str = "#b3bac3";
/// The least width of the figure, so that the legend has room.
const MIN_WIDTH: f64 = 620.0;

/// The colours of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Colors {
    pub fill: &'static str,
    pub stroke: &'static str,
    /// For small words on the fill.
    pub ink: &'static str,
}

const fn pair(fill: &'static str, stroke: &'static str, ink: &'static str) -> Colors {
    Colors { fill, stroke, ink }
}

/// Light fills with dark lines, far apart in hue for neighbours.
const PALETTE: [Colors; 14] = [
    pair("#dbe9f6", "#2f6ea5", "#24567f"),
    pair("#fde6cf", "#c26a17", "#8f4d0f"),
    pair("#dcf0dd", "#3d8b46", "#2c6a34"),
    pair("#f9dcdf", "#b8404e", "#8f2f3b"),
    pair("#e8e0f4", "#7250a8", "#573c83"),
    pair("#fbf1c7", "#a5860b", "#776107"),
    pair("#d5f0ee", "#22857e", "#18635e"),
    pair("#f7dcee", "#ad3f88", "#842d67"),
    pair("#e7e3da", "#7c6a46", "#5d4f34"),
    pair("#e3edc4", "#6d8a1c", "#516714"),
    pair("#d9dff9", "#4a5bc0", "#374493"),
    pair("#f5ded3", "#a3563a", "#7a402b"),
    pair("#dff1f9", "#2a8bb5", "#1e6685"),
    pair("#e4e6e9", "#5d6773", "#464e58"),
];

/// The colours of one family among all.
pub(super) fn colors(families: &[&str], family: &str) -> Colors {
    let position = families.iter().position(|known| *known == family);
    PALETTE[position.expect("the families are those of all nodes") % PALETTE.len()]
}

/// The forest as an SVG document: left to right, one row to a leaf, as wide and as high as it needs.
pub fn tree_svg(forest: &Forest) -> String {
    let placed = place(forest, 0.5);
    let columns = columns(&placed);
    let families = forest.families();
    let right = columns.last().map_or(0.0, |column| column.x + column.width) + MARGIN;
    let width = right.max(MIN_WIDTH);
    let legend = legend(&families, width - 2.0 * MARGIN);
    let top = 64.0 + legend.last().map_or(0.0, |chip| chip.y + 34.0);
    let rows = placed.iter().map(|place| place.row).fold(0.0, f64::max) + 1.0;
    let mut svg = Svg::new(width, top + rows * ROW + MARGIN, &forest.title);
    svg.text(MARGIN, 40.0, &forest.title, Style::new(20.0, INK).bold());
    for chip in &legend {
        let look = colors(&families, chip.family);
        svg.rect([MARGIN + chip.x, 58.0 + chip.y, 14.0, 14.0], 4.0, look.fill, look.stroke);
        svg.text(MARGIN + chip.x + 20.0, 69.5 + chip.y, chip.family, Style::new(12.0, SOFT));
    }
    let middle = |row: f64| top + row * ROW + ROW / 2.0;
    let column = |depth: usize| columns[depth];
    for place in &placed {
        let Some(parent) = place.parent.map(|position| &placed[position]) else { continue };
        let own = column(parent.depth);
        let bend = own.x + own.width;
        let [start, bent, straight, end] =
            [own.x + box_width(parent.node), bend, bend + BEND, column(place.depth).x].map(short);
        let [half, from, to] = [bend + BEND / 2.0, middle(parent.row), middle(place.row)].map(short);
        let path = format!("M{start} {from}H{bent}C{half} {from} {half} {to} {straight} {to}H{end}");
        svg.path(&path, EDGE_COLOR, 1.3);
    }
    // Words above their lines, after all lines, so that no line crosses them out.
    for place in &placed {
        let own = column(place.depth);
        if place.parent.is_some() && !place.node.edge.is_empty() {
            let words = fit(&place.node.edge, EDGE_SIZE, EDGE_MAX);
            svg.text(own.x - own.edge + 2.0, middle(place.row) - 4.5, &words, Style::new(EDGE_SIZE, SOFT));
        }
        draw_box(&mut svg, place.node, own.x, middle(place.row), colors(&families, &place.node.family));
    }
    svg.finish()
}

fn draw_box(svg: &mut Svg, node: &Node, x: f64, middle: f64, look: Colors) {
    let width = box_width(node);
    let frame = [x, middle - BOX_HEIGHT / 2.0, width, BOX_HEIGHT];
    let (fill, ink) = if node.heading { (look.stroke, "#ffffff") } else { (look.fill, INK) };
    if node.marked {
        let [x, y, w, h] = frame;
        svg.rect([x - 3.0, y - 3.0, w + 6.0, h + 6.0], 10.0, "none", look.stroke);
    }
    svg.rect(frame, 7.0, fill, look.stroke);
    let (name, small) = (Style::new(NAME_SIZE, ink), Style::new(TAG_SIZE, look.ink));
    svg.name_and_remark([x + width / 2.0, middle + 4.5], name, [&node.id, &node.tag], small);
}

fn box_width(node: &Node) -> f64 {
    let tag = if node.tag.is_empty() { 0.0 } else { text_width(&node.tag, TAG_SIZE) + 7.0 };
    2.0 * PAD + 1.1 * text_width(&node.id, NAME_SIZE) + tag
}

/// A column of boxes, in pixels.
#[derive(Debug, Clone, Copy, Default)]
struct Column {
    x: f64,
    width: f64,
    /// Length of the straight parts of the edges that lead here.
    edge: f64,
}

fn columns(placed: &[Placed<'_>]) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for place in placed {
        if columns.len() <= place.depth {
            columns.resize(place.depth + 1, Column::default());
        }
        let edge =
            if place.parent.is_some() { text_width(&place.node.edge, EDGE_SIZE).min(EDGE_MAX) } else { 0.0 };
        let column = &mut columns[place.depth];
        column.width = column.width.max(box_width(place.node));
        column.edge = column.edge.max(edge);
    }
    let mut x = MARGIN;
    for (depth, column) in columns.iter_mut().enumerate() {
        if depth > 0 {
            column.edge += 14.0;
            x += BEND + column.edge;
        }
        column.x = x;
        x += column.width;
    }
    columns
}

/// One entry of the legend, relative to its corner.
struct Chip<'a> {
    family: &'a str,
    x: f64,
    y: f64,
}

fn legend<'a>(families: &[&'a str], width: f64) -> Vec<Chip<'a>> {
    let (mut x, mut y) = (0.0, 0.0);
    let mut chips = Vec::new();
    for family in families.iter().filter(|family| !family.is_empty()) {
        let length = text_width(family, 12.0) + 40.0;
        if x > 0.0 && x + length > width {
            (x, y) = (0.0, y + 22.0);
        }
        chips.push(Chip { family, x, y });
        x += length;
    }
    chips
}

#[cfg(test)]
mod tests {
    use super::super::forest::tests::forest;
    use super::*;

    #[test]
    fn every_node_has_a_box_and_every_child_an_edge() {
        let forest = forest();
        let svg = tree_svg(&forest);
        let nodes = forest.nodes();
        for node in &nodes {
            assert!(svg.contains(&format!(">{}<", node.id)), "{}", node.id);
        }
        // A ground, a box to a node, a ring around the marked one, a chip to a family.
        let chips = forest.families().len();
        assert_eq!(svg.matches("<rect").count(), 1 + nodes.len() + 1 + chips);
        assert_eq!(svg.matches("<path").count(), 3);
        assert!(svg.contains("SFT · 52K &quot;instructions&quot;"));
        assert!(!svg.contains("NaN"));
    }

    #[test]
    fn columns_do_not_overlap_and_nothing_leaves_the_ground() {
        let forest = forest();
        let columns = columns(&place(&forest, 0.5));
        for pair in columns.windows(2) {
            assert!(pair[0].x + pair[0].width + BEND <= pair[1].x - pair[1].edge + 1e-9);
        }
        let empty = tree_svg(&Forest::default());
        assert!(empty.starts_with("<svg ") && empty.ends_with("</svg>\n"));
    }

    #[test]
    fn families_have_their_own_colours() {
        let families = ["a", "b", "c"];
        assert_ne!(colors(&families, "a"), colors(&families, "b"));
        assert_eq!(colors(&families, "c"), PALETTE[2]);
    }
}
