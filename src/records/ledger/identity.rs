//! Whose scores a ledger holds, and how a request is named in it.

use serde::{Deserialize, Serialize};

use super::WriteRequest;
use crate::base::digest::{Digest, Sha256, hex};
use crate::base::journal::checksum;
use crate::engine::ScoreRequest;

/// Everything besides a request's tokens that its score depends on. Two models of one identity give the same
/// scores, so what is known of one may be said of the other; a model of another identity never answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Digest of the weights' files.
    pub weights_sha256: String,
    /// Digest of the shape and constants they are run with.
    pub config_sha256: String,
    /// Digest of the tokenizer.
    pub tokenizer_sha256: String,
    /// The arithmetic's name.
    pub precision: String,
    /// The matrix products' implementation.
    pub matmul: String,
    /// [`ARITHMETIC`](crate::engine::ARITHMETIC) of the program.
    pub arithmetic: u32,
}

impl Identity {
    /// All fields under names that a person recognises, in the order in which they are digested.
    fn fields(&self) -> [(&'static str, String); 6] {
        [
            ("weights", self.weights_sha256.clone()),
            ("configuration", self.config_sha256.clone()),
            ("tokenizer", self.tokenizer_sha256.clone()),
            ("precision", self.precision.clone()),
            ("matmul", self.matmul.clone()),
            ("arithmetic", self.arithmetic.to_string()),
        ]
    }

    /// The fields that differ, as `name: own, other's`.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let short = |text: &str| text.chars().take(12).collect::<String>();
        let both = self.fields().into_iter().zip(other.fields());
        let differing = both.filter(|((_, own), (_, others))| own != others);
        differing
            .map(|((name, own), (_, others))| format!("{name} {}, not {}", short(&own), short(&others)))
            .collect()
    }

    /// What every key and every checksum of this identity's ledger begins with.
    pub(super) fn seed(&self) -> Seed {
        let mut hasher = Sha256::new();
        for (_, field) in self.fields() {
            // Lengths keep two fields from running into each other.
            hasher.update((field.len() as u64).to_le_bytes());
            hasher.update(field);
        }
        Seed(hasher.finalize().into())
    }
}

/// A request in a ledger: 128 bits of a SHA-256, so that no two requests ever share one.
pub(super) type Key = [u8; 16];

/// The digest of an [`Identity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seed([u8; 32]);

impl Seed {
    /// The key of a request to a model with `max_length` positions: of the tokens that the model sees, and of where
    /// among them the continuation begins.
    pub fn key(&self, request: &ScoreRequest, max_length: usize) -> Key {
        let mut hasher = Sha256::new();
        hasher.update(self.0);
        hasher.update((request.continuation.len() as u64).to_le_bytes());
        let tokens = request.context.iter().chain(&request.continuation);
        for token in tokens.skip(request.truncated(max_length)) {
            hasher.update(token.to_le_bytes());
        }
        *hasher.finalize().first_chunk().expect("SHA-256 has 32 bytes")
    }

    /// The key of a text that is to be written.
    pub fn key_of_text(&self, request: &WriteRequest) -> Key {
        let mut hasher = Sha256::new();
        hasher.update(self.0);
        // No score is of so many tokens.
        hasher.update(u64::MAX.to_le_bytes());
        hasher.update((request.prompt.len() as u64).to_le_bytes());
        request.prompt.iter().for_each(|token| hasher.update(token.to_le_bytes()));
        hasher.update(&request.settings);
        *hasher.finalize().first_chunk().expect("SHA-256 has 32 bytes")
    }

    /// The checksum of a line, which no line of another identity's ledger has.
    pub fn check(&self, line: &str) -> String {
        checksum(&[&self.0, line.as_bytes()])
    }

    /// The beginning of the digest, for the file's name.
    pub fn short(&self) -> String {
        hex(&self.0[..6])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::records::ledger) fn identity(weights: &str) -> Identity {
        Identity {
            weights_sha256: weights.to_owned(),
            config_sha256: "c0".repeat(32),
            tokenizer_sha256: "70".repeat(32),
            precision: "exact".to_owned(),
            matmul: "portable".to_owned(),
            arithmetic: 1,
        }
    }

    pub(in crate::records::ledger) fn request(context: &[u32], continuation: &[u32]) -> ScoreRequest {
        ScoreRequest { context: context.into(), continuation: continuation.to_vec() }
    }

    #[test]
    fn a_key_is_what_the_model_sees_of_the_request() {
        let seed = identity("a").seed();
        let key = |context: &[u32], continuation: &[u32]| seed.key(&request(context, continuation), 4);
        // Five tokens are seen of four positions: the last one is never an input.
        assert_eq!(key(&[9, 1, 2, 3], &[4, 5]), key(&[8, 1, 2, 3], &[4, 5]));
        assert_ne!(key(&[1, 2, 3], &[4, 5]), key(&[0, 2, 3], &[4, 5]));
        // The same tokens, cut elsewhere.
        assert_ne!(key(&[1, 2, 3], &[4, 5]), key(&[1, 2], &[3, 4, 5]));
        assert_ne!(key(&[1, 2], &[3]), key(&[1, 2], &[3, 0]));
    }

    #[test]
    fn every_field_makes_another_key() {
        let own = identity("a");
        let asked = request(&[1], &[2]);
        let change: [fn(&mut Identity); 6] = [
            |i| i.weights_sha256.push('0'),
            |i| i.config_sha256.push('0'),
            |i| i.tokenizer_sha256.push('0'),
            |i| i.precision.push('0'),
            |i| i.matmul.push('0'),
            |i| i.arithmetic += 1,
        ];
        for change in change {
            let mut other = own.clone();
            change(&mut other);
            assert_ne!(own.seed().key(&asked, 9), other.seed().key(&asked, 9));
            assert_eq!(own.differences(&other).len(), 1);
        }
        assert!(own.differences(&own).is_empty());
        // A character that moves from one field to the next.
        let mut moved = own.clone();
        moved.precision = "exac".to_owned();
        moved.matmul = "tportable".to_owned();
        assert_ne!(own.seed(), moved.seed());
    }
}
