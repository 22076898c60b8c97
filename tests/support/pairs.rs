//! Pairs of programs that want one folder for their runs.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use super::place::Place;
use super::tiny::{command, stderr};

const SUITES: [&str; 2] = ["basics_yesno", "basics_letters_en"];

/// The one suite of a finished run.
fn suite_of(run: &Path) -> String {
    let samples = fs::read_dir(run.join("samples/tiny")).unwrap().flatten();
    let names: Vec<String> = samples.map(|file| file.file_name().into_string().unwrap()).collect();
    let [name] = &names[..] else { panic!("{}: {names:?}", run.display()) };
    let suite = name.strip_suffix(".jsonl").unwrap().to_owned();
    let rows = fs::read_to_string(run.join("results.csv")).unwrap();
    assert!(rows.lines().skip(1).all(|row| row.contains(&format!(",{suite},"))), "{rows}");
    assert!(run.join("run.yaml").exists() && !run.join(".zoo.lock").exists(), "{}", run.display());
    suite
}

/// Starts so many pairs together, each on a new folder: one goes on and the other ends with 2, or comes after it, and no folder ever
/// holds parts of two runs. Says how often two met.
pub fn one_of_two_goes_on(pairs: usize) -> usize {
    let place = Place::new(&["--threads", "1"]);
    let mut refused = 0;
    for pair in 0..pairs {
        let out = format!("run-{pair}");
        let start = |suite: &&str| {
            let args = place.args(&out, &["--suite", suite]);
            command(&[]).args(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let both = SUITES.iter().map(start).collect::<Vec<_>>();
        let both: Vec<_> = both.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
        let codes: Vec<i32> = both.iter().map(|output| output.status.code().unwrap()).collect();
        let said: String = both.iter().map(stderr).collect();
        let first = suite_of(&place.path(&out));
        match codes[..] {
            [0, 2] | [2, 0] => {
                refused += 1;
                assert!(said.contains("another zoo is writing this run"), "{said}");
                let own = codes.iter().position(|code| *code == 0).unwrap();
                assert_eq!(first, SUITES[own]);
                assert!(!place.path(&format!("{out}.1")).exists());
            }
            // One may have ended before the other began, which then moves it out of the way.
            [0, 0] => {
                let other = suite_of(&place.path(&format!("{out}.1")));
                assert_ne!(first, other);
            }
            _ => panic!("{codes:?}: {said}"),
        }
        let _ = fs::remove_dir_all(place.path(&out));
    }
    assert!(refused > 0, "no two of them met");
    refused
}
