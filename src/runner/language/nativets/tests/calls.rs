//! What goes into a script and comes out: arguments, results, errors, environment, preprocessors.

use super::*;

#[tokio::test]
async fn arguments_go_in_by_name_and_results_come_out() {
    let source = "export function main(b, a, c, toString, when: Date) {
        return [a, b, c === undefined, toString === undefined, when instanceof Date && when.getTime()] }";
    let mut context = context(source);
    let args = json!({ "a": "ä😀\n", "b": { "x": [1, null] }, "c": "<function call>", "when": "1970-01-01T00:00:01Z" });
    let outcome = context.run(call(args)).await;
    assert_eq!(
        value(&outcome),
        json!(["ä😀\n", { "x": [1, null] }, true, true, 1000])
    );
    assert!(!outcome.poisoned);
}

#[tokio::test]
async fn results_are_what_json_makes_of_them() {
    for (body, wanted) in [
        ("return undefined", json!(null)),
        ("", json!(null)),
        ("return () => 1", json!(null)),
        ("return 10n ** 20n", json!("100000000000000000000")),
        (
            "return { a: [1n], u: undefined, f() {}, n: NaN }",
            json!({ "a": ["1"], "n": null }),
        ),
        ("return new Date(0)", json!("1970-01-01T00:00:00.000Z")),
        ("return 'a\\ud800'", json!("a\u{fffd}")),
        (
            "return { ['\\udc00']: 'ab😀'.slice(0, 3), b: '😀\\\\ud800' }",
            json!({ "\u{fffd}": "ab\u{fffd}", "b": "😀\\ud800" }),
        ),
        ("return Promise.resolve(Promise.resolve(5))", json!(5)),
        (
            "return { then(done) { done('thenable') } }",
            json!("thenable"),
        ),
        ("return { __proto__: null, x: 1 }", json!({ "x": 1 })),
    ] {
        let outcome = outcome(body).await;
        assert_eq!(value(&outcome), wanted, "{body}");
    }
}

#[tokio::test]
async fn errors_have_windmills_shape_and_lead_to_the_source() {
    let source = "type A = string;\n\n\ninterface Gone { a: A }\n\nfunction inner(a: A) {\n\n  throw new TypeError('bad ' + a);\n}\nexport async function main(a: A) {\n  await null;\n  inner(a);\n}";
    let error = failure(context(source).run(call(json!({ "a": "x" }))).await);
    assert_eq!(
        (error.name.as_str(), error.message.as_str()),
        ("TypeError", "bad x")
    );
    assert!(
        error.stack.starts_with("TypeError: bad x\n"),
        "{}",
        error.stack
    );
    assert!(
        error.stack.contains("inner (script.ts:8:"),
        "{}",
        error.stack
    );
    assert!(
        error.stack.contains("main (script.ts:12:"),
        "{}",
        error.stack
    );
    assert!(!error.stack.contains("windsock:"), "{}", error.stack);
    assert_eq!(
        serde_json::to_value(&error)
            .unwrap()
            .as_object()
            .unwrap()
            .keys()
            .collect::<Vec<_>>(),
        ["message", "name", "stack"]
    );
}

#[tokio::test]
async fn whatever_is_thrown_becomes_an_error() {
    for (body, name, message) in [
        ("throw 'text'", "Error", "text"),
        ("throw { code: 7 }", "Error", "{\"code\":7}"),
        ("throw { message: 'm', a: 1 }", "Error", "m"),
        ("throw { name: 'Odd', message: 'm' }", "Odd", "m"),
        ("throw { message: 7 }", "Error", "{\"message\":7}"),
        ("throw undefined", "Error", "undefined"),
        ("throw null", "Error", "null"),
        ("return Promise.reject(null)", "Error", "null"),
        (
            "const held = []; for (let i = 0; i < 20000; i++) held.push({ held }); throw null",
            "Error",
            "null",
        ),
        ("throw 5n", "Error", "5"),
        ("throw Symbol('s')", "Error", "Symbol(s)"),
        (
            "return Promise.reject(new RangeError('far'))",
            "RangeError",
            "far",
        ),
        (
            "class Mine extends Error { name = 'Mine' }; throw new Mine('m')",
            "Mine",
            "m",
        ),
        (
            "throw { get x() { throw 1 } }",
            "Error",
            "cannot be described",
        ),
        (
            "setTimeout(() => { throw new Error('late') }, 1); await new Promise(() => {})",
            "Error",
            "late",
        ),
        (
            "const c = {}; c.c = c; return c",
            "TypeError",
            "the result cannot be written as JSON: circular reference",
        ),
        (
            "return 'x'.repeat(20000)",
            "RangeError",
            "the result is larger than 10000 bytes",
        ),
        (
            "return 'é'.repeat(6000)",
            "RangeError",
            "the result is larger than 10000 bytes",
        ),
        (
            "return { toJSON() { throw new Error('no') } }",
            "TypeError",
            "cannot be written as JSON: no",
        ),
        ("throw new Error('x'.repeat(100000))", "Error", "xxx"),
    ] {
        let outcome = outcome(body).await;
        assert!(!outcome.poisoned, "{body}");
        let error = failure(outcome);
        assert_eq!(error.name, name, "{body}: {error}");
        assert!(error.message.contains(message), "{body}: {error}");
        assert!(error.message.len() < 20_000, "{body}");
    }
}

