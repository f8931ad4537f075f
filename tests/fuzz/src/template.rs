//! Templates: refused, or rendered within their bounds. The first byte is the place, the first line a stored value.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use windsock::trigger::template::{Counter, Place, Template, Values};

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).expect("JSON")
}

pub(crate) fn run(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    let (stored, source) = text.split_once('\n').unwrap_or(("", text));
    let place = [Place::Message, Place::Url, Place::Header][usize::from(*first) % 3];
    let Ok(template) = Template::parse(source, place) else {
        return;
    };
    let stored_json = serde_json::to_string(stored).expect("a string");
    let vars = [
        ("name", stored_json.as_str()),
        ("n", "12"),
        ("big", "12345678901234567890123"),
        ("nil", "null"),
        ("o", r#"{"k":[1,2.5,null]}"#),
        ("cursor", r#""a b/?&""#),
    ];
    let vars: BTreeMap<String, Box<RawValue>> =
        vars.map(|(name, text)| (name.to_owned(), raw(text))).into();
    let variables = template.variables().iter();
    let variables: BTreeMap<_, _> = variables
        .map(|path| (path.clone(), stored.to_owned()))
        .collect();
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
        assert!(text.len() <= 2 << 20, "{} bytes", text.len());
        let control = text
            .chars()
            .any(|letter| letter.is_control() && letter != '\t');
        assert!(
            place == Place::Message || !control || template.is_literal(),
            "a line break gets into a URL or a header: {text:?}"
        );
    }
}
