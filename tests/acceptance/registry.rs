//! The cards against the collected facts of the family, record by record and field by field.
//!
//! Needs the shared folder: see `facts`. What was published about the models, digests and scores, is in
//! `published.rs`.

use std::collections::{BTreeSet, HashSet};

use crate::support::facts::{Comparison, Corrections, entries, facts, records, text, texts};
use serde_yaml::Value;
use zoo::registry::{Card, Registry, ReleaseKind, VocabularyRule};

/// Words in a fact, without punctuation around them.
fn words(fact: &str) -> BTreeSet<&str> {
    fact.split(|c: char| c.is_whitespace() || ";,()".contains(c)).filter(|word| !word.is_empty()).collect()
}

#[test]
#[ignore = "needs the shared reference folder"]
fn architectures_are_the_collected_ones() {
    let Some(facts) = facts() else { return };
    let registry = Registry::load(None).unwrap();
    let mut c = Comparison::default();
    for (name, fact) in entries(&facts["architectures"]) {
        let Some(a) = registry.architecture(name) else { panic!("no architecture {name}") };
        for (field, ours) in [
            ("hidden", a.hidden_size),
            ("intermediate", a.intermediate_size),
            ("layers", a.num_hidden_layers),
            ("heads", a.num_attention_heads),
            ("kv_heads", a.kv_heads()),
            ("head_dim", a.head_size()),
            ("vocab", a.vocab_size),
            ("max_context", a.max_context),
            ("parameters", a.parameters.unwrap()),
        ] {
            c.same(&format!("{name}.{field}"), Some(ours), fact[field].as_u64());
        }
        c.same(&format!("{name}.counted"), a.count_parameters().ok(), fact["parameters"].as_u64());
        for (field, ours) in [
            ("rms_norm_eps", a.rms_norm_eps),
            ("layer_norm_epsilon", a.layer_norm_epsilon),
            ("rope_theta", a.rope_theta),
        ] {
            c.same(&format!("{name}.{field}"), ours, fact[field].as_f64());
        }
        let (scaling, theirs) = (a.rope_scaling.as_ref(), &fact["rope_scaling"]);
        c.same(
            &format!("{name}.rope_scaling.type"),
            scaling.map(|s| s.kind.as_str()),
            theirs["type"].as_str(),
        );
        c.same(&format!("{name}.rope_scaling.factor"), scaling.map(|s| s.factor), theirs["factor"].as_f64());
        let original = scaling.and_then(|s| s.original_max_position_embeddings);
        let theirs = theirs["original_max_position_embeddings"].as_u64();
        c.same(&format!("{name}.rope_scaling.original"), original, theirs);
        for (field, ours) in [
            ("tied_embeddings", a.tie_word_embeddings),
            ("attention_bias", a.attention_bias),
            ("mlp_bias", a.mlp_bias),
        ] {
            c.same(&format!("{name}.{field}"), Some(ours), fact[field].as_bool());
        }
        c.same(&format!("{name}.remote_code"), a.remote_code, !fact["needs_remote_code"].is_null());
        c.same(&format!("{name}.model_type"), Some(a.model_type.as_str()), fact["model_type"].as_str());
    }
    c.finish("architectures", 34 * 20);
}

