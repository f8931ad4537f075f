//! The quick reject: texts that every matching message must hold, looked for before anything is parsed.
//!
//! A needle is a string value or an object key with its quotes. It is exact as long as the message holds no
//! backslash, because then its strings stand there as they are. Numbers have many spellings and are never needles;
//! nothing under `none_of` is.

use std::cmp::Reverse;

use memchr::memmem::Finder;

use super::rule::{Join, Leaf, Rule, Wanted};

/// Needles of rules that must all hold: each costs 10 to 30 ns, and the third already rejects hardly more messages.
const MAX_TOGETHER: usize = 3;

/// Alternatives looked for one after the other: with more of them the parser, which stops at the first mismatch,
/// is the faster way.
const MAX_ALTERNATIVES: usize = 4;

/// When a message certainly does not match.
#[derive(Debug)]
pub(super) enum Needles {
    /// Nothing can be told.
    Unknown,
    /// When this text is absent.
    Absent(Box<Finder<'static>>),
    /// When one of these says so.
    One(Vec<Needles>),
    /// When each of these says so.
    Each(Vec<Needles>),
}

impl Needles {
    /// Chooses the needles of rules joined by `join`.
    pub(super) fn new(rules: &[Rule], join: Join) -> Self {
        let mut parts: Vec<Ranked> = rules.iter().map(ranked).collect();
        match join {
            Join::None => Self::Unknown,
            Join::Any => {
                if parts.len() > MAX_ALTERNATIVES || parts.iter().any(|part| part.rank == UNKNOWN) {
                    return Self::Unknown;
                }
                Self::joined(parts, Self::Each)
            }
            Join::All => {
                parts.retain(|part| part.rank != UNKNOWN);
                parts.sort_by_key(|part| part.rank);
                parts.truncate(MAX_TOGETHER);
                if parts.is_empty() {
                    return Self::Unknown;
                }
                Self::joined(parts, Self::One)
            }
        }
    }

    /// One alone says the same whatever joins it.
    fn joined(parts: Vec<Ranked>, join: impl FnOnce(Vec<Self>) -> Self) -> Self {
        let mut needles: Vec<Self> = parts.into_iter().map(|part| part.needles).collect();
        match needles.len() {
            1 => needles.remove(0),
            _ => join(needles),
        }
    }

    /// Whether `message` certainly does not match. A `true` holds only for a message without a backslash.
    pub(super) fn reject(&self, message: &[u8]) -> bool {
        match self {
            Self::Unknown => false,
            Self::Absent(finder) => finder.find(message).is_none(),
            Self::One(parts) => parts.iter().any(|part| part.reject(message)),
            Self::Each(parts) => parts.iter().all(|part| part.reject(message)),
        }
    }
}

/// Needles with their promise: values before keys (a feed's messages share their keys), longer texts first.
struct Ranked {
    rank: (u8, Reverse<usize>),
    needles: Needles,
}

const UNKNOWN: (u8, Reverse<usize>) = (u8::MAX, Reverse(0));

fn ranked(rule: &Rule) -> Ranked {
    match rule {
        Rule::Leaf(leaf) => ranked_leaf(leaf),
        Rule::Group(join, rules) => match Needles::new(rules, *join) {
            Needles::Unknown => Ranked {
                rank: UNKNOWN,
                needles: Needles::Unknown,
            },
            needles => Ranked {
                rank: (1, Reverse(0)),
                needles,
            },
        },
    }
}

fn ranked_leaf(leaf: &Leaf) -> Ranked {
    let mut texts = Vec::new();
    value_texts(&leaf.wanted, &mut texts);
    texts.extend(leaf.path.iter().map(|key| (2, key.as_str())));
    let best = texts
        .into_iter()
        .filter(|(_, text)| is_plain(text))
        .min_by_key(|(kind, text)| (*kind, Reverse(text.len())));
    match best {
        None => Ranked {
            rank: UNKNOWN,
            needles: Needles::Unknown,
        },
        Some((kind, text)) => Ranked {
            rank: (kind, Reverse(text.len())),
            needles: Needles::Absent(Box::new(Finder::new(&format!("\"{text}\"")).into_owned())),
        },
    }
}

/// The strings (0) and keys (2) a value must hold to contain `wanted`.
fn value_texts<'r>(wanted: &'r Wanted, texts: &mut Vec<(u8, &'r str)>) {
    match wanted {
        Wanted::Null | Wanted::Bool(_) | Wanted::Number(_) => {}
        Wanted::Text(text) => texts.push((0, text)),
        Wanted::List(items) => items.iter().for_each(|item| value_texts(item, texts)),
        Wanted::Object(members) => {
            for (name, wanted) in members {
                texts.push((2, name));
                value_texts(wanted, texts);
            }
        }
    }
}

/// Whether JSON can write `text` without an escape (RFC 8259 §7).
fn is_plain(text: &str) -> bool {
    !text
        .bytes()
        .any(|byte| byte < b' ' || byte == b'"' || byte == b'\\')
}
