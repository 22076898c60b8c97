//! Cards as a family tree: who was made from whom, by what method and with which data, released how.

use std::collections::BTreeSet;

use crate::registry::recipe::Recipe;
use crate::registry::{Card, Registry};
use crate::report::figure::{Forest, Node};

/// All models; families with several roots stand under a heading.
pub(super) fn whole(registry: &Registry) -> Forest {
    let mut roots: Vec<Node> = Vec::new();
    for card in registry.cards().iter().filter(|card| registry.base_of(card).is_none()) {
        let node = subtree(registry, card, &mut BTreeSet::new());
        match roots.iter_mut().find(|root| root.family == node.family) {
            Some(root) if root.heading => root.children.push(node),
            Some(root) => {
                let first = std::mem::take(root);
                let (id, family) = (format!("{} family", first.family), first.family.clone());
                *root = Node { id, family, heading: true, children: vec![first, node], ..Node::default() };
            }
            None => roots.push(node),
        }
    }
    for root in roots.iter_mut().filter(|root| root.heading) {
        root.children.sort_by_cached_key(|node| size_of(registry, &node.id));
    }
    roots.sort_by_cached_key(|root| std::cmp::Reverse(descendants(root)));
    Forest { title: "The LLaMA family".to_owned(), roots }
}

/// One model with what it was made from, and with all that was made from it.
pub(super) fn around(registry: &Registry, card: &Card) -> Forest {
    let mut node = subtree(registry, card, &mut BTreeSet::new());
    node.marked = true;
    let root = above(registry, card, node);
    Forest { title: format!("{} in its family", card.name), roots: vec![root] }
}

/// One model with what it was made from only.
pub(super) fn lineage(registry: &Registry, card: &Card) -> Forest {
    let mut root = above(registry, card, node(registry, card));
    let mut at = Some(&mut root);
    while let Some(node) = at {
        if node.tag.is_empty() {
            node.tag = "full".to_owned();
        }
        at = node.children.first_mut();
    }
    Forest { title: format!("Lineage of {}", card.name), roots: vec![root] }
}

/// Hangs a node below the ancestors of its card.
fn above(registry: &Registry, card: &Card, below: Node) -> Node {
    let ancestors = registry.lineage(card).into_iter().rev().skip(1);
    ancestors.fold(below, |child, base| Node { children: vec![child], ..node(registry, base) })
}

/// `seen` keeps a loop, which the registry forbids, from having no end.
fn subtree<'a>(registry: &'a Registry, card: &'a Card, seen: &mut BTreeSet<&'a str>) -> Node {
    let mut node = node(registry, card);
    if seen.insert(&card.id) {
        node.children = registry.children(card).map(|child| subtree(registry, child, seen)).collect();
    }
    node
}

fn node(registry: &Registry, card: &Card) -> Node {
    let edge = registry.recipe_of(card).map_or_else(String::new, edge_label);
    let mut tag = card.release.kind.as_str().to_owned();
    if tag == "full" {
        // Whole weights are the ordinary case, and need no word.
        tag.clear();
    }
    Node { id: card.id.clone(), family: card.family.clone(), edge, tag, ..Node::default() }
}

/// `SFT (LoRA) · 52K instructions`.
fn edge_label(recipe: &Recipe) -> String {
    let data = recipe.data_label();
    let dot = if data.is_empty() { "" } else { " · " };
    format!("{}{dot}{data}", recipe.method_label())
}

fn size_of(registry: &Registry, id: &str) -> u64 {
    registry.card(id).and_then(|card| card.parameters).unwrap_or(u64::MAX)
}

fn descendants(node: &Node) -> usize {
    node.children.iter().map(|child| 1 + descendants(child)).sum()
}