#[test]
#[ignore = "needs the shared reference folder"]
fn tokenizers_are_the_collected_ones() {
    let Some(facts) = facts() else { return };
    let registry = Registry::load(None).unwrap();
    let mut c = Comparison::default();
    for (name, fact) in entries(&facts["tokenizers"]) {
        let Some(t) = registry.tokenizer(name) else { panic!("no tokenizer {name}") };
        c.same(&format!("{name}.vocab"), Some(t.vocab_size), fact["vocab"].as_u64());
        c.same(&format!("{name}.embedding_rows"), t.embedding_rows, fact["embedding_rows"].as_u64());
        let pieces = fact["sp_pieces"].as_u64();
        c.holds(&format!("{name}.sp_pieces"), pieces.is_none() || pieces == t.sentencepiece_pieces);
        let digest = t.digests.as_ref().and_then(|digests| digests.files.get("tokenizer.model"));
        c.same(&format!("{name}.sha256"), digest.and_then(|d| d.sha256.clone()), text(&fact["sha256"]));
        c.same(&format!("{name}.md5"), digest.and_then(|d| d.md5.clone()), text(&fact["md5"]));
        c.same(&format!("{name}.file_size"), digest.and_then(|d| d.size), fact["file_size"].as_u64());
        for (field, ours) in [("unk", t.unk), ("bos", t.bos), ("eos", t.eos)] {
            let fact = fact[field].as_u64();
            c.holds(&format!("{name}.{field}"), fact.is_none() || fact == ours.map(u64::from));
        }
        let pad = fact["pad"].as_u64().or(fact["pad_token_id"].as_u64());
        c.holds(&format!("{name}.pad"), pad.is_none() || pad == t.pad.map(u64::from));
        for field in ["added", "pad", "first_new", "last_new"] {
            for (piece, id) in entries(&fact[field]) {
                let ours = t.added.get(piece).or_else(|| t.landmarks.get(piece));
                c.same(&format!("{name}.{field}.{piece}"), ours.map(|id| u64::from(*id)), id.as_u64());
            }
        }
    }
    c.finish("tokenizers", 9 * 9);
}

#[test]
#[ignore = "needs the shared reference folder"]
fn every_record_is_a_card() {
    let Some(facts) = facts() else { return };
    let Some(corrections) = Corrections::read() else { return };
    let registry = Registry::load(None).unwrap();
    let mut c = Comparison::default();
    assert_eq!(records(&facts).count(), 77);
    for fact in records(&facts) {
        let id = fact["id"].as_str().unwrap();
        let Some(card) = registry.card(id).filter(|card| card.id == id) else { panic!("no card {id}") };
        c.same(&format!("{id}.family"), Some(card.family.clone()), text(&fact["family"]));
        c.same(&format!("{id}.base"), card.base.clone(), text(&fact["base"]));
        let network = registry.architecture_of(card).map(|network| network.name.clone());
        if let Some(rows) = corrections.of(id, "vocab_size").and_then(Value::as_u64) {
            // Another vocabulary is another network and another tokenizer than those that were collected.
            let found = registry.architecture_of(card).map(|network| network.vocab_size);
            c.same(&format!("{id}.vocab_size"), found, Some(rows));
        } else {
            c.same(&format!("{id}.architecture"), network, text(&fact["architecture"]));
            c.same(&format!("{id}.tokenizer"), card.tokenizer.clone(), text(&fact["tokenizer"]));
        }
        c.same(&format!("{id}.prompt"), card.prompt.clone(), text(&fact["prompt_template"]));
        if let Some(context) = fact["context"].as_u64() {
            c.same(&format!("{id}.context"), card.context, Some(context));
        }
        let languages = texts(&fact["languages"]);
        if languages.iter().all(|language| language.len() == 2) {
            c.same(&format!("{id}.languages"), card.languages.clone(), languages);
        }
        release(&mut c, id, card, fact, &corrections);
        hub(&mut c, id, card, &fact["hub"]);
        recipe_of(&mut c, &registry, id, card, fact);
        doubts(&mut c, id, card, fact);
    }
    c.finish("cards", 77 * 10);
}

