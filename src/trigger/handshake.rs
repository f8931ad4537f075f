//! The upgrade: a URL, headers and sub-protocols go out, an open stream comes back.
//!
//! The socket asks with a [`Request`] whose texts are ready; awc makes the connection (through
//! [`Dialer`]) and the HTTP upgrade, and checks the server's answer (RFC 6455 §4.1). Redirects are not followed:
//! where one leads was not vetted.

use std::{rc::Rc, time::Duration};

use actix_codec::Framed;
use actix_web::http::header::{
    AUTHORIZATION, HOST, HeaderName, HeaderValue, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL,
    USER_AGENT,
};
use awc::{Client, error::WsClientError, ws::Codec};
use url::Url;

use super::{
    attempt::{Attempt, ConnectError, Progress, Stage},
    connector::{Connect, Dialer, Target},
    proxy::basic_auth,
    refusal::Watch,
    tls::TlsSettings,
    transport::{Lent, Transport},
};

/// How long the whole way to an open connection may take, so that an attempt always ends.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// What windsock calls itself.
const AGENT: &str = concat!("windsock/", env!("CARGO_PKG_VERSION"));

/// What the server is asked for. Every text is rendered.
#[derive(Debug)]
pub struct Request {
    /// `ws://` or `wss://` with a host.
    pub url: Url,
    /// Headers besides those of the handshake.
    pub headers: Vec<(String, String)>,
    /// Sub-protocols to offer, in order; each a token (RFC 9110 §5.6.2).
    pub subprotocols: Vec<String>,
    /// What to offer as `Sec-WebSocket-Extensions`.
    pub extensions: Option<String>,
    /// Certificates, where they are not the usual ones.
    pub tls: Option<TlsSettings>,
    /// The trigger's own proxy.
    pub proxy: Option<String>,
}

/// An open connection.
pub struct Connected {
    /// The stream, with what was read behind the answer.
    pub framed: Framed<Transport, Codec>,
    /// The values of its `Sec-WebSocket-Extensions`.
    pub extensions: Vec<String>,
}

/// Connects and upgrades; `progress` hears of each step.
///
/// # Errors
/// Tells the stage and the reason; neither holds a query, a header, a user or a token.
pub async fn connect(
    dialer: &Dialer,
    request: Request,
    progress: Option<Progress>,
) -> Result<Connected, ConnectError> {
    let attempt = Attempt::new(progress);
    let upgrade = upgrade(dialer, request, &attempt);
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, upgrade).await {
        Ok(result) => result,
        Err(_) => {
            let reason = format!("not connected within {HANDSHAKE_TIMEOUT:?}");
            Err(ConnectError::new(attempt.stage(), reason))
        }
    }
}

