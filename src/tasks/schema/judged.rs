//! `metadata.judged`: instructions without right answers, whose answers people or other models judge.
//!
//! The key is zoo's own and stands under `metadata`, which the reference harness does not look into. It says which columns hold
//! what, how warm answers are written, and in which form they are put down for those who judge: FastChat's
//! (`fastchat/llm_judge/gen_model_answer.py`), or lines with the instruction beside the answer.

use serde_json::{Map, Value};

use super::value::Slot;
use crate::base::fault::quoted;
use crate::base::names::name_of;
use crate::tasks::document::text;
use crate::tasks::error::TaskError;

/// A set of instructions, and what becomes of the answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The form of the file of answers.
    pub form: AnswerForm,
    /// Its folder below `judged` in a run's folder; the file has the model's name.
    pub folder: String,
    /// The column that names a document, by a number or a text; without one its number does.
    pub id: Option<String>,
    /// The column with everything that the user says, turn by turn, where documents have it.
    pub turns: Option<String>,
    /// The column with the instruction alone.
    pub instruction: Option<String>,
    /// The column with the text that the instruction is about.
    pub input: Option<String>,
    /// The temperature by kind of document; it counts where `generation_kwargs` and `--gen-kwargs` say none.
    pub temperature: Option<Temperatures>,
}

/// A form of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AnswerForm {
    /// `question_id`, `answer_id`, `model_id`, `choices` with their `turns`, `tstamp`: what FastChat's judges read.
    Fastchat,
    /// `id`, `instruction`, `input`, `output`, `model`.
    Lines,
}

/// Temperatures by the text in a column.
#[derive(Debug, Clone, PartialEq)]
pub struct Temperatures {
    /// The column.
    pub by: String,
    /// The temperature of each text.
    pub of: Vec<(String, f64)>,
    /// That of all others.
    pub otherwise: f64,
}

const KEYS: [&str; 7] = ["form", "folder", "id", "turns", "instruction", "input", "temperature"];
const TEMPERATURE_KEYS: [&str; 3] = ["by", "of", "otherwise"];

impl Judged {
    /// Reads it from the slot of `metadata`; `None` if there is none.
    pub(super) fn read(metadata: &Slot<'_>) -> Result<Option<Self>, TaskError> {
        let Some(value) = metadata.value.get("judged") else { return Ok(None) };
        let slot = metadata.below(".judged", value);
        let (mut form, mut folder, mut temperature) = (None, None, None);
        let [mut id, mut turns, mut instruction, mut input] = [const { None }; 4];
        for (name, value) in slot.pairs()? {
            match name {
                "form" => form = Some(AnswerForm::read(&value)?),
                "folder" => folder = Some(value.string()?),
                "id" => id = Some(value.string()?),
                "turns" => turns = Some(value.string()?),
                "instruction" => instruction = Some(value.string()?),
                "input" => input = Some(value.string()?),
                "temperature" => temperature = Some(Temperatures::read(&value)?),
                other => return Err(value.unknown(other, KEYS)),
            }
        }
        let missing = |name: &str| slot.error(format!("expected the keys form and folder, found no {name}"));
        let (form, folder) = (form.ok_or_else(|| missing("form"))?, folder.ok_or_else(|| missing("folder"))?);
        // Longer ones are no names of folders everywhere, which would show when all answers are there.
        const MOST: usize = 160;
        let is_plain = |part: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            (1..=MOST).contains(&part.len()) && !part.starts_with('.') && part.chars().all(plain)
        };
        if !folder.split('/').all(is_plain) {
            let expected = format!(
                "expected a folder of at most {MOST} letters, digits, `_`, `-` and `.`, with / between several"
            );
            return Err(slot.error(format!("folder: {expected}, found {}", quoted(&folder))));
        }
        if form == AnswerForm::Lines && instruction.is_none() {
            return Err(slot.error("lines show the instruction; name its column under instruction"));
        }
        if input.is_some() && instruction.is_none() {
            return Err(
                slot.error("input stands beside an instruction; name the column of that under instruction")
            );
        }
        Ok(Some(Self { form, folder, id, turns, instruction, input, temperature }))
    }

    /// What names the document with number `doc_id` and these columns.
    ///
    /// # Errors
    /// What is wrong with the column, in words.
    pub fn id_of(&self, doc_id: usize, columns: &Map<String, Value>) -> Result<Value, String> {
        let Some(column) = &self.id else { return Ok(doc_id.into()) };
        match columns.get(column) {
            Some(id @ (Value::String(_) | Value::Number(_))) => Ok(id.clone()),
            found => Err(expected("a number or a text", column, found)),
        }
    }

    /// What the user says after the first answer.
    ///
    /// # Errors
    /// As [`id_of`](Self::id_of).
    pub fn later_turns(&self, columns: &Map<String, Value>) -> Result<Vec<String>, String> {
        let Some(column) = &self.turns else { return Ok(Vec::new()) };
        let found = match columns.get(column) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(found) => found,
        };
        let texts = found.as_array().filter(|turns| !turns.is_empty()).and_then(|turns| {
            turns.iter().map(|turn| turn.as_str().map(str::to_owned)).collect::<Option<Vec<String>>>()
        });
        let texts = texts.ok_or_else(|| expected("a list of texts, one at least", column, Some(found)))?;
        Ok(texts.into_iter().skip(1).collect())
    }

    /// Instruction and input in columns of their own; nothing where there are no such columns or no input.
    ///
    /// # Errors
    /// As [`id_of`](Self::id_of).
    pub fn with_input<'d>(
        &self,
        columns: &'d Map<String, Value>,
    ) -> Result<Option<(&'d str, &'d str)>, String> {
        let (Some(instruction), Some(input)) = (&self.instruction, &self.input) else { return Ok(None) };
        let (instruction, input) = (text(columns, instruction)?, text(columns, input)?);
        Ok((!input.is_empty()).then_some((instruction, input)))
    }

    /// The temperature of a document, where documents have one.
    ///
    /// # Errors
    /// As [`id_of`](Self::id_of).
    pub fn temperature_of(&self, columns: &Map<String, Value>) -> Result<Option<f64>, String> {
        let Some(Temperatures { by, of, otherwise }) = &self.temperature else { return Ok(None) };
        let kind = text(columns, by)?;
        let own = of.iter().find(|(name, _)| name == kind).map(|(_, temperature)| *temperature);
        Ok(Some(own.unwrap_or(*otherwise)))
    }
}

