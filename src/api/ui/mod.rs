//! The page: the files of `static/`, embedded; every address that is not a file is the page itself.
//!
//! The page names its files below `/v/<version>/`, which changes with any of them: a browser keeps such a file for good and
//! asks only for the page anew, and modules of two releases never mix. `bundle` makes few files of many; what travels is
//! compressed once, when the server starts.

mod bundle;

use std::{
    collections::HashMap,
    io::Write,
    sync::{LazyLock, OnceLock},
};

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse,
    http::header::{self, AcceptEncoding, ContentEncoding, Encoding, EntityTag, HeaderValue},
    web,
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use rust_embed::RustEmbed;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{
    State,
    auth::{POLICY, protect},
    error::Error,
    extract::Query,
    session,
};
use crate::access::Denied;

#[derive(RustEmbed)]
#[folder = "static/"]
#[allow_missing = true]
struct Embedded;

/// The page's file.
const INDEX: &str = "index.html";
/// The page's script: all modules in one file.
const SCRIPT: &str = "page.js";
/// What of `index.html` names the first of them.
const MODULES: &str = "data-modules=\"/js/main.js\"";
/// What stands before a file's name where its address names a version.
const VERSIONED: &str = "v/";
/// For a file whose address changes with it.
const FOR_GOOD: &str = "public, max-age=31536000, immutable";
/// For a file that has to be asked for again; unchanged it is not sent.
const ASK_AGAIN: &str = "no-cache";

/// Every file of the page, and what names them all together.
struct Files {
    version: String,
    by_name: HashMap<String, File>,
    /// See [`policy`].
    policy: HeaderValue,
}

/// One file, as it is and as it travels.
struct File {
    content_type: &'static str,
    tag: EntityTag,
    plain: Bytes,
    gzip: OnceLock<Bytes>,
}

static FILES: LazyLock<Files> = LazyLock::new(Files::read);

impl Files {
    fn read() -> Self {
        let mut names: Vec<String> = Embedded::iter().map(String::from).collect();
        names.sort();
        let mut all = Sha256::new();
        let mut by_name = HashMap::new();
        for name in &names {
            let Some(file) = Embedded::get(name) else {
                continue;
            };
            let hash = file.metadata.sha256_hash();
            all.update(name);
            all.update(hash);
            let file = File::new(name, hex::encode(hash), Bytes::from(file.data.into_owned()));
            by_name.insert(name.clone(), file);
        }
        let mut version = hex::encode(all.finalize());
        version.truncate(16);
        let text = |name: &str| {
            let file: &File = by_name.get(name)?;
            str::from_utf8(&file.plain).ok()
        };
        let modules = names.iter().filter(|name| name.ends_with(".js"));
        let script = bundle::join(modules.filter_map(|name| Some((name.as_str(), text(name)?))));
        let (index, allowed) = bundle::inline(text(INDEX).unwrap_or_default(), text);
        let index = index.replace(MODULES, &format!("data-modules=\"/{SCRIPT}\""));
        let named = names.iter().map(String::as_str).chain([SCRIPT]);
        let index = named.fold(index, |page, name| {
            let versioned = format!("\"/{VERSIONED}{version}/{name}\"");
            page.replace(&format!("\"/{name}\""), &versioned)
        });
        for (name, text) in [(INDEX, index), (SCRIPT, script)] {
            let file = File::new(name, version.clone(), Bytes::from(text));
            by_name.insert(name.to_owned(), file);
        }
        let policy = HeaderValue::from_str(&format!("{POLICY}; {allowed}"));
        let policy = policy.unwrap_or(HeaderValue::from_static(POLICY));
        Self {
            version,
            by_name,
            policy,
        }
    }

    /// The file an address stands for, and how long a browser may keep it.
    fn find(&self, path: &str) -> Option<(&File, &'static str)> {
        let name = file_of(path);
        let versioned = name.strip_prefix(VERSIONED);
        let Some((version, name)) = versioned.and_then(|rest| rest.split_once('/')) else {
            return Some((self.by_name.get(name)?, ASK_AGAIN));
        };
        // A page of the release before goes on with what there is now.
        let keep = if version == self.version {
            FOR_GOOD
        } else {
            ASK_AGAIN
        };
        Some((self.by_name.get(name)?, keep))
    }
}

