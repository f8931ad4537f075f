//! Before something is saved: scripts and flows are read without saving them, settings become YAML and back.
//!
//! Nothing here changes anything; the page asks it while somebody types.

use actix_web::web;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    State,
    answer::{Json, Text},
    error::Error,
    extract::{At, Body},
    ordered::Ordered,
    triggers,
};
use crate::{access::Caller, types::Language};

/// What the YAML of `wmill sync` leaves out of a trigger (windmill-facts §2.4).
const NOT_EXPORTED: [&str; 9] = [
    "workspace_id",
    "path",
    "edited_at",
    "edited_by",
    "permissioned_as",
    "error",
    "last_server_ping",
    "server_id",
    "extra_perms",
];

/// A script that is not saved.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Draft {
    /// `python3`, `bash`, `nativets`, `bun` or `deno`.
    language: String,
    content: String,
}

/// What was read of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Facts {
    /// JSON Schema of `main`'s parameters, where the language can tell.
    #[schema(value_type = Option<Object>)]
    schema: Option<Value>,
    /// It has a preprocessor.
    has_preprocessor: bool,
    /// Which arguments its preprocessor takes: `v1` (`msg` and `wm_trigger`) or `v2` (one `event`).
    preprocessor: Option<String>,
}

/// A flow that is not saved.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct FlowDraft {
    /// OpenFlow.
    #[schema(value_type = Object)]
    value: Value,
}

/// A text in YAML.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Yaml {
    yaml: String,
}

/// A value to be written as YAML.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Plain {
    #[schema(value_type = Object)]
    value: Ordered,
}

/// Reads a script: its parameters, or the first error with its line.
pub(crate) async fn check_script(
    _caller: Caller,
    body: Body<Draft>,
    state: web::Data<State>,
) -> Result<Json<Facts>, Error> {
    let Draft { language, content } = body.0;
    let language: Language = language
        .parse()
        .map_err(|error| Error::field("language", error))?;
    let facts = state.script_check.check(language, content).await?;
    Ok(Json(Facts {
        schema: facts.schema,
        has_preprocessor: facts.preprocessor.is_some(),
        preprocessor: facts.preprocessor,
    }))
}

/// Reads a flow: the first module and field that does not fit is an error.
pub(crate) async fn check_flow(
    _caller: Caller,
    body: Body<FlowDraft>,
    state: web::Data<State>,
) -> Result<Json<Facts>, Error> {
    let preprocessor = state.script_check.check_flow(body.0.value).await?;
    Ok(Json(Facts {
        schema: None,
        has_preprocessor: preprocessor.is_some(),
        preprocessor,
    }))
}

/// A trigger as the file that `wmill sync` keeps of it.
pub(crate) async fn trigger_yaml(
    caller: Caller,
    at: At,
    state: web::Data<State>,
) -> Result<Text, Error> {
    let mut settings = triggers::get(caller, at, state).await?.into_inner().0;
    settings.retain(|name, value| !NOT_EXPORTED.contains(&name.as_str()) && !value.is_null());
    written(&Value::Object(settings)).map(Text)
}

/// YAML as JSON, keys in the order in which they stand.
pub(crate) async fn to_json(_caller: Caller, body: Body<Yaml>) -> Result<Json<Ordered>, Error> {
    read(&body.0.yaml).map(Json)
}

/// JSON as YAML, keys in the order in which they stand.
pub(crate) async fn to_yaml(_caller: Caller, body: Body<Plain>) -> Result<Text, Error> {
    yaml(&body.0.value).map(Text)
}

pub(super) fn read<T: DeserializeOwned>(yaml: &str) -> Result<T, Error> {
    serde_saphyr::from_str(yaml).map_err(|error| {
        // The crate draws the place below its sentence; the page marks the line itself.
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        Error::field("yaml", first.trim_start_matches("error: "))
    })
}

/// Keys in the order of the alphabet, as `wmill` writes them.
pub(super) fn written(value: &Value) -> Result<String, Error> {
    yaml(&sorted(value))
}

fn yaml(value: &impl Serialize) -> Result<String, Error> {
    serde_saphyr::to_string(value)
        .map_err(|_| Error::Internal("the settings cannot be written as YAML"))
}

/// The same with the keys of every object in order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_unstable();
            let pair = |key: &String| (key.clone(), map.get(key).map_or(Value::Null, sorted));
            Value::Object(keys.into_iter().map(pair).collect::<Map<_, _>>())
        }
        Value::Array(list) => list.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn yaml_and_back() {
        let value = json!({
            "url": "wss://example.com/a?b=c#d", "filters": [{"key": "e", "value": null}, {"none_of": []}],
            "initial_messages": [{"raw_message": "{\"op\": \"sub\"}\nsecond line: yes\n"}, {"raw_message": "no"}],
            "is_flow": false, "retry": {"constant": {"attempts": 3}}, "numbers": [1, 1.5, -2, 9_007_199_254_740_993_i64],
            "words": ["true", "null", "1", "0x10", "", " padded ", "a: b", "#c", "- d", "\u{1f600}", "~", "on"],
        });
        let yaml = written(&value).unwrap();
        assert_eq!(read::<Value>(&yaml).unwrap(), value, "{yaml}");
        let keys: Vec<&str> = yaml
            .lines()
            .filter(|line| !line.starts_with([' ', '-']))
            .filter_map(|line| line.split(':').next())
            .collect();
        assert!(keys.is_sorted(), "{keys:?}");
    }

    #[test]
    fn what_wmill_writes_is_read() {
        let yaml = "script_path: f/x/s\nis_flow: false\nurl: 'wss://x.test'\nfilters:\n  - key: e\n    value: trade\n\
            initial_messages:\n  - raw_message: |-\n      {\n        \"op\": 1\n      }\nenabled: false\n";
        let value: Value = read(yaml).unwrap();
        assert_eq!(value["filters"], json!([{"key": "e", "value": "trade"}]));
        assert_eq!(
            value["initial_messages"][0]["raw_message"],
            "{\n  \"op\": 1\n}"
        );
    }

    #[test]
    fn what_somebody_wrote_keeps_its_order() {
        let text = "value:\n  modules:\n  - id: b\n    summary: Read it\n    value:\n      type: rawscript\n      language: bash\n\
            \x20     content: |-\n        echo 1\n        echo 2\nschema:\n  type: object\n";
        let read: Ordered = read(text).unwrap();
        assert_eq!(
            read.to_string(),
            r#"{"value":{"modules":[{"id":"b","summary":"Read it","value":{"type":"rawscript","language":"bash","content":"echo 1\necho 2"}}]},"schema":{"type":"object"}}"#
        );
        let again = yaml(&read).unwrap();
        assert_eq!(super::read::<Ordered>(&again).unwrap(), read, "{again}");
        let keys = [
            "value:",
            "- id:",
            "summary:",
            "type:",
            "language:",
            "content:",
            "schema:",
        ];
        let places: Vec<_> = keys.iter().map(|key| again.find(key)).collect();
        assert!(places.is_sorted() && !places.contains(&None), "{again}");
    }

    #[test]
    fn bad_yaml_names_its_line() {
        for yaml in ["a: b\nc: [1, 2", "a: 1\n  b: 2", "a: *nowhere"] {
            let error = read::<Value>(yaml).unwrap_err().to_string();
            assert!(error.starts_with("yaml: "), "{error}");
            assert!(error.contains("line"), "{error}");
        }
    }
}
