//! The built-in registry as a whole: it passes its own checks, names lead where people expect, and what
//! cannot be fetched says what to bring.

use std::fs;

use zoo::config::{ModelConfig, RopeScaling};
use zoo::registry::{Registry, ReleaseKind, VocabularyRule};

#[test]
fn the_family_is_complete_and_passes_all_checks() {
    let registry = Registry::load(None).unwrap();
    let relatives = registry.cards().iter().filter(|card| card.relative).count();
    assert!(
        registry.cards().len() - relatives >= 80 && relatives >= 48,
        "{relatives} of {}",
        registry.cards().len()
    );
    assert!(registry.architectures().count() >= 52);
    assert!(registry.tokenizers().count() >= 15);
    // The family stands before its relatives.
    assert!(registry.cards().is_sorted_by_key(|card| card.relative));
    for card in registry.cards() {
        assert_eq!(card.origin.file, format!("zoo/{}.yaml", card.id));
        assert!(card.description.as_ref().is_some_and(|text| text.len() > 20), "{}", card.id);
        assert!(!card.languages.is_empty(), "{}", card.id);
        // Only a library and a service have no network of their own.
        let network = registry.architecture_of(card);
        assert_eq!(network.is_none(), ["chatllama", "qianfan-chinese-llama-2"].contains(&card.id.as_str()));
        assert_eq!(card.context.is_some(), network.is_some());
        let unknown = card.release.vocabulary.as_ref().is_some_and(|v| v.rule == VocabularyRule::Unknown);
        assert_eq!(card.parameters.is_some(), network.is_some() && !unknown, "{}", card.id);
        assert_eq!(registry.lineage(card).last().map(|last| &last.id), Some(&card.id));
    }
    for network in registry.architectures() {
        assert_eq!(network.parameters, network.count_parameters().ok(), "{}", network.name);
        let is_used = |named: &str| named == network.name;
        let used = registry.cards().iter().any(|card| {
            registry.architecture_of(card).is_some_and(|a| is_used(&a.name))
                || card.releases().any(|release| release.revisions.values().any(|named| is_used(named)))
        });
        assert!(used, "no model has the architecture {}", network.name);
    }
}

#[test]
fn names_lead_where_people_expect() {
    let registry = Registry::load(None).unwrap();
    for (typed, id) in [
        ("vicuna-13b", "vicuna-13b-v1.5"),
        ("Vicuna", "vicuna-7b-v1.5"),
        ("vicuna-33b", "vicuna-33b-v1.3"),
        ("alpaca", "alpaca-7b"),
        ("alpaca-lora", "alpaca-lora-7b"),
        ("belle-7b", "belle-7b-2m"),
        ("belle-llama-7b", "belle-llama-7b-2m"),
        ("ziya-13b", "ziya-llama-13b-v1.1"),
        ("colossalchat", "coati-7b"),
        ("ColossalChat", "coati-7b"),
        ("chatllama", "chatllama"),
        ("chinese-alpaca", "chinese-alpaca-7b"),
        ("chinese-alpaca-2", "chinese-alpaca-2-7b"),
        ("chinese-llama", "chinese-llama-7b"),
        ("llama2-7b-chat", "llama-2-7b-chat"),
        ("llama-2-70b-chat-hf", "llama-2-70b-chat"),
        ("llama-30b", "llama-33b"),
        ("llama", "llama-7b"),
        ("llama2", "llama-2-7b"),
        ("atom", "atom-7b"),
        ("qianfan", "qianfan-chinese-llama-2"),
        ("smollm2", "smollm2-135m"),
        ("codellama", "codellama-7b"),
        ("code-llama-13b-instruct", "codellama-13b-instruct"),
        ("tinyllama", "tinyllama-1.1b"),
        ("llama-3", "llama-3-8b"),
        ("llama3.1-8b", "llama-3.1-8b"),
        ("Llama-3.2", "llama-3.2-1b"),
        ("open-llama", "openllama-7b"),
        ("wizardlm", "wizardlm-13b-v1.2"),
        ("koala", "koala-13b"),
        ("guanaco", "guanaco-7b"),
        ("baize", "baize-7b"),
        ("stablevicuna", "stable-vicuna-13b"),
        ("longchat", "longchat-7b-16k"),
        ("yi", "yi-6b"),
        ("chinese-llama-3", "llama-3-chinese-8b"),
    ] {
        assert_eq!(registry.find(typed).map(|card| card.id.as_str()), Ok(id), "{typed}");
    }
    for (typed, near) in [("vicunna-13b", "vicuna-13b"), ("llama-34b", "llama-30b"), ("alpacca", "alpaca")] {
        let error = registry.find(typed).unwrap_err();
        assert!(error.nearest.iter().any(|name| name == near), "{error}");
    }
}

