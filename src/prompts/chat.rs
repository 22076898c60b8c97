//! One way of writing conversations, wherever it comes from: a card's template, or a checkpoint's own in Jinja.
//!
//! A card's template gives segments, so that special tokens stay what they are; a Jinja template gives one text in
//! which the tokenizer finds them again, as transformers has it.

use std::fmt;
use std::sync::Arc;

use super::chat_template::{ChatTemplate, Jinja};
use super::conversation::{End, Message, PromptSegment, text};
use super::error::PromptError;
use super::stop::StopRules;
use super::template::{PromptTemplate, TemplateKind};
use crate::base::digest::sha256;
use crate::tokenizer::{SpecialNames, TextStream, Tokenizer};

/// How conversations are written.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatFormat {
    name: String,
    template: TemplateSource,
}

#[derive(Debug, Clone, PartialEq)]
enum TemplateSource {
    Card(Box<PromptTemplate>),
    Jinja(Jinja),
    Elsewhere(Elsewhere),
}

/// Writes a conversation, or says why not.
pub type WriteChat = dyn Fn(&[Message], End) -> Result<String, String> + Send + Sync;

/// Somebody else's template, whose text nobody here can read.
#[derive(Clone)]
struct Elsewhere {
    write: Arc<WriteChat>,
    /// Of what it makes of a conversation.
    sha256: String,
}

impl fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elsewhere").field("sha256", &self.sha256).finish_non_exhaustive()
    }
}

impl PartialEq for Elsewhere {
    fn eq(&self, other: &Self) -> bool {
        self.sha256 == other.sha256
    }
}

/// A written conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenChat {
    /// The text; special tokens of a card's template are spelled `<s>`, `</s>`.
    pub text: String,
    /// Text and special tokens apart; `None` of a Jinja template, whose tokens are part of the text.
    pub segments: Option<Vec<PromptSegment>>,
}

impl ChatFormat {
    /// The format of a card's template.
    pub fn of_card(template: &PromptTemplate) -> Self {
        Self {
            name: format!("card: {}", template.name),
            template: TemplateSource::Card(Box::new(template.clone())),
        }
    }

    /// The format of a checkpoint's own template, with the special tokens of its tokenizer.
    pub fn of_checkpoint(template: &ChatTemplate, specials: &SpecialNames) -> Self {
        let jinja = Jinja { source: template.source.clone(), specials: specials.clone() };
        Self { name: format!("checkpoint: {}", template.name), template: TemplateSource::Jinja(jinja) }
    }

    /// The format of somebody else, who is asked for every conversation; `name` says who that is. It is known by what it makes of
    /// one.
    ///
    /// # Errors
    /// That conversation cannot be written.
    pub fn of_elsewhere(name: &str, write: Arc<WriteChat>) -> Result<Self, PromptError> {
        let messages = [Message::user("Hello."), Message::assistant("Hello!"), Message::user("1+2?")];
        let known = write(&messages, End::Answer).map_err(refused)?;
        let template = TemplateSource::Elsewhere(Elsewhere { write, sha256: sha256(known) });
        Ok(Self { name: name.to_owned(), template })
    }

    /// Where it comes from and its name there.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it knows more than one turn. Whoever writes Jinja says so only when it runs.
    pub fn has_turns(&self) -> bool {
        match &self.template {
            TemplateSource::Card(template) => template.kind == TemplateKind::Chat,
            TemplateSource::Jinja(_) | TemplateSource::Elsewhere(_) => true,
        }
    }

    /// The template of a card, which says how segments are encoded.
    pub fn template(&self) -> Option<&PromptTemplate> {
        match &self.template {
            TemplateSource::Card(template) => Some(template),
            TemplateSource::Jinja(_) | TemplateSource::Elsewhere(_) => None,
        }
    }

    /// SHA-256 of a Jinja template, or of what somebody else's makes of a conversation.
    pub fn source_sha256(&self) -> Option<String> {
        match &self.template {
            TemplateSource::Card(_) => None,
            TemplateSource::Jinja(jinja) => Some(sha256(&jinja.source)),
            TemplateSource::Elsewhere(elsewhere) => Some(elsewhere.sha256.clone()),
        }
    }

    /// When an answer ends, beside the ids at which the model stops.
    pub fn stops(&self) -> StopRules {
        self.template().map_or_else(StopRules::default, |template| template.stop.clone())
    }

    /// The ids of a conversation that it wrote: a card's segments as its template says, and the text of a checkpoint's template as
    /// the reference harness encodes prompts.
    ///
    /// # Errors
    /// As [`PromptTemplate::encode`].
    pub fn encode(&self, written: &WrittenChat, tokenizer: &Tokenizer) -> Result<Vec<u32>, PromptError> {
        match (&self.template, &written.segments) {
            (TemplateSource::Card(template), Some(segments)) => template.encode(segments, tokenizer),
            _ => Ok(tokenizer.encode_for_model(&written.text)?),
        }
    }

