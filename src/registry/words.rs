//! The words of cards, records and recipes for the values of enums: those by which serde reads and writes them.

use super::recipe::{Decay, Tag};
use super::{Bos, ModelType, ReleaseKind, RopeScalingKind, Rule, TokenizerKind, VocabularyRule};

macro_rules! words {
    ($($kind:ty),+) => {$(
        impl $kind {
            /// The word in files and tables.
            pub fn as_str(self) -> &'static str {
                crate::base::names::name_of(&self)
            }
        }
    )+};
}

words!(Bos, Decay, ModelType, ReleaseKind, RopeScalingKind, Rule, Tag, TokenizerKind, VocabularyRule);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_files() {
        assert_eq!([Bos::EachTurn.as_str(), Rule::VicunaDeltaV0.as_str()], ["each-turn", "vicuna_delta_v0"]);
        assert_eq!(
            [Tag::ContinuedPretraining.as_str(), Decay::Cosine.as_str()],
            ["continued-pretraining", "cosine"]
        );
        for rule in Rule::ALL {
            assert_eq!(serde_yaml::from_str::<Rule>(rule.as_str()).unwrap(), rule);
        }
    }
}
