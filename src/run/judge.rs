//! Generated programs judged: what is known of them from the run's ledger, the rest in the sandbox, on all cores.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::RunError;
use super::claim::Claim;
use super::error::Stopped;
use crate::base::machine::Memory;
use crate::base::progress::{Progress, Turn, Unit, during};
use crate::base::stop::Stop;
use crate::evaluate::{AnsweredTask, EvaluateError, Verdicts, programs, runs_programs};
use crate::records::{ProgramsRecord, VerdictLedger};
use crate::sandbox::{Interpreter, Limits, Sandbox, SandboxError, THIS_PROGRAM, Verdict};
use crate::tasks::Task;

/// Whether generated programs may be run, and by what.
#[derive(Debug, Clone, Default)]
pub struct Code {
    /// Whether they may.
    pub allow: bool,
    /// The interpreter; `None` for `python3` on the path.
    pub python: Option<PathBuf>,
}

/// Whoever judges programs.
pub struct Judge<'a> {
    code: &'a Code,
    progress: &'a dyn Progress,
    stop: &'a Stop,
    /// Made when the first program has to be run, or is known to have to be.
    sandbox: Option<Sandbox>,
    /// Under which conditions programs were judged, here or in the run that is graded again.
    conditions: Option<ProgramsRecord>,
    ledger: VerdictLedger,
    /// The run that keeps verdicts, and others from which they are taken over; `None` once its ledger is open.
    keep: Option<(PathBuf, Vec<PathBuf>)>,
    /// A finished run that is graded again. It keeps verdicts too, and is claimed only while programs are run.
    again: Option<PathBuf>,
}

impl<'a> Judge<'a> {
    /// One that knows no verdicts yet.
    pub fn new(code: &'a Code, progress: &'a dyn Progress, stop: &'a Stop) -> Self {
        Self {
            code,
            progress,
            stop,
            sandbox: None,
            conditions: None,
            ledger: VerdictLedger::nowhere(),
            keep: None,
            again: None,
        }
    }

    /// One that knows what a finished run knows, which judged under these conditions.
    ///
    /// # Errors
    /// A ledger that cannot be read.
    pub fn of_run(self, run: &Path, conditions: Option<ProgramsRecord>) -> Result<Self, RunError> {
        let conditions = conditions.map(|then| ProgramsRecord { verdicts: Vec::new(), ..then });
        let mut ledger = VerdictLedger::nowhere();
        ledger.reuse(run)?;
        Ok(Self { conditions, ledger, again: Some(run.to_owned()), ..self })
    }

    /// One that knows what the shards of a run know, which judged under these conditions. It runs nothing.
    ///
    /// # Errors
    /// As [`of_run`](Self::of_run).
    pub fn of_shards(self, shards: &[&Path], conditions: Option<ProgramsRecord>) -> Result<Self, RunError> {
        let mut ledger = VerdictLedger::nowhere();
        shards.iter().try_for_each(|shard| ledger.reuse(shard))?;
        Ok(Self { conditions, ledger, ..self })
    }

    /// One that keeps verdicts in the run in this folder, and takes over what it and the runs of `reuse` know. The folder is
    /// looked into when there is something to judge: until a run has begun, another one may be in its place.
    pub fn keeping_in(self, run: &Path, reuse: &[PathBuf]) -> Self {
        Self { keep: Some((run.to_owned(), reuse.to_owned())), ..self }
    }

