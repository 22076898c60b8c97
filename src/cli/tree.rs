//! `zoo tree`: who was made from whom, as text, as a drawing or for a drawing program.

use std::path::PathBuf;

use super::format::formats;
use super::{Global, family, models};
use crate::report::figure::{dot, mermaid, tree_svg};
use crate::report::{Format, terminal_width};

/// Draw the family tree: what was made from what, how and with which data.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo tree
  zoo tree llama-2-7b
  zoo tree --format svg --out family.svg
  zoo tree vicuna-13b --format mermaid")]
pub struct Args {
    /// Only this model, its ancestors and its descendants: a registry id or alias
    model: Option<String>,
    /// How to print
    #[arg(long, default_value = "text", value_parser = formats([
        (Format::Text, "Lines and names, as wide as the terminal"),
        (Format::Dot, "For Graphviz"),
        (Format::Mermaid, "For Markdown pages"),
        (Format::Svg, "A drawing"),
    ]))]
    format: Format,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let registry = models::registry(global)?;
    let forest = match &args.model {
        Some(name) => family::around(&registry, models::find(&registry, name)?),
        None => family::whole(&registry),
    };
    let text = match args.format {
        Format::Dot => dot(&forest),
        Format::Mermaid => mermaid(&forest),
        Format::Svg => tree_svg(&forest),
        _ => forest.text(terminal_width()),
    };
    models::deliver(&text, args.out.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    #[test]
    fn the_whole_family_at_two_widths() {
        let registry = Registry::load(None).unwrap();
        let forest = family::whole(&registry);
        insta::assert_snapshot!("tree_80", forest.text(80));
        insta::assert_snapshot!("tree_160", forest.text(160));
        for width in [80, 160] {
            assert!(forest.text(width).lines().all(|line| line.chars().count() <= width));
        }
        let models = forest.nodes().into_iter().filter(|node| !node.heading).count();
        assert_eq!(models, registry.cards().len());
    }

    #[test]
    fn a_model_stands_between_its_base_and_its_children() {
        let registry = Registry::load(None).unwrap();
        let card = registry.find("ziya-llama-13b-pretrain-v1").unwrap();
        insta::assert_snapshot!(family::around(&registry, card).text(100));
    }

    #[test]
    fn every_format_names_every_model() {
        let registry = Registry::load(None).unwrap();
        let forest = family::whole(&registry);
        for text in [dot(&forest), mermaid(&forest), tree_svg(&forest)] {
            for card in registry.cards() {
                assert!(text.contains(&card.id), "{}", card.id);
            }
        }
    }
}
