//! The page: the files of `static/`, embedded; every address that is not a file is the page itself.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, EntityTag},
    web,
};
use rust_embed::RustEmbed;
use serde::Deserialize;

use super::{State, auth::protect, error::Error, extract::Query, session};
use crate::access::Denied;

#[derive(RustEmbed)]
#[folder = "static/"]
#[allow_missing = true]
struct Files;

/// The page's file.
const INDEX: &str = "index.html";

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
    let name = file_of(req.path());
    let Some(file) = Files::get(name) else {
        return Err(Error::NotFound(format!("no such file: {name}")));
    };
    let tag = EntityTag::new_strong(hex::encode(file.metadata.sha256_hash()));
    let known = req
        .headers()
        .get(header::IF_NONE_MATCH)
        .and_then(|tags| tags.to_str().ok());
    // A compressing middleware weakens nothing here: the tag names the file, not its encoding.
    if known.is_some_and(|known| known.contains(tag.tag())) {
        return Ok(HttpResponse::NotModified()
            .insert_header(header::ETag(tag))
            .finish());
    }
    Ok(HttpResponse::Ok()
        .content_type(content_type(name))
        .insert_header(header::ETag(tag))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(file.data.into_owned()))
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
        assert!(Files::get("../Cargo.toml").is_none());
        assert!(content_type("js/api.js").starts_with("text/javascript"));
    }
}
