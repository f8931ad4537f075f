//! `src/db/schema.rs` tells the tables as the migrations make them: every table, column, type and key, in their order, on
//! both databases. (`diesel print-schema` would write it; its program is not needed to know that it is true.)

use std::collections::BTreeMap;

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, SqliteConnection, sql_query,
    sql_types::{Bool, Text},
};

use crate::harness::{Database, TestApp, on_both_databases, source};

on_both_databases!(needs: [], tests: [the_schema_is_true]);

/// Tables that are written and read by queries of their own (`except_tables` of `diesel.toml`).
const UNTOLD: [&str; 7] = [
    "__diesel_schema_migrations",
    "commits",
    "replies",
    "servers",
    "stat_points",
    "trigger_leases",
    "trigger_status",
];

#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    table: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Bool)]
    nullable: bool,
    /// Its place in the primary key, or nothing.
    #[diesel(sql_type = Text)]
    key: String,
}

const OF_POSTGRES: &str = "
    SELECT c.table_name AS \"table\", c.column_name AS name, c.data_type AS kind, c.is_nullable = 'YES' AS nullable,
           COALESCE((SELECT k.ordinal_position::text FROM information_schema.key_column_usage k
                     JOIN information_schema.table_constraints t USING (constraint_schema, constraint_name)
                     WHERE t.constraint_type = 'PRIMARY KEY' AND k.table_name = c.table_name
                       AND k.column_name = c.column_name), '') AS key
    FROM information_schema.columns c WHERE c.table_schema = 'public' ORDER BY c.table_name, c.ordinal_position";

const OF_SQLITE: &str = "
    SELECT m.name AS \"table\", c.name AS name, replace(lower(c.type), 'bigint', 'integer') AS kind, c.\"notnull\" = 0 AS nullable,
           CASE c.pk WHEN 0 THEN '' ELSE CAST(c.pk AS TEXT) END AS key
    FROM sqlite_master m JOIN pragma_table_info(m.name) c
    WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, c.cid";

/// The columns as `schema.rs` has them; `kinds` are the database's names for its types.
fn told(kinds: &BTreeMap<&str, &str>) -> Vec<Column> {
    let text = std::fs::read_to_string(source("src/db/schema.rs")).unwrap();
    let mut tables = BTreeMap::new();
    let (mut table, mut keys) = (String::new(), Vec::new());
    let lines = text.lines().map(str::trim);
    for line in lines.filter(|line| !line.starts_with("diesel::")) {
        if let Some((name, key)) = line
            .strip_suffix(") {")
            .and_then(|head| head.split_once(" ("))
        {
            table = name.to_owned();
            keys = key.split(", ").map(str::to_owned).collect();
        } else if let Some((name, kind)) = line.trim_end_matches(',').split_once(" -> ") {
            let inner = kind
                .strip_prefix("Nullable<")
                .and_then(|k| k.strip_suffix('>'));
            let place = keys.iter().position(|key| key == name);
            let columns: &mut Vec<Column> = tables.entry(table.clone()).or_default();
            columns.push(Column {
                table: table.clone(),
                name: name.to_owned(),
                kind: kinds[inner.unwrap_or(kind)].to_owned(),
                nullable: inner.is_some(),
                key: place.map_or(String::new(), |place| (place + 1).to_string()),
            });
        }
    }
    tables.into_values().flatten().collect()
}

async fn the_schema_is_true(database: Database) {
    let (url, is_postgres) = (database.url(), matches!(database, Database::Postgres(_)));
    let mut app = TestApp::start(database).await;
    app.stop().await;
    let (mut columns, kinds) = if is_postgres {
        let mut connection = PgConnection::establish(&url).unwrap();
        let kinds = ["text", "bigint", "integer", "boolean", "bytea"];
        let columns: Vec<Column> = sql_query(OF_POSTGRES).load(&mut connection).unwrap();
        (columns, kinds)
    } else {
        let file = url.strip_prefix("sqlite://").unwrap();
        let mut connection = SqliteConnection::establish(file).unwrap();
        let kinds = ["text", "integer", "integer", "boolean", "blob"];
        let columns: Vec<Column> = sql_query(OF_SQLITE).load(&mut connection).unwrap();
        (columns, kinds)
    };
    columns.retain(|column| !UNTOLD.contains(&column.table.as_str()));
    let kinds = ["Text", "Int8", "Int4", "Bool", "Bytea"]
        .into_iter()
        .zip(kinds)
        .collect();
    let told = told(&kinds);
    assert!(told.len() > 200, "{} columns are read", told.len());
    for (told, column) in told.iter().zip(&columns) {
        assert_eq!(told, column);
    }
    assert_eq!(told.len(), columns.len());
}
