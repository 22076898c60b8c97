//! Published digests and scores in the cards against the collected facts of the family.
//!
//! Needs the shared folder: see `facts`.

use crate::support::facts::{Comparison, entries, facts, records, text, texts};
use serde_yaml::Value;
use zoo::registry::Registry;

#[test]
#[ignore = "needs the shared reference folder"]
fn checksums_are_the_collected_ones() {
    let Some(facts) = facts() else { return };
    let registry = Registry::load(None).unwrap();
    let mut c = Comparison::default();
    let sums = &facts["checksums"];
    for (path, fact) in entries(&sums["llama_1_files"]) {
        let (digests, file) = match path.split_once('/') {
            Some((folder, file)) => {
                let model = registry
                    .cards()
                    .iter()
                    .find(|card| card.family == "llama" && card.release.folder.as_deref() == Some(folder));
                (model.unwrap().release.digests.as_ref().unwrap(), file)
            }
            None => (registry.tokenizer("llama").unwrap().digests.as_ref().unwrap(), path),
        };
        let ours = digests.files.get(file).cloned().unwrap_or_default();
        c.same(path, ours.sha256, text(&fact["sha256"]));
        c.same(path, ours.md5, text(&fact["md5"]));
    }
    let file = |id: &str, name: &str| {
        let card = registry.find(id).unwrap();
        let all = card.releases().filter_map(|release| release.digests.as_ref());
        all.into_iter().find_map(|digests| digests.files.get(name)).cloned().unwrap_or_default()
    };
    let size = sums["llama_7b_consolidated_bytes"].as_u64();
    c.same("llama-7b size", file("llama-7b", "consolidated.00.pth").size, size);
    for (name, sha256) in entries(&sums["chinese_llama_alpaca_1"]["adapter_model.bin"]) {
        c.same(name, file(&name.to_lowercase(), "adapter_model.bin").sha256, text(sha256));
    }
    for (id, key, parts) in [("llama-7b", "7B pytorch_model-*.bin", 2), ("llama-13b", "13B", 3)] {
        for (part, sha256) in texts(&sums["hf_llama_reference"][key]).into_iter().enumerate() {
            let name = format!("pytorch_model-{:05}-of-{parts:05}.bin", part + 1);
            c.same(&name, file(id, &name).sha256, Some(sha256));
        }
    }
    for (repo, files) in entries(&sums["belle_enc_plain_sha256"]).filter(|(_, files)| files.is_mapping()) {
        let id = repo.trim_end_matches("-enc").to_lowercase();
        for (name, sha256) in entries(files) {
            let sha256 = sha256.as_str().and_then(|text| text.split_whitespace().next()).map(str::to_owned);
            c.same(&format!("{repo}/{name}"), file(&id, name).sha256, sha256);
        }
    }
    let integrity = registry.find("alpaca-7b").unwrap().integrity.as_ref().map(|integrity| integrity.sum);
    c.same("alpaca sum", integrity, sums["alpaca_7b_naive_sum"].as_f64());
    c.finish("checksums", 90);
}

/// The model that a row of a table is about.
fn row_model(row: &str) -> Option<String> {
    let named = match row {
        "7B" | "13B" | "33B" | "65B" => format!("llama-{}", row.to_lowercase()),
        "LLaMA-7B + FT(2M)" => "belle-llama-7b-2m".to_owned(),
        "EXT-7B + BELLE-0.5M-CLEAN" => "belle-on-open-datasets-7b".to_owned(),
        // Others that BELLE's authors tried, which no card is about.
        other if other.contains(" + ") || other.contains("zh(") => return None,
        other => other.split_whitespace().next()?.to_owned(),
    };
    Some(named)
}

