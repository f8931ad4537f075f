//! Who may do what: every route of the document, asked by everybody for everything, against `table.txt`.

mod table;
mod world;

use std::collections::BTreeSet;

use table::{Row, Table, Told};
use world::{Place, Role, World};

use crate::harness::{Database, TestApp};

#[actix::test]
async fn every_route_is_open_to_whom_the_table_says() {
    let table = Table::read();
    let mut world = World::make(TestApp::start(Database::sqlite()).await).await;
    every_route_is_in(&table, &world).await;
    let mut wrong = Vec::new();
    for row in &table.rows {
        for place in table.places(&row.right) {
            let place = Place::of(&place);
            for (role, told) in expected(row, table.told(&row.right, place.name())) {
                check(&mut world, row, (place, role, told), &mut wrong).await;
            }
        }
        if row.has_workspace() {
            elsewhere(&mut world, row, &mut wrong).await;
        }
    }
    let wrong = wrong.join("\n");
    assert!(wrong.is_empty(), "{wrong}");
}

async fn every_route_is_in(table: &Table, world: &World) {
    let document = world.document().await;
    let mut missing = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys() {
            missing.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    for row in &table.rows {
        missing.remove(&row.route());
    }
    assert!(
        missing.is_empty(),
        "table.txt says nothing of: {missing:#?}"
    );
}

/// What each role is told, from what the four of the table are.
fn expected(row: &Row, [root, admin, dev, oper]: [Told; 4]) -> Vec<(Role, Told)> {
    let forbidden = Told::Status(403);
    let runs = row.pattern().contains("/jobs/run");
    let reads = row.method == "GET" && !runs;
    let domain = if row.has_workspace() { 4 } else { 2 };
    let pattern = row.pattern();
    let domain = pattern.split('/').nth(domain).unwrap_or_default();
    let domain = domain.split('?').next().unwrap_or_default();
    // Who one is may be asked with every token.
    let in_scope = ["websocket_triggers", "jobs", "jobs_u"].contains(&domain)
        || pattern.ends_with("/users/whoami");
    let open = row.right == "open";
    let told = |of_dev: Told, narrower: bool| match (open, narrower) {
        (false, true) => forbidden,
        _ => of_dev,
    };
    let outside = match (row.has_workspace(), row.right.as_str()) {
        (true, _) | (false, "super") => forbidden,
        (false, _) => Told::Ok,
    };
    let nobody = if open { Told::Ok } else { Told::Status(401) };
    vec![
        (Role::Root, root),
        (Role::Admin, admin),
        (Role::Dev, dev),
        (Role::Oper, oper),
        (Role::Reader, told(dev, !reads)),
        (Role::Scoped, told(dev, !(reads && in_scope))),
        (Role::Stranger, outside),
        (Role::Off, outside),
        (Role::Nobody, nobody),
    ]
}

/// Asks once, and where nothing may be learned once more for a thing that does not exist.
async fn check(
    world: &mut World,
    row: &Row,
    (place, role, told): (Place, Role, Told),
    wrong: &mut Vec<String>,
) {
    let allowed = told == Told::Ok;
    let answer = world.ask(row, (place, role), allowed).await;
    let case = format!(
        "{} ({}) for {} by {role:?}",
        row.route(),
        row.name,
        place.name()
    );
    let said = format!("{} {}", answer.status, short(&answer.text));
    let passed = match row.pass {
        Some(status) => answer.status == status,
        None => (200..300).contains(&answer.status),
    };
    let fits = match told {
        Told::Ok | Told::Same => passed,
        Told::Status(status) => answer.status == status,
        Told::Nothing => matches!(answer.status, 400 | 403 | 404),
    };
    if !fits {
        wrong.push(format!("{case}: {said} instead of {told:?}"));
        return;
    }
    let admin = matches!(role, Role::Root | Role::Admin);
    if row.right == "list" && !admin && answer.text.contains("u/other") {
        wrong.push(format!("{case}: shows what is not theirs: {said}"));
    }
    // Also who is refused as a reader, stranger or operator must hear the same of what is there and what is not.
    let hidden = place == Place::Other && told != Told::Ok && !admin;
    if hidden {
        let gone = world.ask(row, (Place::Gone, role), false).await;
        let same = world.without_names(row, place, &answer).await
            == world.without_names(row, Place::Gone, &gone).await;
        if !same {
            let other = format!("{} {}", gone.status, short(&gone.text));
            wrong.push(format!("{case}: {said}; of what does not exist: {other}"));
        }
    }
}

/// A workspace one is not in, and one that does not exist.
async fn elsewhere(world: &mut World, row: &Row, wrong: &mut Vec<String>) {
    for role in [Role::Admin, Role::Dev, Role::Stranger, Role::Nobody] {
        let there = world.ask(row, (Place::Elsewhere, role), false).await;
        let nowhere = world.ask(row, (Place::Nowhere, role), false).await;
        let status = if role == Role::Nobody { 401 } else { 403 };
        let same = there.text.replace("elsewhere", "nowhere") == nowhere.text;
        if there.status != status || nowhere.status != status || !same {
            wrong.push(format!(
                "{} elsewhere by {role:?}: {} {}; nowhere: {} {}",
                row.route(),
                there.status,
                short(&there.text),
                nowhere.status,
                short(&nowhere.text)
            ));
        }
    }
}

fn short(text: &str) -> String {
    text.chars().take(160).collect()
}
