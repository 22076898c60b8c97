//! What serde cannot see: places that a pattern lacks or may not have, and whether the golden texts come out.

use super::conversation::{End, PromptSegment, Special, text};
use super::error::PromptError;
use super::pattern::{Pattern, PatternPiece};
use super::template::{BosRule, EncodeMode, PromptTemplate, TemplateKind};
use crate::base::yaml::{FileError, stem};

const MAX_NAME: usize = 64;

/// The path of a field, what is expected there, and what was found.
type Wrong = (&'static str, String, String);

/// Checks a template that stands in `file`, whose text is `source`.
///
/// Errors: the first fault, with file, line and field.
pub(super) fn check(template: &PromptTemplate, file: &str, source: &str) -> Result<(), PromptError> {
    let checked = name(&template.name, stem(file))
        .and_then(|()| texts(template))
        .and_then(|()| layout(template))
        .and_then(|()| bos(template))
        .and_then(|()| sampling(template))
        .and_then(|()| golden(template));
    checked.map_err(|(field, expected, found)| FileError::field(file, source, field, expected, found).into())
}

fn require(
    holds: bool,
    field: &'static str,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> Result<(), Wrong> {
    if holds { Ok(()) } else { Err((field, expected.into(), found.into())) }
}

fn name(name: &str, stem: &str) -> Result<(), Wrong> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | '_');
    let sensible = (1..=MAX_NAME).contains(&name.len()) && name.chars().all(plain);
    require(sensible, "name", "lower-case letters, digits, `-`, `.` and `_`", format!("{name:?}"))?;
    require(name == stem, "name", format!("the name of the file, {stem:?}"), format!("{name:?}"))
}

fn texts(template: &PromptTemplate) -> Result<(), Wrong> {
    for (field, text) in [("description", &template.description), ("src", &template.src)] {
        require(!text.trim().is_empty(), field, "a text", "an empty one")?;
    }
    for (field, texts) in [("forbidden", &template.forbidden), ("stop.strings", &template.stop.strings)] {
        let filled = texts.iter().all(|text| !text.is_empty());
        require(filled, field, "texts with at least one character", "an empty one")?;
    }
    Ok(())
}

fn layout(template: &PromptTemplate) -> Result<(), Wrong> {
    let layout = &template.layout;
    let rows: [(&str, Option<&Pattern>, &[PatternPiece]); 7] = [
        ("layout.system", layout.system.as_ref(), &[PatternPiece::System]),
        (
            "layout.system_in_user",
            layout.system_in_user.as_ref(),
            &[PatternPiece::System, PatternPiece::Content],
        ),
        ("layout.user", Some(&layout.user), &[PatternPiece::Content]),
        (
            "layout.user_with_input",
            layout.user_with_input.as_ref(),
            &[PatternPiece::Content, PatternPiece::Input],
        ),
        ("layout.assistant", layout.assistant.as_ref(), &[PatternPiece::Content]),
        ("layout.generation", Some(&layout.generation), &[]),
        ("layout.between", Some(&layout.between), &[]),
    ];
    let mut cut = false;
    for (field, pattern, wanted) in rows {
        let Some(pattern) = pattern else { continue };
        cut |= pattern.pieces().contains(&PatternPiece::Cut);
        let places = [
            (PatternPiece::Content, "{content}"),
            (PatternPiece::System, "{system}"),
            (PatternPiece::Input, "{input}"),
        ];
        for (place, name) in places {
            let found = pattern.pieces().iter().filter(|piece| **piece == place).count();
            if wanted.contains(&place) {
                require(found == 1, field, format!("{name} once"), format!("{found} of them"))?;
            } else {
                require(found == 0, field, format!("no {name} here"), pattern.source())?;
            }
        }
    }
    let places_for_system = [&layout.system, &layout.system_in_user].into_iter().flatten().count();
    require(places_for_system < 2, "layout.system_in_user", "either this or layout.system", "both")?;
    if let Some(folded) = &layout.system_in_user {
        let text = folded
            .pieces()
            .iter()
            .all(|piece| !matches!(piece, PatternPiece::Special(_) | PatternPiece::Cut));
        require(text, "layout.system_in_user", "text, {system} and {content} only", folded.source())?;
    }
    let placed = template.default_system.is_none() || places_for_system > 0;
    require(placed, "default_system", "a place for it in the layout", "none")?;
    let answers = template.kind != TemplateKind::Chat || layout.assistant.is_some();
    require(answers, "layout.assistant", "a pattern, as the template is for chats", "none")?;
    let apart = !cut || template.encode == EncodeMode::PerSegment;
    require(apart, "encode", "per-segment, as the layout has {cut}", format!("{:?}", template.encode))
}

