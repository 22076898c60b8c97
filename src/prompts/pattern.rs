//! Patterns: literal text with places for contents and special tokens, as the files of `zoo/prompts/` write them.
//!
//! `{content}`, `{system}` and `{input}` are filled in; `{bos}`, `{eos}` and `{token:<human>}` are special
//! tokens; `{cut}` separates two texts that are encoded apart; `{{` and `}}` are the braces themselves. The
//! contents are never looked at for patterns or tokens.

use serde::{Deserialize, Deserializer};

use super::conversation::Special;
use super::parsed::from_str;

/// One part of a [`Pattern`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatternPiece {
    /// Text as it stands.
    Literal(String),
    /// `{content}`: what the message says.
    Content,
    /// `{system}`: the system text.
    System,
    /// `{input}`: the second text of an instruction.
    Input,
    /// `{bos}`, `{eos}`, `{token:…}`.
    Special(Special),
    /// `{cut}`: nothing to see, but the texts on both sides are encoded apart.
    Cut,
}

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pattern {
    source: String,
    pieces: Vec<PatternPiece>,
}

impl Pattern {
    /// The parts in order; neighbouring literals are joined.
    pub fn pieces(&self) -> &[PatternPiece] {
        &self.pieces
    }

    /// The pattern as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pattern, D::Error> {
        from_str(deserializer)
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    /// Parses a pattern.
    ///
    /// # Errors
    /// An unknown name in braces, or a brace without its partner; in words.
    fn try_from(source: String) -> Result<Pattern, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = source.as_str();
        while let Some(at) = rest.find(['{', '}']) {
            let (before, tail) = rest.split_at(at);
            literal.push_str(before);
            if let Some((brace, after)) = doubled(tail) {
                literal.push(brace);
                rest = after;
                continue;
            }
            let named = tail.strip_prefix('{').and_then(|tail| tail.split_once('}'));
            let Some((name, after)) = named else {
                let found: String = tail.chars().take(20).collect();
                return Err(format!(
                    "expected a name in braces, such as {{content}}, found {found:?}; a brace that is text is written twice"
                ));
            };
            if !literal.is_empty() {
                pieces.push(PatternPiece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(named_piece(name)?);
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(PatternPiece::Literal(literal));
        }
        Ok(Pattern { source, pieces })
    }
}

/// The brace and what follows it, if the text starts with `{{` or `}}`.
fn doubled(text: &str) -> Option<(char, &str)> {
    let open = text.strip_prefix("{{").map(|rest| ('{', rest));
    open.or_else(|| text.strip_prefix("}}").map(|rest| ('}', rest)))
}

fn named_piece(name: &str) -> Result<PatternPiece, String> {
    Ok(match name {
        "content" => PatternPiece::Content,
        "system" => PatternPiece::System,
        "input" => PatternPiece::Input,
        "bos" => PatternPiece::Special(Special::Bos),
        "eos" => PatternPiece::Special(Special::Eos),
        "cut" => PatternPiece::Cut,
        _ => match name.strip_prefix("token:") {
            Some(token) if !token.is_empty() => PatternPiece::Special(Special::Token(token.to_owned())),
            _ => {
                return Err(format!(
                    "expected {{content}}, {{system}}, {{input}}, {{bos}}, {{eos}}, {{cut}} or {{token:NAME}}, found \
                     {{{name}}}; a brace that is text is written twice"
                ));
            }
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(source: &str) -> Result<Vec<PatternPiece>, String> {
        Pattern::try_from(source.to_owned()).map(|pattern| pattern.pieces)
    }

    #[test]
    fn text_places_and_specials() {
        let text = |text: &str| PatternPiece::Literal(text.to_owned());
        let human = PatternPiece::Special(Special::Token("<human>".to_owned()));
        assert_eq!(
            pattern("{token:<human>}:{content}\n{eos}").unwrap(),
            [human, text(":"), PatternPiece::Content, text("\n"), PatternPiece::Special(Special::Eos)]
        );
        assert_eq!(pattern("a{{b}}c").unwrap(), [text("a{b}c")]);
        assert_eq!(pattern("{{{content}}}").unwrap(), [text("{"), PatternPiece::Content, text("}")]);
        assert_eq!(pattern("").unwrap(), []);
    }

    #[test]
    fn braces_that_mean_nothing_are_refused_with_what_was_found() {
        for (source, found) in
            [("{user}", "{user}"), ("a{", "\"{\""), ("a}b", "\"}b\""), ("{token:}", "{token:}"), ("{}", "{}")]
        {
            let message = pattern(source).unwrap_err();
            assert!(message.contains("expected") && message.contains(found), "{source}: {message}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_parses_or_is_refused(source in "[{}a-z:<>]{0,24}") {
            if let Ok(pieces) = pattern(&source) {
                let literals: usize = pieces.iter().map(|p| if let PatternPiece::Literal(t) = p { t.len() } else { 0 }).sum();
                proptest::prop_assert!(literals <= source.len());
            }
        }
    }
}