async fn upgrade(
    dialer: &Dialer,
    request: Request,
    attempt: &Rc<Attempt>,
) -> Result<Connected, ConnectError> {
    let offered = request.subprotocols;
    if let Some(bad) = offered.iter().find(|name| !is_token(name)) {
        // awc panics on what a header cannot hold.
        let reason = format!("sub-protocol {bad:?} is not a token");
        return Err(ConnectError::new(Stage::Settings, reason));
    }
    let own_user = basic_auth(&request.url);
    let address = plain_address(&request.url);
    let host = host_header(&request.url);
    let lent = Lent::default();
    let connect = Connect {
        dialer: dialer.clone(),
        attempt: Rc::clone(attempt),
        target: Rc::new(Target {
            url: request.url,
            tls: request.tls,
            proxy: request.proxy,
        }),
        lent: lent.clone(),
    };
    let mut upgrade = client(connect, attempt)
        .ws(address)
        .set_header(HOST, host)
        .set_header(USER_AGENT, AGENT);
    if !offered.is_empty() {
        upgrade = upgrade.protocols(&offered);
    }
    if let Some(user) = own_user {
        upgrade = upgrade.set_header(AUTHORIZATION, user);
    }
    if let Some(extensions) = request.extensions {
        upgrade = upgrade.set_header(SEC_WEBSOCKET_EXTENSIONS, extensions);
    }
    for (name, value) in &request.headers {
        let (name, value) = header(name, value)?;
        upgrade = upgrade.set_header(name, value);
    }
    let (answer, framed) = upgrade
        .connect()
        .await
        .map_err(|error| explain(&error, attempt))?;
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let subprotocol = answer.headers().get(SEC_WEBSOCKET_PROTOCOL).map(text);
    if let Some(chosen) = &subprotocol
        && !offered.contains(chosen)
    {
        let reason = "the server chose a sub-protocol that was not offered";
        return Err(ConnectError::new(Stage::Handshake, reason));
    }
    let extensions = answer.headers().get_all(SEC_WEBSOCKET_EXTENSIONS);
    let extensions: Vec<String> = extensions.map(text).collect();
    attempt.done(|| {
        let chosen = subprotocol.map(|name| format!("; sub-protocol {name}"));
        let extended = (!extensions.is_empty()).then(|| format!("; {}", extensions.join(", ")));
        format!(
            "101 Switching Protocols{}{}",
            chosen.unwrap_or_default(),
            extended.unwrap_or_default()
        )
    });
    Ok(Connected {
        framed: framed.into_map_io(|_| lent.take_back()),
        extensions,
    })
}

/// awc for one connection, which it is to make by `connect`.
fn client(connect: Connect, attempt: &Rc<Attempt>) -> Client {
    let connector = awc::Connector::new()
        .connector(connect)
        .timeout(HANDSHAKE_TIMEOUT)
        .limit(0);
    awc::ClientBuilder::new()
        .connector(connector)
        .timeout(HANDSHAKE_TIMEOUT)
        .no_default_headers()
        .wrap(Watch(Rc::clone(attempt)))
        .finish()
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), ConnectError> {
    let bad = |_| {
        let reason = format!("headers.{name}: not a header that can be sent");
        ConnectError::new(Stage::Settings, reason)
    };
    let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| bad(()))?;
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad(()))?;
    Ok((name, value))
}

/// awc's address: TLS is [`Connect`]'s, and user and fragment do not go out.
fn plain_address(url: &Url) -> String {
    let query = url
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    format!("http://{}{}{query}", host_header(url), url.path())
}

/// The host with its port, where that is not the scheme's own (RFC 6455 §4.1).
fn host_header(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn is_token(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !text.is_empty() && text.chars().all(allowed)
}

fn explain(error: &WsClientError, attempt: &Attempt) -> ConnectError {
    if let Some(failure) = attempt.take_failure() {
        return failure;
    }
    if let Some(refusal) = attempt.take_refusal() {
        let mut reason = format!("the server refused with status {}", refusal.status);
        let to = refusal.headers.iter().find(|(name, _)| name == "location");
        if let (301..=308, Some((_, to))) = (refusal.status, to) {
            reason.push_str(": it redirects to ");
            reason.push_str(to);
            reason.push_str(", which is not followed; put that address into url");
        }
        return ConnectError {
            status: Some(refusal.status),
            retry_after: refusal.retry_after,
            body: refusal.body,
            headers: refusal.headers,
            ..ConnectError::new(Stage::Handshake, reason)
        };
    }
    let reason = match error {
        WsClientError::InvalidUpgradeHeader
        | WsClientError::InvalidConnectionHeader(_)
        | WsClientError::MissingConnectionHeader
        | WsClientError::MissingWebSocketAcceptHeader
        | WsClientError::InvalidChallengeResponse(..) => {
            "the server's answer is not a WebSocket upgrade (RFC 6455 §4.1)".to_owned()
        }
        WsClientError::SendRequest(_) => {
            "the server closed the connection or answered no HTTP".to_owned()
        }
        _ => "the upgrade failed".to_owned(),
    };
    ConnectError::new(Stage::Handshake, reason)
}
