//! A page of ten thousand documents and five models in Chromium: it opens soon, filters at once, asks for nothing, follows links,
//! obeys the keyboard, and shows hostile texts as texts.
//!
//! `ZOO_CHROMIUM` names the browser (Debian's package chromium: `/usr/bin/chromium`).

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use zoo::report::html::{
    Blocks, Fact, Page, PageAnswer, PageCell, PageColumn, PageDocument, PageLine, PagePart, PageTask,
    TaskSamples, Verdict, write,
};

use super::browser::Browser;
use crate::support::shared;

const TASKS: usize = 20;
const DOCUMENTS: usize = 500;
const MODELS: usize = 5;
/// Most time from the address to the first rows, and from a choice to what it filters.
const OPENS: Duration = Duration::from_secs(2);
const FILTERS: f64 = 100.0;
/// A machine at work is slower now and then.
const TRIES: usize = 3;
/// What must not do anything.
const HOSTILE: &str =
    "</script><script>window.owned=1</script><img src=x onerror=window.owned=1>\u{0}\u{1b}[31m\u{202e}=cmd|x";

/// Of each task a document, in which every model is right whose number divides the document's.
fn is_right(model: usize, document: usize) -> bool {
    document.is_multiple_of(model + 1)
}

fn page() -> Page {
    let name =
        |model: usize| if model == 4 { format!("model-4 {HOSTILE}") } else { format!("model-{model}") };
    let cell = |model: usize| PageCell {
        value: "0.5000".to_owned(),
        error: "0.0100".to_owned(),
        percent: "50.0".to_owned(),
        percent_error: "1.0".to_owned(),
        link: format!("#task=task_3&show=wrong&a=model-{model}"),
        ..PageCell::default()
    };
    let line = |task: usize| PageLine {
        task: if task == 0 { HOSTILE.to_owned() } else { format!("task_{task}") },
        depth: usize::from(task > 0),
        is_group: task == 0,
        folds: task > 0,
        metric: "acc".to_owned(),
        n: DOCUMENTS.to_string(),
        cells: (0..MODELS).map(cell).collect(),
        ..PageLine::default()
    };
    Page {
        title: format!("A comparison {HOSTILE}"),
        columns: (0..MODELS)
            .map(|model| PageColumn { label: name(model), remarks: vec!["exact".to_owned()] })
            .collect(),
        lines: (0..TASKS).map(line).collect(),
        suites: vec!["even".to_owned(), "odd".to_owned()],
        tasks: (0..TASKS)
            .map(|task| PageTask { name: format!("task_{task}"), suites: vec![task % 2] })
            .collect(),
        provenance: vec![PagePart {
            title: "model-0".to_owned(),
            facts: vec![Fact::new("weights", "ab".repeat(32))],
        }],
        ..Page::default()
    }
}

fn samples(task: usize) -> TaskSamples {
    let question = |document: usize| match document {
        1 => HOSTILE.to_owned(),
        2 => "x".repeat(1 << 20),
        _ => format!("What is {document} and {task}? {}", "It is long. ".repeat(20)),
    };
    let document = |id: usize| PageDocument {
        id,
        before: Some(0),
        question: question(id),
        choices: [" A", " B", " C", HOSTILE].map(str::to_owned).to_vec(),
        gold: vec![id % 4],
        ..PageDocument::default()
    };
    let answer = |model: usize, id: usize| PageAnswer {
        verdict: if is_right(model, id) { Verdict::Right } else { Verdict::Wrong },
        logprobs: vec![-1.5, -0.25, -3.0, -4.0],
        texts: vec![format!("model {model} says {id}")],
        ..PageAnswer::default()
    };
    let answers = |model: usize| Some((0..DOCUMENTS).map(|id| Some(answer(model, id))).collect());
    TaskSamples {
        kept: true,
        before: vec!["An example. ".repeat(150)],
        documents: (0..DOCUMENTS).map(document).collect(),
        answers: (0..MODELS).map(answers).collect(),
    }
}