#[tokio::test]
async fn a_rejection_that_nobody_handles_ends_the_job() {
    let sleep = "const sleep = (ms) => new Promise((r) => setTimeout(r, ms));";
    for (body, message) in [
        (
            "Promise.reject(new Error('unh')); await sleep(1); return 1",
            "unh",
        ),
        ("Promise.reject(null); await sleep(1); return 1", "null"),
        (
            "(async () => { await sleep(1); throw new RangeError('late') })(); await sleep(60000)",
            "late",
        ),
        (
            "setTimeout(() => Promise.reject(new Error('timer'))); await sleep(60000)",
            "timer",
        ),
        (
            "const p = Promise.reject(new Error('too late')); await sleep(1); await p.catch(() => {}); return 1",
            "too late",
        ),
        (
            "fetch('https://x.test/'); await sleep(60000)",
            "fetch failed: no network",
        ),
    ] {
        let outcome = outcome(&format!("{sleep}{body}")).await;
        assert!(!outcome.poisoned, "{body}");
        assert_eq!(failure(outcome).message, message, "{body}");
    }
    for body in [
        "const p = Promise.reject(new Error('x')); await null; await p.catch(() => {}); await sleep(1); return 1",
        "const all = [1, 2].map(async (n) => { if (n > 0) throw n }); await Promise.allSettled(all); await sleep(1); return 1",
        "const p = sleep(1).then(() => { throw 1 }); try { await p } catch { await sleep(1); return 1 }",
        "await sleep(1); Promise.reject(new Error('x')); return 1",
    ] {
        assert_eq!(result(&format!("{sleep}{body}")).await, json!(1), "{body}");
    }
    let source = "Promise.reject(new Error('top')); await new Promise((r) => setTimeout(r, 1)); export function main() {}";
    let error = failure(context(source).run(call(json!({}))).await);
    assert_eq!(error.message, "top");
}

#[tokio::test]
async fn a_script_keeps_its_state_and_shares_none() {
    let source = "let n = 0; globalThis.m ??= 0; export function main() { globalThis.m++; return [++n, globalThis.m] }";
    let (mut one, mut two) = (context(source), context(source));
    for wanted in [json!([1, 1]), json!([2, 2]), json!([3, 3])] {
        assert_eq!(value(&one.run(call(json!({}))).await), wanted);
    }
    assert_eq!(value(&two.run(call(json!({}))).await), json!([1, 1]));
}

#[tokio::test]
async fn an_error_leaves_the_context_usable() {
    let source = "export function main(a) { if (a) throw new Error('no'); function f() { f() } ; try { f() } catch (e) { return e.name } }";
    let mut context = context(source);
    assert_eq!(
        failure(context.run(call(json!({ "a": 1 }))).await).message,
        "no"
    );
    assert_eq!(
        value(&context.run(call(json!({}))).await),
        json!("RangeError")
    );
    assert_eq!(
        failure(context.run(call(json!({ "a": 1 }))).await).message,
        "no"
    );
}

#[tokio::test]
async fn the_environment_is_the_jobs_own() {
    let source = "const early = process.env.N; export function main() { return [early, process.env.N, Deno.env.get('N'), process.env.NONE === undefined] }";
    let mut context = context(source);
    for n in ["1", "2"] {
        let mut call = call(json!({}));
        let given = (call.env)();
        call.env = Rc::new(move || {
            let more = ("N".to_owned(), n.to_owned());
            given.clone().into_iter().chain([more]).collect()
        });
        assert_eq!(value(&context.run(call).await), json!(["1", n, n, true]));
    }
}

#[tokio::test]
async fn preprocessors_run_too() {
    let source = "export function main(x) { return x }\nexport async function preprocessor(event) { return { x: event.msg } }";
    let mut context = context(source);
    let mut first = call(json!({ "event": { "msg": "hi" } }));
    first.function = Function::Preprocessor;
    assert_eq!(value(&context.run(first).await), json!({ "x": "hi" }));
    assert_eq!(value(&context.run(call(json!({ "x": 2 }))).await), json!(2));
    let mut without = call(json!({}));
    without.function = Function::Preprocessor;
    let error = failure(
        self::context("export const main = () => 1")
            .run(without)
            .await,
    );
    assert!(
        error.message.contains("exports no function preprocessor"),
        "{error}"
    );
}
