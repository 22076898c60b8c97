//! Keys and values that one wave leaves to the next: of the prefix with which the next one begins.
//!
//! A token is then computed once, however short waves are. The numbers are those that would be computed again.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, s};

/// Keys and values of the first tokens of a sequence, block by block; rotary positions are already in them.
#[derive(Debug, Clone, Default)]
pub struct Prefix {
    /// Keys and values `[tokens, kv_heads * head_dim]` of each block.
    layers: Vec<[Array2<f32>; 2]>,
}

impl Prefix {
    /// Puts block `layer`'s first `given` keys and values into the first rows of those of a wave.
    pub(super) fn give(&self, layer: usize, given: usize, wave: [ArrayViewMut2<f32>; 2]) {
        if given == 0 {
            return;
        }
        let own = self.layers.get(layer).expect("the wave before kept what this one is given");
        for (own, mut wave) in own.iter().zip(wave) {
            wave.slice_mut(s![..given, ..]).assign(&own.slice(s![..given, ..]));
        }
    }

    /// Keeps these rows of a wave's keys and values of block `layer` in place of what was there.
    pub(super) fn keep(&mut self, layer: usize, rows: &[usize], wave: [ArrayView2<f32>; 2]) {
        let kept = wave.map(|all| all.select(Axis(0), rows));
        match self.layers.get_mut(layer) {
            Some(place) => *place = kept,
            None => {
                assert_eq!(layer, self.layers.len(), "blocks come in order");
                self.layers.push(kept);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Checkpoint, Kept, Residence, Wave, unwatched};
    use super::*;
    use crate::kernels;

    #[test]
    #[should_panic(expected = "rows that are wanted are computed")]
    fn hidden_states_of_given_rows_are_not_there() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/llama/gqa-tied");
        let network = Checkpoint::open(&path).unwrap().load(kernels::default(), Residence::Memory).unwrap();
        let mut prefix = Prefix::default();
        let mut run = |given, keep, rows: &[usize]| {
            let wave = Wave { given, keep, ..Wave::sequence(&[1, 2, 3, 4]) };
            network.forward_after(&mut prefix, &wave, Kept::Rows(rows), &mut unwatched)
        };
        run(0, vec![0, 1], &[3]).unwrap();
        let _ = run(2, vec![], &[1, 3]);
    }

    #[test]
    fn what_was_kept_gives_the_bits_of_what_is_computed_again() {
        let tokens: Vec<u32> = (0..20).map(|i| i * 7 % 31).collect();
        for (case, residence) in [
            ("llama/gqa-tied", Residence::Memory),
            ("llama/gqa-tied", Residence::Disk),
            ("bloom/heads-4", Residence::Memory),
        ] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(case);
            let network = Checkpoint::open(&path).unwrap().load(kernels::default(), residence).unwrap();
            let mut prefix = Prefix::default();
            let mut run = |wave: &Wave, rows: &[usize]| {
                network.forward_after(&mut prefix, wave, Kept::Rows(rows), &mut unwatched).unwrap()
            };
            let first = Wave { keep: (0..12).collect(), ..Wave::sequence(&tokens) };
            run(&first, &[19]);
            // A branch after all that is given, and one that leaves it before its end.
            let mut wave = Wave::default();
            let root = wave.push(&tokens[..8], None, 20);
            let end = wave.push(&tokens[8..12], Some(root), 20);
            wave.push(&[3, 4, 5], Some(end), 20);
            wave.push(&[9, 9], Some(root), 20);
            let rows = [12, 13, 14, 15, 16];
            let whole = network.forward(&wave, Kept::Rows(&rows), &mut unwatched).unwrap();
            let given = Wave { given: 12, keep: (0..14).collect(), ..wave.clone() };
            assert_eq!(run(&given, &rows), whole, "{case}");
            // What is kept next was partly given and partly computed.
            let mut next = Wave::default();
            let root = next.push(&wave.tokens[..14], None, 20);
            next.push(&[8, 7], Some(root), 20);
            let whole = network.forward(&next, Kept::Rows(&[14, 15]), &mut unwatched).unwrap();
            let given = Wave { given: 14, ..next };
            assert_eq!(run(&given, &[14, 15]), whole, "{case}");
        }
    }
}
