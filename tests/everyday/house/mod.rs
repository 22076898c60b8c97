//! The house itself: which room may know which, no circles of files, no file too long, and what stands in one place only.
//! What breaks a rule today is listed here by name, and a list that names what is no longer so fails too: it only shrinks.

mod graph;
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use graph::Graph;
use source::{Source, rust_files};

/// The rooms from the ground up. A room names only those before it.
const ROOMS: [&str; 29] = [
    "base",
    "python",
    "weights",
    "config",
    "tokenizer",
    "registry",
    "hub",
    "prompts",
    "kernels",
    "forms",
    "rebuild",
    "store",
    "compare",
    "verify",
    "model",
    "engine",
    "remote",
    "metrics",
    "sandbox",
    "tasks",
    "records",
    "evaluate",
    "report",
    "finished",
    "run",
    "bench",
    "fuzzing",
    "cli",
    "lib.rs",
];

/// Rooms that still name one to their right.
const TO_THE_RIGHT: [(&str, &str); 0] = [];

/// Circles of files that there are, each with what holds it together. What is found is one of these or a part of one.
const CIRCLES: [(&str, &[&str]); 2] = [
    ("an error holds the type that was found", &["weights/dtype.rs", "weights/error.rs"]),
    (
        "an index is opened like a file, and opens the files it names",
        &["weights/open.rs", "weights/sharded.rs"],
    ),
];

/// Most lines of a file.
const LINES: usize = 450;

/// What a piece of text in the code says, how it is known, and the files that say it.
type Saying = (&'static str, fn(&str) -> bool, &'static [&'static str]);

/// What is said once: a second place is a second opinion on the same thing.
const ONCE: [Saying; 2] = [
    ("the ending of GGUF files", |word| word == "\"gguf\"", &["weights/open.rs"]),
    // Everything goes through cli/screen.rs, which knows what a terminal may be shown.
    ("what is printed as it is", |word| matches!(word, "println" | "eprintln"), &[]),
];

/// Where `unsafe` may stand.
const UNSAFE: [&str; 2] = ["kernels/", "weights/mapped.rs"];

static HOUSE: LazyLock<(Source, Graph)> = LazyLock::new(|| {
    let source = Source::read();
    let graph = Graph::of(&source);
    (source, graph)
});

fn room(name: &str) -> &str {
    name.split('/').next().expect("a file has a name")
}

fn floor(name: &str) -> usize {
    let room = room(name);
    ROOMS.iter().position(|known| *known == room).unwrap_or_else(|| panic!("{room} is not among ROOMS"))
}

#[test]
fn rooms_name_only_those_before_them() {
    let (source, graph) = &*HOUSE;
    let name = |file: usize| source.files[file].name.as_str();
    let mut left: BTreeSet<(&str, &str)> = TO_THE_RIGHT.into_iter().collect();
    let mut new = Vec::new();
    for (from, to) in graph.imports.iter().map(|(from, to)| (name(*from), name(*to))) {
        let rooms = (room(from), room(to));
        left.remove(&rooms);
        if floor(from) < floor(to) && !TO_THE_RIGHT.contains(&rooms) {
            new.push(format!("src/{from} names something of src/{to}"));
        }
    }
    assert!(new.is_empty(), "to the right:\n{}", new.join("\n"));
    assert!(left.is_empty(), "no longer to the right, take it off the list: {left:?}");
    assert!(graph.imports.len() > 500, "only {} imports were found", graph.imports.len());
}

#[test]
fn files_do_not_go_in_circles() {
    let (source, graph) = &*HOUSE;
    let mut seen = [false; CIRCLES.len()];
    let mut new = Vec::new();
    for circle in graph.circles() {
        let names: Vec<&str> = circle.iter().map(|&file| source.files[file].name.as_str()).collect();
        match CIRCLES.iter().position(|(_, listed)| names.iter().all(|name| listed.contains(name))) {
            Some(known) => seen[known] = true,
            None => {
                let ways = circle.iter().flat_map(|from| {
                    let to = graph.uses[from].iter().filter(|to| circle.contains(to));
                    to.map(|to| format!("  {} → {}", source.files[*from].name, source.files[*to].name))
                });
                new.push(format!("{}\n{}", names.join(" "), ways.collect::<Vec<_>>().join("\n")));
            }
        }
    }
    assert!(new.is_empty(), "{} circles:\n{}", new.len(), new.join("\n"));
    let gone: Vec<&str> =
        CIRCLES.iter().zip(seen).filter(|(_, seen)| !seen).map(|((reason, _), _)| *reason).collect();
    assert!(gone.is_empty(), "no longer a circle, take it off the list: {gone:?}");
}

#[test]
fn files_are_short() {
    let long: Vec<String> = HOUSE
        .0
        .files
        .iter()
        .filter(|file| file.lines > LINES)
        .map(|file| format!("{}: {}", file.name, file.lines))
        .collect();
    assert!(long.is_empty(), "more than {LINES} lines: {}", long.join(", "));
}

#[test]
fn what_is_said_once_stands_in_one_place() {
    for (what, says, listed) in ONCE {
        let files = HOUSE.0.files.iter().filter(|file| file.words.iter().any(|word| says(word)));
        let found: Vec<&str> = files.map(|file| file.name.as_str()).collect();
        assert_eq!(found, listed, "{what}: where it stands, and where it is listed");
    }
    for file in &HOUSE.0.files {
        let may = UNSAFE.iter().any(|place| file.name.starts_with(place));
        assert!(may || !file.words.contains("unsafe"), "unsafe in {}", file.name);
    }
}

/// Files that are read without a limit, each with what it is: the system's own, and what this process has made.
const READ_WHOLE: [(&str, &str); 4] = [
    ("base/machine.rs", "/proc and /sys"),
    ("fuzzing/seeds", "seeds, in tests"),
    ("sandbox/linux/enter.rs", "/proc"),
    ("sandbox/proof.rs", "a file of the sandbox's own"),
];

/// A device never ends and a pipe never begins: what somebody else may have put there is read by `base::whole`.
#[test]
fn files_are_read_up_to_a_limit() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    let mut found = BTreeSet::new();
    for file in files {
        let name = file.strip_prefix(&root).expect("below src").to_str().expect("UTF-8");
        let text = fs::read_to_string(&file).expect("a source file can be read");
        if name.ends_with("tests.rs") || name.contains("/tests/") {
            continue;
        }
        // Tests stand at the end.
        let code = text.split("mod tests {").next().expect("a file has a beginning");
        if ["fs::read(", "fs::read_to_string("].iter().any(|call| code.contains(call)) {
            let known = READ_WHOLE.iter().find(|(place, _)| name.starts_with(place));
            found.insert(known.unwrap_or_else(|| panic!("src/{name} reads a file without a limit")).0);
        }
    }
    assert_eq!(found, READ_WHOLE.map(|(place, _)| place).into(), "no longer so, take it off the list");
}

/// A file that no `mod` names is not compiled, and its tests are not run.
#[test]
fn every_file_of_tests_is_in_a_binary() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    for file in files {
        let name = file.file_stem().expect("a file has a name").to_str().expect("UTF-8");
        if name == "main" {
            continue;
        }
        let folder = file.parent().expect("a file is in a folder");
        let (module, parent) = if name == "mod" {
            (
                folder.file_name().expect("a folder has a name").to_str().expect("UTF-8"),
                folder.parent().expect("below tests"),
            )
        } else {
            (name, folder)
        };
        let parent = [parent.join("mod.rs"), parent.join("main.rs"), root.join("everyday/main.rs")]
            .into_iter()
            .find(|path| path.exists())
            .expect("a root");
        let text = fs::read_to_string(&parent).expect("a source file can be read");
        assert!(
            text.contains(&format!("mod {module};")),
            "{}: no `mod {module};` in {}",
            file.display(),
            parent.display()
        );
    }
}

