//! Every rule of templates and of `$var:` references.

use proptest::prelude::*;

use super::*;

/// Stored values, state and variables to render with.
struct World {
    vars: BTreeMap<String, Box<RawValue>>,
    state: Option<Box<RawValue>>,
    msg: Option<&'static str>,
    variables: BTreeMap<ObjectPath, String>,
    counter: Counter,
}

fn raw_json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn world() -> World {
    let vars = [
        ("name", r#""bo\"b {{state}} $var:u/a/t""#),
        ("n", "12"),
        ("big", "12345678901234567890123"),
        ("o", r#"{"k":[1,2.5,null]}"#),
        ("nil", "null"),
        ("crlf", r#""a\r\nb""#),
        ("cursor", r#""a b/?&é""#),
    ];
    World {
        vars: vars
            .map(|(name, text)| (name.to_owned(), raw_json(text)))
            .into(),
        state: Some(raw_json(r#""s1""#)),
        msg: Some(r#"{"a":{"b":"x"},"id":18446744073709551615}"#),
        variables: [("u/a/t", "to\"k{{n}}$var:u/a/t"), ("f/x/y", "plain")]
            .map(|(path, value)| (path.parse().unwrap(), value.to_owned()))
            .into(),
        counter: Counter::default(),
    }
}

impl World {
    fn render(&self, text: &str, place: Place) -> Result<String, RenderError> {
        Template::parse(text, place).unwrap().render(&Values {
            state: self.state.as_deref(),
            vars: Some(&self.vars),
            counter: Some(&self.counter),
            now_ms: 1_700_000_000_123,
            msg: self.msg,
            variables: Some(&self.variables),
        })
    }
}

#[test]
fn of_duplicate_keys_the_first_counts() {
    let mut world = world();
    world.msg = Some(r#"{"id":"a","o":{"k":1,"k":[2]},"id":"b"}"#);
    let text = "{{msg.id}} {{msg.o.k}} {{msg.o}}";
    assert_eq!(
        world.render(text, Place::Message).unwrap(),
        r#""a" 1 {"k":1}"#
    );
}

#[test]
fn values_are_json_in_messages() {
    for (text, expected) in [
        (r#"{"d":{{state}}}"#, r#"{"d":"s1"}"#),
        (r#"{"a":{"d":{{vars.n}}}}"#, r#"{"a":{"d":12}}"#),
        ("{{vars.name}}", r#""bo\"b {{state}} $var:u/a/t""#),
        ("{{vars.name|raw}}", r#"bo"b {{state}} $var:u/a/t"#),
        ("{{vars.o}}", r#"{"k":[1,2.5,null]}"#),
        ("{{vars.o.k[1]}}", "2.5"),
        ("{{vars.big}}", "12345678901234567890123"),
        ("{{vars.nil}}", "null"),
        ("{{vars.gone}}", "null"),
        ("{{vars.gone|raw}}", "null"),
        ("{{vars.a.b.c}}", "null"),
        ("{{vars.nil.b.c}}", "null"),
        ("{{vars.n.b.c}}", "null"),
        ("{{nothing.at.all}}", "null"),
        ("{{msg.a.b}} {{msg.id}}", r#""x" 18446744073709551615"#),
        ("{{now_ms()}}", "1700000000123"),
        ("{{true}} {{1 == 2}}", "true false"),
        ("{{vars.n + 1}}", "13"),
        ("{{vars.gone|default(0)}}", "0"),
        ("{% if vars.n > 3 %}{{vars.n}}{% endif %}\n", "12\n"),
        ("{{vars.o|tojson}}", r#"{"k": [1, 2.5, null]}"#),
        ("<&'>{{vars.n}}", "<&'>12"),
    ] {
        assert_eq!(
            world().render(text, Place::Message).as_deref(),
            Ok(expected),
            "{text}"
        );
    }
}

#[test]
fn values_are_text_in_urls_and_headers() {
    for place in [Place::Url, Place::Header] {
        for (text, expected) in [
            ("x={{state}}", "x=s1"),
            (
                "x={{vars.gone}}&y={{vars.a.b.c}}&z={{vars.nil}}",
                "x=&y=&z=",
            ),
            ("x={{vars.n}}&y={{vars.o}}", r#"x=12&y={"k":[1,2.5,null]}"#),
            ("x={{vars.cursor|urlencode}}", "x=a%20b%2F%3F%26%C3%A9"),
            ("x={{vars.gone|urlencode}}", "x="),
            ("Bearer {{vars.cursor|raw}}", "Bearer a b/?&é"),
            (
                "x={{ \"$var:u/a/t\"|urlencode }}",
                "x=to%22k%7B%7Bn%7D%7D%24var%3Au%2Fa%2Ft",
            ),
        ] {
            assert_eq!(
                world().render(text, place).as_deref(),
                Ok(expected),
                "{text}"
            );
        }
        for text in ["{{vars.crlf}}", "{{vars.crlf|raw}}", "a\nb", "{{'\\r'}}"] {
            let result = world().render(text, place);
            assert!(
                matches!(result, Err(RenderError::Control(_))),
                "{text}: {result:?}"
            );
        }
    }
    assert_eq!(
        world().render("a\nb", Place::Message).as_deref(),
        Ok("a\nb")
    );
}

#[test]
fn a_text_without_holes_is_untouched() {
    for text in [
        "",
        "hi\n",
        "{% if %}",
        "{# x #}",
        r#"{"a":{"b":1}}"#,
        "}}",
        "$va:x",
        "{ {state}}",
    ] {
        let template = Template::parse(text, Place::Message).unwrap();
        assert!(template.is_literal());
        assert_eq!(template.render(&Values::default()).as_deref(), Ok(text));
    }
}

#[test]
fn the_counter_counts_for_its_connection() {
    let world = world();
    assert_eq!(
        world
            .render("{{counter()}}{{counter()}}", Place::Message)
            .as_deref(),
        Ok("12")
    );
    assert_eq!(
        world.render("{{counter()}}", Place::Message).as_deref(),
        Ok("3")
    );
    let template = Template::parse("{{counter()}}", Place::Message).unwrap();
    assert_eq!(template.render(&Values::default()).as_deref(), Ok("1"));
}

#[test]
fn variables_are_put_in_once_and_never_read_as_templates() {
    let token = r#"to\"k{{n}}$var:u/a/t"#;
    for (text, expected) in [
        (r#"{"t":"$var:u/a/t"}"#, format!(r#"{{"t":"{token}"}}"#)),
        (
            r#"{"t":"$var:u/a/t","n":{{vars.n}}}"#,
            format!(r#"{{"t":"{token}","n":12}}"#),
        ),
        ("{$var:f/x/y}{{vars.n}}", "{plain}12".to_owned()),
        ("$var:f/x/y$var:f/x/y", "plainplain".to_owned()),
        ("$var:f/x/y/ {{vars.n}}", "plain/ 12".to_owned()),
        (
            "{% raw %}{{x}}$var:f/x/y{{% endraw %}{{vars.n}}",
            "{{x}}plain{12".to_owned(),
        ),
        (
            "{%- raw -%} {$var:f/x/y} {%- endraw -%} {{vars.n}}",
            "{plain}12".to_owned(),
        ),
        ("{# $var:no #}{{vars.n}}", "12".to_owned()),
        ("{{ '$var:f/x/y' ~ 1 }}", "\"plain1\"".to_owned()),
        (
            "{{ {'a':{'b':'$var:f/x/y'}} }}",
            r#"{"a":{"b":"plain"}}"#.to_owned(),
        ),
        ("{{ '}}' }}$var:f/x/y", "\"}}\"plain".to_owned()),
        ("{% set x = '$var:f/x/y' %}{{x}}", "\"plain\"".to_owned()),
    ] {
        assert_eq!(world().render(text, Place::Message), Ok(expected), "{text}");
    }
    let url = "wss://h/?t=$var:u/a/t";
    assert_eq!(
        world().render(url, Place::Url).as_deref(),
        Ok("wss://h/?t=to\"k{{n}}$var:u/a/t")
    );
    // A stored value or a message that looks like a reference is text.
    let world = World {
        msg: Some(r#"{"a":"$var:u/a/t{{counter()}}"}"#),
        ..world()
    };
    assert_eq!(
        world.render("{{msg.a}}", Place::Message).as_deref(),
        Ok("\"$var:u/a/t{{counter()}}\"")
    );
}

#[test]
fn variables_are_named_before_they_are_needed() {
    let names = |text: &str| {
        variables_in(text)
            .map(|paths| paths.iter().map(ToString::to_string).collect::<Vec<_>>())
            .map_err(|e| e.0)
    };
    assert_eq!(names("a"), Ok(vec![]));
    assert_eq!(
        names("$var:u/a/t,$var:f/b/c/d $var:u/a/t"),
        Ok(vec!["u/a/t".into(), "f/b/c/d".into()])
    );
    assert_eq!(
        names("{{ '$var:u/a/t' }}$var:f/b/c"),
        Ok(vec!["u/a/t".into(), "f/b/c".into()])
    );
    for bad in [
        "$var:",
        "$var:x",
        "x $var:u/a",
        "{{1}}$var:",
        "{{ 'a $var:u/a/t' }}",
        "{{ '$var:' }}",
    ] {
        assert!(names(bad).is_err(), "{bad}");
        assert!(Template::parse(bad, Place::Message).is_err(), "{bad}");
    }
    let many: String = (0..65).map(|n| format!("$var:u/a/v{n} ")).collect();
    assert_eq!(
        names(&many),
        Err("refers to more than 64 variables".to_owned())
    );
    assert_eq!(
        variable_only("$var:u/a/t"),
        Ok(Some("u/a/t".parse().unwrap()))
    );
    assert_eq!(variable_only("-----BEGIN"), Ok(None));
    assert!(variable_only("$var:u/a/t\n").is_err());
    let template = Template::parse("$var:u/a/t", Place::Header).unwrap();
    let error = template.render(&Values::default()).unwrap_err();
    assert_eq!(error.to_string(), "variable 'u/a/t' is not available");
}

#[test]
fn bad_templates_are_found_when_parsed() {
    for bad in [
        "{{",
        "{{ }}",
        "{{ vars. }}",
        "{{1}}{% if %}",
        "{{1}}{% for %}",
        "{{ state|nosuch }}",
        "{{ nosuch() }}",
        "{{1}}{% include 'x' %}",
        "{{1}}{% extends 'x' %}",
        "{{1}}{% macro m() %}{% endmacro %}",
    ] {
        let error = Template::parse(bad, Place::Message).unwrap_err();
        assert!(error.0.starts_with("template: "), "{bad}: {error}");
    }
    assert!(
        Template::parse("{{ state + 1 }}", Place::Message).is_ok(),
        "may work with a value"
    );
}

#[test]
fn no_template_nests_values_to_the_end_of_the_stack() {
    let with = |inner: &str, count: usize| {
        format!(
            "{{% with x=[1]{} %}}{{{{x}}}}{{% endwith %}}",
            inner.repeat(count)
        )
    };
    for text in [
        format!("{}{{{{x}}}}", "{%set x=[x]%}".repeat(620)),
        with(",x=[x]", 1_300),
        format!("{{{{ [1]{} }}}}", "|batch(1)".repeat(900)),
        format!("{{{{ [1]{}|tojson }}}}", "|batch(1)".repeat(900)),
    ] {
        let _ = world().render(&text, Place::Message);
    }
    for text in [
        format!("{}{{{{x}}}}", "{%set x=[x]%}".repeat(700)),
        with(",x=[x]", 1_400),
        "{% set n = namespace() %}{% for i in range(9999) %}{% set n.x = [n.x] %}{% endfor %}{{n.x}}".to_owned(),
        format!("{{{{ {}1{} }}}}", "[".repeat(4_000), "]".repeat(4_000)),
    ] {
        assert!(Template::parse(&text, Place::Message).is_err(), "{text}");
    }
    let many = format!("[{}{{{{counter()}}}}]", "1, ".repeat(100_000));
    assert!(
        world().render(&many, Place::Message).is_ok(),
        "the text around the tags may be long"
    );
}

#[test]
fn rendering_is_bounded() {
    let bounded = |text: &str| {
        let result = world().render(text, Place::Message);
        assert!(
            matches!(result, Err(RenderError::Template(_) | RenderError::TooLong)),
            "{text}: {result:?}"
        );
    };
    bounded(
        "{% for a in range(100000) %}{% for b in range(100000) %}{{a}}{% endfor %}{% endfor %}{{1}}",
    );
    bounded("{{ 'x' * 100000000 }}");
    bounded("{% set x = 'x' * 600000 %}{{x}}{{x}}");
    let world = World {
        variables: [("u/a/t".parse().unwrap(), "x".repeat(2 * 1024 * 1024))].into(),
        ..world()
    };
    assert_eq!(
        world.render("$var:u/a/t", Place::Url),
        Err(RenderError::TooLong)
    );
    assert_eq!(
        world.render("$var:u/a/t{{1}}", Place::Url),
        Err(RenderError::TooLong)
    );
}

proptest! {
    #[test]
    fn a_stored_string_comes_back_whole(value in ".{0,40}") {
        let vars = BTreeMap::from([("v".to_owned(), raw_json(&serde_json::to_string(&value).unwrap()))]);
        let values = Values { vars: Some(&vars), ..Values::default() };
        let text = Template::parse(r#"{"v":{{vars.v}}}"#, Place::Message).unwrap().render(&values).unwrap();
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), serde_json::json!({"v": value}));
        let variables = BTreeMap::from([("u/a/v".parse().unwrap(), value.clone())]);
        let values = Values { variables: Some(&variables), ..Values::default() };
        for source in [r#"{"v":"$var:u/a/v"}"#, r#"{"v":"$var:u/a/v"{{''|raw}}}"#] {
            let text = Template::parse(source, Place::Message).unwrap().render(&values).unwrap();
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), serde_json::json!({"v": value.clone()}));
        }
    }

    #[test]
    fn parsing_never_panics(text in "[{}%#\"' $var:u/a-b|x()\\\\]{0,40}") {
        if let Ok(template) = Template::parse(&text, Place::Message) {
            let _ = template.render(&Values::default());
        }
    }
}