/// How the suites are called that a table or a fact is about.
fn suites(what: &str) -> &'static [&'static str] {
    const COMMON_SENSE: &[&str] = &[
        "boolq",
        "piqa",
        "social_iqa",
        "hellaswag",
        "winogrande",
        "arc_",
        "openbookqa",
        "commonsense_qa",
        "mmlu",
    ];
    match what {
        "llama1_paper_zero_shot" | "llama2_table20_zero_shot" => COMMON_SENSE,
        "ARC-e of the model card" => &["arc_easy"],
        "COPA" => &["copa"],
        "llama1_natural_questions_em" => &["nq_open"],
        "llama1_triviaqa_em_paper" => &["triviaqa"],
        "llama1_race" => &["race"],
        "llama1_math" | "llama2_math" => &["gsm8k", "hendrycks_math"],
        "llama1_code" | "llama2_code" => &["humaneval", "mbpp"],
        "mmlu_5shot" => &["mmlu"],
        "llama2_qa" => &["nq_open", "triviaqa"],
        "llama_card_grouped" => &["llama_2_", "mmlu", "bbh", "agieval"],
        "truthfulqa_generation_truthful_and_informative" => &["truthfulqa_gen"],
        "toxigen" => &["toxigen"],
        "llama1_crows_pairs_65b" => &["crows_pairs"],
        "mt_bench_and_mmlu_lmsys" => &["mt_bench", "mmlu"],
        "open_llm_leaderboard_excerpts" => &["arc_challenge", "hellaswag"],
        "third_party_5shot" => &["mmlu", "cmmlu", "agieval", "gaokao"],
        "belle_eval_1k" | "belle_eval_without_others" => &["belle_eval"],
        "valid" | "c_eval_valid" => &["ceval-valid"],
        "test" | "c_eval_test" => &["ceval-test"],
        "cmmlu" | "cmmlu_test" | "cmmlu_5shot" => &["cmmlu"],
        "agieval_5shot" => &["agieval"],
        "gaokao_0shot" => &["gaokao"],
        "longbench" => &["longbench"],
        "alignment_acc" => &["alignment"],
        "ppl_4k_fp16" => &["perplexity_4k"],
        name if name.starts_with("c_eval") => &["ceval"],
        _ => &[],
    }
}

#[test]
#[ignore = "needs the shared reference folder"]
fn published_scores_are_the_collected_ones() {
    let Some(facts) = facts() else { return };
    let registry = Registry::load(None).unwrap();
    let mut c = Comparison::default();
    let mut has = |id: &str, what: &str, value: f64| {
        let Some(card) = registry.card(id) else { return };
        let suites = suites(what);
        let found = card.published.iter().any(|p| {
            let same = (p.value - value).abs() < 1e-9 || (p.value * 100.0 - value).abs() < 1e-7;
            same && suites.iter().any(|suite| p.suite.starts_with(suite))
        });
        c.holds(&format!("{id}: {what} {value} is not among the scores of {suites:?}"), found);
    };
    for (table, body) in entries(&facts["benchmarks"]) {
        let rows = if body["rows"].is_mapping() { &body["rows"] } else { body };
        for (row, values) in entries(rows) {
            let one = values.as_f64().map(|value| vec![value]);
            let list = values.as_sequence().map(|list| list.iter().filter_map(Value::as_f64).collect());
            let map = || entries(values).filter_map(|(_, value)| value.as_f64()).collect();
            let id =
                if table == "llama1_crows_pairs_65b" { Some("llama-65b".to_owned()) } else { row_model(row) };
            for value in one.or(list).unwrap_or_else(map) {
                has(id.as_deref().unwrap_or_default(), table, value);
            }
        }
    }
    for (row, value) in entries(&facts["benchmarks"]["llama1_paper_zero_shot"]["card_only_COPA"]) {
        has(&row_model(row).unwrap(), "COPA", value.as_f64().unwrap());
    }
    for (id, value) in [("llama-7b", 76.7), ("llama-13b", 78.1), ("llama-33b", 81.4), ("llama-65b", 81.5)] {
        has(id, "ARC-e of the model card", value);
    }
    for fact in records(&facts) {
        let id = fact["id"].as_str().unwrap();
        for group in ["scores", "c_eval", "score"] {
            for (name, value) in entries(&fact[group]) {
                let list = value.as_sequence().into_iter().flatten().filter_map(Value::as_f64);
                let map = entries(value).filter_map(|(_, value)| value.as_f64());
                for value in value.as_f64().into_iter().chain(list).chain(map) {
                    has(id, name, value);
                }
            }
        }
    }
    c.finish("published scores", 500);
}
