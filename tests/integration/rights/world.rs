//! A server with people in every role, and a thing of every kind at every place.

use std::collections::HashMap;

use awc::http::Method;
use serde_json::{Value, json};

use super::table::Row;
use crate::harness::{Answer, TOKEN, TestApp};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    Root,
    Admin,
    Dev,
    Oper,
    Reader,
    Scoped,
    Stranger,
    Off,
    Nobody,
}

impl Role {
    fn username(self) -> &'static str {
        match self {
            Self::Root => "admin",
            Self::Admin => "boss",
            Self::Oper => "oper",
            Self::Off => "off",
            Self::Dev | Self::Reader | Self::Scoped | Self::Stranger | Self::Nobody => "dev",
        }
    }
}

/// Whose thing is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Any,
    Own,
    Shared,
    Other,
    /// There is nothing.
    Gone,
    /// In another workspace.
    Elsewhere,
    /// In no workspace.
    Nowhere,
}

impl Place {
    pub fn of(name: &str) -> Self {
        match name {
            "any" => Self::Any,
            "own" => Self::Own,
            "shared" => Self::Shared,
            "other" => Self::Other,
            _ => panic!("the table does not know place {name}"),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Own => "own",
            Self::Shared => "shared",
            Self::Other => "other",
            Self::Gone => "gone",
            Self::Elsewhere => "elsewhere",
            Self::Nowhere => "nowhere",
        }
    }

    fn workspace(self) -> &'static str {
        match self {
            Self::Elsewhere => "elsewhere",
            Self::Nowhere => "nowhere",
            _ => "main",
        }
    }

    /// Where the things are: below a user or a folder.
    fn below(self, role: Role) -> String {
        match self {
            Self::Any | Self::Own => format!("u/{}", role.username()),
            Self::Shared => "f/shared".to_owned(),
            Self::Other | Self::Gone => "u/other".to_owned(),
            Self::Elsewhere | Self::Nowhere => "u/admin".to_owned(),
        }
    }

    fn path(self, role: Role) -> String {
        let name = if self == Self::Gone { "none" } else { "thing" };
        format!("{}/{name}", self.below(role))
    }
}

const PASSWORD: &str = "correct horse";
/// Nobody has it.
const NO_JOB: &str = "01890000-0000-7000-8000-000000000000";

pub struct World {
    app: TestApp,
    tokens: HashMap<Role, String>,
    /// Ended jobs by where their scripts are.
    jobs: HashMap<String, String>,
    made: u32,
}

impl World {
    pub async fn make(app: TestApp) -> Self {
        let mut world = Self {
            app,
            tokens: HashMap::from([(Role::Root, TOKEN.to_owned())]),
            jobs: HashMap::new(),
            made: 0,
        };
        world.people().await;
        world.things().await;
        let out = world.root("/api/w/main/users/update/off", json!({"disabled": true}));
        out.await.expect(200);
        world
    }

    async fn people(&mut self) {
        let named = [
            ("boss", Some(Role::Admin)),
            ("dev", Some(Role::Dev)),
            ("oper", Some(Role::Oper)),
            ("off", Some(Role::Off)),
            ("stranger", Some(Role::Stranger)),
            ("other", None),
        ];
        for (name, role) in named {
            let email = format!("{name}@example.com");
            let person = json!({"email": email, "password": PASSWORD});
            self.root("/api/users/create", person.clone())
                .await
                .expect(201);
            if name != "stranger" {
                let (is_admin, operator) = (name == "boss", name == "oper");
                let member = json!({
                    "email": email, "username": name, "is_admin": is_admin, "operator": operator,
                });
                let path = "/api/w/main/workspaces/add_user";
                self.root(path, member).await.expect(201);
            }
            if let Some(role) = role {
                let token = self.root("/api/auth/login", person).await.expect(200);
                self.tokens.insert(role, token.text);
            }
        }
        for (role, limits) in [
            (Role::Reader, json!({"read_only": true})),
            (
                Role::Scoped,
                json!({"scopes": ["websocket_triggers:read", "jobs:read"]}),
            ),
        ] {
            self.be(Role::Dev);
            let token = self.app.post("/api/users/tokens/create", &limits).await;
            self.tokens.insert(role, token.expect(201).text);
        }
        self.extras().await;
        let workspace = json!({"id": "elsewhere", "name": "elsewhere"});
        self.root("/api/workspaces/create", workspace)
            .await
            .expect(201);
    }

    async fn things(&mut self) {
        for name in ["admin", "boss", "dev", "oper", "off", "other", "shared"] {
            self.folder(name).await;
            let below = match name {
                "shared" => "f/shared".to_owned(),
                name => format!("u/{name}"),
            };
            self.restore("main", &format!("{below}/thing")).await;
        }
        self.restore("elsewhere", "u/admin/thing").await;
        for (role, place) in [
            (Role::Root, "u/admin"),
            (Role::Root, "f/shared"),
            (Role::Root, "u/other"),
            (Role::Admin, "u/boss"),
            (Role::Dev, "u/dev"),
            (Role::Oper, "u/oper"),
            (Role::Off, "u/off"),
        ] {
            self.be(role);
            let id = self
                .app
                .run_script(&format!("{place}/thing"), &json!({}))
                .await;
            self.be(Role::Root);
            self.app.wait_for_job(&id).await;
            self.jobs.insert(place.to_owned(), id);
        }
    }

