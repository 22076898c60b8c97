//! The ledgers of a run's shards as those of the run: each answer once, in the order of their keys.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::contents::Refused;
use super::error::LedgerError;
use super::identity::{Identity, Key};
use super::line::{LedgerHeader, Numbers, header, read_entry, read_header};
use super::{LEDGER_FOLDER, refusal};
use crate::base::atomic::AtomicFile;
use crate::base::whole;
use crate::records::MAX_BYTES;

/// Writes the ledgers of `runs` into the folder of the run `target`; gives a sentence on each that says less than it might. A
/// request with two answers that differ has none, as in any ledger.
///
/// # Errors
/// Ledgers of one name that are of different models or of another version, and files that cannot be read or written.
pub fn merge(runs: &[&Path], target: &Path) -> Result<Vec<String>, LedgerError> {
    let mut files: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for run in runs {
        let folder = run.join(LEDGER_FOLDER);
        let entries = match fs::read_dir(&folder) {
            // A shard without a document has none.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.and_then(Iterator::collect::<io::Result<Vec<_>>>),
        };
        for entry in entries.map_err(|source| LedgerError::Read { path: folder.clone(), source })? {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".txt") {
                files.entry(name).or_default().push(entry.path());
            }
        }
    }
    let mut notes = Vec::new();
    let mut known: Vec<(String, Identity)> = Vec::new();
    for (name, paths) in files {
        let mut merged = Merged::default();
        for path in &paths {
            let bytes = whole::read(path, MAX_BYTES);
            let bytes = bytes.map_err(|source| LedgerError::Read { path: path.clone(), source })?;
            merged.add(path, &bytes)?;
        }
        let path = target.join(LEDGER_FOLDER).join(&name);
        // Ledgers of other arithmetic have other names; two programs may say one version.
        if let Some(own) = &merged.identity {
            let model = name.rsplit_once('-').map_or("", |(model, _)| model);
            let is_of_other_program = |(other, identity): &&(String, Identity)| {
                *other == model && Identity { arithmetic: own.arithmetic, ..identity.clone() } == *own
            };
            if let Some((_, other)) = known.iter().find(is_of_other_program) {
                return Err(refusal(&paths[0], other, Refused::OtherModel(Box::new(own.clone()))));
            }
            known.push((model.to_owned(), own.clone()));
        }
        merged.write(&path).map_err(|source| LedgerError::Write { path, source })?;
        notes.append(&mut merged.notes);
    }
    Ok(notes)
}

/// Lines of one model.
#[derive(Default)]
struct Merged {
    identity: Option<Identity>,
    lines: BTreeMap<Key, Vec<u8>>,
    contradictory: BTreeSet<Key>,
    notes: Vec<String>,
}

impl Merged {
    fn add(&mut self, path: &Path, bytes: &[u8]) -> Result<(), LedgerError> {
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let identity = match read_header(lines.next().expect("what is split has a first piece")) {
            LedgerHeader::Of(found) => *found,
            LedgerHeader::Version(version) => {
                return Err(LedgerError::Version { path: path.to_owned(), found: version });
            }
            LedgerHeader::Damaged => {
                self.notes.push(format!("{}: its first line is damaged; it is left out", path.display()));
                return Ok(());
            }
        };
        let known = self.identity.get_or_insert_with(|| identity.clone());
        if *known != identity {
            return Err(refusal(path, known, Refused::OtherModel(Box::new(identity))));
        }
        let seed = known.seed();
        let mut damaged = 0;
        for line in lines.filter(|line| !line.is_empty()) {
            let Some((key, _)) = read_entry(&seed, line, Numbers::LogProbs) else {
                damaged += 1;
                continue;
            };
            match self.lines.entry(key) {
                Entry::Vacant(free) => drop(free.insert(line.to_vec())),
                Entry::Occupied(known) if known.get() == line => {}
                Entry::Occupied(_) => drop(self.contradictory.insert(key)),
            }
        }
        if damaged > 0 {
            self.notes
                .push(format!("{}: {damaged} of its lines are damaged; they are left out", path.display()));
        }
        Ok(())
    }

