//! Fetching from a hub over HTTP, and what it does when the hub or the line misbehaves.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::hub::{Answer, COMMIT, Files, Request, Server, config, ranged, sha256};
use zoo::base::progress::Silent;
use zoo::hub::{HubError, cached_model, fetch_dataset, fetch_model};
use zoo::registry::Card;

const WEIGHTS: &[u8] = &[7; 300_000];

fn files() -> Files {
    Files::model(
        "org/tiny",
        &[
            ("README.md", b"# Tiny"),
            ("config.json", b"{}"),
            ("model.safetensors", WEIGHTS),
            ("x/model.bin", b"x"),
        ],
    )
}

fn card(sources: &str) -> Card {
    let text = format!(
        "id: tiny\nname: Tiny\nfamily: llama\nlicense: MIT\nrelease: {{kind: full, format: x}}\nsources: [{sources}]"
    );
    serde_yaml::from_str(&text).unwrap()
}

fn tiny() -> Card {
    card("{hub: {repo: org/tiny}}")
}

/// Everything below a folder that is not the cache's own.
fn found(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            match entry.path().is_dir() {
                true => folders.push(entry.path()),
                false if name.starts_with(".zoo.") => {}
                false => names.push(name),
            }
        }
    }
    names.sort();
    names
}

/// Whether this is the first time that the counter is asked.
fn first(counter: &AtomicUsize) -> bool {
    counter.fetch_add(1, Ordering::SeqCst) == 0
}

#[test]
fn a_model_is_fetched_once() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|request| files().answer(request));
    let mut config = config(home.path(), &server.url, None);
    assert_eq!(cached_model(&tiny(), &config), None);
    let folder = fetch_model(&tiny(), &config, &Silent).unwrap();
    assert!(folder.is_dir(), "{folder:?}");
    assert_eq!(folder, home.path().join("models/hub/org/tiny/main"));
    assert_eq!(fs::read(folder.join("model.safetensors")).unwrap(), WEIGHTS);
    assert_eq!(found(home.path()), ["config.json", "model.safetensors"]);
    let requests = server.seen("").len();
    config.offline = true;
    assert_eq!(fetch_model(&tiny(), &config, &Silent).unwrap(), folder);
    assert_eq!(cached_model(&tiny(), &config), Some(folder.clone()));
    assert_eq!(server.seen("").len(), requests);
    // A file that has lost bytes is no cached file.
    fs::write(folder.join("config.json"), "").unwrap();
    assert_eq!(cached_model(&tiny(), &config), None);
    config.offline = false;
    fetch_model(&tiny(), &config, &Silent).unwrap();
    assert_eq!(fs::read(folder.join("config.json")).unwrap(), b"{}");
    assert_eq!(server.seen("model.safetensors").len(), 1);
}

#[test]
fn named_files_only_and_a_single_gguf_is_a_file() {
    let home = tempfile::tempdir().unwrap();
    let repo = Files::model("org/tiny", &[("a.gguf", b"a"), ("d/b.gguf", b"b")]);
    let server = Server::start(move |request| repo.answer(request));
    let config = config(home.path(), &server.url, None);
    let location =
        fetch_model(&card("{hub: {repo: org/tiny, files: [d/b.gguf]}}"), &config, &Silent).unwrap();
    assert_eq!(location, home.path().join("models/hub/org/tiny/main/d/b.gguf"));
    let location = fetch_model(&card("{hub: {repo: org/tiny, files: [a.gguf]}}"), &config, &Silent).unwrap();
    assert_eq!(location, home.path().join("models/hub/org/tiny/main/a.gguf"));
    let error = fetch_model(&card("{hub: {repo: org/tiny, files: [c.gguf]}}"), &config, &Silent).unwrap_err();
    assert!(matches!(error, HubError::NothingToFetch { .. }), "{error}");
}

#[test]
fn a_broken_transfer_goes_on_where_it_broke() {
    let home = tempfile::tempdir().unwrap();
    let count = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        let mut answer = files().answer(request);
        if request.path.ends_with("model.safetensors") && first(&count) {
            answer.cut = Some(200_000);
        }
        answer
    });
    let config = config(home.path(), &server.url, None);
    fetch_model(&tiny(), &config, &Silent).unwrap();
    let requests = server.seen("model.safetensors");
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].header("range"), None);
    assert_eq!(requests[1].header("range"), Some("bytes=200000-"));
    assert_eq!(requests[1].header("if-range"), Some(format!("\"{}\"", sha256(WEIGHTS)).as_str()));
    assert_eq!(found(home.path()), ["config.json", "model.safetensors"]);
}

