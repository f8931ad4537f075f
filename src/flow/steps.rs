//! What modules do: the `value` of a module, type by type.

use serde_json::{Map, Value};

use super::{
    fields::{Place, check_fields, expr, flag, given, list, object, text, whole},
    inputs::input,
    read::Reader,
    value::{Branch, Input, Inputs, Step, WhileLimits},
};
use crate::types::{Invalid, Language, ObjectPath};

/// Largest text of a script inside a flow, as of a saved one.
const MAX_CONTENT_BYTES: usize = 1024 * 1024;
/// Iterations of one loop: each is a job, and the list of them is part of the run's state.
pub(crate) const MAX_ITERATIONS: u64 = 10_000;

/// Fields of scripts inside flows that would change how they run.
const RAW_REFUSED: &[(&str, &str)] = &[
    ("concurrent_limit", "save the script and limit it there"),
    (
        "concurrency_time_window_s",
        "save the script and limit it there",
    ),
    (
        "custom_concurrency_key",
        "save the script and limit it there",
    ),
];

/// Reads what the module at `place` does.
pub(super) fn step(reader: &mut Reader, place: &Place, value: &Value) -> Result<Step, Invalid> {
    let at_value = Place(format!("{}: value", place.0));
    let fields = object(&at_value, value)?;
    match fields.get("type").and_then(Value::as_str) {
        Some("rawscript") => raw_script(place, fields),
        Some("script") => script(place, fields),
        Some("flow") => flow(place, fields),
        Some("identity") => {
            check_fields(place, fields, (&["type"], &["flow"]), &[])?;
            Ok(Step::Identity)
        }
        Some("forloopflow") => for_loop(reader, place, fields),
        Some("whileloopflow") => while_loop(reader, place, fields),
        Some("branchone") => branch_one(reader, place, fields),
        Some("branchall") => branch_all(reader, place, fields),
        Some(other) => place.wrong(format!(
            "value.type '{other}' is not supported; use rawscript, script, flow, identity, forloopflow, \
             whileloopflow, branchone or branchall"
        )),
        None => place.wrong("value.type is missing"),
    }
}

fn inputs(place: &Place, fields: &Map<String, Value>) -> Result<Inputs, Invalid> {
    let Some(value) = given(fields, "input_transforms") else {
        return Ok(Inputs::new());
    };
    let inputs = object(&Place(format!("{}: input_transforms", place.0)), value)?;
    let read = |(name, value): (&String, &Value)| {
        let input = input(place, &format!("input_transforms.{name}"), value)?;
        Ok((name.clone(), input))
    };
    inputs.iter().map(read).collect()
}

fn path(place: &Place, fields: &Map<String, Value>, what: &str) -> Result<String, Invalid> {
    let path = text(place, fields, "path")?.unwrap_or_default();
    if path.starts_with("hub/") {
        return place.wrong(format!(
            "path '{path}' is not supported; save the hub's {what} in this workspace and name it"
        ));
    }
    match path.parse::<ObjectPath>() {
        Ok(path) => Ok(path.to_string()),
        Err(error) => place.wrong(format!("path: {error}")),
    }
}

fn raw_script(place: &Place, fields: &Map<String, Value>) -> Result<Step, Invalid> {
    let read = [
        "type",
        "content",
        "language",
        "input_transforms",
        "tag",
        "lock",
    ];
    let decor = ["path", "is_trigger", "assets"];
    check_fields(place, fields, (&read, &decor), RAW_REFUSED)?;
    let content = match text(place, fields, "content")? {
        None => return place.wrong("content is missing"),
        Some(content) if content.len() > MAX_CONTENT_BYTES => {
            return place.wrong(format!("content may have {MAX_CONTENT_BYTES} bytes"));
        }
        Some(content) => content,
    };
    let name = text(place, fields, "language")?.unwrap_or_default();
    let language: Language = match name.parse() {
        Ok(language) => language,
        Err(_) => {
            let known: Vec<&str> = Language::ALL.iter().map(|one| one.as_str()).collect();
            return place.wrong(format!(
                "language '{name}' is not supported; use one of: {}",
                known.join(", ")
            ));
        }
    };
    Ok(Step::RawScript {
        language,
        content,
        lock: lock(place, fields)?,
        inputs: inputs(place, fields)?,
        tag: text(place, fields, "tag")?.filter(|tag| !tag.is_empty()),
    })
}

/// A lock comes as text, or as a list of lines; an empty one pins nothing.
fn lock(place: &Place, fields: &Map<String, Value>) -> Result<Option<String>, Invalid> {
    let lock = match given(fields, "lock") {
        Some(Value::Array(lines)) => {
            let lines: Option<Vec<&str>> = lines.iter().map(Value::as_str).collect();
            match lines {
                Some(lines) => Some(lines.join("\n")),
                None => return place.wrong("lock must be a text or a list of lines"),
            }
        }
        _ => text(place, fields, "lock")?,
    };
    Ok(lock.filter(|lock| !lock.trim().is_empty()))
}

fn script(place: &Place, fields: &Map<String, Value>) -> Result<Step, Invalid> {
    let read = ["type", "path", "hash", "input_transforms", "tag_override"];
    check_fields(place, fields, (&read, &["is_trigger"]), &[])?;
    let hash = match text(place, fields, "hash")?.filter(|hash| !hash.is_empty()) {
        None => None,
        Some(hash) if hash.len() == 16 => match u64::from_str_radix(&hash, 16) {
            Ok(hash) => Some(hash.cast_signed()),
            Err(_) => return place.wrong("hash must be 16 hexadecimal digits"),
        },
        Some(_) => return place.wrong("hash must be 16 hexadecimal digits"),
    };
    Ok(Step::Script {
        path: path(place, fields, "script")?,
        hash,
        inputs: inputs(place, fields)?,
        tag: text(place, fields, "tag_override")?.filter(|tag| !tag.is_empty()),
    })
}

