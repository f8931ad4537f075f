//! What is said about permessage-deflate in the handshake (RFC 7692 §7.1, RFC 6455 §9.1).
//!
//! The dialer puts [`Offer::header`] into the request and gives the response's header to
//! [`negotiate`]. Pure text work.

use super::Deflate;

/// The extension's name.
const NAME: &str = "permessage-deflate";

/// The smallest and the largest window, as exponents of two.
const WINDOW_BITS: std::ops::RangeInclusive<u8> = 8..=15;

/// What a client offers for `permessage-deflate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Asks the server to start each message afresh: saves 48 KB per connection here, costs
    /// compression. Servers that do not know it decline compression.
    pub server_no_context_takeover: bool,
    /// Announces that our messages start afresh: saves 380 KB per connection.
    pub client_no_context_takeover: bool,
    /// Asks the server for a window of at most two to the power of this; 8 to 15.
    pub server_max_window_bits: Option<u8>,
    /// Lets the server limit our window.
    pub client_max_window_bits: bool,
}

impl Default for Offer {
    /// What every server can accept and costs little memory: the server keeps its context, we do
    /// not keep ours, for what a trigger sends is little.
    fn default() -> Self {
        Self {
            server_no_context_takeover: false,
            client_no_context_takeover: true,
            server_max_window_bits: None,
            client_max_window_bits: true,
        }
    }
}

impl Offer {
    /// The value of the request's `Sec-WebSocket-Extensions`.
    #[must_use]
    pub fn header(&self) -> String {
        let mut text = NAME.to_owned();
        if self.server_no_context_takeover {
            text.push_str("; server_no_context_takeover");
        }
        if self.client_no_context_takeover {
            text.push_str("; client_no_context_takeover");
        }
        if let Some(bits) = self.server_max_window_bits {
            text.push_str(&format!("; server_max_window_bits={bits}"));
        }
        if self.client_max_window_bits {
            text.push_str("; client_max_window_bits");
        }
        text
    }
}

/// What client and server agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    /// The server starts each message afresh.
    pub server_no_context_takeover: bool,
    /// The client starts each message afresh.
    pub client_no_context_takeover: bool,
    /// The server's window is two to the power of this.
    pub server_max_window_bits: u8,
    /// The client's window is two to the power of this.
    pub client_max_window_bits: u8,
}

/// The server's answer about extensions cannot be worked with: the handshake fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server's Sec-WebSocket-Extensions cannot be accepted: {0}")]
pub struct Refused(String);

/// Reads the response's `Sec-WebSocket-Extensions` headers, each value one item of `answer`.
/// `None` if the server wants no compression.
///
/// # Errors
/// The server uses an extension or a parameter that was not offered, that is unknown, or whose
/// value is not allowed; RFC 7692 §7.1 then demands that the connection fails.
pub fn negotiate<'a>(
    offer: Option<&Offer>,
    answer: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<Deflate>, Refused> {
    let mut agreed = None;
    for value in answer {
        let value = std::str::from_utf8(value)
            .map_err(|_| Refused("it is not readable text".to_owned()))?;
        // Empty list elements mean nothing in HTTP (RFC 9110 §5.6.1).
        for extension in split(value, ',')? {
            if extension.is_empty() {
                continue;
            }
            let mut parts = split(extension, ';')?.into_iter();
            let name = parts.next().unwrap_or_default();
            if !name.eq_ignore_ascii_case(NAME) {
                return Err(Refused(format!("'{}' was not offered", shown(name))));
            }
            let Some(offer) = offer else {
                return Err(Refused(format!("'{NAME}' was not offered")));
            };
            let parameters = Parameters::read(parts)?;
            if agreed.replace(parameters.accept(offer)?).is_some() {
                return Err(Refused(format!("'{NAME}' is there twice")));
            }
        }
    }
    Ok(agreed.map(Deflate::new))
}

/// The parameters of an answer, each at most once.
#[derive(Debug, Default)]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_max_window_bits: Option<u8>,
}

