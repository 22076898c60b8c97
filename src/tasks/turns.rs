//! Turns of a conversation after the first: the task of the next turn is made from the answers to this one, with the same
//! documents and longer prompts.

use super::error::TaskError;
use super::prepare::{PreparedDoc, PreparedTask};
use crate::python::text::strip;

impl PreparedDoc {
    /// What is said after the first answer.
    pub fn later_turns(&self) -> &[String] {
        self.conversation.as_ref().map_or(&[], |conversation| &conversation.later)
    }
}

impl PreparedTask {
    /// How many answers a document has: as many as its prompt is put, or one for each turn.
    pub fn answers_to(&self, doc: &PreparedDoc) -> usize {
        match doc.later_turns() {
            [] => self.generation.as_ref().map_or(1, |generation| generation.repeats),
            later => 1 + later.len(),
        }
    }

    /// What of a text is said in a conversation: up to the first stop of the chat template, without white space around it, as
    /// FastChat has it.
    pub fn spoken<'t>(&self, text: &'t str) -> &'t str {
        let Some(chat) = &self.chat else { return strip(text) };
        let end = chat.format.stops().end(text).unwrap_or(text.len());
        strip(&text[..end])
    }

    /// The next turn of the documents that have one, after the answers until now, one list for each document. `None` if no
    /// document has.
    ///
    /// # Errors
    /// A conversation without a chat template, and what the template says of the answers.
    ///
    /// # Panics
    /// If there is not a list of answers for each document.
    pub fn next_turn(&self, answers: &[Vec<String>]) -> Result<Option<Self>, TaskError> {
        assert_eq!(answers.len(), self.docs.len(), "every document was answered");
        let mut docs = Vec::new();
        for (doc, answers) in self.docs.iter().zip(answers) {
            let Some(conversation) = doc.conversation.as_ref().filter(|own| own.later.len() >= answers.len())
            else {
                continue;
            };
            let wrong =
                |message| self.task.wrong_document("evaluated", doc.doc_id, "metadata.judged", message);
            let chat = self.chat.as_ref().ok_or_else(|| wrong(self.without_template(doc)))?;
            let spoken: Vec<&str> = answers.iter().map(|answer| self.spoken(answer)).collect();
            let request = conversation.prompt(chat, &spoken).map_err(wrong)?;
            docs.push(PreparedDoc { requests: vec![request], parts: None, ..doc.clone() });
        }
        if docs.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self { docs, turn: self.turn + 1, ..self.clone() }))
    }

    /// Sees to it that every turn can be asked, before any is.
    ///
    /// # Errors
    /// A conversation of several turns without a chat template, in words.
    pub fn check_turns(&self) -> Result<(), String> {
        let several = self.docs.iter().find(|doc| !doc.later_turns().is_empty());
        match several.filter(|_| self.chat.is_none()) {
            Some(doc) => Err(self.without_template(doc)),
            None => Ok(()),
        }
    }

    fn without_template(&self, doc: &PreparedDoc) -> String {
        format!(
            "document {} is a conversation of {} turns, which only a chat template can write, and the model has none; name one \
             of zoo/prompts with --apply-chat-template=NAME",
            doc.doc_id,
            1 + doc.later_turns().len()
        )
    }
}
