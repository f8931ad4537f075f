//! What the ledger writes for each job, as statements whose text never changes: to SQLite always, to PostgreSQL for a
//! few jobs.
//!
//! diesel would build the text of an insert of 32 columns for every row to look it up among the prepared ones, and
//! prepares an update anew each time: with PostgreSQL a way there and back of its own, of which a lone message waits for
//! each.

use diesel::{
    PgConnection, QueryResult, RunQueryDsl, SqliteConnection,
    expression::Expression,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
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
    ($name:ident: $($connection:ty),*) => {
        impl QueryId for $name<'_> {
            type QueryId = $name<'static>;
            const HAS_STATIC_QUERY_ID: bool = true;
        }
        $(impl RunQueryDsl<$connection> for $name<'_> {})*
    };
}

/// The statement `$name` that inserts a `$row` into `$table`: all of its columns, as the test below insists.
macro_rules! insert {
    ($name:ident: $row:ty, $table:ident $columns:tt) => {
        #[derive(Debug)]
        pub(super) struct $name<'a>(pub(super) &'a $row);
        fixed!($name: SqliteConnection, PgConnection);
        insert!(@Sqlite $name, $table $columns);
        insert!(@Pg $name, $table $columns);
    };
    (@$backend:ident $name:ident, $table:ident($first:ident $(, $column:ident)*)) => {
        impl QueryFragment<$backend> for $name<'_> {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, $backend>) -> QueryResult<()> {
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

fixed!(Take: SqliteConnection);

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

fixed!(TakeOff: SqliteConnection, PgConnection);

macro_rules! take_off {
    ($backend:ident) => {
        impl QueryFragment<$backend> for TakeOff<'_> {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, $backend>) -> QueryResult<()> {
                out.push_sql("DELETE FROM queue WHERE id = ");
                out.push_bind_param::<Binary, _>(&self.id)?;
                out.push_sql(" AND state = 1 AND worker = ");
                out.push_bind_param::<Text, _>(self.worker)?;
                Ok(())
            }
        }
    };
}

take_off!(Sqlite);
take_off!(Pg);

/// Gives up to `max` jobs that are due to a worker, and answers them in any order.
#[derive(Debug)]
pub(super) struct TakeDue<'a> {
    pub(super) worker: &'a str,
    pub(super) now: Timestamp,
    pub(super) lease_until: Timestamp,
    pub(super) max: i64,
}

fixed!(TakeDue: PgConnection);

impl Query for TakeDue<'_> {
    type SqlType = queue::SqlType;
}

impl QueryFragment<Pg> for TakeDue<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("UPDATE queue SET state = 1, worker = ");
        out.push_bind_param::<Text, _>(self.worker)?;
        // A flow that is looked at again has begun before.
        out.push_sql(", started_at = COALESCE(started_at, ");
        out.push_bind_param::<BigInt, _>(&self.now)?;
        out.push_sql("), lease_until = ");
        out.push_bind_param::<BigInt, _>(&self.lease_until)?;
        out.push_sql(" WHERE id IN (SELECT id FROM queue WHERE state = 0 AND scheduled_at <= ");
        out.push_bind_param::<BigInt, _>(&self.now)?;
        out.push_sql(" ORDER BY priority DESC, scheduled_at, id LIMIT ");
        out.push_bind_param::<BigInt, _>(&self.max)?;
        // Two workers must not wait for each other's rows.
        out.push_sql(" FOR UPDATE SKIP LOCKED) RETURNING ");
        queue::all_columns.walk_ast(out)
    }
}

/// Whether the process of this number is entered; its row stays until the end of the transaction.
#[derive(Debug)]
pub(super) struct Holds<'a> {
    pub(super) fence: &'a i64,
}

fixed!(Holds: PgConnection);

impl Query for Holds<'_> {
    type SqlType = BigInt;
}

impl QueryFragment<Pg> for Holds<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT fence FROM servers WHERE fence = ");
        out.push_bind_param::<BigInt, _>(self.fence)?;
        out.push_sql(" FOR KEY SHARE");
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
