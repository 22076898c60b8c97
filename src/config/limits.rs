//! Limits of the numbers in a configuration.
//!
//! A configuration is untrusted input. Its numbers are checked before anything is computed from them, so that
//! products of a few of them stay within a machine word and nothing is allocated for a damaged file.

use super::ConfigError;
use crate::base::fault::Refusal;

/// Blocks of a network; no released model comes near.
pub const MAX_LAYERS: usize = 1024;
/// Width of a layer.
pub const MAX_WIDTH: usize = 1 << 20;
/// Rows of an embedding.
pub const MAX_VOCABULARY: usize = 1 << 24;
/// Positions of a context.
pub const MAX_POSITIONS: usize = 1 << 24;

/// Checks that every `(field, value, limit)` has a value from 1 to its limit; `source` names the file in errors.
pub fn check(source: &str, fields: &[(&str, usize, usize)]) -> Result<(), ConfigError> {
    for &(field, value, limit) in fields {
        if value == 0 {
            return Err(Refusal::of_field(source, field, format!("1 to {limit}"), "0").into());
        }
        if value > limit {
            return Err(ConfigError::Limit {
                source_file: source.to_owned(),
                field: field.to_owned(),
                limit: limit as u64,
                found: value as u64,
            });
        }
    }
    Ok(())
}