#[test]
fn a_later_run_resumes_what_an_earlier_one_left() {
    let home = tempfile::tempdir().unwrap();
    let count = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        let mut answer = files().answer(request);
        if request.path.ends_with("model.safetensors") && first(&count) {
            answer.cut = Some(1234);
        }
        answer
    });
    let mut config = config(home.path(), &server.url, None);
    config.attempts = 1;
    let error = fetch_model(&tiny(), &config, &Silent).unwrap_err();
    assert!(matches!(error, HubError::NoNetwork { .. }), "{error}");
    assert_eq!(cached_model(&tiny(), &config), None);
    assert!(found(home.path()).iter().any(|name| name.ends_with(".part")));
    fetch_model(&tiny(), &config, &Silent).unwrap();
    assert_eq!(server.seen("model.safetensors")[1].header("range"), Some("bytes=1234-"));
    assert_eq!(found(home.path()), ["config.json", "model.safetensors"]);
}

#[test]
fn a_server_without_ranges_sends_the_whole_file_again() {
    let home = tempfile::tempdir().unwrap();
    let count = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        let mut plain = request.clone();
        plain.headers.remove("range");
        let mut answer = files().answer(&plain);
        if request.path.ends_with("model.safetensors") && first(&count) {
            answer.cut = Some(1000);
        }
        answer
    });
    let location = fetch_model(&tiny(), &config(home.path(), &server.url, None), &Silent).unwrap();
    assert_eq!(fs::read(location.join("model.safetensors")).unwrap(), WEIGHTS);
}

#[test]
fn a_wrong_range_is_not_glued_to_what_is_there() {
    let home = tempfile::tempdir().unwrap();
    let count = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        let mut answer = files().answer(request);
        if request.path.ends_with("model.safetensors") {
            match count.fetch_add(1, Ordering::SeqCst) {
                0 => answer.cut = Some(1000),
                1 => {
                    answer = Answer::new(206, &WEIGHTS[2000..]);
                    answer = answer.with("Content-Range", format!("bytes 2000-{}/{}", 299_999, 300_000));
                }
                _ => {}
            }
        }
        answer
    });
    let location = fetch_model(&tiny(), &config(home.path(), &server.url, None), &Silent).unwrap();
    assert_eq!(fs::read(location.join("model.safetensors")).unwrap(), WEIGHTS);
    assert_eq!(server.seen("model.safetensors").len(), 3);
}

#[test]
fn a_line_that_never_gets_further_is_given_up() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|request| {
        let mut plain = request.clone();
        plain.headers.remove("range");
        let mut answer = files().answer(&plain);
        if request.path.ends_with("model.safetensors") {
            answer.cut = Some(1000);
        }
        answer
    });
    let config = config(home.path(), &server.url, None);
    let error = fetch_model(&tiny(), &config, &Silent).unwrap_err();
    assert!(matches!(error, HubError::NoNetwork { .. }), "{error}");
    assert_eq!(server.seen("model.safetensors").len(), config.attempts as usize);
}

#[test]
fn damage_is_fetched_again_and_lasting_damage_is_an_error() {
    for lasting in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let count = AtomicUsize::new(0);
        let server = Server::start(move |request| {
            let mut answer = files().answer(request);
            if request.path.ends_with("model.safetensors") && (first(&count) || lasting) {
                answer.body[299_999] ^= 1;
            }
            answer
        });
        let config = config(home.path(), &server.url, None);
        let result = fetch_model(&tiny(), &config, &Silent);
        assert_eq!(server.seen("model.safetensors").len(), 2);
        if lasting {
            let error = result.unwrap_err();
            assert!(
                matches!(&error, HubError::Digest { expected, .. } if *expected == sha256(WEIGHTS)),
                "{error}"
            );
            assert_eq!(found(home.path()), ["config.json"]);
            assert_eq!(cached_model(&tiny(), &config), None);
        } else {
            assert_eq!(fs::read(result.unwrap().join("model.safetensors")).unwrap(), WEIGHTS);
        }
    }
}