    /// Makes a folder that is not there (any more).
    async fn folder(&mut self, name: &str) {
        let (owner, perms) = match name {
            "shared" => ("u/admin".to_owned(), json!({"g/all": false})),
            name => (format!("u/{name}"), json!({})),
        };
        let folder = json!({"name": name, "owners": [owner], "extra_perms": perms});
        let answer = self.root("/api/w/main/folders/create", folder).await;
        assert!(matches!(answer.status, 200 | 409), "{}", answer.text);
    }

    /// Makes what is not there (any more) at a path.
    async fn restore(&mut self, workspace: &str, path: &str) {
        for (kind, body) in [
            (
                "scripts",
                json!({"path": path, "summary": "", "content": "echo 1", "language": "bash"}),
            ),
            (
                "flows",
                json!({"path": path, "summary": "", "value": {"modules": []}}),
            ),
            (
                "variables",
                json!({"path": path, "value": "x", "is_secret": false}),
            ),
            (
                "resources",
                json!({"path": path, "value": {}, "resource_type": "x"}),
            ),
            ("websocket_triggers", trigger(path)),
        ] {
            let at = format!("/api/w/{workspace}/{kind}/create");
            let answer = self.root(&at, body).await;
            assert!(matches!(answer.status, 201 | 409), "{at}: {}", answer.text);
        }
    }

    /// Makes the person, member and group that may be removed, where they are not there (any more).
    async fn extras(&mut self) {
        for (path, body) in [
            (
                "/api/users/create",
                json!({"email": "extra@example.com", "password": PASSWORD}),
            ),
            (
                "/api/w/main/workspaces/add_user",
                json!({"email": "extra@example.com"}),
            ),
            ("/api/w/main/groups/create", json!({"name": "crew"})),
        ] {
            let answer = self.root(path, body).await;
            assert!(
                matches!(answer.status, 200 | 201 | 409),
                "{path}: {}",
                answer.text
            );
        }
    }

    fn be(&mut self, role: Role) {
        let token = self.tokens.get(&role).cloned();
        self.app.set_token(token.as_deref());
    }

    async fn root(&mut self, path: &str, body: Value) -> Answer {
        self.be(Role::Root);
        self.app.post(path, &body).await
    }

    /// The API's document.
    pub async fn document(&self) -> Value {
        self.app.get("/api/openapi.json").await.expect(200).json()
    }

    /// What `{path}`, `{id}` and `{at}` stand for.
    async fn name(&mut self, row: &Row, place: Place, role: Role) -> String {
        let path = place.path(role);
        let gone = matches!(place, Place::Gone | Place::Elsewhere | Place::Nowhere);
        let seen = match row.name.as_str() {
            "path" | "new" => return path,
            "folder" => {
                let below = place.below(role);
                let folder = below.split('/').nth(1).unwrap_or_default();
                return if gone {
                    "none".to_owned()
                } else {
                    folder.to_owned()
                };
            }
            "job" => {
                let job = self.jobs.get(&place.below(role)).cloned();
                return job.filter(|_| !gone).unwrap_or_else(|| NO_JOB.to_owned());
            }
            "hash" if gone => return "0000000000000001".to_owned(),
            "version" if gone => return "123456789".to_owned(),
            "hash" => ("scripts/get/p", "hash"),
            "version" => ("flows/get_latest_version", "id"),
            "user" => return "extra".to_owned(),
            "email" => return "extra@example.com".to_owned(),
            "group" => return "crew".to_owned(),
            "alert" | "capture" => return "999999".to_owned(),
            "token" => return "nothing".to_owned(),
            _ => return String::new(),
        };
        self.be(Role::Root);
        let found = self.app.get(&format!("{}/{path}", seen.0)).await;
        let found = found.expect(200).json();
        match &found[seen.1] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// Asks for a route as somebody; what an allowed request takes away is made again.
    pub async fn ask(&mut self, row: &Row, (place, role): (Place, Role), allowed: bool) -> Answer {
        self.made += 1;
        let new = format!("new{}", self.made);
        let mut name = self.name(row, place, role).await;
        if row.name == "new" && allowed {
            name = format!("{}/{new}", place.below(role));
        }
        let token = self.tokens[&Role::Dev].clone();
        let filled = |text: &str| {
            text.replace("{trigger}", &trigger(&name).to_string())
                .replace("{workspace}", place.workspace())
                .replace("{path}", &name)
                .replace("{id}", &name)
                .replace("{at}", &name)
                .replace("{new}", &new)
                .replace("{token}", &token)
        };
        let (path, body) = (filled(&row.pattern()), filled(&row.body));
        let method = match row.method.as_str() {
            "GET" => Method::GET,
            "DELETE" => Method::DELETE,
            _ => Method::POST,
        };
        self.be(role);
        let body = (!body.is_empty()).then(|| body.into_bytes());
        let answer = self.app.request(method, &path, body).await;
        let removes =
            row.method == "DELETE" || path.contains("/delete/") || path.contains("/archive/");
        if answer.status < 300 && removes {
            match row.name.as_str() {
                "user" | "email" | "group" => self.extras().await,
                "folder" => self.folder(&name).await,
                _ => self.restore("main", &place.path(role)).await,
            }
        }
        answer
    }

    /// An answer with the names of what was asked for taken out.
    pub async fn without_names(
        &mut self,
        row: &Row,
        place: Place,
        answer: &Answer,
    ) -> (u16, String) {
        let name = self.name(row, place, Role::Dev).await;
        (answer.status, answer.text.replace(&name, "…"))
    }
}

/// A trigger that does nothing.
fn trigger(path: &str) -> Value {
    json!({
        "path": path, "script_path": "f/shared/thing", "is_flow": false, "url": "ws://127.0.0.1:9/", "filters": [],
        "can_return_message": false, "can_return_error_result": false, "mode": "disabled",
    })
}
