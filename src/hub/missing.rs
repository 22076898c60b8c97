//! What would have to be fetched, said before it is.

/// What is not in the cache yet of a model or a data set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    /// Files, those that broke off among them.
    pub files: usize,
    /// What is still to be transferred; `None` where it is not known.
    pub bytes: Option<u64>,
    /// The licence that the place itself names.
    pub license: Option<String>,
    /// Where it would come from.
    pub from: String,
    /// The file, if it is a single one.
    pub name: String,
}

impl Missing {
    /// Nothing yet, of what would come from this place.
    pub(super) fn nothing(from: String) -> Self {
        Self { bytes: Some(0), from, ..Self::default() }
    }

    /// Adds so many files of so many bytes.
    pub(super) fn add(&mut self, files: usize, bytes: Option<u64>) {
        self.files += files;
        self.bytes = self.bytes.zip(bytes).and_then(|(all, more)| all.checked_add(more));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_unknown_size_makes_the_sum_unknown() {
        let mut missing = Missing::nothing("a hub".to_owned());
        missing.add(2, Some(10));
        assert_eq!((missing.files, missing.bytes), (2, Some(10)));
        missing.add(1, None);
        missing.add(1, Some(5));
        assert_eq!((missing.files, missing.bytes), (4, None));
    }
}
