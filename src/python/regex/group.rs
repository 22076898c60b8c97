//! What is known of a group of a pattern while it is read: what it is for, and how many characters it matches.
//!
//! Python looks behind over a fixed number of characters only, and a group that can match nothing must not be
//! repeated: what it holds in the end depends on how an engine leaves the loop.

/// How many characters something matches at least and at most; `None`: any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Width {
    pub(super) min: usize,
    pub(super) max: Option<usize>,
}

impl Default for Width {
    fn default() -> Self {
        Self::NOTHING
    }
}

impl Width {
    pub(super) const NOTHING: Width = Width { min: 0, max: Some(0) };
    pub(super) const ONE: Width = Width { min: 1, max: Some(1) };

    /// One after the other.
    pub(super) fn then(self, next: Width) -> Result<Width, String> {
        let max = self.max.zip(next.max).and_then(|(a, b)| a.checked_add(b));
        Ok(Width { min: self.min.checked_add(next.min).ok_or("the pattern repeats too often")?, max })
    }

    /// One or the other.
    pub(super) fn or(self, other: Width) -> Width {
        Width { min: self.min.min(other.min), max: self.max.zip(other.max).map(|(a, b)| a.max(b)) }
    }

    /// Repeated.
    pub(super) fn times(self, (least, most): (usize, Option<usize>)) -> Result<Width, String> {
        let max = if self.max == Some(0) {
            Some(0)
        } else {
            self.max.zip(most).and_then(|(a, b)| a.checked_mul(b))
        };
        Ok(Width { min: self.min.checked_mul(least).ok_or("the pattern repeats too often")?, max })
    }
}

/// The flags that change what is written here.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) multi_line: bool,
    pub(super) ignore_case: bool,
}

/// What a group is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Kind {
    /// It matches, and may be counted.
    #[default]
    Plain,
    Captures(usize),
    LooksAhead,
    LooksBehind,
    /// The first alternative if a group took part, else the second.
    Chooses,
}

/// A `(` that has no `)` yet, or the whole pattern.
#[derive(Default)]
pub(super) struct Open {
    pub(super) kind: Kind,
    /// The flags outside of it.
    pub(super) flags: Flags,
    /// The capturing groups before it.
    pub(super) groups: usize,
    /// The alternatives before the last `|`.
    pub(super) before: Option<Width>,
    pub(super) alternatives: usize,
    /// The alternative up to its last piece.
    pub(super) width: Width,
    /// The last piece, and whether there are capturing groups in it.
    pub(super) last: Width,
    pub(super) captures: bool,
}

impl Open {
    /// Ends an alternative.
    pub(super) fn end_alternative(&mut self) -> Result<(), String> {
        let width = self.width.then(self.last)?;
        self.before = Some(self.before.map_or(width, |before| before.or(width)));
        self.alternatives += 1;
        (self.width, self.last, self.captures) = (Width::NOTHING, Width::NOTHING, false);
        Ok(())
    }
}
