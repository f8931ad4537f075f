//! From the JSON of a flow's `value` to [`FlowValue`]. Every field is known here: it is read, or it says nothing about
//! how the flow runs, or it is refused by name (contract section 7: never ignored).
//!
//! A refused field that is switched off (`null`, `false`, `0`, empty) is no reason to refuse a flow.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{
    FAILURE, PREPROCESSOR,
    fields::{Place, check_fields, expr, flag, given, is_off, list, object, text, whole},
    inputs::{condition, secs},
    steps,
    value::{FlowValue, Module, Retry, Step, StopIf},
};
use crate::types::Invalid;

/// How deep loops and branches may be nested: nobody reads deeper, and each level is a job of its own.
const MAX_NESTING: usize = 20;
/// Modules of one flow.
const MAX_MODULES: usize = 1_000;
/// Longest wait and longest run: a year.
const MAX_SECS: u64 = 365 * 24 * 3600;
/// Most tries of each kind, as for triggers.
const MAX_TRIES: u64 = 10_000;

/// Fields of a flow that say nothing about how it runs.
const FLOW_DECOR: &[&str] = &[
    "notes",
    "groups",
    "cache_ignore_s3_path",
    "preserve_step_tags",
    "labels",
];
/// Fields of a flow that would change how it runs, and what to do without them.
const FLOW_REFUSED: &[(&str, &str)] = &[
    (
        "same_worker",
        "steps share no folder: pass files as results or store them",
    ),
    ("concurrent_limit", "limit the scripts of its steps instead"),
    ("concurrency_key", "limit the scripts of its steps instead"),
    (
        "concurrency_time_window_s",
        "limit the scripts of its steps instead",
    ),
    ("debounce_delay_s", "filter at the trigger instead"),
    ("debounce_key", "filter at the trigger instead"),
    (
        "debounce_args_to_accumulate",
        "filter at the trigger instead",
    ),
    ("max_total_debouncing_time", "filter at the trigger instead"),
    (
        "max_total_debounces_amount",
        "filter at the trigger instead",
    ),
    ("cache_ttl", "store results in a resource instead"),
    ("flow_env", "use variables or static inputs instead"),
    ("chat_input_enabled", "the page has no chat"),
];
/// Fields of a module that say how it runs.
const MODULE_READ: &[&str] = &[
    "id",
    "value",
    "stop_after_if",
    "stop_after_all_iters_if",
    "skip_if",
    "sleep",
    "timeout",
    "retry",
    "continue_on_error",
    "priority",
    "delete_after_secs",
    "delete_after_use",
    "mock",
];
/// Fields of a module that say nothing about how it runs.
const MODULE_DECOR: &[&str] = &["summary", "cache_ignore_s3_path", "labels", "tag"];
/// Fields of a module that would change how it runs, and what to do without them.
const MODULE_REFUSED: &[(&str, &str)] = &[
    (
        "suspend",
        "nothing waits for approvals: end the flow and start another from outside",
    ),
    ("cache_ttl", "store the result in a resource instead"),
    ("debouncing", "filter at the trigger instead"),
];

/// What is known of a flow while it is read.
#[derive(Debug, Default)]
pub(super) struct Reader {
    ids: HashSet<String>,
    depth: usize,
}

fn stop(place: &Place, fields: &Map<String, Value>, name: &str) -> Result<Option<StopIf>, Invalid> {
    let Some(value) = given(fields, name) else {
        return Ok(None);
    };
    let inner = Place(format!("{}: {name}", place.0));
    let stop = object(&inner, value)?;
    let read = [
        "expr",
        "skip_if_stopped",
        "error_message",
        "error_include_result",
    ];
    check_fields(&inner, stop, (&read, &[]), &[])?;
    let Some(value) = stop.get("expr") else {
        return place.wrong(format!("{name}.expr is missing"));
    };
    Ok(Some(StopIf {
        expr: expr(place, &format!("{name}.expr"), value)?,
        skip: flag(&inner, stop, "skip_if_stopped")?,
        error: text(&inner, stop, "error_message")?,
        include_result: flag(&inner, stop, "error_include_result")?,
    }))
}

