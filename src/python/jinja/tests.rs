//! Templates of task files, in the constructs that they use.

use super::*;
use serde_json::json;

fn render(template: &str, document: serde_json::Value) -> Result<String, String> {
    let template = Template::new(template, Program::LmEval).map_err(|error| describe(&error))?;
    template.render(&print::to_value(&document)).map_err(|error| describe(&error))
}

#[test]
fn prompts_of_the_known_suites() {
    let document = json!({"question": " What? ", "choices": ["a", "b"], "answer": 1});
    let template = "{{question.strip()}}\nA. {{choices[0]}}\nB. {{choices[1]}}\nAnswer:";
    assert_eq!(render(template, document).unwrap(), "What?\nA. a\nB. b\nAnswer:");
    let arc = json!({"choices": {"text": ["x", "it's"], "label": ["A", "B"]}, "answerKey": "B "});
    assert_eq!(render("{{choices.text}}", arc.clone()).unwrap(), "['x', \"it's\"]");
    assert_eq!(render("{{choices.label.index(answerKey.rstrip())}}", arc.clone()).unwrap(), "1");
    assert!(render("{{choices.label.index('Z')}}", arc).unwrap_err().contains("not in the list"));
    let lambada = json!({"text": "one two three"});
    assert_eq!(render("{{text.split(' ')[:-1]|join(' ')}}", lambada.clone()).unwrap(), "one two");
    assert_eq!(render("{{' '+text.split(' ')[-1]}}", lambada).unwrap(), " three");
    assert_eq!(render("{{ (label|int) - 1 }}", json!({"label": "3"})).unwrap(), "2");
    assert_eq!(render("{{['A', 'B'].index(a)}}", json!({"a": "B"})).unwrap(), "1");
    assert_eq!(render("{{[s1, s2]}}", json!({"s1": "a\n", "s2": "b"})).unwrap(), "['a\\n', 'b']");
}

#[test]
fn white_space_and_line_ends() {
    assert_eq!(render("a\r\n{% if true %}\nb\n{% endif %}\n", json!({})).unwrap(), "a\n\nb\n\n");
    assert_eq!(render("{{x}}\n", json!({"x": "1\r\n"})).unwrap(), "1\r\n\n");
}

#[test]
fn values_print_as_python() {
    let document = json!({"a": true, "b": null, "c": 1.0, "d": {"k": [1]}});
    assert_eq!(render("{{a}} {{b}} {{c}} {{d}}", document.clone()).unwrap(), "True None 1.0 {'k': [1]}");
    assert_eq!(render("{{a|string + d|string}}", document).unwrap(), "True{'k': [1]}");
    assert_eq!(render("{{(1, 'a')}} {{range(3)|list}}", json!({})).unwrap(), "(1, 'a') [0, 1, 2]");
}

#[test]
fn undefined_names_are_errors_but_can_be_asked_for() {
    assert!(render("{{nothing}}", json!({})).is_err());
    assert!(render("{{a.b}}", json!({"a": {}})).is_err());
    let template = "{% if x is defined %}yes{% elif y is none %}no{% endif %}";
    assert_eq!(render(template, json!({"y": null})).unwrap(), "no");
    assert_eq!(render("{{'a' if x is undefined else 'b'}}", json!({})).unwrap(), "a");
}

#[test]
fn constructs_of_the_census() {
    let document = json!({"n": 3, "s": "1-2", "l": ["b", "a"], "k": "2"});
    for (template, wanted) in [
        ("{% for i in range(n) %}{{loop.index}}{% if not loop.last %},{% endif %}{% endfor %}", "1,2,3"),
        ("{% set x = l|length %}{{x - 1}}", "1"),
        ("{{s.split('-')[1]}}{{s[0]}}{{s[:1]}}{{s[-1]}}{{l[1:]}}", "2112['a']"),
        ("{{'ABCD'[k|int - 1]}}", "B"),
        ("{{'x' if k in '123' else 'y'}}", "x"),
        ("{{l|map('upper')|join('/')}}", "B/A"),
        ("{{s|replace('-', '+')|trim}}", "1+2"),
        ("{{s|regex_replace('(\\\\d)-', '\\\\1~')}}", "1~2"),
        ("{{'%s' % n if false else n|string}}", "3"),
        ("{{'abc'|int}}{{'3.7'|int}}{{', '.join(l)}}", "03b, a"),
    ] {
        assert_eq!(render(template, document.clone()).unwrap(), wanted, "{template}");
    }
}