    /// Sees to it, before anything else is done, that the programs of these tasks can be run if that is allowed.
    ///
    /// # Errors
    /// No interpreter, and no sandbox that holds.
    pub fn prepare<'t>(&mut self, tasks: impl IntoIterator<Item = &'t Task>) -> Result<(), RunError> {
        for task in tasks {
            if self.code.allow && runs_programs(task)?.is_some() {
                return self.sandbox().map(|_| ());
            }
        }
        Ok(())
    }

    fn sandbox(&mut self) -> Result<&Sandbox, RunError> {
        if self.sandbox.is_none() {
            let interpreter = Interpreter::find(self.code.python.as_deref())?;
            tracing::info!(
                "generated programs are run by {} ({})",
                interpreter.path.display(),
                interpreter.version
            );
            let sandbox =
                Sandbox::open(Path::new(THIS_PROGRAM), interpreter.clone(), Limits::default(), self.stop)?;
            self.conditions =
                Some(ProgramsRecord { interpreter, limits: sandbox.limits(), verdicts: Vec::new() });
            self.sandbox = Some(sandbox);
        }
        Ok(self.sandbox.as_ref().expect("it was just made"))
    }

    /// The verdicts on all programs in these answers.
    ///
    /// # Errors
    /// Programs that would have to be run without leave, a sandbox that cannot be made or fails, and somebody who asks for the end.
    pub fn judge(&mut self, answered: &[AnsweredTask]) -> Result<Verdicts, RunError> {
        if let Some((run, reuse)) = self.keep.take() {
            self.ledger = VerdictLedger::open(&run)?;
            reuse.iter().try_for_each(|run| self.ledger.reuse(run))?;
        }
        let mut all: Vec<String> = Vec::new();
        for own in answered {
            let programs = programs(&own.task, &own.answers)?;
            if self.code.allow && !programs.is_empty() {
                self.sandbox()?;
            } else if let Some(metric) = runs_programs(&own.task.task)?
                && !programs.iter().all(|program| self.known(program).is_some())
            {
                let task = own.task.task.name.clone();
                return Err(EvaluateError::RunsPrograms { task, metric }.into());
            }
            all.extend(programs);
        }
        let mut seen = HashSet::new();
        all.retain(|program| seen.insert(program.clone()));
        let mut missing: Vec<&String> = all.iter().filter(|program| self.known(program).is_none()).collect();
        let claim = if missing.is_empty() { None } else { self.claim()? };
        // Another process may have graded the run until now.
        missing.retain(|program| self.known(program).is_none());
        let judged = if missing.is_empty() { Vec::new() } else { self.run(&missing)? };
        if claim.is_some() {
            self.ledger.close()?;
        }
        let judged: Vec<(String, Verdict)> = missing.into_iter().cloned().zip(judged).collect();
        let known = |program: &String| Some((program.clone(), self.known(program)?.clone()));
        // What was just run counts before what had been known of it.
        let known: Vec<(String, Verdict)> = all.iter().filter_map(known).collect();
        Ok(known.into_iter().chain(judged).collect())
    }

    /// Opens the ledger of the run that is graded again, if there is one and it can be added to; nobody else adds to it as long as
    /// the claim lives.
    fn claim(&mut self) -> Result<Option<Claim>, RunError> {
        let Some(run) = &self.again else { return Ok(None) };
        if !VerdictLedger::is_writable(run) {
            let run = run.display();
            tracing::warn!(
                "{run}: the run is read-only; verdicts on its programs are not added to its ledger"
            );
            return Ok(None);
        }
        let claim = Claim::of(run)?;
        self.ledger = VerdictLedger::open(run)?;
        Ok(Some(claim))
    }

    /// What is known of a program and stays so: where programs may be run, those that ran out of time are run again.
    fn known(&self, program: &str) -> Option<&Verdict> {
        let verdict = self.ledger.known(self.conditions.as_ref()?, program)?;
        Some(verdict).filter(|verdict| verdict.is_decided() || !self.code.allow)
    }

    /// Runs programs, as many at a time as there are threads and as fit into the free memory if each takes all that it may.
    fn run(&mut self, programs: &[&String]) -> Result<Vec<Verdict>, RunError> {
        let (stop, progress) = (self.stop, self.progress);
        let _heeding = stop.heed();
        let sandbox = self.sandbox.as_ref().expect("programs are run where that is allowed");
        let conditions = self.conditions.as_ref().expect("a sandbox has conditions");
        let ledger = Mutex::new(&mut self.ledger);
        let verdicts: Mutex<Vec<Option<Verdict>>> = Mutex::new(vec![None; programs.len()]);
        let failure: Mutex<Option<RunError>> = Mutex::new(None);
        let next = AtomicUsize::new(0);
        let one = |program: &str| -> Result<Verdict, RunError> {
            let verdict = sandbox.run(program, stop)?;
            ledger.lock().expect("nobody panics with it").record(conditions, program, &verdict)?;
            Ok(verdict)
        };
        let work = || {
            while failure.lock().expect("nobody panics with it").is_none() {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(program) = programs.get(at) else { break };
                match one(program) {
                    Ok(verdict) => verdicts.lock().expect("nobody panics with it")[at] = Some(verdict),
                    Err(error) => {
                        failure.lock().expect("nobody panics with it").get_or_insert(error);
                    }
                }
                progress.advance(1);
            }
        };
        let fit = Memory::read().map_or(u64::MAX, |memory| memory.available / sandbox.limits().memory);
        let fit = usize::try_from(fit).unwrap_or(usize::MAX).max(1);
        let threads = rayon::current_num_threads().min(programs.len()).min(fit);
        during(progress, "running programs", Some(programs.len() as u64), Unit::Items, || {
            std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
        });
        let verdicts = verdicts.into_inner().expect("nobody panics with it");
        self.ledger.sync()?;
        if stop.is_requested() {
            return Err(self.stopped(verdicts.iter().flatten().count(), verdicts.len()));
        }
        if let Some(error) = failure.into_inner().expect("nobody panics with it") {
            return Err(error);
        }
        Ok(verdicts.into_iter().map(|verdict| verdict.expect("every program was run")).collect())
    }

    /// What a run that was stopped keeps.
    fn stopped(&self, kept: usize, asked: usize) -> RunError {
        let Some(ledger) = self.ledger.path() else { return SandboxError::Stopped.into() };
        let folder = ledger.parent().and_then(Path::parent).expect("a ledger is in a folder of a run");
        let turn = Turn { name: "running programs".to_owned(), number: 1, of: 1 };
        RunError::Stopped(Box::new(Stopped {
            turn,
            kept,
            asked,
            ledger: ledger.to_owned(),
            folder: folder.to_owned(),
        }))
    }

    /// Under which conditions programs were judged, if any were.
    pub fn conditions(&self) -> Option<&ProgramsRecord> {
        self.conditions.as_ref()
    }
}
