//! Jobs in their order, of which each server has a part of its own: what stands together is asked of one server, whose prefix cache
//! knows its beginning.

use std::collections::VecDeque;

/// Jobs that are to be done, by number.
#[derive(Debug)]
pub struct Queue {
    parts: Vec<VecDeque<usize>>,
}

impl Queue {
    /// So many jobs for so many servers.
    pub fn new(jobs: usize, servers: usize) -> Self {
        let part = |server: usize| (jobs * server / servers..jobs * (server + 1) / servers).collect();
        Self { parts: (0..servers).map(part).collect() }
    }

    /// The next job of a server; one without takes over half of what the one with most has left.
    pub fn next(&mut self, server: usize) -> Option<usize> {
        if self.parts[server].is_empty() {
            let longest = (0..self.parts.len()).max_by_key(|at| self.parts[*at].len())?;
            let kept = self.parts[longest].len() / 2;
            self.parts[server] = self.parts[longest].split_off(kept);
        }
        self.parts[server].pop_front()
    }

    /// Puts back a job that a server did not do.
    pub fn put_back(&mut self, server: usize, job: usize) {
        self.parts[server].push_front(job);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_has_neighbours_and_helps_when_it_is_done() {
        let mut queue = Queue::new(7, 2);
        assert_eq!(
            [queue.next(0), queue.next(1), queue.next(0), queue.next(0)],
            [Some(0), Some(3), Some(1), Some(2)]
        );
        assert_eq!(queue.next(0), Some(5));
        queue.put_back(0, 5);
        let mut left: Vec<usize> = std::iter::from_fn(|| queue.next(1)).collect();
        left.sort_unstable();
        assert_eq!((left, queue.next(0)), (vec![4, 5, 6], None));
        assert_eq!(Queue::new(0, 3).next(1), None);
    }
}