impl AnswerForm {
    const ALL: [Self; 2] = [Self::Fastchat, Self::Lines];

    fn read(slot: &Slot<'_>) -> Result<Self, TaskError> {
        let found = slot.string()?;
        Self::ALL.into_iter().find(|form| name_of(form) == found).ok_or_else(|| {
            let known = Self::ALL.map(|form| name_of(&form)).join(" or ");
            slot.error(format!("expected {known}, found {found:?}"))
        })
    }
}

impl Temperatures {
    fn read(slot: &Slot<'_>) -> Result<Self, TaskError> {
        let number = |slot: &Slot<'_>| {
            let number = slot.value.as_f64().filter(|number| number.is_finite() && *number >= 0.0);
            number.ok_or_else(|| slot.error("expected a temperature, a number from 0"))
        };
        let (mut by, mut of, mut otherwise) = (None, Vec::new(), None);
        for (name, value) in slot.pairs()? {
            match name {
                "by" => by = Some(value.string()?),
                "of" => {
                    for (kind, value) in value.pairs()? {
                        of.push((kind.to_owned(), number(&value)?));
                    }
                }
                "otherwise" => otherwise = Some(number(&value)?),
                other => return Err(value.unknown(other, TEMPERATURE_KEYS)),
            }
        }
        match (by, otherwise) {
            (Some(by), Some(otherwise)) => Ok(Self { by, of, otherwise }),
            _ => Err(slot.error("expected the keys by and otherwise")),
        }
    }
}

fn expected(what: &str, column: &str, found: Option<&Value>) -> String {
    match found {
        Some(found) => {
            let shown: String = found.to_string().chars().take(60).collect();
            format!("expected {what} in the column {column:?}, found {shown}")
        }
        None => format!("expected a column {column:?}, found none of this name"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::super::source::{Entry, Location, Origin};
    use super::*;

    fn read(yaml: &str) -> Result<Option<Judged>, TaskError> {
        let text = format!("metadata: {yaml}\n");
        let origin = Arc::new(Origin::new(Location::Disk("t.yaml".into()), &text));
        let entry = Entry { value: serde_yaml::from_str(yaml).unwrap(), origin };
        Judged::read(&Slot::new("metadata", &entry))
    }

    #[test]
    fn columns_say_what_is_asked_and_how_warm() {
        let judged = read(
            "{judged: {form: fastchat, folder: mt_bench/model_answer, id: question_id, turns: turns, \
             temperature: {by: category, of: {writing: 0.7, math: 0}, otherwise: 0.1}}}",
        );
        let judged = judged.unwrap().unwrap();
        let document = json!({"question_id": 81, "category": "math", "turns": ["a", "b"]});
        let mut document = document.as_object().cloned().unwrap();
        assert_eq!(judged.id_of(0, &document), Ok(json!(81)));
        assert_eq!(judged.later_turns(&document), Ok(vec!["b".to_owned()]));
        assert_eq!(judged.temperature_of(&document), Ok(Some(0.0)));
        assert_eq!(judged.with_input(&document), Ok(None));
        document["category"] = json!("fermi");
        assert_eq!(judged.temperature_of(&document), Ok(Some(0.1)));
        document["turns"] = json!(["a", 2]);
        assert!(judged.later_turns(&document).unwrap_err().contains("[\"a\",2]"));
        document["turns"] = Value::Null;
        assert_eq!(judged.later_turns(&document), Ok(Vec::new()));
        document.remove("question_id");
        assert!(judged.id_of(0, &document).unwrap_err().contains("none of this name"));
        let lines = read("{judged: {form: lines, folder: x, instruction: i, input: j}}").unwrap().unwrap();
        let document = json!({"i": "Add.", "j": "1 2"});
        assert_eq!(lines.with_input(document.as_object().unwrap()), Ok(Some(("Add.", "1 2"))));
        assert_eq!(lines.id_of(3, document.as_object().unwrap()), Ok(json!(3)));
        let document = json!({"i": "Sing.", "j": ""});
        assert_eq!(lines.with_input(document.as_object().unwrap()), Ok(None));
        assert_eq!(read("{version: 1}").unwrap(), None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (yaml, words) in [
            ("{judged: {form: fastchat}}", "no folder"),
            ("{judged: {form: html, folder: x}}", "fastchat or lines"),
            ("{judged: {form: fastchat, folder: ../x}}", "\"../x\""),
            ("{judged: {form: lines, folder: x}}", "column under instruction"),
            ("{judged: {form: fastchat, folder: x, input: y}}", "beside an instruction"),
            ("{judged: {form: fastchat, folder: x, tuns: y}}", "turns"),
            ("{judged: {form: fastchat, folder: x, temperature: {by: c}}}", "by and otherwise"),
            (
                "{judged: {form: fastchat, folder: x, temperature: {by: c, of: {a: -1}, otherwise: 0}}}",
                "metadata.judged.temperature.of.a",
            ),
        ] {
            let said = read(yaml).unwrap_err().to_string();
            assert!(said.contains(words) && said.contains("t.yaml"), "{said}");
        }
    }
}
