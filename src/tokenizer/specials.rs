//! Special and added tokens: their spelling in text is taken out before the rest is encoded.
//!
//! Source: the `AddedToken` rules of Hugging Face's fast tokenizers (`lstrip`, `rstrip`, `single_word`), restated.
//! Text such as `</s>USER:` holds EOS and then a text of its own; without the split, `</s>` would be
//! spelled with three ordinary pieces.

use std::collections::BTreeMap;

use super::TokenizerError;
use super::literals::Literals;

/// A token that is found in text by its spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AddedToken {
    pub text: String,
    /// Left out when decoding without specials.
    pub special: bool,
    /// Swallows white space to its left.
    pub lstrip: bool,
    /// Swallows white space to its right.
    pub rstrip: bool,
    /// Found only between non-word characters.
    pub single_word: bool,
    /// Whether it is looked for in normalised text, after all others; what is not special is, where nobody says.
    pub normalized: Option<bool>,
    /// Whether the settings state all of this, so that it holds over what `tokenizer.json` says.
    pub is_stated: bool,
}

impl AddedToken {
    /// A token without stripping.
    pub fn new(text: impl Into<String>, special: bool) -> AddedToken {
        AddedToken {
            text: text.into(),
            special,
            lstrip: false,
            rstrip: false,
            single_word: false,
            normalized: None,
            is_stated: false,
        }
    }

    /// Whether it is looked for in normalised text.
    pub fn is_normalized(&self) -> bool {
        self.normalized.unwrap_or(!self.special)
    }
}

/// A stretch of text or a token found in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Split<'a> {
    /// Text, with its byte offset.
    Text(usize, &'a str),
    /// A special or added token.
    Token(u32),
}

/// Special and added tokens by id, with their matchers.
#[derive(Debug, Default)]
pub(super) struct SpecialTokens {
    tokens: BTreeMap<u32, AddedToken>,
    literals: Option<Literals>,
    /// Those that are looked for in normalised text, by their own.
    normalized: Option<Literals>,
}

impl SpecialTokens {
    /// Compiles the tokens; `normalize` makes of a text what it is when it is encoded. `place` names their file in errors.
    pub fn new(
        place: &str,
        tokens: BTreeMap<u32, AddedToken>,
        normalize: impl Fn(&str) -> String,
    ) -> Result<SpecialTokens, TokenizerError> {
        let (mut literals, mut normalized) = (Vec::new(), Vec::new());
        for (&id, token) in &tokens {
            match token.is_normalized() {
                false => literals.push((token.text.clone(), id)),
                true => normalized.push((normalize(&token.text), id)),
            }
        }
        let (literals, normalized) = (Literals::new(place, literals)?, Literals::new(place, normalized)?);
        Ok(SpecialTokens { tokens, literals, normalized })
    }

    /// The token with this id.
    pub fn get(&self, id: u32) -> Option<&AddedToken> {
        self.tokens.get(&id)
    }

    /// The largest id.
    pub fn last_id(&self) -> Option<u32> {
        self.tokens.last_key_value().map(|(&id, _)| id)
    }

    /// Cuts `text` into tokens and the non-empty texts between them; tokens of normalised text stay in these.
    pub fn split<'a>(&self, text: &'a str) -> Vec<Split<'a>> {
        self.split_by(self.literals.as_ref(), text)
    }

    /// Cuts such a text, normalised, into the tokens that are left and the texts between them.
    pub fn split_normalized<'a>(&self, text: &'a str) -> Vec<Split<'a>> {
        self.split_by(self.normalized.as_ref(), text)
    }

    fn split_by<'a>(&self, literals: Option<&Literals>, text: &'a str) -> Vec<Split<'a>> {
        let mut segments = Vec::new();
        let mut done = 0;
        let push_text = |segments: &mut Vec<Split<'a>>, start: usize, end: usize| {
            if let Some(part) = text.get(start..end).filter(|part| !part.is_empty()) {
                segments.push(Split::Text(start, part));
            }
        };
        for (found, id) in literals.iter().flat_map(|literals| literals.find_all(text)) {
            let token = self.tokens.get(&id).expect("the literals are those of the tokens");
            let (before, after) = (&text[..found.start], &text[found.end..]);
            let touches_word =
                before.chars().next_back().is_some_and(is_word) || after.chars().next().is_some_and(is_word);
            if token.single_word && touches_word {
                continue;
            }
            let start = if token.lstrip { before.trim_end().len() } else { found.start };
            let end =
                if token.rstrip { found.end + after.len() - after.trim_start().len() } else { found.end };
            push_text(&mut segments, done, start.max(done));
            segments.push(Split::Token(id));
            done = end;
        }
        push_text(&mut segments, done, text.len());
        segments
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(list: &[(u32, AddedToken)]) -> SpecialTokens {
        SpecialTokens::new("test", list.iter().cloned().collect(), str::to_owned).unwrap()
    }

    #[test]
    fn cuts_tokens_out_of_text() {
        let set = tokens(&[(1, AddedToken::new("<s>", true)), (2, AddedToken::new("</s>", true))]);
        assert_eq!(
            set.split("<s>a</s></s> b"),
            [Split::Token(1), Split::Text(3, "a"), Split::Token(2), Split::Token(2), Split::Text(12, " b")]
        );
        assert_eq!(set.split(""), []);
        assert_eq!(SpecialTokens::default().split("<s>"), [Split::Text(0, "<s>")]);
    }

    #[test]
    fn strips_white_space_and_keeps_whole_words() {
        let strip = AddedToken { lstrip: true, rstrip: true, ..AddedToken::new("<m>", true) };
        let word = AddedToken { single_word: true, normalized: Some(false), ..AddedToken::new("cat", false) };
        let set = tokens(&[(7, strip), (8, word)]);
        assert_eq!(
            set.split("a \n<m>  <m> b"),
            [Split::Text(0, "a"), Split::Token(7), Split::Token(7), Split::Text(12, "b")]
        );
        assert_eq!(set.split("concat cat"), [Split::Text(0, "concat "), Split::Token(8)]);
    }

    proptest::proptest! {
        #[test]
        fn the_segments_are_the_text(text in "[a<s>/]{0,30}") {
            let set = tokens(&[(1, AddedToken::new("<s>", true)), (2, AddedToken::new("</s>", true))]);
            let joined: String = set.split(&text).into_iter().map(|segment| match segment {
                Split::Text(_, text) => text,
                Split::Token(1) => "<s>",
                Split::Token(_) => "</s>",
            }).collect();
            proptest::prop_assert_eq!(joined, text);
        }
    }
}
