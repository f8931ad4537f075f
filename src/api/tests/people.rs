//! People, passwords, members, groups: who gets in, and what that one may do then.

use std::net::SocketAddr;

use super::*;
use crate::identity::JobIdentity;

impl Bench {
    /// Logs in from an address of its own network.
    async fn login(&self, from: u8, email: &str, password: &str) -> (u16, String) {
        let body = json!({"email": email, "password": password});
        let request = TestRequest::post()
            .uri("/api/auth/login")
            .peer_addr(SocketAddr::from(([10, 0, 0, from], 1000)))
            .insert_header((header::HOST, "127.0.0.1:8000"))
            .set_payload(body.to_string());
        let answer = self.send(request).await;
        let (status, cookies) = (answer.status().as_u16(), answer.cookies().count());
        let text = to_bytes(answer.into_body()).await.unwrap();
        assert_eq!(cookies, usize::from(status == 200));
        (status, String::from_utf8(text.to_vec()).unwrap())
    }

    /// What the bearer of a token gets for a request below `/api/`.
    async fn by(&self, token: &str, verb: Verb, path: &str, body: Value) -> (u16, String) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let answer = self
            .ask(verb, &format!("/api/{path}"), Some(token), &body)
            .await;
        (answer.0, answer.2)
    }

    /// A person with a password, who is no member of anything.
    async fn person(&self, email: &str, password: &str) {
        let body = json!({"email": email, "password": password});
        let made = self.by(ROOT, Verb::POST, "users/create", body).await;
        assert_eq!(made.0, 201, "{}", made.1);
    }
}

#[actix_rt::test]
async fn a_password_lets_in_and_nobody_else_learns_of_whom() {
    let bench = Bench::new().await;
    bench.person("Ann@Example.com", "correct horse").await;
    bench.person("off@example.com", "correct horse").await;
    let off = json!({"disabled": true});
    let off = bench.by(ROOT, Verb::POST, "users/update/off@example.com", off);
    assert_eq!(off.await.0, 200);
    let (status, token) = bench.login(1, "ann@example.COM ", "correct horse").await;
    assert_eq!(status, 200, "{token}");
    let (status, me) = bench
        .by(&token, Verb::GET, "users/whoami", Value::Null)
        .await;
    assert!(status == 200 && me.contains("ann@example.com"), "{me}");

    let wrong = (401, "the email or the password is wrong".to_owned());
    for (email, password) in [
        ("ann@example.com", "correct horsf"),
        ("ann@example.com", ""),
        ("nobody@example.com", "correct horse"),
        ("off@example.com", "correct horse"),
        ("admin@windsock.local", "correct horse"),
        ("admin@windsock.local", "nobody's password"),
    ] {
        assert_eq!(bench.login(2, email, password).await, wrong, "{email}");
    }
    for _ in 0..4 {
        assert_eq!(bench.login(2, "x@y", "z").await.0, 401);
    }
    let late = bench.login(2, "ann@example.com", "correct horse").await;
    assert_eq!(late.0, 429, "too many have failed from there");
    let again = TestRequest::post()
        .uri("/api/auth/login")
        .peer_addr(SocketAddr::from(([10, 0, 0, 2], 1000)))
        .insert_header((header::HOST, "127.0.0.1:8000"))
        .set_payload(json!({"email": "ann@example.com", "password": "x"}).to_string());
    let again = bench.send(again).await;
    assert_eq!(again.status().as_u16(), 429);
    let after = again.headers().get(header::RETRY_AFTER);
    assert_eq!(after.unwrap(), "60", "a client is told when to come again");
    let elsewhere = bench.login(3, "ann@example.com", "correct horse").await;
    assert_eq!(elsewhere.0, 200);

    let short = json!({"password": "short"});
    let short = bench.by(&token, Verb::POST, "users/setpassword", short);
    assert_eq!(
        short.await,
        (400, "password: must be 8 to 256 bytes".to_owned())
    );
    let new = json!({"password": "battery staple"});
    let new = bench.by(&token, Verb::POST, "users/setpassword", new);
    assert_eq!(new.await.0, 200);
    let who = |token: String| async {
        let token = token;
        bench
            .by(&token, Verb::GET, "users/whoami", Value::Null)
            .await
            .0
    };
    assert_eq!(who(token).await, 200, "the session that did it stays");
    assert_eq!(who(elsewhere.1).await, 401, "others end");
    assert_eq!(
        bench.login(4, "ann@example.com", "correct horse").await,
        wrong
    );
    let again = bench.login(4, "ann@example.com", "battery staple").await;
    assert_eq!(again.0, 200);
}

