//! Which runnables a trigger starts.

use super::{InitialMessage, TriggerSpec};

impl TriggerSpec {
    /// Every script and flow that the trigger runs: the field that names it, and its path.
    #[must_use]
    pub fn runnables(&self) -> Vec<(String, &str)> {
        let mut found = vec![("script_path".to_owned(), self.script_path.as_str())];
        let of_url = ["$script:", "$flow:"]
            .into_iter()
            .find_map(|prefix| self.url.strip_prefix(prefix));
        found.extend(of_url.map(|path| ("url".to_owned(), path)));
        for (index, message) in self.initial_messages.iter().flatten().enumerate() {
            if let InitialMessage::RunnableResult(runnable) = message {
                found.push((format!("initial_messages[{index}]"), runnable.path.as_str()));
            }
        }
        for (index, rule) in self.conversation.iter().flatten().enumerate() {
            if let Some(runnable) = &rule.send_runnable {
                found.push((format!("conversation[{index}]"), runnable.path.as_str()));
            }
        }
        if let Some(handler) = &self.error_handler_path {
            found.push(("error_handler_path".to_owned(), handler.path.as_str()));
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
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(field, path)| (field.as_str(), *path))
            .collect();
        assert_eq!(
            found,
            [
                ("script_path", "f/x/s"),
                ("url", "f/x/url"),
                ("initial_messages[1]", "f/x/first"),
                ("conversation[1]", "f/x/answer"),
                ("error_handler_path", "f/x/handler"),
            ]
        );
    }
}