fn release(c: &mut Comparison, id: &str, card: &Card, fact: &Value, corrections: &Corrections) {
    let fact = &fact["release"];
    let kinds: HashSet<ReleaseKind> = card.releases().map(|release| release.kind).collect();
    let stated = fact["kind"].as_str().unwrap();
    let has_lora_hub = !fact["lora_hub"].is_null();
    let expected: Vec<ReleaseKind> = match stated {
        "delta" if fact["rule"] == "alpaca_diff" => vec![ReleaseKind::Diff],
        "delta" => vec![ReleaseKind::Delta],
        "delta, later merged full weights too" => vec![ReleaseKind::Full, ReleaseKind::Delta],
        "xor" => vec![ReleaseKind::Xor],
        "lora" => vec![ReleaseKind::Lora],
        "full and lora" if has_lora_hub => vec![ReleaseKind::Full, ReleaseKind::Lora],
        text if text.starts_with("full") => vec![ReleaseKind::Full],
        _ => vec![ReleaseKind::Unreleased],
    };
    c.same(&format!("{id}.release.kind"), kinds, expected.into_iter().collect());
    if stated == "full and lora" && !has_lora_hub {
        c.holds(
            &format!("{id}: the missing adapter is a doubt"),
            card.doubts.iter().any(|d| d.contains("adapter")),
        );
    }
    let part = |find: &dyn Fn(&zoo::registry::Release) -> bool| card.releases().find(|release| find(release));
    if let Some(rule) = text(&fact["rule"]) {
        let release = part(&|release| release.rule.is_some());
        c.same(
            &format!("{id}.rule"),
            release.and_then(|r| r.rule).map(|r| r.as_str().to_owned()),
            Some(rule.clone()),
        );
        let vocabulary = release.and_then(|r| r.vocabulary.as_ref()).map(|v| v.rule);
        let expected = match rule.as_str() {
            "alpaca_diff" => Some(VocabularyRule::AppendMeanRow),
            "vicuna_delta_v0" => Some(VocabularyRule::AppendZeroRow),
            "vicuna_delta" => Some(VocabularyRule::Same),
            "ziya_delta" | "chinese_lora" => Some(VocabularyRule::Replace),
            _ => None,
        };
        c.same(&format!("{id}.vocabulary"), vocabulary, expected);
        if rule == "ziya_delta" {
            c.same(&format!("{id}.release.base"), card.release_base(), Some("llama-13b"));
        }
    }
    if let Some(r) = fact["r"].as_u64() {
        let Some(lora) = part(&|r| r.lora.is_some()).and_then(|r| r.lora.as_ref()) else {
            panic!("{id}: no lora")
        };
        c.same(&format!("{id}.r"), u64::from(lora.r), r);
        c.same(&format!("{id}.alpha"), Some(lora.alpha), fact["alpha"].as_f64());
        c.same(&format!("{id}.dropout"), lora.dropout, fact["dropout"].as_f64());
        c.same(&format!("{id}.targets"), lora.target_modules.clone(), texts(&fact["target_modules"]));
        c.same(&format!("{id}.saved"), lora.modules_to_save.clone(), texts(&fact["modules_to_save"]));
    }
    let order = texts(&fact["merge_order"]);
    c.same(&format!("{id}.merge_order"), card.release.merge_order.clone(), order);
    if let Some(sha256) = text(&fact["adapter_sha256"]) {
        let digests = card.release.digests.as_ref().unwrap();
        c.same(&format!("{id}.sha256"), digests.files["adapter_model.bin"].sha256.clone(), Some(sha256));
    }
    if let Some(key) = text(&fact["key_file"]) {
        let ours = card.release.key.as_ref().unwrap();
        let model = if key.contains("LLaMA 13B") { "llama-13b" } else { "llama-7b" };
        c.same(&format!("{id}.key.model"), ours.model.as_str(), model);
        c.holds(&format!("{id}.key.file"), key.contains(&ours.file));
        if let Some((_, rest)) = key.split_once("sha256 ") {
            c.same(&format!("{id}.key.sha256"), ours.sha256.as_deref(), rest.get(..64));
        }
    }
    if let Some(shards) = fact["shards"].as_u64() {
        c.same(&format!("{id}.shards"), card.release.shards.map(u64::from), Some(shards));
        c.same(&format!("{id}.folder"), card.release.folder.clone(), text(&fact["directory_name"]));
    }
    for (revision, named) in entries(&fact["revisions"]).filter(|(name, _)| name.contains("2023")) {
        let named = named.as_str().and_then(|text| text.split_whitespace().last());
        for hash in words(revision).into_iter().filter(|word| word.len() == 7 && !word.contains('.')) {
            c.same(&format!("{id}.{hash}"), card.release.revisions.get(hash).map(String::as_str), named);
        }
    }
    let corrected = corrections.of(id, "dtype").and_then(text);
    if let Some(dtype) = corrected.or_else(|| text(&fact["dtype"])).or_else(|| text(&fact["delta_dtype"])) {
        let dtypes: Vec<&str> = card.releases().filter_map(|release| release.dtype.as_deref()).collect();
        let first = words(&dtype).first().map(|word| (*word).to_owned()).unwrap_or_default();
        let said = |ours: &str| words(ours).iter().any(|word| dtype.contains(word));
        c.holds(&format!("{id}.dtype {dtypes:?} of {dtype} {first}"), dtypes.iter().any(|ours| said(ours)));
    }
}

