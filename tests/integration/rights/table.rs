//! The table of who may do what, as `table.txt` says it.

use std::{collections::BTreeMap, fs, path::Path};

/// What one who asks is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// What was asked for.
    Ok,
    /// A status.
    Status(u16),
    /// 403 or 404, as for a thing that does not exist.
    Nothing,
    /// What was asked for, as for a thing that does not exist.
    Same,
}

/// One way to ask for a route.
#[derive(Clone, Debug)]
pub struct Row {
    pub right: String,
    pub method: String,
    path: String,
    /// What `{path}` or `{id}` stands for.
    pub name: String,
    /// What one who may is told, where it is not 2xx.
    pub pass: Option<u16>,
    /// Empty for none.
    pub body: String,
}

impl Row {
    /// Method and path as the document has them.
    pub fn route(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        let path = without_choices(path, false);
        format!("{} /api{path}", self.method)
    }

    /// The path to ask for, with `{workspace}`, `{path}`, `{id}` and `{at}` still in it.
    pub fn pattern(&self) -> String {
        format!("/api{}", without_choices(&self.path, true))
    }

    pub fn has_workspace(&self) -> bool {
        self.path.starts_with("/w/")
    }
}

/// `{kind:variable}` as `{kind}`, or as `variable`.
fn without_choices(path: &str, chosen: bool) -> String {
    let segment = |segment: &str| {
        let choice = segment.trim_matches(['{', '}']).split_once(':');
        match choice {
            Some((_, value)) if chosen => value.to_owned(),
            Some((name, _)) => format!("{{{name}}}"),
            None => segment.to_owned(),
        }
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// Both halves of `table.txt`.
pub struct Table {
    /// Right and place → what super admin, admin, dev and oper are told.
    rights: BTreeMap<(String, String), [Told; 4]>,
    pub rows: Vec<Row>,
}

impl Table {
    pub fn read() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/rights/table.txt");
        let text = fs::read_to_string(file).expect("the table can be read");
        let mut table = Self {
            rights: BTreeMap::new(),
            rows: Vec::new(),
        };
        for line in text.lines() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            if matches!(words[1], "GET" | "POST" | "DELETE") {
                table.rows.push(row(line));
            } else {
                let told = [words[2], words[3], words[4], words[5]].map(told);
                let key = (words[0].to_owned(), words[1].to_owned());
                table.rights.insert(key, told);
            }
        }
        table
    }

    /// Where a right is asked about.
    pub fn places(&self, right: &str) -> Vec<String> {
        let of_right = self.rights.keys().filter(|(of, _)| of == right);
        let places: Vec<String> = of_right.map(|(_, place)| place.clone()).collect();
        assert!(!places.is_empty(), "the table does not know right {right}");
        places
    }

    /// What super admin, admin, dev and oper are told.
    pub fn told(&self, right: &str, place: &str) -> [Told; 4] {
        self.rights[&(right.to_owned(), place.to_owned())]
    }
}

fn told(cell: &str) -> Told {
    match cell {
        "ok" => Told::Ok,
        "no" => Told::Nothing,
        "same" => Told::Same,
        status => Told::Status(status.parse().expect("a cell is ok, no, same or a status")),
    }
}

fn row(line: &str) -> Row {
    let mut rest = line;
    let mut word = || {
        let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        rest = after.trim_start();
        word.to_owned()
    };
    let (right, method, path, name, pass) = (word(), word(), word(), word(), word());
    Row {
        right,
        method,
        path,
        name,
        pass: pass.parse().ok(),
        body: rest.to_owned(),
    }
}
