//! How a script is stopped, and what it leaves behind: time, memory, depth, cancellation.

use super::*;

#[tokio::test]
async fn endless_work_is_stopped() {
    for body in [
        "for (;;) {}",
        "for (;;) { try { for (;;) {} } catch {} finally { continue } }",
        "for (;;) await null",
        "const f = () => queueMicrotask(f); f(); await new Promise(() => {})",
        "setInterval(() => {}, 0); await new Promise(() => {})",
        "setInterval(() => { for (;;) {} }, 0); await new Promise(() => {})",
        "return /^(a+)+$/.test('a'.repeat(40) + 'b')",
        "return { toJSON() { for (;;) {} } }",
        "throw { get message() { return 1 }, toJSON() { for (;;) {} } }",
        "await new Promise((r) => setTimeout(r, 1e9))",
        "await fetch('https://x.test/never')",
    ] {
        let mut context = context(&main_of(body));
        let mut call = call(json!({}));
        call.timeout = Duration::from_millis(150);
        let started = Instant::now();
        let outcome = context.run(call).await;
        assert!(outcome.poisoned && context.is_poisoned(), "{body}");
        let error = failure(outcome);
        assert_eq!(error.name, "TimeoutError", "{body}: {error}");
        assert_eq!(error.message, "execution timed out after 0.15 s", "{body}");
        assert!(started.elapsed() >= Duration::from_millis(150), "{body}");
        let again = failure(context.run(self::call(json!({}))).await);
        assert!(again.message.contains("start a new one"), "{again}");
    }
}

#[tokio::test]
async fn the_top_level_has_limits_too() {
    for top in [
        "for (;;) {}",
        "await new Promise((r) => setTimeout(r, 1e9))",
    ] {
        let mut context = context(&format!("{top}\nexport function main() {{}}"));
        let mut call = call(json!({}));
        call.timeout = Duration::from_millis(100);
        assert_eq!(
            failure(context.run(call).await).name,
            "TimeoutError",
            "{top}"
        );
    }
    let mut context = context("throw new Error('at start');\nexport function main() {}");
    let outcome = context.run(call(json!({}))).await;
    assert!(outcome.poisoned);
    let error = failure(outcome);
    assert_eq!(error.message, "at start");
    assert!(error.stack.contains("script.ts:1:"), "{}", error.stack);
    let mut context = self::context(
        "const early = await Promise.resolve(3);\nexport function main() { return early }",
    );
    assert_eq!(value(&context.run(call(json!({}))).await), json!(3));
}

#[tokio::test]
async fn a_canceled_job_ends() {
    for body in [
        "for (;;) {}",
        "await new Promise((r) => setTimeout(r, 1e9))",
    ] {
        let call = call(json!({}));
        let cancel = Arc::clone(&call.cancel);
        let canceler = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            cancel.store(true, Ordering::Relaxed);
        });
        let outcome = context(&main_of(body)).run(call).await;
        canceler.join().unwrap();
        assert!(outcome.poisoned);
        assert_eq!(failure(outcome).name, "Canceled", "{body}");
    }
}

#[tokio::test]
async fn memory_has_a_limit() {
    for body in [
        "const all = []; for (;;) all.push(new Array(100).fill(1))",
        "let s = 'x'; for (;;) { s += s; s.indexOf('y') }",
        "return 'x'.repeat(1e8)",
        "return new Uint8Array(1e9)",
        "const m = new Map(); for (let i = 0; ; i++) m.set(i, { i })",
        "const all = []; for (;;) { await null; all.push([1, 2, 3]) }",
        "for (let last = {}; ; ) last = { last }",
        "for (let last = null; ; ) last = [last, 'x' + Math.random()]",
        "const grow = (last) => new Promise((_, reject) => { for (;;) try { last = { last } } catch (e) { return reject(e) } }); await grow(1)",
    ] {
        let outcome = outcome(body).await;
        assert!(outcome.poisoned, "{body}");
        let error = failure(outcome);
        assert_eq!(error.message, "out of memory (limit 16 MiB)", "{body}");
        assert_eq!(error.name, "OutOfMemoryError", "{body}");
    }
}

#[tokio::test]
async fn a_context_goes_on_after_null_was_thrown() {
    let source = "let kept = []; export function main(a) { if (a < 400) { kept.push('x'.repeat(5000)); throw null } return kept.length }";
    let mut context = context(source);
    for a in 0..400 {
        let outcome = context.run(call(json!({ "a": a }))).await;
        assert!(!outcome.poisoned, "{a}");
        assert_eq!(failure(outcome).message, "null");
    }
    assert_eq!(
        value(&context.run(call(json!({ "a": 400 }))).await),
        json!(400)
    );
}

