//! The page of one model, section by section, for a width of columns.

use serde_json::Value;

use super::prompt;
use crate::cli::family;
use crate::prompts::PromptTemplates;
use crate::registry::{ArchitectureRecord, Card, Registry, Release, Source};
use crate::report::numbers::{short_bytes, short_count};
use crate::report::words::{fact, paragraph};
use crate::tokenizer::Tokenizer;

/// What a page is made from.
pub struct Page<'a> {
    pub registry: &'a Registry,
    pub templates: &'a PromptTemplates,
    /// For the tokens of the prompt.
    pub tokenizer: Option<&'a Tokenizer>,
    /// Where a source's files are on this machine, if they are.
    pub place: &'a dyn Fn(&Source) -> Option<String>,
    /// Columns.
    pub width: usize,
}

impl Page<'_> {
    /// The whole page.
    pub fn text(&self, card: &Card) -> String {
        let mut out = paragraph(&format!("{} · {}", card.id, card.name), 0, self.width);
        if let Some(text) = &card.description {
            out.push_str(&paragraph(text, 0, self.width));
        }
        self.section(&mut out, "", self.names(card));
        if card.base.is_some() {
            let lineage = family::lineage(self.registry, card).text(self.width.saturating_sub(2));
            self.section(&mut out, "Lineage (release form, training)", indented(&lineage, 2));
        }
        self.section(&mut out, "Training", self.training(card));
        self.section(&mut out, "Size and licence", self.size(card));
        if let Some(text) = card.to_bring() {
            self.section(&mut out, "To run it", paragraph(&capitalised(&text), 2, self.width));
        }
        for (position, release) in card.releases().enumerate() {
            let title = if position == 0 { "Release" } else { "Also released" };
            self.section(&mut out, title, self.release(card, release));
        }
        self.section(&mut out, "Sources", self.sources(card));
        let record = self.registry.tokenizer_of(card);
        let prompt = prompt::section(card, self.templates, self.tokenizer, record, self.width);
        self.section(&mut out, "Prompt", prompt);
        self.section(&mut out, "Published scores", self.scores(card));
        self.section(&mut out, "Notes", self.paragraphs(&card.notes));
        self.section(&mut out, "Doubts", self.paragraphs(&self.doubts(card)));
        if let Some(network) = self.registry.architecture_of(card) {
            self.section(&mut out, "Architecture", self.architecture(network));
        }
        self.section(&mut out, "Tokenizer", self.tokenizer_facts(card));
        self.section(&mut out, "This card", self.origin(card));
        out
    }

    /// A title and what stands below it; nothing if there is nothing.
    fn section(&self, out: &mut String, title: &str, text: String) {
        if text.is_empty() {
            return;
        }
        out.push('\n');
        if !title.is_empty() {
            out.push_str(&format!("{title}\n"));
        }
        out.push_str(&text);
    }

    fn paragraphs(&self, texts: &[String]) -> String {
        texts.iter().map(|text| paragraph(text, 2, self.width)).collect()
    }

    /// `name  value` for every value that there is.
    fn table(&self, facts: &[(&str, Option<String>)]) -> String {
        let known = facts.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        known.map(|(name, value)| fact(name, value, self.width)).collect()
    }

    fn names(&self, card: &Card) -> String {
        let list = |words: &[String]| (!words.is_empty()).then(|| words.join(", "));
        let family = if card.relative { format!("{}, a relative", card.family) } else { card.family.clone() };
        self.table(&[
            ("also called", list(&card.aliases)),
            ("family", Some(family)),
            ("languages", list(&card.languages)),
        ])
    }

    fn size(&self, card: &Card) -> String {
        let rows = self.registry.architecture_of(card).map(|network| network.vocab_size.to_string());
        let fetched = self.registry.bytes_to_fetch(card).map(short_bytes);
        self.table(&[
            ("parameters", card.parameters.map(|n| format!("{n} ({})", short_count(n)))),
            ("context", card.context.map(|n| format!("{n} tokens"))),
            ("vocabulary", rows.map(|rows| format!("{rows} tokens"))),
            ("to fetch", fetched.map(|bytes| format!("about {bytes}"))),
            ("licence", Some(card.license.clone())),
        ])
    }

    fn origin(&self, card: &Card) -> String {
        self.table(&[
            ("file", Some(card.origin.file.clone()).filter(|file| !file.is_empty())),
            ("read in", card.src.clone()),
        ])
    }

    fn release(&self, card: &Card, release: &Release) -> String {
        let vocabulary = release.vocabulary.as_ref().map(|vocabulary| {
            let rows = vocabulary.rows.map(|rows| format!(", {rows} rows")).unwrap_or_default();
            format!("{}{rows}", vocabulary.rule.as_str())
        });
        let lora = release.lora.as_ref().map(|lora| {
            let saved = match lora.modules_to_save.join(" ") {
                whole if whole.is_empty() => whole,
                whole => format!("; whole: {whole}"),
            };
            format!("rank {}, alpha {} on {}{saved}", lora.r, lora.alpha, lora.target_modules.join(" "))
        });
        let base = release.rule.and(release.base.clone().or_else(|| card.base.clone()));
        let order = (!release.merge_order.is_empty()).then(|| release.merge_order.join(", then "));
        let key = release.key.as_ref().map(|key| format!("{} of {}", key.file, key.model));
        let digests = release.digests.as_ref().map(|digests| {
            let of = digests.note.as_deref().map(|note| format!(" ({})", note.trim())).unwrap_or_default();
            let plural = if digests.files.len() == 1 { "" } else { "s" };
            format!("known for {} file{plural}{of}", digests.files.len())
        });
        self.table(&[
            ("form", Some(release.kind.as_str().to_owned())),
            ("files", release.format.clone()),
            ("element type", release.dtype.clone()),
            ("shards", release.shards.map(|n| n.to_string())),
            ("hub repository", release.hub.clone()),
            ("rebuilt by", release.rule.map(|rule| rule.as_str().to_owned())),
            ("applied to", base),
            ("merge order", order),
            ("adapter", lora),
            ("key", key),
            ("vocabulary", vocabulary),
            ("digests", digests),
            ("note", release.note.clone()),
            ("read in", release.src.clone()),
        ])
    }

    fn sources(&self, card: &Card) -> String {
        if card.sources.is_empty() {
            return "  none: it cannot be fetched\n".to_owned();
        }
        let mut out = String::new();
        for (position, source) in card.sources.iter().enumerate() {
            out.push_str(&format!("  {}. {source}\n", position + 1));
            match source {
                Source::Pip(pip) => {
                    let size = pip.size.map(|size| format!(", {}", short_bytes(size)));
                    out.push_str(&format!("     {}{}\n", pip.member, size.unwrap_or_default()));
                    out.push_str(&format!("     sha256 {}\n", pip.sha256));
                }
                Source::Hub(hub) => {
                    if !hub.files.is_empty() {
                        out.push_str(&paragraph(&hub.files.join(", "), 5, self.width));
                    }
                    hub.note.iter().for_each(|note| out.push_str(&paragraph(note, 5, self.width)));
                }
                Source::Path(_) => {}
            }
            let here = (self.place)(source).map_or("not here".to_owned(), |place| format!("here: {place}"));
            out.push_str(&format!("     {here}\n"));
        }
        out
    }

    fn architecture(&self, a: &ArchitectureRecord) -> String {
        let float = |value: Option<f64>| value.map(|x| x.to_string());
        let scaling = a.rope_scaling.as_ref().and_then(|scaling| {
            let value = serde_json::to_value(scaling).ok()?;
            let given = value.as_object()?.iter().filter(|(_, value)| !value.is_null());
            let fact = |(key, value): (&String, &Value)| {
                format!("{key} {}", value.as_str().map_or(value.to_string(), str::to_owned))
            };
            Some(given.map(fact).collect::<Vec<_>>().join(", "))
        });
        self.table(&[
            ("record", Some(a.name.clone()).filter(|name| !name.is_empty())),
            ("model_type", Some(a.model_type.as_str().to_owned())),
            ("hidden_size", Some(a.hidden_size.to_string())),
            ("intermediate_size", Some(a.intermediate_size.to_string())),
            ("num_hidden_layers", Some(a.num_hidden_layers.to_string())),
            ("num_attention_heads", Some(a.num_attention_heads.to_string())),
            ("num_key_value_heads", Some(a.kv_heads().to_string())),
            ("vocab_size", Some(a.vocab_size.to_string())),
            ("rms_norm_eps", float(a.rms_norm_eps)),
            ("layer_norm_epsilon", float(a.layer_norm_epsilon)),
            ("rope_theta", float(a.rope_theta)),
            ("rope_scaling", scaling),
            ("tie_word_embeddings", Some(a.tie_word_embeddings.to_string())),
        ])
    }

    fn tokenizer_facts(&self, card: &Card) -> String {
        let bos = ("BOS before a text", Some(card.bos.as_str().to_owned()));
        let Some(record) = self.registry.tokenizer_of(card) else { return self.table(&[bos]) };
        let ids = [("unk", record.unk), ("bos", record.bos), ("eos", record.eos), ("pad", record.pad)];
        let ids: Vec<String> =
            ids.into_iter().filter_map(|(name, id)| Some(format!("{name} {}", id?))).collect();
        self.table(&[
            ("record", Some(record.name.clone())),
            ("kind", Some(record.kind.as_str().to_owned())),
            ("vocab_size", Some(record.vocab_size.to_string())),
            ("ids", (!ids.is_empty()).then(|| ids.join(", "))),
            ("extends", record.base.clone()),
            bos,
        ])
    }

    fn training(&self, card: &Card) -> String {
        let Some(recipe) = self.registry.recipe_of(card) else { return String::new() };
        let mut out = self.table(&[
            ("recipe", Some(format!("{}: {}", recipe.name, recipe.title))),
            ("method", Some(recipe.method_label())),
            ("data", Some(recipe.data_label()).filter(|data| !data.is_empty())),
        ]);
        out.push_str(&paragraph(&format!("zoo recipe {} shows all of it", card.id), 2, self.width));
        out
    }

    /// The scores by source, and below it by metric and number of examples.
    fn scores(&self, card: &Card) -> String {
        let mut out = String::new();
        for (source, scores) in grouped(&card.published, |score| score.source.as_str()) {
            let protocols = grouped(&scores, |score| score.protocol.as_deref());
            let shared =
                if let [(Some(protocol), _)] = protocols.as_slice() { Some(*protocol) } else { None };
            let heading =
                shared.map_or_else(|| source.to_owned(), |protocol| format!("{source}; {protocol}"));
            out.push_str(&paragraph(&heading, 2, self.width));
            for (protocol, scores) in protocols {
                for ((metric, shots), scores) in
                    grouped(&scores, |score| (score.metric.as_str(), score.num_fewshot))
                {
                    let values: Vec<String> =
                        scores.iter().map(|score| format!("{} {}", score.suite, score.value)).collect();
                    let shots = shots.map_or_else(String::new, |shots| format!(", {shots}-shot"));
                    let protocol = protocol.filter(|_| shared.is_none());
                    let protocol = protocol.map_or_else(String::new, |protocol| format!(" ({protocol})"));
                    let line = format!("{metric}{shots}: {}{protocol}", values.join(", "));
                    out.push_str(&paragraph(&line, 4, self.width));
                }
            }
        }
        out
    }

    /// The doubts of the card, its network, its tokenizer and its recipe, each said once.
    fn doubts(&self, card: &Card) -> Vec<String> {
        let trimmed = |texts: &[String], of: &str| -> Vec<String> {
            texts.iter().map(|text| format!("{}{of}", text.trim())).collect()
        };
        let mut doubts = trimmed(&card.doubts, "");
        if let Some(network) = self.registry.architecture_of(card) {
            doubts.extend(trimmed(&network.doubts, " (architecture)"));
        }
        if let Some(record) = self.registry.tokenizer_of(card) {
            doubts.extend(trimmed(&record.doubts, " (tokenizer)"));
        }
        for text in self.registry.recipe_of(card).iter().flat_map(|recipe| recipe.all_doubts()) {
            if !doubts.iter().any(|known| known == text.trim()) {
                doubts.push(format!("{} (training)", text.trim()));
            }
        }
        doubts
    }
}

