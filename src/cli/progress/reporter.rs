//! A listener for long work that shows it in one of the forms, again and again while the work goes on.

use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::state::State;
use super::{Form, terminal, text};
use crate::base::printable::{WHOLE, in_one_line};
use crate::base::progress::{Progress, Running, Turn, Unit};
use crate::report::numbers::short_bytes;

/// How often a bar is drawn.
const BAR: Duration = Duration::from_millis(250);
/// When the first line comes, and how long it is from one to the next.
const FIRST_LINE: Duration = Duration::from_secs(10);
const LINES: Duration = Duration::from_secs(60);
/// How long it is from one object to the next.
const OBJECTS: Duration = Duration::from_secs(1);

/// Shows work on stderr.
pub struct Reporter {
    start: Instant,
    screen: Arc<Screen>,
    ticker: Mutex<Option<Ticker>>,
}

/// What is known and what is shown of it.
struct Screen {
    form: Form,
    state: Mutex<State>,
    shown: Mutex<Shown>,
}

/// What was shown so far.
struct Shown {
    /// When the next line or object is due.
    due: Duration,
    out: Box<dyn Write + Send>,
}

impl Screen {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what nobody has to read.
    fn write(&self, text: &str) {
        let mut shown = self.shown();
        let _ = shown.out.write_all(text.as_bytes()).and_then(|()| shown.out.flush());
    }

    /// One object now, if that is the form.
    fn tell(&self, event: &str, now: Duration) {
        if self.form == Form::Json {
            let report = serde_json::to_string(&self.state().report(event, now));
            self.write(&format!("{}\n", report.expect("a report has a form in JSON")));
            self.shown().due = now + OBJECTS;
        }
    }

    /// Time has passed: what is due is shown, whether the work has moved or not.
    fn tick(&self, now: Duration) {
        let is_due = now >= self.shown().due;
        match self.form {
            // A terminal wraps a line that fills its last column.
            Form::Bar => self.write(&terminal::over(&text::bar(&self.state(), now, terminal::columns() - 1))),
            Form::Json if is_due => self.tell("progress", now),
            Form::Lines if is_due => {
                self.write(&format!("{}\n", text::line(&self.state(), now)));
                self.shown().due = now + LINES;
            }
            Form::Auto | Form::Json | Form::Lines | Form::None => {}
        }
    }
}

/// A thread that lets time pass until it is dropped.
struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// `None` where the system gives no thread: then nothing is shown between begin and end.
    fn start(every: Duration, tick: impl Fn() + Send + 'static) -> Option<Self> {
        let (stop, stopped) = channel();
        let ticking = move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(every) {
                tick();
            }
        };
        let thread = Builder::new().name("progress".to_owned()).spawn(ticking).ok()?;
        Some(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Reporter {
    /// Nothing is shown yet.
    pub(super) fn new(form: Form) -> Self {
        Self::to(form, Box::new(std::io::stderr()))
    }

    fn to(form: Form, out: Box<dyn Write + Send>) -> Self {
        let due = if form == Form::Lines { FIRST_LINE } else { Duration::ZERO };
        let shown = Mutex::new(Shown { due, out });
        let screen = Arc::new(Screen { form, state: Mutex::default(), shown });
        Self { start: Instant::now(), screen, ticker: Mutex::new(None) }
    }

    /// Whoever ticks until the work ends.
    fn set_ticker(&self, ticker: Option<Ticker>) {
        let before =
            std::mem::replace(&mut *self.ticker.lock().unwrap_or_else(PoisonError::into_inner), ticker);
        drop(before);
    }

    fn begin_at(&self, now: Duration, work: &str, total: Option<u64>, unit: Unit) {
        self.screen.state().begin(work, total, unit, now);
        if self.screen.form == Form::Lines && unit == Unit::Transfer {
            let size = total.map_or_else(String::new, |bytes| format!(" ({})", short_bytes(bytes)));
            self.screen.write(&format!("fetching {}{size}\n", in_one_line(work, WHOLE)));
        }
        self.screen.tell("begin", now);
    }

    fn end_at(&self, now: Duration) {
        self.screen.tell("end", now);
        if self.screen.form == Form::Bar {
            self.screen.write(&terminal::over(""));
        }
    }
}

impl Progress for Reporter {
    fn turn(&self, turn: &Turn) {
        self.screen.state().turn = Some(turn.clone());
    }

    fn at(&self, item: &str, running: Option<&Running>) {
        let mut state = self.screen.state();
        item.clone_into(&mut state.item);
        state.running = running.cloned();
    }

    fn begin(&self, what: &str, total: Option<u64>, unit: Unit) {
        self.begin_at(self.start.elapsed(), what, total, unit);
        let every = match self.screen.form {
            Form::Bar => BAR,
            Form::Json | Form::Lines => OBJECTS,
            Form::Auto | Form::None => return,
        };
        let (screen, start) = (Arc::clone(&self.screen), self.start);
        self.set_ticker(Ticker::start(every, move || screen.tick(start.elapsed())));
    }

    fn advance(&self, n: u64) {
        self.screen.state().done += n;
    }

    fn end(&self) {
        self.set_ticker(None);
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
            reporter.advance(10);
            reporter.screen.tick(Duration::from_secs(second));
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
            "model 2 of 2 tiny, a_task: 5 % of 1900 tokens, 10 tokens/s, 3 min left, acc 0.25 so far";
        assert_eq!(lines[0], expected);
        assert!(lines[3].contains("100 % of 1900 tokens"), "{lines:?}");
        assert!(work(Form::None).is_empty());
    }

    #[test]
    fn work_that_does_not_move_is_shown_too() {
        let written = Written::default();
        let reporter = Reporter::to(Form::Lines, Box::new(written.clone()));
        reporter.begin_at(Duration::ZERO, "waiting", Some(10), Unit::Items);
        for second in 1..=80 {
            reporter.screen.tick(Duration::from_secs(second));
        }
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text, "waiting: 0 % of 10\nwaiting: 0 % of 10\n");
    }

    #[test]
    fn a_ticker_ticks_until_it_is_dropped() {
        let (ticked, ticks) = channel();
        let ticker = Ticker::start(Duration::from_millis(1), move || {
            let _ = ticked.send(());
        })
        .unwrap();
        assert_eq!((ticks.recv(), ticks.recv()), (Ok(()), Ok(())));
        drop(ticker);
        // This ends, since its sender is gone with the thread.
        for () in ticks {}
    }

    #[test]
    fn a_bar_is_drawn_over_itself_and_leaves_nothing() {
        let written = Written::default();
        let reporter = Reporter::to(Form::Bar, Box::new(written.clone()));
        reporter.begin_at(Duration::ZERO, "reading", Some(4), Unit::Items);
        reporter.advance(1);
        reporter.screen.tick(Duration::from_secs(1));
        reporter.end_at(Duration::from_secs(2));
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let draws: Vec<&str> = text.split_inclusive('\r').collect();
        assert!(
            draws.len() == 2 && draws[0].starts_with("reading ") && draws[0].contains("25 %"),
            "{text:?}"
        );
        assert!(draws[0].ends_with("\u{1b}[K\r") && draws[1] == "\u{1b}[K\r", "{text:?}");
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
