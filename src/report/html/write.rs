//! A page in its file: the template, then blocks of data task by task, then the script.

use std::io::{self, Write};

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context, escape_formatter};

use super::encode::{base64, data};
use super::page::Page;
use super::samples::TaskSamples;
use crate::base::digest::{Digest as _, Sha256};
use crate::base::printable::printable;
use crate::python::print::to_value;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// The most characters of a name or a cell; what is longer is no name.
const MOST: usize = 400;

/// The documents of a page, packed.
#[derive(Debug, Default)]
pub struct Blocks {
    bytes: Vec<u8>,
    tasks: usize,
    columns: Option<usize>,
}

impl Blocks {
    /// Takes in the documents of the next task. They are packed at once, so that those of one task alone are in memory.
    ///
    /// # Panics
    /// If not all tasks have as many columns.
    pub fn add(&mut self, samples: &TaskSamples) {
        let columns = *self.columns.get_or_insert(samples.answers.len());
        assert!(samples.answers.len() == columns, "each column has answers or none");
        samples.write(self.tasks, &mut self.bytes).expect("memory takes all bytes");
        self.tasks += 1;
    }
}

/// Writes a page with the documents of its tasks, in their order.
///
/// # Errors
/// What `out` does not take.
///
/// # Panics
/// If there are documents of more or fewer tasks, or columns, than the page has.
pub fn write(page: &Page, blocks: &Blocks, out: &mut impl Write) -> io::Result<()> {
    assert!(blocks.tasks == page.tasks.len(), "every task has its documents");
    assert!(
        blocks.columns.is_none_or(|columns| columns == page.columns.len()),
        "and every column its answers"
    );
    out.write_all(head(page).as_bytes())?;
    out.write_all(&blocks.bytes)?;
    write!(out, "<script>{SCRIPT}</script>\n</body>\n</html>\n")
}