/// The fuzzers are a workspace of their own with a lock file of their own, which `make fuzz` may not change.
#[test]
fn the_lock_file_of_the_fuzzers_knows_every_crate_that_is_used() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join(name)).expect("a file of the project can be read");
    let (manifest, lock) = (read("Cargo.toml"), read("fuzz/Cargo.lock"));
    let (_, used) = manifest.split_once("\n[dependencies]\n").expect("a manifest has dependencies");
    let (used, _) = used.split_once("\n[").expect("more follows");
    let (_, known) = lock.split_once("name = \"zoo\"\n").expect("the fuzzers use zoo");
    let (known, _) = known.split_once(']').expect("a list ends");
    let crates = used.lines().filter(|line| !line.contains("optional = true"));
    let crates: Vec<&str> = crates.filter_map(|line| line.split_once(" = ").map(|(name, _)| name)).collect();
    assert!(crates.len() > 20, "{crates:?}");
    for name in crates {
        // A crate of several versions is listed with its own.
        let listed = known.contains(&format!("\"{name}\"")) || known.contains(&format!("\"{name} "));
        assert!(listed, "fuzz/Cargo.lock lacks {name}: cargo update --workspace in fuzz/");
    }
}

/// The number that a constant is written as: `8 << 20`, `2_000_000`, `Duration::from_secs(60)`.
fn number_in_code(written: &str) -> u64 {
    let written = written.trim().trim_start_matches("Duration::from_secs(").trim_end_matches(')');
    let plain = |text: &str| text.trim().replace('_', "").parse::<u64>().unwrap();
    written.split_once("<<").map_or_else(|| plain(written), |(number, by)| plain(number) << plain(by))
}

/// What `docs/security.md` says of limits is what the code has.
#[test]
fn limits_that_are_written_down_are_those_of_the_code() {
    let read = |name: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    let page = read("docs/security.md");
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [_, most, place] = cells[..] else { return None };
        let (file, name) = place.strip_prefix('`')?.split_once("` ")?;
        Some((most.to_owned(), file.to_owned(), name.to_owned()))
    });
    let rows: Vec<_> = rows.collect();
    assert!(rows.len() > 20, "{} limits", rows.len());
    for (most, file, name) in rows {
        let text = read(&file);
        let of =
            text.split_once(&format!("const {name}: ")).unwrap_or_else(|| panic!("{file} has no {name}"));
        let written = of.1.split_once("= ").unwrap().1.split_once(';').unwrap().0;
        let said = match most.strip_suffix(" MiB") {
            Some(mebibytes) => mebibytes.parse::<u64>().unwrap() << 20,
            None => most.parse().unwrap(),
        };
        assert_eq!(number_in_code(written), said, "{file}: {name}");
    }
}