#[test]
fn lineages_go_back_to_where_the_weights_began() {
    let registry = Registry::load(None).unwrap();
    let line = |name: &str| -> Vec<&str> {
        registry.lineage(registry.find(name).unwrap()).into_iter().map(|card| card.id.as_str()).collect()
    };
    assert_eq!(line("ziya"), ["llama-13b", "ziya-llama-13b-pretrain-v1", "ziya-llama-13b-v1.1"]);
    assert_eq!(line("llama2-chinese"), ["llama-2-7b", "llama-2-7b-chat", "llama2-chinese-7b-chat"]);
    assert_eq!(line("belle-7b"), ["bloomz-7b1-mt", "belle-7b-2m"]);
    let base = registry.find("bloomz").unwrap();
    assert_eq!(registry.children(base).count(), 4);
    assert_eq!(registry.find("ziya").unwrap().release_base(), Some("llama-13b"));
}

/// Numbers of released networks that are known from elsewhere: of litgpt's table, or counted by their authors.
#[test]
fn relatives_have_the_parameters_of_their_releases() {
    let registry = Registry::load(None).unwrap();
    for (name, parameters) in [
        ("codellama-7b", 6_738_546_688),
        ("codellama-13b", 13_016_028_160),
        ("codellama-34b", 33_743_970_304),
        ("tinyllama-1.1b", 1_100_048_384),
        ("llama-3-8b", 8_030_261_248),
        ("llama-3.1-8b", 8_030_261_248),
        ("llama-3.2-1b", 1_235_814_400),
        ("llama-3.2-3b", 3_212_749_824),
        ("openllama-3b", 3_426_473_600),
        ("openllama-7b", 6_738_415_616),
        ("wizardlm-7b-v1.0", 6_738_423_808),
        ("stable-vicuna-13b", 13_015_874_560),
        ("yi-6b", 6_061_035_520),
        ("yi-34b", 34_388_917_248),
        ("llama-3-chinese-8b", 8_030_261_248),
        ("colossal-llama-2-7b-base", 7_042_371_584),
        ("colossal-llama-2-13b-base", 13_395_809_280),
    ] {
        assert_eq!(registry.find(name).unwrap().parameters, Some(parameters), "{name}");
    }
    // What stretches positions is part of the network, and is understood.
    for (name, factor) in [("llama-3.1-8b", 8.0), ("llama-3.2-1b", 32.0), ("longchat-7b-16k", 8.0)] {
        let network = registry.architecture_of(registry.find(name).unwrap()).unwrap();
        assert_eq!(network.rope_scaling.as_ref().unwrap().factor, factor, "{name}");
        let ModelConfig::Llama(config) = network.config().unwrap() else { panic!("{name}") };
        assert_ne!(config.rope_scaling, RopeScaling::None, "{name}");
    }
}

#[test]
fn what_cannot_be_run_as_released_says_what_to_bring() {
    let registry = Registry::load(None).unwrap();
    for (name, part) in [
        ("chatllama", "checkpoint that you trained"),
        ("coati-7b", "--weights PATH"),
        ("qianfan", "nothing to download"),
        ("alpaca-7b", "rebuild it from llama-7b"),
        ("vicuna-7b-v0", "rebuild it from llama-7b"),
        ("ziya", "rebuild it from llama-13b"),
        ("belle-llama-7b", "encrypted"),
        ("chinese-alpaca", "an adapter"),
        ("koala", "in the form of EasyLM"),
        ("stable-vicuna", "rebuild it from llama-13b"),
        ("guanaco", "an adapter"),
        ("wizardlm-13b-v1.1", "was not found out"),
    ] {
        let card = registry.find(name).unwrap();
        assert!(!card.is_available(), "{name}");
        let bring = card.to_bring().unwrap_or_default();
        assert!(bring.contains(part) && bring.contains("--weights PATH"), "{name}: {bring}");
    }
    for card in registry.cards() {
        assert_eq!(card.to_bring().is_none(), card.is_available(), "{}", card.id);
        assert_eq!(card.release.kind == ReleaseKind::Unreleased, card.sources.is_empty(), "{}", card.id);
    }
}

#[test]
fn the_example_of_the_readme_is_right() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/zoo/README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let mut blocks = readme.split("```yaml\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tokenizers")).unwrap();
    let files = [folder.path().join("tokenizers/my-tokens.yaml"), folder.path().join("my-model.yaml")];
    for file in &files {
        fs::write(file, blocks.next().unwrap().0).unwrap();
    }
    assert!(blocks.next().is_none());
    let registry = Registry::check_files(&files, None).unwrap();
    let card = registry.find("my-model").unwrap();
    assert_eq!(registry.lineage(card).len(), 2);
    // The same files as a folder of the user's own.
    let registry = Registry::load(Some(folder.path())).unwrap();
    assert_eq!(registry.find("MY-MODEL").unwrap().parameters, Some(6_738_432_000));
    // And the error that the text shows.
    let broken = fs::read_to_string(&files[1]).unwrap().replacen("vocab_size: 32002", "vocab_size: 32001", 1);
    fs::write(&files[1], broken).unwrap();
    let message = Registry::load(Some(folder.path())).unwrap_err().to_string();
    let (_, message) = message.split_once("my-model.yaml").unwrap();
    let shown = readme.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(shown.contains(message), "{message}");
}
