//! What `--help` says.

use crate::support::tiny::{stdout, zoo};

#[test]
fn zoo_help() {
    insta::assert_snapshot!(stdout(&zoo(&["--help"])));
}

#[test]
fn zoo_eval_help() {
    insta::assert_snapshot!(stdout(&zoo(&["eval", "--help"])));
}

#[test]
fn every_verb_shows_examples_and_no_colour() {
    let help = stdout(&zoo(&["--help"]));
    let verbs =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // What goes on in the next line is indented further.
    let verbs = verbs.filter(|line| !line.starts_with("   "));
    let verbs: Vec<&str> =
        verbs.filter_map(|line| line.split_whitespace().next()).filter(|v| *v != "help").collect();
    assert!(verbs.contains(&"eval") && verbs.len() >= 6, "{verbs:?}");
    for verb in verbs {
        let text = stdout(&zoo(&[verb, "--help"]));
        assert!(text.contains("Examples:") || text.contains("Commands:"), "zoo {verb} --help: {text}");
        assert!(!text.contains('\u{1b}'), "zoo {verb} --help");
    }
}
