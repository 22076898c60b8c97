//! Chat templates in the wild's constructs, and the comparison with the templates of the cards.

use std::time::Duration;

use super::super::{PromptTemplates, load};
use super::*;
use crate::python::jinja::MAX_SOURCE;

fn conversation() -> Vec<Message> {
    vec![Message::user("Hello!"), Message::assistant("Hi! "), Message::user("How are you?")]
}

fn rendered(source: &str, messages: &[Message]) -> Result<String, String> {
    jinja(source).render(messages, End::Answer).map_err(|error| error.to_string())
}

fn jinja(source: &str) -> Jinja {
    Jinja { source: source.to_owned(), specials: specials() }
}

fn specials() -> SpecialNames {
    SpecialNames::from([("bos_token", "<s>"), ("eos_token", "</s>")])
}

fn templates() -> PromptTemplates {
    load(None).unwrap()
}

/// The LLaMA 2 form in Jinja, folded system text and refusals included.
const LLAMA_2: &str = "\
{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set system = messages[0]['content'] %}\
{% else %}{% set rest = messages %}{% set system = false %}{% endif %}
{% for m in rest %}
    {% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('roles must take turns') }}
    {% endif %}
    {% if loop.first and system != false %}
        {% set content = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + m['content'] %}
    {% else %}
        {% set content = m['content'] %}
    {% endif %}
    {% if m.role == 'user' %}
{{- bos_token + '[INST] ' + content.strip() + ' [/INST]' -}}
    {% elif m.role == 'assistant' %}
{{- ' ' ~ content.strip() ~ ' ' ~ eos_token -}}
    {% endif %}
{% endfor %}
";

#[test]
fn the_llama_2_form_agrees_with_the_card() {
    let text = rendered(LLAMA_2, &conversation()).unwrap();
    assert_eq!(text, "<s>[INST] Hello! [/INST] Hi! </s><s>[INST] How are you? [/INST]");
    let compared = compare(&templates()["llama-2-chat-hf-jinja"], LLAMA_2, &specials());
    assert_eq!(compared.len(), 6);
    for comparison in &compared {
        assert!(comparison.agrees() && comparison.card.is_ok(), "{comparison}");
        assert!(comparison.to_string().ends_with("the same"));
    }
    let error = rendered(LLAMA_2, &[Message::assistant("Hi!")]).unwrap_err();
    assert!(error.contains("roles must take turns") && error.contains("line 4"), "{error}");
}

#[test]
fn differences_are_placed_and_shown() {
    let source = "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}USER: {{ m.content }}\n\
                  {% else %}ASSISTANT: {{ m.content }}{{ eos_token }}\n{% endif %}{% endfor %}ASSISTANT:";
    let compared = compare(&templates()["vicuna-v1.1"], source, &specials());
    let first = &compared[0];
    assert_eq!(first.first_difference(), Some(3));
    assert!(
        first.to_string().starts_with("one message: differs after 3 characters: card \"<s>A chat"),
        "{first}"
    );
    assert!(compared.iter().all(|comparison| !comparison.agrees()));

    let refused = compare(&templates()["ziya"], "{{ raise_exception('no') }}", &specials());
    let said: Vec<String> = refused.iter().map(TemplateComparison::to_string).collect();
    assert!(said[0].contains("only the card's template") && said[0].ends_with("no"), "{said:?}");
    assert_eq!(said[3], "a system message: refused by both");
}

#[test]
fn blocks_are_trimmed_and_values_print_as_in_python() {
    let cases = [
        ("  {% if true %}\n  a\n  {% endif %}\nb\n", "  a\nb"),
        (
            "{{ true }} {{ none }} {{ nothing }}|{{ [1, 'a', \"it's\"] }} {{ {'k': false} }}",
            "True None |[1, 'a', \"it's\"] {'k': False}",
        ),
        ("{{ {'k': [1, 'é<\\n'], 'a': none}|tojson }}", "{\"k\": [1, \"é<\\n\"], \"a\": null}"),
        ("{{ {'k': [1], 'a': []}|tojson(indent=2) }}", "{\n  \"k\": [\n    1\n  ],\n  \"a\": []\n}"),
        (
            "{{ {'k': '🦙', 'a': 2}|tojson(ensure_ascii=true, sort_keys=true, separators=(',', ':')) }}",
            "{\"a\":2,\"k\":\"\\ud83e\\udd99\"}",
        ),
        (
            "{% for m in messages %}{% if loop.index0 == 1 %}{% break %}{% endif %}{{ m.content }}{% endfor %}",
            "Hello!",
        ),
        (
            "{% for m in messages %}{% if loop.last %}{% continue %}{% endif %}{{ m.role }},{% endfor %}",
            "user,assistant,",
        ),
        (
            "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
            "3",
        ),
        (
            "{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f('a') }}{{ tools is none }}{{ tools is defined }}",
            "<a>TrueTrue",
        ),
        (
            "{{ messages[-1]['content'].split(' ')[0] }}{{ messages[1].content.rstrip() }}{{ 'abc'.startswith('ab') }}",
            "HowHi!True",
        ),
        ("a {%- generation -%} b {%- endgeneration %} c{% generation %}d{% endgeneration %}", "ab cd"),
        (
            "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | join('/') }}",
            "Hello!/How are you?",
        ),
        (
            "{{ add_generation_prompt }}{{ (messages|length) }}{{ 'x' if 'user' in messages[0].role else 'y' }}",
            "True3x",
        ),
    ];
    for (source, wanted) in cases {
        assert_eq!(rendered(source, &conversation()).as_deref(), Ok(wanted), "{source}");
    }
    assert!(rendered("{{ nothing|tojson }}", &[]).is_err());
    assert!(rendered("{{ nothing.more }}", &[]).is_err());
}

