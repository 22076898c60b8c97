//! The program in a terminal of a given width, which is what its standard output then is, or all three of its streams.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// After so long the program hangs, however slow the machine is.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a program leaves on the screen and on stderr, which is no terminal, and its exit code.
pub struct Seen {
    pub screen: String,
    pub stderr: String,
    pub code: i32,
}

/// Both sides of a terminal of so many columns of text.
fn terminal(columns: u16) -> (File, File) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let size = Winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&master, size).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let screen = File::options().read(true).write(true).open(name).unwrap();
    (File::from(master), screen)
}

/// Runs the program in a terminal of so many columns of text.
pub fn run(mut command: Command, columns: u16) -> Seen {
    let (mut master, screen) = terminal(columns);
    let child = command.stdin(Stdio::null()).stdout(screen).stderr(Stdio::piped()).spawn().unwrap();
    // The last handle of the terminal's other side is the program's own: reading ends when it does.
    drop(command);
    let screen = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // Linux has an error for the end of a terminal.
        let _ = master.read_to_end(&mut bytes);
        String::from_utf8(bytes).unwrap().replace("\r\n", "\n")
    });
    let output = child.wait_with_output().unwrap();
    Seen {
        screen: screen.join().unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code().unwrap(),
    }
}

/// A program that a person sits before: the terminal is all of its streams, and its keys are signals.
pub struct Seat {
    keys: File,
    child: Child,
    screen: Arc<Mutex<Vec<u8>>>,
    reader: Option<std::thread::JoinHandle<()>>,
    /// Bytes of the screen that were looked at.
    seen: usize,
}

impl Seat {
    /// Starts a program in a terminal of 100 columns.
    pub fn start(command: &Command) -> Self {
        let (keys, screen) = terminal(100);
        // It makes the terminal the one that rules the program.
        let mut ruled = Command::new("setsid");
        ruled.arg("--ctty").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => ruled.env(name, value),
                None => ruled.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            ruled.current_dir(folder);
        }
        let again = || screen.try_clone().unwrap();
        ruled.env("TERM", "xterm").env("NO_COLOR", "1");
        let child =
            ruled.stdin(again()).stdout(again()).stderr(again()).spawn().expect("setsid of util-linux");
        drop((ruled, screen));
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut source, to) = (keys.try_clone().unwrap(), Arc::clone(&shown));
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = source.read(&mut bytes) {
                to.lock().unwrap().extend_from_slice(&bytes[..read]);
            }
        });
        Self { keys, child, screen: shown, reader: Some(reader), seen: 0 }
    }

    /// Presses these keys.
    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// What has come since it was last looked at, as soon as `words` are in it, and up to their end.
    pub fn wait_for(&mut self, words: &str) -> String {
        let begun = Instant::now();
        loop {
            let new = String::from_utf8_lossy(&self.screen.lock().unwrap()[self.seen..]).into_owned();
            if let Some(at) = new.find(words) {
                self.seen += at + words.len();
                return new[..at + words.len()].to_owned();
            }
            let hangs = begun.elapsed() > PATIENCE;
            assert!(!hangs, "no {words:?} on the screen: {new:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends the program a signal.
    pub fn signal(&self, signal: &str) {
        super::interrupted::signal(&self.child, signal);
    }

    /// Whether the program is still at work.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What comes until the program ends, and its exit code.
    pub fn leave(mut self) -> (String, i32) {
        let begun = Instant::now();
        while self.is_running() {
            assert!(begun.elapsed() < PATIENCE, "the program does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
        self.reader.take().unwrap().join().unwrap();
        let rest = String::from_utf8_lossy(&self.screen.lock().unwrap()[self.seen..]).into_owned();
        (rest, self.child.wait().unwrap().code().unwrap())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