impl File {
    fn new(name: &str, tag: String, plain: Bytes) -> Self {
        Self {
            content_type: content_type(name),
            tag: EntityTag::new_strong(tag),
            plain,
            gzip: OnceLock::new(),
        }
    }

    /// As small as it gets; as it is where that fails, which writing to memory does not.
    fn compressed(&self) -> Bytes {
        let compress = || {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            let written = encoder.write_all(&self.plain);
            written.and_then(|()| encoder.finish()).map(Bytes::from)
        };
        let bytes = self.gzip.get_or_init(|| compress().unwrap_or_default());
        bytes.clone()
    }
}

/// What the address of the page may carry.
#[derive(Debug, Deserialize)]
pub(crate) struct Enter {
    /// A login link's token.
    token: Option<String>,
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "webmanifest" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// The file an address stands for: itself, or the page when it has no ending.
fn file_of(path: &str) -> &str {
    let name = path.trim_start_matches('/');
    let last = name.rsplit('/').next().unwrap_or_default();
    if last.contains('.') { name } else { INDEX }
}

/// A file of the page, or the page; a login link's token is exchanged for a session first.
pub(crate) async fn serve(
    req: HttpRequest,
    enter: Query<Enter>,
    state: web::Data<State>,
) -> Result<HttpResponse, Error> {
    if let Some(token) = enter.0.token.filter(|_| req.path() == "/") {
        return match session::enter(&req, &state, token).await {
            Err(Error::Denied(Denied::NotLoggedIn)) => {
                let text = "this link was used before or has expired; 'windsock login-link' prints a new one";
                let mut answer = HttpResponse::Unauthorized()
                    .content_type("text/plain; charset=utf-8")
                    .body(text);
                protect(answer.headers_mut(), true);
                Ok(answer)
            }
            other => other,
        };
    }
    let Some((file, keep)) = FILES.find(req.path()) else {
        let name = file_of(req.path());
        return Err(Error::NotFound(format!("no such file: {name}")));
    };
    let mut answer = answer(&req, file, keep);
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, FILES.policy.clone());
    Ok(answer)
}

/// Has what the first view needs ready before anybody asks, on a thread of its own.
pub(super) fn make_ready() {
    std::thread::spawn(|| {
        for name in [INDEX, SCRIPT] {
            FILES.by_name.get(name).map(File::compressed);
        }
    });
}

/// The file in the form the browser takes, or that it has it already.
fn answer(req: &HttpRequest, file: &File, keep: &'static str) -> HttpResponse {
    let tag = header::ETag(file.tag.clone());
    let cache = (header::CACHE_CONTROL, keep);
    let vary = (header::VARY, "accept-encoding");
    let known = req.headers().get(header::IF_NONE_MATCH);
    let known = known.and_then(|tags| tags.to_str().ok());
    // The tag names the file, not its encoding: either form stands for the other.
    if known.is_some_and(|known| known.contains(file.tag.tag())) {
        let mut answer = HttpResponse::NotModified();
        let answer = answer.insert_header(tag).insert_header(cache);
        return answer.insert_header(vary).finish();
    }
    let mut answer = HttpResponse::Ok();
    answer
        .content_type(file.content_type)
        .insert_header(tag)
        .insert_header(cache)
        .insert_header(vary);
    let gzip = takes_gzip(req).then(|| file.compressed());
    match gzip.filter(|gzip| !gzip.is_empty()) {
        Some(gzip) => answer.insert_header(ContentEncoding::Gzip).body(gzip),
        None => answer.body(file.plain.clone()),
    }
}

fn takes_gzip(req: &HttpRequest) -> bool {
    let forms = [Encoding::gzip(), Encoding::identity()];
    req.get_header::<AcceptEncoding>()
        .and_then(|accepted| accepted.negotiate(forms.iter()))
        .is_some_and(|form| form == Encoding::gzip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (path, file) in [
            ("/", INDEX),
            ("/triggers", INDEX),
            ("/runs/0192", INDEX),
            ("/js/api.js", "js/api.js"),
            ("/app.css", "app.css"),
            ("/../Cargo.toml", "../Cargo.toml"),
        ] {
            assert_eq!(file_of(path), file);
        }
        assert!(FILES.find("/../Cargo.toml").is_none());
        assert!(content_type("js/api.js").starts_with("text/javascript"));
    }
}
