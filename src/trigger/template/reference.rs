//! `$var:<path>` references: found in the saved text, once, before anything is rendered.

use super::{Place, escaped};
use crate::types::{Invalid, ObjectPath};

/// Bytes of all tags of one template. A value cannot be nested deeper than the tags that nest it are long, so this
/// also keeps the depth of what is written and dropped far from the end of the stack.
const MAX_TAG_BYTES: usize = 8 * 1024;

/// Variables of one text: each is read from the database before every connect.
const MAX_VARIABLES: usize = 64;

/// How a reference starts.
const MARK: &str = "$var:";

/// A part of a text without template tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// As it is.
    Text(String),
    /// The variable with this index.
    Variable(usize),
}

/// The variables a saved text refers to, each once, in the order of their first mention.
///
/// # Errors
/// When `$var:` is not followed by a path.
pub fn variables_in(text: &str) -> Result<Vec<ObjectPath>, Invalid> {
    let mut variables = Vec::new();
    if text.contains("{{") {
        rewrite(text, &mut variables)?;
    } else {
        pieces(text, &mut variables)?;
    }
    Ok(variables)
}

/// The variable a text stands for when it is `$var:<path>` and nothing else.
///
/// # Errors
/// When it starts like a reference and is none, or goes on after it.
pub fn variable_only(text: &str) -> Result<Option<ObjectPath>, Invalid> {
    text.strip_prefix(MARK).map(str::parse).transpose()
}

/// Splits a text without tags.
pub(super) fn pieces(text: &str, variables: &mut Vec<ObjectPath>) -> Result<Vec<Piece>, Invalid> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(MARK) {
        if at > 0 {
            pieces.push(Piece::Text(rest[..at].to_owned()));
        }
        let (path, length) = reference(&rest[at..])?;
        pieces.push(Piece::Variable(index_of(path, variables)?));
        rest = &rest[at + length..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

/// Puts the pieces together.
pub(super) fn join(pieces: &[Piece], variables: &[&str], place: Place) -> String {
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Variable(index) => variables
                .get(*index)
                .map_or_else(String::new, |value| escaped(value, place)),
        })
        .collect()
}

/// Turns each reference of a template into a name the engine looks up: `__var_0` in the text around the tags (where
/// the value is escaped for its place), `__plain_0` for a whole string inside a tag.
pub(super) fn rewrite(text: &str, variables: &mut Vec<ObjectPath>) -> Result<String, Invalid> {
    let mut out = String::with_capacity(text.len() + 32);
    let mut rest = text;
    let mut verbatim = false;
    let mut tag_bytes = 0;
    while let Some(at) = next_mark(rest, verbatim) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with(MARK) {
            let (path, length) = reference(rest)?;
            let name = format!("{{{{ __var_{} }}}}", index_of(path, variables)?);
            if verbatim {
                out.push_str(&format!("{{% endraw %}}{name}{{% raw %}}"));
            } else {
                // "{" + "{{ … }}" would open a map inside the tag.
                if out.ends_with('{') {
                    out.pop();
                    out.push_str("{{ __open }}");
                }
                out.push_str(&name);
            }
            rest = &rest[length..];
        } else if rest.starts_with("{#") {
            let end = rest.find("#}").map_or(rest.len(), |end| end + 2);
            out.push_str(&rest[..end]);
            rest = &rest[end..];
        } else {
            match (statement(rest), verbatim) {
                (Some("raw"), false) => verbatim = true,
                (Some("endraw"), true) => verbatim = false,
                _ => {}
            }
            let after = copy_tag(rest, &mut out, variables)?;
            tag_bytes += rest.len() - after.len();
            rest = after;
            if tag_bytes > MAX_TAG_BYTES {
                return Err(Invalid(format!(
                    "template: its tags are longer than {MAX_TAG_BYTES} bytes together"
                )));
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Where the next reference or tag starts; in a raw block only its end is a tag.
fn next_mark(text: &str, verbatim: bool) -> Option<usize> {
    let mut from = 0;
    while let Some(found) = text[from..].find(['$', '{']) {
        let at = from + found;
        let rest = &text[at..];
        let tag = if verbatim {
            statement(rest) == Some("endraw")
        } else {
            ["{{", "{%", "{#"].iter().any(|open| rest.starts_with(open))
        };
        if tag || rest.starts_with(MARK) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// The word of a statement tag `text` starts with.
fn statement(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("{%")?.trim_start_matches(['-', '+']);
    inner
        .trim_start()
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .next()
}

/// Copies the tag `text` starts with, its references replaced; answers what follows it.
fn copy_tag<'t>(
    text: &'t str,
    out: &mut String,
    variables: &mut Vec<ObjectPath>,
) -> Result<&'t str, Invalid> {
    let end = if text.starts_with("{{") { "}}" } else { "%}" };
    out.push_str(&text[..2]);
    let mut rest = &text[2..];
    let mut braces = 0_usize;
    while let Some(first) = rest.chars().next() {
        if braces == 0 && rest.starts_with(end) {
            out.push_str(end);
            return Ok(&rest[end.len()..]);
        }
        let mut length = first.len_utf8();
        match first {
            '{' => braces += 1,
            '}' => braces = braces.saturating_sub(1),
            '"' | '\'' => {
                length = string_length(rest, first);
                let content = rest[1..length].trim_end_matches(first);
                if content.contains(MARK) {
                    let path = variable_only(content).ok().flatten().ok_or_else(|| {
                        Invalid(
                            "inside a tag a $var:<path> reference is a whole string, like \
                             {{ \"$var:u/admin/token\"|urlencode }}"
                                .to_owned(),
                        )
                    })?;
                    out.push_str(&format!("__plain_{}", index_of(path, variables)?));
                    rest = &rest[length..];
                    continue;
                }
            }
            _ => {}
        }
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    Ok(rest)
}

/// Bytes of the string literal `text` starts with, both quotes included; all of it when it never ends.
fn string_length(text: &str, quote: char) -> usize {
    let mut skip = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if skip => skip = false,
            '\\' => skip = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The reference `text` starts with, and its bytes.
fn reference(text: &str) -> Result<(ObjectPath, usize), Invalid> {
    let after = &text[MARK.len()..];
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/');
    let end = after.find(|c| !word(c)).unwrap_or(after.len());
    let path = after[..end].trim_end_matches('/');
    let parsed = path
        .parse()
        .map_err(|error| Invalid(format!("after $var: {error}")))?;
    Ok((parsed, MARK.len() + path.len()))
}

fn index_of(path: ObjectPath, variables: &mut Vec<ObjectPath>) -> Result<usize, Invalid> {
    if let Some(index) = variables.iter().position(|known| *known == path) {
        return Ok(index);
    }
    if variables.len() == MAX_VARIABLES {
        return Err(Invalid(format!(
            "refers to more than {MAX_VARIABLES} variables"
        )));
    }
    variables.push(path);
    Ok(variables.len() - 1)
}
