//! The functions written in Rust that scripts reach through `prelude.js` and `web.js`.
//!
//! Bytes arrive as text with one character (U+0000 to U+00FF) per byte: reading an engine's buffer in place would
//! need `unsafe`. Nothing here waits; what takes time is put into [`State`] for the event loop.

use std::{rc::Rc, time::Duration};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose},
};
use hmac::{Hmac, KeyInit, Mac};
use rand::TryRng;
use rquickjs::{
    Ctx, Exception, Function, Object, Result, TypedArray, context::EvalOptions, function::Opt,
};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use url::{Url, form_urlencoded, quirks};
use uuid::Uuid;

use super::state::{Settled, State};
use super::{FetchRequest, Limits};

/// Base64 as browsers read it: padding or none.
const FORGIVING: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The object `host` of `prelude.js`.
pub(super) fn object<'js>(ctx: &Ctx<'js>, state: &Rc<State>) -> Result<Object<'js>> {
    let host = Object::new(ctx.clone())?;
    add_job(ctx, &host, state)?;
    add_time(ctx, &host, state)?;
    add_text(ctx, &host)?;
    add_crypto(ctx, &host)?;
    host.set("url", Function::new(ctx.clone(), parse_url)?)?;
    host.set("url_set", Function::new(ctx.clone(), set_url)?)?;
    host.set("form_parse", Function::new(ctx.clone(), parse_form)?)?;
    host.set("form_write", Function::new(ctx.clone(), write_form)?)?;
    Ok(host)
}

/// The object `limits` of `prelude.js`, the parameters of the script's functions included.
pub(super) fn limits_object<'js>(
    ctx: &Ctx<'js>,
    limits: &Limits,
    params: [(&str, Vec<(String, bool)>); 2],
) -> Result<Object<'js>> {
    let number = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    let object = Object::new(ctx.clone())?;
    object.set("result", number(limits.result_bytes))?;
    object.set("log", number(limits.log_bytes))?;
    object.set("body", number(limits.body_bytes))?;
    object.set("fetches", number(limits.fetches))?;
    object.set("timers", number(limits.timers))?;
    // Of an error's text; enough to read, and no way around the limit of the result.
    object.set("text", number(limits.result_bytes.min(16 << 10)))?;
    for (name, list) in params {
        object.set(name, ctx.json_parse(serde_json::json!(list).to_string())?)?;
    }
    Ok(object)
}

/// Evaluates one of the scripts beside this file, which is an expression.
pub(super) fn eval<'js>(ctx: &Ctx<'js>, name: &str, source: &str) -> Result<Function<'js>> {
    let mut options = EvalOptions::default();
    options.filename = Some(name.to_owned());
    options.strict = true;
    ctx.eval_with_options(source, options)
}

fn add_job<'js>(ctx: &Ctx<'js>, host: &Object<'js>, state: &Rc<State>) -> Result<()> {
    let shared = Rc::clone(state);
    let settle = move |is_done: bool, text: String| {
        shared.settle(if is_done {
            Settled::Done(text)
        } else {
            Settled::Failed(text)
        });
    };
    host.set("settle", Function::new(ctx.clone(), settle)?)?;
    let shared = Rc::clone(state);
    let out_of_memory = move || shared.settle(Settled::OutOfMemory);
    host.set("out_of_memory", Function::new(ctx.clone(), out_of_memory)?)?;
    let shared = Rc::clone(state);
    let null = move || shared.settle(Settled::Null);
    host.set("null", Function::new(ctx.clone(), null)?)?;
    let shared = Rc::clone(state);
    let log = move |line: String| shared.log(&line);
    host.set("log", Function::new(ctx.clone(), log)?)?;
    let shared = Rc::clone(state);
    let env = move || shared.environment();
    host.set("env", Function::new(ctx.clone(), env)?)?;
    let web = |ctx: Ctx<'js>| eval(&ctx, "windsock:web", include_str!("web.js"));
    host.set("web", Function::new(ctx.clone(), web)?)?;
    let values = |ctx: Ctx<'js>| eval(&ctx, "windsock:values", include_str!("values.js"));
    host.set("values", Function::new(ctx.clone(), values)?)
}

