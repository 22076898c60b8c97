//! Names from anywhere do no harm in any form.

use super::write_run;
use crate::support::tiny::{command, stderr, stdout};

const NAMES: [&str; 5] = [
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    "a\u{1b}[2J\u{1b}]0;title\u{7}b",
    "right\u{202e}left \\input{/etc/passwd} $x$ & 50% |",
    "line\nbreak\u{0}",
];

#[test]
fn in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    for (at, name) in NAMES.iter().enumerate() {
        write_run(
            &folder.path().join(at.to_string()),
            name,
            "exact",
            &[("basics_yesno", "acc", 0.5, 0.1, 30)],
        );
    }
    let huge = "x".repeat(1 << 20);
    write_run(&folder.path().join("huge"), &huge, "exact", &[("basics_yesno", "acc", 0.5, 0.1, 30)]);
    let report = |form: &str| {
        let output =
            command(&["report", folder.path().to_str().unwrap(), "--format", form]).output().unwrap();
        assert!(output.status.success(), "{form}: {}", stderr(&output));
        stdout(&output)
    };
    let csv = report("csv");
    assert!(
        csv.contains("'=cmd") && !csv.lines().any(|line| line.starts_with('=')),
        "a formula stays a text"
    );
    let md = report("md");
    assert!(!md.contains("<script>") && md.contains("&lt;script>"));
    let latex = report("latex");
    assert!(
        !latex.contains("\\input{") && latex.contains("\\textbackslash{}input\\{") && latex.contains("50\\%")
    );
    for (form, text) in [("latex", &latex), ("md", &md)] {
        assert!(!text.contains('\u{1b}') && !text.contains('\u{0}'), "{form}: control characters");
    }
    let json: serde_json::Value = serde_json::from_str(&report("json")).unwrap();
    let names: Vec<&str> =
        json["rows"].as_array().unwrap().iter().filter_map(|row| row["model"].as_str()).collect();
    assert!(NAMES.iter().all(|name| names.contains(name)), "programs read names as they are");
    assert!(report("table").contains("basics_yesno"));
}
