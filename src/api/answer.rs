//! What handlers give back; the content type is part of the contract (clients decide by it).

use actix_web::{HttpRequest, HttpResponse, Responder, body::BoxBody, cookie::Cookie};

pub(crate) use actix_web::web::Json;

const TEXT: &str = "text/plain; charset=utf-8";

/// 200 and a text.
#[derive(Debug)]
pub(crate) struct Text(pub(crate) String);

/// 201 and a text: the path, hash or id of what was made.
#[derive(Debug)]
pub(crate) struct Created(pub(crate) String);

/// 200 and JSON that is text already.
#[derive(Debug)]
pub(crate) struct Raw(pub(crate) String);

/// 204 and the cookie of a session.
#[derive(Debug)]
pub(crate) struct Entered(pub(crate) Cookie<'static>);

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

impl Responder for Entered {
    type Body = BoxBody;
    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::NoContent().cookie(self.0).finish()
    }
}