    fn write(&mut self, path: &Path) -> io::Result<()> {
        let Some(identity) = &self.identity else { return Ok(()) };
        if !self.contradictory.is_empty() {
            let many = self.contradictory.len();
            let path = path.display();
            self.notes.push(format!(
                "{path}: {many} requests have answers that differ from shard to shard; none of them is kept there"
            ));
        }
        let mut file = AtomicFile::create(path)?;
        writeln!(file, "{}", header(identity).map_err(io::Error::other)?)?;
        for (_, line) in self.lines.iter().filter(|(key, _)| !self.contradictory.contains(*key)) {
            file.write_all(line)?;
            file.write_all(b"\n")?;
        }
        file.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ledger;
    use super::super::identity::tests::{identity, request};
    use super::*;
    use crate::engine::{Score, ScoreJournal as _};

    fn ledger(run: &Path, weights: &str, scores: &[(u32, f64)]) -> Ledger {
        let mut ledger = Ledger::open(run, "tiny", identity(weights), 8).unwrap();
        for (token, logprob) in scores {
            let score = Score { logprob: *logprob, is_greedy: false };
            ledger.record(&[(&request(&[*token], &[1]), score)]).unwrap();
        }
        ledger
    }

    #[test]
    fn a_merged_ledger_knows_what_its_shards_know() {
        let [a, b, none, whole] = [(); 4].map(|()| tempfile::tempdir().unwrap());
        let first = ledger(a.path(), "a", &[(1, -1.0), (2, -2.0), (9, -9.0)]);
        ledger(b.path(), "a", &[(3, -3.0), (2, -2.0), (9, -8.0)]);
        let notes = merge(&[a.path(), b.path(), none.path()], whole.path()).unwrap();
        assert!(notes.len() == 1 && notes[0].contains("1 requests have answers that differ"), "{notes:?}");
        let mut merged = Ledger::open(whole.path(), "tiny", identity("a"), 8).unwrap();
        assert_eq!((merged.scores.len(), merged.take_notes().len()), (3, 0));
        for token in 1..4 {
            let known = merged.known(&request(&[token], &[1])).unwrap();
            assert_eq!(known.logprob, -f64::from(token));
        }
        assert!(merged.known(&request(&[9], &[1])).is_none());
        // The order of the shards does not matter.
        let again = tempfile::tempdir().unwrap();
        merge(&[b.path(), a.path()], again.path()).unwrap();
        let name = first.path().file_name().unwrap();
        let bytes = |run: &Path| fs::read(run.join(LEDGER_FOLDER).join(name)).unwrap();
        assert_eq!(bytes(whole.path()), bytes(again.path()));
    }

    #[test]
    fn one_model_by_two_programs_is_refused() {
        let [a, b, whole] = [(); 3].map(|()| tempfile::tempdir().unwrap());
        ledger(a.path(), "a", &[(1, -1.0)]);
        let other = Identity { arithmetic: 2, ..identity("a") };
        let mut other = Ledger::open(b.path(), "tiny", other, 8).unwrap();
        other.record(&[(&request(&[2], &[1]), Score { logprob: -1.0, is_greedy: false })]).unwrap();
        let error = merge(&[a.path(), b.path()], whole.path()).unwrap_err().to_string();
        assert!(error.contains("arithmetic 1, not 2") || error.contains("arithmetic 2, not 1"), "{error}");
        // Two models of one run have a ledger each.
        ledger(a.path(), "c", &[(1, -1.0)]);
        let notes = merge(&[a.path()], whole.path()).unwrap();
        assert_eq!((notes.len(), fs::read_dir(whole.path().join(LEDGER_FOLDER)).unwrap().count()), (0, 2));
    }

    #[test]
    fn ledgers_of_different_models_are_not_one() {
        let [a, b, whole] = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let own = ledger(a.path(), "a", &[(1, -1.0)]);
        let other = ledger(b.path(), "b", &[(1, -1.0)]);
        fs::rename(other.path(), other.path().with_file_name(own.path().file_name().unwrap())).unwrap();
        let error = merge(&[a.path(), b.path()], whole.path()).unwrap_err().to_string();
        assert!(error.contains("another model (weights b, not a)"), "{error}");
    }
}
