//! A family tree as data, and as text with lines between parents and children.

/// Trees side by side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forest {
    /// What the whole is.
    pub title: String,
    /// The roots in order.
    pub roots: Vec<Node>,
}

/// A model, or the heading of a group of roots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// The name that the node is drawn with.
    pub id: String,
    /// What it is coloured by.
    pub family: String,
    /// What was done to the parent to get here: method and data. Empty if nothing is known.
    pub edge: String,
    /// A short word beside the name: the form of release.
    pub tag: String,
    /// Whether it is the one that was asked for.
    pub marked: bool,
    /// Whether it is a heading and not a model.
    pub heading: bool,
    /// What was made from it.
    pub children: Vec<Node>,
}

/// One line of the text form.
struct ForestLine {
    /// Guides and name.
    left: String,
    edge: String,
    tag: String,
}

impl Forest {
    /// The trees as text in at most `width` columns: names, what was done to get there, form of release.
    ///
    /// What does not fit is cut with an ellipsis; names are never cut.
    pub fn text(&self, width: usize) -> String {
        let mut lines = Vec::new();
        for root in &self.roots {
            root.lines("", None, &mut lines);
        }
        let widest =
            |get: fn(&ForestLine) -> &str| lines.iter().map(|line| count(get(line))).max().unwrap_or(0);
        let (left, tag) = (widest(|line| &line.left), widest(|line| &line.tag));
        let room = width.saturating_sub(left + tag + 4);
        let edge = room.min(widest(|line| &line.edge));
        let mut text = String::new();
        for line in &lines {
            let words = if edge >= 8 { cut(&line.edge, edge) } else { String::new() };
            let shown = if edge >= 8 { edge } else { 0 };
            let row = format!("{:left$}  {:tag$}  {words:shown$}", line.left, line.tag);
            text.push_str(row.trim_end());
            text.push('\n');
        }
        text
    }

    /// Every node, parents before children.
    pub fn nodes(&self) -> Vec<&Node> {
        fn walk<'a>(node: &'a Node, all: &mut Vec<&'a Node>) {
            all.push(node);
            node.children.iter().for_each(|child| walk(child, all));
        }
        let mut all = Vec::new();
        self.roots.iter().for_each(|root| walk(root, &mut all));
        all
    }

    /// The families in order of appearance.
    pub fn families(&self) -> Vec<&str> {
        let mut families: Vec<&str> = Vec::new();
        for node in self.nodes() {
            if !families.contains(&node.family.as_str()) {
                families.push(&node.family);
            }
        }
        families
    }
}

impl Node {
    fn lines(&self, guides: &str, last: Option<bool>, lines: &mut Vec<ForestLine>) {
        let (elbow, below) = match last {
            None => ("", ""),
            Some(false) => ("├─ ", "│  "),
            Some(true) => ("└─ ", "   "),
        };
        let mark = if self.marked { " ◀" } else { "" };
        let left = format!("{guides}{elbow}{}{mark}", self.id);
        lines.push(ForestLine { left, edge: self.edge.clone(), tag: self.tag.clone() });
        let guides = format!("{guides}{below}");
        let end = self.children.len().saturating_sub(1);
        for (position, child) in self.children.iter().enumerate() {
            child.lines(&guides, Some(position == end), lines);
        }
    }
}

fn count(text: &str) -> usize {
    text.chars().count()
}

/// The text in at most `width` characters, with an ellipsis if it is cut.
fn cut(text: &str, width: usize) -> String {
    if count(text) <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end_matches([' ', ',', '·']))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn node(id: &str, edge: &str, tag: &str, children: Vec<Node>) -> Node {
        let family = id.split('-').next().unwrap_or(id).to_owned();
        Node { id: id.into(), family, edge: edge.into(), tag: tag.into(), children, ..Node::default() }
    }

    pub fn forest() -> Forest {
        let chat = Node { marked: true, ..node("ziya-chat", "SFT + RLHF", "delta", vec![]) };
        let ziya = node("ziya-pretrain", "continued pretraining · 110B tokens", "delta", vec![chat]);
        let alpaca = node("alpaca-7b", "SFT · 52K \"instructions\"", "diff", vec![]);
        let llama = node("llama-7b", "pretraining · 1T tokens", "full", vec![alpaca, ziya]);
        let alone = node("bloom", "", "full", vec![]);
        Forest { title: "Two trees".to_owned(), roots: vec![llama, alone] }
    }

    #[test]
    fn the_text_has_guides_and_columns() {
        insta::assert_snapshot!(forest().text(100));
    }

    #[test]
    fn a_narrow_text_cuts_what_was_done_and_keeps_the_names() {
        let text = forest().text(50);
        assert!(text.lines().all(|line| count(line) <= 50), "{text}");
        assert!(text.contains("ziya-pretrain  ") && text.contains("  continued pretraining…\n"), "{text}");
        let text = forest().text(10);
        assert!(text.contains("ziya-pretrain") && !text.contains("SFT"), "{text}");
    }
}
