//! Whether a flow only passes an argument on to its scripts: then it need not have the value, a reference will do. Pure.

use super::scope::{Uses, argument, members_used, mentions};
use crate::flow::{Expr, FlowValue, Input, Module, Step};

/// Whether all that a flow does with an argument is to give it, as it is, to scripts.
pub(super) fn only_passes_on(flow: &FlowValue, name: &str) -> bool {
    !flow.skip_expr.iter().any(|expr| uses(expr, name))
        && flow.all().into_iter().all(|module| spares(module, name))
        && spares_first(&flow.modules)
}

/// Whether an expression looks into the argument, or may do so.
fn uses(Expr(expr): &Expr, name: &str) -> bool {
    match members_used(expr, "flow_input") {
        Uses::Members(members) => members.iter().any(|member| member == name),
        Uses::Any => true,
    }
}

/// Whether a module's expressions leave the argument alone, but for inputs of scripts that are nothing else.
fn spares(module: &Module, name: &str) -> bool {
    let (Step::RawScript { inputs, .. } | Step::Script { inputs, .. }) = &module.step else {
        return !module.exprs().iter().any(|(_, expr)| uses(expr, name));
    };
    let passed = inputs.iter().filter(|(_, input)| match input {
        Input::Javascript(Expr(expr)) => argument(expr).as_deref() == Some(name),
        Input::Static(_) => false,
    });
    let used = module
        .exprs()
        .into_iter()
        .filter(|(_, expr)| uses(expr, name));
    used.count() == passed.count()
}

/// Whether nothing sees all arguments at once as the result before the first module.
fn spares_first(modules: &[Module]) -> bool {
    let Some(first) = modules.first() else {
        return false;
    };
    let previous = |(_, Expr(expr)): &(String, &Expr)| mentions(expr, "previous_result");
    !matches!(first.step, Step::Identity)
        && first.skip_if.is_none()
        && !first.exprs().iter().any(previous)
        && first
            .step
            .nested()
            .into_iter()
            .all(|(_, modules)| spares_first(modules))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn js(expr: &str) -> Value {
        json!({"type": "javascript", "expr": expr})
    }

    fn step(id: &str, inputs: Value) -> Value {
        json!({"id": id, "value": {"type": "script", "path": "u/a/s", "input_transforms": inputs}})
    }

    fn with(module: &Value, field: &str, value: Value) -> Value {
        let mut module = module.clone();
        module[field] = value;
        module
    }

    #[test]
    fn what_is_only_passed_on_may_stay_a_reference() {
        let gets = |expr: &str| step("a", json!({"x": js(expr)}));
        let (given, other) = (gets("flow_input.key"), gets("flow_input.other + 1"));
        let last = step(
            "b",
            json!({"x": js("flow_input['key']"), "y": js("previous_result")}),
        );
        let both = step(
            "a",
            json!({"x": js("flow_input.key"), "y": js("flow_input.key + ''")}),
        );
        let identity = json!({"id": "i", "value": {"type": "identity"}});
        let looped = |modules: Value| {
            json!({"id": "l", "value": {"type": "forloopflow", "skip_failures": false,
                "iterator": js("[1]"), "modules": modules}})
        };
        let branches = |default: Value| {
            let one = json!({"expr": "flow_input.other", "modules": [step("b", json!({}))]});
            json!({"id": "o", "value": {"type": "branchone", "branches": [one], "default": default}})
        };
        let called = json!({"id": "f", "value": {"type": "flow", "path": "u/a/f",
            "input_transforms": {"x": js("flow_input.key")}}});
        let stops = with(&given, "stop_after_if", json!({"expr": "flow_input.key"}));
        let skips = with(&other, "skip_if", json!({"expr": "flow_input.other"}));
        for (modules, spared) in [
            (json!([given]), true),
            (json!([other, last]), true),
            (json!([looped(json!([given]))]), true),
            (json!([branches(json!([given]))]), true),
            (json!([given, identity]), true),
            (json!([gets("'Bearer ' + flow_input.key")]), false),
            (json!([gets("flow_input.key.inner")]), false),
            (json!([gets("flow_input")]), false),
            (json!([gets("flow_input[flow_input.other]")]), false),
            (json!([both]), false),
            (json!([stops]), false),
            (json!([skips]), false),
            (json!([other, called]), false),
            // The arguments are the result before the first step.
            (json!([]), false),
            (json!([identity]), false),
            (json!([gets("previous_result.key")]), false),
            (json!([looped(json!([]))]), false),
            (json!([branches(json!([]))]), false),
        ] {
            let flow = FlowValue::from_json(&json!({"modules": modules})).unwrap();
            assert_eq!(only_passes_on(&flow, "key"), spared, "{modules}");
        }
    }
}
