//! Answers on their way out: text while it comes, or an object a line. What leaves is in the order of the prompts, whichever
//! answer is done first.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::Path;

use crate::base::atomic::AtomicFile;
use crate::base::printable::{WHOLE, printable};
use crate::run::{Answer, Audience};

/// Characters of a prompt in the line above its answer.
const HEADING: usize = 70;

/// What answers become.
pub trait Printed {
    /// Who hears them.
    fn audience(&mut self) -> &mut dyn Audience;

    /// Says that no more come; a file of what did is kept only if it is to be.
    ///
    /// # Errors
    /// What could not be written, now or before.
    fn finish(self: Box<Self>, is_kept: bool) -> io::Result<()>;
}

/// Where writing goes on until it fails.
struct Out<W> {
    to: W,
    /// Whether it is a terminal, which would obey some of what a model writes.
    is_terminal: bool,
    fault: Option<io::Error>,
}

impl<W: Write + Send> Out<W> {
    fn new(to: W, is_terminal: bool) -> Self {
        Self { to, is_terminal, fault: None }
    }

    fn write(&mut self, text: &str) -> ControlFlow<()> {
        if self.fault.is_none() {
            let text = if self.is_terminal { printable(text, WHOLE) } else { Cow::Borrowed(text) };
            self.fault = self.to.write_all(text.as_bytes()).and_then(|()| self.to.flush()).err();
        }
        if self.fault.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn finish(self) -> io::Result<W> {
        self.fault.map_or(Ok(self.to), Err)
    }
}

/// Answers as text. Of several prompts each answer has a line above it, and an empty one below.
pub struct Texts<W> {
    out: Out<W>,
    headings: Vec<String>,
    /// The answer that is shown as it comes.
    current: usize,
    /// What came of those after it, and whether they are complete.
    later: BTreeMap<usize, (String, bool)>,
    /// Whether the line that was written last has not ended.
    is_open: bool,
}

impl Texts<io::Stdout> {
    /// The answers to these prompts, on stdout.
    pub fn new(prompts: &[String]) -> Self {
        Self::to(Out::new(io::stdout(), io::stdout().is_terminal()), prompts)
    }
}

impl<W: Write + Send> Texts<W> {
    fn to(out: Out<W>, prompts: &[String]) -> Self {
        let heading = |(number, prompt): (usize, &String)| match prompts.len() {
            1 => String::new(),
            all => format!("[{number}/{all}] {}\n", first_line(prompt)),
        };
        let headings = (1..).zip(prompts).map(heading).collect();
        let later = BTreeMap::from([(0, Default::default())]);
        Self { out, headings, current: 0, later, is_open: false }
    }

    /// Writes what came of the current answer, and goes on to the next if it is complete.
    fn show(&mut self) -> ControlFlow<()> {
        while let Some((text, is_complete)) = self.later.get_mut(&self.current) {
            let mut text = std::mem::take(&mut self.headings[self.current]) + &std::mem::take(text);
            if !*is_complete {
                self.is_open |= !text.is_empty();
                return self.out.write(&text);
            }
            self.later.remove(&self.current);
            self.current += 1;
            text += if self.current < self.headings.len() { "\n\n" } else { "\n" };
            self.is_open = false;
            self.out.write(&text)?;
        }
        ControlFlow::Continue(())
    }
}

impl<W: Write + Send> Audience for Texts<W> {
    fn is_live(&self) -> bool {
        true
    }

    fn text(&mut self, prompt: usize, text: &str) -> ControlFlow<()> {
        self.later.entry(prompt).or_default().0 += text;
        self.show()
    }

    fn ended(&mut self, prompt: usize, _: &Answer) -> ControlFlow<()> {
        self.later.entry(prompt).or_default().1 = true;
        self.show()
    }
}

impl<W: Write + Send> Printed for Texts<W> {
    fn audience(&mut self) -> &mut dyn Audience {
        self
    }

