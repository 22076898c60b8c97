//! Checks on what cards, tokenizers and recipes have in common: adapters and digests of files.

use super::checker::{Checker, is_relative};
use super::{Lora, RegistryError, ReleaseDigests};

/// Projections of a transformer block that an adapter can target.
const PROJECTIONS: [&str; 7] = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

/// An adapter; `field` is the name of the map that it is read from.
pub(super) fn lora(checker: &Checker<'_>, field: &str, lora: &Lora) -> Result<(), RegistryError> {
    let field = |name: &str| format!("{field}.{name}");
    checker.within(&field("r"), Some(lora.r.into()), 65_536)?;
    checker.positive_float(&field("alpha"), Some(lora.alpha))?;
    checker.fraction(&field("dropout"), lora.dropout)?;
    for module in &lora.target_modules {
        let ok = PROJECTIONS.contains(&module.as_str()) || module == "query_key_value";
        checker.require(ok, &field("target_modules"), format!("some of {PROJECTIONS:?}"), module)?;
    }
    for module in &lora.modules_to_save {
        let ok = matches!(module.as_str(), "embed_tokens" | "lm_head");
        checker.require(ok, &field("modules_to_save"), "embed_tokens and lm_head", module)?;
    }
    Ok(())
}

/// Digests of a release or of a tokenizer.
pub(super) fn digests(
    checker: &Checker<'_>,
    field: &str,
    digests: &ReleaseDigests,
) -> Result<(), RegistryError> {
    for (file, digest) in &digests.files {
        checker.require(
            is_relative(file),
            &format!("{field}.files"),
            "relative file names without '..'",
            file,
        )?;
        checker.hexadecimal(&format!("{field}.files.sha256"), digest.sha256.as_deref(), 64)?;
        checker.hexadecimal(&format!("{field}.files.md5"), digest.md5.as_deref(), 32)?;
        checker.positive(&format!("{field}.files.size"), digest.size)?;
        let some = digest.sha256.is_some() || digest.md5.is_some();
        checker.require(some, &format!("{field}.files"), "a sha256 or an md5", file)?;
    }
    Ok(())
}
