use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::kernels;
use crate::model::{Checkpoint, Kept, Network, Residence, Wave, unwatched};

fn network(case: &str, residence: Residence, precision: Precision) -> Network {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(case);
    Checkpoint::open(&path).unwrap().load(kernels::by_name("native", precision).unwrap(), residence).unwrap()
}

/// Slots of a table from its first own position on, for rows that are its positions.
fn own(table: &BlockTable, rows: &[usize]) -> Vec<(usize, Slot)> {
    let mut keep: Vec<_> =
        (table.first_own()..table.len()).map(|position| (rows[position], table.slot(position))).collect();
    keep.sort_by_key(|&(_, slot)| slot);
    keep
}

#[test]
fn what_was_kept_gives_the_bits_of_what_is_computed_again() {
    let tokens: Vec<u32> = (0..150).map(|i| i * 7 % 31).collect();
    for (case, residence, precision) in [
        ("llama/gqa-tied", Residence::Memory, Precision::Exact),
        ("llama/gqa-tied", Residence::Disk, Precision::Exact),
        ("llama/gqa-tied", Residence::Memory, Precision::Bf16),
        ("llama/bias-wide-heads", Residence::Memory, Precision::Exact),
        ("llama/bias-wide-heads", Residence::Memory, Precision::Int8),
        ("bloom/heads-4", Residence::Memory, Precision::Exact),
        ("bloom/residual-after-norm-untied", Residence::Memory, Precision::Bf16),
    ] {
        let network = network(case, residence, precision);
        let mut cache = KvCache::new(&network.shape, network.precision);
        let run = |places: &CacheUse<'_>, cache: &mut KvCache, wave: &Wave, rows: &[usize]| {
            network.forward_with(cache, places, wave, Kept::Rows(rows), &mut unwatched).unwrap()
        };
        let rows: Vec<usize> = (0..130).collect();
        let first = cache.branch(&BlockTable::default(), 0, 130);
        let places = CacheUse { keep: own(&first, &rows), ..CacheUse::default() };
        run(&places, &mut cache, &Wave::sequence(&tokens), &[149]);

        // A branch after all that is given, and one that leaves it before its end.
        let mut wave = Wave::default();
        let root = wave.push(&tokens[..70], None, 0);
        let end = wave.push(&tokens[70..130], Some(root), 0);
        wave.push(&[3, 4, 5], Some(end), 0);
        wave.push(&[9, 9], Some(root), 0);
        let scored = [130, 131, 132, 133, 134];
        let whole = network.forward(&wave, Kept::Rows(&scored), &mut unwatched).unwrap();
        let given: Vec<Slot> = (0..130).map(|position| first.slot(position)).collect();
        wave.given = 130;
        let second = cache.branch(&first, 70, 72);
        assert_eq!(second.first_own(), 64, "a block that is filled otherwise is another");
        let rows: Vec<usize> = (0..70).chain([133, 134]).collect();
        let places = CacheUse { given, keep: own(&second, &rows), tables: Vec::new() };
        assert_eq!(run(&places, &mut cache, &wave, &scored), whole, "{case} {precision}");
        cache.release(first);

        // What was kept was partly given and partly computed; now one token comes after it, and sees the cache alone.
        let mut third = cache.branch(&second, 72, 72);
        let rows: Vec<usize> = (0..72).collect();
        let mut copied = Wave::sequence(&[&tokens[..70], &[9, 9]].concat());
        let given = (0..72).map(|position| second.slot(position)).collect();
        copied.given = 72;
        let places = CacheUse { given, keep: own(&third, &rows), tables: Vec::new() };
        run(&places, &mut cache, &copied, &[]);
        let mut step = Wave::default();
        for token in [8, 7] {
            step.push(&[token], None, 0);
            let start = 72;
            step.segments.last_mut().unwrap().start = start;
        }
        let mut fourth = cache.alias(&second);
        cache.extend(&mut third, 73);
        cache.extend(&mut fourth, 73);
        let mut keep = vec![(0, third.slot(72)), (1, fourth.slot(72))];
        keep.sort_by_key(|&(_, slot)| slot);
        let places = CacheUse { given: Vec::new(), keep, tables: vec![&third, &fourth] };
        let found = run(&places, &mut cache, &step, &[0, 1]);
        for (row, token) in [8, 7].into_iter().enumerate() {
            let plain = Wave::sequence(&[&tokens[..70], &[9, 9, token]].concat());
            let plain = network.forward(&plain, Kept::Rows(&[72]), &mut unwatched).unwrap();
            assert_eq!(found.row(row), plain.row(0), "{case} {precision}");
        }
        [second, third, fourth].into_iter().for_each(|table| cache.release(table));
        assert_eq!(cache.taken(), 0);
    }
}

#[test]
#[should_panic(expected = "rows that are wanted are computed")]
fn hidden_states_of_given_rows_are_not_there() {
    let network = network("llama/gqa-tied", Residence::Memory, Precision::Exact);
    let mut cache = KvCache::new(&network.shape, network.precision);
    let table = cache.branch(&BlockTable::default(), 0, 2);
    let wave = Wave { given: 2, ..Wave::sequence(&[1, 2, 3, 4]) };
    let given = vec![table.slot(0), table.slot(1)];
    let places = CacheUse { given, ..CacheUse::default() };
    let _ = network.forward_with(&mut cache, &places, &wave, Kept::Rows(&[1, 3]), &mut unwatched);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn tables_share_whole_blocks_and_give_all_back(
        steps in prop::collection::vec((any::<prop::sample::Index>(), 0usize..200, 0usize..200, 0u8..4), 1..40),
    ) {
        let shape = network("llama/gqa-tied", Residence::Memory, Precision::Exact).shape;
        let mut cache = KvCache::new(&shape, Precision::Exact);
        let mut tables = vec![BlockTable::default()];
        for (of, shared, more, what) in steps {
            let of = of.index(tables.len());
            match what {
                0 | 1 => {
                    let shared = shared.min(tables[of].len());
                    let table = cache.branch(&tables[of], shared, shared + more);
                    prop_assert_eq!(table.len(), shared + more);
                    prop_assert_eq!(table.first_own(), shared / BLOCK * BLOCK);
                    prop_assert_eq!(table.blocks(), blocks_of(shared + more));
                    for position in 0..table.len() {
                        let same = position < tables[of].len() && table.slot(position) == tables[of].slot(position);
                        prop_assert_eq!(same, position < table.first_own());
                    }
                    tables.push(table);
                }
                2 => {
                    let length = tables[of].len() + more;
                    cache.extend(&mut tables[of], length);
                }
                _ => {
                    let table = tables.swap_remove(of);
                    cache.release(table);
                    tables.push(BlockTable::default());
                }
            }
            let mut blocks: Vec<u32> = tables.iter().flat_map(|table| table.blocks.clone()).collect();
            blocks.sort_unstable();
            blocks.dedup();
            prop_assert_eq!(cache.taken(), blocks.len());
        }
        tables.into_iter().for_each(|table| cache.release(table));
        prop_assert_eq!(cache.taken(), 0);
    }
}
