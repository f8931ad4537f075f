//! Locks: the versions that somebody has pinned for a script (`lock` of a script, or of one inside a flow), in the shapes
//! that Windmill writes: requirements of pip for python3, `bun.lock` behind a `package.json` for bun. Pure.

/// What pip calls the same package: `A.b_c` and `a-b-c`.
fn plain(name: &str) -> String {
    let words = name.split(['-', '_', '.']).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_lowercase()
}

/// The name that a requirement begins with.
fn name_of(requirement: &str) -> &str {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let end = requirement.find(|c| !part(c));
    &requirement[..end.unwrap_or(requirement.len())]
}

/// Whether a text asks for a package of the registry, or of an https address: `six==1.16.0`, `x[y]>=1; os_name == "nt"`.
fn is_requirement(text: &str) -> bool {
    let name = name_of(text);
    let ends_well = |name: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        edge(name.chars().next()) && edge(name.chars().last())
    };
    let mut rest = text[name.len()..].trim_start();
    if let Some(extras) = rest.strip_prefix('[') {
        let Some((_, behind)) = extras.split_once(']') else {
            return false;
        };
        rest = behind.trim_start();
    }
    let (version, _) = rest.split_once(';').unwrap_or((rest, ""));
    let fits = match version.strip_prefix('@') {
        Some(address) => {
            let address = address.trim();
            address.starts_with("https://") && !address.contains(char::is_whitespace)
        }
        None => {
            version.is_empty()
                || version.starts_with(['<', '>', '=', '!', '~', '(']) && !version.contains('@')
        }
    };
    ends_well(name) && fits
}

/// The requirements in the lock of a python3 script.
///
/// # Errors
/// A line is something else, such as an option of pip.
fn requirements(lock: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for line in lock.replace('\r', "").replace("\\\n", " ").lines() {
        let line = line.split(" #").next().unwrap_or_default();
        // What a download must hash to is not looked at.
        let line = line.split(" --hash").next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if !is_requirement(line) {
            return Err(format!(
                "lock: '{line}' is not a requirement like 'requests==2.31.0'"
            ));
        }
        found.push(line.to_owned());
    }
    Ok(found)
}

/// What a python3 script needs: what its lock names, and of `wanted` what it does not.
///
/// # Errors
/// The lock cannot be read.
pub(crate) fn of_python(lock: &str, wanted: Vec<String>) -> Result<Vec<String>, String> {
    let mut all = requirements(lock)?;
    let locked: Vec<String> = all.iter().map(|one| plain(name_of(one))).collect();
    let unlocked = wanted.into_iter();
    all.extend(unlocked.filter(|one| !locked.contains(&plain(name_of(one)))));
    all.sort();
    all.dedup();
    Ok(all)
}

/// The version of a package of npm that the lock of a bun script names, if it does: `"lodash": ["lodash@4.17.21", …`.
pub(crate) fn of_bun<'l>(lock: &'l str, name: &str) -> Option<&'l str> {
    let key = format!("\"{name}\":");
    let versions = lock.match_indices(&key).filter_map(|(at, _)| {
        let list = lock[at + key.len()..].trim_start().strip_prefix('[')?;
        let first = list.trim_start().strip_prefix('"')?.split('"').next()?;
        let version = first.strip_prefix(name)?.strip_prefix('@')?;
        let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
        let is_version = version.starts_with(|c: char| c.is_ascii_digit());
        (is_version && version.chars().all(part)).then_some(version)
    });
    versions.last()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_of_python_are_requirements() {
        let lock = "# py: 3.11\nsix==1.14.0\n\n  Typing_Extensions==4.1.0 ; python_version < \"4\"  # via x\n\
            requests[socks]==2.31.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\nx @ https://h/x-1-py3-none-any.whl\n";
        let wanted = ["typing.extensions", "six>=1", "idna"].map(str::to_owned);
        assert_eq!(
            of_python(lock, wanted.to_vec()).unwrap(),
            [
                "Typing_Extensions==4.1.0 ; python_version < \"4\"",
                "idna",
                "requests[socks]==2.31.0",
                "six==1.14.0",
                "x @ https://h/x-1-py3-none-any.whl",
            ]
        );
        for none in ["", "\n", "# py: 3.12\n#\n"] {
            assert_eq!(of_python(none, Vec::new()), Ok(Vec::new()), "{none}");
        }
        for other in [
            "--index-url http://h",
            "-e .",
            "../x",
            "x @ file:///etc",
            "x @ git+https://h/x",
            "x==1 @ file:///etc",
            "x[",
            "-x==1",
            "x y",
        ] {
            let error = of_python(other, Vec::new()).unwrap_err();
            assert!(error.contains(other), "{error}");
        }
    }

    #[test]
    fn locks_of_bun_name_versions() {
        let lock = r#"{
  "dependencies": {
    "lodash": "^4", "@s/x": "latest"
  }
}
//bun.lock
{
  "lockfileVersion": 1,
  "workspaces": { "": { "dependencies": { "lodash": "^4", "@s/x": "latest" } } },
  "packages": {
    "lodash": ["lodash@4.17.20", "", {}, "sha512-x"],
    "@s/x": ["@s/x@1.2.3-rc.1", "", {}, "sha512-y"],
    "here": ["here@workspace:here"],
    "other": ["another@1.0.0", "", {}, ""],
  }
}"#;
        for (name, version) in [
            ("lodash", Some("4.17.20")),
            ("@s/x", Some("1.2.3-rc.1")),
            ("here", None),
            ("other", None),
            ("x", None),
        ] {
            assert_eq!(of_bun(lock, name), version, "{name}");
        }
        assert_eq!(of_bun("{}\n//bun.lockb\nAAAA", "lodash"), None);
        assert_eq!(of_bun("", "lodash"), None);
    }
}
