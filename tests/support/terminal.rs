//! The program in a terminal of a given width, which is what its standard output then is.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// What a program leaves on the screen and on stderr, which is no terminal, and its exit code.
pub struct Seen {
    pub screen: String,
    pub stderr: String,
    pub code: i32,
}

/// Runs the program in a terminal of so many columns of text.
pub fn run(mut command: Command, columns: u16) -> Seen {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let size = Winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&master, size).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let screen = File::options().read(true).write(true).open(name).unwrap();
    let child = command.stdin(Stdio::null()).stdout(screen).stderr(Stdio::piped()).spawn().unwrap();
    // The last handle of the terminal's other side is the program's own: reading ends when it does.
    drop(command);
    let mut master = File::from(master);
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