#[tokio::test]
async fn memory_may_run_out_anywhere() {
    let body = "const keep: any[] = []; const r: any = structuredClone({ m: new Map([[1, { a }]]), e: new Error('x') });
        for (let i = 0; i < 50; i++) { keep.push({ i, s: 'x'.repeat(i * 40), u: new URL('https://x.test/' + i), p: Promise.resolve(i).then((n) => ({ n })) });
            console.log(keep[i], r); setTimeout(() => keep.push(new Uint8Array(10000)), 0) }
        const f = await fetch('https://x.test/', { method: 'POST', body: new Uint8Array(500) }); keep.push(await f.text(), /a(b)/.exec('ab'.repeat(99)));
        await Promise.all(keep.map((k) => k.p)); await new Promise((r) => setTimeout(r, 1)); (async () => { throw new Error('lost') })(); return keep.length";
    let source = main_of(body);
    let compiled = compile(&source).unwrap();
    let (mut started, mut finished) = (0, 0);
    for kib in (100..4000).step_by(37) {
        let limits = Limits {
            memory_bytes: kib << 10,
            timers: 100,
            ..small()
        };
        let Ok(mut context) = Context::new(&compiled, limits) else {
            continue;
        };
        started += 1;
        let mut call = call(json!({ "a": [1, { "b": "c" }] }));
        call.host = host(|_| Ok(response(200, "text/plain", vec![b'x'; 100_000])));
        let outcome = context.run(call).await;
        match outcome.result {
            Ok(_) => finished += 1,
            Err(error) => assert!(outcome.poisoned, "{kib} KiB: {error}"),
        }
    }
    assert!(
        started > 10 && finished > 0 && finished < started,
        "{finished} of {started}"
    );
}

#[tokio::test]
async fn deep_recursion_is_an_error() {
    for body in [
        "const f = (n) => f(n + 1) + 1; return f(0)",
        "let x = []; for (let i = 0; i < 50000; i++) x = [x]; return x",
        "return JSON.parse('['.repeat(100000))",
        "let p = {}; for (let i = 0; i < 50000; i++) p = new Proxy(p, {}); return p.x",
        "let x = []; for (let i = 0; i < 50000; i++) x = [x]; return String(x)",
        "let x = []; for (let i = 0; i < 50000; i++) x = [x]; return structuredClone(x)",
        "return new RegExp('(?:'.repeat(50000) + ')'.repeat(50000)).test('x')",
        "return new Function('return ' + '('.repeat(50000) + ')'.repeat(50000))",
        "const e = { get message() { return this.message } }; return e.message",
    ] {
        let outcome = outcome(body).await;
        let error = failure(outcome);
        let text = error.to_string();
        assert!(text.contains("stack"), "{body}: {text}");
    }
}

#[tokio::test]
async fn deep_data_does_not_overflow_the_thread() {
    for body in [
        "let x = []; for (let i = 0; i < 50000; i++) x = [x]; return x.flat(Infinity)",
        "let x: any = null; for (let i = 0; i < 50000; i++) x = { x }; return 1",
        "let x: any = {}; const top = x; for (let i = 0; i < 50000; i++) x = x.x = { top }; return 1",
        "let s = ''; for (let i = 0; i < 3000; i++) s = 'a' + s + 'b'; return s.length",
        "let p = Promise.resolve(1); for (let i = 0; i < 50000; i++) p = p.then((n) => n); return p",
        "let p = Promise.resolve(1); for (let i = 0; i < 5000; i++) { const q = p; p = (async () => q)() } return p",
        "let e = new Error('x'); for (let i = 0; i < 50000; i++) { e = Object.assign(new Error('y'), { cause: e }) } throw e",
        "let x = {}; for (let i = 0; i < 50000; i++) x = { x }; console.log(x)",
        "let x = {}; for (let i = 0; i < 50000; i++) x = Object.create(x); return x.nothing",
        "return /(?:a|b)*$/.test('ab'.repeat(100000))",
        "return 'a'.repeat(100000).replace(/(a)|(b)/g, '$1').length",
        "function* g(n) { if (n > 0) yield* g(n - 1) } return [...g(20000)]",
        "class A { static { this.x = () => 1 } } return Reflect.construct(A, []).x",
    ] {
        let limits = Limits::default();
        let mut context = Context::new(&compile(&main_of(body)).unwrap(), limits).unwrap();
        let outcome = context.run(call(json!({}))).await;
        if let Err(error) = outcome.result {
            assert_ne!(error.name, "TimeoutError", "{body}");
        }
    }
}

#[tokio::test]
async fn promises_that_nothing_resolves_are_noticed_at_once() {
    let started = Instant::now();
    let outcome = outcome("await new Promise(() => {})").await;
    assert!(outcome.poisoned, "the engine may have lost the promise");
    assert!(failure(outcome).message.contains("nothing can resolve"));
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn what_a_job_leaves_does_not_reach_the_next() {
    let source = "export async function main(a) { if (a) { setTimeout(() => console.log('late'), 1); fetch('https://x.test/never').catch(() => {}); return 1 } await new Promise((r) => setTimeout(r, 20)); return 2 }";
    let mut context = context(source);
    assert_eq!(value(&context.run(call(json!({ "a": 1 }))).await), json!(1));
    let second = context.run(call(json!({}))).await;
    assert_eq!((value(&second), second.logs.as_str()), (json!(2), ""));
    let outcome = outcome("(async () => { for (;;) await null })(); return 1").await;
    assert_eq!(value(&outcome), json!(1));
    assert!(outcome.poisoned, "an endless loop of promises goes on");
}
