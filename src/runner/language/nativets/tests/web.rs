//! What scripts know from browsers: logs, timers, `fetch`, URLs, text, cryptography, cloning.

use super::*;

#[tokio::test]
async fn logs_are_readable_and_bounded() {
    let outcome = outcome(
        "console.log('plain %s', 'text'); console.info(1, 'a', [1, 'b'], { k: { 'x-y': null } }, undefined);
         console.warn(new Map([[1, 2]]), new Set(['s']), 5n, Symbol('q'), () => 1, new Date(0), /r/g);
         class Point { x = 1 }; console.debug(new Point()); console.error(new TypeError('oops').message);
         const c: any = { name: 'c' }; c.self = c; console.log(c); console.log(); console.log('%d%% %j', 5, { a: 1 });
         console.log(new Uint8Array(3)); console.log('lone \\ud800'); console.assert(false, 'no'); console.count();",
    )
    .await;
    let wanted = "plain text
1 a [1, \"b\"] { k: { \"x-y\": null } } undefined
Map { 1 => 2 } Set { \"s\" } 5n Symbol(q) [function (anonymous)] 1970-01-01T00:00:00.000Z /r/g
Point { x: 1 }
oops
{ name: \"c\", self: [circular] }

5% {\"a\":1}
Uint8Array [0, 0, 0]
lone \u{fffd}
assertion failed: no
default: 1
";
    assert_eq!(outcome.logs, wanted);
    for body in [
        "for (let i = 0; i < 10000; i++) console.log('line', i)",
        "console.log('é'.repeat(100000))",
        "console.log(Array.from({ length: 200 }, () => Array.from({ length: 200 }, () => 'x'.repeat(100))))",
        "let deep = {}; for (let i = 0; i < 1000; i++) deep = { deep, other: 'x'.repeat(100) }; console.log(deep, deep, deep, deep)",
    ] {
        let seen = Rc::new(RefCell::new(String::new()));
        let copy = Rc::clone(&seen);
        let mut call = call(json!({}));
        call.on_log = Some(Rc::new(move |piece| copy.borrow_mut().push_str(piece)));
        let outcome = context(&main_of(body)).run(call).await;
        assert_eq!(value(&outcome), json!(null));
        assert!(outcome.logs.len() < 1100, "{body}: {}", outcome.logs.len());
        assert_eq!(*seen.borrow(), outcome.logs);
        if !body.contains("deep") {
            assert!(
                outcome
                    .logs
                    .ends_with("\n[logs are cut here: more than 1000 bytes]\n"),
                "{body}"
            );
        }
    }
    let error = self::outcome("console.log('before'); throw 1").await;
    assert_eq!(error.logs, "before\n");
}

#[tokio::test]
async fn rejections_that_nobody_awaits_reach_the_logs() {
    let outcome = outcome(
        "const late = Promise.reject(new Error('caught later')); await null; late.catch(() => {});
         (async () => { throw new TypeError('lost') })(); return 1",
    )
    .await;
    assert_eq!(value(&outcome), json!(1));
    assert!(
        outcome
            .logs
            .starts_with("a rejected promise was not awaited: TypeError: lost\n"),
        "{}",
        outcome.logs
    );
    assert!(!outcome.logs.contains("caught later"), "{}", outcome.logs);
}

#[tokio::test]
async fn values_of_the_web_are_printed() {
    let outcome = outcome("console.log(new URL('https://x.test/a'), new Headers({ A: 'b' }), new URLSearchParams('q=1'), [new Error('e').message])").await;
    assert_eq!(value(&outcome), json!(null));
    assert_eq!(
        outcome.logs,
        "URL(https://x.test/a) Headers { a: \"b\" } URLSearchParams { q: \"1\" } [\"e\"]\n"
    );
}

#[tokio::test]
async fn timers() {
    let body = "const seen: any[] = []; const wait = (ms) => new Promise((r) => setTimeout(r, ms));
        setTimeout((x, y) => seen.push(x + y), 10, 'a', 'b'); setTimeout(() => seen.push('first'), 0);
        const gone = setTimeout(() => seen.push('never'), 5); clearTimeout(gone); clearTimeout(undefined as any);
        let n = 0; await new Promise<void>((r) => { const id = setInterval(() => { if (++n === 3) { clearInterval(id); r() } }, 1) });
        await wait(30); queueMicrotask(() => seen.push('micro')); await null; await null;
        const before = performance.now(); await wait(15); return [seen, n, performance.now() - before >= 14]";
    assert_eq!(
        result(body).await,
        json!([["first", "ab", "micro"], 3, true])
    );
    let many = failure(outcome("for (let i = 0; i < 11; i++) setTimeout(() => {}, 1e6)").await);
    assert!(many.message.contains("more than 10 timers"), "{many}");
    assert!(
        failure(outcome("setTimeout('code')").await)
            .message
            .contains("needs a function")
    );
}

#[tokio::test]
async fn fetch_goes_through_the_host() {
    let host = host(|request| match request.url.as_str() {
        url if url.contains("/json") => Ok(response(201, "application/json", r#"{"a":[1,"é"]}"#)),
        url if url.contains("/bytes") => Ok(response(200, "x/y", [0_u8, 255, 128])),
        url if url.contains("/missing") => Ok(response(404, "text/plain", "not here")),
        _ => Err("refused: private address".to_owned()),
    });
    let body = r#"
        const one = await fetch('https://x.test/json?q=1#part', { method: 'post', headers: { 'X-A': 'b', Authorization: 'Bearer t' }, body: JSON.stringify({ é: 1 }) });
        const copy = one.clone();
        const two = await fetch(new URL('https://x.test/bytes'), { method: 'PUT', body: new Uint8Array([0, 200, 255]) });
        const three = await fetch(new Request('https://x.test/missing', { headers: [['A', '1'], ['a', '2']] }));
        const four = await fetch('https://x.test/other', { method: 'POST', body: new URLSearchParams({ q: 'ä b' }), redirect: 'manual' }).catch((e) => `${e.name}: ${e.message}`);
        const headers: any[] = []; one.headers.forEach((v, k) => headers.push(k + '=' + v));
        return [one.status, one.ok, one.statusText, one.url, one.redirected, one.headers.get('content-TYPE'), one.headers.has('nope'), headers,
            await one.json(), await copy.text(), one.bodyUsed, await one.text().catch((e) => e.message),
            [...new Uint8Array(await two.arrayBuffer())], three.ok, await three.text(), four]"#;
    let mut call = call(json!({}));
    call.host = Rc::clone(&host) as Rc<dyn Host>;
    let outcome = context(&main_of(body)).run(call).await;
    assert_eq!(
        value(&outcome),
        json!([201, true, "text", "https://x.test/last", true, "application/json", false,
               ["content-type=application/json"], { "a": [1, "é"] }, "{\"a\":[1,\"é\"]}", true,
               "the body has been read already", [0, 255, 128], false, "not here",
               "TypeError: fetch failed: refused: private address"])
    );
    let requests = host.requests.take();
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        requests[0],
        FetchRequest {
            method: "POST".to_owned(),
            url: "https://x.test/json?q=1#part".to_owned(),
            headers: vec![
                header("authorization", "Bearer t"),
                header("content-type", "text/plain;charset=UTF-8"),
                header("x-a", "b"),
            ],
            redirect: Redirect::Follow,
            body: Some("{\"é\":1}".as_bytes().to_vec()),
        }
    );
    assert_eq!(requests[1].body, Some(vec![0, 200, 255]));
    assert_eq!(requests[1].headers, []);
    assert_eq!(requests[2].headers, [header("a", "1, 2")]);
    assert_eq!(
        (requests[2].method.as_str(), &requests[2].body),
        ("GET", &None)
    );
    assert_eq!(requests[3].body, Some(b"q=%C3%A4+b".to_vec()));
    assert_eq!(requests[3].redirect, Redirect::Manual);
}

#[tokio::test]
async fn fetch_refuses_what_makes_no_sense() {
    for (body, wanted) in [
        ("await fetch('/relative')", "invalid URL: /relative"),
        (
            "await fetch('https://x.test', { body: 'x' })",
            "GET request cannot have a body",
        ),
        (
            "await fetch('https://x.test', { method: 'POST', body: 'x'.repeat(1001) })",
            "larger than 1000 bytes",
        ),
        (
            "await fetch('https://x.test', { headers: { 'a b': 'c' } })",
            "invalid header name: a b",
        ),
        (
            "await fetch('https://x.test', { headers: { a: 'b\\r\\nc: d' } })",
            "invalid header value",
        ),
        (
            "await fetch('https://x.test', { redirect: 'sideways' })",
            "sideways",
        ),
        (
            "await Promise.all(Array.from({ length: 5 }, () => fetch('https://x.test/never')))",
            "more than 4 requests",
        ),
        (
            "const c = new AbortController(); setTimeout(() => c.abort(), 1); await fetch('https://x.test/never', { signal: c.signal })",
            "aborted",
        ),
        (
            "await fetch('https://x.test/never', { signal: AbortSignal.timeout(1) })",
            "took longer than 1 ms",
        ),
        (
            "await fetch('https://x.test/', { signal: AbortSignal.abort('why') })",
            "why",
        ),
    ] {
        let error = failure(outcome(body).await);
        assert!(error.message.contains(wanted), "{body}: {error}");
    }
}

#[tokio::test]
async fn urls() {
    let body = "const u = new URL('../c?x=1#h', 'https://user:pw@ex.test:8443/a/b'); u.searchParams.append('y', 'ä &'); u.port = '99'; u.hash = '';
        const p = new URLSearchParams('?a=1&b=2&a=3'); p.set('b', '5'); p.delete('a', '1');
        return [u.href, u.origin, u.host, u.pathname, u.search, u.username, u.searchParams.get('y'), String(u), JSON.stringify({ u }),
            p.toString(), p.getAll('a'), p.has('z'), [...new URLSearchParams({ k: 'v w' })], p.size, URL.canParse('nope'),
            (() => { try { new URL('nope') } catch (e) { return e.name } })()]";
    assert_eq!(
        result(body).await,
        json!([
            "https://user:pw@ex.test:99/c?x=1&y=%C3%A4+%26",
            "https://ex.test:99",
            "ex.test:99",
            "/c",
            "?x=1&y=%C3%A4+%26",
            "user",
            "ä &",
            "https://user:pw@ex.test:99/c?x=1&y=%C3%A4+%26",
            "{\"u\":\"https://user:pw@ex.test:99/c?x=1&y=%C3%A4+%26\"}",
            "b=5&a=3",
            ["3"],
            false,
            [["k", "v w"]],
            2,
            false,
            "TypeError"
        ])
    );
}

#[tokio::test]
async fn text_and_bytes() {
    let body = "const bytes = new TextEncoder().encode('aé😀'); const d = new TextDecoder();
        return [[...bytes], d.decode(bytes), d.decode(bytes.buffer), d.decode(new Uint8Array([0xef, 0xbb, 0xbf, 65, 255])),
            d.decode(bytes.subarray(0, 2), { stream: true }) + d.decode(bytes.subarray(2)),
            (() => { try { new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([255])) } catch (e) { return e.name } })(),
            btoa('\\xff\\x00a'), atob('/wBh').charCodeAt(0), atob(' aGk '), (() => { try { btoa('é€') } catch (e) { return e.name } })(),
            (() => { try { atob('?') } catch (e) { return e.name } })(),
            d.decode(new Uint8Array(300000).fill(97)).length]";
    assert_eq!(
        result(body).await,
        json!([
            [97, 195, 169, 240, 159, 152, 128],
            "aé😀",
            "aé😀",
            "A\u{fffd}",
            "aé😀",
            "TypeError",
            "/wBh",
            255,
            "hi",
            "TypeError",
            "TypeError",
            300_000
        ])
    );
}

#[tokio::test]
async fn cryptography() {
    // Values of RFC 4231 (case 2) and of `printf abc | shasum`.
    let body = "const hex = (b) => [...new Uint8Array(b)].map((x) => x.toString(16).padStart(2, '0')).join(''); const e = new TextEncoder();
        const key = await crypto.subtle.importKey('raw', e.encode('Jefe'), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify']);
        const data = e.encode('what do ya want for nothing?'); const mac = await crypto.subtle.sign('HMAC', key, data);
        const forged = new Uint8Array(mac.slice(0)); forged[0] ^= 1; const r = crypto.getRandomValues(new Uint32Array(8));
        const one = await crypto.subtle.importKey('raw', e.encode('k'), { name: 'HMAC', hash: { name: 'SHA-512' } }, true, ['sign']);
        return [hex(await crypto.subtle.digest('SHA-1', e.encode('abc'))), hex(await crypto.subtle.digest({ name: 'sha-256' }, e.encode('abc'))),
            (await crypto.subtle.digest('SHA-384', data)).byteLength, (await crypto.subtle.digest('SHA-512', data)).byteLength,
            hex(mac), await crypto.subtle.verify('HMAC', key, mac, data), await crypto.subtle.verify('HMAC', key, forged, data),
            await crypto.subtle.verify('HMAC', key, mac.slice(1), data), (await crypto.subtle.sign('HMAC', one, data)).byteLength,
            /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab]/.test(crypto.randomUUID()), crypto.randomUUID() !== crypto.randomUUID(), r.some((x) => x !== 0),
            await crypto.subtle.digest('MD5', data).catch((e) => e.name), await crypto.subtle.verify('HMAC', one, mac, data).catch((e) => e.name)]";
    assert_eq!(
        result(body).await,
        json!([
            "a9993e364706816aba3e25717850c26c9cd0d89d",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            48,
            64,
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            true,
            false,
            false,
            64,
            true,
            true,
            true,
            "NotSupportedError",
            "InvalidAccessError"
        ])
    );
}

#[tokio::test]
async fn cloning() {
    let body = "const from: any = { d: new Date(5), m: new Map([[1, { a: 1 }]]), s: new Set([2]), r: /x/g, b: new Uint8Array([1, 2]), e: new RangeError('no'), l: [1, [2]] };
        from.self = from; const to = structuredClone(from); from.l[1].push(9); from.b[0] = 7;
        return [to !== from, to.self === to, to.d.getTime(), to.m.get(1).a, to.s.has(2), String(to.r), [...to.b], to.e instanceof RangeError, to.l,
            (() => { try { structuredClone({ f() {} }) } catch (e) { return e.name } })()]";
    assert_eq!(
        result(body).await,
        json!([
            true,
            true,
            5,
            1,
            true,
            "/x/g",
            [1, 2],
            true,
            [1, [2]],
            "DataCloneError"
        ])
    );
}
