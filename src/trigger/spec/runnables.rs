//! Which runnables a trigger starts.

use super::{InitialMessage, TriggerSpec};

/// A script or a flow that a trigger runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedRunnable<'a> {
    /// The field that names it.
    pub field: String,
    /// Where it is saved.
    pub path: &'a str,
    /// A flow, else a script.
    pub is_flow: bool,
}

impl TriggerSpec {
    /// Every script and flow that the trigger runs.
    #[must_use]
    pub fn runnables(&self) -> Vec<NamedRunnable<'_>> {
        let mut found = Vec::new();
        let mut add = |field: String, path, is_flow| {
            found.push(NamedRunnable {
                field,
                path,
                is_flow,
            });
        };
        add(
            "script_path".to_owned(),
            self.script_path.as_str(),
            self.is_flow,
        );
        for (prefix, is_flow) in [("$script:", false), ("$flow:", true)] {
            if let Some(path) = self.url.strip_prefix(prefix) {
                add("url".to_owned(), path, is_flow);
            }
        }
        for (index, message) in self.initial_messages.iter().flatten().enumerate() {
            if let InitialMessage::RunnableResult(one) = message {
                let field = format!("initial_messages[{index}]");
                add(field, one.path.as_str(), one.is_flow);
            }
        }
        for (index, rule) in self.conversation.iter().flatten().enumerate() {
            if let Some(one) = &rule.send_runnable {
                let field = format!("conversation[{index}]");
                add(field, one.path.as_str(), one.is_flow);
            }
        }
        if let Some(one) = &self.error_handler_path {
            add(
                "error_handler_path".to_owned(),
                one.path.as_str(),
                one.is_flow,
            );
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn every_field_that_names_one_is_known() {
        let Value::Object(body) = json!({
            "script_path": "f/x/s", "is_flow": false, "url": "$flow:f/x/url", "filters": [],
            "can_return_message": false, "can_return_error_result": false,
            "initial_messages": [
                {"raw_message": "a"},
                {"runnable_result": {"path": "f/x/first", "args": {}, "is_flow": false}},
            ],
            "conversation": [
                {"on": {"filters": []}, "send": "a"},
                {"on": {"filters": []}, "send_runnable": {"path": "f/x/answer", "args": {}, "is_flow": false}},
            ],
            "error_handler_path": "f/x/handler",
        }) else {
            unreachable!()
        };
        let spec = TriggerSpec::from_json(&body).unwrap();
        let found = spec.runnables();
        let found: Vec<(&str, &str, bool)> = found
            .iter()
            .map(|one| (one.field.as_str(), one.path, one.is_flow))
            .collect();
        assert_eq!(
            found,
            [
                ("script_path", "f/x/s", false),
                ("url", "f/x/url", true),
                ("initial_messages[1]", "f/x/first", false),
                ("conversation[1]", "f/x/answer", false),
                ("error_handler_path", "f/x/handler", false),
            ]
        );
    }
}
