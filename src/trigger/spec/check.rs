//! Checks of the handshake's own fields: headers, sub-protocols, proxy, close codes.

use std::collections::BTreeMap;

use serde_json::Value;
use url::Url;

use super::{
    parts::OnClose,
    read::{self, invalid},
};
use crate::types::Invalid;

/// Headers of one handshake; servers refuse far fewer.
const MAX_HEADERS: usize = 64;

/// Sub-protocols offered by one handshake.
const MAX_SUBPROTOCOLS: usize = 32;

/// Headers that make the upgrade itself (RFC 6455 §4.1, RFC 9112 §6): another value breaks the connection.
const HANDSHAKE_HEADERS: [&str; 9] = [
    "connection",
    "content-length",
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn headers(place: &str, value: &Value) -> Result<BTreeMap<String, String>, Invalid> {
    let entries = read::object(place, value)?;
    if entries.len() > MAX_HEADERS {
        return Err(invalid(
            place,
            &format!("has more than {MAX_HEADERS} headers"),
        ));
    }
    let mut headers = BTreeMap::new();
    let mut names = Vec::new();
    for (name, value) in entries {
        let place = format!("{place}.{name}");
        let lower = name.to_ascii_lowercase();
        if !is_token(name) {
            return Err(invalid(
                &place,
                "is not a header name (letters, digits and !#$%&'*+-.^_`|~)",
            ));
        }
        if lower == "sec-websocket-protocol" {
            return Err(invalid(&place, "is set by the field subprotocols"));
        }
        if HANDSHAKE_HEADERS.contains(&lower.as_str()) {
            return Err(invalid(&place, "is set by the handshake itself"));
        }
        if names.contains(&lower) {
            return Err(invalid(&place, "is given twice (case does not count)"));
        }
        names.push(lower);
        let value = read::text(&place, value)?;
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return Err(invalid(
                &place,
                "a header's value holds no control characters",
            ));
        }
        headers.insert(name.clone(), value);
    }
    Ok(headers)
}

pub(super) fn subprotocols(place: &str, value: &Value) -> Result<Vec<String>, Invalid> {
    let names = read::items(place, value, MAX_SUBPROTOCOLS, |place, value| {
        let name = read::text(place, value)?;
        if is_token(&name) {
            Ok(name)
        } else {
            Err(invalid(
                place,
                "is not a sub-protocol (letters, digits and !#$%&'*+-.^_`|~)",
            ))
        }
    })?;
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            return Err(invalid(
                &format!("{place}[{index}]"),
                &format!("'{name}' is given twice"),
            ));
        }
    }
    Ok(names)
}

pub(super) fn proxy(place: &str, value: &Value) -> Result<String, Invalid> {
    let text = read::text(place, value)?;
    if text == "direct" {
        return Ok(text);
    }
    let known = Url::parse(&text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.host().is_some() && url.port() != Some(0)
    });
    if known && !text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        Ok(text)
    } else {
        Err(invalid(
            place,
            "expected http://[user:password@]host:port, or direct for none; leave it out to use the environment's",
        ))
    }
}

pub(super) fn on_close(place: &str, value: &Value) -> Result<BTreeMap<String, OnClose>, Invalid> {
    let mut actions = BTreeMap::new();
    for (code, action) in read::object(place, value)? {
        let place = format!("{place}.{code}");
        let is_code = code.len() == 4
            && code.bytes().all(|digit| digit.is_ascii_digit())
            && code.as_str() >= "1000"
            && code.as_str() <= "4999";
        if !is_code && code != "default" {
            return Err(invalid(
                &place,
                "expected a close code from 1000 to 4999, or default",
            ));
        }
        let action = read::choice(&place, action, "reconnect, reset, disable")?;
        actions.insert(code.clone(), action);
    }
    Ok(actions)
}

/// A token of RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
