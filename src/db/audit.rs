//! Table `audit`: who changed what, for 30 days.

use diesel::{dsl::max, dsl::min, prelude::*};

use super::{
    Conn, DbError,
    alone::{PRUNING, try_alone},
    schema::audit,
    starts_with,
};
use crate::types::Timestamp;

/// An entry.
#[derive(Debug, Clone, Queryable)]
pub(crate) struct AuditRow {
    pub id: i64,
    pub workspace_id: String,
    pub at: Timestamp,
    pub username: String,
    pub email: String,
    pub operation: String,
    pub resource: String,
    pub token_prefix: String,
    pub source: String,
    pub changes: Option<String>,
}

/// A new entry; an empty workspace stands for the whole server.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = audit)]
pub(crate) struct NewAudit<'a> {
    pub workspace_id: &'a str,
    pub at: Timestamp,
    pub username: &'a str,
    pub email: &'a str,
    pub operation: &'a str,
    pub resource: &'a str,
    pub token_prefix: &'a str,
    pub source: &'a str,
    pub changes: Option<String>,
}

/// Which entries; none of a field = any.
#[derive(Debug, Clone, Default)]
pub(crate) struct Which {
    pub(crate) workspace: Option<String>,
    pub(crate) username: Option<String>,
    /// What the operation begins with.
    pub(crate) operation: Option<String>,
    /// The path or name.
    pub(crate) exact: Option<String>,
    /// What path or name begin with.
    pub(crate) resource: Option<String>,
    pub(crate) before: Option<Timestamp>,
    pub(crate) after: Option<Timestamp>,
}

/// Adds an entry. Call it in the transaction of the change.
pub(crate) fn insert(conn: &mut Conn, row: &NewAudit<'_>) -> Result<(), DbError> {
    diesel::insert_into(audit::table)
        .values(row)
        .execute(conn)?;
    Ok(())
}

/// One entry.
pub(crate) fn by_id(conn: &mut Conn, id: i64) -> Result<Option<AuditRow>, DbError> {
    Ok(audit::table.find(id).first(conn).optional()?)
}

/// A stretch of the entries, newest first.
pub(crate) fn list(
    conn: &mut Conn,
    which: &Which,
    (offset, limit): (i64, i64),
) -> Result<Vec<AuditRow>, DbError> {
    let mut query = audit::table.into_boxed();
    if let Some(workspace) = &which.workspace {
        query = query.filter(audit::workspace_id.eq(workspace));
    }
    if let Some(username) = &which.username {
        query = query.filter(audit::username.eq(username));
    }
    if let Some(start) = &which.operation {
        query = query.filter(starts_with(audit::operation, start));
    }
    if let Some(start) = &which.resource {
        query = query.filter(starts_with(audit::resource, start));
    }
    if let Some(exact) = &which.exact {
        query = query.filter(audit::resource.eq(exact));
    }
    if let Some(before) = which.before {
        query = query.filter(audit::at.lt(before));
    }
    if let Some(after) = which.after {
        query = query.filter(audit::at.gt(after));
    }
    Ok(query
        .order(audit::id.desc())
        .offset(offset)
        .limit(limit)
        .load(conn)?)
}

/// Deletes up to `max` entries that were made before, or are not among the `keep` newest of their workspace; answers
/// how many. None while another process deletes.
pub(crate) fn prune(
    conn: &mut Conn,
    before: Timestamp,
    keep: i64,
    max: i64,
) -> Result<usize, DbError> {
    super::transaction(conn, |conn| {
        if !try_alone(conn, PRUNING)? {
            return Ok(0);
        }
        // Ids are given in order of time, so what is too old stands at the start of the primary key.
        let first: Vec<(i64, Timestamp)> = audit::table
            .order(audit::id)
            .select((audit::id, audit::at))
            .limit(max)
            .load(conn)?;
        let old = first.into_iter().filter(|(_, at)| *at < before);
        let mut ids: Vec<i64> = old.map(|(id, _)| id).collect();
        if ids.is_empty() {
            ids = past_number(conn, keep, max)?;
        }
        Ok(diesel::delete(audit::table.filter(audit::id.eq_any(ids))).execute(conn)?)
    })
}

/// The oldest entries of a workspace that has more than `keep`.
fn past_number(conn: &mut Conn, keep: i64, max_rows: i64) -> Result<Vec<i64>, DbError> {
    let spans: Vec<(String, Option<i64>, Option<i64>)> = audit::table
        .group_by(audit::workspace_id)
        .select((audit::workspace_id, min(audit::id), max(audit::id)))
        .load(conn)?;
    for (workspace, first, last) in spans {
        // Fewer numbers than that cannot be more entries; the count would read all of them.
        if last.unwrap_or(0) - first.unwrap_or(0) < keep {
            continue;
        }
        let of_workspace = audit::table.filter(audit::workspace_id.eq(&workspace));
        let newest_too_many: Option<i64> = of_workspace
            .order(audit::id.desc())
            .select(audit::id)
            .offset(keep)
            .first(conn)
            .optional()?;
        if let Some(id) = newest_too_many {
            return Ok(audit::table
                .filter(audit::workspace_id.eq(&workspace))
                .filter(audit::id.le(id))
                .order(audit::id)
                .select(audit::id)
                .limit(max_rows)
                .load(conn)?);
        }
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::DatabaseUrl, db::Pool};

    fn made(conn: &mut Conn, workspace: &str, at: i64, resource: &str) {
        let row = NewAudit {
            workspace_id: workspace,
            at: Timestamp(at),
            username: "ann",
            email: "ann@example.com",
            operation: "variables.update",
            resource,
            token_prefix: "0123456789",
            source: "api",
            changes: None,
        };
        insert(conn, &row).unwrap();
    }

    #[test]
    fn what_is_old_goes_and_so_many_stay() {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(folder.path().join("audit.db"));
        let conn = &mut Pool::open(&url, 1).unwrap().connect().unwrap();
        for n in 0..10 {
            made(conn, "a", n, "u/ann/v");
        }
        for n in 100..110 {
            made(conn, "b", n, "u/ann/other");
        }
        let left = |conn: &mut Conn, workspace: &str| {
            let which = Which {
                workspace: Some(workspace.to_owned()),
                ..Which::default()
            };
            let rows = list(conn, &which, (0, 100)).unwrap();
            rows.into_iter().map(|row| row.at.0).collect::<Vec<i64>>()
        };
        let prune = |conn: &mut Conn, before: i64, keep: i64| {
            std::iter::from_fn(|| Some(prune(conn, Timestamp(before), keep, 3).unwrap()))
                .take_while(|gone| *gone > 0)
                .sum::<usize>()
        };
        assert_eq!(prune(conn, 0, 100), 0);
        assert_eq!(prune(conn, 5, 100), 5);
        assert_eq!(left(conn, "a"), [9, 8, 7, 6, 5]);
        assert_eq!(prune(conn, 0, 4), 7);
        assert_eq!(left(conn, "a"), [9, 8, 7, 6]);
        assert_eq!(left(conn, "b"), [109, 108, 107, 106]);
        let which = Which {
            operation: Some("variables.".to_owned()),
            resource: Some("u/ann/v".to_owned()),
            before: Some(Timestamp(9)),
            after: Some(Timestamp(6)),
            ..Which::default()
        };
        assert_eq!(list(conn, &which, (0, 100)).unwrap().len(), 2);
        assert_eq!(list(conn, &which, (1, 100)).unwrap().len(), 1);
    }
}
