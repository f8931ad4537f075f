//! The page as few files as it can be: modules joined into one, styles and the theme's script within `index.html`.
//!
//! A browser pays some milliseconds for each file, and for each level of modules once more; on a busy machine that is
//! most of the first view. The files of `static/` stay what they are: nothing is built, this is done when a server
//! starts, and `index.html` works as well without it. Pure text in, text out; it leans on how the page's modules are
//! written (every import on a line of its own, every export a declaration), and a test insists on that.

use std::fmt::Write;

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};

/// The module that starts the page.
const FIRST: &str = "js/main.js";
/// Asks for modules by their file's name, makes each once, and knows addresses relative to a folder.
const START: &str = "const $made = new Map();\n\
    const $get = (name) => {\n\
    \x20 if (!$made.has(name)) $made.set(name, $all[name]());\n\
    \x20 return $made.get(name);\n\
    };\n\
    const $import = async (folder, path) => $get(new URL(path, `http://x/${folder}`).pathname.slice(1));\n\
    const $all = {\n";

/// All modules (name and text) as one script that starts the page.
pub(super) fn join<'a>(modules: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut all = START.to_owned();
    for (name, text) in modules {
        // Writing to a string does not fail.
        let _ = writeln!(all, "'{name}': () => {{\n{}}},", wrapped(name, text));
    }
    let _ = writeln!(all, "}};\n$get('{FIRST}');");
    all
}

/// A module's text as the body of a function that gives what the module exports.
fn wrapped(name: &str, text: &str) -> String {
    let folder = &name[..name.rfind('/').map_or(0, |at| at + 1)];
    let mut body = String::with_capacity(text.len() + 200);
    let mut exported = Vec::new();
    for (line, code) in lines(text) {
        if !code {
            body.push_str(line);
            body.push('\n');
            continue;
        }
        if let Some((names, from)) = import(line) {
            let names = names.replace(" as ", ": ");
            let names = names.trim_start_matches("*: ");
            let _ = writeln!(body, "const {names} = $get('{}');", beside(folder, from));
            continue;
        }
        let declared = line.strip_prefix("export ");
        exported.extend(declared.and_then(declares));
        let line = declared.unwrap_or(line);
        body.push_str(&line.replace("import(", &format!("$import('{folder}', ")));
        body.push('\n');
    }
    let _ = writeln!(body, "return {{ {} }};", exported.join(", "));
    body
}

/// Each line, and whether it begins outside of a template literal: a script that is a text of the page has exports too.
fn lines(text: &str) -> impl Iterator<Item = (&str, bool)> {
    text.lines().scan(true, |code, line| {
        let begins = *code;
        *code ^= (line.matches('`').count() - line.matches("\\`").count()) % 2 == 1;
        Some((line, begins))
    })
}

/// What an import line names and the file it names it from.
fn import(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("import ")?.strip_suffix("';")?;
    rest.split_once(" from '")
        .or_else(|| Some(("{}", rest.strip_prefix('\'')?)))
}

/// The name that a declaration declares.
fn declares(declaration: &str) -> Option<&str> {
    let kinds = ["async function ", "function ", "const ", "class "];
    let rest = kinds
        .iter()
        .find_map(|kind| declaration.strip_prefix(kind))?;
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'));
    Some(&rest[..end.unwrap_or(rest.len())])
}

/// The file that `path` names in a module of `folder`.
fn beside(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// `index.html` with the styles and the classic scripts that it names put in their place, and what of the
/// content-security-policy allows just these.
pub(super) fn inline<'a>(index: &str, file: impl Fn(&str) -> Option<&'a str>) -> (String, String) {
    let (mut styles, mut scripts) = (String::new(), String::new());
    let mut page = String::with_capacity(index.len());
    for line in index.lines() {
        let between = |before: &str, after: &str| {
            let name = line.trim().strip_prefix(before)?.strip_suffix(after)?;
            file(name)
        };
        if let Some(text) = between("<link rel=\"stylesheet\" href=\"/", "\">") {
            let _ = write!(styles, " '{}'", hash(text));
            let _ = writeln!(page, "<style>{text}</style>");
        } else if let Some(text) = between("<script src=\"/", "\"></script>") {
            let _ = write!(scripts, " '{}'", hash(text));
            let _ = writeln!(page, "<script>{text}</script>");
        } else {
            page.push_str(line);
            page.push('\n');
        }
    }
    let allowed = format!("script-src 'self'{scripts}; style-src 'self'{styles}");
    (page, allowed)
}

