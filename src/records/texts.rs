//! `texts/<variant>/<task>.jsonl.zst`: what was asked, in words; a line for each document.
//!
//! Samples say what a model answered, and of a prompt its digest alone. The words are the same for all models that are asked in
//! one way (protocol × chat template), so they are kept once for each way. A document whose prompt is not the same for all
//! models, because some of them have room for fewer examples, has a line for each prompt. Files are packed by Zstandard: prompts
//! of a task repeat their examples.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::file_names::own_file_name;
use super::run::ChatRecord;
use crate::base::atomic::AtomicFile;
use crate::base::digest::sha256;
use crate::base::whole::{self, Bounded};

/// The folder's name in that of a run.
pub const TEXTS_FOLDER: &str = "texts";
/// The most bytes that a file is unpacked to; 14 042 questions of MMLU with five examples are 40 MiB.
pub const MAX_TEXTS_BYTES: u64 = 4 << 30;
/// The most bytes of a line.
pub const MAX_LINE_BYTES: u64 = 64 << 20;
/// As good as higher ones where texts repeat what stood a few thousand bytes before, and ten times as fast.
const LEVEL: i32 = 3;
/// How many digits of a digest tell two templates of one name apart.
const DIGITS: usize = 8;

/// What was asked of one document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextLine {
    /// Row of the evaluation split, from 0.
    pub doc_id: usize,
    /// SHA-256 of `prompt`, as the lines of samples have it.
    pub prompt_sha256: String,
    /// The context of the first request, before any cut; empty where a whole text is scored.
    pub prompt: String,
    /// Where in it the document's own question begins, after description and examples, in bytes; `None` where a chat template
    /// wove them together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question_from: Option<usize>,
    /// The context of each choice, where they differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompts: Vec<String>,
    /// What is scored after the prompt, as it stands there with its delimiter; nothing where the model writes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// The right answer, where it is none of the choices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What the user says later in a conversation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<String>,
}

impl TextLine {
    /// A context of this document in two: what stands before its question, and the question.
    pub fn parts<'t>(&self, context: &'t str) -> [&'t str; 2] {
        let (before, question) =
            self.question_from.and_then(|at| context.split_at_checked(at)).unwrap_or(("", context));
        [before, question]
    }
}

/// A way of asking: all who are asked in one way are asked the same.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// By whose rules.
    pub protocol: &'a str,
    /// The template, if there is one.
    pub chat: Option<&'a ChatRecord>,
    /// By how many places the options are moved on.
    pub rotation: usize,
}

/// Where the texts of a task are that was asked in this way.
pub fn texts_path(run: &Path, way: Way<'_>, task: &str) -> PathBuf {
    let mut variant = way.protocol.to_owned();
    if let Some(chat) = way.chat {
        // Templates of two checkpoints may have one name.
        let digest = sha256(serde_json::to_string(chat).expect("texts are JSON"));
        variant += &format!("-{}-{}", chat.template, &digest[..DIGITS]);
    }
    if way.rotation > 0 {
        variant += &format!("-rotated-{}", way.rotation);
    }
    run.join(TEXTS_FOLDER).join(own_file_name(&variant)).join(own_file_name(task) + ".jsonl.zst")
}

/// Writes a complete file of texts.
pub fn write_texts(path: &Path, lines: impl IntoIterator<Item = TextLine>) -> io::Result<()> {
    let mut file = zstd::Encoder::new(AtomicFile::create(path)?, LEVEL)?;
    file.include_checksum(true)?;
    for line in lines {
        serde_json::to_writer(&mut file, &line)?;
        file.write_all(b"\n")?;
    }
    file.finish()?.commit()
}

/// Reads a file of texts, line by line.
///
/// # Errors
/// A file that cannot be opened; each line has its own.
pub fn read_texts(path: &Path) -> io::Result<TextLines> {
    let at = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let packed = whole::reader(path, MAX_TEXTS_BYTES).map_err(at)?;
    let file = BufReader::new(Bounded::new(zstd::Decoder::new(packed).map_err(at)?, MAX_TEXTS_BYTES));
    Ok(TextLines { path: path.to_owned(), file, limit: MAX_LINE_BYTES, number: 0, over: false })
}

type Unpacked = zstd::Decoder<'static, BufReader<Bounded<File>>>;

/// The lines of a file of texts. After an error there are no more.
pub struct TextLines {
    path: PathBuf,
    file: BufReader<Bounded<Unpacked>>,
    limit: u64,
    number: usize,
    over: bool,
}

impl TextLines {
    fn line(&mut self) -> io::Result<Option<TextLine>> {
        self.number += 1;
        let mut line = Vec::new();
        (&mut self.file).take(self.limit + 1).read_until(b'\n', &mut line)?;
        let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        if line.len() as u64 > self.limit {
            return Err(wrong(format!(
                "expected a line of at most {} bytes, found a longer one",
                self.limit
            )));
        }
        if line.is_empty() {
            return Ok(None);
        }
        let text: TextLine = serde_json::from_slice(&line)
            .map_err(|error| wrong(format!("expected what was asked of a document: {error}")))?;
        let found = sha256(text.prompt.as_bytes());
        if found != text.prompt_sha256 {
            let TextLine { doc_id, prompt_sha256, .. } = &text;
            let expected =
                format!("expected the prompt of document {doc_id} with the sha256 {prompt_sha256}");
            return Err(wrong(format!("{expected}, found one with {found}; the file was changed")));
        }
        Ok(Some(text))
    }
}

