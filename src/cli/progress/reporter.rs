//! A listener for long work that shows it in one of the forms.

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::state::State;
use super::{Form, bar, text};
use crate::base::progress::{Progress, Running, Turn, Unit};
use crate::report::numbers::short_bytes;

/// When the first line comes, and how long it is from one to the next.
const FIRST_LINE: Duration = Duration::from_secs(10);
const LINES: Duration = Duration::from_secs(60);
/// How long it is from one object to the next.
const OBJECTS: Duration = Duration::from_secs(1);

/// Shows work on stderr.
pub struct Reporter {
    form: Form,
    start: Instant,
    state: Arc<Mutex<State>>,
    shown: Mutex<Shown>,
}

/// What was shown so far.
struct Shown {
    bar: Option<ProgressBar>,
    /// When the next line or object is due.
    due: Duration,
    out: Box<dyn Write + Send>,
}

impl Reporter {
    /// Nothing is shown yet.
    pub(super) fn new(form: Form) -> Self {
        Self::to(form, Box::new(std::io::stderr()))
    }

    fn to(form: Form, out: Box<dyn Write + Send>) -> Self {
        let due = if form == Form::Lines { FIRST_LINE } else { Duration::ZERO };
        let shown = Mutex::new(Shown { bar: None, due, out });
        Self { form, start: Instant::now(), state: Arc::default(), shown }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One object now, if that is the form.
    fn tell(&self, event: &str, now: Duration) {
        if self.form == Form::Json {
            let report = serde_json::to_string(&self.state().report(event, now));
            let mut shown = self.shown();
            // Nobody has to listen.
            let _ = writeln!(shown.out, "{}", report.expect("a report has a form in JSON"));
            shown.due = now + OBJECTS;
        }
    }

    fn begin_at(&self, now: Duration, work: &str, total: Option<u64>, unit: Unit) {
        self.state().begin(work, total, unit, now);
        if self.form == Form::Lines && unit == Unit::Transfer {
            let size = total.map_or_else(String::new, |bytes| format!(" ({})", short_bytes(bytes)));
            let _ = writeln!(self.shown().out, "fetching {work}{size}");
        }
        if self.form == Form::Bar {
            self.shown().bar = Some(bar::draw(&self.state, self.start));
        }
        self.tell("begin", now);
    }

    fn advance_at(&self, now: Duration, n: u64) {
        self.state().done += n;
        match self.form {
            Form::Json if now >= self.shown().due => self.tell("progress", now),
            Form::Lines => {
                let mut shown = self.shown();
                if now >= shown.due {
                    let _ = writeln!(shown.out, "{}", text::line(&self.state(), now));
                    shown.due = now + LINES;
                }
            }
            _ => {}
        }
    }

    fn end_at(&self, now: Duration) {
        self.tell("end", now);
        if let Some(bar) = self.shown().bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Reporter {
    fn turn(&self, turn: &Turn) {
        self.state().turn = Some(turn.clone());
    }

    fn at(&self, item: &str, running: Option<&Running>) {
        let mut state = self.state();
        item.clone_into(&mut state.item);
        state.running = running.cloned();
    }

    fn begin(&self, what: &str, total: Option<u64>, unit: Unit) {
        self.begin_at(self.start.elapsed(), what, total, unit);
    }

    fn advance(&self, n: u64) {
        self.advance_at(self.start.elapsed(), n);
    }

    fn end(&self) {
        self.end_at(self.start.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was written, for two hands.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Three minutes and ten seconds of work, a step every second.
    fn work(form: Form) -> Vec<String> {
        let written = Written::default();
        let reporter = Reporter::to(form, Box::new(written.clone()));
        reporter.turn(&Turn { name: "tiny".to_owned(), number: 2, of: 2 });
        reporter.begin_at(Duration::ZERO, "scoring", Some(1900), Unit::Tokens);
        reporter.at("a_task", Some(&Running { metric: "acc".to_owned(), value: 0.25 }));
        for second in 1..=190 {
            reporter.advance_at(Duration::from_secs(second), 10);
        }
        reporter.end_at(Duration::from_secs(190));
        let text = written.0.lock().unwrap().clone();
        String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn lines_come_after_ten_seconds_and_then_every_minute() {
        let lines = work(Form::Lines);
        assert_eq!(lines.len(), 4, "{lines:?}");
        let expected =
            "model 2 of 2 tiny, a_task: 5 % of 1,900 tokens, 10 tokens/s, 3 min left, acc 0.25 so far";
        assert_eq!(lines[0], expected);
        assert!(lines[3].contains("100 % of 1,900 tokens"), "{lines:?}");
        assert!(work(Form::None).is_empty());
    }

    #[test]
    fn each_file_that_is_fetched_has_a_line() {
        let said = |form| {
            let written = Written::default();
            let reporter = Reporter::to(form, Box::new(written.clone()));
            for name in ["a", "b"] {
                reporter.begin_at(Duration::ZERO, name, Some(1500), Unit::Transfer);
                reporter.end_at(Duration::from_secs(1));
            }
            String::from_utf8(written.0.lock().unwrap().clone()).unwrap()
        };
        assert_eq!(said(Form::Lines), "fetching a (1.5 kB)\nfetching b (1.5 kB)\n");
        assert_eq!(said(Form::None), "");
    }

    #[test]
    fn objects_come_every_second_with_the_same_keys() {
        let lines = work(Form::Json);
        assert_eq!(lines.len(), 192);
        let objects: Vec<serde_json::Value> =
            lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let keys =
            |object: &serde_json::Value| object.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let expected = [
            "event",
            "work",
            "model",
            "model_number",
            "models",
            "task",
            "unit",
            "done",
            "total",
            "per_second",
            "seconds",
            "seconds_left",
            "metric",
            "value",
        ];
        assert!(objects.iter().all(|object| keys(object) == expected));
        let of = |at: usize| &objects[at];
        assert_eq!((&of(0)["event"], &of(0)["task"]), (&"begin".into(), &serde_json::Value::Null));
        assert_eq!(
            (&of(100)["event"], &of(100)["done"], &of(100)["per_second"]),
            (&"progress".into(), &1000.into(), &10.0.into())
        );
        assert_eq!((&of(100)["task"], &of(100)["value"]), (&"a_task".into(), &0.25.into()));
        assert_eq!((&of(100)["model"], &of(100)["models"]), (&"tiny".into(), &2.into()));
        assert_eq!((&of(191)["event"], &of(191)["seconds_left"]), (&"end".into(), &0.0.into()));
    }
}
