//! Table `trigger_status`: what the server that listens says of a trigger, for the others. PostgreSQL only.

use diesel::{
    prelude::*,
    sql_query,
    sql_types::{Array, BigInt, Nullable, Text},
};

use super::{Conn, DbError};
use crate::types::Timestamp;

/// One trigger's status to be written: workspace, path, JSON.
pub(crate) type Said = (String, String, String);

/// Who listens for a trigger, and what it says of it.
#[derive(Debug, Clone, QueryableByName)]
pub(crate) struct Elsewhere {
    #[diesel(sql_type = Text)]
    pub(crate) path: String,
    #[diesel(sql_type = Text)]
    pub(crate) server_id: String,
    #[diesel(sql_type = BigInt)]
    pub(crate) ping_at: Timestamp,
    /// JSON; none before its first second.
    #[diesel(sql_type = Nullable<Text>)]
    pub(crate) status: Option<String>,
}

/// Writes what the server `server_id` says of triggers whose lease it holds under `fence`; one statement.
pub(crate) fn write(
    conn: &mut Conn,
    (server_id, fence): (&str, i64),
    said: &[Said],
) -> Result<(), DbError> {
    let Conn::Postgres(conn) = conn else {
        return Ok(());
    };
    let workspaces: Vec<&str> = said
        .iter()
        .map(|(workspace, ..)| workspace.as_str())
        .collect();
    let paths: Vec<&str> = said.iter().map(|(_, path, _)| path.as_str()).collect();
    let texts: Vec<&str> = said.iter().map(|(.., text)| text.as_str()).collect();
    sql_query(
        "INSERT INTO trigger_status (workspace_id, path, server_id, status) \
         SELECT u.w, u.p, $1, u.s FROM unnest($2, $3, $4) AS u (w, p, s) \
         JOIN trigger_leases l ON l.workspace_id = u.w AND l.path = u.p AND l.fence = $5 \
         ON CONFLICT (workspace_id, path) DO UPDATE SET server_id = EXCLUDED.server_id, status = EXCLUDED.status",
    )
    .bind::<Text, _>(server_id)
    .bind::<Array<Text>, _>(workspaces)
    .bind::<Array<Text>, _>(paths)
    .bind::<Array<Text>, _>(texts)
    .bind::<BigInt, _>(fence)
    .execute(conn)?;
    Ok(())
}

/// What is known of the triggers of a workspace, or of the one at `path`.
pub(crate) fn read(
    conn: &mut Conn,
    workspace: &str,
    path: Option<&str>,
) -> Result<Vec<Elsewhere>, DbError> {
    let Conn::Postgres(conn) = conn else {
        return Ok(Vec::new());
    };
    Ok(sql_query(
        "SELECT l.path, v.id AS server_id, v.ping_at, s.status FROM trigger_leases l \
         JOIN servers v ON v.fence = l.fence \
         LEFT JOIN trigger_status s ON s.workspace_id = l.workspace_id AND s.path = l.path AND s.server_id = v.id \
         WHERE l.workspace_id = $1 AND ($2 IS NULL OR l.path = $2)",
    )
    .bind::<Text, _>(workspace)
    .bind::<Nullable<Text>, _>(path)
    .load(conn)?)
}
