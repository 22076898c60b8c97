//! The samples of all shards as one respondent: every document of every task, once, in order.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rayon::prelude::*;

use super::part::Part;
use crate::engine::TokenCounts;
use crate::evaluate::harness::NamedSpecialTokens;
use crate::evaluate::{
    AnsweredTask, SanityCheck, SanityFinding, continuations_sha256_of, merged_findings, recorded,
};
use crate::records::{
    ModelRecord, RequestRecord, SampleHeader, SampleLine, ServerRecord, file_name, own_file_name,
    read_samples_digested,
};
use crate::registry::Published;
use crate::run::RunError;
use crate::run::error::During;
use crate::run::respondent::{About, Answered, Effort, Respondent};
use crate::run::variants::Variant;
use crate::tasks::PreparedTask;

/// The answers of one model, asked in one way.
pub struct Parts<'a> {
    /// All shards, in order.
    pub parts: &'a [Part],
    /// Its place in the description of each.
    pub at: usize,
    /// The name of its folder of samples.
    pub folder: String,
    /// Published scores to put beside.
    pub published: Vec<Published>,
}

impl Parts<'_> {
    fn of_part<'p>(&self, part: &'p Part) -> &'p ModelRecord {
        &part.models[self.at]
    }

    fn findings<'p>(&self, part: &'p Part, task: &'p str) -> impl Iterator<Item = &'p SanityFinding> {
        part.known.models[self.at].findings.iter().filter(move |finding| finding.task == task)
    }

    fn file(&self, part: &Part, task: &str) -> PathBuf {
        part.path.join("samples").join(file_name(&self.folder)).join(own_file_name(task) + ".jsonl")
    }

    /// The documents of one shard, and SHA-256 of their file.
    fn read(
        &self,
        part: &Part,
        task: &PreparedTask,
    ) -> Result<(SampleHeader, Vec<SampleLine>, String), RunError> {
        let name = &task.task.name;
        let path = self.file(part, name);
        let (header, lines, sha256) = read_samples_digested(&path)
            .during(|| format!("cannot read the samples of shard {} of {name}", part.shard))?;
        let model = self.of_part(part);
        let output_type = task.task.config.output_type.name();
        let checks = [
            ("lines of samples", header.n.to_string(), lines.len().to_string()),
            ("the task", name.clone(), header.task.clone()),
            ("the model", model.name.clone(), header.model.clone()),
            ("weights", model.weights_sha256.clone(), header.weights_sha256.clone()),
            ("examples", task.num_fewshot.to_string(), header.num_fewshot.to_string()),
            ("output_type", output_type.to_owned(), header.output_type.clone()),
        ];
        let wrong = |reason: String| RunError::room(format!("{}: {reason}", path.display()));
        if let Some((what, expected, found)) =
            checks.into_iter().find(|(_, expected, found)| expected != found)
        {
            return Err(wrong(format!(
                "expected {what}: {expected}, found {found}; the file was cut, added to or is of another run"
            )));
        }
        let mut last = None;
        for line in &lines {
            let id = line.doc_id;
            if last >= Some(id) {
                return Err(wrong(format!("expected every document once and in order, found {id} again")));
            }
            if !part.shard.has(id) || id >= task.limited_docs {
                let (shard, documents) = (part.shard, task.limited_docs);
                return Err(wrong(format!(
                    "expected documents of shard {shard} of {documents} documents, found document {id}"
                )));
            }
            last = Some(id);
        }
        let left_out: usize = self
            .findings(part, name)
            .filter(|finding| finding.check == SanityCheck::Skipped)
            .map(|finding| finding.documents)
            .sum();
        let expected = part.shard.share(task.limited_docs);
        if lines.len() + left_out != expected {
            return Err(wrong(format!(
                "expected {expected} documents in shard {}, found {} and {left_out} that were left out",
                part.shard,
                lines.len()
            )));
        }
        Ok((header, lines, sha256))
    }

    /// Refuses samples that are not those which the shard wrote: anybody's numbers can stand in them then, whatever its ledger says.
    fn refuse_changed(&self, part: &Part, task: &str, now: &str) -> Result<(), RunError> {
        let then = part.known.models[self.at].samples_sha256.get(task);
        if then.is_some_and(|then| then == now) {
            return Ok(());
        }
        let file = self.file(part, task);
        let (file, path) = (file.display(), part.path.display());
        let advice = format!(
            "run shard {} again under another name (--reuse {path} takes over the scores of its ledger)",
            part.shard
        );
        Err(RunError::room(match then {
            Some(then) => format!(
                "{file}: the samples of {task} are not those that the shard wrote (sha256 {now}, then {then}): the file was changed \
                 afterwards; put it back, or {advice}"
            ),
            None => format!(
                "{path}: shard.yaml: expected the digest of the samples of {task}, found none, so that nothing tells whether {file} \
                 is as it was written; {advice}"
            ),
        }))
    }

    fn task(&self, task: &Arc<PreparedTask>) -> Result<AnsweredTask, RunError> {
        let mut all: Vec<SampleLine> = Vec::with_capacity(task.docs.len());
        let mut digests = Vec::with_capacity(self.parts.len());
        for part in self.parts {
            let (header, lines, sha256) = self.read(part, task)?;
            all.extend(lines);
            digests.push((header.continuations_sha256, sha256));
        }
        all.sort_by_key(|line| line.doc_id);
        let name = &task.task.name;
        let answered = recorded(task, &all).during(|| format!("the samples of {name}"))?;
        for (part, (then, sha256)) in self.parts.iter().zip(digests) {
            let own = answered.task.docs.iter().filter(|doc| part.shard.has(doc.doc_id));
            let now = continuations_sha256_of(&answered.task, own);
            if now != then {
                let shown = |digest: Option<String>| digest.unwrap_or_else(|| "none".to_owned());
                return Err(RunError::room(format!(
                    "{}: the continuations are not those that were scored (sha256 {}, then {}); the choices in the task file or \
                     the data have changed since",
                    self.file(part, name).display(),
                    shown(now),
                    shown(then)
                )));
            }
            self.refuse_changed(part, name, &sha256)?;
        }
        let findings = self.parts.iter().flat_map(|part| self.findings(part, name)).cloned();
        let findings = merged_findings(&answered, findings)?;
        Ok(AnsweredTask { findings, ..answered })
    }

    /// What all shards took together.
    fn effort(&self) -> Effort {
        let models = || self.parts.iter().map(|part| self.of_part(part));
        let seconds = |what: &str| {
            let all: f64 = models().filter_map(|model| model.seconds.get(what)).sum();
            Duration::try_from_secs_f64(all).unwrap_or_default()
        };
        Effort {
            tokens: models().map(|model| model.tokens).fold(TokenCounts::default(), TokenCounts::and),
            requests: models().map(|model| model.requests).fold(RequestRecord::default(), RequestRecord::and),
            loading: seconds("loading"),
            scoring: seconds("scoring"),
        }
    }

    fn special_tokens(&self) -> Option<NamedSpecialTokens> {
        self.parts[0].known.models[self.at].special_tokens.clone()
    }
}

impl Respondent for Parts<'_> {
    fn answer(&mut self, tasks: &[Arc<PreparedTask>]) -> Result<Answered, RunError> {
        let tasks = tasks.par_iter().map(|task| self.task(task)).collect::<Result<_, _>>()?;
        Ok(Answered { effort: Some(self.effort()), ..Answered::found(tasks) })
    }

    fn about(&self, _: &Variant) -> Result<About, RunError> {
        let record = self.of_part(&self.parts[0]);
        let servers = self.parts.iter().filter_map(|part| self.of_part(part).server.clone());
        let record = &ModelRecord { server: servers.reduce(ServerRecord::and), ..record.clone() };
        Ok(About {
            name: record.name.clone(),
            weights_sha256: record.weights_sha256.clone(),
            published: self.published.clone(),
            record: Some(record.clone()),
            special_tokens: self.special_tokens(),
        })
    }
}
