//! Why a message matches or not: the verdict of every rule, in the filters' own shape, for the page.
//!
//! Not a hot path: looks each place up on its own.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    contain,
    rule::{Join, Leaf, Rule},
};

/// Longest value an explanation quotes, in bytes: enough to recognise it, small enough for a live view.
const MAX_FOUND_BYTES: usize = 1_024;

/// Why a message matches a trigger's filters or does not.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Explanation {
    /// Whether the message counts.
    pub matched: bool,
    /// Why the filters were not looked at, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The verdict of each filter, in order.
    pub filters: Vec<ExplainedFilter>,
}

/// The verdict of one filter.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ExplainedFilter {
    /// Where it stands, like `filters[1].any_of[0]`.
    pub place: String,
    /// `key`, `path`, `any_of`, `all_of` or `none_of`.
    pub kind: &'static str,
    /// Whether it holds.
    pub matched: bool,
    /// The key or dotted path of a leaf.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The value a leaf found there, as JSON text (cut after 1 KiB); left out when nothing is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// The verdicts inside a group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub filters: Vec<ExplainedFilter>,
}

/// The message as one whole, valid JSON object, without space around it.
pub(super) fn object(message: &str) -> Option<&str> {
    let text = serde_json::from_str::<&RawValue>(message).ok()?.get();
    text.starts_with('{').then_some(text)
}

/// How many leaves the rules have.
pub(super) fn leaves(rules: &[Rule]) -> usize {
    let count = |rule: &Rule| match rule {
        Rule::Leaf(_) => 1,
        Rule::Group(_, rules) => leaves(rules),
    };
    rules.iter().map(count).sum()
}

/// Whether the rules, joined by `join`, hold for the valid `object`: slow, obvious, and never at a loss.
pub(super) fn holds(rules: &[Rule], join: Join, object: &str) -> bool {
    let mut results = rules.iter().map(|rule| match rule {
        Rule::Leaf(leaf) => leaf_holds(leaf, contain::lookup(object, &leaf.path)),
        Rule::Group(join, rules) => holds(rules, *join, object),
    });
    match join {
        Join::All => results.all(|result| result),
        Join::Any => results.any(|result| result),
        Join::None => !results.any(|result| result),
    }
}

/// The verdicts of the rules found at `place`.
pub(super) fn explain(rules: &[Rule], place: &str, object: &str) -> Vec<ExplainedFilter> {
    let explain_rule = |(index, rule): (usize, &Rule)| {
        let place = format!("{place}[{index}]");
        match rule {
            Rule::Leaf(leaf) => {
                let found = contain::lookup(object, &leaf.path);
                ExplainedFilter {
                    kind: if leaf.by_key { "key" } else { "path" },
                    matched: leaf_holds(leaf, found),
                    at: Some(leaf.path.join(".")),
                    found: found.map(shorten),
                    filters: Vec::new(),
                    place,
                }
            }
            Rule::Group(join, rules) => ExplainedFilter {
                kind: join.key(),
                matched: holds(rules, *join, object),
                at: None,
                found: None,
                filters: explain(rules, &format!("{place}.{}", join.key()), object),
                place,
            },
        }
    };
    rules.iter().enumerate().map(explain_rule).collect()
}

fn leaf_holds(leaf: &Leaf, found: Option<&str>) -> bool {
    found.is_some_and(|text| contain::contains(&leaf.wanted, text))
}

fn shorten(text: &str) -> String {
    if text.len() <= MAX_FOUND_BYTES {
        return text.to_owned();
    }
    let mut end = MAX_FOUND_BYTES;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}