#[test]
fn runaway_templates_stop() {
    let said =
        render("{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}", json!({}));
    assert!(said.unwrap_err().contains("fuel"));
}

/// A loop that changes `ns.x` so many times.
fn again(times: usize, change: &str) -> String {
    let body = format!("{{% for i in range({times}) %}}{{% set ns.x = {change} %}}{{% endfor %}}");
    format!("{{% set ns = namespace(x=[1, 'a']) %}}{body}")
}

#[test]
fn values_are_paid_for_before_they_are_made() {
    let wide = |format: &str| format!("{{{{ '{format}'.format(1.5) }}}}");
    for source in [
        again(60, "ns.x + ns.x"),
        again(60, "ns.x * 2"),
        again(60, "[ns.x, ns.x]"),
        again(60, "(ns.x, ns.x)"),
        again(60, "{'a': ns.x, 'b': ns.x}"),
        again(60, "dict(a=ns.x, b=ns.x)"),
        again(60, "ns.x ~ ns.x"),
        again(60, "ns.x|string + ns.x|string"),
        again(60, "'{0}{0}'.format(ns.x|string)"),
        again(60, "ns.x|join|replace('a', 'aa')|list"),
        again(60, "[ns.x|string]|join(ns.x|string)|replace('a', 'aa')|list"),
        again(90_000, "[ns.x]"),
        again(90_000, "ns.x|batch(1)"),
        again(90_000, "ns.x|slice(1)"),
        again(90_000, "[ns.x]|groupby('0')"),
        again(60, "[ns.x, ns.x]|sum(start=[])"),
        again(60, "[ns.x|string, ns.x|string]|sum(start='')"),
        "{% set x = [1] %}".to_owned() + &"{% set x = x|batch(1) %}".repeat(30_000),
        "{{ ([[]] * 1000000)|sum(start=[1] * 100)|length }}{{ ([[1] * 1000] * 100000)|sum(start=[])|length }}"
            .to_owned(),
        "{{ '%2000000000s'|format('x') }}".to_owned(),
        "{{ 'x'|indent(2000000000, true) }}".to_owned(),
        "{% set x = [1] %}".to_owned() + &"{% set x = x + x %}".repeat(60) + "{{ x|length }}",
        "{{ ([1] * 1000000000 + [1])|length }}".to_owned(),
        wide("{:>2000000000}"),
        wide("{:.2000000000f}"),
        wide("{0:<2000000000}"),
        wide(&"{:>9000000}".repeat(20)),
        format!("{{{{ '{}'.format('x' * 1000000) }}}}", "{0}".repeat(1000)),
        "{{ ('x' * 1000000).replace('', 'y' * 1000000) }}".to_owned(),
        "{{ ('x' * 1000000)|replace('', 'y' * 1000000) }}".to_owned(),
        "{{ ('x' * 1000000).split('x')|length }}{{ ('x ' * 10000000).split()|length }}".to_owned(),
        "{{ ('y' * 1000000).join(['x'] * 1000000) }}".to_owned(),
        "{{ (['x'] * 1000000)|join('y' * 1000000) }}".to_owned(),
        "{{ ('x' * 100000)|regex_replace('x', 'y' * 100000) }}".to_owned(),
        "{{ 'x' * 20000000 }}".to_owned(),
        "{% for i in range(90000) %}{% set _ = ('x' * 1000000).count('y') %}{% endfor %}".to_owned(),
    ] {
        let begun = std::time::Instant::now();
        assert!(render(&source, json!({})).is_err(), "{source}");
        assert!(begun.elapsed().as_secs() < 20, "{source}");
    }
    let deep = again(30_000, "ns.x[:]") + "{{ ns.x }}" + &again(30_000, "ns.x * 1") + "{{ ns.x }}";
    assert_eq!(render(&deep, json!({})).unwrap(), "[1, 'a'][1, 'a']");
    assert!(render("{{ 'x' * 5000000 }}", json!({})).is_ok());
}