fn add_time<'js>(ctx: &Ctx<'js>, host: &Object<'js>, state: &Rc<State>) -> Result<()> {
    let shared = Rc::clone(state);
    let timer = move |id: u32, ms: f64| {
        shared.set_timer(
            id,
            Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default(),
        );
    };
    host.set("timer", Function::new(ctx.clone(), timer)?)?;
    let shared = Rc::clone(state);
    let clear = move |id: u32| shared.clear_timer(id);
    host.set("clear_timer", Function::new(ctx.clone(), clear)?)?;
    let shared = Rc::clone(state);
    let fetch =
        move |ctx: Ctx<'js>, id: u32, head: String, body: Opt<Option<String>>, binary: bool| {
            let mut request: FetchRequest = serde_json::from_str(&head)
                .map_err(|error| Exception::throw_type(&ctx, &format!("fetch: {error}")))?;
            request.body = body.0.flatten().map(|text| {
                if binary {
                    unpacked(&text)
                } else {
                    text.into_bytes()
                }
            });
            shared.add_fetch(id, request);
            Ok::<_, rquickjs::Error>(())
        };
    host.set("fetch", Function::new(ctx.clone(), fetch)?)?;
    let shared = Rc::clone(state);
    let cancel = move |id: u32| shared.cancel_fetch(id);
    host.set("cancel_fetch", Function::new(ctx.clone(), cancel)?)
}

fn add_text<'js>(ctx: &Ctx<'js>, host: &Object<'js>) -> Result<()> {
    let encode = |ctx: Ctx<'js>, text: String| TypedArray::<u8>::new(ctx, text.into_bytes());
    host.set("encode", Function::new(ctx.clone(), encode)?)?;
    host.set("decode", Function::new(ctx.clone(), decode)?)?;
    let atob = |ctx: Ctx<'js>, text: String| {
        let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let bytes = FORGIVING
            .decode(text)
            .map_err(|error| Exception::throw_type(&ctx, &format!("atob: not base64: {error}")))?;
        Ok::<_, rquickjs::Error>(packed(&bytes))
    };
    host.set("atob", Function::new(ctx.clone(), atob)?)?;
    let btoa = |text: String| general_purpose::STANDARD.encode(unpacked(&text));
    host.set("btoa", Function::new(ctx.clone(), btoa)?)
}

fn add_crypto<'js>(ctx: &Ctx<'js>, host: &Object<'js>) -> Result<()> {
    let uuid = || Uuid::new_v4().to_string();
    host.set("uuid", Function::new(ctx.clone(), uuid)?)?;
    let random = |ctx: Ctx<'js>, count: usize| {
        // The caller asks for 65,536 at most.
        let mut bytes = vec![0; count.min(65_536)];
        rand::rngs::SysRng
            .try_fill_bytes(&mut bytes)
            .map_err(|error| {
                Exception::throw_internal(&ctx, &format!("no random bytes: {error}"))
            })?;
        TypedArray::<u8>::new(ctx, bytes)
    };
    host.set("random", Function::new(ctx.clone(), random)?)?;
    let digest = |ctx: Ctx<'js>, hash: String, data: String| {
        let data = unpacked(&data);
        let bytes = match hash.as_str() {
            "SHA-1" => Sha1::digest(data).to_vec(),
            "SHA-256" => Sha256::digest(data).to_vec(),
            "SHA-384" => Sha384::digest(data).to_vec(),
            _ => Sha512::digest(data).to_vec(),
        };
        TypedArray::<u8>::new(ctx, bytes)
    };
    host.set("digest", Function::new(ctx.clone(), digest)?)?;
    let hmac = |ctx: Ctx<'js>, hash: String, key: String, data: String| {
        let code = authenticate(&hash, &unpacked(&key), &unpacked(&data));
        let code = code.map_err(|error| Exception::throw_type(&ctx, &error))?;
        TypedArray::<u8>::new(ctx, code)
    };
    host.set("hmac", Function::new(ctx.clone(), hmac)?)?;
    let verify = |ctx: Ctx<'js>, hash: String, key: String, data: String, given: String| {
        let code = authenticate(&hash, &unpacked(&key), &unpacked(&data));
        let code = code.map_err(|error| Exception::throw_type(&ctx, &error))?;
        // In constant time: how far a forged signature is right must not show in the clock.
        Ok::<bool, rquickjs::Error>(
            subtle::ConstantTimeEq::ct_eq(&*code, &*unpacked(&given)).into(),
        )
    };
    host.set("hmac_verify", Function::new(ctx.clone(), verify)?)
}

