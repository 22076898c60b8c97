use std::fs::OpenOptions;

use super::identity::tests::{identity, request};
use super::*;

fn score(logprob: f64) -> Score {
    Score { logprob, is_greedy: logprob > -1.5 }
}

fn open(run: &Path, weights: &str) -> Ledger {
    Ledger::open(run, "tiny", identity(weights), 8).unwrap()
}

/// A ledger with scores of as many requests.
fn filled(run: &Path, requests: u32) -> Ledger {
    let mut ledger = open(run, "a");
    for n in 0..requests {
        ledger.record(&[(&request(&[n], &[1]), score(-f64::from(n) - 1.0))]).unwrap();
    }
    ledger
}

#[test]
fn what_is_recorded_is_known_to_the_next_one() {
    let run = tempfile::tempdir().unwrap();
    let (asked, other) = (request(&[0], &[1]), request(&[0], &[2]));
    assert_eq!(filled(run.path(), 2).known(&asked), Some(score(-1.0)));
    let mut again = open(run.path(), "a");
    assert_eq!((again.scores.len(), again.take_notes()), (2, vec![]));
    assert_eq!((again.known(&asked), again.known(&other)), (Some(score(-1.0)), None));
    // Of another model nothing is known.
    let others = open(run.path(), "b");
    assert!(others.scores.is_empty() && others.known(&asked).is_none());
}

#[test]
fn a_request_has_one_line() {
    let run = tempfile::tempdir().unwrap();
    let mut ledger = filled(run.path(), 1);
    let asked = request(&[0], &[1]);
    ledger.record(&[(&asked, score(-1.0)), (&asked, score(-1.0))]).unwrap();
    assert_eq!(fs::read_to_string(ledger.file.path()).unwrap().lines().count(), 2);
    let new = request(&[7], &[1]);
    ledger.record(&[(&new, score(-1.0)), (&new, score(-1.0))]).unwrap();
    assert_eq!(fs::read_to_string(ledger.file.path()).unwrap().lines().count(), 3);
}

#[test]
fn after_a_cut_line_new_ones_stand_by_themselves() {
    let run = tempfile::tempdir().unwrap();
    let whole = {
        let ledger = filled(run.path(), 3);
        fs::read(ledger.file.path()).unwrap()
    };
    for length in 0..whole.len() {
        let path = open(run.path(), "a").file.path().to_owned();
        fs::write(&path, &whole[..length]).unwrap();
        let mut ledger = filled(run.path(), 3);
        assert_eq!(ledger.scores.len(), 3);
        assert_eq!(ledger.take_notes().len(), usize::from(length > 0 && whole[length - 1] != b'\n'));
        assert_eq!(fs::read(&path).unwrap(), whole, "cut after {length} bytes");
    }
}

#[test]
fn scores_are_taken_over_from_a_run_of_the_same_model_only() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(filled(old.path(), 3));
    let requests: Vec<ScoreRequest> = (2..5).map(|n| request(&[n], &[1])).collect();
    let mut ledger = open(new.path(), "a");
    assert_eq!(ledger.reuse(old.path(), &requests).unwrap(), 1);
    assert_eq!(ledger.reuse(old.path(), &requests).unwrap(), 0);
    // They are its own from then on.
    assert_eq!(open(new.path(), "a").known(&requests[0]), Some(score(-3.0)));
    let mut other = open(new.path(), "b");
    assert_eq!(other.reuse(old.path(), &requests).unwrap(), 0);
    let notes = other.take_notes();
    assert!(notes.len() == 1 && notes[0].contains("weights a, not b"), "{notes:?}");
    assert!(matches!(ledger.reuse(&old.path().join("nowhere"), &requests), Err(LedgerError::Read { .. })));
}

#[test]
fn a_ledger_under_another_s_name_is_refused() {
    let run = tempfile::tempdir().unwrap();
    let (own, other) = (filled(run.path(), 1), open(run.path(), "b"));
    fs::rename(own.file.path(), other.file.path()).unwrap();
    let error = Ledger::open(run.path(), "tiny", identity("b"), 8).unwrap_err();
    assert!(error.to_string().contains("another model (weights a, not b)"), "{error}");
}

#[test]
fn a_full_disk_is_said_with_what_to_do() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        eprintln!("SKIPPED: no /dev/full on this system");
        return;
    }
    let run = tempfile::tempdir().unwrap();
    let mut ledger = filled(run.path(), 2);
    ledger.file = ledger.file.into_file(OpenOptions::new().append(true).open(full).unwrap());
    let new = request(&[9], &[1]);
    let error = ledger.record(&[(&new, score(-1.0))]).unwrap_err().to_string();
    for word in ["ledger", "the 2 that are in it stay valid", "free some space", "--resume"] {
        assert!(error.contains(word), "{error}");
    }
    assert!(ledger.known(&new).is_none());
}