impl Parameters {
    fn read<'a>(parts: impl Iterator<Item = &'a str>) -> Result<Self, Refused> {
        let mut read = Self::default();
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.trim_end(), Some(value.trim_start())),
                None => (part, None),
            };
            let name = name.to_ascii_lowercase();
            let twice = match name.as_str() {
                "server_no_context_takeover" => {
                    flag(&name, value)?;
                    std::mem::replace(&mut read.server_no_context_takeover, true)
                }
                "client_no_context_takeover" => {
                    flag(&name, value)?;
                    std::mem::replace(&mut read.client_no_context_takeover, true)
                }
                "server_max_window_bits" => {
                    let bits = bits(&name, value)?;
                    read.server_max_window_bits.replace(bits).is_some()
                }
                "client_max_window_bits" => {
                    let bits = bits(&name, value)?;
                    read.client_max_window_bits.replace(bits).is_some()
                }
                _ => {
                    return Err(Refused(format!(
                        "'{}' is not a parameter of {NAME}",
                        shown(&name)
                    )));
                }
            };
            if twice {
                return Err(Refused(format!("'{name}' is there twice")));
            }
        }
        Ok(read)
    }

    /// Holds the answer against what was offered (RFC 7692 §7.1.1, §7.1.2).
    fn accept(&self, offer: &Offer) -> Result<Agreed, Refused> {
        if offer.server_no_context_takeover && !self.server_no_context_takeover {
            return Err(Refused(
                "'server_no_context_takeover' was asked for and is missing".to_owned(),
            ));
        }
        if self.client_max_window_bits.is_some() && !offer.client_max_window_bits {
            return Err(Refused(
                "'client_max_window_bits' was not offered".to_owned(),
            ));
        }
        let server_bits = self.server_max_window_bits.unwrap_or(*WINDOW_BITS.end());
        if let Some(most) = offer.server_max_window_bits
            && server_bits > most
        {
            return Err(Refused(format!(
                "'server_max_window_bits' is {server_bits}, at most {most} was asked for"
            )));
        }
        Ok(Agreed {
            server_no_context_takeover: self.server_no_context_takeover,
            client_no_context_takeover: offer.client_no_context_takeover
                || self.client_no_context_takeover,
            server_max_window_bits: server_bits,
            client_max_window_bits: self.client_max_window_bits.unwrap_or(*WINDOW_BITS.end()),
        })
    }
}

fn flag(name: &str, value: Option<&str>) -> Result<(), Refused> {
    match value {
        None => Ok(()),
        Some(_) => Err(Refused(format!("'{name}' takes no value"))),
    }
}

fn bits(name: &str, value: Option<&str>) -> Result<u8, Refused> {
    let value = value.unwrap_or_default();
    let unquoted = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value);
    unquoted
        .parse()
        .ok()
        .filter(|bits| WINDOW_BITS.contains(bits))
        // Neither a sign nor a leading zero: RFC 7692 §7.1.2 wants the plain decimal number.
        .filter(|bits: &u8| bits.to_string() == unquoted)
        .ok_or_else(|| Refused(format!("'{name}' is not a number from 8 to 15")))
}

/// The trimmed parts of `text` between separators outside quotes.
fn split(text: &str, separator: char) -> Result<Vec<&str>, Refused> {
    let mut quoted = false;
    let parts: Vec<&str> = text
        .split(|character| {
            quoted ^= character == '"';
            character == separator && !quoted
        })
        .map(str::trim)
        .collect();
    if quoted {
        return Err(Refused("a quote is not closed".to_owned()));
    }
    Ok(parts)
}

