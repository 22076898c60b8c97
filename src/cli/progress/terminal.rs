//! One line of a terminal that is drawn over and over.

/// Columns of a terminal that does not tell.
const COLUMNS: usize = 80;

/// A line that takes the place of what stands in it; the next one starts where it starts.
pub fn over(line: &str) -> String {
    format!("{line}\u{1b}[K\r")
}

/// How wide the terminal of stderr is now.
pub fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr());
    size.ok().map(|size| usize::from(size.ws_col)).filter(|&columns| columns > 0).unwrap_or(COLUMNS)
}
