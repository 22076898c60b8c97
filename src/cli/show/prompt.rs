//! Prompt of a model: a sample conversation in its template, with its tokens if they can be had.

use std::path::Path;

use crate::prompts::chat_template::{ChatTemplates, compare};
use crate::prompts::{self, PromptTemplates, RenderedSample};
use crate::registry::{Bos, Card, TokenizerKind, TokenizerRecord};
use crate::report::words::{LONGEST, fact, paragraph};
use crate::tokenizer::{SpecialNames, Tokenizer};

/// Template, sample, tokens and stop rules; nothing for a card that names no template. `record` is what is known of the card's
/// tokenizer without its files.
pub fn section(
    card: &Card,
    templates: &PromptTemplates,
    tokenizer: Option<&Tokenizer>,
    record: Option<&TokenizerRecord>,
    width: usize,
) -> String {
    let Some(name) = &card.prompt else { return String::new() };
    let mut out = String::new();
    let Some(template) = templates.get(name) else {
        return fact("template", &format!("{name} (no such template is known)"), width);
    };
    out.push_str(&fact("template", &format!("{name}: {}", template.description.trim()), width));
    if let Some(stop) = &card.stop {
        let mut rules: Vec<String> = stop.ids.iter().map(|id| format!("token {id}")).collect();
        rules.extend(stop.strings.iter().map(|text| format!("{text:?}")));
        rules.extend(stop.regex.iter().map(|regex| format!("/{regex}/")));
        if !rules.is_empty() {
            out.push_str(&fact("an answer ends at", &rules.join(", "), width));
        }
    }
    let bos = puts_bos(card, record);
    match prompts::sample(template, tokenizer) {
        Ok(sample) => out.push_str(&show(&sample, None, bos, width)),
        // The tokenizer may lack the template's special tokens: the text is then shown alone.
        Err(error) => match prompts::sample(template, None) {
            Ok(sample) => out.push_str(&show(&sample, Some(error.to_string()), bos, width)),
            Err(error) => out.push_str(&fact("sample", &error.to_string(), width)),
        },
    }
    out
}

/// The chat template that a checkpoint's folder brings, held against the card's on a few conversations;
/// nothing if either has none.
pub fn own_template(card: &Card, templates: &PromptTemplates, folder: &Path, width: usize) -> String {
    let Some(template) = card.prompt.as_ref().and_then(|name| templates.get(name)) else {
        return String::new();
    };
    let place = folder.display();
    let failed = |error: String| paragraph(&format!("the checkpoint's own chat template: {error}"), 2, width);
    let own = match ChatTemplates::from_folder(folder) {
        Ok(own) => own,
        Err(error) => return failed(error.to_string()),
    };
    let Some(source) = own.default_template() else { return String::new() };
    let specials = match SpecialNames::from_folder(folder) {
        Ok(specials) => specials,
        Err(error) => return failed(error.to_string()),
    };
    let compared = compare(template, &source.source, &specials);
    let differing: Vec<_> = compared.iter().filter(|one| !one.agrees()).collect();
    let verdict = match differing.len() {
        0 => format!(
            "the chat template in {place} renders the same in all {} conversations tried",
            compared.len()
        ),
        n => format!(
            "the chat template in {place} differs from the card's in {n} of {} conversations",
            compared.len()
        ),
    };
    let details: String = differing.iter().map(|one| paragraph(&one.to_string(), 4, width)).collect();
    paragraph(&verdict, 2, width) + &details
}

/// Whether the card's tokenizer puts a BOS in front of texts, as far as its record and the card know.
fn puts_bos(card: &Card, record: Option<&TokenizerRecord>) -> bool {
    let by_record = record.is_some_and(|record| {
        let of_kind = record.kind == TokenizerKind::SentencepieceBpe;
        record.bos.is_some() && record.add_bos_token.unwrap_or(of_kind)
    });
    by_record && card.bos != Bos::Never
}

/// `trouble` says why there are no tokens although there is a tokenizer; `bos` whether one would put a BOS in front where the
/// template lets it.
fn show(sample: &RenderedSample, trouble: Option<String>, bos: bool, width: usize) -> String {
    let mut out = "  sample\n".to_owned();
    out.push_str(&visible(&sample.text, width));
    match &sample.tokens {
        Some(tokens) => {
            let words: Vec<String> = tokens
                .iter()
                .map(|(id, text)| format!("{id}:{}", text.replace('\n', "\\n").replace(' ', "␣")))
                .collect();
            out.push_str(&format!("  {} tokens\n", tokens.len()));
            out.push_str(&paragraph(&words.join(" "), 4, width));
        }
        None => {
            let bos = if sample.adds_bos && bos { "; one would put a BOS in front" } else { "" };
            let why = trouble.unwrap_or_else(|| format!("no tokenizer is here (--tokenizer PATH){bos}"));
            out.push_str(&paragraph(&format!("tokens: {why}"), 2, width));
        }
    }
    out
}