#[test]
fn what_is_compared_and_looked_up_is_paid_for() {
    let again = |set: &str, what: &str| format!("{set}{{% for i in range(99999) %}}{what}{{% endfor %}}x");
    let two =
        "{% set s = 'a' * 4000000 %}{% set a = s ~ 'b' %}{% set b = s ~ 'c' %}{% set e = 'é' * 4000000 %}";
    let mut sources: Vec<String> = [
        "{% if a == b %}{% endif %}",
        "{% if a < b %}{% endif %}",
        "{% if 'A' < a < b %}{% endif %}",
        "{% if [a] == [b] %}{% endif %}",
        "{% if a is eq b %}{% endif %}",
        "{% if a is ge b %}{% endif %}",
        "{% if a is sameas b %}{% endif %}",
        "{% if a is endingwith s %}{% endif %}",
        "{% if e is lower %}{% endif %}",
        "{% if a in [b] %}{% endif %}",
        "{% if a is in [b] %}{% endif %}",
        "{% if a in {'x': 1} %}{% endif %}",
        "{% if e[-1] == 'b' %}{% endif %}",
        "{% set x = e[i:i + 1] %}",
        "{% for c in e %}{% break %}{% endfor %}",
        "{% set x = {'x': 1}.get(a) %}",
        "{% set x = {'x': 1}[a] is defined %}",
        "{% set x = {a: 1} %}",
        "{% set x = [a, b]|max %}",
        "{% set x = [a, b]|sort %}",
        "{% set x = [b].count(a) %}",
        "{% set x = s.startswith(s) %}",
        "{% set x = s.find(a) %}",
        "{% if loop.changed(a) %}{% endif %}",
    ]
    .iter()
    .map(|what| again(two, what))
    .collect();
    let many = "{% set l = [a] * 20000 %}";
    for what in
        ["b in l", "l|unique", "l|sort", "l|min", "l|max", "l.index(b)", "l.count(b)", "l|select('eq', b)"]
    {
        sources.push(format!("{two}{many}{{% set x = {what} %}}x"));
    }
    sources.push(format!("{two}{many}{{% for g in l|groupby('x', default=s) %}}{{% endfor %}}x"));
    sources.push(format!("{two}{many}{{{{ ([{{'x': 1}}] * 20000)|map(attribute=s)|list|length }}}}"));
    sources.push(format!("{two}{{{{ s.strip(a) }}}}"));
    for source in sources {
        let begun = std::time::Instant::now();
        let said = render(&source, json!({})).unwrap_err();
        assert!(said.contains("fuel") || said.contains("to trim"), "{source}: {said}");
        assert!(begun.elapsed().as_secs() < 20, "{source}");
    }
    let plain = "{{ 1 < 2 < 3 }}{{ 1 < 3 < 2 }}{{ 'a' in 'ab' }}{{ 1 in [2] }}{{ 'b' not in {'b': 1} }}{{ 'é'[-1] }}{{ [1, 2][-1] }}{{ {'a': 1}['a'] }}\
                 {{ [1, 2] == [1, 2] }}{{ 'a' != 'b' }}{% for i in [1, 1, 2] %}{{ loop.changed(i) }}{% endfor %}\
                 {{ [1, 2]|select('eq', 2)|list }}{{ [3, 1]|sort }}{{ [{'a': 1}]|map(attribute='a')|list }}{{ [1, 1].count(1) }}{{ [5, 6].index(6) }}\
                 {% for i in [[1, []]] recursive %}{{ i[0] }}{{ loop(i[1]) }}{% endfor %}{{ 'b' in 'abc' == true }}";
    let made = render(plain, json!({})).unwrap();
    assert!(made.starts_with("TrueFalseTrueFalseFalseé21TrueTrueTrueFalseTrue[2][1, 3][1]211"), "{made}");
}

#[test]
fn nothing_holds_itself() {
    for source in [
        "{% set a = namespace() %}{% set b = namespace(x=a) %}{% set a.x = b %}{{ a == b }}",
        "{% set a = namespace() %}{% set a.x = [{'a': a}] %}{{ a }}",
        "{% set ns = namespace(x=1) %}{% for i in range(60000) %}{% set n = namespace() %}{% set n.x = ns.x %}\
         {% set ns.x = n %}{% endfor %}",
        "{% set ns = namespace(m=1) %}{% for i in range(60000) %}{% set x = ns.m %}\
         {% macro m() %}{{ x }}{% endmacro %}{% set ns.m = m %}{% endfor %}",
        "{{ debug() }}",
    ] {
        assert!(render(source, json!({})).is_err(), "{source}");
    }
    let chain = "{% set x = m %}{% macro m() %}{{ x }}{% endmacro %}".repeat(15_000);
    let _ = render(&format!("{{% set m = 1 %}}{chain}"), json!({}));
}

