//! Places of description and examples in the contexts of a document.
//!
//! In plain prompts the parts follow one another, so examples can be taken out again where a prompt is too
//! long, and it can be said what a cut takes away. A chat template weaves them together: then there are no parts.

use super::request::TextRequest;

/// The lengths of what every context of a document begins with, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContextParts {
    /// System instruction and description.
    opening: usize,
    /// Each example, with the delimiter after it.
    examples: Vec<usize>,
}

impl ContextParts {
    /// The parts of contexts that all begin with `before`: an opening and then the examples. `None` where one
    /// does not.
    pub(super) fn of(
        before: &str,
        opening: usize,
        examples: Vec<usize>,
        requests: &[TextRequest],
    ) -> Option<Self> {
        let fits = opening.checked_add(examples.iter().sum()) == Some(before.len());
        let all = requests.iter().all(|request| request.context.starts_with(before));
        (fits && all).then_some(Self { opening, examples })
    }

    /// How many examples there are.
    pub fn examples(&self) -> usize {
        self.examples.len()
    }

    /// System instruction and description.
    pub fn opening<'t>(&self, context: &'t str) -> &'t str {
        &context[..self.opening]
    }

    /// Everything before the question.
    pub fn before_question<'t>(&self, context: &'t str) -> &'t str {
        &context[..self.opening + self.examples.iter().sum::<usize>()]
    }

    /// A context without its first `count` examples.
    pub fn without_first(&self, context: &str, count: usize) -> String {
        let dropped: usize = self.examples.iter().take(count).sum();
        [self.opening(context), &context[self.opening + dropped..]].concat()
    }

    /// The parts of such contexts.
    pub fn drop_first(&mut self, count: usize) {
        self.examples.drain(..count.min(self.examples.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_go_from_the_front() {
        let mut parts = ContextParts { opening: 3, examples: vec![2, 4] };
        let context = "o: a.bbb.q";
        assert_eq!((parts.opening(context), parts.before_question(context)), ("o: ", "o: a.bbb."));
        assert_eq!(parts.without_first(context, 0), context);
        assert_eq!(parts.without_first(context, 1), "o: bbb.q");
        assert_eq!(parts.without_first(context, 9), "o: q");
        parts.drop_first(1);
        assert_eq!((parts.examples(), parts.before_question("o: bbb.q")), (1, "o: bbb."));
    }

    #[test]
    fn only_contexts_that_begin_so_have_parts() {
        assert!(ContextParts::of("ab", 1, vec![1], &[]).is_some());
        assert!(ContextParts::of("ab", 1, vec![2], &[]).is_none());
        assert!(ContextParts::of("ab", usize::MAX, vec![2], &[]).is_none());
    }
}