fn retry(place: &Place, fields: &Map<String, Value>) -> Result<Option<Retry>, Invalid> {
    let Some(value) = given(fields, "retry") else {
        return Ok(None);
    };
    let inner = Place(format!("{}: retry", place.0));
    let whole_retry = object(&inner, value)?;
    check_fields(
        &inner,
        whole_retry,
        (&["constant", "exponential", "retry_if"], &[]),
        &[],
    )?;
    let mut retry = Retry::default();
    let number = |name: &str, fields, field, range, default: u32| {
        let inner = Place(format!("{}: retry.{name}", place.0));
        let found = whole(&inner, fields, field, range)?;
        Ok::<u32, Invalid>(
            found
                .and_then(|found| u32::try_from(found).ok())
                .unwrap_or(default),
        )
    };
    if let Some(value) = given(whole_retry, "constant") {
        let fields = object(&inner, value)?;
        check_fields(&inner, fields, (&["attempts", "seconds"], &[]), &[])?;
        retry.constant = (
            number("constant", fields, "attempts", 0..=MAX_TRIES, 0)?,
            number("constant", fields, "seconds", 0..=MAX_SECS, 0)?,
        );
    }
    if let Some(value) = given(whole_retry, "exponential") {
        let fields = object(&inner, value)?;
        let read = ["attempts", "multiplier", "seconds", "random_factor"];
        check_fields(&inner, fields, (&read, &[]), &[])?;
        retry.exponential = (
            number("exponential", fields, "attempts", 0..=MAX_TRIES, 0)?,
            number("exponential", fields, "multiplier", 0..=MAX_TRIES, 1)?,
            number("exponential", fields, "seconds", 1..=MAX_SECS, 1)?,
            number("exponential", fields, "random_factor", 0..=100, 0)?,
        );
    }
    if let Some(value) = given(whole_retry, "retry_if") {
        retry.retry_if = Some(condition(place, "retry.retry_if", value)?);
    }
    Ok(Some(retry))
}

impl Reader {
    /// A list of modules.
    pub(super) fn modules(
        &mut self,
        place: &Place,
        fields: &Map<String, Value>,
        name: &str,
    ) -> Result<Vec<Module>, Invalid> {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            return place.wrong(format!(
                "loops and branches may be nested {MAX_NESTING} deep"
            ));
        }
        let items = list(place, fields, name)?;
        let mut modules = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            modules.push(self.module(place.at_list(name, index), item, None)?);
        }
        self.depth -= 1;
        Ok(modules)
    }

    fn module(
        &mut self,
        place: String,
        value: &Value,
        own_id: Option<&str>,
    ) -> Result<Module, Invalid> {
        let fields = object(&Place(place.clone()), value)?;
        let id = match (text(&Place(place.clone()), fields, "id")?, own_id) {
            (Some(id), None) => id,
            (None, None) => return Place(place).wrong("id is missing"),
            (Some(id), Some(own)) if id != own => {
                return Place(place).wrong(format!("id must be '{own}'"));
            }
            (_, Some(own)) => own.to_owned(),
        };
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if id.is_empty() || id.len() > 64 || !id.chars().all(word) {
            return Place(place).wrong("id must have 1 to 64 letters, digits, _ and -");
        }
        if own_id.is_none() && (id == FAILURE || id == PREPROCESSOR) {
            return Place(place).wrong(format!("id '{id}' is kept for {id}_module"));
        }
        let place = Place(format!("{place} (id {id})"));
        if !self.ids.insert(id.clone()) {
            return place.wrong("id is used twice in this flow");
        }
        if self.ids.len() > MAX_MODULES {
            return place.wrong(format!("a flow may have {MAX_MODULES} modules"));
        }
        self.checked(id, &place, fields)
    }

    fn checked(
        &mut self,
        id: String,
        place: &Place,
        fields: &Map<String, Value>,
    ) -> Result<Module, Invalid> {
        check_fields(place, fields, (MODULE_READ, MODULE_DECOR), MODULE_REFUSED)?;
        if let Some(mock) = given(fields, "mock")
            && mock.get("enabled").is_some_and(|enabled| !is_off(enabled))
        {
            return place.wrong("mock is not supported; switch it off to save the flow");
        }
        let Some(value) = given(fields, "value") else {
            return place.wrong("value is missing");
        };
        let module = Module {
            step: steps::step(self, place, value)?,
            stop_after_if: stop(place, fields, "stop_after_if")?,
            stop_after_all_iters_if: stop(place, fields, "stop_after_all_iters_if")?,
            skip_if: given(fields, "skip_if")
                .map(|value| condition(place, "skip_if", value))
                .transpose()?,
            sleep: secs(place, fields, "sleep")?,
            timeout: secs(place, fields, "timeout")?,
            retry: retry(place, fields)?,
            continue_on_error: flag(place, fields, "continue_on_error")?,
            priority: priority(place, fields)?,
            delete_after_secs: erased_after(place, fields)?,
            id,
        };
        let is_many = matches!(
            module.step,
            Step::ForLoop { .. }
                | Step::WhileLoop { .. }
                | Step::BranchAll { .. }
                | Step::BranchOne { .. }
        );
        if module.stop_after_all_iters_if.is_some() && !is_many {
            return place
                .wrong("stop_after_all_iters_if is for loops and branches; use stop_after_if");
        }
        if module.retry.is_some() && is_many {
            return place
                .wrong("retry is not supported on loops and branches; put it on the steps inside");
        }
        if let Step::ForLoop { parallel: true, .. } = module.step
            && module.stop_after_if.is_some()
        {
            return place.wrong(
                "stop_after_if is not supported on parallel loops; use stop_after_all_iters_if",
            );
        }
        Ok(module)
    }

    /// The failure module or the preprocessor: a script, with few of the options of a step.
    fn special(&mut self, id: &str, value: &Value, may: &[&str]) -> Result<Module, Invalid> {
        let name = format!("{id}_module");
        let module = self.module(name.clone(), value, Some(id))?;
        let place = Place(format!("{name} (id {id})"));
        if !matches!(module.step, Step::RawScript { .. } | Step::Script { .. }) {
            return place.wrong("value.type must be rawscript or script");
        }
        let all = [
            ("stop_after_if", module.stop_after_if.is_some()),
            ("skip_if", module.skip_if.is_some()),
            ("sleep", module.sleep.is_some()),
            ("retry", module.retry.is_some()),
            ("continue_on_error", module.continue_on_error),
        ];
        for (name, used) in all {
            if used && !may.contains(&name) {
                return place.wrong(format!("{name} is not supported here; use it on a step"));
            }
        }
        Ok(module)
    }
}