#[actix_rt::test]
async fn who_is_removed_or_shut_out_is_out_and_a_super_admin_stays() {
    let bench = Bench::new().await;
    bench.person("ann@example.com", "correct horse").await;
    let add = json!({"email": "ann@example.com"});
    let add = bench.by(ROOT, Verb::POST, "w/main/workspaces/add_user", add);
    assert_eq!(add.await, (201, "user ann added".to_owned()));
    let (_, session) = bench.login(1, "ann@example.com", "correct horse").await;
    let token = bench.by(&session, Verb::POST, "users/tokens/create", json!({}));
    let token = token.await.1;
    let status = async |path: &str| bench.by(&token, Verb::GET, path, Value::Null).await.0;
    let edit = async |path: &str, body: Value| bench.by(ROOT, Verb::POST, path, body).await.0;
    assert_eq!(status("w/main/scripts/list").await, 200);
    let (member, person) = ("w/main/users/update/ann", "users/update/ann@example.com");
    assert_eq!(edit(member, json!({"disabled": true})).await, 200);
    assert_eq!(status("w/main/scripts/list").await, 403, "not in there");
    assert_eq!(status("users/whoami").await, 200);
    assert_eq!(edit(member, json!({"disabled": false})).await, 200);
    assert_eq!(edit(person, json!({"disabled": true})).await, 200);
    assert_eq!(status("users/whoami").await, 401);
    assert_eq!(edit(person, json!({"disabled": false})).await, 200);
    assert_eq!(status("users/whoami").await, 200);

    // Rights follow the person at once, not the token.
    assert_eq!(status("users/list_as_super_admin").await, 403);
    assert_eq!(edit(person, json!({"is_super_admin": true})).await, 200);
    assert_eq!(status("users/list_as_super_admin").await, 200);
    assert_eq!(status("w/none/scripts/list").await, 404);
    let admin = "users/update/admin@windsock.local";
    assert_eq!(edit(admin, json!({"is_super_admin": false})).await, 200);
    for last in [json!({"is_super_admin": false}), json!({"disabled": true})] {
        assert_eq!(edit(person, last).await, 409);
    }
    let path = "users/delete/ann@example.com";
    let (status_of, text) = bench.by(ROOT, Verb::DELETE, path, Value::Null).await;
    assert!(
        status_of == 409 && text.contains("last super admin"),
        "{text}"
    );
    assert_eq!(edit(admin, json!({"is_super_admin": true})).await, 200);
    assert_eq!(bench.by(ROOT, Verb::DELETE, path, Value::Null).await.0, 200);
    assert_eq!(status("users/whoami").await, 401);
    assert_eq!(bench.by(ROOT, Verb::DELETE, path, Value::Null).await.0, 404);
    // Who comes back under the same address has nothing of before.
    bench.person("ann@example.com", "correct horse").await;
    let (_, session) = bench.login(2, "ann@example.com", "correct horse").await;
    let seen = bench.by(&session, Verb::GET, "w/main/scripts/list", Value::Null);
    assert_eq!(seen.await.0, 403);
    assert_eq!(status("users/whoami").await, 401);
}