fn flow(place: &Place, fields: &Map<String, Value>) -> Result<Step, Invalid> {
    check_fields(
        place,
        fields,
        (&["type", "path", "input_transforms"], &[]),
        &[],
    )?;
    Ok(Step::Flow {
        path: path(place, fields, "flow")?,
        inputs: inputs(place, fields)?,
    })
}

/// `parallelism`: a bare number, or an input.
fn parallelism(place: &Place, fields: &Map<String, Value>) -> Result<Option<Input>, Invalid> {
    let wrong = || {
        place.wrong(format!(
            "parallelism must be a whole number from 1 to {MAX_ITERATIONS}"
        ))
    };
    let fits = |value: &Value| {
        value
            .as_u64()
            .is_some_and(|n| (1..=MAX_ITERATIONS).contains(&n))
    };
    match given(fields, "parallelism") {
        None => Ok(None),
        Some(value @ Value::Number(_)) if fits(value) => Ok(Some(Input::Static(value.to_string()))),
        Some(Value::Number(_)) => wrong(),
        Some(value) => match input(place, "parallelism", value)? {
            Input::Static(text) => match serde_json::from_str(&text).unwrap_or_default() {
                Value::Null => Ok(None),
                value if fits(&value) => Ok(Some(Input::Static(text))),
                _ => wrong(),
            },
            expr @ Input::Javascript(_) => Ok(Some(expr)),
        },
    }
}

fn for_loop(
    reader: &mut Reader,
    place: &Place,
    fields: &Map<String, Value>,
) -> Result<Step, Invalid> {
    let read = [
        "type",
        "iterator",
        "modules",
        "skip_failures",
        "parallel",
        "parallelism",
    ];
    check_fields(place, fields, (&read, &["squash"]), &[])?;
    let Some(iterator) = given(fields, "iterator") else {
        return place.wrong("iterator is missing");
    };
    Ok(Step::ForLoop {
        iterator: input(place, "iterator", iterator)?,
        modules: reader.modules(place, fields, "modules")?,
        skip_failures: flag(place, fields, "skip_failures")?,
        parallel: flag(place, fields, "parallel")?,
        parallelism: parallelism(place, fields)?,
    })
}

fn while_loop(
    reader: &mut Reader,
    place: &Place,
    fields: &Map<String, Value>,
) -> Result<Step, Invalid> {
    let read = [
        "type",
        "modules",
        "skip_failures",
        "max_iterations",
        "max_duration_secs",
    ];
    let refused = [
        (
            "parallel",
            "the iterations of a while loop run one after the other",
        ),
        (
            "parallelism",
            "the iterations of a while loop run one after the other",
        ),
    ];
    check_fields(place, fields, (&read, &["squash"]), &refused)?;
    let iterations = whole(place, fields, "max_iterations", 1..=MAX_ITERATIONS)?;
    Ok(Step::WhileLoop {
        modules: reader.modules(place, fields, "modules")?,
        skip_failures: flag(place, fields, "skip_failures")?,
        limits: WhileLimits {
            iterations: iterations.and_then(|number| usize::try_from(number).ok()),
            secs: whole(place, fields, "max_duration_secs", 1..=365 * 24 * 3600)?,
        },
    })
}

fn branch_one(
    reader: &mut Reader,
    place: &Place,
    fields: &Map<String, Value>,
) -> Result<Step, Invalid> {
    check_fields(place, fields, (&["type", "branches", "default"], &[]), &[])?;
    let mut branches = Vec::new();
    for (index, value) in list(place, fields, "branches")?.iter().enumerate() {
        let branch = branch_place(place, index);
        let fields = object(&branch, value)?;
        let refused = [("skip_failure", "it is for the branches of branchall")];
        check_fields(
            &branch,
            fields,
            (&["expr", "modules"], &["summary", "parallel"]),
            &refused,
        )?;
        let Some(condition) = fields.get("expr") else {
            return branch.wrong("expr is missing");
        };
        branches.push((
            expr(&branch, "expr", condition)?,
            reader.modules(&branch, fields, "modules")?,
        ));
    }
    let default = if given(fields, "default").is_some() {
        reader.modules(place, fields, "default")?
    } else {
        Vec::new()
    };
    Ok(Step::BranchOne { branches, default })
}

fn branch_all(
    reader: &mut Reader,
    place: &Place,
    fields: &Map<String, Value>,
) -> Result<Step, Invalid> {
    check_fields(place, fields, (&["type", "branches", "parallel"], &[]), &[])?;
    let mut branches = Vec::new();
    for (index, value) in list(place, fields, "branches")?.iter().enumerate() {
        let branch = branch_place(place, index);
        let fields = object(&branch, value)?;
        let decor = ["summary", "expr", "parallel"];
        check_fields(&branch, fields, (&["skip_failure", "modules"], &decor), &[])?;
        branches.push(Branch {
            modules: reader.modules(&branch, fields, "modules")?,
            skip_failure: flag(&branch, fields, "skip_failure")?,
        });
    }
    Ok(Step::BranchAll {
        branches,
        parallel: flag(place, fields, "parallel")?,
    })
}

fn branch_place(place: &Place, index: usize) -> Place {
    let head = place.0.split(" (id ").next().unwrap_or_default();
    Place(format!("{head}.branches[{index}]"))
}