#[test]
fn small_files_are_checked_by_gits_name_for_them() {
    let listing = |oid: &str| {
        let file = format!(r#"{{"type":"file","path":"hello.gguf","size":6,"oid":"{oid}"}}"#);
        format!("[{file}]")
    };
    for (oid, right) in [("ce013625030ba8dba906f756967f9e9ca394464a", true), (COMMIT, false)] {
        let home = tempfile::tempdir().unwrap();
        let server = Server::start(move |request| match request.path.as_str() {
            path if path.contains("/tree/") => Answer::new(200, listing(oid)),
            path if path.contains("/resolve/") => Answer::new(200, "hello\n"),
            _ => files().answer(request),
        });
        let result = fetch_model(&tiny(), &config(home.path(), &server.url, None), &Silent);
        assert_eq!(result.is_ok(), right, "{result:?}");
    }
}

#[test]
fn a_length_other_than_the_listed_one_is_an_error() {
    for body in [&WEIGHTS[1..], &[7; 300_001]] {
        let home = tempfile::tempdir().unwrap();
        let server = Server::start(move |request| match request.path.ends_with("model.safetensors") {
            true => ranged(request, body, "other"),
            false => files().answer(request),
        });
        let error = fetch_model(&tiny(), &config(home.path(), &server.url, None), &Silent).unwrap_err();
        assert!(
            matches!(&error, HubError::BadAnswer { expected, .. } if expected.contains("300000")),
            "{error}"
        );
    }
}

#[test]
fn a_busy_server_is_asked_again() {
    for (status, after) in [(503, None), (500, None), (429, Some("0"))] {
        let home = tempfile::tempdir().unwrap();
        let count = AtomicUsize::new(0);
        let server = Server::start(move |request| {
            if count.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
                let answer = Answer::new(status, "busy");
                return after.iter().fold(answer, |answer, after| answer.with("Retry-After", after));
            }
            files().answer(request)
        });
        fetch_model(&tiny(), &config(home.path(), &server.url, None), &Silent).unwrap();
    }
}

#[test]
fn a_server_that_stays_busy_is_given_up_with_its_words() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Answer::new(503, r#"{"error":"down for\nrepairs"}"#));
    let error = fetch_model(&tiny(), &config(home.path(), &server.url, None), &Silent).unwrap_err();
    assert_eq!(
        error.to_string(),
        "model org/tiny: the server answered 503 5 times: down for repairs; try again later"
    );
    let server = Server::start(|_| Answer::new(429, "").with("Retry-After", 86_400));
    let error = fetch_model(&tiny(), &config(home.path(), &server.url, None), &Silent).unwrap_err();
    assert!(matches!(error, HubError::Refused { status: 429, attempts: 1, .. }), "{error}");
}

#[test]
fn the_token_stays_with_its_host() {
    let home = tempfile::tempdir().unwrap();
    let elsewhere = Server::start(|request| ranged(request, WEIGHTS, &sha256(WEIGHTS)));
    let target = format!("{}/blob", elsewhere.url);
    let server = Server::start(move |request| match request.path.ends_with("model.safetensors") {
        true => Answer::new(302, "").with("Location", &target),
        false => files().answer(request),
    });
    fetch_model(&tiny(), &config(home.path(), &server.url, Some("hf_secret")), &Silent).unwrap();
    let requests = server.seen("");
    assert!(requests.len() >= 4);
    for request in requests {
        assert_eq!(request.header("authorization"), Some("Bearer hf_secret"), "{request:?}");
    }
    let requests = elsewhere.seen("");
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].header("authorization"), None);
}

#[test]
fn a_redirect_without_end_is_an_error() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|request| Answer::new(302, "").with("Location", &request.path));
    let error = fetch_model(&tiny(), &config(home.path(), &server.url, None), &Silent).unwrap_err();
    assert!(error.to_string().contains("too many redirects"), "{error}");
    assert!(server.seen("").len() < 15);
}

#[test]
fn names_that_leave_the_folder_spoil_the_list() {
    for name in
        ["../evil.safetensors", "/tmp/evil.safetensors", "a/../../evil.safetensors", "a\\evil.safetensors"]
    {
        let home = tempfile::tempdir().unwrap();
        let repo = Files::model("org/tiny", &[("model.safetensors", WEIGHTS), (name, b"evil")]);
        let server = Server::start(move |request| repo.answer(request));
        let error = fetch_model(&tiny(), &config(home.path(), &server.url, None), &Silent).unwrap_err();
        assert!(matches!(error, HubError::UnsafeName { .. }), "{error}");
        assert_eq!(found(home.path()), Vec::<String>::new());
    }
}

#[test]
fn refusals_say_what_to_do() {
    let cases: [(u16, &str, Option<&str>, &[&str]); 7] = [
        (401, "GatedRepo", None, &["gated", "accept the licence at http://", "/org/tiny", "HF_TOKEN"]),
        (403, "GatedRepo", Some("t"), &["gated", "this token has no access", "/org/tiny"]),
        (401, "", Some("t"), &["does not accept the token", "HF_TOKEN"]),
        (401, "RepoNotFound", None, &["model org/tiny was not found", "check the name", "HF_TOKEN"]),
        (404, "RepoNotFound", Some("t"), &["model org/tiny was not found", "no such repository"]),
        (404, "RevisionNotFound", None, &["no such revision"]),
        (418, "", None, &["418", "short and stout"]),
    ];
    for (status, code, token, words) in cases {
        let home = tempfile::tempdir().unwrap();
        let server = Server::start(move |_| {
            Answer::new(status, "").with("X-Error-Code", code).with("X-Error-Message", "short and stout")
        });
        let error = fetch_model(&tiny(), &config(home.path(), &server.url, token), &Silent).unwrap_err();
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{status} {code}: {text}");
        assert_eq!(server.seen("").len(), 1, "a refusal is final");
    }
}