/// When contents are erased; `delete_after_use` is an older word for at once.
fn erased_after(place: &Place, fields: &Map<String, Value>) -> Result<Option<u64>, Invalid> {
    let secs = whole(place, fields, "delete_after_secs", 0..=MAX_SECS)?;
    let at_once = flag(place, fields, "delete_after_use")?;
    Ok(secs.or(at_once.then_some(0)))
}

/// Windmill's priorities go to 100; that one is kept for what connections wait for.
fn priority(place: &Place, fields: &Map<String, Value>) -> Result<Option<i32>, Invalid> {
    let number = whole(place, fields, "priority", 0..=100)?;
    Ok(number.and_then(|number| i32::try_from(number.min(99)).ok()))
}

impl FlowValue {
    /// Reads the `value` of a flow.
    ///
    /// # Errors
    /// Names the module and the field that does not fit, or is not supported.
    pub fn from_json(value: &Value) -> Result<Self, Invalid> {
        let place = Place("value".to_owned());
        let fields = object(&place, value)?;
        let read = [
            "modules",
            "failure_module",
            "preprocessor_module",
            "early_return",
            "skip_expr",
            "priority",
            "delete_after_secs",
            "delete_after_use",
        ];
        check_fields(&place, fields, (&read, FLOW_DECOR), FLOW_REFUSED)?;
        let mut reader = Reader::default();
        let modules = reader.modules(&place, fields, "modules")?;
        let failure =
            given(fields, "failure_module").map(|value| reader.special(FAILURE, value, &["retry"]));
        let preprocessor = given(fields, "preprocessor_module")
            .map(|value| reader.special(PREPROCESSOR, value, &[]));
        let early_return = text(&place, fields, "early_return")?.filter(|id| !id.is_empty());
        if let Some(id) = &early_return
            && !modules.iter().any(|module| module.id == *id)
        {
            return place.wrong(format!(
                "early_return must be the id of a top-level module; there is no '{id}'"
            ));
        }
        Ok(Self {
            modules,
            failure: failure.transpose()?,
            preprocessor: preprocessor.transpose()?,
            early_return,
            skip_expr: given(fields, "skip_expr")
                .filter(|value| !is_off(value))
                .map(|value| expr(&place, "skip_expr", value))
                .transpose()?,
            priority: priority(&place, fields)?.unwrap_or(0),
            delete_after_secs: erased_after(&place, fields)?,
        })
    }
}
