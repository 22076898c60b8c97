//! What stands over a column: its names, its readers, its place on the terminal.

/// How much of the terminal a column takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// Every cell is on one line.
    Whole,
    /// Cells are wrapped where the table would be too wide.
    Wraps,
    /// The same, but the column keeps this many columns of text.
    AtLeast(u16),
    /// None on a terminal: a line above the first of the rows that share a cell.
    Section,
}

/// The names of a column and how it is drawn.
#[derive(Debug, Clone)]
pub struct Heading {
    /// For programs.
    pub(super) key: String,
    /// For people.
    pub(super) title: String,
    /// For the terminal, if it is another one.
    pub(super) short_title: Option<String>,
    pub(super) on_terminal: bool,
    pub(super) in_markdown: bool,
    pub(super) in_data: bool,
    pub(super) right: bool,
    pub(super) room: Room,
    pub(super) from_width: usize,
    /// 0 for a column that stays, whatever there is room for; of the others the highest is left out first.
    pub(super) spare: u8,
}

/// A column of words, for all readers.
pub fn text(key: impl Into<String>) -> Heading {
    let key = key.into();
    Heading {
        title: key.clone(),
        key,
        short_title: None,
        on_terminal: true,
        in_markdown: true,
        in_data: true,
        right: false,
        room: Room::Whole,
        from_width: 0,
        spare: 0,
    }
}

/// A column of numbers, for all readers: its digits stand below each other.
pub fn number(key: impl Into<String>) -> Heading {
    Heading { right: true, ..text(key) }
}

/// A column for programs only.
pub fn data(key: impl Into<String>) -> Heading {
    Heading { on_terminal: false, in_markdown: false, ..text(key) }
}

/// A heading without a key: programs do not see the column.
pub fn people(heading: Heading) -> Heading {
    Heading { in_data: false, ..heading }
}

impl Heading {
    /// What people read in place of the key.
    pub fn titled(self, title: impl Into<String>) -> Self {
        Self { title: title.into(), ..self }
    }

    /// What stands over the column on the terminal, where room is dear.
    pub fn short(self, title: impl Into<String>) -> Self {
        Self { short_title: Some(title.into()), ..self }
    }

    /// Markdown has no such column.
    pub fn not_in_markdown(self) -> Self {
        Self { in_markdown: false, ..self }
    }

    /// Only terminals of at least so many columns of text show it.
    pub fn from_width(self, width: usize) -> Self {
        Self { from_width: width, ..self }
    }

    /// Left out where the terminal has no room for every column; the one with the highest `rank` goes first.
    pub fn spare(self, rank: u8) -> Self {
        Self { spare: rank, ..self }
    }

    /// On terminals its cells stand above the rows that share them, not beside; rows are in order of it.
    pub fn section(self) -> Self {
        Self { room: Room::Section, ..self }
    }

    /// Cells may be wrapped, between words.
    pub fn wraps(self) -> Self {
        Self { room: Room::Wraps, ..self }
    }

    /// Cells may be wrapped, between words, but not to less than so many columns of text.
    pub fn wraps_from(self, least: u16) -> Self {
        Self { room: Room::AtLeast(least), ..self }
    }
}
