//! `zoo report --format html`: one file with the table, and with the documents as they were asked and answered.

use std::fs;
use std::io::Read as _;

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::support::place::Place;
use crate::support::tiny::{stderr, write_tiny_model};

const HOSTILE: &str = "</script><img src=x onerror=alert(1)>\u{202e}\u{0}\u{1b}[31m=cmd|x";
const TASK: &str = "task: mine\noutput_type: multiple_choice\ndataset_path: json\ndataset_kwargs: {data_files: {test: rows.jsonl}}\n\
                    test_split: test\nnum_fewshot: 0\ndoc_to_text: \"{{q}}\"\ndoc_to_choice: \"{{c}}\"\ndoc_to_target: gold\n\
                    metric_list: [{metric: acc}]\n";

/// Two models that were asked three documents, one of them hostile, under hostile names.
fn place() -> Place {
    let place = Place::new(&["--suite", "mine"]);
    let row = |q: &str, gold: usize| format!("{}\n", json!({"q": q, "c": ["yes", HOSTILE], "gold": gold}));
    place.task("mine.yaml", TASK);
    place.task("rows.jsonl", row("One?", 0) + &row(HOSTILE, 1) + &row(&"long ".repeat(200_000), 0));
    write_tiny_model(&place.path("<img src=x>"));
    place
}

fn page(place: &Place, runs: &[&str]) -> String {
    let runs: Vec<String> = runs.iter().map(|run| place.text(run)).collect();
    let out = place.text("page.html");
    let mut args = vec!["report", "--format", "html", "--out", &out];
    args.extend(runs.iter().map(String::as_str));
    let output = place.zoo(&args);
    assert!(output.status.success(), "{}", stderr(&output));
    place.read("page.html")
}

/// What stands in one of the blocks of data.
fn block<'h>(html: &'h str, id: &str) -> &'h str {
    let found = html.split(&format!(" id=\"{id}\">")).nth(1).unwrap_or_else(|| panic!("no {id}"));
    found.split("</script>").next().unwrap()
}

fn bytes(base64: &str) -> Vec<u8> {
    let digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = base64.chars().filter_map(|c| digits.find(c)).collect::<Vec<_>>();
    let all = bits.chunks(4).flat_map(|four| {
        let sum = (0..4).fold(0, |sum, at| sum << 6 | four.get(at).copied().unwrap_or(0));
        [(sum >> 16) as u8, (sum >> 8) as u8, sum as u8].into_iter().take(four.len() - 1)
    });
    all.collect()
}

fn unpacked(base64: &str) -> Value {
    let mut text = String::new();
    GzDecoder::new(&bytes(base64)[..]).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_page_has_the_documents_as_they_were_asked_and_answered() {
    let place = place();
    place.run("run", &[&place.text("<img src=x>")]);
    let html = page(&place, &["run"]);
    let figures = place.text("figures");
    let output = place.zoo(&["report", &place.text("run"), "--figures", &figures, "--format", "csv"]);
    assert!(output.status.success(), "{}", stderr(&output));
    for name in ["bars", "parameters-mine"] {
        let svg = place.read(&format!("figures/{name}.svg"));
        assert!(
            svg.starts_with("<svg ") && svg.contains("&lt;img src=x&gt;") && !svg.contains("<img"),
            "{svg}"
        );
    }
    assert!(!html.contains("<img") && !html.contains(['\u{0}', '\u{1b}', '\u{202e}']));
    assert!(
        html.contains("&lt;img src=x&gt;") && html.contains("default-src &#x27;none&#x27;")
            || html.contains("default-src 'none'")
    );
    let index: Value = serde_json::from_str(block(&html, "index")).unwrap();
    assert_eq!(index["columns"], json!(["tiny", "<img src=x>"]));
    assert_eq!(index["tasks"], json!([{"name": "mine", "suites": [0]}]));
    let texts = unpacked(block(&html, "texts-0"));
    let documents = texts["documents"].as_array().unwrap();
    assert_eq!((documents.len(), documents[1]["question"].as_str()), (3, Some(HOSTILE)));
    assert_eq!(documents[1]["choices"], json!([" yes", format!(" {HOSTILE}")]));
    assert_eq!(documents[2]["question"].as_str().map(str::len), Some(1_000_000));
    let verdicts: Value = serde_json::from_str(block(&html, "verdicts-0")).unwrap();
    assert_eq!((&verdicts[0], &verdicts[1], &verdicts[2]), (&Value::Null, &json!(3), &json!(true)));
    let samples = place.read("run/samples/tiny/mine.jsonl");
    let lines: Vec<Value> = samples.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    let right: Vec<u8> =
        lines.iter().map(|line| line["metrics"]["acc,none"].as_f64().unwrap() as u8).collect();
    assert_eq!(bytes(verdicts[3][0].as_str().unwrap()), right);
    let logprob = lines[1]["choices"][0]["logprob"].as_f64().unwrap();
    let shown = texts["answers"][0][1]["logprobs"][0].as_f64().unwrap();
    assert!((logprob - shown).abs() <= 5e-5, "{logprob} {shown}");
}

#[test]
fn runs_without_texts_and_runs_of_other_models_stand_on_one_page() {
    let place = place();
    place.run("run", &["--limit", "2"]);
    place.run("without", &["--no-texts", "--num-fewshot", "0"]);
    fs::rename(place.path("<img src=x>"), place.path("other")).unwrap();
    let html = page(&place, &["without"]);
    let texts = unpacked(block(&html, "texts-0"));
    assert_eq!(texts["documents"][0]["question"], Value::Null);
    assert_eq!(texts["documents"][0]["sha256"].as_str().map(str::len), Some(64));
    let verdicts: Value = serde_json::from_str(block(&html, "verdicts-0")).unwrap();
    assert_eq!(verdicts[2], json!(false));
    // Runs of one model that do not agree are two columns; what one of them was not asked is absent there.
    let html = page(&place, &["run", "without"]);
    let verdicts: Value = serde_json::from_str(block(&html, "verdicts-0")).unwrap();
    let columns = verdicts[3].as_array().unwrap();
    assert_eq!((columns.len(), bytes(columns[0].as_str().unwrap())[2]), (2, 255));
    assert!(bytes(columns[1].as_str().unwrap())[2] < 2);
}