#[test]
fn a_page_that_is_no_hub_is_recognised() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|_| Answer::new(200, "<html>Please log in</html>"));
    let error = fetch_model(&tiny(), &config(home.path(), &server.url, None), &Silent).unwrap_err();
    assert!(error.to_string().contains("check HF_ENDPOINT"), "{error}");
}

#[test]
fn no_network_and_no_wish_for_it_are_one_sentence_each() {
    let home = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut config = config(home.path(), &url, None);
    let error = fetch_model(&tiny(), &config, &Silent).unwrap_err().to_string();
    let host = url.trim_start_matches("http://");
    assert!(error.starts_with(&format!("cannot reach {host} for model org/tiny: ")), "{error}");
    config.offline = true;
    let error = fetch_model(&tiny(), &config, &Silent).unwrap_err().to_string();
    assert!(error.contains("HF_HUB_OFFLINE"), "{error}");
    let error = fetch_dataset("org/rows", &[None], &config, &Silent).unwrap_err().to_string();
    assert!(error.contains("HF_HUB_OFFLINE"), "{error}");
}

#[test]
fn long_lists_come_in_pages() {
    let home = tempfile::tempdir().unwrap();
    let page = |name: &str, bytes: &[u8]| Files::model("org/tiny", &[(name, bytes)]).listing();
    let server = Server::start(move |request| match request.path.as_str() {
        path if path.contains("cursor=2") => Answer::new(200, page("model.safetensors", WEIGHTS)),
        path if path.contains("/tree/") => Answer::new(200, page("config.json", b"{}"))
            .with("Link", "<http://elsewhere.invalid/?recursive=true&cursor=2>; rel=\"next\""),
        _ => files().answer(request),
    });
    fetch_model(&tiny(), &config(home.path(), &server.url, None), &Silent).unwrap();
    assert_eq!(found(home.path()), ["config.json", "model.safetensors"]);
}

#[test]
fn two_at_once_fetch_once() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|request: &Request| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        files().answer(request)
    });
    let config = config(home.path(), &server.url, None);
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| fetch_model(&tiny(), &config, &Silent))).collect();
        for run in runs {
            let location = run.join().unwrap().unwrap();
            assert_eq!(fs::read(location.join("model.safetensors")).unwrap(), WEIGHTS);
        }
    });
    assert_eq!(server.seen("model.safetensors").len(), 1);
}

#[test]
fn a_data_set_is_fetched_by_configuration() {
    const README: &[u8] =
        b"---\nconfigs:\n- config_name: a\n  data_files:\n  - split: test\n    path: a/test-*\n\
        - config_name: b\n  data_files: b/*.jsonl\n---\n";
    let home = tempfile::tempdir().unwrap();
    let mut repo = Files::model(
        "org/rows",
        &[("README.md", README), ("a/test-0.parquet", b"aaa"), ("b/x.jsonl", b"{}"), ("run.py", b"evil")],
    );
    repo.dataset = true;
    let server = Server::start(move |request| repo.answer(request));
    let config = config(home.path(), &server.url, None);
    let folder = fetch_dataset("org/rows", &[Some("a")], &config, &Silent).unwrap();
    assert_eq!(folder, home.path().join("datasets/org/rows"));
    assert_eq!(found(home.path()), ["README.md", "test-0.parquet"]);
    assert!(zoo::hub::cached_dataset("org/rows", Some("a"), &config).is_some());
    assert!(zoo::hub::cached_dataset("org/rows", Some("b"), &config).is_none());
    fetch_dataset("org/rows", &[Some("a"), Some("b")], &config, &Silent).unwrap();
    assert_eq!(found(home.path()), ["README.md", "test-0.parquet", "x.jsonl"]);
    assert_eq!(server.seen("README.md").len(), 1);
    let requests = server.seen("").len();
    fetch_dataset("org/rows", &[Some("b")], &config, &Silent).unwrap();
    assert_eq!(server.seen("").len(), requests);
    let error = fetch_dataset("org/rows", &[Some("c")], &config, &Silent).unwrap_err().to_string();
    assert_eq!(error, "data set org/rows has no configuration \"c\"; it has a, b");
    for bad in ["../rows", "org/rows/..", "", "a b"] {
        let error = fetch_dataset(bad, &[None], &config, &Silent).unwrap_err();
        assert!(matches!(error, HubError::BadRepoName { .. }), "{error}");
    }
}
