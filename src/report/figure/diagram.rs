//! A family tree in the languages of two drawing programs: Graphviz's DOT and Mermaid.

use std::fmt::Write as _;

use super::tree::{Colors, colors};
use super::{Forest, Node};

/// The forest as a directed graph for Graphviz: `zoo tree --format dot | dot -Tpdf`.
pub fn dot(forest: &Forest) -> String {
    let families = forest.families();
    let mut out = String::from("digraph zoo {\n  rankdir=LR;\n");
    out.push_str("  node [shape=box, style=\"rounded,filled\", fontname=\"Helvetica\", fontsize=11];\n");
    out.push_str("  edge [fontname=\"Helvetica\", fontsize=9, color=\"#9aa3ad\"];\n");
    for node in forest.nodes() {
        let Colors { fill, stroke, .. } = colors(&families, &node.family);
        let tag = if node.tag.is_empty() { String::new() } else { format!("\\n{}", dot_text(&node.tag)) };
        let id = dot_text(&node.id);
        let _ = writeln!(
            out,
            "  \"{id}\" [label=\"{id}{tag}\", fillcolor=\"{fill}\", color=\"{stroke}\"{}];",
            if node.marked { ", penwidth=2" } else { "" }
        );
    }
    for (parent, child) in edges(forest) {
        let (from, to, label) = (dot_text(&parent.id), dot_text(&child.id), dot_text(&child.edge));
        let _ = writeln!(out, "  \"{from}\" -> \"{to}\" [label=\"{label}\"];");
    }
    out.push_str("}\n");
    out
}

/// The forest as a Mermaid flowchart, for Markdown pages.
pub fn mermaid(forest: &Forest) -> String {
    let families = forest.families();
    let nodes = forest.nodes();
    let number = |id: &str| nodes.iter().position(|node| node.id == id).expect("an edge joins two nodes");
    let mut out = String::from("graph LR\n");
    for (position, node) in nodes.iter().enumerate() {
        let family = families.iter().position(|family| *family == node.family);
        let family = family.expect("the families are those of all nodes");
        let tag =
            if node.tag.is_empty() { String::new() } else { format!("<br/>{}", mermaid_text(&node.tag)) };
        let _ = writeln!(out, "  n{position}[\"{}{tag}\"]:::f{family}", mermaid_text(&node.id));
    }
    for (parent, child) in edges(forest) {
        let (from, to) = (number(&parent.id), number(&child.id));
        if child.edge.is_empty() {
            let _ = writeln!(out, "  n{from} --> n{to}");
        } else {
            let _ = writeln!(out, "  n{from} -->|\"{}\"| n{to}", mermaid_text(&child.edge));
        }
    }
    for (position, family) in families.iter().enumerate() {
        let Colors { fill, stroke, .. } = colors(&families, family);
        let _ = writeln!(out, "  classDef f{position} fill:{fill},stroke:{stroke},color:#22272e");
    }
    out
}

fn edges(forest: &Forest) -> Vec<(&Node, &Node)> {
    let nodes = forest.nodes();
    nodes.into_iter().flat_map(|node| node.children.iter().map(move |child| (node, child))).collect()
}

fn dot_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " ")
}

fn mermaid_text(text: &str) -> String {
    text.replace('#', "#35;")
        .replace('"', "#quot;")
        .replace('<', "#lt;")
        .replace('>', "#gt;")
        .replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::super::forest::tests::forest;
    use super::*;

    #[test]
    fn dot_for_graphviz() {
        insta::assert_snapshot!(dot(&forest()));
    }

    #[test]
    fn mermaid_for_markdown() {
        insta::assert_snapshot!(mermaid(&forest()));
    }
}
