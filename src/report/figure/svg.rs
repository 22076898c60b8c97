//! An SVG document under construction: numbers with few decimals, text escaped, widths estimated.

use std::fmt::Write as _;

use crate::base::printable::is_obeyed;

/// The fonts, first found is used.
const FONTS: &str = "Inter, 'Segoe UI', 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', \
                     sans-serif";
/// The ground of every figure.
const GROUND: &str = "#fcfcfa";
/// The colour of most words.
pub(super) const INK: &str = "#22272e";
/// The colour of words of less weight.
pub(super) const SOFT: &str = "#66707c";

/// Where a text's anchor point is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style<'a> {
    pub size: f64,
    pub color: &'a str,
    pub bold: bool,
    pub anchor: Anchor,
}

impl<'a> Style<'a> {
    pub fn new(size: f64, color: &'a str) -> Self {
        Style { size, color, bold: false, anchor: Anchor::Start }
    }

    pub fn bold(self) -> Self {
        Style { bold: true, ..self }
    }

    pub fn anchor(self, anchor: Anchor) -> Self {
        Style { anchor, ..self }
    }
}

/// An open document.
pub(super) struct Svg {
    text: String,
}

impl Svg {
    /// A document of this size in pixels, with `title` for readers that cannot see it.
    pub fn new(width: f64, height: f64, title: &str) -> Self {
        let (w, h) = (short(width), short(height));
        let mut text = String::new();
        let _ = writeln!(
            text,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" \
             role=\"img\" font-family=\"{FONTS}\">\n<title>{}</title>\n\
             <rect width=\"{w}\" height=\"{h}\" fill=\"{GROUND}\"/>",
            escape(title)
        );
        Svg { text }
    }

    /// A box with round corners.
    pub fn rect(&mut self, [x, y, w, h]: [f64; 4], radius: f64, fill: &str, stroke: &str) {
        let [x, y, w, h, r] = [x, y, w, h, radius].map(short);
        let _ = writeln!(
            self.text,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"{r}\" fill=\"{fill}\" stroke=\"{stroke}\"/>"
        );
    }

    pub fn line(&mut self, [x1, y1, x2, y2]: [f64; 4], stroke: &str) {
        let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(short);
        let _ = writeln!(
            self.text,
            "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" stroke=\"{stroke}\"/>"
        );
    }

    pub fn dashed(&mut self, [x1, y1, x2, y2]: [f64; 4], stroke: &str) {
        let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(short);
        let _ = writeln!(
            self.text,
            "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" stroke=\"{stroke}\" stroke-width=\"1.5\" \
             stroke-dasharray=\"4 3\"/>"
        );
    }

    /// A path that is not filled; `data` in SVG's own notation.
    pub fn path(&mut self, data: &str, stroke: &str, width: f64) {
        let width = short(width);
        let _ = writeln!(
            self.text,
            "<path d=\"{data}\" fill=\"none\" stroke=\"{stroke}\" stroke-width=\"{width}\" \
             stroke-linejoin=\"round\" stroke-linecap=\"round\"/>"
        );
    }

    /// A shape that is filled and has no line.
    pub fn area(&mut self, data: &str, fill: &str) {
        let _ = writeln!(self.text, "<path d=\"{data}\" fill=\"{fill}\"/>");
    }

    pub fn dot(&mut self, x: f64, y: f64, radius: f64, fill: &str) {
        let [x, y, r] = [x, y, radius].map(short);
        let _ = writeln!(self.text, "<circle cx=\"{x}\" cy=\"{y}\" r=\"{r}\" fill=\"{fill}\"/>");
    }

    /// Words, with their baseline at `y`.
    pub fn text(&mut self, x: f64, y: f64, words: &str, style: Style<'_>) {
        self.words(&format!("x=\"{}\" y=\"{}\"", short(x), short(y)), words, style);
    }

    /// Words that go upwards.
    pub fn text_up(&mut self, x: f64, y: f64, words: &str, style: Style<'_>) {
        self.words(&format!("transform=\"translate({} {}) rotate(-90)\"", short(x), short(y)), words, style);
    }

    /// Words in bold with a smaller remark after them, both centred on `x`.
    pub fn name_and_remark(&mut self, [x, y]: [f64; 2], name: Style<'_>, words: [&str; 2], small: Style<'_>) {
        let [words, remark] = words.map(escape);
        let remark = if remark.is_empty() {
            String::new()
        } else {
            let (size, color) = (short(small.size), small.color);
            format!(
                "<tspan dx=\"7\" font-size=\"{size}\" fill=\"{color}\" font-weight=\"400\">{remark}</tspan>"
            )
        };
        let (x, y, size, color) = (short(x), short(y), short(name.size), name.color);
        let _ = writeln!(
            self.text,
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" fill=\"{color}\" font-weight=\"600\" \
             text-anchor=\"middle\">{words}{remark}</text>"
        );
    }

    fn words(&mut self, place: &str, words: &str, style: Style<'_>) {
        let anchor = match style.anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let weight = if style.bold { " font-weight=\"600\"" } else { "" };
        let (size, color, words) = (short(style.size), style.color, escape(words));
        let _ = writeln!(
            self.text,
            "<text {place} font-size=\"{size}\" fill=\"{color}\"{weight}{anchor}>{words}</text>"
        );
    }

    /// The whole document.
    pub fn finish(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }
}

/// A number with at most two decimals; 0 for what is no number, which no document may contain.
pub(super) fn short(value: f64) -> String {
    let rounded = (value * 100.0).round() / 100.0;
    if rounded == 0.0 || !rounded.is_finite() { "0".to_owned() } else { rounded.to_string() }
}

/// Text as XML allows it: markup escaped; control characters, marks that turn the direction of what follows, and what is no
/// character left out.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(' '),
            c if is_obeyed(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}

/// About how wide a text is, in pixels, in the widest of the fonts named above; bold is a tenth wider.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    let em: f64 = text
        .chars()
        .map(|c| match c {
            'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | 'I' => 0.31,
            'f' | 't' | 'r' | '-' | ' ' | '(' | ')' | '·' | '/' => 0.38,
            'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.95,
            'A'..='Z' => 0.7,
            '\u{2e80}'..='\u{ffef}' => 1.0,
            _ => 0.625,
        })
        .sum();
    em * size
}

/// The text, cut to a width with an ellipsis.
pub(super) fn fit(text: &str, size: f64, width: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        kept.push(c);
        if text_width(&kept, size) + 0.8 * size > width {
            kept.pop();
            break;
        }
    }
    format!("{}…", kept.trim_end_matches([' ', '·', ',']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_numbers_are_short() {
        assert_eq!(escape("<a & \"b\">\n\u{7}\u{202e}\u{ffff}c"), "&lt;a &amp; &quot;b&quot;&gt; c");
        assert_eq!([0.0, -0.001, 1.0, 2.345_67, 1e6].map(short), ["0", "0", "1", "2.35", "1000000"]);
    }

    #[test]
    fn a_text_is_cut_to_its_width() {
        let text = "continued pretraining · 110B tokens";
        let cut = fit(text, 11.0, 120.0);
        assert!(cut.ends_with('…') && text.starts_with(cut.trim_end_matches('…')), "{cut}");
        assert!(text_width(&cut, 11.0) <= 125.0);
        assert_eq!(fit(text, 11.0, 500.0), text);
        assert_eq!(fit("x", 11.0, 0.0), "…");
    }
}
