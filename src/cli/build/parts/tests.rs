//! Parts by their names, given, cached, or still to be brought.

use super::*;

fn given(name: &str, path: &Path) -> Given {
    Given { name: name.to_owned(), path: path.to_owned() }
}

fn offline(home: &Path) -> HubConfig {
    HubConfig { offline: true, ..HubConfig::at(home).unwrap() }
}

#[test]
fn what_has_to_be_brought_is_said_and_not_fetched() {
    let folder = tempfile::tempdir().unwrap();
    let config = offline(folder.path());
    let registry = Registry::load(None).unwrap();
    let card = registry.card("koala-13b").unwrap();
    let states = part_states(card, Rule::VicunaDelta, &registry, &[], &config).unwrap();
    let delta = states.iter().find(|state| state.word == "delta").unwrap();
    assert!(!delta.can_be_fetched && delta.bring.as_ref().unwrap().contains("convert_easylm_to_hf"));
    let base = states.iter().find(|state| state.word == "base").unwrap();
    assert_eq!((base.card.id.as_str(), base.bring.as_ref()), ("llama-13b", None));
    let places = PartSources { config: &config, fetch: None };
    let error = BuildParts::of_card(card, Rule::VicunaDelta, &registry, &[], places).unwrap_err().to_string();
    assert!(error.contains("are not on this machine; name them: ") && error.contains("EasyLM"), "{error}");
}

#[test]
fn parts_are_named_by_model_alias_or_role() {
    let folder = tempfile::tempdir().unwrap();
    let config = offline(folder.path());
    let (registry, places) = (Registry::load(None).unwrap(), PartSources { config: &config, fetch: None });
    let card = registry.card("vicuna-7b-v0").unwrap();
    let (base, delta) = (folder.path().join("base"), folder.path().join("delta"));
    let both = [given("llama-7b", &base), given("vicuna-7b-v0", &delta)];
    let parts = BuildParts::of_card(card, Rule::VicunaDeltaV0, &registry, &both, places).unwrap();
    assert_eq!(parts.one(PartRole::Base).unwrap(), base);
    assert_eq!(parts.one(PartRole::Released).unwrap(), delta);
    let roles = [given("delta", &delta), given("base", &base)];
    assert_eq!(BuildParts::of_card(card, Rule::VicunaDeltaV0, &registry, &roles, places).unwrap(), parts);
}

#[test]
fn what_is_missing_or_strange_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let config = offline(folder.path());
    let (registry, places) = (Registry::load(None).unwrap(), PartSources { config: &config, fetch: None });
    let of = |id: &str, given: &[Given]| {
        let card = registry.card(id).unwrap();
        BuildParts::of_card(card, card.release.rule.unwrap(), &registry, given, places)
            .unwrap_err()
            .to_string()
    };
    let here = folder.path();
    let base = given("llama-7b", folder.path());
    let error = of("vicuna-7b-v0", &[]);
    assert!(error.contains("--from llama-7b=PATH --from vicuna-7b-v0=PATH"), "{error}");
    let error = of("vicuna-7b-v0", &[base.clone(), given("llama-13b", here)]);
    assert!(error.contains("made of llama-7b (base) and vicuna-7b-v0 (delta)"), "{error}");
    let error = of("vicuna-7b-v0", &[base.clone(), given("base", here)]);
    assert!(error.contains("twice"), "{error}");
    let error = of("chinese-alpaca-plus-7b", &[base]);
    assert!(
        error.contains("--from chinese-llama-plus-7b=PATH --from chinese-alpaca-plus-7b=PATH"),
        "{error}"
    );
    let error = of("belle-llama-7b-2m", &[]);
    assert!(error.contains("llama-7b (key)") && error.contains("byte for byte"), "{error}");
}

#[test]
fn a_part_without_a_card_is_an_error_also_among_several_models() {
    let registry = Registry::load(None).unwrap();
    let given = [given("llama-7b", Path::new("."))];
    let mut card = registry.card("chinese-alpaca-plus-7b").unwrap().clone();
    assert_eq!(given_for(&card, &registry, &given).unwrap(), given);
    card.release.merge_order.push("nobody".to_owned());
    let error = given_for(&card, &registry, &given).unwrap_err().to_string();
    assert!(error.contains("no card is called nobody"), "{error}");
}

#[test]
fn without_a_card_parts_are_named_by_role() {
    let here = Path::new(".");
    let parts = [given("base", here), given("adapter", here), given("adapter", here)];
    let parts = BuildParts::by_role(Rule::PeftLora, &parts).unwrap();
    assert_eq!(parts.all(PartRole::Adapter).count(), 2);
    let error = |rule, parts: &[Given]| BuildParts::by_role(rule, parts).unwrap_err().to_string();
    let text = error(Rule::VicunaDelta, &[given("base", here)]);
    assert!(text.contains("needs the part delta: give --from base=PATH --from delta=PATH"), "{text}");
    assert!(error(Rule::AlpacaDiff, &[given("delta", here)]).contains("--from diff=PATH"));
    assert!(error(Rule::VicunaDelta, &[given("base", here), given("base", here)]).contains("twice"));
}

#[test]
fn from_is_a_name_and_a_path_that_exists() {
    assert_eq!("base=.".parse::<Given>(), Ok(given("base", Path::new("."))));
    for text in ["base", "=x", "base=", " =."] {
        assert!(text.parse::<Given>().unwrap_err().contains("NAME=PATH"), "{text}");
    }
    assert!("base=./no/such".parse::<Given>().unwrap_err().contains("no such"));
}
