//! The demo's WebSocket server: an invented market that trades a few times a second.
//!
//! It speaks like the real ones: nothing comes before a `subscribe`, which is acknowledged; then trades,
//! now and then a status; what a client sends back is acknowledged too. Every connection has its own market.

use std::{net::TcpListener, time::Duration};

use actix::{Actor, ActorContext, AsyncContext, StreamHandler};
use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, web};
use actix_web_actors::ws;
use rand::RngExt;
use serde_json::{Value, json};

use crate::types::Timestamp;

/// Time between two trades: a newcomer sees something happen, and can still read it.
const TRADE_EVERY: Duration = Duration::from_millis(700);
/// Every so many trades a status comes.
const STATUS_EVERY: u64 = 15;
/// The symbols and the price they begin at.
const SYMBOLS: [(&str, f64); 3] = [
    ("BTC-EUR", 61_500.0),
    ("ETH-EUR", 2_950.0),
    ("SOL-EUR", 142.0),
];
/// A trade of at least this much is a large one.
pub(super) const LARGE: f64 = 8.0;

/// One client's market.
struct Market {
    prices: [f64; SYMBOLS.len()],
    sequence: u64,
    subscribed: bool,
}

impl Actor for Market {
    type Context = ws::WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.text(json!({"type": "hello", "say": {"op": "subscribe"}}).to_string());
        ctx.run_interval(TRADE_EVERY, |market, ctx| {
            if market.subscribed {
                ctx.text(market.trade().to_string());
                if market.sequence.is_multiple_of(STATUS_EVERY) {
                    let status =
                        json!({"type": "status", "trades": market.sequence, "load": "normal"});
                    ctx.text(status.to_string());
                }
            }
        });
    }
}

impl StreamHandler<Result<ws::Message, ws::ProtocolError>> for Market {
    fn handle(&mut self, item: Result<ws::Message, ws::ProtocolError>, ctx: &mut Self::Context) {
        match item {
            Ok(ws::Message::Text(text)) => {
                let message: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
                if message["op"] == "subscribe" {
                    self.subscribed = true;
                    ctx.text(json!({"type": "subscribed"}).to_string());
                } else if message["op"] != "heartbeat" {
                    ctx.text(json!({"type": "ack", "bytes": text.len()}).to_string());
                }
            }
            Ok(ws::Message::Ping(payload)) => ctx.pong(&payload),
            Ok(ws::Message::Close(reason)) => {
                ctx.close(reason);
                ctx.stop();
            }
            Ok(ws::Message::Binary(_) | ws::Message::Pong(_) | ws::Message::Nop) => {}
            Ok(ws::Message::Continuation(_)) | Err(_) => ctx.stop(),
        }
    }
}

impl Market {
    fn trade(&mut self) -> Value {
        self.sequence += 1;
        let mut rng = rand::rng();
        let which = rng.random_range(0..SYMBOLS.len());
        let price = self.prices[which] * (1.0 + rng.random_range(-0.002..0.002));
        self.prices[which] = price;
        let quantity: f64 = rng.random_range(0.01..10.0);
        json!({
            "type": "trade",
            "symbol": SYMBOLS[which].0,
            "price": round(price, 100.0),
            "quantity": round(quantity, 1_000.0),
            "side": if rng.random::<bool>() { "buy" } else { "sell" },
            "large": quantity >= LARGE,
            "sequence": self.sequence,
            "at": Timestamp::now(),
        })
    }
}

fn round(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

async fn connect(request: HttpRequest, stream: web::Payload) -> Result<HttpResponse, Error> {
    let market = Market {
        prices: SYMBOLS.map(|(_, price)| price),
        sequence: 0,
        subscribed: false,
    };
    ws::start(market, &request, stream)
}

/// Starts the feed on a free port of the loopback address; answers the port and how to stop it.
///
/// # Errors
/// No port is free.
pub(super) fn start() -> std::io::Result<(u16, ServerHandle)> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    let server = HttpServer::new(|| App::new().route("/feed", web::get().to(connect)))
        .workers(1)
        .disable_signals()
        .listen(listener)?
        .run();
    let handle = server.handle();
    actix_rt::spawn(server);
    Ok((port, handle))
}