/// Items with the same key side by side, keys in the order in which they are met first.
fn grouped<'i, T, K: PartialEq>(items: &'i [T], key: impl Fn(&'i T) -> K) -> Vec<(K, Vec<&'i T>)> {
    let mut groups: Vec<(K, Vec<&'i T>)> = Vec::new();
    for item in items {
        let key = key(item);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push(item),
            None => groups.push((key, vec![item])),
        }
    }
    groups
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn indented(text: &str, columns: usize) -> String {
    let margin = " ".repeat(columns);
    text.lines().map(|line| format!("{margin}{line}").trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompts;
    use crate::registry;

    fn page(name: &str, width: usize, place: &dyn Fn(&Source) -> Option<String>) -> String {
        let registry = Registry::load(None).unwrap();
        let templates = prompts::load(None).unwrap();
        let card = registry.find(name).unwrap();
        let (registry, templates) = (&registry, &templates);
        Page { registry, templates, tokenizer: None, place, width }.text(card)
    }

    #[test]
    fn vicuna_at_two_widths() {
        insta::assert_snapshot!("vicuna_13b_80", page("vicuna-13b", 80, &|_| None));
        insta::assert_snapshot!("vicuna_13b_160", page("vicuna-13b", 160, &|_| None));
    }

    #[test]
    fn a_model_that_is_here_and_one_that_is_nowhere() {
        let place =
            |source: &Source| matches!(source, Source::Pip(_)).then(|| "/cache/model.gguf".to_owned());
        insta::assert_snapshot!("smollm2_100", page("smollm2", 100, &place));
        insta::assert_snapshot!("chatllama_100", page("chatllama", 100, &|_| None));
        insta::assert_snapshot!("chinese_alpaca_plus_7b_100", page("chinese-alpaca-plus-7b", 100, &|_| None));
    }

    #[test]
    fn relatives_in_every_form() {
        for (name, width) in [
            ("llama-3.1-8b", 80),
            ("codellama-7b", 100),
            ("koala-13b", 100),
            ("stable-vicuna-13b", 80),
            ("guanaco-33b", 100),
            ("longchat-7b-16k", 80),
            ("yi-6b", 100),
            ("wizardlm-7b-v1.0", 80),
        ] {
            insta::assert_snapshot!(format!("{name}_{width}"), page(name, width, &|_| None));
        }
    }

    #[test]
    fn every_page_keeps_to_its_width() {
        let registry = Registry::load(None).unwrap();
        let templates = prompts::load(None).unwrap();
        for width in [80, 160] {
            let (registry, templates) = (&registry, &templates);
            let page = Page { registry, templates, tokenizer: None, place: &|_| None, width };
            for card in registry.cards() {
                let text = page.text(card);
                // A path is one word, however long, and values stand 24 columns in.
                let is_word =
                    |line: &str| line.split_whitespace().any(|word| word.chars().count() + 24 > width);
                for line in text.lines() {
                    let fixed = line.contains("sha256") || line.contains(".gguf") || is_word(line);
                    let length = line.chars().count();
                    assert!(length <= width || fixed, "{}: {length} columns: {line}", card.id);
                }
                assert!(!text.contains('\u{1b}') && !text.lines().any(|line| line.ends_with(' ')), "{text}");
            }
        }
    }

    #[test]
    fn unreleased_models_say_what_to_bring() {
        for card in Registry::load(None).unwrap().cards() {
            if card.release.kind == registry::ReleaseKind::Unreleased {
                assert!(page(&card.id, 100, &|_| None).contains("To run it"), "{}", card.id);
            }
        }
    }
}