/// A layout that writes its own BOS at the start must not get a second one.
fn bos(template: &PromptTemplate) -> Result<(), Wrong> {
    let starts = |pattern: &Pattern| pattern.pieces().first() == Some(&PatternPiece::Special(Special::Bos));
    let own = starts(&template.layout.user) || template.layout.system.as_ref().is_some_and(starts);
    let once = template.bos == BosRule::Never || !own;
    require(once, "bos", "never, as the layout starts with {bos}", "tokenizer")
}

fn sampling(template: &PromptTemplate) -> Result<(), Wrong> {
    let Some(sampling) = &template.sampling else { return Ok(()) };
    for (field, value, least, most) in [
        ("sampling.temperature", sampling.temperature, 0.0, 100.0),
        ("sampling.top_p", sampling.top_p, f64::MIN_POSITIVE, 1.0),
        ("sampling.repetition_penalty", sampling.repetition_penalty, f64::MIN_POSITIVE, 100.0),
    ] {
        if let Some(value) = value {
            require((least..=most).contains(&value), field, "a sensible number", value.to_string())?;
        }
    }
    Ok(())
}

fn golden(template: &PromptTemplate) -> Result<(), Wrong> {
    let any = !template.golden.is_empty();
    require(any, "golden", "at least one conversation with its exact text", "none")?;
    let paired = template.golden.iter().all(|golden| golden.ids.is_some() == golden.tokenizer.is_some());
    require(paired, "golden", "`ids` and `tokenizer` together", "one of the two")?;
    let rendered = template.check_golden();
    rendered.map_err(|found| ("golden", "conversations that render as the file says".to_owned(), found))
}

impl PromptTemplate {
    /// Compares the renderings of all golden conversations.
    ///
    /// Errors: the first difference, or a conversation that does not render; in words.
    pub fn check_golden(&self) -> Result<(), String> {
        for (index, golden) in (1..).zip(&self.golden) {
            let differs = |what: &str, expected: &dyn std::fmt::Debug, found: &dyn std::fmt::Debug| {
                let name = &self.name;
                format!(
                    "prompt template {name}: golden {index}: {what}: expected {expected:?}, found {found:?}"
                )
            };
            let end = if golden.add_generation_prompt { End::Answer } else { End::Closed };
            let segments = self.render(&golden.messages, end).map_err(|error| error.to_string())?;
            let found = text(&segments);
            if found != golden.text {
                return Err(differs("text", &golden.text, &found));
            }
            let parts = segments.iter().filter_map(|segment| match segment {
                PromptSegment::Text(text) => Some(text.as_str()),
                PromptSegment::Special(_) => None,
            });
            let parts: Vec<&str> = parts.collect();
            if let Some(wanted) = golden.parts.as_ref().filter(|wanted| **wanted != parts) {
                return Err(differs("parts", wanted, &parts));
            }
        }
        Ok(())
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
            let message = parse("p/tiny.yaml", FILE.replace(from, to)).unwrap_err().to_string();
            assert!(message.starts_with("p/tiny.yaml:") && message.contains(wanted), "{to}: {message}");
        }
    }
}
