//! From the parts of a model to its folder.

use std::fs;
use std::path::Path;

use anyhow::Context;

use super::parts::{BuildParts, FoundPart, PartRole, key_in};
use crate::base::fault::Refusal;
use crate::base::progress::Progress;
use crate::forms::{FormError, HfModel};
use crate::rebuild;
use crate::rebuild::{BuildRecord, Derived, Facts, InputRecord, Released, SumCheck, derive};
use crate::registry::{Card, Registry, ReleaseKind};
use crate::store::{StoreOptions, WrittenModel, check_target, write_model};
use crate::weights::TensorSource;

/// The card of what is built, with the release that is built as its main one, and the registry, which has the cards of its
/// adapters; `None` for a build by rule alone.
pub type Known<'a> = Option<(&'a Card, &'a Registry)>;

/// Puts the parts together, writes the result to `out` and compares it with a published sum if there is one.
///
/// # Errors
/// Parts that do not belong together are refused before anything large is computed; a wrong sum is found at the end,
/// before the result gets its name.
pub fn make(
    parts: &BuildParts,
    known: Known<'_>,
    out: &Path,
    options: &StoreOptions,
    progress: &dyn Progress,
) -> anyhow::Result<WrittenModel> {
    check_target(out, options.force)?;
    // Decrypted files lie beside the result, on the disk that has to hold it anyway.
    let name =
        out.file_name().context("--out: expected the name of a new folder")?.to_string_lossy().into_owned();
    let work = out.with_file_name(format!(".{name}.zoo-decrypted"));
    let derived = put_together(parts, known, &work, progress)?;
    for warning in &derived.warnings {
        tracing::warn!("{warning}");
    }
    let Derived { model, rule, arithmetic, mut inputs, sum, scratch, .. } = derived;
    name_inputs(&mut inputs, parts);
    let id = known.map(|(card, _)| card.id.clone());
    let record = BuildRecord { model: id, rule: rule.to_owned(), arithmetic, inputs };
    let check = |written: &dyn TensorSource| compare_sum(sum.as_ref(), written, out);
    let written = write_model(&model, out, options, record, &check, progress)?;
    // The decrypted files are mapped into memory until here.
    drop(model);
    if let Some(scratch) = scratch {
        fs::remove_dir_all(&scratch)
            .with_context(|| format!("cannot remove the decrypted files in {}", scratch.display()))?;
    }
    Ok(written)
}

/// Calls the inputs what the registry calls them; adapters have their names already.
fn name_inputs(inputs: &mut [InputRecord], parts: &BuildParts) {
    for input in inputs {
        let role = match input.role.as_str() {
            "base" => PartRole::Base,
            "key" => PartRole::Key,
            "delta" | "release" => PartRole::Released,
            _ => continue,
        };
        if let Some(part) = parts.all(role).next() {
            input.name.clone_from(&part.name);
        }
    }
}

/// Compares the sum of all elements with the published one. A small difference is said, a large one is an error.
fn compare_sum(sum: Option<&SumCheck>, written: &dyn TensorSource, out: &Path) -> Result<(), FormError> {
    let Some(check) = sum else { return Ok(()) };
    let verdict = check.verdict(written)?;
    if verdict.is_another_model() {
        let (expected, found) =
            (format!("the published sum of all elements, {}", verdict.expected), verdict.without_buffers);
        let advice = "the base is not the one that the difference was made from, or a file is damaged: compare their \
                      digests with the published ones";
        return Err(Refusal::new(out.display().to_string(), expected, format!("{found:.4}"), advice).into());
    }
    if verdict.agrees() {
        tracing::info!("{verdict}")
    } else {
        tracing::warn!("{verdict}")
    }
    Ok(())
}

/// The derived model; nothing large of it is computed yet, but encrypted files are decrypted.
fn put_together(
    parts: &BuildParts,
    known: Known<'_>,
    work: &Path,
    progress: &dyn Progress,
) -> anyhow::Result<Derived> {
    let open = |role| anyhow::Ok(HfModel::open(parts.one(role)?)?);
    let key;
    let pieces = match parts.rule.kind() {
        ReleaseKind::Xor => {
            key = key_in(parts.one(PartRole::Key)?.to_owned(), known.map(|(card, _)| &card.release));
            rebuild::Parts::Encrypted { release: parts.one(PartRole::Released)?, key: &key, work }
        }
        ReleaseKind::Lora => {
            let released = |part: &FoundPart| Released {
                name: part.name.clone(),
                path: part.path.clone(),
                facts: known.map(|known| facts_of_adapter(part, known)).unwrap_or_default(),
            };
            let adapters = parts.all(PartRole::Adapter).map(released).collect();
            rebuild::Parts::Adapters { base: open(PartRole::Base)?, adapters }
        }
        _ => rebuild::Parts::Difference { base: open(PartRole::Base)?, released: open(PartRole::Released)? },
    };
    let facts = known.map(|(card, _)| Facts::of(card)).unwrap_or_default();
    Ok(derive(parts.rule, pieces, &facts, progress)?)
}

fn facts_of_adapter(part: &FoundPart, (card, registry): (&Card, &Registry)) -> Facts {
    // The card may be a view of another of its releases.
    let own = if card.id == part.name { Some(card) } else { registry.card(&part.name) };
    Facts::of(own.expect("a registry knows every adapter of its cards"))
}
