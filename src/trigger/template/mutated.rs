//! Templates with something wrong in them: refused, or rendered within their bounds; never a panic.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::{Counter, Place, Template, Values};
use crate::mutate;

const TEMPLATES: [&str; 8] = [
    r#"{"op": 2, "s": {{msg.d.s}}, "t": "$var:u/a/t", "n": {{vars.o.k[0]}}, "c": {{counter()}}}"#,
    "wss://example.com/?c={{vars.cursor|urlencode}}&t=$var:u/a/t&n={{now_ms()}}",
    "{% for x in vars.o.k %}{{x}},{% endfor %}{{ state|raw }}",
    "{% if vars.n > 3 and not vars.nil %}{{vars.name|upper}}{% else %}{{''|raw}}{% endif %}",
    "{{ vars.o|tojson }} {{ vars.big }} {{ vars.missing.deeper.still }} {{ range(10)|join('-') }}",
    "{% set x = vars.o %}{% macro m(a, b=1) %}{{a}}{{b}}{% endmacro %}{{ m(x.k, b=x.k|length) }}",
    "{{ vars.name[1:3]|replace('o', 'ö')|default('x')|trim|length // 2 ** 3 % 4 - -1 }}",
    "plain $var:u/a/t text $$var: {# comment #} $var:u/a",
];

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

proptest! {
    #![proptest_config(mutate::cases(3_000))]

    #[test]
    fn a_template_is_refused_or_renders_within_its_bounds(
        known in 0..TEMPLATES.len(), seed in any::<u64>(), place in 0..3_usize, stored in ".{0,12}",
    ) {
        let place = [Place::Message, Place::Url, Place::Header][place];
        let source = mutate::text(TEMPLATES[known], seed);
        let Ok(template) = Template::parse(&source, place) else { return Ok(()) };
        let stored_json = serde_json::to_string(&stored).unwrap();
        let vars = [("name", stored_json.as_str()), ("n", "12"), ("big", "12345678901234567890123"), ("nil", "null"),
            ("o", r#"{"k":[1,2.5,null]}"#), ("cursor", r#""a b/?&""#)];
        let vars: BTreeMap<String, Box<RawValue>> = vars.map(|(name, text)| (name.to_owned(), raw(text))).into();
        let variables: BTreeMap<_, _> = template.variables().iter().map(|path| (path.clone(), stored.clone())).collect();
        let (state, counter) = (raw("[1]"), Counter::default());
        let values = Values {
            vars: Some(&vars),
            state: Some(&state),
            variables: Some(&variables),
            msg: Some(r#"{"d":{"s":1}}"#),
            counter: Some(&counter),
            ..Values::default()
        };
        if let Ok(text) = template.render(&values) {
            prop_assert!(text.len() <= 2 * 1024 * 1024, "{} bytes of {}", text.len(), source);
            let control = text.chars().any(|letter| letter.is_control() && letter != '\t');
            prop_assert!(place == Place::Message || !control || template.is_literal(), "{:?} of {:?}", text, source);
        }
    }
}
