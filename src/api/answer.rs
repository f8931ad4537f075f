//! What handlers give back; the content type is part of the contract (clients decide by it).

use std::marker::PhantomData;

use actix_web::{
    HttpRequest, HttpResponse, Responder, body::BoxBody, cookie::Cookie, http::header, web::Bytes,
};
use futures_util::{Stream, StreamExt as _};
use serde::Serialize;

pub(crate) use actix_web::web::Json;

const TEXT: &str = "text/plain; charset=utf-8";
/// Newline-delimited JSON.
pub(super) const LINES: &str = "application/x-ndjson";

/// 200 and a text.
#[derive(Debug)]
pub(crate) struct Text(pub(crate) String);

/// 201 and a text: the path, hash or id of what was made.
#[derive(Debug)]
pub(crate) struct Created(pub(crate) String);

/// 200 and JSON that is text already.
#[derive(Debug)]
pub(crate) struct Raw(pub(crate) String);

/// 200 and a ZIP archive.
#[derive(Debug)]
pub(crate) struct Zip(pub(crate) Vec<u8>);

/// 204 and the cookie of a session.
#[derive(Debug)]
pub(crate) struct Entered(pub(crate) Cookie<'static>);

/// 200, the token of a session as text, and its cookie.
#[derive(Debug)]
pub(crate) struct LoggedIn(pub(crate) String, pub(crate) Cookie<'static>);

/// 200 and JSON values as they come, one a line; `T` is what a line holds.
#[derive(Debug)]
pub(crate) struct Lines<T>(pub(crate) HttpResponse, pub(crate) PhantomData<T>);

impl<T: Serialize + 'static> Lines<T> {
    /// The values of `stream` as lines.
    pub(crate) fn of(stream: impl Stream<Item = T> + 'static) -> Self {
        let lines = stream.map(|value| {
            let mut line = serde_json::to_vec(&value)?;
            line.push(b'\n');
            Ok::<Bytes, serde_json::Error>(line.into())
        });
        let answer = HttpResponse::Ok()
            .content_type(LINES)
            .insert_header((header::CACHE_CONTROL, "no-store"))
            // Or a proxy would collect them.
            .insert_header(("x-accel-buffering", "no"))
            .streaming(lines);
        Self(answer, PhantomData)
    }
}

/// Answers whose statuses and types differ, each with what the document says of it.
macro_rules! wrapped {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name(pub(crate) HttpResponse);

        impl Responder for $name {
            type Body = BoxBody;
            fn respond_to(self, _: &HttpRequest) -> HttpResponse {
                self.0
            }
        }
    )+};
}
wrapped! {
    /// 200 or 503, and why.
    Health;
    /// 200 and server-sent events.
    Events;
    /// 101, and a WebSocket from then on.
    Upgraded;
    /// The result of a job that was waited for: 200, 422 when it failed, or what the result asks for.
    Waited;
}

impl<T> Responder for Lines<T> {
    type Body = BoxBody;
    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.0
    }
}

impl Responder for Text {
    type Body = BoxBody;
    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Ok().content_type(TEXT).body(self.0)
    }
}

impl Responder for Created {
    type Body = BoxBody;
    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Created().content_type(TEXT).body(self.0)
    }
}

impl Responder for Raw {
    type Body = BoxBody;
    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Ok()
            .content_type("application/json")
            .body(self.0)
    }
}

impl Responder for Zip {
    type Body = BoxBody;
    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Ok()
            .content_type("application/zip")
            .body(self.0)
    }
}

impl Responder for Entered {
    type Body = BoxBody;
    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::NoContent().cookie(self.0).finish()
    }
}

impl Responder for LoggedIn {
    type Body = BoxBody;
    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Ok()
            .cookie(self.1)
            .content_type(TEXT)
            .body(self.0)
    }
}
