//! `zoo report`, `zoo runs` and `zoo scores`: finished runs side by side, and what others have published.

mod compared;
mod hostile;
mod joined;
mod published;
mod questions;

use std::fs;
use std::path::Path;

/// A finished run as `zoo eval` leaves it, as far as tables read it. Lines: task, metric, value, error, documents.
fn write_run(folder: &Path, model: &str, precision: &str, lines: &[(&str, &str, f64, f64, usize)]) {
    fs::create_dir_all(folder).unwrap();
    let quoted = serde_json::to_string(model).unwrap();
    let tasks: std::collections::BTreeMap<&str, usize> =
        lines.iter().map(|(task, .., n)| (*task, *n)).collect();
    let tasks: String = tasks
        .iter()
        .map(|(task, n)| {
            format!(
                "- {{task: {task}, version: '1.0', num_fewshot: 0, documents: {n}, of: 60, data_sha256: dd, shares: ['acc,none']}}\n"
            )
        })
        .collect();
    let yaml = format!(
        "zoo: 0.1.0\nstarted: 2026-11-30T09:00:00Z\nseconds: 12.5\nprotocol: lm-eval-0.4.13\nfewshot_seed: 1234\n\
         overlong: left\ncpu: a processor\nthreads: 2\nsuites: [basics]\noptions: {{limit: null}}\nmodels:\n- name: {quoted}\n  \
         path: somewhere\n  weights_sha256: '{digest}'\n  tokenizer_sha256: tt\n  parameters: 1000\n  max_length: 64\n  \
         adds_bos: false\n  protocol: lm-eval-0.4.13\n  precision: {precision}\n  matmul: native\n  seconds: {{loading: 0.1, \
         scoring: 9.5}}\n  tokens: {{asked: 1000, distinct: 100, computed: 100}}\ntasks:\n{tasks}",
        digest = "ab".repeat(32),
    );
    fs::write(folder.join("run.yaml"), yaml).unwrap();
    let mut csv = csv::Writer::from_path(folder.join("results.csv")).unwrap();
    csv.write_record([
        "model",
        "suite",
        "task",
        "num_fewshot",
        "metric",
        "filter",
        "value",
        "stderr",
        "n",
        "published",
        "published_source",
        "protocol",
        "weights_sha256",
        "data_sha256",
        "precision",
        "template",
        "version",
        "revision",
    ])
    .unwrap();
    for (task, metric, value, stderr, n) in lines {
        let [value, stderr, n] = [value.to_string(), stderr.to_string(), n.to_string()];
        let digest = "ab".repeat(32);
        csv.write_record([
            model,
            "basics",
            task,
            "0",
            metric,
            "none",
            &value,
            &stderr,
            &n,
            "",
            "",
            "lm-eval-0.4.13",
            &digest,
            "dd",
            precision,
            "",
            "1.0",
            "",
        ])
        .unwrap();
    }
    csv.flush().unwrap();
}

/// A results file of the reference harness, of another model on one of the tasks.
fn write_harness_file(path: &Path) {
    let file = serde_json::json!({
        "results": {"basics_yesno": {"alias": "basics_yesno", "acc,none": 0.5, "acc_stderr,none": 0.0928, "sample_len": 30}},
        "group_subtasks": {"basics_yesno": []},
        "versions": {"basics_yesno": 1.0},
        "n-shot": {"basics_yesno": 0},
        "n-samples": {"basics_yesno": {"original": 30, "effective": 30}},
        "config": {"model": "hf", "model_dtype": "torch.float32", "limit": null, "model_num_parameters": 2000},
        "date": 1_764_500_000.25, "lm_eval_version": "0.4.13", "model_name": "org/other", "model_source": "hf",
    });
    fs::write(path, file.to_string()).unwrap();
}
