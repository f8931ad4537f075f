//! The OpenAPI document, worked out from the handlers themselves: what a handler takes and gives is in its
//! signature, so the document cannot say anything else.
//!
//! [`Takes`] describes extractors, [`Gives`] describes answers; [`super::table`] names method, path and
//! purpose of each route once, for the router and for the document.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;
use utoipa::{
    IntoParams, ToSchema,
    openapi::{
        Components, Content, Info, OpenApi, PathItem, Paths, RefOr, Required, Schema,
        path::{Operation, OperationBuilder, ParameterBuilder, ParameterIn},
        request_body::RequestBody,
        response::{Response, Responses},
        schema::{KnownFormat, Object, ObjectBuilder, SchemaFormat, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use super::{
    Group, Method, State,
    answer::{
        Created, Entered, Events, Health, Json, LINES, Lines, LoggedIn, Raw, Text, Upgraded,
        Waited, Zip,
    },
    auth::OPEN,
    extract::{At, Body, CaptureAt, JobAt, KeyAt, KindAt, Query, RawBody},
};
use crate::access::Caller;

/// What is known of one route.
#[derive(Default)]
pub(crate) struct Description {
    /// Schemas that are referred to by name.
    schemas: Vec<(String, RefOr<Schema>)>,
    parameters: Vec<utoipa::openapi::path::Parameter>,
    /// What the `id` of the path is, where it is more than a text.
    id: Option<Object>,
    body: Option<RequestBody>,
    answers: Vec<(u16, Response)>,
}

/// An extractor that can say what it takes.
pub(crate) trait Takes {
    /// Adds what it takes.
    fn takes(description: &mut Description);
}

/// An answer that can say what it is.
pub(crate) trait Gives {
    /// Adds what it gives.
    fn gives(description: &mut Description);
}

macro_rules! takes_nothing {
    ($($type:ty),+) => {
        $(impl Takes for $type {
            fn takes(_: &mut Description) {}
        })+
    };
}
takes_nothing!(
    Caller,
    HttpRequest,
    web::Data<State>,
    At,
    KindAt,
    web::Payload
);

fn uuid(description: &mut Description) {
    let format = SchemaFormat::KnownFormat(KnownFormat::Uuid);
    let id = ObjectBuilder::new().schema_type(Type::String);
    description.id = Some(id.format(Some(format)).build());
}

impl Takes for JobAt {
    fn takes(description: &mut Description) {
        uuid(description);
    }
}

impl Takes for KeyAt {
    fn takes(description: &mut Description) {
        uuid(description);
    }
}

impl Takes for CaptureAt {
    fn takes(description: &mut Description) {
        let format = SchemaFormat::KnownFormat(KnownFormat::Int64);
        let id = ObjectBuilder::new().schema_type(Type::Integer);
        description.id = Some(id.format(Some(format)).build());
    }
}

macro_rules! takes_all {
    ($($name:ident)*) => {
        impl<$($name: Takes),*> Takes for ($($name,)*) {
            fn takes(_description: &mut Description) {
                $($name::takes(_description);)*
            }
        }
    };
}
takes_all!();
takes_all!(A);
takes_all!(A B);
takes_all!(A B C);
takes_all!(A B C D);
takes_all!(A B C D E);
takes_all!(A B C D E F);

impl<T: ToSchema> Takes for Body<T> {
    fn takes(description: &mut Description) {
        let content = json::<T>(description);
        let body = RequestBody::builder()
            .content("application/json", content)
            .required(Some(Required::True));
        description.body = Some(body.build());
    }
}

impl Takes for RawBody {
    fn takes(description: &mut Description) {
        let content = json::<Value>(description);
        description.body = Some(
            RequestBody::builder()
                .content("application/json", content)
                .build(),
        );
    }
}

impl<T: IntoParams> Takes for Query<T> {
    fn takes(description: &mut Description) {
        description
            .parameters
            .extend(T::into_params(|| Some(ParameterIn::Query)));
    }
}

fn json<T: ToSchema>(description: &mut Description) -> Content {
    T::schemas(&mut description.schemas);
    Content::new(Some(T::schema()))
}

impl Description {
    fn answer(&mut self, status: u16, what: &str, content: Option<(&str, Content)>) {
        let mut response = Response::builder().description(what);
        if let Some((kind, content)) = content {
            response = response.content(kind, content);
        }
        self.answers.push((status, response.build()));
    }

    fn text(&mut self, status: u16, what: &str) {
        let text = ObjectBuilder::new().schema_type(Type::String).build();
        let content = Content::new(Some(RefOr::T(Schema::from(text))));
        self.answer(status, what, Some(("text/plain", content)));
    }

    fn operation(&mut self, method: Method, group: &str, path: &str, summary: &str) -> Operation {
        let parameters = path
            .split('{')
            .skip(1)
            .filter_map(|rest| rest.split(['}', ':']).next());
        let id = self.id.take();
        let schema = |name: &str| match &id {
            Some(id) if name == "id" => id.clone(),
            _ => ObjectBuilder::new().schema_type(Type::String).build(),
        };
        let in_path = parameters.map(|name| {
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .schema(Some(RefOr::T(Schema::from(schema(name)))))
                .build()
        });
        let parameters: Vec<_> = in_path
            .chain(std::mem::take(&mut self.parameters))
            .collect();
        for (status, what) in ERRORS {
            let possible = match status {
                409 => method == Method::Post,
                413 => self.body.is_some(),
                429 => method == Method::Post && LIMITED.contains(&group),
                _ => true,
            };
            let own = self.answers.iter().any(|(known, _)| known == status);
            if possible && !own {
                self.text(*status, what);
            }
        }
        let mut responses = Responses::new();
        for (status, response) in std::mem::take(&mut self.answers) {
            let key = if status == ANY {
                "default".to_owned()
            } else {
                status.to_string()
            };
            responses.responses.insert(key, RefOr::T(response));
        }
        OperationBuilder::new()
            .tag(group)
            .summary(Some(summary))
            .parameters(Some(parameters))
            .request_body(self.body.take())
            .responses(responses)
            .build()
    }
}

/// Stands for "whatever the status" (`default` in the document).
const ANY: u16 = 0;

/// Groups whose routes bound how often they are asked.
const LIMITED: [&str; 2] = ["login", "websocket triggers"];
/// What any route may answer instead; some only with a body or where something is written.
const ERRORS: &[(u16, &str)] = &[
    (400, "malformed or invalid; the text names the field"),
    (401, "no valid token"),
    (403, "not allowed"),
    (404, "not found"),
    (409, "exists already"),
    (413, "body too large"),
    (429, "too many at once; try again later"),
    (503, "the database gives no answer"),
];

impl<T: ToSchema> Gives for Json<T> {
    fn gives(description: &mut Description) {
        let content = json::<T>(description);
        description.answer(200, "done", Some(("application/json", content)));
    }
}

impl<T: ToSchema> Gives for Lines<T> {
    fn gives(description: &mut Description) {
        let content = json::<T>(description);
        description.answer(
            200,
            "one JSON value a line, as they come",
            Some((LINES, content)),
        );
    }
}

impl Gives for Raw {
    fn gives(description: &mut Description) {
        let content = json::<Value>(description);
        description.answer(200, "done", Some(("application/json", content)));
    }
}

impl Gives for Text {
    fn gives(description: &mut Description) {
        description.text(200, "done");
    }
}

impl Gives for Created {
    fn gives(description: &mut Description) {
        description.text(201, "created");
    }
}

impl Gives for Zip {
    fn gives(description: &mut Description) {
        let bytes = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
            .build();
        let content = Content::new(Some(RefOr::T(Schema::from(bytes))));
        description.answer(200, "done", Some(("application/zip", content)));
    }
}

impl Gives for Entered {
    fn gives(description: &mut Description) {
        description.answer(204, "done; the session is in the cookie", None);
    }
}

impl Gives for LoggedIn {
    fn gives(description: &mut Description) {
        description.text(
            200,
            "done; the session's token, which is in the cookie as well",
        );
    }
}

impl Gives for HttpResponse {
    fn gives(description: &mut Description) {
        description.answer(
            ANY,
            "done; status, type and shape depend on what was asked",
            None,
        );
    }
}

impl Gives for Health {
    fn gives(description: &mut Description) {
        for (status, what) in [(200, "healthy"), (503, "not healthy")] {
            let content = json::<Value>(description);
            description.answer(status, what, Some(("application/json", content)));
        }
    }
}

impl Gives for Events {
    fn gives(description: &mut Description) {
        // JSON, of each event: only OpenAPI 3.2 describes a stream as a whole.
        let data = ObjectBuilder::new().schema_type(Type::String);
        let event = ObjectBuilder::new().schema_type(Type::Object);
        let event = event.property("data", data).required("data");
        let content = Content::new(Some(RefOr::T(Schema::from(event.build()))));
        description.answer(
            200,
            "events as they come",
            Some(("text/event-stream", content)),
        );
    }
}

impl Gives for Upgraded {
    fn gives(description: &mut Description) {
        description.answer(101, "a WebSocket from here on", None);
    }
}

impl Gives for Waited {
    fn gives(description: &mut Description) {
        let content = json::<Value>(description);
        description.answer(200, "the result", Some(("application/json", content)));
        let content = json::<Value>(description);
        description.answer(
            422,
            "the job failed: its error",
            Some(("application/json", content)),
        );
        description.text(504, "the job did not end in time, and goes on");
        HttpResponse::gives(description);
    }
}

/// The document of every route in `groups`.
pub(crate) fn document(groups: Vec<Group>) -> OpenApi {
    let mut paths = Paths::new();
    let mut components = Components::new();
    for group in groups {
        for mut route in group.routes {
            let path = format!("/api{}{}", group.prefix, route.path).replace(":.*}", "}");
            components
                .schemas
                .extend(std::mem::take(&mut route.description.schemas));
            let mut operation =
                route
                    .description
                    .operation(route.method, group.name, &path, route.summary);
            if OPEN.contains(&path.as_str()) {
                operation.security = Some(vec![SecurityRequirement::default()]);
            }
            let method = format!("{:?}", route.method).to_lowercase();
            let words = path
                .trim_start_matches("/api")
                .replace(['{', '}'], "")
                .replace('/', "_");
            operation.operation_id = Some(format!("{method}{words}"));
            let mut one = PathItem::default();
            let place = match route.method {
                Method::Get => &mut one.get,
                Method::Post => &mut one.post,
                Method::Delete => &mut one.delete,
            };
            *place = Some(operation);
            match paths.paths.get_mut(&path) {
                Some(item) => item.merge_operations(one),
                None => {
                    paths.paths.insert(path, one);
                }
            }
        }
    }
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    let mut document = OpenApi::new(Info::new("windsock", env!("CARGO_PKG_VERSION")), paths);
    document.components = Some(components);
    document.security = Some(vec![SecurityRequirement::new(
        "token",
        Vec::<String>::new(),
    )]);
    document
}
