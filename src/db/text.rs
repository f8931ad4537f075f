//! Text conditions that both databases understand the same way.

use diesel::{
    ExpressionMethods, define_sql_function,
    dsl::Eq,
    expression::AsExpression,
    sql_types::{Integer, Text},
};

define_sql_function! {
    /// `n` characters of `text`, from the one numbered `start` (from 1).
    fn substr(text: Text, start: Integer, n: Integer) -> Text;
}

/// `column` begins with `start`. Not `LIKE`, which SQLite compares without case and which knows wildcards;
/// not a range, which PostgreSQL compares by locale.
pub(super) fn starts_with<C>(column: C, start: &str) -> Eq<substr<C, i32, i32>, String>
where
    C: AsExpression<Text>,
{
    let n = i32::try_from(start.chars().count()).unwrap_or(i32::MAX);
    substr(column, 1, n).eq(start.to_owned())
}
