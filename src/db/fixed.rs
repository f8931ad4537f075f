//! What the ledger writes to SQLite for each job, as statements whose text never changes.
//!
//! diesel would build the text of an insert of 32 columns for every row to look it up among the prepared ones, and
//! prepares an update anew each time.

use diesel::{
    QueryResult, RunQueryDsl, SqliteConnection,
    expression::Expression,
    query_builder::{AstPass, QueryFragment, QueryId},
    sql_types::{BigInt, Binary, Text},
    sqlite::Sqlite,
};

use super::{
    queue::{EndedRow, QueueRow},
    schema::{completed, queue},
};
use crate::types::{JobId, Timestamp};

/// A statement whose text is the same for each value, so that its type stands for it among the prepared ones.
macro_rules! fixed {
    ($name:ident) => {
        impl QueryId for $name<'_> {
            type QueryId = $name<'static>;
            const HAS_STATIC_QUERY_ID: bool = true;
        }
        impl RunQueryDsl<SqliteConnection> for $name<'_> {}
    };
}

/// The statement `$name` that inserts a `$row` into `$table`: all of its columns, as the test below insists.
macro_rules! insert {
    ($name:ident: $row:ty, $table:ident($first:ident $(, $column:ident)*)) => {
        #[derive(Debug)]
        pub(super) struct $name<'a>(pub(super) &'a $row);
        fixed!($name);
        impl QueryFragment<Sqlite> for $name<'_> {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
                out.push_sql(concat!(
                    "INSERT INTO ", stringify!($table), " (",
                    stringify!($first) $(, ", ", stringify!($column))*,
                    ") VALUES ("
                ));
                out.push_bind_param::<<$table::$first as Expression>::SqlType, _>(&self.0.$first)?;
                $(
                    out.push_sql(", ");
                    out.push_bind_param::<<$table::$column as Expression>::SqlType, _>(
                        &self.0.$column,
                    )?;
                )*
                out.push_sql(")");
                Ok(())
            }
        }
    };
}

insert!(InsertQueued: QueueRow, queue(
    id, workspace_id, kind, runnable_path, runnable_hash, raw, args, preprocess, trigger_kind, trigger_path, created_by,
    permissioned_as, parent_job, root_job, flow_step_id, tag, priority, created_at, scheduled_at, timeout_secs, reply_to,
    options, state, worker, started_at, lease_until, lost, canceled_by, cancel_reason, turn, concurrency_key, depth
));

insert!(InsertEnded: EndedRow<'a>, completed(
    id, workspace_id, kind, runnable_path, runnable_hash, raw, args, preprocessed, trigger_kind, trigger_path, created_by,
    permissioned_as, parent_job, root_job, flow_step_id, tag, created_at, started_at, completed_at, success, canceled_by,
    cancel_reason, result, worker
));

/// Gives a job to a worker. A flow that is looked at again has begun before.
#[derive(Debug)]
pub(super) struct Take<'a> {
    pub(super) id: JobId,
    pub(super) worker: &'a str,
    pub(super) started_at: Timestamp,
    pub(super) lease_until: Timestamp,
}

fixed!(Take);

impl QueryFragment<Sqlite> for Take<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("UPDATE queue SET state = 1, worker = ");
        out.push_bind_param::<Text, _>(self.worker)?;
        out.push_sql(", started_at = COALESCE(started_at, ");
        out.push_bind_param::<BigInt, _>(&self.started_at)?;
        out.push_sql("), lease_until = ");
        out.push_bind_param::<BigInt, _>(&self.lease_until)?;
        out.push_sql(" WHERE id = ");
        out.push_bind_param::<Binary, _>(&self.id)?;
        Ok(())
    }
}

/// Takes a job off the queue, if that worker still has it.
#[derive(Debug)]
pub(super) struct TakeOff<'a> {
    pub(super) id: JobId,
    pub(super) worker: &'a str,
}

fixed!(TakeOff);

impl QueryFragment<Sqlite> for TakeOff<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("DELETE FROM queue WHERE id = ");
        out.push_bind_param::<Binary, _>(&self.id)?;
        out.push_sql(" AND state = 1 AND worker = ");
        out.push_bind_param::<Text, _>(self.worker)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use diesel::{debug_query, insert_into};

    use super::*;
    use crate::queue::{Args, NewJob, Runnable, new_row};

    /// The columns that an insert names.
    fn columns(sql: &str) -> Vec<String> {
        let (_, rest) = sql.split_once('(').unwrap();
        let (columns, _) = rest.split_once(')').unwrap();
        let bare = |column: &str| column.trim().trim_matches('`').to_owned();
        columns.split(',').map(bare).collect()
    }

    #[test]
    fn the_inserts_name_every_column() {
        let script = Runnable::Script {
            path: "u/a/s".into(),
            hash: None,
        };
        let new = NewJob::new("main".into(), script, Args::Object("{}".into()), "a");
        let row = new_row(&new, Timestamp(1));
        let ended = EndedRow {
            id: row.id,
            workspace_id: &row.workspace_id,
            kind: &row.kind,
            runnable_path: None,
            runnable_hash: None,
            raw: None,
            args: &row.args,
            preprocessed: false,
            trigger_kind: None,
            trigger_path: None,
            created_by: &row.created_by,
            permissioned_as: &row.permissioned_as,
            parent_job: None,
            root_job: None,
            flow_step_id: None,
            tag: None,
            created_at: row.created_at,
            started_at: row.created_at,
            completed_at: row.created_at,
            success: true,
            canceled_by: None,
            cancel_reason: None,
            result: "null",
            worker: None,
        };
        let fixed = debug_query::<Sqlite, _>(&InsertQueued(&row)).to_string();
        let derived = insert_into(queue::table).values(&row);
        let derived = debug_query::<Sqlite, _>(&derived).to_string();
        assert_eq!(columns(&fixed), columns(&derived));
        let fixed = debug_query::<Sqlite, _>(&InsertEnded(&ended)).to_string();
        let derived = insert_into(completed::table).values(&ended);
        let derived = debug_query::<Sqlite, _>(&derived).to_string();
        assert_eq!(columns(&fixed), columns(&derived));
    }
}
