//! A model that one speaks with: its words for what is said, what it remembers, and what of it still fits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::transcript::Part;
use super::turn::{Heard, Hearer, Timed, Turn};
use crate::base::stop::Stop;
use crate::engine::{EngineError, GenerateRequest, KeptSequence, Limits, LocalModel, Sampling, check_room};
use crate::model::BLOCK;
use crate::prompts::{ChatFormat, End, Message, StopRules};
use crate::run::answering::Answering;
use crate::run::drawing::Settled;
use crate::run::generate::asked::{Asked, AskedPrompt, format, no_system, stops};
use crate::run::generate::scribe::Scribe;
use crate::run::subject::Subject;
use crate::run::{Options, RunError, World};
use crate::tokenizer::Tokenizer;

/// An answer has at least one of so many parts of the positions to itself, before turns are left out.
const ROOM: usize = 4;

/// A model in a conversation.
pub(super) struct Partner {
    /// Its name, by which no other one goes.
    pub name: String,
    subject: Subject,
    model: LocalModel,
    /// `None`: the conversation is one text that it goes on with.
    format: Option<ChatFormat>,
    stops: StopRules,
    ends: Arc<[u32]>,
    sampling: Option<Sampling>,
    max_tokens: Option<usize>,
    /// Tokens of a conversation, at most.
    positions: usize,
    /// Blocks of keys and values, at most.
    blocks: usize,
    /// What was computed.
    kept: KeptSequence,
    turns: Vec<Turn>,
    /// Turns at the beginning that it is not told any more.
    left_out: usize,
}

impl Partner {
    /// Opens a model and reads its weights.
    ///
    /// # Errors
    /// A model that cannot be found or run.
    pub fn open(
        name: &str,
        answering: &Answering,
        own: &Options,
        world: &World<'_>,
    ) -> Result<Self, RunError> {
        let subject = Subject::open((world.find)(name)?, own)?;
        subject.explain();
        let format = format(&subject, &answering.wording, own)?;
        let blocks = subject.cache_blocks();
        // The kept turn and the next one may have little in common.
        let positions = subject.limits.max_length.min(blocks / 2 * BLOCK);
        let Settled { sampling, max_tokens } = answering.settle(&subject, world)?;
        let stops = stops(format.as_ref(), &answering.stops);
        let ends = subject.tokenizer()?.ends().into();
        let network = subject.network(own.computing.precision, world.progress, world.stop)?;
        let kept = KeptSequence::new(&network);
        let limits = Limits { max_length: positions, ..subject.limits };
        Ok(Self {
            name: subject.name.clone(),
            model: LocalModel::new(network, limits, subject.pacing()),
            subject,
            format,
            stops,
            ends,
            sampling,
            max_tokens,
            positions,
            blocks,
            kept,
            turns: Vec::new(),
            left_out: 0,
        })
    }

    /// In a line: how it is spoken with.
    pub fn introduction(&self) -> String {
        let form = match &self.format {
            None => {
                "no chat template, so it goes on with the text of all that is said (--template names one)"
                    .to_owned()
            }
            Some(format) if format.has_turns() => format!("template {}", format.name()),
            Some(format) => format!(
                "template {}, which has no form for more than one turn: each message is put by itself",
                format.name()
            ),
        };
        let (positions, all) = (self.positions, self.subject.limits.max_length);
        let positions = match positions < all {
            true => format!("{positions} of its {all} positions, for which there is memory"),
            false => format!("{positions} positions"),
        };
        format!("{}: {form}; {positions}", self.name)
    }

    /// # Errors
    /// A system message that the template has no place for.
    pub fn check_system(&self, system: &str) -> Result<(), RunError> {
        let Some(format) = &self.format else { return Err(no_system(&self.name)) };
        let messages = [Message::system(system), Message::user("Hi")];
        let written = format.write(&messages, End::Answer).map_err(|error| {
            RunError::Usage(format!("{}: this system message cannot be put to it: {error}", self.name))
        })?;
        if !written.text.contains(system.trim()) {
            let text = "its template leaves system messages out, so that it would not be told this one";
            return Err(RunError::Usage(format!("{}: {text}", self.name)));
        }
        Ok(())
    }

    /// Forgets all that was said.
    pub fn reset(&mut self) {
        self.turns.clear();
        self.left_out = 0;
    }

