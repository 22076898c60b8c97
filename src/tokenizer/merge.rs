//! Byte-pair merging as SentencePiece does it: of all neighbours whose concatenation is a piece, merge the pair
//! with the highest score, on equal scores the leftmost; repeat until nothing merges.
//!
//! Source: Kudo and Richardson, "SentencePiece" (2018), section 3.2: a priority queue over a linked list of
//! symbols, O(n log n). The tie rule matters: vocabularies that were grown later give every new piece the score
//! 0, so thousands of pairs tie and beat all original pieces, whose scores are negative.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::ops::Range;

use super::vocabulary::{PieceKind, Vocabulary};

/// No neighbour.
const NONE: u32 = u32::MAX;

/// A stretch of the text that is one symbol for now; empty once merged into its left neighbour.
#[derive(Debug, Clone, Copy)]
struct Symbol {
    start: u32,
    end: u32,
    prev: u32,
    next: u32,
    /// A user-defined piece: stays as it is.
    frozen: bool,
}

impl Symbol {
    fn len(self) -> u32 {
        self.end - self.start
    }
}

/// A pair that may be merged, as it was when it was found. The greatest is merged first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    rank: i32,
    left: Reverse<u32>,
    right: u32,
    /// Bytes of both symbols; another sum later means that one of them has changed.
    len: u32,
}

/// A number that is ordered as the scores are; they are finite, and adding zero makes -0 equal to 0.
fn rank(score: f32) -> i32 {
    let bits = (score + 0.0).to_bits() as i32;
    if bits < 0 { bits ^ i32::MAX } else { bits }
}

/// Encodes normalised text (spaces already written as `▁`) and appends the ids. Returns how often a pair was put
/// into the queue, the measure of work done: at most 3 per symbol. `text` must be shorter than 4 GiB.
pub(super) fn encode(vocabulary: &Vocabulary, text: &str, ids: &mut Vec<u32>) -> usize {
    let mut merging = Merging {
        vocabulary,
        text,
        symbols: symbols(vocabulary, text),
        queue: BinaryHeap::new(),
        unused: HashMap::new(),
        pushes: 0,
    };
    merging.run();
    merging.collect(ids);
    merging.pushes
}

/// One symbol per character, or per user-defined piece where one starts.
fn symbols(vocabulary: &Vocabulary, text: &str) -> Vec<Symbol> {
    let mut symbols = Vec::with_capacity(text.len() / 2);
    let mut done = 0;
    for (found, _) in vocabulary.user_defined().into_iter().flat_map(|set| set.find_all(text)) {
        push_characters(text, done..found.start, &mut symbols);
        done = found.end;
        push_symbol(found, true, &mut symbols);
    }
    push_characters(text, done..text.len(), &mut symbols);
    if let Some(last) = symbols.last_mut() {
        last.next = NONE;
    }
    symbols
}

fn push_characters(text: &str, range: Range<usize>, symbols: &mut Vec<Symbol>) {
    let part = text.get(range.clone()).expect("pieces begin and end between characters");
    for (at, character) in part.char_indices() {
        let start = range.start + at;
        push_symbol(start..start + character.len_utf8(), false, symbols);
    }
}

fn push_symbol(range: Range<usize>, frozen: bool, symbols: &mut Vec<Symbol>) {
    let index = symbols.len() as u32;
    let prev = index.checked_sub(1).unwrap_or(NONE);
    symbols.push(Symbol { start: range.start as u32, end: range.end as u32, prev, next: index + 1, frozen });
}

struct Merging<'a> {
    vocabulary: &'a Vocabulary,
    text: &'a str,
    symbols: Vec<Symbol>,
    queue: BinaryHeap<Candidate>,
    /// For each unused piece that a pair would make: the bytes of the pair's left part.
    unused: HashMap<u32, usize>,
    pushes: usize,
}

impl<'a> Merging<'a> {
    fn symbol(&self, index: u32) -> Option<Symbol> {
        self.symbols.get(index as usize).copied()
    }