/// A foreign name for an error text: its first characters, printable ones.
fn shown(name: &str) -> String {
    name.chars()
        .take(64)
        .map(|c| if c.is_ascii_graphic() { c } else { '?' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(offer: Option<&Offer>, values: &[&str]) -> Result<Option<Agreed>, String> {
        negotiate(offer, values.iter().map(|value| value.as_bytes()))
            .map(|deflate| deflate.map(|deflate| deflate.agreed()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn offers_are_written() {
        assert_eq!(
            Offer::default().header(),
            "permessage-deflate; client_no_context_takeover; client_max_window_bits"
        );
        let all = Offer {
            server_no_context_takeover: true,
            server_max_window_bits: Some(9),
            ..Offer::default()
        };
        assert_eq!(
            all.header(),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             server_max_window_bits=9; client_max_window_bits"
        );
    }

    #[test]
    fn answers_are_accepted() {
        let plain = Offer {
            client_no_context_takeover: false,
            ..Offer::default()
        };
        let none = Agreed {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
        };
        let server_fresh = Agreed {
            server_no_context_takeover: true,
            ..none
        };
        let client_fresh = Agreed {
            client_no_context_takeover: true,
            ..none
        };
        let server_bits = |bits| Agreed {
            server_max_window_bits: bits,
            ..none
        };
        let client_bits = Agreed {
            client_max_window_bits: 9,
            ..none
        };
        for (parameters, wanted) in [
            ("", none),
            (" ,", none),
            (" ; server_no_context_takeover", server_fresh),
            (";client_no_context_takeover", client_fresh),
            ("; server_max_window_bits=8", server_bits(8)),
            ("; server_max_window_bits=\"10\"", server_bits(10)),
            (
                "; client_max_window_bits = 9; server_max_window_bits=15",
                client_bits,
            ),
        ] {
            for name in [
                "permessage-deflate",
                " Permessage-Deflate",
                ", permessage-deflate",
            ] {
                let value = format!("{name}{parameters}");
                assert_eq!(answer(Some(&plain), &[&value]), Ok(Some(wanted)), "{value}");
            }
        }
        assert_eq!(answer(Some(&plain), &[]), Ok(None));
        assert_eq!(answer(None, &[]), Ok(None));
        assert_eq!(answer(None, &[""]), Ok(None));
        // We keep no context once we said so, whether or not the server repeats it.
        let agreed = answer(Some(&Offer::default()), &["permessage-deflate"]);
        assert!(agreed.unwrap().unwrap().client_no_context_takeover);
    }

    #[test]
    fn wrong_answers_are_refused() {
        let cases = [
            (
                "x-webkit-deflate-frame",
                "'x-webkit-deflate-frame' was not offered",
            ),
            ("permessage-deflate, permessage-deflate", "there twice"),
            ("permessage-deflate; speed=9", "'speed' is not a parameter"),
            (
                "permessage-deflate; client_no_context_takeover=1",
                "takes no value",
            ),
            (
                "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
                "'server_no_context_takeover' is there twice",
            ),
            (
                "permessage-deflate; server_max_window_bits",
                "not a number from 8 to 15",
            ),
            (
                "permessage-deflate; server_max_window_bits=7",
                "not a number from 8 to 15",
            ),
            (
                "permessage-deflate; server_max_window_bits=16",
                "not a number from 8 to 15",
            ),
            (
                "permessage-deflate; server_max_window_bits=09",
                "not a number from 8 to 15",
            ),
            (
                "permessage-deflate; server_max_window_bits=+9",
                "not a number from 8 to 15",
            ),
            (
                "permessage-deflate; client_max_window_bits",
                "not a number from 8 to 15",
            ),
            (
                "permessage-deflate; client_max_window_bits=\"9",
                "a quote is not closed",
            ),
            ("permessage-deflate;", "'' is not a parameter"),
            ("; client_max_window_bits=9", "'' was not offered"),
        ];
        for (value, reason) in cases {
            let error = answer(Some(&Offer::default()), &[value]).unwrap_err();
            assert!(error.contains(reason), "{value}: {error}");
        }
        let twice = ["permessage-deflate", "permessage-deflate"];
        assert!(answer(Some(&Offer::default()), &twice).is_err());
        let error = answer(None, &["permessage-deflate"]).unwrap_err();
        assert!(
            error.contains("'permessage-deflate' was not offered"),
            "{error}"
        );
    }

    #[test]
    fn answers_keep_to_the_offer() {
        let strict = Offer {
            server_no_context_takeover: true,
            server_max_window_bits: Some(10),
            client_max_window_bits: false,
            ..Offer::default()
        };
        for (value, good) in [
            (
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=10",
                true,
            ),
            (
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=9",
                true,
            ),
            (
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=11",
                false,
            ),
            ("permessage-deflate; server_no_context_takeover", false),
            ("permessage-deflate; server_max_window_bits=10", false),
            (
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=10; \
                 client_max_window_bits=10",
                false,
            ),
        ] {
            assert_eq!(answer(Some(&strict), &[value]).is_ok(), good, "{value}");
        }
        assert!(negotiate(Some(&Offer::default()), [&b"\xFF"[..]]).is_err());
    }
}
