//! BLOOM's logits against PyTorch's, f32 against f32. `tests/fixtures/bloom/make.py` made the references.

use crate::support::reference::{Cases, LOGIT_TOLERANCE, largest_difference};
use zoo::kernels;
use zoo::model::{Checkpoint, Kept, Positions, Residence, Wave, unwatched};

const BLOOM: Cases = Cases("bloom");

#[test]
fn a_power_of_two_of_heads_and_a_tied_head() {
    BLOOM.check("heads-4", "heads-4");
}

#[test]
fn six_heads_names_without_prefix_and_the_other_keys_of_the_configuration() {
    BLOOM.check("heads-6-bare-f16", "heads-6-bare-f16");
}

#[test]
fn a_residual_behind_the_norm_and_a_head_of_its_own() {
    BLOOM.check("residual-after-norm-untied", "residual-after-norm-untied");
}

#[test]
fn packed_sequences_with_a_shared_beginning_score_as_they_do_alone() {
    BLOOM.check_shared_prefix("heads-4", 13);
    BLOOM.check_shared_prefix("heads-6-bare-f16", 30);
}

#[test]
fn missing_linear_biases_would_be_noticed() {
    let checkpoint = Checkpoint::open(&BLOOM.folder("heads-4")).unwrap();
    let mut model = checkpoint.load(kernels::default(), Residence::Memory).unwrap();
    let Positions::Alibi(slopes) = &mut model.positions else { panic!("{:?}", model.positions) };
    slopes.fill(0.0);
    let (ids, expected) = BLOOM.references("heads-4").swap_remove(0);
    let hidden = model.forward(&Wave::sequence(&ids), Kept::All, &mut unwatched).unwrap();
    let logits = model.logits(hidden.view());
    assert!(largest_difference(logits.view(), expected.view()) > 100.0 * LOGIT_TOLERANCE);
}