    fn finish(mut self: Box<Self>, _: bool) -> io::Result<()> {
        if self.is_open {
            let _ = self.out.write("\n");
        }
        // After an interruption some lack those before them.
        for (prompt, (text, _)) in std::mem::take(&mut self.later).into_iter().filter(|(_, (_, done))| *done)
        {
            let _ = self.out.write(&format!("{}{text}\n", self.headings[prompt]));
        }
        self.out.finish().map(drop)
    }
}

/// Answers as objects, one a line.
pub struct Objects<W: Keep> {
    out: Out<W>,
    next: usize,
    later: BTreeMap<usize, String>,
}

/// What has to be done with a file that is complete.
pub trait Keep: Write {
    /// Makes it stay.
    fn keep(self) -> io::Result<()>;
}

impl Keep for io::Stdout {
    fn keep(mut self) -> io::Result<()> {
        self.flush()
    }
}

impl Keep for AtomicFile {
    fn keep(self) -> io::Result<()> {
        self.commit()
    }
}

impl Objects<io::Stdout> {
    /// On stdout.
    pub fn to_stdout() -> Self {
        Self::to(Out::new(io::stdout(), io::stdout().is_terminal()))
    }
}

impl Objects<AtomicFile> {
    /// In a file, which is complete or absent.
    ///
    /// # Errors
    /// A file that cannot be made.
    pub fn to_file(file: &Path) -> io::Result<Self> {
        AtomicFile::create(file).map(|file| Self::to(Out::new(file, false)))
    }
}

impl<W: Keep + Send> Objects<W> {
    fn to(out: Out<W>) -> Self {
        Self { out, next: 0, later: BTreeMap::new() }
    }
}

impl<W: Keep + Send> Audience for Objects<W> {
    fn is_live(&self) -> bool {
        false
    }

    fn text(&mut self, _: usize, _: &str) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn ended(&mut self, prompt: usize, answer: &Answer) -> ControlFlow<()> {
        let line = serde_json::to_string(answer).expect("an answer is an object of texts and numbers");
        self.later.insert(prompt, line + "\n");
        while let Some(line) = self.later.remove(&self.next) {
            self.next += 1;
            self.out.write(&line)?;
        }
        ControlFlow::Continue(())
    }
}

impl<W: Keep + Send> Printed for Objects<W> {
    fn audience(&mut self) -> &mut dyn Audience {
        self
    }

    fn finish(mut self: Box<Self>, is_kept: bool) -> io::Result<()> {
        for line in std::mem::take(&mut self.later).into_values() {
            let _ = self.out.write(&line);
        }
        let to = self.out.finish()?;
        if is_kept { to.keep() } else { Ok(()) }
    }
}

/// The beginning of a prompt in one line.
fn first_line(prompt: &str) -> String {
    let line = prompt.trim_start().lines().next().unwrap_or_default();
    let short: String = line.chars().take(HEADING).collect();
    if short.len() < prompt.trim().len() { format!("{short}…") } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Ending;

    fn answer(text: &str) -> Answer {
        Answer {
            prompt: "p".to_owned(),
            text: text.to_owned(),
            end: Ending::Stop,
            n_prompt_tokens: 2,
            n_tokens: 1,
            seconds: 0.5,
            tokens: vec![7],
            logprobs: None,
        }
    }

    /// A place that can be looked at, and that fails after so many bytes.
    struct Place<'a>(&'a mut Vec<u8>, usize);

