//! Conversations to segments: text and special tokens, in order.
//!
//! The rules are those of the families' own code (facts and sources stand in each template's file): an
//! optional system message, then user and assistant in turn.

use super::conversation::{End, Message, PromptSegment, Role};
use super::error::PromptError;
use super::pattern::{Pattern, PatternPiece};
use super::template::{EmptySystem, InputWhen, PromptTemplate, TemplateKind};
use crate::python::text::strip;

impl PromptTemplate {
    /// The segments of a conversation.
    ///
    /// Errors: no message, roles out of turn, more turns than the template knows, a system message or an input
    /// without a place, a forbidden text.
    pub fn render(&self, messages: &[Message], end: End) -> Result<Vec<PromptSegment>, PromptError> {
        self.check_conversation(messages)?;
        let (given, turns) = match messages {
            [first, rest @ ..] if first.role == Role::System => (Some(&first.content), rest),
            all => (None, all),
        };
        let system = given.or(self.default_system.as_ref());
        let system = system
            .map(|text| self.stripped(Role::System, text))
            .filter(|text| !(text.is_empty() && self.layout.empty_system == EmptySystem::Omit));
        let mut writer = SegmentWriter::default();
        if let (Some(pattern), Some(system)) = (&self.layout.system, system) {
            writer.pattern(pattern, &Filling { system, ..Filling::default() });
        }
        for (i, message) in turns.iter().enumerate() {
            match message.role {
                Role::Assistant => {
                    let open = end == End::Open && i + 1 == turns.len();
                    self.assistant(&mut writer, message, open);
                }
                _ => {
                    if i > 0 {
                        writer.pattern(&self.layout.between, &Filling::default());
                    }
                    self.user(&mut writer, message, system.filter(|_| i == 0));
                }
            }
        }
        let asked = turns.last().is_some_and(|last| last.role == Role::User);
        if asked && end == End::Answer {
            writer.pattern(&self.layout.generation, &Filling::default());
        }
        Ok(writer.segments)
    }

    fn user(&self, writer: &mut SegmentWriter, message: &Message, system: Option<&str>) {
        let folded = match (&self.layout.system_in_user, system) {
            (Some(pattern), Some(system)) => {
                let filling = Filling { system, content: &message.content, input: "" };
                Some(filling.text(pattern))
            }
            _ => None,
        };
        let content = self.stripped(Role::User, folded.as_deref().unwrap_or(&message.content));
        let wanted = |input: &&String| self.layout.input_when == InputWhen::Present || !input.is_empty();
        let (pattern, input) = match (&self.layout.user_with_input, message.input.as_ref().filter(wanted)) {
            (Some(pattern), Some(input)) => (pattern, input.as_str()),
            _ => (&self.layout.user, ""),
        };
        writer.pattern(pattern, &Filling { system: "", content, input });
    }

    fn assistant(&self, writer: &mut SegmentWriter, message: &Message, open: bool) {
        let content = self.stripped(Role::Assistant, &message.content);
        let filling = Filling { content, ..Filling::default() };
        if let Some(pattern) = &self.layout.assistant {
            for piece in pattern.pieces() {
                writer.piece(piece, &filling);
                if open && *piece == PatternPiece::Content {
                    break;
                }
            }
        }
    }

    /// The text without white space at both ends if the template strips this role.
    fn stripped<'a>(&self, role: Role, text: &'a str) -> &'a str {
        if self.strip.contains(&role) { strip(text) } else { text }
    }

    fn check_conversation(&self, messages: &[Message]) -> Result<(), PromptError> {
        let fault = |index: usize, expected: &str, found: &str| {
            let (template, expected, found) = (self.name.clone(), expected.to_owned(), found.to_owned());
            Err(PromptError::Conversation { template, index, expected, found })
        };
        let mut wanted = Role::User;
        let mut users = 0_usize;
        for (index, message) in (1..).zip(messages) {
            let role = message.role;
            self.check_forbidden(index, message)?;
            if role == Role::System {
                if index != 1 {
                    return fault(index, "a system message only at the start", "one in between");
                }
                if self.layout.system.is_none() && self.layout.system_in_user.is_none() {
                    let said = "a conversation without a system message (the template has no place for one)";
                    return fault(index, said, "a system message");
                }
                continue;
            }
            if role != wanted {
                return fault(index, &format!("a message of the {wanted}"), &format!("one of the {role}"));
            }
            if role == Role::User {
                users += 1;
                if users > 1 && self.kind != TemplateKind::Chat {
                    return fault(
                        index,
                        "one user message (the template knows a single turn)",
                        "a second one",
                    );
                }
            } else if self.layout.assistant.is_none() {
                let said = "no answer (the template has no form for one)";
                return fault(index, said, "a message of the assistant");
            }
            let takes_input = role == Role::User && self.layout.user_with_input.is_some();
            if !takes_input && message.input.as_ref().is_some_and(|input| !input.is_empty()) {
                let said = "a message without an input (the template has no place for one)";
                return fault(index, said, "an input");
            }
            wanted = if role == Role::User { Role::Assistant } else { Role::User };
        }
        if users == 0 {
            return fault(messages.len() + 1, "at least one user message", "the end of the conversation");
        }
        Ok(())
    }

    fn check_forbidden(&self, index: usize, message: &Message) -> Result<(), PromptError> {
        let texts = std::iter::once(&message.content).chain(&message.input);
        match self.forbidden.iter().find(|text| texts.clone().any(|said| said.contains(text.as_str()))) {
            None => Ok(()),
            Some(text) => Err(PromptError::Forbidden {
                template: self.name.clone(),
                index,
                role: message.role,
                text: text.clone(),
            }),
        }
    }
}

/// What the places of a pattern are filled with.
#[derive(Default)]
struct Filling<'a> {
    system: &'a str,
    content: &'a str,
    input: &'a str,
}

impl Filling<'_> {
    fn place<'a>(&'a self, piece: &'a PatternPiece) -> Option<&'a str> {
        match piece {
            PatternPiece::Literal(text) => Some(text),
            PatternPiece::Content => Some(self.content),
            PatternPiece::System => Some(self.system),
            PatternPiece::Input => Some(self.input),
            PatternPiece::Special(_) | PatternPiece::Cut => None,
        }
    }

    /// A pattern without special tokens as text.
    fn text(&self, pattern: &Pattern) -> String {
        pattern.pieces().iter().filter_map(|piece| self.place(piece)).collect()
    }
}

/// Collects segments; neighbouring texts are joined unless cut.
#[derive(Default)]
struct SegmentWriter {
    segments: Vec<PromptSegment>,
    cut: bool,
}

impl SegmentWriter {
    fn pattern(&mut self, pattern: &Pattern, filling: &Filling<'_>) {
        for piece in pattern.pieces() {
            self.piece(piece, filling);
        }
    }

    fn piece(&mut self, piece: &PatternPiece, filling: &Filling<'_>) {
        match piece {
            PatternPiece::Special(special) => self.segments.push(PromptSegment::Special(special.clone())),
            PatternPiece::Cut => self.cut = true,
            _ => {
                let text = filling.place(piece).expect("all other pieces are text");
                if text.is_empty() {
                    return;
                }
                let cut = std::mem::take(&mut self.cut);
                match self.segments.last_mut() {
                    Some(PromptSegment::Text(last)) if !cut => last.push_str(text),
                    _ => self.segments.push(PromptSegment::Text(text.to_owned())),
                }
            }
        }
    }
}