/// What is kept in a namespace passes a filter, which moves all that comes after it.
#[test]
fn namespaces_keep_data_of_all_kinds() {
    let source = "{% set ns = namespace(x=0, l=[]) %}{% for i in [1, 2, 3] if i != 2 %}\n\
                  {% if i == 1 %}{% set ns.x = ns.x + i %}{% else %}{% set ns.l = ns.l + [i if i else 0] %}{% endif %}\
                  {% else %}none{% endfor %}{% for i in [] %}{% set ns.x = 9 %}{% else %}{% set ns.y = 'y' or 1 %}\
                  {% endfor %}{% macro m(a) %}{% set own = namespace() %}{% set own.z = a and {'k': (a, none)} %}{{ own.z.k[0] }}{% endmacro %}\
                  {{ m('m') }}{{ ns.x }}{{ ns.l }}{{ ns.y }}{{ ns.z is undefined }}{{ m('n') }}";
    assert_eq!(render(source, json!({})).unwrap(), "\n\nm1[3]yTruen");
    let said = render("{% set ns = namespace() %}\n\n{% set ns.x = 1 %}\n{{ 'a' + 1 }}", json!({}));
    assert!(said.as_ref().unwrap_err().contains("(template line 4)"), "{said:?}");
    let lists = "{{ [[1], [2]]|sum(start=[0]) }} {{ [{'a': [1]}]|sum('a', []) }} {{ [1, 2]|sum }} {{ [3, 4, 5]|batch(2) }} \
                 {{ [3, 4, 5]|slice(2) }}{% for g, l in [{'a': 1}, {'a': 2}]|groupby('a') %} {{ g }}{{ l|length }}{% endfor %}";
    assert_eq!(render(lists, json!({})).unwrap(), "[0, 1, 2] [1] 3 [[3, 4], [5]] [[3, 4], [5]] 11 21");
}

/// Each is what Jinja 3.1 in Python makes of it.
#[test]
fn operators_are_python_s() {
    let document = json!({"l": ["b", "a"], "s": "ab", "n": 3, "d": {"k": [1]}});
    for (template, wanted) in [
        (
            "{{ l + l }} {{ (l + [1])[2] }} {{ (1, 2) + (3,) }} {{ n + 1 }} {{ n + 0.5 }} {{ s + 'c' }}",
            "['b', 'a', 'b', 'a'] 1 (1, 2, 3) 4 3.5 abc",
        ),
        (
            "{{ l * 2 }} {{ 2 * l }} {{ s * n }} {{ n * s }} {{ n * 4 }} {{ (1,) * 2 }} {{ l * -1 }}",
            "['b', 'a', 'b', 'a'] ['b', 'a', 'b', 'a'] ababab ababab 12 (1, 1) []",
        ),
        ("{{ s ~ none ~ 1.0 ~ true ~ l ~ d }}", "abNone1.0True['b', 'a']{'k': [1]}"),
        (
            "{{ l[::-1] }} {{ l[1:] }} {{ s[::-1] }} {{ s[:1] }} {{ l[-1:] }} {{ (1, 2, 3)[1:] }}",
            "['a', 'b'] ['a'] ba a ['a'] (2, 3)",
        ),
        (
            "{{ {'b': 1, 2: [n]} }} {{ dict(a=n) }} {{ [] }} {{ () }} {{ {} }} {{ [[n], (n,)] }}",
            "{'b': 1, 2: [3]} {'a': 3} [] () {} [[3], (3,)]",
        ),
        (
            "{% for x in [3, 1, 2] if x > 1 %}{{ x }}{% endfor %}{% for x in l + l %}{{ x }}{% endfor %}",
            "32baba",
        ),
        (
            "{{ (l + l)|length }}{{ 'b' in l + ['c'] }}{{ (l + l).index('a') }}{{ (l[1:] + l).count('a') }}",
            "4True12",
        ),
    ] {
        assert_eq!(render(template, document.clone()).as_deref(), Ok(wanted), "{template}");
    }
    for template in
        ["{{ s + 1 }}", "{{ l + s }}", "{{ nothing + s }}", "{{ s ~ nothing }}", "{{ nothing[1:] }}"]
    {
        assert!(render(template, document.clone()).is_err(), "{template}");
    }
    let said = render("\n{{ s + 1 }}", document).unwrap_err();
    assert!(said.contains("(template line 2)"), "{said}");
}

