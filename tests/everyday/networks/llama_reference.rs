//! LLaMA's logits against PyTorch's, f32 against f32. `tests/fixtures/llama/make.py` made the references.

use crate::support::reference::{Cases, LOGIT_TOLERANCE, checkpoint, largest_difference};
use zoo::base::progress::Silent;
use zoo::forms::HfModel;
use zoo::kernels::Precision;
use zoo::model::{Checkpoint, Kept, Residence, Wave, unwatched};
use zoo::store::{GgufFileType, GgufPlan};

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
    let hidden = model.forward(&Wave::sequence(&ids), Kept::All, &mut unwatched).unwrap();
    assert!(largest_difference(model.logits(hidden.view()).view(), plain.view()) > 100.0 * LOGIT_TOLERANCE);
}

#[test]
fn packed_sequences_with_a_shared_beginning_score_as_they_do_alone() {
    LLAMA.check_shared_prefix("gqa-tied", 13);
}

#[test]
fn a_gguf_file_is_run_with_its_biases_and_its_rotary_scaling() {
    let llama3 = serde_json::json!({
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192
    });
    let linear = serde_json::json!({"rope_type": "linear", "factor": 4.0});
    for (case, scaling) in
        [("bias-wide-heads", serde_json::Value::Null), ("gqa-tied", linear), ("gqa-tied", llama3)]
    {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("m.gguf");
        let model = || {
            let mut model = HfModel::open(&LLAMA.folder(case)).unwrap();
            model.config.insert("rope_scaling".to_owned(), scaling.clone());
            // As in LLaMA 3, so that the lowest frequencies are divided in full.
            model.config.insert("rope_theta".to_owned(), 5e5.into());
            model
        };
        GgufPlan::new(&model(), GgufFileType::F32).unwrap().write(&file, &Silent).unwrap();
        let logits = |checkpoint: Checkpoint| {
            let matmul = zoo::kernels::by_name("portable", Precision::Exact).unwrap();
            let network = checkpoint.load(matmul, Residence::Memory).unwrap();
            let (ids, _) = LLAMA.references(case).swap_remove(0);
            let hidden = network.forward(&Wave::sequence(&ids), Kept::All, &mut unwatched).unwrap();
            network.logits(hidden.view())
        };
        let (ours, theirs) = (Checkpoint::open(&file).unwrap(), checkpoint(model()));
        assert_eq!(logits(ours), logits(theirs), "{case}, {scaling}");
    }
}
