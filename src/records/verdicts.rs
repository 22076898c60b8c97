//! `ledger/programs.jsonl`: verdicts on generated programs, one a line, kept as they come.
//!
//! A program is known by the digest of its text and of all else that decides its verdict: the interpreter, with the folders that it
//! is installed in, and the limits. A line has a checksum, so one that was cut or changed is left out and its program is run again. A
//! program that ran out of time may do so because the machine was busy; whoever may run programs runs it again.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Access, access};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::MAX_BYTES;
use super::ledger::LEDGER_FOLDER;
use super::run::ProgramsRecord;
use crate::base::atomic::AtomicFile;
use crate::base::digest::sha256;
use crate::base::journal::{LineFile, checksum};
use crate::base::whole;
use crate::sandbox::Verdict;

const FILE: &str = "programs.jsonl";
/// How much work a loss of power may cost.
const SYNC_EVERY: Duration = Duration::from_secs(2);

/// The digest that a program has in the file.
fn key(conditions: &ProgramsRecord, program: &str) -> String {
    // Two environments of one version have other packages.
    let setting = (&conditions.interpreter, conditions.limits);
    let setting = serde_json::to_string(&setting).expect("texts and numbers are JSON");
    sha256(format!("{setting}\n{program}").as_bytes())
}

/// Verdicts that a run knows.
#[derive(Debug)]
pub struct VerdictLedger {
    known: HashMap<String, Verdict>,
    /// `None` where nothing is kept.
    file: Option<LineFile>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    sum: String,
    program: String,
    #[serde(flatten)]
    verdict: Verdict,
}

impl Line {
    /// The line of a program, with its end.
    fn of(program: &str, verdict: &Verdict) -> Vec<u8> {
        let (program, verdict) = (program.to_owned(), verdict.clone());
        let line = Self { sum: Self::sum_of(&program, &verdict), program, verdict };
        let mut line = serde_json::to_vec(&line).expect("texts are JSON");
        line.push(b'\n');
        line
    }

    fn sum_of(program: &str, verdict: &Verdict) -> String {
        let verdict = serde_json::to_string(verdict).expect("texts are JSON");
        checksum(&[program.as_bytes(), b"\n", verdict.as_bytes()])
    }
}

impl VerdictLedger {
    /// One that keeps nothing.
    pub fn nowhere() -> Self {
        Self { known: HashMap::new(), file: None }
    }

    /// That of the run in a folder; there need not be one yet.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn open(run: &Path) -> io::Result<Self> {
        let path = run.join(LEDGER_FOLDER).join(FILE);
        let (known, whole) = read(&path)?;
        Ok(Self { known, file: Some(LineFile::after(&path, whole, SYNC_EVERY)) })
    }

    /// Takes over what another run knows, without keeping it here.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn reuse(&mut self, run: &Path) -> io::Result<()> {
        let (others, _) = read(&run.join(LEDGER_FOLDER).join(FILE))?;
        for (program, verdict) in others {
            self.known.entry(program).or_insert(verdict);
        }
        Ok(())
    }

    /// Writes what these runs know into the folder of another one, in the order of the programs' digests; nothing where they know
    /// nothing.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn merge(runs: &[&Path], target: &Path) -> io::Result<()> {
        let mut all = Self::nowhere();
        runs.iter().try_for_each(|run| all.reuse(run))?;
        if all.known.is_empty() {
            return Ok(());
        }
        let sorted: BTreeMap<String, Verdict> = all.known.into_iter().collect();
        let mut file = AtomicFile::create(&target.join(LEDGER_FOLDER).join(FILE))?;
        sorted.iter().try_for_each(|(program, verdict)| file.write_all(&Line::of(program, verdict)))?;
        file.commit()
    }

    /// The verdict on a program under these conditions, if it is known.
    pub fn known(&self, conditions: &ProgramsRecord, program: &str) -> Option<&Verdict> {
        self.known.get(&key(conditions, program))
    }

    /// Keeps a verdict.
    ///
    /// # Errors
    /// A file that cannot be written to.
    pub fn record(
        &mut self,
        conditions: &ProgramsRecord,
        program: &str,
        verdict: &Verdict,
    ) -> io::Result<()> {
        let program = key(conditions, program);
        if let Some(file) = &mut self.file {
            file.append(&Line::of(&program, verdict))?;
        }
        self.known.insert(program, verdict.clone());
        Ok(())
    }

    /// Whether verdicts can be added to those of the run in a folder, as they cannot on a disk that is read-only.
    pub fn is_writable(run: &Path) -> bool {
        let folder = run.join(LEDGER_FOLDER);
        [run, &folder, &folder.join(FILE)]
            .iter()
            .all(|path| matches!(access(*path, Access::WRITE_OK), Ok(()) | Err(Errno::NOENT)))
    }

    /// Adds nothing to the file any more. What is known stays so.
    ///
    /// # Errors
    /// What the disk says.
    pub fn close(&mut self) -> io::Result<()> {
        self.sync()?;
        self.file = None;
        Ok(())
    }

    /// Sees to it that everything is on the disk.
    ///
    /// # Errors
    /// What the disk says.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), LineFile::sync)
    }

    /// Where it is, if anywhere.
    pub fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(LineFile::path)
    }
}

