//! Names, shapes and types of the tensors against what the configuration asks for.

use std::collections::BTreeMap;

use super::finding::and_more;
use super::{Check, Finding};
use crate::base::fault::FaultKind;
use crate::config::ModelConfig;
use crate::forms::{OF_INTEGERS, advice_about, of_integers, unread};
use crate::weights::{TensorInfo, TensorSource, is_buffer};

/// Names shown of a list.
const SHOWN: usize = 3;

/// The tensors of a model: name → shape, and whether the model can do without.
type Expected = BTreeMap<String, (Vec<usize>, bool)>;

/// Compares; one finding if all is well.
pub(super) fn check(source: &dyn TensorSource, config: &ModelConfig, config_name: &str) -> Vec<Finding> {
    let expected = expected(config);
    let infos: BTreeMap<&str, &TensorInfo> = source.tensors().iter().map(|i| (i.name.as_str(), i)).collect();
    let mut findings = Vec::new();

    let missing: Vec<&str> = expected
        .iter()
        .filter(|(name, (_, optional))| !optional && !infos.contains_key(name.as_str()))
        .map(|(name, _)| name.as_str())
        .collect();
    if !missing.is_empty() {
        let wanted = expected.values().filter(|(_, optional)| !optional).count();
        let advice = match prefix_hint(&infos, &missing) {
            Some(hint) => hint,
            None => {
                "the weights are incomplete or belong to another configuration: fetch both from one release"
                    .into()
            }
        };
        findings.push(
            Finding::failure(Check::Tensors, "missing data", format!("none of {}", listed(&missing)))
                .expected(format!("the {wanted} tensors that {config_name} asks for"))
                .advice(advice),
        );
    }

    let wrong: Vec<(&str, &Vec<usize>, &Vec<usize>)> = expected
        .iter()
        .filter_map(|(name, (shape, _))| Some((name.as_str(), shape, &infos.get(name.as_str())?.shape)))
        .filter(|(_, expected, found)| expected != found)
        .collect();
    if let Some((name, expected, found)) = wrong.first() {
        let more = and_more(wrong.len(), "tensors differ");
        findings.push(
            Finding::failure(Check::Tensors, "shape mismatch", format!("{found:?}{more}"))
                .at(format!("tensor {name:?}"))
                .expected(format!("shape {expected:?}, as {config_name} says"))
                .advice(
                    "the weights and the configuration do not belong together: fetch both from one release",
                ),
        );
    }

    let shape = config.shape();
    let extra: Vec<&str> = unread(source, &shape).into_iter().map(|info| info.name.as_str()).collect();
    if let Some(first) = extra.first() {
        findings.push(
            Finding::failure(
                Check::Tensors,
                FaultKind::ShapeMismatch,
                format!("{} more, which no part of the network reads: {}", extra.len(), listed(&extra)),
            )
            .expected(format!("only tensors that {config_name} speaks of"))
            .advice(advice_about(first, &shape)),
        );
    }

    findings.extend(types(source));
    let is_well = findings.is_empty();
    findings.extend(buffers(source));
    if is_well {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for info in source.tensors() {
            *counts.entry(info.dtype.name()).or_default() += 1;
        }
        let counts: Vec<String> = counts.iter().map(|(dtype, n)| format!("{n} of {dtype}")).collect();
        let found = format!("all names and shapes as {config_name} says ({})", counts.join(", "));
        findings.push(Finding::ok(Check::Tensors, found));
    }
    findings
}

/// Buffers that the checkpoint carries: harmless, but someone may wonder.
fn buffers(source: &dyn TensorSource) -> Option<Finding> {
    let buffers: Vec<&str> =
        source.tensors().iter().filter(|info| is_buffer(info)).map(|info| info.name.as_str()).collect();
    let found = format!("{} buffers, which are computed and not read: {}", buffers.len(), listed(&buffers));
    (!buffers.is_empty()).then(|| Finding::note(Check::Tensors, found))
}

/// Types that no weights are of.
fn types(source: &dyn TensorSource) -> Option<Finding> {
    let first = of_integers(source)?;
    Some(
        Finding::failure(Check::Tensors, "unsupported", first.dtype.name())
            .at(format!("tensor {:?}", first.name))
            .expected("a type of weights, such as F16")
            .advice(OF_INTEGERS),
    )
}

fn expected(config: &ModelConfig) -> Expected {
    let shape = config.shape();
    let needed = shape.tensors().map(|(name, shape)| (name, (shape, false)));
    let head = shape.tie_word_embeddings.then(|| shape.head().tensors("")).into_iter().flatten();
    needed.chain(head.map(|(name, shape)| (name, (shape, true)))).collect()
}

/// Names that differ from the expected ones by what stands before them.
fn prefix_hint(infos: &BTreeMap<&str, &TensorInfo>, missing: &[&str]) -> Option<String> {
    let first = missing.first()?;
    let longer = infos.keys().find_map(|name| name.strip_suffix(first).filter(|p| p.ends_with('.')));
    if let Some(prefix) = longer {
        return Some(format!(
            "the file's names begin with {prefix:?}: convert it to the names of transformers"
        ));
    }
    let bare = first.split_once('.').map(|(_, rest)| rest).filter(|rest| infos.contains_key(rest))?;
    Some(format!("the file has {bare:?} instead of {first:?}: convert it to the names of transformers"))
}

fn listed(names: &[&str]) -> String {
    let first: Vec<String> = names.iter().take(SHOWN).map(|name| shown(name)).collect();
    let more = names.len().saturating_sub(SHOWN);
    if more > 0 { format!("{} and {more} more", first.join(", ")) } else { first.join(", ") }
}

/// A name from a file, escaped and cut.
fn shown(name: &str) -> String {
    const LONGEST: usize = 80;
    let cut: String = name.chars().take(LONGEST).collect();
    if cut.len() < name.len() { format!("{cut:?}…") } else { format!("{cut:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn lists_are_short_and_names_are_escaped() {
        assert_eq!(listed(&["a", "b\n"]), r#""a", "b\n""#);
        assert_eq!(listed(&["a", "b", "c", "d", "e"]), r#""a", "b", "c" and 2 more"#);
        assert!(shown(&"x".repeat(500)).chars().count() < 90);
    }
}
