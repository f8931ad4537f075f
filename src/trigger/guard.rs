//! Which addresses may be dialled: resolve, check every address, connect only to a checked one.
//!
//! `connector` asks before every connection, the API before it saves a URL. Nothing here opens a
//! connection.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tokio::sync::Semaphore;
use url::{Host, Url};

use super::attempt::{ConnectError, Stage};
use crate::types::Invalid;

/// Name look-ups of one process that may run at once. Each holds a thread until the system's resolver
/// answers, and a dead DNS server lets it wait for many seconds.
const MAX_LOOKUPS: usize = 32;

/// Longest look-up while a trigger is saved; a name that takes longer is saved and checked at connect.
const SAVE_LOOKUP: Duration = Duration::from_secs(5);

/// The name of the setting, in the one error text that mentions it.
const SETTING: &str = "ALLOW_PRIVATE_WEBSOCKET_URLS";

/// IPv4 networks that are not the public internet (RFC 6890 and its registry).
const PRIVATE_V4: &[Ipv4Net] = &[
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    v4([224, 0, 0, 0], 4),
    v4([240, 0, 0, 0], 4),
];

/// The only IPv6 block from which public addresses are given (RFC 4291 §2.4); all else is loopback,
/// link-local, unique-local, multicast, discard or unassigned.
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// Special networks inside [`GLOBAL_V6`]: protocol assignments (with Teredo, benchmarking, ORCHID) and
/// documentation.
const PRIVATE_V6: &[Ipv6Net] = &[
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
];

/// Addresses that lead to the IPv4 address in their last 32 bits: v4-mapped and NAT64 (RFC 6052).
const V4_IN_V6: &[Ipv6Net] = &[
    v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96),
    v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96),
];

const fn v4(octets: [u8; 4], prefix: u8) -> Ipv4Net {
    let [a, b, c, d] = octets;
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(segments: [u16; 8], prefix: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

/// Whether the address is anything but a public unicast address.
#[must_use]
pub fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_private_v4(ip),
        IpAddr::V6(ip) => match embedded_v4(ip) {
            Some(ip) => is_private_v4(ip),
            None => !GLOBAL_V6.contains(&ip) || PRIVATE_V6.iter().any(|net| net.contains(&ip)),
        },
    }
}

fn is_private_v4(ip: Ipv4Addr) -> bool {
    PRIVATE_V4.iter().any(|net| net.contains(&ip))
}

/// The IPv4 address that a packet to `ip` ends up at.
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = ip.octets();
    let at = if V4_IN_V6.iter().any(|net| net.contains(&ip)) {
        12
    } else if octets.starts_with(&[0x20, 0x02]) {
        2 // 6to4 (RFC 3056)
    } else {
        return None;
    };
    let four: [u8; 4] = octets.get(at..at + 4)?.try_into().ok()?;
    Some(four.into())
}

/// The host of a URL as a plain text: no brackets, no trailing dot, lower case.
pub(crate) fn host_text(host: &Host<&str>) -> String {
    match host {
        Host::Domain(name) => name.trim_end_matches('.').to_ascii_lowercase(),
        Host::Ipv4(ip) => ip.to_string(),
        Host::Ipv6(ip) => ip.to_string(),
    }
}

/// The address that a host is, when it is written as one.
pub(crate) fn literal(host: &Host<&str>) -> Option<IpAddr> {
    match host {
        Host::Domain(_) => None,
        Host::Ipv4(ip) => Some(IpAddr::V4(*ip)),
        Host::Ipv6(ip) => Some(IpAddr::V6(*ip)),
    }
}

/// A host that is not dialled because it is private and not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{host}' {verb} a private address, which this server does not connect to; whoever runs it can allow it: \
     {SETTING}={host} (a comma list; true allows all)",
    verb = if *.literal { "is" } else { "resolves to" }
)]
pub struct Refused {
    /// Host and port, as the setting takes them.
    host: String,
    literal: bool,
}

impl From<Refused> for ConnectError {
    fn from(refused: Refused) -> Self {
        Self::new(Stage::PrivateAddress, refused.to_string())
    }
}

/// One entry of the allow-list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    what: Allowed,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Allowed {
    Host(String),
    Net(IpNet),
}

/// Which private addresses may be dialled. Public ones always may.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddressPolicy {
    all: bool,
    entries: Vec<Entry>,
}

