//! Table `alerts`: what somebody should look at, until it is acknowledged.

use diesel::{
    prelude::*,
    sql_query,
    sql_types::{BigInt, Bool, Text},
};

use super::{
    Conn, DbError,
    schema::{alerts, settings},
};
use crate::types::Timestamp;

/// Alerts kept: past it the oldest go, acknowledged or not.
const MOST: i64 = 10_000;

/// An alert.
#[derive(Debug, Clone, Queryable)]
pub(crate) struct AlertRow {
    pub id: i64,
    pub alert_type: String,
    pub message: String,
    pub created_at: Timestamp,
    pub acknowledged: bool,
    pub workspace_id: String,
    pub trigger_path: String,
    pub is_open: bool,
}

/// Which alerts; none = all workspaces.
#[derive(Debug, Clone, Default)]
pub(crate) struct Which {
    pub(crate) workspace: Option<String>,
    pub(crate) acknowledged: Option<bool>,
}

macro_rules! filtered {
    ($query:expr, $which:expr) => {{
        let which: &Which = $which;
        let mut query = $query.into_boxed();
        if let Some(workspace) = &which.workspace {
            query = query.filter(alerts::workspace_id.eq(workspace));
        }
        if let Some(acknowledged) = which.acknowledged {
            query = query.filter(alerts::acknowledged.eq(acknowledged));
        }
        query
    }};
}

/// A stretch of the alerts, newest first, and how many there are.
pub(crate) fn list(
    conn: &mut Conn,
    which: &Which,
    (offset, limit): (i64, i64),
) -> Result<(Vec<AlertRow>, i64), DbError> {
    let rows = filtered!(alerts::table, which)
        .order(alerts::id.desc())
        .offset(offset)
        .limit(limit)
        .load(conn)?;
    let count = filtered!(alerts::table, which).count().get_result(conn)?;
    Ok((rows, count))
}

/// Acknowledges one alert (of `workspace`, if given), or all of them; answers how many were not yet.
pub(crate) fn acknowledge(
    conn: &mut Conn,
    workspace: Option<&str>,
    id: Option<i64>,
) -> Result<usize, DbError> {
    let mut which = alerts::table
        .filter(alerts::acknowledged.eq(false))
        .into_boxed();
    if let Some(workspace) = workspace {
        which = which.filter(alerts::workspace_id.eq(workspace));
    }
    if let Some(id) = id {
        which = which.filter(alerts::id.eq(id));
    }
    let ids: Vec<i64> = which.select(alerts::id).load(conn)?;
    Ok(diesel::update(alerts::table.filter(alerts::id.eq_any(ids)))
        .set(alerts::acknowledged.eq(true))
        .execute(conn)?)
}

/// Whether there is an alert of that number (in `workspace`, if given).
pub(crate) fn exists(conn: &mut Conn, workspace: Option<&str>, id: i64) -> Result<bool, DbError> {
    let found: Option<String> = alerts::table
        .find(id)
        .select(alerts::workspace_id)
        .first(conn)
        .optional()?;
    Ok(found.is_some_and(|of| workspace.is_none_or(|workspace| workspace == of)))
}

fn muted_setting(workspace: Option<&str>) -> String {
    workspace.map_or_else(
        || "alerts_muted".to_owned(),
        |workspace| format!("alerts_muted:{workspace}"),
    )
}

/// Raises no alerts for a workspace (or for none at all) from now on, or does again.
pub(crate) fn mute(conn: &mut Conn, workspace: Option<&str>, muted: bool) -> Result<(), DbError> {
    let name = muted_setting(workspace);
    diesel::delete(settings::table.find(&name)).execute(conn)?;
    if muted {
        diesel::insert_into(settings::table)
            .values((settings::name.eq(&name), settings::value.eq("true")))
            .execute(conn)?;
    }
    Ok(())
}

/// Whether no alerts are raised for a workspace, or (none) for none at all.
pub(crate) fn is_muted(conn: &mut Conn, workspace: Option<&str>) -> Result<bool, DbError> {
    let names = [muted_setting(None), muted_setting(workspace)];
    let found: i64 = settings::table
        .filter(settings::name.eq_any(names))
        .count()
        .get_result(conn)?;
    Ok(found > 0)
}

/// Workspace and path of every trigger whose alert stands.
pub(crate) fn open(conn: &mut Conn) -> Result<Vec<(String, String)>, DbError> {
    Ok(alerts::table
        .filter(diesel::dsl::sql::<Bool>("is_open = TRUE"))
        .select((alerts::workspace_id, alerts::trigger_path))
        .load(conn)?)
}

fn insert(
    conn: &mut Conn,
    kind: &str,
    (workspace, path): (&str, &str),
    message: &str,
    (is_open, now): (bool, Timestamp),
) -> Result<(), DbError> {
    sql_query(
        "INSERT INTO alerts (alert_type, message, created_at, acknowledged, workspace_id, trigger_path, is_open) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind::<Text, _>(kind)
    .bind::<Text, _>(message)
    .bind::<BigInt, _>(now)
    .bind::<Bool, _>(!is_open)
    .bind::<Text, _>(workspace)
    .bind::<Text, _>(path)
    .bind::<Bool, _>(is_open)
    .execute(conn)?;
    Ok(())
}

/// Raises an alert for a trigger, unless one stands or the workspace is muted. Answers whether it did.
pub(crate) fn raise(
    conn: &mut Conn,
    place: (&str, &str),
    message: &str,
    now: Timestamp,
) -> Result<bool, DbError> {
    super::transaction(conn, |conn| raise_with(conn, place, message, now))
}

/// As [`raise`], in the transaction that is open.
pub(crate) fn raise_with(
    conn: &mut Conn,
    place: (&str, &str),
    message: &str,
    now: Timestamp,
) -> Result<bool, DbError> {
    super::alone::start_alone(conn)?;
    let stands = open(conn)?
        .iter()
        .any(|(workspace, path)| (workspace.as_str(), path.as_str()) == place);
    if stands || is_muted(conn, Some(place.0))? {
        return Ok(false);
    }
    insert(conn, "critical_error", place, message, (true, now))?;
    sql_query("DELETE FROM alerts WHERE id <= (SELECT max(id) FROM alerts) - $1")
        .bind::<BigInt, _>(MOST)
        .execute(conn)?;
    Ok(true)
}

/// The trigger has recovered: its alert is acknowledged by that, and a note says so.
pub(crate) fn recover(
    conn: &mut Conn,
    place: (&str, &str),
    message: &str,
    now: Timestamp,
) -> Result<(), DbError> {
    super::transaction(conn, |conn| {
        let of_trigger = alerts::table
            .filter(diesel::dsl::sql::<Bool>("is_open = TRUE"))
            .filter(alerts::workspace_id.eq(place.0))
            .filter(alerts::trigger_path.eq(place.1));
        let closed = diesel::update(of_trigger)
            .set((alerts::is_open.eq(false), alerts::acknowledged.eq(true)))
            .execute(conn)?;
        if closed > 0 {
            insert(
                conn,
                "recovered_critical_error",
                place,
                message,
                (false, now),
            )?;
        }
        Ok(())
    })
}