#[test]
fn every_special_token_has_its_name() {
    let mut specials = SpecialNames::from([
        ("bos_token", "<s>"),
        ("unk_token", "<unk>"),
        ("pad_token", "[PAD]"),
        ("image_token", "<image>"),
    ]);
    let rendered = |specials: &SpecialNames, source: &str| {
        let jinja = Jinja { source: source.to_owned(), specials: specials.clone() };
        jinja.render(&conversation(), End::Answer).unwrap()
    };
    let source = "{{ bos_token }}{{ unk_token }}{{ pad_token }}{{ image_token }}";
    assert_eq!(rendered(&specials, source), "<s><unk>[PAD]<image>");
    // What a tokenizer lacks has no name, so that a template can ask.
    let asks = "{% if sep_token is defined %}{{ sep_token }}{% else %}none{% endif %}\
                {{ additional_special_tokens is defined }}{{ eos_token }}";
    assert_eq!(rendered(&specials, asks), "noneFalse");
    specials.additional = vec!["<h>".to_owned(), "<b>".to_owned()];
    assert_eq!(
        rendered(&specials, "{{ additional_special_tokens[1] }}{{ additional_special_tokens }}"),
        "<b>['<h>', '<b>']"
    );
}

#[test]
fn the_date_is_the_one_given() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_721_952_000);
    let at = |source| jinja(source).render_at(now, &[], End::Answer);
    assert_eq!(at("{{ strftime_now('%d %b %Y') }}").unwrap(), "26 Jul 2024");
    assert!(at("{{ strftime_now('%Q') }}").unwrap_err().to_string().contains("%Q"));
}

#[test]
fn a_final_message_can_be_left_open() {
    let source = "{% for m in messages %}[{{ m.content|trim }}]{% endfor %}";
    let plain = "{% for m in messages %}[{{ m.content }}]{% endfor %}";
    let messages = [Message::user("a"), Message::assistant(" so \n")];
    let open = |source| jinja(source).render(&messages, End::Open);
    assert_eq!(open(source).unwrap(), "[a][so");
    assert_eq!(open(plain).unwrap(), "[a][ so \n");
    assert!(open("x").unwrap_err().to_string().contains("last message"));
}

#[test]
fn runaway_templates_stop() {
    let doubling = "{% set a = 'x' %}".to_owned() + &"{% set a = a ~ a %}".repeat(60) + "{{ a }}";
    let nested = "{% set a = ['x'] %}".to_owned() + &"{% set a = [a, a] %}".repeat(60);
    for source in [
        "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}".to_owned(),
        "{{ 'x' * 100000000000 }}".to_owned(),
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}".to_owned(),
        doubling,
        format!("{nested}{{{{ a }}}}"),
        format!("{nested}{{{{ a|tojson }}}}"),
        "{{ [1]|tojson(indent=99999999999) }}".to_owned(),
        "x".repeat(MAX_SOURCE + 1),
    ] {
        assert!(rendered(&source, &conversation()).is_err(), "{}", source.get(..60).unwrap_or(&source));
    }
}

proptest::proptest! {
    #[test]
    fn any_template_renders_or_is_refused(
        parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "{{", "}}", "{%", "%}", "-", " if ", "endif", " for m in messages ", "endfor", "m.content",
                "messages", "[0]", "['role']", "|tojson", "|trim", ".strip()", "'a'", "+", "generation", "é", "\n",
            ]),
            0..16,
        )
    ) {
        let _ = rendered(&parts.concat(), &conversation());
    }
}