    fn slice(&self, start: u32, end: u32) -> &'a str {
        self.text.get(start as usize..end as usize).expect("symbols are ranges of the text")
    }

    fn run(&mut self) {
        for right in 1..self.symbols.len() as u32 {
            self.offer(right - 1, right);
        }
        while let Some(pair) = self.queue.pop() {
            let Reverse(left_index) = pair.left;
            let left = self.symbols[left_index as usize];
            let right = self.symbols[pair.right as usize];
            if left.len() == 0 || right.len() == 0 || left.len() + right.len() != pair.len {
                continue;
            }
            self.symbols[left_index as usize] = Symbol { end: right.end, next: right.next, ..left };
            self.symbols[pair.right as usize].start = right.end;
            if right.next != NONE {
                self.symbols[right.next as usize].prev = left_index;
            }
            self.offer(left.prev, left_index);
            self.offer(left_index, right.next);
        }
    }

    /// Puts the pair into the queue if its concatenation is a piece.
    fn offer(&mut self, left_index: u32, right_index: u32) {
        let (Some(left), Some(right)) = (self.symbol(left_index), self.symbol(right_index)) else { return };
        if left.frozen || right.frozen {
            return;
        }
        let Some((id, piece)) = self.vocabulary.mergeable(self.slice(left.start, right.end)) else { return };
        let len = left.len() + right.len();
        let (rank, left_place) = (rank(piece.score), Reverse(left_index));
        self.queue.push(Candidate { rank, left: left_place, right: right_index, len });
        self.pushes += 1;
        if piece.kind == PieceKind::Unused {
            self.unused.insert(id, left.len() as usize);
        }
    }

    fn collect(&self, ids: &mut Vec<u32>) {
        let mut index = if self.symbols.is_empty() { NONE } else { 0 };
        while let Some(symbol) = self.symbol(index) {
            self.emit(self.slice(symbol.start, symbol.end), ids);
            index = symbol.next;
        }
    }

    /// Appends the id of one final symbol; unused pieces are taken apart along the merges that made them.
    fn emit(&self, text: &str, ids: &mut Vec<u32>) {
        let mut pending = vec![text];
        while let Some(text) = pending.pop() {
            let Some((id, piece)) = self.vocabulary.mergeable(text) else {
                self.vocabulary.push_unspellable(text, ids);
                continue;
            };
            let parts = match piece.kind {
                PieceKind::Unused => self.unused.get(&id).and_then(|&left| text.split_at_checked(left)),
                _ => None,
            };
            match parts {
                Some((left, right)) => pending.extend([right, left]),
                None => ids.push(id),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::vocabulary::tests::{pieces, with_bytes};
    use super::*;

    fn ids(vocabulary: &Vocabulary, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        encode(vocabulary, text, &mut ids);
        ids
    }

    #[test]
    fn the_highest_score_is_merged_first() {
        // a=259 b=260 c=261 ab=262 bc=263
        let base = [("a", -9.0), ("b", -9.0), ("c", -9.0)];
        let ab_first = with_bytes(&[&base[..], &[("ab", -1.0), ("bc", -2.0)]].concat());
        assert_eq!(ids(&ab_first, "abc"), [262, 261]);
        let bc_first = with_bytes(&[&base[..], &[("ab", -2.0), ("bc", -1.0)]].concat());
        assert_eq!(ids(&bc_first, "abc"), [259, 263]);
    }

    #[test]
    fn equal_scores_go_from_left_to_right_and_minus_zero_is_zero() {
        let vocabulary = with_bytes(&[("a", 0.0), ("aa", 0.0), ("b", 0.0), ("ab", -0.0)]);
        assert_eq!(ids(&vocabulary, "aaa"), [260, 259]);
        assert_eq!(ids(&vocabulary, "aab"), [260, 261]);
        let vocabulary = with_bytes(&[("a", 0.0), ("aa", -0.0), ("b", 0.0), ("ab", 0.0)]);
        assert_eq!(ids(&vocabulary, "aab"), [260, 261]);
    }

    #[test]
    fn unknown_characters_become_their_bytes() {
        let vocabulary = with_bytes(&[("a", 0.0)]);
        assert_eq!(ids(&vocabulary, "aé"), [259, 3 + 0xC3, 3 + 0xA9]);
        assert_eq!(ids(&vocabulary, "<s>"), [3 + 0x3C, 3 + 0x73, 3 + 0x3E]);
        assert!(ids(&vocabulary, "").is_empty());
    }

    #[test]
    fn user_defined_pieces_are_taken_whole_and_not_merged() {
        let mut all =
            pieces(&[("a", 0.0), ("b", 0.0), ("ab", 0.0), ("[x]", 0.0), ("a[x]", 0.0), ("[x]y", 0.0)]);
        for piece in &mut all[262..] {
            piece.kind = PieceKind::UserDefined;
        }
        all[263].kind = PieceKind::Normal;
        let vocabulary = Vocabulary::new("test", all, Some(0), true).unwrap();
        assert_eq!(ids(&vocabulary, "ab[x]ab"), [261, 262, 261]);
        assert_eq!(ids(&vocabulary, "[x]y"), [264]);
    }

    #[test]
    fn unused_pieces_are_taken_apart_again() {
        let mut all = pieces(&[("a", 0.0), ("b", 0.0), ("ab", 0.0), ("c", 0.0), ("abc", 0.0)]);
        all[261].kind = PieceKind::Unused;
        let vocabulary = Vocabulary::new("test", all.clone(), Some(0), true).unwrap();
        assert_eq!(ids(&vocabulary, "ab"), [259, 260]);
        assert_eq!(ids(&vocabulary, "abc"), [263]);
        all[263].kind = PieceKind::Unused;
        let vocabulary = Vocabulary::new("test", all, Some(0), true).unwrap();
        assert_eq!(ids(&vocabulary, "abc"), [259, 260, 262]);
    }

    #[test]
    fn work_grows_linearly_with_the_text() {
        let vocabulary = with_bytes(&[
            ("a", -9.0),
            ("aa", -2.0),
            ("aaaa", -1.0),
            ("▁", -9.0),
            ("▁a", -3.0),
            ("aaa", -4.0),
            ("▁aa", -5.0),
        ]);
        for text in ["a".repeat(200_000), "▁aa".repeat(100_000)] {
            let mut ids = Vec::new();
            let pushes = encode(&vocabulary, &text, &mut ids);
            assert!(pushes <= 3 * text.chars().count(), "{pushes} pushes");
            assert!(ids.len() >= text.chars().count() / 4);
        }
    }

    /// The rule as it is stated, without a queue.
    fn by_definition(vocabulary: &Vocabulary, text: &str) -> Vec<u32> {
        let mut parts: Vec<String> = text.chars().map(String::from).collect();
        loop {
            let mut best: Option<(usize, f32)> = None;
            for at in 1..parts.len() {
                let joined = parts[at - 1].clone() + &parts[at];
                if let Some((_, piece)) = vocabulary.mergeable(&joined)
                    && best.is_none_or(|(_, score)| piece.score > score)
                {
                    best = Some((at - 1, piece.score));
                }
            }
            let Some((at, _)) = best else { break };
            let right = parts.remove(at + 1);
            parts[at] += &right;
        }
        let mut ids = Vec::new();
        for part in parts {
            match vocabulary.mergeable(&part) {
                Some((id, _)) => ids.push(id),
                None => vocabulary.push_unspellable(&part, &mut ids),
            }
        }
        ids
    }

    proptest::proptest! {
        #[test]
        fn equals_the_definition(
            words in proptest::collection::hash_map("[abc]{2,4}", 0u8..3, 0..20),
            text in "[abcé]{0,24}",
        ) {
            let words: Vec<(&str, f32)> =
                words.iter().map(|(word, score)| (word.as_str(), -f32::from(*score))).collect();
            let vocabulary = with_bytes(&[&[("a", -9.0), ("b", -9.0)][..], &words].concat());
            proptest::prop_assert_eq!(ids(&vocabulary, &text), by_definition(&vocabulary, &text));
        }
    }
}
