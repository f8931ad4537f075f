//! Reading, refusing, storing and compiling settings.

#![expect(clippy::too_many_lines, reason = "tables are read as a whole")]

mod connection;
mod fields;
mod plan;
mod speaking;

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    queue::Lane,
    trigger::template::{Counter, Values},
};

/// The smallest body, with `extra` laid over it; a `null` on the right takes a field away.
fn body(extra: &Value) -> Map<String, Value> {
    let mut body = json!({
        "script_path": "f/x/s", "is_flow": false, "url": "wss://example.com/feed", "filters": [],
        "can_return_message": false, "can_return_error_result": false,
    });
    let map = body.as_object_mut().unwrap();
    map.extend(extra.as_object().unwrap().clone());
    map.clone()
}

fn read(extra: &Value) -> Result<TriggerSpec, String> {
    TriggerSpec::from_json(&body(extra)).map_err(|error| error.0)
}

fn plan(extra: &Value) -> Plan {
    read(extra).unwrap().compile().unwrap()
}