impl AddressPolicy {
    /// Reads `ALLOW_PRIVATE_WEBSOCKET_URLS`: `true` or `1` = all; unset, empty, `false` or `0` = none;
    /// else a comma list of hosts, addresses and networks, hosts and addresses optionally with a port.
    ///
    /// # Errors
    /// Names the entry that is none of these.
    pub fn parse(setting: Option<&str>) -> Result<Self, Invalid> {
        let text = setting.unwrap_or_default().trim();
        match text.to_ascii_lowercase().as_str() {
            "" | "false" | "0" => return Ok(Self::default()),
            "true" | "1" => {
                return Ok(Self {
                    all: true,
                    entries: Vec::new(),
                });
            }
            _ => {}
        }
        let entries = text
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(parse_entry)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            all: false,
            entries,
        })
    }

    /// Allows `addr`, which `host` (no brackets, lower case) is or resolved to.
    ///
    /// # Errors
    /// The address is private and no entry covers the host or the address.
    pub fn check(&self, host: &str, addr: SocketAddr) -> Result<(), Refused> {
        if self.all || !is_private(addr.ip()) || self.covers(host, addr) {
            return Ok(());
        }
        let literal: Option<IpAddr> = host.parse().ok();
        Err(Refused {
            host: match literal {
                Some(ip) => SocketAddr::new(ip, addr.port()).to_string(),
                None => format!("{host}:{}", addr.port()),
            },
            literal: literal.is_some(),
        })
    }

    fn covers(&self, host: &str, addr: SocketAddr) -> bool {
        let ip = addr.ip().to_canonical();
        self.entries.iter().any(|entry| {
            entry.port.is_none_or(|port| port == addr.port())
                && match &entry.what {
                    Allowed::Host(name) => name == host,
                    Allowed::Net(net) => net.contains(&ip),
                }
        })
    }
}

fn parse_entry(text: &str) -> Result<Entry, Invalid> {
    let invalid = || {
        Invalid(format!(
            "{SETTING}: '{text}' is not a host, an address or a network like 10.0.0.0/8; \
             write true, false or a comma list of these"
        ))
    };
    if let Ok(net) = text.parse::<IpNet>() {
        return Ok(Entry {
            what: Allowed::Net(net),
            port: None,
        });
    }
    let (host, port) = split_port(text).ok_or_else(invalid)?;
    let what = match parse_host(host).ok_or_else(invalid)? {
        Host::Ipv4(ip) => Allowed::Net(IpNet::from(IpAddr::V4(ip))),
        Host::Ipv6(ip) => Allowed::Net(IpNet::from(IpAddr::V6(ip).to_canonical())),
        Host::Domain(name) => Allowed::Host(name.trim_end_matches('.').to_owned()),
    };
    Ok(Entry { what, port })
}

/// Parts `host:port`, `[v6]:port`, `host` and a bare IPv6 address; `None` when the port is no number.
pub(crate) fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    match text.rsplit_once(':') {
        None => Some((text, None)),
        Some(_) if text.ends_with(']') || text.parse::<Ipv6Addr>().is_ok() => Some((text, None)),
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
    }
}

/// Reads a host as a URL would: lower case, punycode, odd IPv4 spellings, IPv6 with or without brackets.
pub(crate) fn parse_host(text: &str) -> Option<Host> {
    if let Ok(ip) = text.parse::<Ipv6Addr>() {
        return Some(Host::Ipv6(ip));
    }
    if text.contains('*') {
        return None; // a URL may hold it, no name does: somebody meant a pattern
    }
    Host::parse(text).ok()
}

/// Why a name has no addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LookupError {
    #[error("'{0}' could not be resolved: {1}")]
    Failed(String, String),
    #[error("'{0}' could not be resolved within {1:?}")]
    TimedOut(String, Duration),
}

impl From<LookupError> for ConnectError {
    fn from(error: LookupError) -> Self {
        Self::new(Stage::Resolve, error.to_string())
    }
}

/// Resolves names and holds every address against the policy. One per process.
#[derive(Debug)]
pub struct Guard {
    policy: AddressPolicy,
    lookups: Arc<Semaphore>,
}

