//! T9: a database full of ended jobs answers as an empty one does. `WINDSOCK_BENCH_ROWS` says how many (1,000,000).

use std::time::Instant;

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, SqliteConnection, sql_query, sql_types,
};
use serde_json::json;

use super::{Database, SCRIPT, TestApp, measure, server};

/// Rows put in with one statement.
const STEP: u64 = 500_000;

/// Requests behind each figure.
const REQUESTS: usize = 200;

/// Ended jobs are spread over so many scripts and triggers.
const PATHS: u64 = 200;

/// Runs the scene.
pub async fn run() {
    let wanted = std::env::var("WINDSOCK_BENCH_ROWS").ok();
    let wanted = wanted
        .and_then(|text| text.parse().ok())
        .unwrap_or(1_000_000);
    let mut rows = Vec::new();
    for database in [Database::sqlite(), Database::postgres()] {
        let (name, url) = match &database {
            Database::Postgres(url) => ("PostgreSQL", url.clone()),
            Database::Sqlite(folder) => (
                "SQLite",
                folder.path().join("windsock.db").display().to_string(),
            ),
        };
        let mut app = server(database, 1).await;
        app.create_script(SCRIPT, "nativets", "export function main() { return 1 }")
            .await;
        let empty = figures(&app).await;
        app.stop().await;
        fill(&url, wanted);
        app.start_again().await;
        let full = figures(&app).await;
        for ((what, empty), (_, full)) in empty.into_iter().zip(full) {
            rows.push(vec![
                name.to_owned(),
                what.to_owned(),
                format!("{empty:.2}"),
                format!("{full:.2}"),
                format!("{:.2}", full / empty),
            ]);
        }
    }
    measure::table(
        &format!(
            "An empty database and one with {} ended jobs, p50 in ms",
            measure::grouped(wanted as f64)
        ),
        &["database", "request", "empty", "full", "ratio"],
        &rows,
    );
}

/// The medians of a few requests that touch the jobs.
async fn figures(app: &TestApp) -> Vec<(&'static str, f64)> {
    let run = format!("jobs/run_wait_result/p/{SCRIPT}");
    // The rows the lists below show: as many as a page has, also when the database is empty.
    for _ in 0..100 {
        app.post(&run, &json!({})).await.expect(200);
    }
    let id = app.run_script(SCRIPT, &json!({})).await;
    app.wait_for_job(&id).await;
    let list = "jobs/list?per_page=100".to_owned();
    let of_script = format!("jobs/completed/list?per_page=100&script_path_exact={SCRIPT}");
    let get = format!("jobs_u/completed/get/{id}");
    let mut figures = vec![("run and wait for the result", median(app, &run, true).await)];
    figures.push(("newest 100 jobs", median(app, &list, false).await));
    figures.push((
        "newest 100 jobs of one script",
        median(app, &of_script, false).await,
    ));
    figures.push(("one job", median(app, &get, false).await));
    figures
}

async fn median(app: &TestApp, path: &str, posts: bool) -> f64 {
    let mut times = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let start = Instant::now();
        let answer = if posts {
            app.post(path, &json!({})).await
        } else {
            app.get(path).await
        };
        answer.expect(200);
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    measure::percentile(&times, 0.5)
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = sql_types::Text)]
    name: String,
}

/// Copies an ended job `rows` times, each with an id, moments and paths of its own.
fn fill(url: &str, rows: u64) {
    if url.starts_with("postgres") {
        let mut connection = PgConnection::establish(url).expect("PostgreSQL answers");
        let columns: Vec<Column> = sql_query(
            "SELECT column_name::text AS name FROM information_schema.columns WHERE table_name = 'completed'",
        )
        .load(&mut connection)
        .expect("the table has columns");
        let id = "(lpad(to_hex(1600000000000 + n), 12, '0') || '7000' || '8000' || lpad(to_hex(n), 12, '0'))";
        let id = format!("decode({id}, 'hex')");
        let (names, values) = copied(&columns, &id);
        for from in (0..rows).step_by(usize::try_from(STEP).expect("fits")) {
            let statement = format!(
                "INSERT INTO completed ({names}) SELECT {values} FROM (SELECT * FROM completed LIMIT 1) one,
                 generate_series({from}::bigint, {}::bigint) n", (from + STEP).min(rows) - 1
            );
            sql_query(statement)
                .execute(&mut connection)
                .expect("rows can be copied");
        }
        sql_query("ANALYZE")
            .execute(&mut connection)
            .expect("statistics can be made");
    } else {
        let mut connection = SqliteConnection::establish(url).expect("the file can be opened");
        let columns: Vec<Column> = sql_query("SELECT name FROM pragma_table_info('completed')")
            .load(&mut connection)
            .expect("the table has columns");
        let id = "unhex(printf('%012x70008000%012x', 1600000000000 + n, n))";
        let (names, values) = copied(&columns, id);
        for from in (0..rows).step_by(usize::try_from(STEP).expect("fits")) {
            let statement = format!(
                "WITH RECURSIVE series(n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM series WHERE n + 1 < {})
                 INSERT INTO completed ({names}) SELECT {values} FROM (SELECT * FROM completed LIMIT 1) one, series",
                (from + STEP).min(rows)
            );
            sql_query(statement)
                .execute(&mut connection)
                .expect("rows can be copied");
        }
    }
}

/// The columns of the table, and what each gets.
fn copied(columns: &[Column], id: &str) -> (String, String) {
    let value = |name: &str| match name {
        "id" => id.to_owned(),
        "created_at" | "started_at" | "completed_at" => "(1600000000000 + n) * 1000".to_owned(),
        "runnable_path" => format!("'u/admin/script_' || (n % {PATHS})"),
        "trigger_path" => format!("'u/admin/trigger_' || (n % {PATHS})"),
        "trigger_kind" => "'websocket'".to_owned(),
        other => format!("one.{other}"),
    };
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let values: Vec<String> = names.iter().map(|name| value(name)).collect();
    (names.join(", "), values.join(", "))
}