/// All that stands before the documents.
fn head(page: &Page) -> String {
    let digest = |text: &str| format!("'sha256-{}'", base64(&Sha256::digest(text)));
    let policy = format!(
        "default-src 'none'; style-src {}; script-src {}; img-src data:; base-uri 'none'; form-action 'none'",
        digest(STYLE),
        digest(SCRIPT)
    );
    let labels: Vec<&str> = page.columns.iter().map(|column| column.label.as_str()).collect();
    let index = serde_json::json!({"columns": labels, "suites": page.suites, "tasks": page.tasks});
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // What is not ours is spelled where a reader would not see it, and cut where it is no name any more.
    environment.set_formatter(|out, state, value| match value.as_str().filter(|_| !value.is_safe()) {
        Some(text) => escape_formatter(out, state, &Value::from(printable(text, MOST).into_owned())),
        None => escape_formatter(out, state, value),
    });
    environment.add_template("page.html", TEMPLATE).expect("the template is read in a test");
    let template = environment.get_template("page.html").expect("it was just added");
    let values = context! {
        page => to_value(&serde_json::to_value(page).expect("a page is texts and numbers")),
        policy => Value::from_safe_string(policy),
        style => Value::from_safe_string(STYLE.to_owned()),
        index => Value::from_safe_string(data(&index)),
        folds => page.lines.iter().filter(|line| line.folds).count(),
        generator => format!("zoo {}", env!("CARGO_PKG_VERSION")),
    };
    template.render(values).expect("the template asks for what a page has")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::html::{
        Fact, Mark, PageAnswer, PageCell, PageColumn, PageDocument, PageFigure, PageLine, PagePart,
        PageSection, PageTask, Verdict,
    };

    /// What must not do anything anywhere.
    const HOSTILE: &str =
        "</script><img src=x onerror=alert(1)>\"'&\u{0}\u{1b}[31m\u{202e}\u{2028}=cmd|' /C calc'!A0";

    fn page() -> Page {
        let text = || HOSTILE.to_owned();
        let cell = PageCell {
            value: text(),
            error: text(),
            interval: text(),
            documents: text(),
            published: text(),
            link: "#task=x".to_owned(),
            mark: Some(Mark::Best),
            ..PageCell::default()
        };
        let missing = PageCell { missing: text(), ..PageCell::default() };
        let line =
            PageLine { task: text(), metric: text(), cells: vec![cell, missing], ..PageLine::default() };
        let column = |label: String| PageColumn { label, remarks: vec![text()] };
        Page {
            title: text(),
            notes: vec![text()],
            columns: vec![column(text()), column("x".repeat(1 << 20))],
            lines: vec![line],
            legend: vec![text()],
            sections: vec![PageSection {
                title: text(),
                notes: vec![text()],
                heads: vec![(text(), true)],
                rows: vec![vec![text()]],
            }],
            figures: vec![PageFigure { title: text(), svg: "<svg></svg>".to_owned() }],
            suites: vec![text()],
            tasks: vec![PageTask { name: text(), suites: vec![0] }],
            provenance: vec![PagePart { title: text(), facts: vec![Fact::new(text(), text())] }],
        }
    }

    fn samples() -> TaskSamples {
        let document = PageDocument {
            question: HOSTILE.to_owned(),
            choices: vec![HOSTILE.to_owned()],
            ..PageDocument::default()
        };
        let answer =
            PageAnswer { texts: vec![HOSTILE.to_owned()], verdict: Verdict::Right, ..PageAnswer::default() };
        TaskSamples {
            kept: true,
            before: vec![HOSTILE.to_owned()],
            documents: vec![document],
            answers: vec![Some(vec![Some(answer)]), None],
        }
    }

    fn written(page: &Page) -> String {
        let (mut out, mut blocks) = (Vec::new(), Blocks::default());
        page.tasks.iter().for_each(|_| blocks.add(&samples()));
        write(page, &blocks, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// The page without what is ours: the style and the script.
    fn foreign(html: &str) -> String {
        html.replace(STYLE, "").replace(SCRIPT, "")
    }

    #[test]
    fn what_is_hostile_stays_text() {
        let html = foreign(&written(&page()));
        assert!(!html.contains("<img") && !html.contains("onerror=alert(1)>"), "{html}");
        assert!(!html.contains(['\u{0}', '\u{1b}', '\u{202e}']));
        assert_eq!(html.matches("</script>").count(), html.matches("<script").count());
        assert_eq!(html.matches("<script").count(), 4, "index, verdicts, texts, and the one that runs");
        // A name of a megabyte is cut where it is read, and whole in the data.
        assert_eq!(html.split(|c| c != 'x').filter(|name| name.len() > MOST).count(), 1);
        assert!(html.contains("\\u{202e}") && html.contains("&lt;img"));
    }

    #[test]
    fn nothing_is_asked_for_and_the_policy_knows_style_and_script() {
        let html = written(&page());
        let policy =
            html.split("Content-Security-Policy\" content=\"").nth(1).unwrap().split('"').next().unwrap();
        assert!(
            policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"),
            "{policy}"
        );
        for text in [STYLE, SCRIPT] {
            assert!(policy.contains(&base64(&Sha256::digest(text))));
            // What stands between the tags is what was digested.
            assert!(html.contains(&format!(">{text}</s")) && !text.contains("</"));
        }
        for word in ["http:", "https:", "src=\"", "@import", "url(", "innerHTML", "eval(", " style=\""] {
            assert!(
                !foreign(&html).contains(word) && !SCRIPT.contains(word) && !STYLE.contains(word),
                "{word}"
            );
        }
    }

    #[test]
    fn texts_come_back_as_the_script_reads_them() {
        let html = written(&page());
        let block = |id: &str| {
            let found = html.split(&format!("id=\"{id}\">")).nth(1).unwrap();
            found.split("</script>").next().unwrap().to_owned()
        };
        let verdicts: serde_json::Value = serde_json::from_str(&block("verdicts-0")).unwrap();
        assert_eq!(verdicts, serde_json::json!([null, 1, true, ["AQ==", null]]));
        let packed = block("texts-0");
        assert!(
            packed.starts_with("H4sI")
                && packed.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
        );
        let index: serde_json::Value = serde_json::from_str(&block("index")).unwrap();
        assert_eq!(index["tasks"][0]["name"], HOSTILE);
    }

    #[test]
    fn a_page_of_nothing_is_a_page() {
        let html = written(&Page::default());
        assert!(
            html.contains("Comparison")
                && !html.contains("id=\"samples\"")
                && !html.contains("id=\"figures\"")
        );
    }
}
