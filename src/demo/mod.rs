//! `windsock demo`: a throw-away database with a feed of its own, scripts, and triggers that already run.
//!
//! Used by [`crate::system`] alone. The samples are made through the API, as a user would make them.

mod feed;

use std::time::Duration;

use actix_web::dev::ServerHandle;
use awc::Client;
use serde_json::{Value, json};

/// How long one sample may take to be saved: a script is compiled, nothing else.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

const ON_TRADE: &str = r#"import json


def main(msg: str):
    """Turns a trade into one line of a ledger."""
    trade = json.loads(msg)
    value = trade["price"] * trade["quantity"]
    print(f"{trade['side']} {trade['quantity']} {trade['symbol']} at {trade['price']}")
    return {"symbol": trade["symbol"], "value": round(value, 2), "sequence": trade["sequence"]}
"#;

const ON_LARGE_TRADE: &str = r#"type Trade = { symbol: string; quantity: number; price: number; side: "buy" | "sell" };

// The preprocessor gets the event and makes main's arguments of it.
export async function preprocessor(event: { kind: string; msg: string; url: string; trigger_path: string }) {
  return { trade: JSON.parse(event.msg), trigger: event.trigger_path };
}

// The result goes back on the connection, because the trigger says so.
export async function main(trade: Trade, trigger: string) {
  const value = trade.price * trade.quantity;
  console.log(`${trigger}: a large ${trade.side}`);
  return { op: "note", text: `${trade.side} ${trade.symbol} for ${value.toFixed(0)} EUR` };
}
"#;

const ON_STATUS: &str = r#"msg="$1"

echo "the feed says: $msg"
echo "status seen"
"#;

const READ_TRADE: &str = r#"type Trade = { symbol: string; quantity: number; price: number };

// The first step of the flow: what the others need of the message.
export function main(msg: string) {
  const trade: Trade = JSON.parse(msg);
  return { symbol: trade.symbol, value: Number((trade.price * trade.quantity).toFixed(2)) };
}
"#;

const NOTE_TRADE: &str = r#"export function main(symbol: string, value: number) {
  console.log(`noted: ${symbol} for ${value}`);
  return `${symbol} worth a note: ${value} EUR`;
}
"#;

/// A flow of three steps: read, and note what is worth it.
fn flow() -> Value {
    let step = |id: &str, content: &str, summary: &str, inputs: Value| {
        json!({"id": id, "summary": summary, "value": {
            "type": "rawscript", "language": "nativets", "content": content, "input_transforms": inputs,
        }})
    };
    let from = |expr: &str| json!({"type": "javascript", "expr": expr});
    let note = step(
        "note",
        NOTE_TRADE,
        "Write it down",
        json!({"symbol": from("results.read.symbol"), "value": from("results.read.value")}),
    );
    json!({"modules": [
        step("read", READ_TRADE, "Read the trade", json!({"msg": from("flow_input.msg")})),
        {"id": "sort", "summary": "Is it worth a note?", "value": {
            "type": "branchone", "default": [],
            "branches": [{"summary": "yes", "expr": "results.read.value > 1000", "modules": [note]}],
        }},
        {"id": "done", "summary": "What came of it", "value": {"type": "identity"}},
    ]})
}

/// The feed that runs beside the server.
pub struct Demo {
    port: u16,
    feed: ServerHandle,
}

impl Demo {
    /// Starts the feed.
    ///
    /// # Errors
    /// No port is free.
    pub fn start() -> std::io::Result<Self> {
        let (port, feed) = feed::start()?;
        Ok(Self { port, feed })
    }

    /// The one private address that triggers of the demo may connect to.
    #[must_use]
    pub fn allowed(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Stops the feed.
    pub async fn stop(&self) {
        self.feed.stop(false).await;
    }

    /// Makes the samples through the API at `base`, with an admin's `token`.
    ///
    /// # Errors
    /// What the API answered to the first sample it refused.
    pub async fn fill(&self, base: &str, token: &str) -> Result<(), String> {
        let client = Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .bearer_auth(token)
            .finish();
        let api = format!("{base}/api/w/main");
        let url = format!("ws://127.0.0.1:{}/feed", self.port);
        for (route, body) in samples(&url) {
            let sent = client.post(format!("{api}/{route}")).send_json(&body).await;
            let mut answer = sent.map_err(|error| format!("{route}: {error}"))?;
            if !answer.status().is_success() {
                let text = answer.body().await.unwrap_or_default();
                return Err(format!("{route}: {}", String::from_utf8_lossy(&text)));
            }
        }
        Ok(())
    }
}

fn samples(url: &str) -> Vec<(&'static str, Value)> {
    let script = |name: &str, language: &str, summary: &str, content: &str| {
        let body = json!({
            "path": format!("f/demo/{name}"), "language": language, "summary": summary,
            "description": "", "content": content,
        });
        ("scripts/create", body)
    };
    let subscribe = json!([{"raw_message": "{\"op\": \"subscribe\"}"}]);
    let trigger = |name: &str, script: &str, filters: Value, more: Value| {
        let mut body = json!({
            "path": format!("f/demo/{name}"), "script_path": format!("f/demo/{script}"),
            "is_flow": false, "url": url, "filters": filters, "initial_messages": subscribe,
            "can_return_message": false, "can_return_error_result": false, "labels": ["demo"],
        });
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        ("websocket_triggers/create", body)
    };
    vec![
        ("folders/create", json!({"name": "demo"})),
        script("on_trade", "python3", "Writes a trade down", ON_TRADE),
        script(
            "on_large_trade",
            "nativets",
            "Answers a large trade on the socket",
            ON_LARGE_TRADE,
        ),
        script("on_status", "bash", "Logs the feed's status", ON_STATUS),
        (
            "flows/create",
            json!({
                "path": "f/demo/sort_trade", "summary": "Notes trades that are worth it",
                "description": "", "value": flow(),
            }),
        ),
        trigger(
            "bitcoin_trades",
            "on_trade",
            json!([{"key": "type", "value": "trade"}, {"key": "symbol", "value": "BTC-EUR"}]),
            json!({}),
        ),
        trigger(
            "large_trades",
            "on_large_trade",
            json!([{"key": "type", "value": "trade"}, {"key": "large", "value": true}]),
            json!({"can_return_message": true}),
        ),
        trigger(
            "ether_trades",
            "sort_trade",
            json!([{"key": "type", "value": "trade"}, {"key": "symbol", "value": "ETH-EUR"}]),
            json!({"is_flow": true}),
        ),
        trigger(
            "feed_status",
            "on_status",
            json!([{"key": "type", "value": "status"}]),
            json!({"heartbeat": {"interval_secs": 20, "message": "{\"op\": \"heartbeat\"}"}}),
        ),
    ]
}
