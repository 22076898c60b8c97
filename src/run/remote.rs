//! A served model as a respondent: what the ledger knows, the rest by requests that are under way at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::asking::{self, Counted, InTokens};
use super::error::During;
use super::follow::Follower;
use super::keeper::Keeper;
use super::respondent::{About, Answered, Respondent};
use super::served::Served;
use super::variants::Variant;
use super::write::Texts;
use super::{RunError, files, harness};
use crate::base::progress::{self, Unit};
use crate::engine::{Plan, ScoreJournal, TokenCounts, Watch};
use crate::evaluate::{Questions, WrittenQuestions};
use crate::records::{Ledger, ModelRecord, RequestRecord, WrittenText};
use crate::remote::{Client, Ended, Job, Scoring, WriteJob, jobs};
use crate::tasks::PreparedTask;
use crate::tasks::protocol::AddSpecialTokens;
use crate::tokenizer::Tokenizer;

/// As many requests that were refused are named.
const NAMED: usize = 10;

/// A served model, and the run that it answers in.
pub struct Remote<'a> {
    /// The model.
    pub served: &'a Served,
    /// The run.
    pub keeper: Keeper<'a>,
}

impl Remote<'_> {
    /// What becomes of a run whose work ended before everything was answered; nothing if all was.
    fn unfinished(
        &self,
        ended: Ended,
        (kept, asked): (usize, usize),
        ledger: &Ledger,
        place: &dyn Fn(usize) -> String,
    ) -> Result<(), RunError> {
        let file = ledger.path().display();
        match ended {
            Ended::Stopped => Err(self.keeper.stopped_after(kept, asked, ledger)),
            Ended::Failed(error) => Err(error).during(|| {
                format!(
                    "{kept} of {asked} requests of {} are kept in {file}; --resume goes on from there",
                    self.served.name
                )
            }),
            Ended::Done(failed) if failed.is_empty() => Ok(()),
            Ended::Done(failed) => {
                let lines =
                    failed.iter().take(NAMED).map(|(job, error)| format!("\n  {}: {error}", place(*job)));
                let lines: String = lines.collect();
                let more = match failed.len().saturating_sub(NAMED) {
                    0 => String::new(),
                    more => format!("\n  and {more} more"),
                };
                Err(RunError::room(format!(
                    "{}: {} requests were not answered; the other answers, {kept} of {asked}, are kept in {file}, and --resume asks \
                     for these alone:{lines}{more}",
                    self.served.name,
                    failed.len()
                )))
            }
        }
    }
}