    /// What a model writes before an answer that is no part of it: the space of `ASSISTANT: Hello`, where a conversation that
    /// asks for an answer ends in `ASSISTANT:`, or the one that the vocabulary puts before every text. Nothing where the
    /// template has no form for answers, or another one for those that are not there yet.
    ///
    /// # Errors
    /// As [`write`](Self::write) and [`encode`](Self::encode).
    pub fn lead(&self, messages: &[Message], tokenizer: &Tokenizer) -> Result<String, PromptError> {
        const ANSWER: &str = "answer";
        let asked = self.encode(&self.write(messages, End::Answer)?, tokenizer)?;
        let answered = [messages, &[Message::assistant(ANSWER)]].concat();
        let Ok(answered) = self.write(&answered, End::Open) else { return Ok(String::new()) };
        let answered = self.encode(&answered, tokenizer)?;
        let mut stream = TextStream::after(tokenizer, &asked)?;
        for &id in answered.strip_prefix(&asked[..]).unwrap_or_default() {
            stream.push(id)?;
        }
        Ok(stream.text().strip_suffix(ANSWER).unwrap_or_default().to_owned())
    }

    /// Writes a conversation.
    ///
    /// Errors: a conversation that the template has no form for, a template that fails.
    pub fn write(&self, messages: &[Message], end: End) -> Result<WrittenChat, PromptError> {
        let (text, segments) = match &self.template {
            TemplateSource::Card(template) => {
                let segments = template.render(messages, end)?;
                (text(&segments), Some(segments))
            }
            TemplateSource::Jinja(jinja) => (jinja.render(messages, end)?, None),
            TemplateSource::Elsewhere(elsewhere) => {
                ((elsewhere.write)(messages, end).map_err(refused)?, None)
            }
        };
        Ok(WrittenChat { text, segments })
    }
}

/// What somebody else said.
fn refused(message: String) -> PromptError {
    PromptError::ChatTemplate { line: None, message }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::prompts::load;

    #[test]
    fn both_origins_write_the_same_conversation() {
        let templates = load(None).unwrap();
        let card = ChatFormat::of_card(&templates["vicuna-v1.1"]);
        let source = "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}{% endfor %}\
                      {% if add_generation_prompt %}[assistant]{% endif %}";
        let own = ChatTemplate { name: "default".into(), source: source.into() };
        let own = ChatFormat::of_checkpoint(&own, &[("bos_token", "<s>"), ("eos_token", "</s>")].into());
        let messages = [Message::user("a"), Message::assistant("b"), Message::user("c")];
        let written = own.write(&messages, End::Answer).unwrap();
        assert_eq!(written.text, "<s>[user] a</s>[assistant] b</s>[user] c</s>[assistant]");
        assert_eq!((written.segments, own.template().is_none()), (None, true));
        assert_eq!(own.write(&messages[..2], End::Open).unwrap().text, "<s>[user] a</s>[assistant] b");
        let written = card.write(&messages, End::Answer).unwrap();
        assert!(written.text.ends_with("USER: a ASSISTANT: b</s>USER: c ASSISTANT:"), "{}", written.text);
        assert!(written.segments.is_some() && card.has_turns() && own != card && card == card.clone());
        assert!(!ChatFormat::of_card(&templates["alpaca"]).has_turns());
    }

    /// Letters as tokens, a space before every text, as in LLaMA's vocabulary.
    fn tokenizer() -> Tokenizer {
        let pieces = ["<unk>", "<s>", "</s>", "▁"].map(str::to_owned).into_iter();
        let letters = (0..=255u8).map(|byte| format!("<0x{byte:02X}>"));
        let letters = letters.chain(('a'..='z').chain('A'..='Z').map(String::from));
        let vocab: serde_json::Map<_, _> =
            pieces.chain(letters).zip(0u32..).map(|(piece, id)| (piece, json!(id))).collect();
        let special = |id: u32, content: &str| {
            json!({"id": id, "content": content, "special": true, "single_word": false, "lstrip": false,
                   "rstrip": false, "normalized": false})
        };
        let replace =
            |from: &str, to: &str| json!({"type": "Replace", "pattern": {"String": from}, "content": to});
        let json = json!({
            "version": "1.0", "truncation": null, "padding": null, "pre_tokenizer": null, "post_processor": null,
            "added_tokens": [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Prepend", "prepend": "▁"}, replace(" ", "▁")]},
            "decoder": {"type": "Sequence", "decoders": [
                replace("▁", " "), {"type": "ByteFallback"}, {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
            "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true, "vocab": vocab,
                      "merges": []},
        });
        let settings = json!({"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>"});
        let read = |name: &str| {
            let file = match name {
                "tokenizer.json" => Some(&json),
                "tokenizer_config.json" => Some(&settings),
                _ => None,
            };
            Ok(file.map(|file| file.to_string().into_bytes()))
        };
        Tokenizer::from_files(std::path::Path::new("a-model"), &read).unwrap()
    }

    #[test]
    fn what_a_model_writes_before_an_answer_is_known() {
        let (templates, tokenizer) = (load(None).unwrap(), tokenizer());
        let lead = |format: &ChatFormat| format.lead(&[Message::user("a")], &tokenizer).unwrap();
        // A space of the template, one of the vocabulary where the answer is encoded by itself, and none.
        for (name, expected) in
            [("vicuna-v1.1", " "), ("llama-2-chat", " "), ("belle-train-v2", " "), ("alpaca", "")]
        {
            assert_eq!(lead(&ChatFormat::of_card(&templates[name])), expected, "{name}");
        }
        let jinja = |source: &str| {
            let template = ChatTemplate { name: "default".into(), source: source.into() };
            lead(&ChatFormat::of_checkpoint(&template, tokenizer.special_names()))
        };
        let llama2 = "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]\
                      {% else %} {{ m.content }} </s>{% endif %}{% endfor %}";
        assert_eq!(jinja(llama2), " ");
        let chatml = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
                      {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
        assert_eq!(jinja(chatml), "");
    }
}
