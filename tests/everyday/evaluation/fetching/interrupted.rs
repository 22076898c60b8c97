//! Fetches that end before everything is there.

use super::*;

#[test]
fn an_interrupted_fetch_says_what_is_kept_and_goes_on_there() {
    let place = Cache::new();
    let (server, silence) = place.stalling();
    let args = ["eval", "small", "--suite", "animals", "--out", "run"];
    let mut command = place.command(&server.url, &args);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let came = || place.weights_that_came();
    assert!(wait_until(&mut child, || came() == Some(1000)), "it never came to the weights");
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(came(), Some(1000));
    let home = place.path("home").display().to_string();
    let kept = format!(
        "interrupted: nothing is scored yet; what was fetched and built until now is kept in {home}, "
    );
    assert_says(&output, 130, &[&kept, "what broke off goes on where it was\ngo on with:\n"]);
    // No run has begun that could be resumed.
    let said = stderr(&output);
    let again = said.lines().skip_while(|line| *line != "go on with:").nth(1).unwrap().trim();
    assert!(
        again.contains("eval small") && again.contains("--out run") && !again.contains("--resume"),
        "{again}"
    );
    assert!(!place.path("run").exists());
    drop(silence);
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(again).current_dir(place.folder.path()).env_clear();
    shell.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(server.seen("model.safetensors").last().unwrap().header("range"), Some("bytes=1000-"));
    assert_eq!(server.seen("birds/test.jsonl").len(), 1);
    assert!(place.path("run/results.csv").exists());
}

#[test]
fn an_interrupted_pull_says_what_is_kept_and_goes_on_there() {
    let place = Cache::new();
    let (server, silence) = place.stalling();
    let mut command = place.command(&server.url, &["pull", "small"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(
        wait_until(&mut child, || place.weights_that_came() == Some(1000)),
        "it never came to the weights"
    );
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    let kept =
        format!("interrupted: what was fetched until now is kept in {}, ", place.path("home").display());
    assert_says(&output, 130, &[&kept, "what broke off goes on where it was\ngo on with:\n", " pull small"]);
    drop(silence);
    let output = place.zoo(&server.url, &["pull", "small"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(server.seen("model.safetensors").last().unwrap().header("range"), Some("bytes=1000-"));
}
