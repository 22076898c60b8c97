//! What serde cannot see: places that a pattern lacks or may not have, and whether the golden texts come out.

use super::encode::EncodeMode;
use super::error::PromptError;
use super::pattern::{Pattern, Piece};
use super::render::Special;
use super::template::{BosRule, Kind, PromptTemplate};
use crate::base::yaml::{FileError, line_of};

/// The longest name.
const MAX_NAME: usize = 64;

/// Checks a template; `stem` is the name of its file without the ending.
///
/// Errors: the first fault, with file, line and field.
pub(super) fn check(
    template: &PromptTemplate,
    file: &str,
    stem: &str,
    source: &str,
) -> Result<(), PromptError> {
    let checker = Checker { file, source };
    checker.name(&template.name, stem)?;
    checker.texts(template)?;
    checker.layout(template)?;
    checker.bos(template)?;
    checker.sampling(template)?;
    checker.golden(template)
}

struct Checker<'a> {
    file: &'a str,
    source: &'a str,
}

impl Checker<'_> {
    fn fault<T>(&self, field: &str, expected: &str, found: impl Into<String>) -> Result<T, PromptError> {
        let path: Vec<&str> = field.split('.').collect();
        let line = line_of(self.source, &path);
        let (file, field, expected) = (self.file.to_owned(), field.to_owned(), expected.to_owned());
        Err(FileError::Field { file, line, field, expected, found: found.into() }.into())
    }

    fn name(&self, name: &str, stem: &str) -> Result<(), PromptError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | '_');
        if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(plain) {
            return self.fault("name", "lower-case letters, digits, `-`, `.` and `_`", format!("{name:?}"));
        }
        if name != stem {
            return self.fault("name", &format!("the name of the file, {stem:?}"), format!("{name:?}"));
        }
        Ok(())
    }

    fn texts(&self, template: &PromptTemplate) -> Result<(), PromptError> {
        for (field, text) in [("description", &template.description), ("src", &template.src)] {
            if text.trim().is_empty() {
                return self.fault(field, "a text", "an empty one");
            }
        }
        for (field, texts) in [("forbidden", &template.forbidden), ("stop.strings", &template.stop.strings)] {
            if texts.iter().any(String::is_empty) {
                return self.fault(field, "texts with at least one character", "an empty one");
            }
        }
        Ok(())
    }

    fn layout(&self, template: &PromptTemplate) -> Result<(), PromptError> {
        let layout = &template.layout;
        let contents: &[Piece] = &[Piece::Content];
        let rows: [(&str, Option<&Pattern>, &[Piece]); 7] = [
            ("layout.system", layout.system.as_ref(), &[Piece::System]),
            ("layout.system_in_user", layout.system_in_user.as_ref(), &[Piece::System, Piece::Content]),
            ("layout.user", Some(&layout.user), contents),
            ("layout.user_with_input", layout.user_with_input.as_ref(), &[Piece::Content, Piece::Input]),
            ("layout.assistant", layout.assistant.as_ref(), contents),
            ("layout.generation", Some(&layout.generation), &[]),
            ("layout.between", Some(&layout.between), &[]),
        ];
        let cut = rows.iter().any(|(_, pattern, _)| pattern.is_some_and(|pattern| pattern.has(&Piece::Cut)));
        for (field, pattern, wanted) in rows {
            let Some(pattern) = pattern else { continue };
            for place in [Piece::Content, Piece::System, Piece::Input] {
                let found = pattern.pieces().iter().filter(|piece| **piece == place).count();
                let name = place_name(&place);
                match (wanted.contains(&place), found) {
                    (true, 1) | (false, 0) => {}
                    (true, _) => {
                        return self.fault(field, &format!("{name} once"), format!("{found} of them"));
                    }
                    (false, _) => return self.fault(field, &format!("no {name} here"), pattern.source()),
                }
            }
        }
        if layout.system.is_some() && layout.system_in_user.is_some() {
            return self.fault("layout.system_in_user", "either this or layout.system", "both");
        }
        let special = |piece: &Piece| matches!(piece, Piece::Special(_) | Piece::Cut);
        if let Some(folded) = layout.system_in_user.as_ref().filter(|p| p.pieces().iter().any(special)) {
            return self.fault("layout.system_in_user", "text, {system} and {content} only", folded.source());
        }
        if template.default_system.is_some() && layout.system.is_none() && layout.system_in_user.is_none() {
            return self.fault("default_system", "a place for it in the layout", "none");
        }
        if template.kind == Kind::Chat && layout.assistant.is_none() {
            return self.fault("layout.assistant", "a pattern, as the template is for chats", "none");
        }
        if cut && template.encode != EncodeMode::PerSegment {
            return self.fault(
                "encode",
                "per-segment, as the layout has {cut}",
                format!("{:?}", template.encode),
            );
        }
        Ok(())
    }

    /// A layout that writes its own BOS at the start must not get a second one.
    fn bos(&self, template: &PromptTemplate) -> Result<(), PromptError> {
        let starts = |pattern: &Pattern| pattern.pieces().first() == Some(&Piece::Special(Special::Bos));
        let layout = &template.layout;
        let first = layout.system.as_ref().unwrap_or(&layout.user);
        if template.bos == BosRule::Tokenizer && (starts(first) || starts(&layout.user)) {
            return self.fault("bos", "never, as the layout starts with {bos}", "tokenizer");
        }
        Ok(())
    }

    fn sampling(&self, template: &PromptTemplate) -> Result<(), PromptError> {
        let Some(sampling) = &template.sampling else { return Ok(()) };
        let rows = [
            ("sampling.temperature", sampling.temperature, 0.0, 100.0),
            ("sampling.top_p", sampling.top_p, f64::MIN_POSITIVE, 1.0),
            ("sampling.repetition_penalty", sampling.repetition_penalty, f64::MIN_POSITIVE, 100.0),
        ];
        for (field, value, least, most) in rows {
            if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
                return self.fault(field, "a sensible number", value.to_string());
            }
        }
        Ok(())
    }

    fn golden(&self, template: &PromptTemplate) -> Result<(), PromptError> {
        if template.golden.is_empty() {
            return self.fault("golden", "at least one conversation with its exact text", "none");
        }
        for golden in &template.golden {
            if golden.ids.is_some() != golden.tokenizer.is_some() {
                return self.fault("golden", "`ids` and `tokenizer` together", "one of the two");
            }
        }
        match template.check_golden() {
            Ok(()) => Ok(()),
            Err(error) => {
                self.fault("golden", "conversations that render as the file says", error.to_string())
            }
        }
    }
}