impl InTokens for Remote<'_> {
    fn name(&self) -> &str {
        &self.served.name
    }

    fn tokenizer(&self) -> Result<&Tokenizer, RunError> {
        Ok(&self.served.tokenizer)
    }

    fn max_length(&self) -> usize {
        self.served.limits.max_length
    }

    fn score(&mut self, questions: Questions) -> Result<Counted, RunError> {
        if questions.tasks.is_empty() {
            return Ok(Counted::default());
        }
        let served = self.served;
        let (progress, stop) = (self.keeper.progress, self.keeper.stop);
        let requests = questions.requests();
        let mut tokens =
            Plan::new(&requests, served.limits).map_err(|error| questions.refused(error))?.tokens;
        let own = (served.identity(), served.limits.max_length);
        let (mut ledger, reused) = self.keeper.ledger(own, |ledger, run| ledger.reuse(run, &requests))?;
        let mut follower = Follower::new(&questions, progress, stop);
        let mut known: usize = 0;
        for (index, request) in requests.iter().enumerate() {
            if let Some(score) = ledger.known(request) {
                known += 1;
                follower.answered(index, score);
            }
        }
        let found = &served.server.found;
        let together = found.together && found.scoring == Some(Scoring::Echo);
        let is_missing = |index: usize| ledger.known(&requests[index]).is_none();
        let jobs = jobs(&requests, is_missing, served.limits.max_length, together);
        let whose: Vec<Vec<usize>> = jobs.iter().map(|job| job.requests.clone()).collect();
        let jobs: Vec<(Job, usize)> =
            jobs.into_iter().map(|job| (job.tokens(), job)).map(|(n, job)| (job, n)).collect();
        let sizes: Vec<u64> = jobs.iter().map(|(_, tokens)| *tokens as u64).collect();
        tracing::info!("{}: {} requests, {} to the server", served.name, requests.len(), jobs.len());
        let found = found.clone();
        let ask = move |client: &Client, job: &Job| job.ask(client, &found);
        let ended = progress::during(progress, "scoring", Some(sizes.iter().sum()), Unit::Tokens, || {
            let mut take = |job: usize, scores: Vec<crate::engine::Score>| -> Result<(), RunError> {
                assert_eq!(scores.len(), whose[job].len(), "a job has a score for each of its requests");
                let answers: Vec<_> = whose[job]
                    .iter()
                    .zip(&scores)
                    .map(|(index, score)| (&requests[*index], *score))
                    .collect();
                ledger.record(&answers).map_err(|error| questions.refused(error.into()))?;
                whose[job].iter().zip(&scores).for_each(|(index, score)| follower.answered(*index, *score));
                follower.begins(&BTreeSet::from([whose[job][0]]));
                progress.advance(sizes[job]);
                tokens.computed += sizes[job];
                Ok(())
            };
            served.server.pool(served.serving.concurrency).run(jobs, ask, &|| stop.is_requested(), &mut take)
        });
        ledger.sync()?;
        let kept = requests.iter().filter(|request| ledger.known(request).is_some()).count();
        self.unfinished(ended?, (kept, requests.len()), &ledger, &|job| questions.place_of(whose[job][0]))?;
        let scores: Vec<_> = requests
            .iter()
            .map(|request| ledger.known(request).expect("every request was answered"))
            .collect();
        drop(follower);
        let resumed = known.checked_sub(reused).expect("what was taken over was known before the work");
        let requests = RequestRecord { asked: requests.len(), resumed, reused };
        Ok(Counted { tasks: questions.answered(&scores), tokens, requests, against: None })
    }

    fn write(&mut self, questions: WrittenQuestions) -> Result<Counted, RunError> {
        if questions.tasks.is_empty() {
            return Ok(Counted::default());
        }
        let served = self.served;
        let (progress, stop) = (self.keeper.progress, self.keeper.stop);
        let texts = Texts::new(&questions, &served.tokenizer);
        let asked = texts.records().len();
        let own = (served.identity(), served.limits.max_length);
        let (mut ledger, reused) =
            self.keeper.ledger(own, |ledger, run| ledger.reuse_texts(run, texts.records()))?;
        let known = texts.count_known(&ledger);
        let mut missing = texts.missing(&ledger);
        // Neighbours share long beginnings, which the server's cache knows.
        missing.sort_by(|a, b| texts.records()[*a].prompt.cmp(&texts.records()[*b].prompt));
        let mut tokens = TokenCounts { asked: texts.prompt_tokens(), ..TokenCounts::default() };
        let jobs: Vec<(WriteJob, usize)> = missing.iter().map(|&at| texts.remote_job(at)).collect();
        let prompts: Vec<u64> = jobs.iter().map(|(job, _)| job.prompt.len() as u64).collect();
        tracing::info!("{}: {asked} answers, {} to be written by the server", served.name, jobs.len());
        let (found, tokenizer) = (served.server.found.clone(), Arc::clone(&served.tokenizer));
        let ask = move |client: &Client, job: &WriteJob| job.ask(client, &found, &tokenizer);
        let ended = progress::during(progress, "writing", Some(jobs.len() as u64), Unit::Items, || {
            let mut take = |job: usize, written: crate::remote::Continuation| -> Result<(), RunError> {
                tokens.computed += prompts[job] + written.tokens as u64;
                let text = WrittenText { text: written.text, tokens: written.tokens };
                let kept = ledger.record_text(&texts.records()[missing[job]], text);
                kept.map_err(|error| questions.refused(error.into()))?;
                progress.advance(1);
                Ok(())
            };
            served.server.pool(served.serving.concurrency).run(jobs, ask, &|| stop.is_requested(), &mut take)
        });
        ledger.sync()?;
        let kept = (texts.count_known(&ledger), asked);
        self.unfinished(ended?, kept, &ledger, &|job| questions.place_of(missing[job]))?;
        let requests = RequestRecord {
            asked,
            resumed: known.checked_sub(reused).expect("what was taken over is known"),
            reused,
        };
        let written = texts.known(&ledger);
        drop(texts);
        Ok(Counted { tasks: questions.answered(&written), tokens, requests, against: None })
    }
}

impl Respondent for Remote<'_> {
    fn answer(&mut self, tasks: &[Arc<PreparedTask>]) -> Result<Answered, RunError> {
        self.keeper.progress.turn(&self.keeper.turn);
        let (options, stop) = (self.keeper.options, self.keeper.stop);
        asking::answer(self, tasks, options, stop)
    }

    fn about(&self, variant: &Variant) -> Result<About, RunError> {
        let served = self.served;
        let (protocol, tokenizer) = (&variant.protocol, &*served.tokenizer);
        let record = ModelRecord {
            name: served.name.clone(),
            card: None,
            path: served.address.clone(),
            revision: None,
            weights_sha256: String::new(),
            built: None,
            tokenizer_sha256: tokenizer.sha256().to_owned(),
            parameters: 0,
            max_length: served.limits.max_length,
            adds_bos: tokenizer.adds_bos() && protocol.add_special_tokens == AddSpecialTokens::Tokenizer,
            protocol: protocol.name.clone(),
            protocol_sha256: protocol.file_sha256.clone(),
            chat: variant.chat.as_ref().map(files::chat_record),
            rotation: variant.rotation,
            precision: served.precision(),
            matmul: served.program(),
            server: Some(served.record()),
            seconds: BTreeMap::from(["loading", "scoring"].map(|what| (what.to_owned(), 0.0))),
            tokens: TokenCounts::default(),
            requests: RequestRecord::default(),
        };
        Ok(About {
            name: served.name.clone(),
            weights_sha256: String::new(),
            published: Vec::new(),
            record: Some(record),
            special_tokens: Some(harness::special_tokens(tokenizer)),
        })
    }
}