    /// Answers a message, the how-many-th it is and its text. See [`Chat::ask`](super::Chat::ask).
    pub fn ask(
        &mut self,
        (number, message): (usize, &str),
        system: Option<&str>,
        stop: &Stop,
        hearer: &mut dyn Hearer,
    ) -> Result<Option<&Turn>, RunError> {
        let (prompt, left_out) = self.fitting(message, system, hearer)?;
        let ids = Arc::clone(&prompt.ids);
        let left = self.positions - ids.len();
        let request = GenerateRequest {
            prompt: Arc::clone(&ids),
            most: self.max_tokens.unwrap_or(left).min(left),
            stop: Arc::clone(&self.ends),
            sampling: self.sampling,
            stream: self.turns.len() as u64,
        };
        check_room(std::slice::from_ref(&request), self.limits(), self.blocks)?;
        let ends = Arc::clone(&self.ends);
        let asked = Asked { prompts: vec![prompt], stops: self.stops.clone(), ends };
        let texts = [message.to_owned()];
        let begun = Instant::now();
        let mut heard = Heard { hearer, answer: None };
        let scribe =
            Scribe::new(&asked, self.subject.tokenizer()?, (&texts, false), begun, (stop, &mut heard))?;
        let mut timed = Timed { listen: scribe, first: None };
        let known = self.kept.known(&ids, self.limits());
        let done = self.model.go_on(&mut self.kept, &request, self.blocks, &mut timed);
        let known_tokens = match &done {
            Ok(counts) => usize::try_from(counts.asked - counts.distinct).expect("tokens of a prompt"),
            Err(EngineError::Stopped) => known,
            Err(_) => return Err(done.expect_err("it is no success").into()),
        };
        let first = timed.first;
        timed.listen.finish()?;
        // Nobody wants to hear what was not begun.
        let Some(answer) = heard.answer else { return Ok(None) };
        let took = begun.elapsed();
        let reading = first.map_or(took, |first| first - begun);
        self.left_out = left_out;
        self.turns.push(Turn {
            number,
            message: message.to_owned(),
            answer: answer.text,
            end: answer.end,
            prompt_tokens: ids.len(),
            known_tokens,
            tokens: answer.n_tokens,
            reading,
            writing: Duration::from_secs_f64(answer.seconds).saturating_sub(reading),
        });
        Ok(self.turns.last())
    }

    /// The conversation with a new message in tokens, without its first turns if it is too long, and how many of these that are.
    fn fitting(
        &self,
        message: &str,
        system: Option<&str>,
        hearer: &mut dyn Hearer,
    ) -> Result<(AskedPrompt, usize), RunError> {
        let part = (self.positions / ROOM).max(1);
        let room = self.max_tokens.unwrap_or(part).min(part);
        let mut left_out = self.left_out;
        let whole = self.prompt(left_out, message, system)?;
        let tokens = whole.ids.len();
        let mut prompt = whole;
        while prompt.ids.len() + room > self.positions && left_out < self.told() {
            left_out += 1;
            prompt = self.prompt(left_out, message, system)?;
        }
        if prompt.ids.is_empty() {
            let text = "expected at least one token, found none, and the vocabulary puts no BOS before an empty text";
            return Err(RunError::Usage(format!("{}: {text}", self.name)));
        }
        if prompt.ids.len() >= self.positions {
            return Err(RunError::Usage(format!(
                "{}: the message alone takes {} tokens, of {} positions; it was not asked: shorten it, or allow more positions \
                 with --max-length where the model has them",
                self.name,
                prompt.ids.len(),
                self.positions
            )));
        }
        if left_out > self.left_out {
            hearer.leaves_out(left_out - self.left_out, tokens, self.positions);
        }
        Ok((prompt, left_out))
    }

    /// How many turns it is told of, or was before they were left out.
    fn told(&self) -> usize {
        let remembers = self.format.as_ref().is_none_or(ChatFormat::has_turns);
        if remembers { self.turns.len() } else { 0 }
    }

    /// The conversation after its first turns, with a new message.
    fn prompt(&self, left_out: usize, message: &str, system: Option<&str>) -> Result<AskedPrompt, RunError> {
        let tokenizer = self.tokenizer()?;
        // Whoever is told of none has left none out.
        let told = &self.turns[left_out.min(self.told())..self.told()];
        let Some(format) = &self.format else {
            let text: String = told.iter().map(|turn| format!("{}{}\n", turn.message, turn.answer)).collect();
            return AskedPrompt::of_text(&(text + message), tokenizer);
        };
        AskedPrompt::of_messages(&messages(system, told, Some(message)), format, tokenizer)
    }

    /// All that was said, and by what it was.
    pub fn transcript(&self, system: Option<&str>) -> Result<Part, RunError> {
        Ok(Part {
            model: self.name.clone(),
            path: self.subject.checkpoint.path.display().to_string(),
            identity: self.subject.identity()?,
            template: self.format.as_ref().map(|format| format.name().to_owned()),
            template_sha256: self.format.as_ref().and_then(ChatFormat::source_sha256),
            positions: self.positions,
            max_tokens: self.max_tokens,
            sampling: self.sampling,
            stops: self.stops.strings.clone(),
            system: system.map(str::to_owned),
            turns: self.turns.clone(),
            left_out: self.left_out,
        })
    }

    fn tokenizer(&self) -> Result<&Tokenizer, RunError> {
        self.subject.tokenizer()
    }

    fn limits(&self) -> Limits {
        Limits { max_length: self.positions, ..self.subject.limits }
    }
}

/// A conversation as templates know it.
fn messages(system: Option<&str>, turns: &[Turn], last: Option<&str>) -> Vec<Message> {
    let said = turns.iter().flat_map(|turn| [Message::user(&turn.message), Message::assistant(&turn.answer)]);
    system.map(Message::system).into_iter().chain(said).chain(last.map(Message::user)).collect()
}