fn place_name(place: &Piece) -> &'static str {
    match place {
        Piece::System => "{system}",
        Piece::Input => "{input}",
        _ => "{content}",
    }
}

#[cfg(test)]
mod tests {
    use super::super::load::parse;

    const FILE: &str = "\
name: tiny
kind: chat
description: For tests.
src: D
layout:
  system: \"{system}\\n\"
  user: \"U: {content}\\n\"
  assistant: \"A: {content}{eos}\"
  generation: \"A:\"
bos: tokenizer
encode: legacy
golden:
  - messages: [{role: user, content: hi}]
    text: \"U: hi\\nA:\"
    src: D
";

    #[test]
    fn the_small_template_is_sound() {
        assert_eq!(parse("p/tiny.yaml", FILE).unwrap().golden.len(), 1);
    }

    #[test]
    fn faults_name_file_line_and_field() {
        let cases = [
            ("name: tiny", "name: Tiny", "p/tiny.yaml:1: name: expected lower-case"),
            ("name: tiny", "name: other", "p/tiny.yaml:1: name: expected the name of the file, \"tiny\""),
            ("For tests.", "''", "p/tiny.yaml:3: description:"),
            ("U: {content}", "U: ", "p/tiny.yaml:7: layout.user: expected {content} once, found 0"),
            ("U: {content}", "{content}{content}", "layout.user: expected {content} once, found 2"),
            ("U: {content}", "{system}{content}", "layout.user: expected no {system} here"),
            ("U: {content}", "{bos}{content}", ":10: bos: expected never"),
            ("U: {content}", "{cut}{content}", ":11: encode: expected per-segment"),
            ("  system:", "  system_in_user:", ":6: layout.system_in_user: expected {content} once"),
            ("\"A:\"", "\"A: {content}\"", ":9: layout.generation: expected no {content}"),
            ("  assistant: \"A: {content}{eos}\"\n", "", "layout.assistant: expected a pattern"),
            ("bos: tokenizer", "bos: tokenizer\nforbidden: ['']", ":11: forbidden:"),
            ("bos: tokenizer", "bos: tokenizer\nsampling: {top_p: 1.5, src: D}", "sampling.top_p: expected"),
            ("\\nA:\"\n", "\\nB:\"\n", ":12: golden: expected conversations that render"),
            ("    src: D\n", "    src: D\n    ids: [1]\n", ":12: golden: expected `ids` and `tokenizer`"),
            ("bos: tokenizer", "bos: tokenizer\nbosh: 1", "p/tiny.yaml:11: unknown field `bosh`"),
            ("bos: tokenizer", "bos: often", "p/tiny.yaml:10: bos: unknown variant"),
            ("{content}{eos}", "{contents}", ":8: layout.assistant: expected {content}, {system}"),
            ("kind: chat", "kind: [chat]", "p/tiny.yaml:2: "),
        ];
        for (from, to, wanted) in cases {
            assert!(FILE.contains(from), "{from}");
            let message = parse("p/tiny.yaml", &FILE.replace(from, to)).unwrap_err().to_string();
            assert!(message.starts_with("p/tiny.yaml:") && message.contains(wanted), "{to}: {message}");
        }
    }
}