fn authenticate(hash: &str, key: &[u8], data: &[u8]) -> std::result::Result<Vec<u8>, String> {
    fn code<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> std::result::Result<Vec<u8>, String> {
        let mut mac = <M as KeyInit>::new_from_slice(key).map_err(|error| error.to_string())?;
        mac.update(data);
        Ok(mac.finalize().into_bytes().to_vec())
    }
    match hash {
        "SHA-1" => code::<Hmac<Sha1>>(key, data),
        "SHA-256" => code::<Hmac<Sha256>>(key, data),
        "SHA-384" => code::<Hmac<Sha384>>(key, data),
        _ => code::<Hmac<Sha512>>(key, data),
    }
}

/// Bytes as text with one character per byte.
fn packed(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// The bytes of such a text; characters that are none are cut to their low byte, as no caller sends them.
fn unpacked(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| (u32::from(c) & 0xff).to_le_bytes()[0])
        .collect()
}

/// UTF-8 to text. With `stream`, an unfinished character at the end is handed back.
fn decode(ctx: Ctx<'_>, packed_bytes: String, fatal: bool, stream: bool) -> Result<Vec<String>> {
    let mut bytes = unpacked(&packed_bytes);
    let mut rest = String::new();
    if stream
        && let Err(error) = std::str::from_utf8(&bytes)
        && let Some(tail) = unfinished_tail(&bytes)
    {
        debug_assert!(error.valid_up_to() <= tail, "only the tail is unfinished");
        rest = packed(&bytes[tail..]);
        bytes.truncate(tail);
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(vec![text, rest]),
        Err(_) if fatal => Err(Exception::throw_type(&ctx, "the bytes are not valid utf-8")),
        Err(error) => Ok(vec![
            String::from_utf8_lossy(error.as_bytes()).into_owned(),
            rest,
        ]),
    }
}

/// Where a character begins that the bytes end in the middle of.
fn unfinished_tail(bytes: &[u8]) -> Option<usize> {
    let earliest = bytes.len().saturating_sub(3);
    (earliest..bytes.len()).find(|at| {
        matches!(std::str::from_utf8(&bytes[*at..]), Err(error) if error.valid_up_to() == 0 && error.error_len().is_none())
    })
}

/// The parts of a URL, in the order of `PARTS` in `web.js`.
fn parts(url: &Url) -> Vec<String> {
    [
        quirks::href(url),
        &quirks::origin(url),
        quirks::protocol(url),
        quirks::username(url),
        quirks::password(url),
        quirks::host(url),
        quirks::hostname(url),
        quirks::port(url),
        quirks::pathname(url),
        quirks::search(url),
        quirks::hash(url),
    ]
    .map(ToOwned::to_owned)
    .to_vec()
}

fn parse_url(text: String, base: Opt<Option<String>>) -> Option<Vec<String>> {
    let url = match base.0.flatten() {
        Some(base) => Url::parse(&base).ok()?.join(&text).ok()?,
        None => Url::parse(&text).ok()?,
    };
    Some(parts(&url))
}

/// Sets one part; `None` when the URL stays as it is because the value does not fit.
fn set_url(href: String, part: String, value: String) -> Option<Vec<String>> {
    let mut url = Url::parse(&href).ok()?;
    match part.as_str() {
        "href" => url = Url::parse(&value).ok()?,
        "protocol" => quirks::set_protocol(&mut url, &value).ok()?,
        "username" => quirks::set_username(&mut url, &value).ok()?,
        "password" => quirks::set_password(&mut url, &value).ok()?,
        "host" => quirks::set_host(&mut url, &value).ok()?,
        "hostname" => quirks::set_hostname(&mut url, &value).ok()?,
        "port" => quirks::set_port(&mut url, &value).ok()?,
        "pathname" => quirks::set_pathname(&mut url, &value),
        "search" => quirks::set_search(&mut url, &value),
        "hash" => quirks::set_hash(&mut url, &value),
        _ => return None,
    }
    Some(parts(&url))
}

fn parse_form(text: String) -> Vec<Vec<String>> {
    form_urlencoded::parse(text.as_bytes())
        .map(|(name, value)| vec![name.into_owned(), value.into_owned()])
        .collect()
}

fn write_form(pairs: Vec<Vec<String>>) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for pair in &pairs {
        if let [name, value] = pair.as_slice() {
            form.append_pair(name, value);
        }
    }
    form.finish()
}