#[test]
fn filters_take_an_undefined_value_as_the_program_says() {
    for filter in ["trim", "string", "capitalize", "join('-')", "int", "tojson"] {
        assert!(render(&format!("{{{{ nothing|{filter} }}}}"), json!({})).is_err(), "{filter}");
    }
    let lenient = Template::new("[{{ nothing|trim }}{{ nothing }}]", Program::Transformers).unwrap();
    assert_eq!(lenient.render(&Value::from_pairs([("a", 1)])).unwrap(), "[]");
}

/// Each is what Jinja 3.1 in Python makes of it.
#[test]
fn filters_have_python_s_arguments() {
    let document = json!({"s": " x- ", "d": {"b": [1, "<é>"], "a": 1.0}, "l": [1, null, "y"]});
    for (template, wanted) in [
        ("{{ s|trim(' -') }}", "x"),
        ("{{ 'a'|int(default=7) }}{{ '1_000'|int }}{{ 'a'|int(2) }}{{ none|int }}", "7100020"),
        (
            "{{ '12345678901234567890123'|int }} {{ '-9_007_199_254_740_993'|int }}",
            "12345678901234567890123 -9007199254740993",
        ),
        (
            "{{ '1e30'|int }} {{ 2.5e19|int }} {{ 'inf'|int(3) }}",
            "1000000000000000019884624838656 25000000000000000000 3",
        ),
        ("{{ l|join(d=' ') }}", "1 None y"),
        ("{{ d|tojson }}", "{\"a\": 1.0, \"b\": [1, \"\\u003c\\u00e9\\u003e\"]}"),
        ("{{ 'a1b22'|regex_replace('[0-9]+', '<\\\\g<0>>', count=1) }}", "a<1>b22"),
        ("{{ 'ab'|regex_replace('(?<=a)b', 'c') }}", "ac"),
        ("{{ 'it\\'s a-b'.title() }}|{{ 'a\\x1cb'.splitlines()|length }}", "It'S A-B|2"),
    ] {
        assert_eq!(render(template, document.clone()).as_deref(), Ok(wanted), "{template}");
    }
    for template in
        ["{{ 'a'|regex_replace('(', '') }}", "{{ 'a'|regex_replace('a', '\\\\1') }}", "{{ s|trim(x=1) }}"]
    {
        assert!(render(template, document.clone()).is_err(), "{template}");
    }
}

/// Python's whole numbers have no end; ours have 128 bits.
#[test]
fn whole_numbers_that_do_not_fit_are_refused() {
    let long = "1".to_owned() + &"0".repeat(40);
    for number in [json!(long), json!(format!("-{long}")), json!("1e39"), json!(1e39), json!(-1e300)] {
        let said = render("{{ n|int }}", json!({"n": number})).unwrap_err();
        assert!(said.contains("at most 128 bits"), "{number}: {said}");
    }
}

/// Found by fuzzing: the code that fills fields in panicked within a character of a key.
#[test]
fn keys_of_formats_with_other_letters_are_refused() {
    let values = || json!({"m": {"é": 1, "e": 2}});
    for source in [
        "{{ '{inp[Оii0pОii0000(0000(0}'.format() }}",
        "0{{' {{{ae[pȂ'.format('x') }}",
        "{{ '{1[99Ǽ99}'.format('x') }}",
        "{{ '{0.a[é]}'.format(m) }}",
        "{{ '{0[a}é]}'.format(m) }}",
        "{{ '%(é)s'|format(m) }}",
        "{{ '%s %(pȂ'|format(m) }}",
    ] {
        assert!(render(source, values()).is_err(), "{source}");
    }
    for (source, text) in [
        ("{{ '{0[e]} [é] {{[é]}} {1:é>3}'.format(m, 'x') }}", "2 [é] {[é]} ééx"),
        ("{{ '%(e)s(é) %%(é)'|format(m) }}", "2(é) %(é)"),
        ("{{ '%s(é)'|format('x') }}", "x(é)"),
    ] {
        assert_eq!(render(source, values()).unwrap(), text, "{source}");
    }
}