#[actix_rt::test]
async fn only_admins_say_who_belongs_to_a_workspace_and_one_stays() {
    let bench = Bench::new().await;
    let ann = bench.user("ann", NewToken::default()).await;
    let listed = bench.json("users/list").await;
    let listed = listed.as_array().unwrap().iter();
    let supers = listed.filter(|one| one["is_super_admin"] == true);
    let supers: Vec<&Value> = supers.map(|one| &one["username"]).collect();
    assert_eq!(supers, ["admin"]);
    let one = bench.json("users/get/admin").await;
    assert_eq!(one["is_super_admin"], true, "{one}");
    let bob = json!({"email": "bob@example.com", "username": "bob", "operator": true});
    for (path, body) in [
        ("workspaces/add_user", bob.clone()),
        ("users/update/admin", json!({"is_admin": false})),
        ("users/update/nobody", json!({})),
        ("groups/create", json!({"name": "x"})),
    ] {
        let at = format!("w/main/{path}");
        let answer = bench.by(&ann, Verb::POST, &at, body).await;
        assert_eq!(
            answer,
            (403, "only an admin may do this".to_owned()),
            "{path}"
        );
    }
    let gone = bench.by(&ann, Verb::DELETE, "w/main/users/delete/admin", Value::Null);
    assert_eq!(gone.await.0, 403);
    assert_eq!(bench.post("workspaces/add_user", bob.clone()).await.0, 201);
    assert_eq!(bench.post("workspaces/add_user", bob).await.0, 409);
    let same = json!({"email": "BOB@example.com", "username": "bob2"});
    assert_eq!(bench.post("workspaces/add_user", same).await.0, 409);
    for (field, body) in [
        ("email", json!({"email": "bob"})),
        ("email", json!({})),
        ("username", json!({"email": "c@d", "username": "g/x"})),
    ] {
        let (status, _, text) = bench.post("workspaces/add_user", body).await;
        assert!(status == 400 && text.starts_with(field), "{text}");
    }
    assert_eq!(
        bench.json("users/list_usernames").await,
        json!(["admin", "ann", "bob"])
    );
    let seen = bench.json("users/get/bob").await;
    assert_eq!(
        (&seen["operator"], &seen["is_admin"]),
        (&json!(true), &json!(false))
    );
    for edit in [json!({"is_admin": false}), json!({"disabled": true})] {
        let (status, _, text) = bench.post("users/update/admin", edit).await;
        assert!(status == 409 && text.contains("no admin"), "{text}");
    }
    assert_eq!(bench.json("users/get/admin").await["is_admin"], true);
    let edit = json!({"is_admin": true, "operator": false});
    assert_eq!(bench.post("users/update/bob", edit).await.0, 200);
    assert_eq!(
        bench
            .post("users/update/admin", json!({"is_admin": false}))
            .await
            .0,
        200
    );
    let path = "w/main/users/delete/bob";
    assert_eq!(bench.by(ROOT, Verb::DELETE, path, Value::Null).await.0, 409);
}

