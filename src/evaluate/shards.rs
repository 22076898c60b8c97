//! What is to be known of the documents of a task, put together from its shards.

use std::collections::BTreeMap;

use super::sanity::{NAMED, SanityCheck, SanityFinding, repeated_questions};
use super::{AnsweredTask, Answers, Cut, EvaluateError};

/// The findings of a whole task from those of its shards, in the order in which one run has them. What tells documents from each
/// other is looked for again; `answered` has the documents of all shards.
///
/// # Errors
/// Conversations that cannot be written any more.
pub fn merged_findings(
    answered: &AnsweredTask,
    of_shards: impl IntoIterator<Item = SanityFinding>,
) -> Result<Vec<SanityFinding>, EvaluateError> {
    let mut all: BTreeMap<(usize, bool, SanityCheck), SanityFinding> = BTreeMap::new();
    for own in of_shards {
        if matches!(own.check, SanityCheck::Repeated | SanityCheck::Unparsed) {
            continue;
        }
        match all.get_mut(&place(&own)) {
            None => drop(all.insert(place(&own), own)),
            Some(known) => {
                known.documents += own.documents;
                known.first.extend(own.first);
                known.cut = known.cut.into_iter().chain(own.cut).reduce(Cut::and);
            }
        }
    }
    let mut left_out: BTreeMap<usize, usize> = BTreeMap::new();
    for finding in all.values().filter(|finding| finding.check == SanityCheck::Skipped) {
        *left_out.entry(finding.turn).or_default() += finding.documents;
    }
    for finding in all.values_mut() {
        finding.first.sort_unstable();
        finding.first.truncate(NAMED);
        // Documents that a later turn left out have no line, and were asked the turns before it.
        let later: usize = left_out.range(finding.turn + 1..).map(|(_, documents)| documents).sum();
        let docs = answered.task.docs.iter();
        let kept = docs.filter(|doc| doc.later_turns().len() >= finding.turn).count() + later;
        let lost = left_out.get(&finding.turn).copied().unwrap_or(0);
        finding.of = if is_of_fitting(finding) { kept + lost } else { kept };
    }
    for finding in repeated(answered)? {
        all.insert(place(&finding), finding);
    }
    Ok(all.into_values().collect())
}

/// Documents are made to fit, turn by turn, before they are looked at.
fn place(finding: &SanityFinding) -> (usize, bool, SanityCheck) {
    (finding.turn, !is_of_fitting(finding), finding.check)
}

fn is_of_fitting(finding: &SanityFinding) -> bool {
    matches!(finding.check, SanityCheck::Skipped | SanityCheck::DroppedExamples)
}

/// Documents that ask what earlier ones ask, turn by turn.
fn repeated(answered: &AnsweredTask) -> Result<Vec<SanityFinding>, EvaluateError> {
    let mut found: Vec<SanityFinding> = repeated_questions(&answered.task).into_iter().collect();
    let Answers::Written(texts) = &answered.answers else { return Ok(found) };
    let turns = answered.task.docs.iter().map(|doc| doc.later_turns().len()).max().unwrap_or(0);
    for turn in 1..=turns {
        let until: Vec<Vec<String>> =
            texts.iter().map(|own| own.iter().take(turn).cloned().collect()).collect();
        let next = answered.task.next_turn(&until).map_err(Box::new)?;
        let own = next.as_ref().and_then(repeated_questions);
        found.extend(own.map(|finding| SanityFinding { turn, ..finding }));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(check: SanityCheck, turn: usize) -> SanityFinding {
        SanityFinding { turn, ..SanityFinding::new("t", check, 1, vec![0]).unwrap() }
    }

    #[test]
    fn findings_stand_as_one_run_has_them() {
        let mut all = [
            finding(SanityCheck::OwnExample, 1),
            finding(SanityCheck::Truncated, 0),
            finding(SanityCheck::Skipped, 1),
            finding(SanityCheck::Repeated, 0),
            finding(SanityCheck::DroppedExamples, 0),
        ];
        all.sort_by_key(place);
        let checks: Vec<_> = all.iter().map(|finding| (finding.turn, finding.check.name())).collect();
        let expected =
            [(0, "dropped-examples"), (0, "repeated"), (0, "truncated"), (1, "skipped"), (1, "own-example")];
        assert_eq!(checks, expected);
    }
}