fn written(path: &Path) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    let mut blocks = Blocks::default();
    (0..TASKS).for_each(|task| blocks.add(&samples(task)));
    write(&page(), &blocks, &mut file).unwrap();
    file.flush().unwrap();
}

/// Opens the page and waits for its first rows.
fn open(browser: &mut Browser, address: &str) -> Duration {
    browser.call("Page.navigate", json!({"url": "about:blank"}));
    browser.until("location.href === 'about:blank'");
    let begun = Instant::now();
    browser.call("Page.navigate", json!({"url": address}));
    browser.until("document.documentElement.dataset.ready === 'yes' && document.querySelectorAll('#list .row').length > 10");
    begun.elapsed()
}

/// Sets a filter as a person does, and gives what is said of it, and how many milliseconds it took.
fn choose(browser: &mut Browser, field: &str, value: &str) -> (String, f64) {
    browser.value(&format!(
        "(() => {{ const field = document.getElementById('{field}'); field.value = '{value}'; delete document.getElementById('list').dataset.took; \
         field.dispatchEvent(new Event(field.type === 'search' ? 'input' : 'change')); }})()"
    ));
    browser.until("document.getElementById('list').dataset.took !== undefined");
    let took = browser.text("document.getElementById('list').dataset.took").parse().unwrap();
    (browser.text("document.getElementById('count').textContent"), took)
}