/// A text's name in a content-security-policy.
fn hash(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::api::ui::Embedded;

    fn modules() -> HashMap<String, String> {
        let names = Embedded::iter().filter(|name| name.ends_with(".js"));
        let text = |name: &str| Embedded::get(name).map(|file| file.data.into_owned());
        let text = |name: &str| String::from_utf8(text(name).unwrap_or_default()).unwrap();
        names.map(|name| (name.to_string(), text(&name))).collect()
    }

    #[test]
    fn a_module_becomes_a_function() {
        let text = "// Why.\nimport * as api from '../api.js';\nimport { h, icon as sign } from './dom.js';\n\n\
            export const A_B = 1;\nexport async function go() {\n  return import('./menu.js');\n}\nexport class One extends Error {}\n\
            const text = `\nexport function main() {}\n\\``;\n";
        let expected = "// Why.\nconst api = $get('js/api.js');\nconst { h, icon: sign } = $get('js/parts/dom.js');\n\n\
            const A_B = 1;\nasync function go() {\n  return $import('js/parts/', './menu.js');\n}\nclass One extends Error {}\nconst text = `\nexport function main() {}\n\\``;\n\
            return { A_B, go, One };\n";
        assert_eq!(wrapped("js/parts/x.js", text), expected);
    }

    /// What a browser refuses of modules would be `undefined` in one file, and only where it is used.
    #[test]
    fn modules_are_written_so_that_they_can_be_joined() {
        let modules = modules();
        assert!(modules.contains_key(FIRST));
        for (name, text) in &modules {
            assert!(
                lines(&format!("{text}\n"))
                    .last()
                    .is_some_and(|(_, code)| code)
            );
            for (line, _) in lines(text).filter(|(_, code)| *code) {
                let said = format!("{name}: {line}");
                assert!(
                    !line.starts_with("export ") || declares(&line["export ".len()..]).is_some(),
                    "{said}"
                );
                if !line.starts_with("import ") {
                    continue;
                }
                let (names, from) = import(line).expect(&said);
                let folder = &name[..=name.rfind('/').unwrap()];
                let target = modules.get(&beside(folder, from)).expect(&said);
                let exported: Vec<&str> = lines(target)
                    .filter_map(|(line, _)| declares(line.strip_prefix("export ")?))
                    .collect();
                let names = names.trim_matches(['{', '}', ' ']).split(", ");
                for one in names.filter(|one| !one.starts_with('*') && !one.is_empty()) {
                    let one = one.split(" as ").next().unwrap();
                    assert!(exported.contains(&one), "{said}: no {one} there");
                }
            }
        }
    }

    /// One that asks for another, which asks for it, would be made without an end.
    #[test]
    fn modules_do_not_go_round_in_a_circle() {
        fn walk(name: &str, modules: &HashMap<String, String>, way: &mut Vec<String>) {
            assert!(
                !way.iter().any(|one| one == name),
                "{way:?} and {name} again"
            );
            way.push(name.to_owned());
            let folder = &name[..=name.rfind('/').unwrap()];
            for (_, from) in modules[name].lines().filter_map(import) {
                walk(&beside(folder, from), modules, way);
            }
            way.pop();
        }
        let modules = modules();
        for name in modules.keys() {
            walk(name, &modules, &mut Vec::new());
        }
    }

    #[test]
    fn what_stands_in_the_page_is_allowed_by_its_hash() {
        let index = "<head>\n  <script src=\"/a.js\"></script>\n  <link rel=\"stylesheet\" href=\"/a.css\">\n  <script type=\"module\" src=\"/m.js\"></script>\n</head>\n";
        let file = |name: &str| match name {
            "a.js" => Some("go()"),
            "a.css" => Some("p{}"),
            _ => None,
        };
        let (page, allowed) = inline(index, file);
        let expected = "<head>\n<script>go()</script>\n<style>p{}</style>\n  <script type=\"module\" src=\"/m.js\"></script>\n</head>\n";
        assert_eq!(page, expected);
        let expected = "script-src 'self' 'sha256-5KYv+PUboo5h+0+YAtGRPbwv5d/QxzHslP4YGnUaxRw='; style-src 'self' 'sha256-gG2yISYereRMiG2lMXrbiUgi0Ubw9p7QCeWcroOvy9Y='";
        assert_eq!(allowed, expected);
    }
}
