//! Where the boxes of a tree go, from left to right: leaves one below the other in order, each parent
//! half-way between its first and its last child. With boxes of one height and children below one another
//! no two subtrees meet, so this is as tidy as the algorithm of Reingold and Tilford makes it.

use super::{Forest, Node};

/// A node and its place.
#[derive(Debug, Clone)]
pub(super) struct Placed<'a> {
    pub node: &'a Node,
    /// Column, from 0.
    pub depth: usize,
    /// Row of its middle; parents stand on halves as well.
    pub row: f64,
    /// Position of its parent in the list.
    pub parent: Option<usize>,
}

/// Every node with its place, parents before their children; `gap` is left between two trees, in rows.
pub(super) fn place(forest: &Forest, gap: f64) -> Vec<Placed<'_>> {
    let mut placed = Vec::new();
    let mut next = 0.0;
    for root in &forest.roots {
        visit(root, 0, None, &mut next, &mut placed);
        next += gap;
    }
    placed
}

/// Places a subtree and returns the row of its root.
fn visit<'a>(
    node: &'a Node,
    depth: usize,
    parent: Option<usize>,
    next: &mut f64,
    placed: &mut Vec<Placed<'a>>,
) -> f64 {
    let own = placed.len();
    placed.push(Placed { node, depth, row: 0.0, parent });
    let rows: Vec<f64> =
        node.children.iter().map(|child| visit(child, depth + 1, Some(own), next, placed)).collect();
    let row = match (rows.first(), rows.last()) {
        (Some(first), Some(last)) => (first + last) / 2.0,
        _ => {
            *next += 1.0;
            *next - 1.0
        }
    };
    placed[own].row = row;
    row
}

#[cfg(test)]
mod tests {
    use super::super::forest::tests::{forest, node};
    use super::*;

    #[test]
    fn parents_stand_between_their_children() {
        let forest = forest();
        let found: Vec<(&str, usize, f64)> =
            place(&forest, 0.5).into_iter().map(|p| (p.node.id.as_str(), p.depth, p.row)).collect();
        assert_eq!(
            found,
            [
                ("llama-7b", 0, 0.5),
                ("alpaca-7b", 1, 0.0),
                ("ziya-pretrain", 1, 1.0),
                ("ziya-chat", 2, 1.0),
                ("bloom", 0, 2.5),
            ]
        );
    }

    #[test]
    fn no_two_nodes_of_a_column_are_nearer_than_a_row() {
        let leaves =
            |n: usize, name: &str| (0..n).map(|i| node(&format!("{name}{i}"), "", "", vec![])).collect();
        let inner = vec![
            node("a", "", "", leaves(3, "x")),
            node("b", "", "", leaves(1, "y")),
            node("c", "", "", vec![]),
        ];
        let forest = Forest {
            title: String::new(),
            roots: vec![node("r", "", "", inner), node("s", "", "", leaves(2, "z"))],
        };
        let placed = place(&forest, 0.5);
        for a in &placed {
            let others = placed.iter().filter(|b| b.depth == a.depth && b.node.id != a.node.id);
            assert!(others.into_iter().all(|b| (a.row - b.row).abs() >= 1.0), "{}", a.node.id);
        }
    }
}