/// Every repository that the facts name is a source or a release of the card.
fn hub(c: &mut Comparison, id: &str, card: &Card, fact: &Value) {
    let sources = card.sources.iter().map(ToString::to_string);
    let ours: Vec<String> =
        sources.chain(card.releases().filter_map(|release| release.hub.clone())).collect();
    let named = fact.as_str().unwrap_or_default();
    for repo in words(named).into_iter().filter(|word| word.matches('/').count() == 1) {
        c.holds(&format!("{id}.hub {repo} of {ours:?}"), ours.iter().any(|source| source.ends_with(repo)));
    }
    if fact.is_null() {
        c.holds(&format!("{id}: nothing to fetch"), card.sources.is_empty() && card.to_bring().is_some());
    }
}

/// The numbers of the facts' sentence on training are those of the recipe's stages.
fn recipe_of(c: &mut Comparison, registry: &Registry, id: &str, card: &Card, fact: &Value) {
    let Some(recipe) = registry.recipe_of(card) else { panic!("{id}: no recipe") };
    c.holds(&format!("{id}: the recipe is named"), card.recipe.is_some());
    let hyper = fact["hyper"].as_str().unwrap_or_default();
    // One sentence for two stages: the first rate is that of base models, the second that of tuned ones.
    let rate_of_stage = hyper.split_once(" pt / ").map(|(first, second)| {
        let tuned = card.prompt.as_deref() != Some("none");
        if tuned { second } else { first }.to_owned()
    });
    let hyper = rate_of_stage.as_deref().unwrap_or(hyper);
    let known = serde_json::to_string(&recipe.stages).unwrap();
    let rates: Vec<f64> =
        recipe.stages.iter().filter_map(|s| s.learning_rate.as_ref()).map(|lr| lr.peak).collect();
    let stated: Vec<&str> = words(hyper).into_iter().collect();
    for word in stated {
        // Learning rates are the only words of this form.
        if let Some(rate) = word.contains("e-").then(|| word.parse::<f64>().ok()).flatten() {
            let ok = rates.iter().any(|ours| (ours - rate).abs() < 1e-12)
                || known.contains(word)
                || recipe.all_doubts().any(|doubt| doubt.contains(word))
                || card.doubts.iter().any(|doubt| doubt.contains(word));
            c.holds(&format!("{id}: learning rate {word} of {rates:?}"), ok);
        }
    }
    for (before, number) in
        hyper.split_whitespace().zip(hyper.split_whitespace().skip(1)).filter(|(word, _)| *word == "batch")
    {
        let number = number.trim_matches(|ch: char| !ch.is_ascii_digit());
        c.holds(&format!("{id}: {before} {number} in {known}"), known.contains(number));
    }
}

/// What the facts call memory or contradiction is marked in card, records or recipe.
fn doubts(c: &mut Comparison, id: &str, card: &Card, fact: &Value) {
    let own = ["hub", "license", "training", "data", "languages", "src"];
    let doubtful = own.iter().filter_map(|field| fact[*field].as_str()).any(|text| text.contains("(M)"))
        || fact["release"].as_mapping().into_iter().flatten().any(|(_, value)| {
            value.as_str().is_some_and(|text| text.contains("(M)") || text.contains("contradiction"))
        })
        || fact["doubtful"] == true;
    if doubtful {
        c.holds(&format!("{id}: doubts are listed"), !card.doubts.is_empty());
    }
    c.holds(&format!("{id}: a source is named"), card.src.is_some());
}