    impl Write for Place<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0.len() + bytes.len() > self.1 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.0.extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Keep for Place<'_> {
        fn keep(self) -> io::Result<()> {
            Ok(())
        }
    }

    fn texts(prompts: &[&str], work: impl FnOnce(&mut dyn Audience)) -> String {
        let mut written = Vec::new();
        let prompts: Vec<String> = prompts.iter().map(|prompt| (*prompt).to_owned()).collect();
        let mut texts = Box::new(Texts::to(Out::new(Place(&mut written, usize::MAX), false), &prompts));
        work(texts.audience());
        texts.finish(true).unwrap();
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn texts_are_in_the_order_of_the_prompts() {
        let one = texts(&["p"], |audience| {
            let _ = (audience.text(0, "a"), audience.text(0, " b"), audience.ended(0, &answer("a b")));
        });
        assert_eq!(one, "a b\n");
        let three = texts(&["one", "two\nlines", "three"], |audience| {
            let _ = (audience.text(1, "2"), audience.text(0, "1"), audience.ended(1, &answer("2")));
            let _ = (audience.text(0, "!"), audience.ended(0, &answer("1!")), audience.ended(2, &answer("")));
        });
        assert_eq!(three, "[1/3] one\n1!\n\n[2/3] two…\n2\n\n[3/3] three\n\n");
    }

    #[test]
    fn a_terminal_obeys_no_model() {
        let mut written = Vec::new();
        let prompts = ["\u{1b}c".to_owned(), "two".to_owned()];
        let out = Out::new(Place(&mut written, usize::MAX), true);
        let mut texts = Box::new(Texts::to(out, &prompts));
        let _ = (texts.audience().text(0, "a\u{1b}"), texts.audience().text(0, "[2J\tb"));
        texts.finish(true).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), "[1/2] \\u{1b}c\na\\u{1b}[2J\tb\n");
    }

    #[test]
    fn what_came_before_an_interruption_is_shown() {
        let shown = texts(&["one", "two", "three"], |audience| {
            let _ = (audience.text(2, "3"), audience.text(0, "1"), audience.ended(0, &answer("1")));
            let _ = audience.ended(2, &answer("3"));
        });
        assert_eq!(shown, "[1/3] one\n1\n\n[3/3] three\n3\n");
        let unfinished = texts(&["one"], |audience| assert!(audience.text(0, "1").is_continue()));
        assert_eq!(unfinished, "1\n");
    }

    #[test]
    fn objects_are_in_the_order_of_the_prompts() {
        let mut written = Vec::new();
        let mut objects = Box::new(Objects::to(Out::new(Place(&mut written, usize::MAX), false)));
        for (prompt, text) in [(1, "b"), (0, "a"), (3, "d")] {
            assert!(objects.audience().ended(prompt, &answer(text)).is_continue());
        }
        objects.finish(true).unwrap();
        let line = |text: &str| {
            format!(
                "{{\"prompt\":\"p\",\"text\":\"{text}\",\"end\":\"stop\",\"n_prompt_tokens\":2,\"n_tokens\":1,\
                 \"seconds\":0.5,\"tokens\":[7]}}\n"
            )
        };
        assert_eq!(String::from_utf8(written).unwrap(), line("a") + &line("b") + &line("d"));
    }

    #[test]
    fn who_leaves_ends_the_work_and_is_told_why() {
        let mut written = Vec::new();
        let mut objects = Box::new(Objects::to(Out::new(Place(&mut written, 9), false)));
        assert!(objects.audience().ended(0, &answer("a")).is_break());
        assert_eq!(objects.finish(true).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        let mut written = Vec::new();
        let mut texts = Box::new(Texts::to(Out::new(Place(&mut written, 1), false), &["p".to_owned()]));
        assert!(texts.audience().text(0, "a").is_continue() && texts.audience().text(0, "b").is_break());
        assert_eq!(texts.finish(true).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_file_is_kept_only_if_the_work_was_done() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.jsonl");
        for (is_kept, lines) in [(false, None), (true, Some(1))] {
            let mut objects = Box::new(Objects::to_file(&file).unwrap());
            assert!(objects.audience().ended(0, &answer("a")).is_continue());
            objects.finish(is_kept).unwrap();
            assert_eq!(std::fs::read_to_string(&file).ok().map(|text| text.lines().count()), lines);
        }
    }
}
