//! [`JobId`] and [`Timestamp`] as column types: 16 bytes and microseconds, on both databases.

use diesel::{
    backend::Backend as Database,
    deserialize::{self, FromSql, Queryable},
    expression::AsExpression,
    internal::derives::as_expression::Bound,
    pg::Pg,
    serialize::{self, IsNull, Output, ToSql},
    sql_types::{BigInt, Binary, Nullable, SingleValue},
    sqlite::Sqlite,
};
use uuid::Uuid;

use super::Backend;
use crate::types::{JobId, Timestamp};

/// What diesel's derives would write if the types lived here: a value of `$ty` is an expression of
/// `$sql`, nullable or not, owned or borrowed, and a column of it can be read.
macro_rules! column {
    ($ty:ty, $sql:ty) => {
        impl AsExpression<$sql> for $ty {
            type Expression = Bound<$sql, Self>;
            fn as_expression(self) -> Self::Expression {
                Bound::new(self)
            }
        }
        impl AsExpression<$sql> for &$ty {
            type Expression = Bound<$sql, Self>;
            fn as_expression(self) -> Self::Expression {
                Bound::new(self)
            }
        }
        impl AsExpression<Nullable<$sql>> for $ty {
            type Expression = Bound<Nullable<$sql>, Self>;
            fn as_expression(self) -> Self::Expression {
                Bound::new(self)
            }
        }
        impl AsExpression<Nullable<$sql>> for &$ty {
            type Expression = Bound<Nullable<$sql>, Self>;
            fn as_expression(self) -> Self::Expression {
                Bound::new(self)
            }
        }
        impl<DB: Database> ToSql<Nullable<$sql>, DB> for $ty
        where
            $ty: ToSql<$sql, DB>,
        {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
                ToSql::<$sql, DB>::to_sql(self, out)
            }
        }
        impl<ST, DB> Queryable<ST, DB> for $ty
        where
            DB: Database,
            ST: SingleValue,
            $ty: FromSql<ST, DB>,
        {
            type Row = Self;
            fn build(row: Self) -> deserialize::Result<Self> {
                Ok(row)
            }
        }
        impl ToSql<$sql, Backend> for $ty {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Backend>) -> serialize::Result {
                out.set_value((<$sql>::default(), self));
                Ok(IsNull::No)
            }
        }
        impl FromSql<$sql, Backend> for $ty {
            fn from_sql(bytes: <Backend as Database>::RawValue<'_>) -> deserialize::Result<Self> {
                bytes.from_sql::<Self, $sql>()
            }
        }
    };
}

column!(JobId, Binary);
column!(Timestamp, BigInt);

impl ToSql<Binary, Sqlite> for JobId {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(&self.0.as_bytes()[..]);
        Ok(IsNull::No)
    }
}

impl ToSql<Binary, Pg> for JobId {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        std::io::Write::write_all(out, self.0.as_bytes())?;
        Ok(IsNull::No)
    }
}

impl ToSql<BigInt, Sqlite> for Timestamp {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.0);
        Ok(IsNull::No)
    }
}

impl ToSql<BigInt, Pg> for Timestamp {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        ToSql::<BigInt, Pg>::to_sql(&self.0, &mut out.reborrow())
    }
}

/// Reads the 16 bytes through the database's own `Vec<u8>`.
fn read_id<DB: Database>(bytes: DB::RawValue<'_>) -> deserialize::Result<JobId>
where
    Vec<u8>: FromSql<Binary, DB>,
{
    let bytes = <Vec<u8> as FromSql<Binary, DB>>::from_sql(bytes)?;
    Ok(JobId(Uuid::from_slice(&bytes)?))
}

impl FromSql<Binary, Sqlite> for JobId {
    fn from_sql(bytes: <Sqlite as Database>::RawValue<'_>) -> deserialize::Result<Self> {
        read_id::<Sqlite>(bytes)
    }
}

impl FromSql<Binary, Pg> for JobId {
    fn from_sql(bytes: <Pg as Database>::RawValue<'_>) -> deserialize::Result<Self> {
        read_id::<Pg>(bytes)
    }
}

impl FromSql<BigInt, Sqlite> for Timestamp {
    fn from_sql(bytes: <Sqlite as Database>::RawValue<'_>) -> deserialize::Result<Self> {
        <i64 as FromSql<BigInt, Sqlite>>::from_sql(bytes).map(Self)
    }
}

impl FromSql<BigInt, Pg> for Timestamp {
    fn from_sql(bytes: <Pg as Database>::RawValue<'_>) -> deserialize::Result<Self> {
        <i64 as FromSql<BigInt, Pg>>::from_sql(bytes).map(Self)
    }
}