#[actix_rt::test]
async fn a_limited_token_and_a_jobs_token_beget_nothing() {
    let bench = Bench::new().await;
    let job = NewJob::new(
        "main".into(),
        Runnable::Script {
            path: "u/admin/s".into(),
            hash: None,
        },
        Args::Object("{}".to_owned()),
        "admin",
    );
    let identity = JobIdentity {
        workspace: "main".to_owned(),
        permissioned_as: "u/admin".to_owned(),
        job: job.id,
        depth: 0,
        until: Timestamp::now().plus(std::time::Duration::from_secs(600)),
    };
    bench.state.queue.push(vec![job]).await.unwrap();
    let tokens = bench.state.pool.run(access::job_tokens).await.unwrap();
    let of_job = tokens.mint(&identity);
    let bound = json!({"workspace_id": "main"});
    let bound = bench
        .by(ROOT, Verb::POST, "users/tokens/create", bound)
        .await;
    let reads = json!({"read_only": true});
    let reads = bench
        .by(ROOT, Verb::POST, "users/tokens/create", reads)
        .await;
    let scoped = json!({"scopes": ["users:write", "workspaces:write"]});
    let scoped = bench
        .by(ROOT, Verb::POST, "users/tokens/create", scoped)
        .await;
    let prefix = &bound.1[..10];
    for token in [&of_job, &bound.1, &reads.1, &scoped.1] {
        for (verb, path, body) in [
            (Verb::POST, "users/tokens/create", json!({})),
            (
                Verb::POST,
                "users/setpassword",
                json!({"password": "battery staple"}),
            ),
            (Verb::POST, "users/create", json!({"email": "x@y"})),
            (
                Verb::POST,
                "workspaces/create",
                json!({"id": "x", "name": "x"}),
            ),
            (
                Verb::DELETE,
                &format!("users/tokens/delete/{prefix}"),
                Value::Null,
            ),
            (
                Verb::DELETE,
                "users/delete/admin@windsock.local",
                Value::Null,
            ),
        ] {
            let (status, text) = bench.by(token, verb, path, body).await;
            assert_eq!(status, 403, "{path}: {text}");
        }
    }
    let seen = bench.by(&of_job, Verb::GET, "w/main/users/whoami", Value::Null);
    assert_eq!(seen.await.0, 200);
    let (_, token) = bench
        .by(&bound.1, Verb::GET, "users/whoami", Value::Null)
        .await;
    assert!(token.contains(r#""super_admin":false"#), "{token}");
}

#[actix_rt::test]
async fn groups_share_folders_and_things_and_jobs_run_as_them() {
    let bench = Bench::new().await;
    let ann = bench.user("ann", NewToken::default()).await;
    let ben = bench.user("ben", NewToken::default()).await;
    for (path, body) in [
        ("groups/create", json!({"name": "team", "summary": "us"})),
        ("groups/adduser/team", json!({"username": "ann"})),
        (
            "folders/create",
            json!({"name": "shared", "extra_perms": {"g/team": true}}),
        ),
        (
            "variables/create",
            json!({"path": "f/shared/v", "value": "1", "is_secret": false}),
        ),
        (
            "variables/create",
            json!({"path": "u/admin/v", "value": "2", "is_secret": false}),
        ),
        (
            "variables/create",
            json!({"path": "u/admin/hidden", "value": "3", "is_secret": false}),
        ),
        ("acls/add/variable/u/admin/v", json!({"owner": "g/team"})),
    ] {
        let (status, _, text) = bench.post(path, body).await;
        assert!(status < 300, "{path}: {text}");
    }
    let read = async |token: &str, path: &str| {
        let path = format!("w/main/variables/get_value/{path}");
        bench.by(token, Verb::GET, &path, Value::Null).await.0
    };
    let write = async |token: &str, path: &str| {
        let path = format!("w/main/variables/update/{path}");
        bench
            .by(token, Verb::POST, &path, json!({"value": "x"}))
            .await
            .0
    };
    for (token, path, reads, writes) in [
        (&ann, "f/shared/v", 200, 200),
        (&ann, "u/admin/v", 200, 403),
        (&ann, "u/admin/hidden", 404, 404),
        (&ben, "f/shared/v", 404, 404),
        (&ben, "u/admin/v", 404, 404),
    ] {
        assert_eq!(read(token, path).await, reads, "{path}");
        assert_eq!(write(token, path).await, writes, "{path}");
    }
    let me = bench
        .by(&ann, Verb::GET, "w/main/users/whoami", Value::Null)
        .await;
    let me: Value = serde_json::from_str(&me.1).unwrap();
    assert_eq!(
        (&me["groups"], &me["folders"]),
        (&json!(["all", "team"]), &json!(["shared"]))
    );
    // Whom something is shared with passes it on to nobody, and does not see who else has it hidden.
    let share = json!({"owner": "u/ben", "write": true});
    for (path, status) in [
        ("acls/add/variable/u/admin/v", 403),
        ("acls/add/variable/u/admin/hidden", 404),
        ("acls/add/variable/u/admin/none", 404),
        ("acls/add/folder/shared", 403),
        ("acls/add/script/u/ann/none", 404),
        ("acls/add/schedule/u/ann/s", 400),
    ] {
        let at = format!("w/main/{path}");
        let answer = bench.by(&ann, Verb::POST, &at, share.clone()).await;
        assert_eq!(answer.0, status, "{path}");
    }
    let ghost = bench.post("acls/add/variable/u/admin/v", json!({"owner": "u/ghost"}));
    assert_eq!(ghost.await.2, "owner: 'u/ghost' does not exist");
    assert_eq!(
        bench.json("acls/get/variable/u/admin/v").await,
        json!({"g/team": false})
    );

    // Jobs of a trigger that runs as the group have the group's rights and no other.
    let mut body = trigger("f/shared/t");
    let create = "w/main/websocket_triggers/create";
    assert_eq!(
        bench.by(&ann, Verb::POST, create, body.clone()).await,
        (403, "script_path: you may not run 'u/admin/s'".to_owned())
    );
    body["script_path"] = json!("f/shared/s");
    body["permissioned_as"] = json!("g/team");
    body["preserve_permissioned_as"] = json!(true);
    assert_eq!(
        bench.by(&ann, Verb::POST, create, body.clone()).await.0,
        201
    );
    let run_as = async || {
        let got = bench.json("websocket_triggers/get/f/shared/t").await;
        got["permissioned_as"].as_str().unwrap().to_owned()
    };
    assert_eq!(run_as().await, "u/ann", "no deployer keeps it");
    let deployers = json!({"name": "wm_deployers"});
    assert_eq!(bench.post("groups/create", deployers).await.0, 200);
    let member = json!({"username": "ann"});
    assert_eq!(
        bench.post("groups/adduser/wm_deployers", member).await.0,
        200
    );
    let update = "w/main/websocket_triggers/update/f/shared/t";
    assert_eq!(
        bench.by(&ann, Verb::POST, update, body.clone()).await.0,
        200
    );
    assert_eq!(run_as().await, "g/team");
    body["permissioned_as"] = json!("g/ghost");
    let ghost = bench.by(&ann, Verb::POST, update, body).await;
    assert_eq!(
        ghost,
        (
            400,
            "permissioned_as: group 'ghost' does not exist".to_owned()
        )
    );
    let mut job = NewJob::new(
        "main".into(),
        Runnable::Script {
            path: "f/shared/s".into(),
            hash: None,
        },
        Args::Object("{}".to_owned()),
        "ws-f/shared/t",
    );
    job.permissioned_as = "g/team".into();
    let identity = JobIdentity {
        workspace: "main".to_owned(),
        permissioned_as: "g/team".to_owned(),
        job: job.id,
        depth: 0,
        until: Timestamp::now().plus(std::time::Duration::from_secs(600)),
    };
    bench.state.queue.push(vec![job]).await.unwrap();
    let tokens = bench.state.pool.run(access::job_tokens).await.unwrap();
    let of_job = tokens.mint(&identity);
    for (path, status) in [
        ("f/shared/v", 200),
        ("u/admin/v", 200),
        ("u/admin/hidden", 404),
        ("u/ann/v", 404),
    ] {
        assert_eq!(read(&of_job, path).await, status, "{path}");
    }
    // Out of the group, out of what was its.
    let out = bench.post("groups/removeuser/team", json!({"username": "ann"}));
    assert_eq!(out.await.0, 200);
    assert_eq!(read(&ann, "f/shared/v").await, 404);
    let gone = "w/main/groups/delete/team";
    assert_eq!(bench.by(ROOT, Verb::DELETE, gone, Value::Null).await.0, 200);
    assert_eq!(
        read(&of_job, "f/shared/v").await,
        401,
        "there is no such group"
    );
    for (verb, path) in [
        (Verb::DELETE, "w/main/groups/delete/all"),
        (Verb::POST, "w/main/groups/adduser/all"),
    ] {
        let answer = bench.by(ROOT, verb, path, json!({"username": "ann"})).await;
        assert_eq!(answer.0, 400, "{path}");
    }
    assert_eq!(
        bench.json("groups/listnames").await,
        json!(["all", "wm_deployers"])
    );
}

#[actix_rt::test]
async fn a_flow_runs_only_what_its_author_may_read() {
    let bench = Bench::new().await;
    let ann = bench.user("ann", NewToken::default()).await;
    let (status, _, hidden) = bench.post("scripts/create", script("u/admin/s")).await;
    assert_eq!(status, 201, "{hidden}");
    let own = script("u/ann/s");
    let made = bench
        .by(&ann, Verb::POST, "w/main/scripts/create", own)
        .await;
    assert_eq!(made.0, 201, "{}", made.1);
    let step = |step: Value| {
        json!({"modules": [{"id": "loop", "value": {
            "type": "forloopflow", "iterator": {"type": "static", "value": [1]}, "skip_failures": false,
            "modules": [{"id": "a", "value": step}],
        }}]})
    };
    let of = |path: &str| json!({"type": "script", "path": path, "input_transforms": {}});
    let mut version = of("u/ann/s");
    version["hash"] = json!(hidden);
    let refused = |path: &str| (403, format!("module 'a': you may not run '{path}'"));
    for (value, answer) in [
        (of("u/admin/s"), Some(refused("u/admin/s"))),
        (of("u/admin/none"), Some(refused("u/admin/none"))),
        (version, Some(refused("u/ann/s"))),
        (
            json!({"type": "flow", "path": "f/x/y", "input_transforms": {}}),
            Some(refused("f/x/y")),
        ),
        (of("u/ann/s"), None),
    ] {
        let body = json!({"path": "u/ann/f", "summary": "", "value": step(value)});
        for path in ["w/main/flows/create", "w/main/jobs/run/preview_flow"] {
            let got = bench.by(&ann, Verb::POST, path, body.clone()).await;
            match &answer {
                Some(answer) => assert_eq!(got, *answer, "{path}"),
                None => assert_eq!(got.0, 201, "{path}: {}", got.1),
            }
        }
    }
    let by_admin = json!({"path": "u/admin/f", "summary": "", "value": step(of("u/admin/none"))});
    assert_eq!(bench.post("flows/create", by_admin).await.0, 201);
}

#[actix_rt::test]
async fn owners_of_a_folder_say_who_else_is_one() {
    let bench = Bench::new().await;
    let ann = bench.user("ann", NewToken::default()).await;
    let ben = bench.user("ben", NewToken::default()).await;
    let ask = async |token: &str, verb: Verb, path: &str, body: Value| {
        let path = format!("w/main/folders/{path}");
        bench.by(token, verb, &path, body).await
    };
    let made = ask(&ann, Verb::POST, "create", json!({"name": "feeds"})).await;
    assert_eq!(made.0, 200, "{}", made.1);
    let owner = json!({"owner": "u/ben"});
    let is_owner = async |token: &str| ask(token, Verb::GET, "is_owner/feeds", Value::Null).await.1;
    assert_eq!(
        (is_owner(&ann).await, is_owner(&ben).await),
        ("true".into(), "false".into())
    );
    assert_eq!(
        ask(&ben, Verb::POST, "addowner/feeds", owner.clone())
            .await
            .0,
        404
    );
    let bad = ask(&ann, Verb::POST, "addowner/feeds", json!({"owner": "ben"})).await;
    assert_eq!(
        bad,
        (400, "owner: 'ben' is not u/<user> or g/<group>".to_owned())
    );
    for _ in 0..2 {
        assert_eq!(
            ask(&ann, Verb::POST, "addowner/feeds", owner.clone())
                .await
                .0,
            200
        );
    }
    assert_eq!(
        bench.json("folders/get/feeds").await["owners"],
        json!(["u/ann", "u/ben"])
    );
    assert_eq!(
        ask(&ben, Verb::GET, "listnames", Value::Null).await.1,
        r#"["feeds"]"#
    );
    let out = json!({"owner": "u/ann"});
    assert_eq!(ask(&ben, Verb::POST, "removeowner/feeds", out).await.0, 200);
    assert_eq!(ask(&ann, Verb::GET, "get/feeds", Value::Null).await.0, 404);
    let into = json!({"path": "f/feeds/v", "value": "1", "is_secret": false});
    let saved = bench
        .by(&ben, Verb::POST, "w/main/variables/create", into)
        .await;
    assert_eq!(saved.0, 201, "{}", saved.1);
    assert_eq!(
        ask(&ann, Verb::DELETE, "delete/feeds", Value::Null).await.0,
        404
    );
    assert_eq!(
        ask(&ben, Verb::DELETE, "delete/feeds", Value::Null).await.0,
        200
    );
    assert_eq!(
        bench.json("variables/get_value/f/feeds/v").await,
        json!("1"),
        "it stays"
    );
    let seen = bench.by(
        &ben,
        Verb::GET,
        "w/main/variables/get_value/f/feeds/v",
        Value::Null,
    );
    assert_eq!(seen.await.0, 404, "for admins");
}
