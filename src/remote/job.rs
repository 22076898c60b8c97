//! Token requests → what is sent: one job for each request, or one for all one-token answers to a question.

use std::collections::HashMap;

use crate::engine::ScoreRequest;

/// The most answers to one question that are asked for at once.
const MOST_ANSWERS: usize = 64;

/// What is asked at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The tokens that are there, of which a server sees all.
    pub context: Vec<u32>,
    /// What is scored after them; several have one token each.
    pub continuations: Vec<Vec<u32>>,
    /// Whose answers these are, by their places among the requests.
    pub requests: Vec<usize>,
}

impl Job {
    /// How many tokens a server has to compute, at most.
    pub fn tokens(&self) -> usize {
        self.context.len() + self.continuations[0].len()
    }
}

/// The jobs that answer these requests to a model with `max_length` positions, in an order in which neighbours share long
/// beginnings. `together` says that a server scores any number of one-token answers at once.
pub fn jobs(
    requests: &[ScoreRequest],
    missing: impl Fn(usize) -> bool,
    max_length: usize,
    together: bool,
) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    let mut open: HashMap<Vec<u32>, usize> = HashMap::new();
    let mut known: HashMap<(Vec<u32>, Vec<u32>), usize> = HashMap::new();
    for (index, request) in requests.iter().enumerate().filter(|(index, _)| missing(*index)) {
        let cut = request.truncated(max_length);
        let context: Vec<u32> = request.context.iter().copied().skip(cut).collect();
        let continuation = request.continuation.clone();
        // Requests of equal tokens are asked once; the ledger answers the others.
        let whole = (context, continuation);
        if known.contains_key(&whole) {
            continue;
        }
        known.insert(whole.clone(), index);
        let (context, continuation) = whole;
        if together && continuation.len() == 1 {
            let at = *open.entry(context.clone()).or_insert(jobs.len());
            if let Some(job) = jobs.get_mut(at).filter(|job| job.requests.len() < MOST_ANSWERS) {
                job.continuations.push(continuation);
                job.requests.push(index);
                continue;
            }
            open.insert(context.clone(), jobs.len());
        }
        jobs.push(Job { context, continuations: vec![continuation], requests: vec![index] });
    }
    jobs.sort_by(|a, b| (&a.context, &a.continuations).cmp(&(&b.context, &b.continuations)));
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(context: &[u32], continuation: &[u32]) -> ScoreRequest {
        ScoreRequest { context: context.into(), continuation: continuation.to_vec() }
    }

    #[test]
    fn one_token_answers_to_a_question_are_asked_together() {
        let requests = [
            request(&[5, 2], &[7]),
            request(&[1, 2], &[7]),
            request(&[5, 2], &[8]),
            request(&[5, 2], &[8, 9]),
            request(&[5, 2], &[7]),
            request(&[5, 2], &[9]),
        ];
        let whose = |jobs: &[Job]| jobs.iter().map(|job| job.requests.clone()).collect::<Vec<_>>();
        assert_eq!(whose(&jobs(&requests, |_| true, 9, true)), [vec![1], vec![0, 2, 5], vec![3]]);
        assert_eq!(
            whose(&jobs(&requests, |_| true, 9, false)),
            [vec![1], vec![0], vec![2], vec![3], vec![5]]
        );
        assert_eq!(whose(&jobs(&requests, |index| index > 1, 9, true)), [vec![2, 4, 5], vec![3]]);
        let many: Vec<_> = (0..150).map(|token| request(&[1], &[token])).collect();
        let sizes: Vec<usize> = jobs(&many, |_| true, 9, true).iter().map(|job| job.requests.len()).collect();
        assert_eq!(sizes, [64, 64, 22]);
    }

    #[test]
    fn what_does_not_fit_is_cut_on_the_left_as_everywhere() {
        let long = [request(&[1, 2, 3, 4], &[5, 6])];
        assert_eq!(jobs(&long, |_| true, 4, true)[0].context, [2, 3, 4]);
        assert_eq!(jobs(&long, |_| true, 5, true)[0].context, [1, 2, 3, 4]);
    }
}