impl Guard {
    /// A guard that enforces `policy`.
    #[must_use]
    pub fn new(policy: AddressPolicy) -> Self {
        Self {
            policy,
            lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)),
        }
    }

    /// The policy this guard enforces.
    #[must_use]
    pub fn policy(&self) -> &AddressPolicy {
        &self.policy
    }

    /// Addresses of the host in the resolver's order; every one of them was allowed, so connecting to any
    /// of them (and to nothing else) is safe from a name that changes its mind.
    ///
    /// # Errors
    /// Stage `resolve` when there is no address within `wait`, `private address` when one of them is not allowed.
    pub async fn resolve_checked(
        &self,
        host: &Host<&str>,
        port: u16,
        wait: Duration,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        let addrs = self.resolve(host, port, wait).await?;
        let text = host_text(host);
        for addr in &addrs {
            self.policy.check(&text, *addr)?;
        }
        Ok(addrs)
    }

    /// The check at save: a private address, literal or resolved, is refused; a name that does not resolve
    /// now is fine, for it is checked again at every connect.
    ///
    /// # Errors
    /// The host is, or resolves to, a private address that is not allowed.
    pub async fn check_at_save(&self, url: &Url) -> Result<(), Refused> {
        let Some(host) = url.host() else {
            return Ok(());
        };
        let port = url.port_or_known_default().unwrap_or_default();
        let text = host_text(&host);
        let addrs = self.resolve(&host, port, SAVE_LOOKUP).await;
        for addr in addrs.unwrap_or_default() {
            self.policy.check(&text, addr)?;
        }
        Ok(())
    }

    /// Addresses of the host, unchecked: only for what the operator chose.
    pub(crate) async fn resolve(
        &self,
        host: &Host<&str>,
        port: u16,
        wait: Duration,
    ) -> Result<Vec<SocketAddr>, LookupError> {
        if let Some(ip) = literal(host) {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let name = host_text(host);
        match tokio::time::timeout(wait, self.look_up(name.clone(), port)).await {
            Err(_) => Err(LookupError::TimedOut(name, wait)),
            Ok(Err(error)) => Err(LookupError::Failed(name, error.to_string())),
            Ok(Ok(addrs)) if addrs.is_empty() => {
                Err(LookupError::Failed(name, "it has no address".to_owned()))
            }
            Ok(Ok(addrs)) => Ok(addrs),
        }
    }

    async fn look_up(&self, name: String, port: u16) -> io::Result<Vec<SocketAddr>> {
        let permit = Arc::clone(&self.lookups)
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        let lookup = move || {
            let addrs = (name.as_str(), port).to_socket_addrs();
            // Given back by the thread, not by the waiting task: that one may have timed out long ago.
            drop(permit);
            addrs.map(Iterator::collect)
        };
        tokio::task::spawn_blocking(lookup)
            .await
            .map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn private_addresses() {
        for private in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.0.170",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:0:8.8.8.8",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "100:0:0:1::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:a00:1::",
            "2002:c0a8:101::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ] {
            assert!(is_private(ip(private)), "{private} passed as public");
        }
    }

    #[test]
    fn public_addresses() {
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "128.0.0.1",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "192.167.1.1",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2002:808:808::1",
            "64:ff9b::8.8.8.8",
            "::ffff:8.8.8.8",
            "3ffe::1",
        ] {
            assert!(!is_private(ip(public)), "{public} passed as private");
        }
    }

    #[test]
    fn odd_literals_in_urls_are_seen_through() {
        for private in [
            "ws://127.0.0.1/",
            "ws://0x7f.1/",
            "ws://2130706433",
            "ws://0177.0.0.1",
            "ws://127.1:9000",
            "wss://[::1]/",
            "wss://[::ffff:127.0.0.1]",
            "wss://[::ffff:7f00:1]:1",
            "ws://0",
            "ws://0xA9FEA9FE/latest",
            "ws://１２７.0.0.1/",
            "ws://127.0.0.1./",
            "ws://[64:ff9b::7f00:1]/",
        ] {
            let url = Url::parse(private).unwrap();
            assert!(
                url.host()
                    .and_then(|host| literal(&host))
                    .is_some_and(is_private),
                "{private} passed, host {:?}",
                url.host()
            );
        }
        for other in [
            "ws://8.8.8.8/",
            "wss://[2606:4700:4700::1111]/",
            "ws://localhost/",
            "ws://example.com",
        ] {
            let url = Url::parse(other).unwrap();
            let found = url.host().and_then(|host| literal(&host));
            assert!(!found.is_some_and(is_private), "{other}");
        }
    }

    #[test]
    fn the_setting_is_read() {
        for none in [
            None,
            Some(""),
            Some("  "),
            Some("false"),
            Some("0"),
            Some("False"),
        ] {
            assert_eq!(
                AddressPolicy::parse(none),
                Ok(AddressPolicy::default()),
                "{none:?}"
            );
        }
        for all in ["true", "1", " TRUE "] {
            assert!(AddressPolicy::parse(Some(all)).unwrap().all, "{all}");
        }
        for bad in [
            "http://a",
            "10.0.0.0/33",
            "a b",
            "a/b",
            "host:port",
            "*.internal",
            "127.0.0.1:99999",
            "[::1",
        ] {
            let error = AddressPolicy::parse(Some(bad)).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("{SETTING}: '{bad}' is not a host")),
                "{error}"
            );
        }
    }

    #[test]
    fn the_allow_list_is_applied() {
        let list = "10.1.0.0/16, Feed.Internal ,[::1]:9000,127.0.0.1:8001,fd00::/8,db.local:5000,192.168.7.7";
        let policy = AddressPolicy::parse(Some(list)).unwrap();
        for (host, addr, allowed) in [
            ("10.1.2.3", "10.1.2.3:80", true),
            ("10.2.2.3", "10.2.2.3:80", false),
            ("other.internal", "10.1.9.9:443", true),
            ("feed.internal", "192.168.0.1:443", true),
            ("sub.feed.internal", "192.168.0.1:443", false),
            ("::1", "[::1]:9000", true),
            ("::1", "[::1]:9001", false),
            ("127.0.0.1", "127.0.0.1:8001", true),
            ("127.0.0.1", "127.0.0.1:8002", false),
            ("::ffff:10.1.0.1", "[::ffff:10.1.0.1]:80", true),
            ("x", "[fd00::1]:80", true),
            ("db.local", "10.9.9.9:5000", true),
            ("db.local", "10.9.9.9:5001", false),
            ("192.168.7.7", "192.168.7.7:1", true),
            ("example.com", "93.184.216.34:80", true),
        ] {
            let addr: SocketAddr = addr.parse().unwrap();
            assert_eq!(policy.check(host, addr).is_ok(), allowed, "{host} {addr}");
        }
    }

    #[test]
    fn only_the_private_error_names_the_setting() {
        let policy = AddressPolicy::default();
        let error = policy
            .check("127.0.0.1", "127.0.0.1:80".parse().unwrap())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "'127.0.0.1:80' is a private address, which this server does not connect to; whoever runs it can allow it: \
             ALLOW_PRIVATE_WEBSOCKET_URLS=127.0.0.1:80 (a comma list; true allows all)"
        );
        let error = policy
            .check("intranet", "10.0.0.1:80".parse().unwrap())
            .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("'intranet:80' resolves to a private address, "),
            "{error}"
        );
    }

    #[test]
    fn what_the_error_says_to_set_allows_the_address() {
        for (host, addr) in [
            ("127.0.0.1", "127.0.0.1:9000"),
            ("intranet", "10.0.0.1:80"),
            ("::1", "[::1]:9000"),
            ("::ffff:7f00:1", "[::ffff:127.0.0.1]:443"),
        ] {
            let addr: SocketAddr = addr.parse().unwrap();
            let error = AddressPolicy::default().check(host, addr).unwrap_err();
            let text = error.to_string();
            let setting = text.split_once("ALLOW_PRIVATE_WEBSOCKET_URLS=").unwrap().1;
            let setting = setting.split(' ').next();
            let policy = AddressPolicy::parse(setting).unwrap();
            assert_eq!(policy.check(host, addr), Ok(()), "{text}");
            assert!(AddressPolicy::default().check(host, addr).is_err());
        }
    }

    #[actix::test]
    async fn names_are_resolved_and_checked() {
        let guard = Guard::new(AddressPolicy::default());
        let wait = Duration::from_secs(20);
        let refused = guard
            .resolve_checked(&Host::Domain("localhost"), 80, wait)
            .await
            .unwrap_err();
        assert_eq!(refused.stage, Stage::PrivateAddress);
        let unknown = guard
            .resolve_checked(&Host::Domain("no-such-host.invalid"), 80, wait)
            .await
            .unwrap_err();
        assert_eq!(unknown.stage, Stage::Resolve);
        assert!(!unknown.to_string().contains(SETTING), "{unknown}");

        let open = Guard::new(AddressPolicy::parse(Some("localhost")).unwrap());
        let addrs = open
            .resolve_checked(&Host::Domain("localhost."), 80, wait)
            .await
            .unwrap();
        assert!(
            addrs.iter().all(|addr| addr.ip().is_loopback()),
            "{addrs:?}"
        );
    }

    #[actix::test]
    async fn a_name_that_does_not_resolve_can_be_saved() {
        let guard = Guard::new(AddressPolicy::default());
        for (url, fine) in [
            ("ws://no-such-host.invalid/", true),
            ("ws://localhost:9/", false),
            ("ws://2130706433/", false),
            ("ws://8.8.8.8/", true),
        ] {
            let checked = guard.check_at_save(&Url::parse(url).unwrap()).await;
            assert_eq!(checked.is_ok(), fine, "{url}");
        }
    }
}
