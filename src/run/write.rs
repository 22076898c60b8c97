//! What a model writes for the tasks of a run: from the ledger what it knows, the rest by the weights, kept as it is done.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::base::progress::Progress;
use crate::base::stop::Stop;
use crate::engine::{
    End, EngineError, GenerateRequest, Limits, Listen, LocalModel, Token, TokenCounts, check_room,
};
use crate::evaluate::{ToWrite, WrittenQuestions};
use crate::prompts::Writing;
use crate::records::{Ledger, WriteRequest, WrittenText};
use crate::remote::WriteJob;
use crate::tokenizer::Tokenizer;

/// Everything that a model is to write, and what of it is known.
pub struct Texts<'q> {
    asked: Vec<ToWrite<'q>>,
    records: Vec<WriteRequest>,
    stop: Arc<[u32]>,
}

impl<'q> Texts<'q> {
    /// Of these questions, for a model of this tokenizer.
    pub fn new(questions: &'q WrittenQuestions, tokenizer: &Tokenizer) -> Self {
        let stop: Arc<[u32]> = tokenizer.ends().into();
        let asked = questions.to_write();
        let records = asked.iter().map(|to_write| to_write.record(&stop)).collect();
        Self { asked, records, stop }
    }

    /// How the ledger knows them.
    pub fn records(&self) -> &[WriteRequest] {
        &self.records
    }

    /// Tokens of all prompts.
    pub fn prompt_tokens(&self) -> u64 {
        self.asked.iter().map(|to_write| to_write.prompt.len() as u64).sum()
    }

    /// How many of them the ledger knows.
    pub fn count_known(&self, ledger: &Ledger) -> usize {
        self.records.iter().filter(|record| ledger.known_text(record).is_some()).count()
    }

    /// Those that the ledger does not know; of equal ones the first, whose text answers them all.
    pub fn missing(&self, ledger: &Ledger) -> Vec<usize> {
        let mut seen = HashSet::new();
        let mut is_missing = |record| ledger.known_text(record).is_none() && seen.insert(record);
        (0..self.records.len()).filter(|&at| is_missing(&self.records[at])).collect()
    }

    /// All texts, which the ledger knows.
    pub fn known(&self, ledger: &Ledger) -> Vec<String> {
        let text = |record| ledger.known_text(record).expect("a text that was written").text.clone();
        self.records.iter().map(text).collect()
    }

    /// What a server is asked for one of them, and the tokens that it may take.
    pub fn remote_job(&self, at: usize) -> (WriteJob, usize) {
        let GenerateRequest { prompt, most, stop, sampling, stream } = self.asked[at].request(&self.stop);
        let tokens = prompt.len() + most;
        let stops = self.asked[at].generation.until.clone();
        (WriteJob { prompt, most, ends: stop, stops, sampling, stream }, tokens)
    }

    /// What the engine is asked for those that are `missing`.
    ///
    /// # Errors
    /// Keys and values that do not fit into `blocks` blocks, which is known before weights are read.
    pub fn requests(
        &self,
        missing: &[usize],
        blocks: usize,
        limits: Limits,
    ) -> Result<Vec<GenerateRequest>, EngineError> {
        let requests: Vec<GenerateRequest> =
            missing.iter().map(|&at| self.asked[at].request(&self.stop)).collect();
        check_room(&requests, limits, blocks)
            .map_err(|error| error.of_request(|request| missing[request]))?;
        Ok(requests)
    }

    /// Has `model` write those that are `missing`, in at most `blocks` blocks of keys and values, into the ledger.
    ///
    /// # Errors
    /// As [`LocalModel::generate`].
    pub fn write(
        &self,
        (missing, requests): (&[usize], &[GenerateRequest]),
        (model, blocks): (&LocalModel, usize),
        tokenizer: &Tokenizer,
        ledger: &mut Ledger,
        (progress, stop): (&dyn Progress, &Stop),
    ) -> Result<TokenCounts, EngineError> {
        let writings =
            missing.iter().map(|&at| Some(Writing::new(tokenizer, &self.asked[at].generation.until)));
        let mut writer = Writer { texts: self, missing, writings: writings.collect(), ledger, stop };
        let counts = model.generate(requests, blocks, &mut writer, progress);
        counts.map_err(|error| error.of_request(|request| missing[request]))
    }
}

/// Puts tokens together to texts, and texts into the ledger.
struct Writer<'w, 'q> {
    texts: &'w Texts<'q>,
    missing: &'w [usize],
    /// Those that are under way.
    writings: Vec<Option<Writing<'w>>>,
    ledger: &'w mut Ledger,
    stop: &'w Stop,
}

impl Listen for Writer<'_, '_> {
    fn token(&mut self, request: usize, token: Token) -> ControlFlow<()> {
        self.writings[request].as_mut().expect("it has not ended").push(token.id)
    }

    fn ended(&mut self, request: usize, _: End) -> Result<(), EngineError> {
        let writing = self.writings[request].take().expect("it ends once");
        let (text, tokens) =
            writing.finish().map_err(|error| EngineError::Model { reason: error.to_string() })?;
        let record = &self.texts.records[self.missing[request]];
        Ok(self.ledger.record_text(record, WrittenText { text, tokens })?)
    }

    fn is_stopped(&self) -> bool {
        self.stop.is_requested()
    }
}
