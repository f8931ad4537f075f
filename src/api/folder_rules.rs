//! `default_permissioned_as` of folders (windmill-facts §1.2): whose rights a trigger has that a deployer makes there
//! without saying so. Pure.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::Error;

/// Most rules of a folder.
const RULES: usize = 100;
/// Longest pattern: what it takes to match grows with it.
const GLOB_BYTES: usize = 255;
/// Most patterns that one with `{a,b}` stands for.
const ALTERNATIVES: usize = 100;

/// The first rule that fits a path says whose rights are the default there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Rule {
    /// Fits the path below the folder: `*` and `?` within a name, `**` across names, `[abc]`, `{a,b}`.
    path_glob: String,
    /// `u/<user>` or `g/<group>`.
    permissioned_as: String,
}

/// Checks the form of rules; whether there is such a user or group is seen when one is used.
pub(super) fn check(rules: &[Rule], is_owner: impl Fn(&str) -> bool) -> Result<(), Error> {
    const FIELD: &str = "default_permissioned_as";
    if rules.len() > RULES {
        return Err(Error::field(FIELD, format!("at most {RULES} rules")));
    }
    for (index, rule) in rules.iter().enumerate() {
        let field = |name: &str| format!("{FIELD}[{index}].{name}");
        let glob = &rule.path_glob;
        if glob.is_empty() || glob.len() > GLOB_BYTES || alternatives(glob).is_none() {
            let text = format!(
                "must be 1 to {GLOB_BYTES} bytes, braces and brackets closed, at most {ALTERNATIVES} alternatives"
            );
            return Err(Error::field(&field("path_glob"), text));
        }
        if !is_owner(&rule.permissioned_as) {
            let text = format!("'{}' is not u/<user> or g/<group>", rule.permissioned_as);
            return Err(Error::field(&field("permissioned_as"), text));
        }
    }
    Ok(())
}

/// Whose rights the rules (as they are kept) give to what lies at `path`, below their folder.
pub(super) fn default_for(kept: &str, path: &str) -> Option<String> {
    let rules: Vec<Rule> = serde_json::from_str(kept).unwrap_or_default();
    let rule = rules.into_iter().find(|rule| {
        let globs = alternatives(&rule.path_glob).unwrap_or_default();
        globs
            .iter()
            .any(|glob| fits(glob.as_bytes(), path.as_bytes()))
    });
    rule.map(|rule| rule.permissioned_as)
}

/// The patterns without braces that a pattern stands for; none when it is broken, or stands for too many.
fn alternatives(glob: &str) -> Option<Vec<String>> {
    let mut open = vec![glob.to_owned()];
    let mut done = Vec::new();
    while let Some(glob) = open.pop() {
        if open.len() + done.len() > ALTERNATIVES {
            return None;
        }
        // The innermost pair first: what is in it holds no other.
        match glob.find('}') {
            Some(end) => {
                let start = glob[..end].rfind('{')?;
                let choices = glob[start + 1..end].split(',');
                let whole = |choice| format!("{}{choice}{}", &glob[..start], &glob[end + 1..]);
                open.extend(choices.map(whole));
            }
            None if glob.contains('{')
                || glob.matches('[').count() != glob.matches(']').count() =>
            {
                return None;
            }
            None => done.push(glob),
        }
    }
    Some(done)
}

/// Whether a pattern without braces fits the whole text.
fn fits(glob: &[u8], text: &[u8]) -> bool {
    // How much of the text what was read of the pattern may have taken.
    let mut taken = vec![false; text.len() + 1];
    taken[0] = true;
    let mut rest = glob;
    while let Some(first) = rest.first() {
        let across = rest.starts_with(b"**");
        let length = match first {
            b'*' if across => 2,
            b'[' => rest.iter().position(|byte| *byte == b']').unwrap_or(0) + 1,
            _ => 1,
        };
        let (part, behind) = rest.split_at(length);
        if *first == b'*' {
            for at in 0..text.len() {
                taken[at + 1] |= taken[at] && (across || text[at] != b'/');
            }
        } else {
            for at in (0..text.len()).rev() {
                taken[at + 1] = taken[at] && takes(part, text[at]);
            }
            taken[0] = false;
        }
        rest = behind;
    }
    taken[text.len()]
}

/// Whether a part of a pattern that takes one byte takes this one: `a`, `?`, `[abc]`, `[a-z]`.
fn takes(part: &[u8], byte: u8) -> bool {
    match part {
        [b'?'] => byte != b'/',
        [b'[', members @ .., b']'] => {
            let mut ranges = members.windows(3).filter(|range| range[1] == b'-');
            members.contains(&byte) || ranges.any(|range| (range[0]..=range[2]).contains(&byte))
        }
        _ => part == [byte],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_paths_below_the_folder() {
        for (glob, path, fits) in [
            ("**", "a", true),
            ("**", "a/b", true),
            ("*", "a", true),
            ("*", "a/b", false),
            ("jobs/**", "jobs/a/b", true),
            ("jobs**", "jobs/a", true),
            ("jobs/*", "jobs/a/b", false),
            ("*/x", "a/x", true),
            ("**/x", "a/b/x", true),
            ("*a*b", "xaxxb", true),
            ("*a*b", "xaxbx", false),
            ("**a*c", "a/ab/ac", true),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("[ab]x", "bx", true),
            ("[a-c]x", "dx", false),
            ("{a,b/*}/c", "b/q/c", true),
            ("{a,b{c,d}}", "bd", true),
            ("{a,b}", "c", false),
            ("a", "ab", false),
        ] {
            let rule = Rule {
                path_glob: glob.to_owned(),
                permissioned_as: "u/x".to_owned(),
            };
            check(std::slice::from_ref(&rule), |_| true).unwrap();
            let kept = serde_json::to_string(&[rule]).unwrap();
            assert_eq!(default_for(&kept, path).is_some(), fits, "{glob} {path}");
        }
    }

    #[test]
    fn the_first_rule_that_fits_counts_and_broken_ones_are_refused() {
        let rules = r#"[{"path_glob":"a*","permissioned_as":"u/one"},{"path_glob":"**","permissioned_as":"g/two"}]"#;
        assert_eq!(default_for(rules, "ab").as_deref(), Some("u/one"));
        assert_eq!(default_for(rules, "b").as_deref(), Some("g/two"));
        assert_eq!(default_for("[]", "b"), None);
        let many = "{a,b}".repeat(10);
        for bad in ["", "{a", "a}", "[a", many.as_str()] {
            let rule = Rule {
                path_glob: bad.to_owned(),
                permissioned_as: "u/x".to_owned(),
            };
            assert!(check(&[rule], |_| true).is_err(), "{bad}");
        }
    }
}