#[test]
#[ignore = "needs Chromium"]
fn a_page_of_many_documents_in_a_browser() {
    let Some(program) = shared::named("ZOO_CHROMIUM") else { return };
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("report.html");
    written(&file);
    assert!(fs::metadata(&file).unwrap().len() < 8 << 20, "{:?}", fs::metadata(&file));
    let address = format!("file://{}", file.display());
    let mut browser = Browser::start(&program);
    let opened = (0..TRIES).map(|_| open(&mut browser, &address)).min().unwrap();
    assert!(opened < OPENS, "{opened:?}");

    // Filters.
    let all = TASKS * DOCUMENTS;
    let count =
        |test: &dyn Fn(usize) -> bool| TASKS * (0..DOCUMENTS).filter(|document| test(*document)).count();
    let said = |found: usize, of: usize| {
        let spaced =
            |n: usize| if n < 1000 { n.to_string() } else { format!("{},{:03}", n / 1000, n % 1000) };
        format!("{} of {} documents", spaced(found), spaced(of))
    };
    let mut took: Vec<f64> = Vec::new();
    let mut filter = |browser: &mut Browser, field: &str, value: &str, expected: String| {
        let (found, milliseconds) = choose(browser, field, value);
        assert_eq!(found, expected, "{field} {value}");
        took.push(milliseconds);
    };
    filter(&mut browser, "a", "1", said(all, all));
    filter(&mut browser, "show", "wrong", said(count(&|d| !is_right(1, d)), all));
    filter(&mut browser, "show", "right", said(count(&|d| is_right(1, d)), all));
    filter(&mut browser, "b", "2", said(count(&|d| is_right(1, d)), all));
    filter(&mut browser, "show", "lost", said(count(&|d| !is_right(1, d) && is_right(2, d)), all));
    filter(&mut browser, "show", "won", said(count(&|d| is_right(1, d) && !is_right(2, d)), all));
    filter(&mut browser, "show", "disagree", said(count(&|d| is_right(1, d) != is_right(2, d)), all));
    filter(&mut browser, "suite", "1", said(count(&|d| is_right(1, d) != is_right(2, d)) / 2, all / 2));
    filter(&mut browser, "show", "all", said(all / 2, all / 2));
    filter(&mut browser, "task", "3", said(DOCUMENTS, DOCUMENTS));
    let slowest = took.into_iter().fold(0.0, f64::max);
    assert!(slowest < FILTERS, "{slowest} ms");
    // What stands in questions and answers is found, and soon once it is unpacked.
    assert_eq!(choose(&mut browser, "search", "What is 77 and 3?").0, said(1, DOCUMENTS));
    let (found, again) = choose(&mut browser, "search", "MODEL 2 SAYS 4");
    let expected = (0..DOCUMENTS).filter(|document| document.to_string().starts_with('4')).count();
    assert_eq!(found, said(expected, DOCUMENTS));
    assert!(again < FILTERS, "{again} ms");
    choose(&mut browser, "search", "");

    // Keyboard: the list by its keys, and from there into the document.
    browser.value("document.getElementById('list').focus()");
    for _ in 0..3 {
        browser.press("ArrowDown");
    }
    browser.until("document.querySelector('#detail h3')?.textContent === 'task_3, document 2'");
    assert_eq!(browser.value("document.querySelectorAll('#list [aria-selected=\"true\"]').length"), 1);
    assert!(browser.text("location.hash").contains("task=task_3&doc=2"));
    assert!(
        browser
            .text("document.getElementById('detail').textContent")
            .contains("show all 1,048,576 characters")
    );
    browser.press("End");
    browser.until("document.querySelector('#detail h3').textContent === 'task_3, document 499'");
    browser.press("Enter");
    assert_eq!(browser.text("document.activeElement.id"), "detail");

    // A link leads to its document, whatever is filtered; what is hostile is text there.
    browser.value("location.hash = '#task=task_7&doc=1&show=wrong&a=model-0'");
    browser.until("document.querySelector('#detail h3')?.textContent === 'task_7, document 1'");
    let detail = browser.text("document.getElementById('detail').textContent");
    assert!(
        detail.contains("<img src=x onerror") && detail.contains("\\u{202e}") && detail.contains("\\u{0}"),
        "{detail}"
    );
    assert!(
        detail.contains("An example.") && detail.contains("▸ -0.25") && detail.contains("model 3 says 1"),
        "{detail}"
    );
    assert_eq!(browser.value("window.owned === undefined && document.images.length === 0"), true);

    // The table: folded until all is asked for, and its cells lead to documents.
    let rows =
        "[...document.querySelectorAll('#table tbody tr')].filter((row) => row.checkVisibility()).length";
    assert_eq!(browser.value(rows), 1);
    browser.value("document.querySelector('[data-shows=unfolded]').click()");
    assert_eq!(browser.value(rows), TASKS);
    browser.value("document.querySelector('#table tbody tr:nth-child(4) td.number a').click()");
    browser.until(
        "document.getElementById('show').value === 'wrong' && document.getElementById('task').value === '3'",
    );

    // Both themes, by the system and by the switch.
    let ground = "getComputedStyle(document.body).backgroundColor";
    let by_system = |browser: &mut Browser, name: &str| {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": name}]});
        browser.call("Emulation.setEmulatedMedia", features);
        browser.text(ground)
    };
    let (light, dark) = (by_system(&mut browser, "light"), by_system(&mut browser, "dark"));
    assert_ne!(light, dark);
    browser.value("document.getElementById('theme').click()");
    assert_eq!(browser.text(ground), light);
    browser.value("document.getElementById('theme').click()");
    by_system(&mut browser, "light");
    assert_eq!(browser.text(ground), dark);

    // On paper there is no viewer, and every line of the table.
    browser.call("Emulation.setEmulatedMedia", json!({"media": "print"}));
    assert_eq!(browser.value("document.getElementById('samples').checkVisibility()"), false);
    assert_eq!(browser.value(rows), TASKS);
    browser.call("Emulation.setEmulatedMedia", json!({"media": ""}));

    // Nothing was asked for but the file, and nothing went wrong.
    let events =
        |method: &str| browser.events.iter().filter(|event| event["method"] == method).collect::<Vec<_>>();
    let asked: Vec<&str> = events("Network.requestWillBeSent")
        .iter()
        .filter_map(|event| event["params"]["request"]["url"].as_str())
        .collect();
    assert!(
        !asked.is_empty() && asked.iter().all(|url| url.starts_with(&address) || *url == "about:blank"),
        "{asked:?}"
    );
    for method in ["Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"] {
        let found: Vec<&Value> = events(method);
        assert!(found.is_empty(), "{found:?}");
    }
}
