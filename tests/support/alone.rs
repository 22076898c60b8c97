//! A test in a process of its own, for what is measured of the whole process.

use std::process::Command;

/// Set in the process that has one test to itself.
const ALONE: &str = "ZOO_TEST_ALONE";

/// Runs `check` in a process where nothing else runs: the test of this thread is started again by its name, and passes
/// if it passes there.
pub fn alone(check: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        return check();
    }
    let name = std::thread::current().name().expect("the harness names a test's thread").to_owned();
    let output = Command::new(std::env::current_exe().expect("the path of this binary"))
        .args([&name, "--exact", "--include-ignored", "--nocapture", "--test-threads=1"])
        .env(ALONE, "1")
        .output()
        .expect("this binary starts");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{name} in a process of its own:\n{text}");
}
