//! Hears what other processes on the same PostgreSQL say (`LISTEN`), on a connection that is waited for, not polled:
//! diesel's cannot be. Read-only, never on the data path: whoever hears nothing looks by itself, only later.

use std::time::Duration;

use futures_util::StreamExt;
use openssl::ssl::{SslConnector, SslFiletype, SslMethod, SslVerifyMode};
use postgres_openssl::MakeTlsConnector;
use tokio_postgres::{AsyncMessage, Client, Config, config::SslMode};

use super::CHANNEL;

/// First and longest wait before a lost connection is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection is asked whether it lives so often: a half-open one says nothing.
const PROBE: Duration = Duration::from_secs(5);
/// Options of a URL that the driver knows; the rest is libpq's.
const KNOWN: [&str; 7] = [
    "user",
    "password",
    "dbname",
    "host",
    "hostaddr",
    "port",
    "target_session_attrs",
];

/// What is heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// From now on nothing is missed; look once at everything.
    Listening,
    /// A process says so.
    Word(String),
    /// From now on everything is missed.
    Deaf,
}

/// Listens for ever, over any number of connections; `hear` must not block.
pub async fn listen(url: String, name: String, mut hear: impl FnMut(Heard)) {
    let mut wait = RETRY.0;
    let mut warned = false;
    loop {
        match open(&url, &name).await {
            Ok((client, words)) => {
                log::debug!("listens for news of other processes");
                (wait, warned) = (RETRY.0, false);
                hear(Heard::Listening);
                follow(client, words, &mut hear).await;
                hear(Heard::Deaf);
            }
            Err(error) => {
                if !std::mem::replace(&mut warned, true) {
                    log::warn!("news of other processes are looked for, not heard: {error}");
                }
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY.1);
    }
}

type Words = tokio::sync::mpsc::UnboundedReceiver<String>;

async fn open(url: &str, name: &str) -> Result<(Client, Words), String> {
    let (mut config, tls) = settings(url)?;
    config
        .application_name(name)
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_user_timeout(Duration::from_secs(7))
        .keepalives_idle(Duration::from_secs(3));
    let connecting = tokio::time::timeout(CONNECT_TIMEOUT, config.connect(tls));
    let (client, mut connection) = connecting
        .await
        .map_err(|_| "no answer".to_owned())?
        .map_err(|error| error.to_string())?;
    // Bounded by what the database sends, which is short words; they are taken at once.
    let (say, words) = tokio::sync::mpsc::unbounded_channel();
    actix_rt::spawn(async move {
        let mut messages = futures_util::stream::poll_fn(move |cx| connection.poll_message(cx));
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notification(word) = message
                && say.send(word.payload().to_owned()).is_err()
            {
                return;
            }
        }
    });
    let listen = format!("LISTEN {CHANNEL}");
    tokio::time::timeout(CONNECT_TIMEOUT, client.batch_execute(&listen))
        .await
        .map_err(|_| "no answer".to_owned())?
        .map_err(|error| error.to_string())?;
    Ok((client, words))
}

/// Passes words on until the connection is lost.
async fn follow(client: Client, mut words: Words, hear: &mut impl FnMut(Heard)) {
    let mut probe = tokio::time::interval(PROBE);
    loop {
        tokio::select! {
            word = words.recv() => match word {
                Some(word) => hear(Heard::Word(word)),
                None => return,
            },
            _ = probe.tick() => {
                let lives = tokio::time::timeout(PROBE, client.batch_execute("SELECT 1")).await;
                if !matches!(lives, Ok(Ok(()))) {
                    return;
                }
            }
        }
    }
}

/// Reads a URL as libpq does: which certificate is asked for is its `sslmode`.
fn settings(url: &str) -> Result<(Config, MakeTlsConnector), String> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let options: Vec<(&str, &str)> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .collect();
    let option = |wanted: &str| {
        let found = options.iter().rev().find(|(name, _)| *name == wanted)?;
        let text = percent_encoding::percent_decode_str(found.1).decode_utf8();
        text.ok().map(|text| text.into_owned())
    };
    let kept: Vec<String> = options
        .iter()
        .filter(|(name, _)| KNOWN.contains(name))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let text = format!("{base}?{}", kept.join("&"));
    let mut config: Config = text
        .trim_end_matches('?')
        .parse()
        .map_err(|error: tokio_postgres::Error| error.to_string())?;
    let mode = option("sslmode").unwrap_or_else(|| "prefer".to_owned());
    config.ssl_mode(match mode.as_str() {
        "disable" => SslMode::Disable,
        "allow" | "prefer" => SslMode::Prefer,
        _ => SslMode::Require,
    });
    let root = option("sslrootcert");
    let build = || {
        let mut tls = SslConnector::builder(SslMethod::tls_client())?;
        // libpq: `require` with a root certificate is `verify-ca`.
        if mode.starts_with("verify") || (mode == "require" && root.is_some()) {
            if let Some(root) = root.as_deref().filter(|root| *root != "system") {
                tls.set_ca_file(root)?;
            }
        } else {
            tls.set_verify(SslVerifyMode::NONE);
        }
        if let (Some(cert), Some(key)) = (option("sslcert"), option("sslkey")) {
            tls.set_certificate_chain_file(cert)?;
            tls.set_private_key_file(key, SslFiletype::PEM)?;
        }
        Ok(tls.build())
    };
    let connector = build().map_err(|error: openssl::error::ErrorStack| error.to_string())?;
    let mut tls = MakeTlsConnector::new(connector);
    if mode != "verify-full" {
        tls.set_callback(|settings, _| {
            settings.set_verify_hostname(false);
            Ok(())
        });
    }
    Ok((config, tls))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_libpq_knows_is_left_out() {
        let url =
            "postgres://u:p%40ss@h:5433/d?sslmode=require&keepalives_idle=3&gssencmode=disable";
        let (config, _) = settings(url).unwrap();
        assert_eq!(config.get_ssl_mode(), SslMode::Require);
        assert_eq!(config.get_password(), Some("p@ss".as_bytes()));
        assert_eq!(config.get_ports(), [5433]);
        let (config, _) = settings("postgres:///d?host=%2Ftmp&user=me").unwrap();
        assert_eq!(config.get_ssl_mode(), SslMode::Prefer);
        assert_eq!(config.get_user(), Some("me"));
        assert!(settings("postgres://u@h/d?sslmode=verify-full&sslrootcert=/none").is_err());
    }
}
