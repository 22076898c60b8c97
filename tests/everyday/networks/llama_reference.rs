//! LLaMA's logits against PyTorch's, f32 against f32. `tests/fixtures/llama/make.py` made the references.

use crate::support::reference::{Cases, LOGIT_TOLERANCE, largest_difference};
use zoo::model::{Kept, Wave};

const LLAMA: Cases = Cases("llama");

#[test]
fn multi_head_attention_with_its_own_head() {
    LLAMA.check("mha-untied", "mha-untied");
}

#[test]
fn grouped_query_attention_with_a_tied_head() {
    LLAMA.check("gqa-tied", "gqa-tied");
}

#[test]
fn biases_and_a_head_width_of_its_own() {
    LLAMA.check("bias-wide-heads", "bias-wide-heads");
}

#[test]
fn linear_rotary_scaling() {
    LLAMA.check("rope-linear", "gqa-tied");
}

#[test]
fn dynamic_rotary_scaling_within_and_beyond_the_context() {
    LLAMA.check("rope-dynamic", "gqa-tied");
}

#[test]
fn llama3_rotary_scaling() {
    LLAMA.check("rope-llama3", "gqa-tied");
}

#[test]
fn the_newer_spelling_of_rotary_settings() {
    LLAMA.check("rope-parameters", "gqa-tied");
}

#[test]
fn a_reference_of_another_case_would_be_noticed() {
    let model = LLAMA.load("rope-linear", "gqa-tied", "portable");
    let (ids, plain) = LLAMA.references("gqa-tied").swap_remove(0);
    let hidden = model.forward(&Wave::sequence(&ids), Kept::All, &mut || {}).unwrap();
    assert!(largest_difference(model.logits(hidden.view()).view(), plain.view()) > 100.0 * LOGIT_TOLERANCE);
}

#[test]
fn packed_sequences_with_a_shared_beginning_score_as_they_do_alone() {
    LLAMA.check_shared_prefix("gqa-tied", 13);
}