impl Iterator for TextLines {
    type Item = io::Result<TextLine>;

    fn next(&mut self) -> Option<io::Result<TextLine>> {
        if self.over {
            return None;
        }
        let line = self.line();
        self.over = !matches!(line, Ok(Some(_)));
        let (path, number) = (self.path.display(), self.number);
        let at = |error: io::Error| io::Error::new(error.kind(), format!("{path}, line {number}: {error}"));
        line.map_err(at).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(doc_id: usize, prompt: &str) -> TextLine {
        TextLine {
            doc_id,
            prompt_sha256: sha256(prompt.as_bytes()),
            prompt: prompt.to_owned(),
            question_from: None,
            prompts: Vec::new(),
            choices: vec![" A".to_owned(), " \u{202e}\0</script>".to_owned()],
            target: None,
            turns: Vec::new(),
        }
    }

    fn packed(path: &Path, lines: &[u8]) {
        std::fs::write(path, zstd::encode_all(lines, 1).unwrap()).unwrap();
    }

    fn error(path: &Path) -> String {
        let all: io::Result<Vec<TextLine>> = read_texts(path).unwrap().collect();
        let said = all.unwrap_err().to_string();
        assert!(said.contains("t.jsonl.zst, line "), "{said}");
        said
    }

    #[test]
    fn texts_come_back_and_repeated_examples_take_no_room() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a/t.jsonl.zst");
        let examples = (0..300).map(|n| format!("Question {n}\n")).collect::<String>();
        let mut lines: Vec<TextLine> = (0..200).map(|n| line(n, &format!("{examples}{n}?"))).collect();
        lines[7].prompts = vec!["a".to_owned(), "b".to_owned()];
        lines[8].target = Some("42".to_owned());
        lines[9].turns = vec!["And then?".to_owned()];
        lines[10].question_from = Some(examples.len());
        assert_eq!(lines[10].parts(&lines[10].prompt), [examples.as_str(), "10?"]);
        assert_eq!(lines[10].parts("short"), ["", "short"]);
        write_texts(&path, lines.clone()).unwrap();
        let again: Vec<TextLine> = read_texts(&path).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(again, lines);
        assert!(std::fs::metadata(&path).unwrap().len() < 40_000);
        write_texts(&path, []).unwrap();
        assert_eq!(read_texts(&path).unwrap().count(), 0);
    }

    #[test]
    fn what_is_no_text_is_refused_by_its_line() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("t.jsonl.zst");
        let good = serde_json::to_string(&line(0, "p")).unwrap();
        packed(&path, format!("{good}\n{{\"doc_id\": 1}}\n").as_bytes());
        assert!(error(&path).contains("line 2: expected what was asked"));
        packed(&path, good.replace("\"p\"", "\"q\"").as_bytes());
        assert!(error(&path).contains("found one with"));
        std::fs::write(&path, "no archive").unwrap();
        error(&path);
        write_texts(&path, (0..900).map(|n| line(n, &sha256(n.to_string())))).unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        error(&path);
        assert!(read_texts(&place.path().join("none")).is_err());
    }

    #[test]
    fn what_unpacks_to_more_than_its_limit_ends_there() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("t.jsonl.zst");
        let good = serde_json::to_string(&line(0, "p")).unwrap() + "\n";
        packed(&path, good.repeat(1000).as_bytes());
        let open = zstd::Decoder::new(whole::reader(&path, 5000).unwrap()).unwrap();
        let file = BufReader::new(Bounded::new(open, 5000));
        let lines = TextLines { file, ..read_texts(&path).unwrap() };
        let all: Vec<_> = lines.collect();
        assert!(all.len() < 60, "{}", all.len());
        let said = all.last().unwrap().as_ref().unwrap_err().to_string();
        assert!(said.contains("expected at most 5000"), "{said}");
    }

    #[test]
    fn a_line_that_never_ends_is_not_held() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("t.jsonl.zst");
        let good = serde_json::to_string(&line(0, "p")).unwrap() + "\n";
        packed(&path, [good.as_bytes(), &[b' '; 5000]].concat().as_slice());
        let mut lines = TextLines { limit: 1000, ..read_texts(&path).unwrap() };
        assert_eq!(lines.next().unwrap().unwrap(), line(0, "p"));
        let said = lines.next().unwrap().unwrap_err().to_string();
        assert!(said.contains("line 2: expected a line of at most 1000 bytes"), "{said}");
        assert!(lines.next().is_none());
    }

    #[test]
    fn ways_of_asking_have_folders_of_their_own() {
        let chat = |template: &str, sha256: &str| ChatRecord {
            template: template.to_owned(),
            sha256: Some(sha256.to_owned()),
            fewshot_as_multiturn: true,
        };
        let at = |chat: Option<&ChatRecord>, rotation: usize| {
            texts_path(Path::new("run"), Way { protocol: "p", chat, rotation }, "a/b")
        };
        let plain = at(None, 0);
        assert!(plain.starts_with("run/texts/p") && plain.to_str().unwrap().contains("/a_b-"), "{plain:?}");
        assert!(at(None, 1) != plain && at(None, 1) != at(None, 2));
        let [one, other] = ["a", "b"].map(|digest| at(Some(&chat("checkpoint: x", digest)), 0));
        assert!(one != other && one.to_str().unwrap().starts_with("run/texts/p-checkpoint__x-"), "{one:?}");
    }
}
