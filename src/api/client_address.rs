//! The address a request comes from: the peer's, or what a trusted proxy says of whom it asks for.

use std::net::{IpAddr, SocketAddr};

use actix_web::{HttpRequest, http::header::HeaderMap};

use crate::config::Config;

/// Each proxy adds the address it was asked from at the end.
const FORWARDED: &str = "x-forwarded-for";

/// Who asks. Behind trusted proxies (`TRUSTED_PROXIES`) it is the last address in `X-Forwarded-For` that is not one of
/// them: what stands before it, anybody may have written. `Forwarded` (RFC 7239) is not read: a proxy that writes
/// the one header passes on the other as its client sent it.
pub(crate) fn client_address(req: &HttpRequest, config: &Config) -> IpAddr {
    let peer = req.peer_addr().map(|peer| peer.ip().to_canonical());
    behind_proxies(
        peer.unwrap_or(IpAddr::from([0, 0, 0, 0])),
        req.headers(),
        config,
    )
}

fn behind_proxies(peer: IpAddr, headers: &HeaderMap, config: &Config) -> IpAddr {
    let mut client = peer;
    let lines: Vec<&str> = headers
        .get_all(FORWARDED)
        .map(|line| line.to_str().unwrap_or_default())
        .collect();
    for item in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        if !config.trusts(client) {
            break;
        }
        match address(item.trim()) {
            Some(before) => client = before,
            // A proxy that hides whom it asks for is all that is known.
            None => break,
        }
    }
    client
}

/// An address, also with a port (`192.0.2.1:80`, `[2001:db8::1]:80`), as some proxies write it.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bare = text.trim_start_matches('[').trim_end_matches(']').parse();
    bare.ok()
        .or_else(with_port)
        .map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::config::DatabaseUrl;

    #[test]
    fn only_trusted_proxies_say_who_asks() {
        let mut config = Config::for_test(DatabaseUrl::Sqlite("none".into()));
        let lines: [(&[&str], &str, &str); 9] = [
            (&[], "10.0.0.1", "10.0.0.1"),
            (&["192.0.2.1"], "10.0.0.1", "192.0.2.1"),
            // A client wrote the first one.
            (&["1.1.1.1, 192.0.2.1"], "10.0.0.1", "192.0.2.1"),
            (&["1.1.1.1", "192.0.2.1, 10.0.0.2"], "10.0.0.1", "192.0.2.1"),
            (&["192.0.2.1:5000"], "::ffff:10.0.0.1", "192.0.2.1"),
            (&["[2001:db8::1]:80"], "10.0.0.1", "2001:db8::1"),
            (&["unknown"], "10.0.0.1", "10.0.0.1"),
            (&["10.0.0.3, 10.0.0.2"], "10.0.0.1", "10.0.0.3"),
            // Not a proxy: it may write what it likes.
            (&["192.0.2.1"], "192.0.2.9", "192.0.2.9"),
        ];
        for (given, peer, expected) in lines {
            let mut request =
                TestRequest::default().peer_addr((peer.parse::<IpAddr>().unwrap(), 9).into());
            for line in given {
                request = request.append_header((FORWARDED, *line));
            }
            let request = request.to_http_request();
            config.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
            assert_eq!(
                client_address(&request, &config).to_string(),
                expected,
                "{given:?}"
            );
            config.trusted_proxies.clear();
            let peer = peer.parse::<IpAddr>().unwrap().to_canonical();
            assert_eq!(client_address(&request, &config), peer);
        }
    }
}