/// The verdicts of a file, later ones before earlier ones, and the bytes of its whole lines.
fn read(path: &Path) -> io::Result<(HashMap<String, Verdict>, u64)> {
    let text = match whole::read(path, MAX_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((HashMap::new(), 0)),
        read => read.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?,
    };
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lines = text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let good = lines.filter_map(|line| {
        let Line { sum, program, verdict } = serde_json::from_slice(line).ok()?;
        (sum == Line::sum_of(&program, &verdict)).then_some((program, verdict))
    });
    Ok((good.collect(), whole as u64))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::sandbox::{Exceeded, Interpreter, Limits};

    fn conditions(version: &str) -> ProgramsRecord {
        let interpreter =
            Interpreter { path: "/usr/bin/python3".into(), version: version.into(), folders: Vec::new() };
        ProgramsRecord { interpreter, limits: Limits::default(), verdicts: Vec::new() }
    }

    #[test]
    fn verdicts_are_known_again_under_the_same_conditions_alone() {
        let run = tempfile::tempdir().unwrap();
        let here = conditions("CPython 3.11.7");
        let verdicts = [
            ("a", Verdict::Passed),
            ("b", Verdict::Failed { error: "E\u{e4}: \"x\"".into() }),
            ("c", Verdict::TimedOut),
            ("d", Verdict::Killed { exceeded: Exceeded::Memory }),
        ];
        let mut ledger = VerdictLedger::open(run.path()).unwrap();
        for (program, verdict) in &verdicts {
            ledger.record(&here, program, verdict).unwrap();
        }
        ledger.sync().unwrap();
        let mut other = VerdictLedger::nowhere();
        other.reuse(run.path()).unwrap();
        for ledger in [&ledger, &VerdictLedger::open(run.path()).unwrap(), &other] {
            for (program, verdict) in &verdicts {
                assert_eq!(ledger.known(&here, program), Some(verdict));
                assert_eq!(ledger.known(&conditions("CPython 3.12.1"), program), None);
            }
            let limits = Limits { seconds: 9.0, ..here.limits };
            assert_eq!(ledger.known(&ProgramsRecord { limits, ..here.clone() }, "a"), None);
        }
    }

    #[test]
    fn another_environment_of_the_same_version_knows_nothing() {
        let here = conditions("CPython 3.11.7");
        let mut ledger = VerdictLedger::nowhere();
        ledger.record(&here, "import numpy", &Verdict::Passed).unwrap();
        let with = |interpreter| ProgramsRecord { interpreter, ..here.clone() };
        let path = "/home/somebody/env/bin/python3".into();
        let folders = vec!["/home/somebody/env".into()];
        for other in [
            Interpreter { path, ..here.interpreter.clone() },
            Interpreter { folders, ..here.interpreter.clone() },
        ] {
            assert_eq!(ledger.known(&with(other), "import numpy"), None);
        }
        assert_eq!(ledger.known(&here, "import numpy"), Some(&Verdict::Passed));
    }

    #[test]
    fn lines_that_were_cut_or_changed_are_none() {
        let run = tempfile::tempdir().unwrap();
        let here = conditions("CPython 3.11.7");
        let mut ledger = VerdictLedger::open(run.path()).unwrap();
        ledger.record(&here, "a", &Verdict::TimedOut).unwrap();
        ledger.record(&here, "b", &Verdict::Passed).unwrap();
        let path = ledger.path().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("timed_out", "passed") + "{\"sum\":").unwrap();
        let mut again = VerdictLedger::open(run.path()).unwrap();
        assert_eq!(again.known(&here, "a"), None);
        assert_eq!(again.known(&here, "b"), Some(&Verdict::Passed));
        again.record(&here, "c", &Verdict::Passed).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3, "the torn line is cut");
    }

    #[test]
    fn a_ledger_that_is_closed_grows_no_more_and_knows_what_it_knew() {
        let run = tempfile::tempdir().unwrap();
        assert!(VerdictLedger::is_writable(run.path()));
        let here = conditions("CPython 3.11.7");
        let mut ledger = VerdictLedger::open(run.path()).unwrap();
        ledger.record(&here, "a", &Verdict::Passed).unwrap();
        ledger.close().unwrap();
        ledger.record(&here, "b", &Verdict::Passed).unwrap();
        let again = VerdictLedger::open(run.path()).unwrap();
        for (program, kept) in [("a", true), ("b", false)] {
            assert_eq!(ledger.known(&here, program), Some(&Verdict::Passed));
            assert_eq!(again.known(&here, program).is_some(), kept);
        }
        assert!(VerdictLedger::is_writable(run.path()));
    }
}