/// The text line by line behind a bar, so that spaces at the ends and empty lines can be seen; a line
/// break of the text is shown as `⏎`, one that only the width asks for is not.
fn visible(text: &str, width: usize) -> String {
    let room = width.min(LONGEST).saturating_sub(7).max(8);
    let mut out = String::new();
    let lines: Vec<&str> = text.split('\n').collect();
    let last = lines.len().saturating_sub(1);
    for (position, line) in lines.iter().enumerate() {
        let mut shown: Vec<char> = line.chars().map(|c| if c == '\t' { '→' } else { c }).collect();
        if shown.last() == Some(&' ') {
            shown.pop();
            shown.push('␣');
        }
        if position < last {
            shown.push('⏎');
        }
        if shown.is_empty() && position == last {
            continue;
        }
        let mut rest = shown.as_slice();
        while !rest.is_empty() {
            // After the last space that fits, if the line is too long.
            let window = rest.get(..room).unwrap_or(rest);
            let space = window.iter().rposition(|&c| c == ' ').map(|at| at + 1);
            let end = if rest.len() > room { space.unwrap_or(room) } else { rest.len() };
            let (part, after) = rest.split_at(end);
            let part: String = part.iter().collect();
            out.push_str(format!("    │ {part}").trim_end());
            out.push('\n');
            rest = after;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page's part on a checkpoint whose tokenizer_config.json has this chat template.
    fn own(id: &str, chat_template: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let settings =
            serde_json::json!({"bos_token": "<s>", "eos_token": "</s>", "chat_template": chat_template});
        std::fs::write(folder.path().join("tokenizer_config.json"), settings.to_string()).unwrap();
        let registry = crate::registry::Registry::load(None).unwrap();
        let templates = prompts::load(None).unwrap();
        own_template(registry.card(id).unwrap(), &templates, folder.path(), 100)
    }

    #[test]
    fn a_checkpoint_s_own_template_is_held_against_the_card_s() {
        let with_newlines = "{% for m in messages %}{{ m.role }}:\n{{ m.content }}\n{% endfor %}";
        let text = own("vicuna-13b-v1.5", with_newlines);
        assert!(text.contains("differs from the card's") && text.contains("one message"), "{text}");
        assert_eq!(own("qianfan-chinese-llama-2", with_newlines), "");
        assert_eq!(own_template_of_an_empty_folder(), "");
    }

    fn own_template_of_an_empty_folder() -> String {
        let registry = crate::registry::Registry::load(None).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let card = registry.card("vicuna-13b-v1.5").unwrap();
        own_template(card, &prompts::load(None).unwrap(), folder.path(), 100)
    }

    #[test]
    fn tokens_are_shown_or_the_reason_why_not() {
        let token = |id, text: &str| (id, text.to_owned());
        let mut sample = RenderedSample {
            text: "Hi</s>".to_owned(),
            adds_bos: true,
            tokens: Some(vec![token(1, "<s>"), token(6324, "▁Hi"), token(2, "</s>")]),
        };
        let text = show(&sample, None, true, 80);
        assert_eq!(text, "  sample\n    │ Hi</s>\n  3 tokens\n    1:<s> 6324:▁Hi 2:</s>\n");
        sample.tokens = None;
        assert!(
            show(&sample, None, true, 80)
                .contains("tokens: no tokenizer is here (--tokenizer PATH); one would")
        );
        assert!(
            show(&sample, None, false, 80).ends_with("tokens: no tokenizer is here (--tokenizer PATH)\n")
        );
        assert!(show(&sample, Some("no EOS".to_owned()), true, 80).ends_with("  tokens: no EOS\n"));
    }

    #[test]
    fn no_bos_is_promised_against_the_card_or_its_tokenizer() {
        let registry = crate::registry::Registry::load(None).unwrap();
        let puts = |id: &str| {
            let card = registry.card(id).unwrap();
            puts_bos(card, registry.tokenizer_of(card))
        };
        for (id, expected) in [
            ("belle-7b-0.2m", false),
            ("smollm2-135m", false),
            ("yi-6b", false),
            ("vicuna-7b-v1.5", true),
            ("llama-3-8b-instruct", true),
        ] {
            assert_eq!(puts(id), expected, "{id}");
        }
    }

    #[test]
    fn line_breaks_and_last_spaces_can_be_seen() {
        assert_eq!(visible("a \nb\n\nc: ", 40), "    │ a␣⏎\n    │ b⏎\n    │ ⏎\n    │ c:␣\n");
        assert_eq!(visible("end\n", 40), "    │ end⏎\n");
        let text = visible(&"x".repeat(30), 20);
        assert!(text.lines().count() == 3 && text.lines().all(|line| line.chars().count() <= 20), "{text}");
    }
}
