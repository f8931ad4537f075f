//! The server of the API and the page: its ports, TLS, and the bounds of a connection.

use std::{any::Any, net::TcpListener, time::Duration};

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::{App, HttpServer, dev::Server, rt::net::TcpStream, web};
use rustls::ServerConfig;

use super::{State, configure, ui};

/// Data sent to a client and not acknowledged for so long ends the connection: a browser that stops reading
/// must not hold its actor and buffers for ever.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);
/// Threads that answer requests: they only pass on; the work is in the database and the workers.
const HTTP_WORKERS: usize = 2;
/// A client that has not agreed on TLS after so long is let go; one on a slow line takes a few round trips.
const TLS_HANDSHAKE: Duration = Duration::from_secs(15);

/// Where a server takes connections.
pub struct Listeners {
    /// For people and clients.
    pub public: TcpListener,
    /// How TLS is spoken there; none = plain HTTP.
    pub tls: Option<ServerConfig>,
    /// For jobs of this process, plain, where `public` speaks TLS.
    pub inside: Option<TcpListener>,
}

/// A server of the API and the page on `listeners`; it runs when it is polled, and leaves signals alone.
///
/// # Errors
/// A listener cannot be used.
pub fn server(state: State, listeners: Listeners) -> std::io::Result<Server> {
    let drain = state.config.limits.drain.as_secs();
    let state = web::Data::new(state);
    ui::make_ready();
    let server = HttpServer::new(move || {
        let state = state.clone();
        App::new().configure(move |cfg| configure(cfg, &state))
    })
    .workers(HTTP_WORKERS)
    // A client that goes away ends its request: nobody would read the result it waits for.
    .h1_allow_half_closed(false)
    .on_connect(|conn, _| bound_unacknowledged(conn))
    .tls_handshake_timeout(TLS_HANDSHAKE)
    .shutdown_timeout(drain)
    .disable_signals();
    let server = match listeners.tls {
        Some(tls) => server.listen_rustls_0_23(listeners.public, tls)?,
        None => server.listen(listeners.public)?,
    };
    let server = match listeners.inside {
        Some(inside) => server.listen(inside)?,
        None => server,
    };
    Ok(server.run())
}

/// See [`UNACKNOWLEDGED`].
fn bound_unacknowledged(conn: &dyn Any) {
    use nix::sys::socket::{setsockopt, sockopt::TcpUserTimeout};
    let within_tls = conn.downcast_ref::<TlsStream<TcpStream>>();
    let plain = conn.downcast_ref::<TcpStream>();
    if let Some(stream) = plain.or_else(|| within_tls.map(|stream| stream.get_ref().0)) {
        let millis = u32::try_from(UNACKNOWLEDGED.as_millis()).unwrap_or(u32::MAX);
        if let Err(error) = setsockopt(stream, TcpUserTimeout, &millis) {
            log::warn!("a connection has no write time-out: {error}");
        }
    }
}
