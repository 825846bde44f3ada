//! Values on their way to and from PostgreSQL, in rusqlite's terms.

use std::error::Error;

use bytes::BytesMut;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

type Failure = Box<dyn Error + Sync + Send>;

/// A value that goes in.
#[derive(Debug)]
pub(super) struct Given<'a>(pub(super) ToSqlOutput<'a>);

impl ToSql for Given<'_> {
    fn to_sql(&self, kind: &Type, to: &mut BytesMut) -> Result<IsNull, Failure> {
        let value = match &self.0 {
            ToSqlOutput::Borrowed(value) => *value,
            ToSqlOutput::Owned(value) => ValueRef::from(value),
            other => return Err(format!("{other:?} is no value of a column").into()),
        };
        match value {
            ValueRef::Null => Ok(IsNull::Yes),
            ValueRef::Integer(number) if *kind == Type::INT4 => {
                i32::try_from(number)?.to_sql(kind, to)
            }
            ValueRef::Integer(number) => number.to_sql(kind, to),
            ValueRef::Real(number) => number.to_sql(kind, to),
            ValueRef::Text(text) => storable(std::str::from_utf8(text)?).to_sql(kind, to),
            ValueRef::Blob(bytes) => bytes.to_sql(kind, to),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// PostgreSQL takes every character but one; what an agent says must not fail the batch it is in.
pub(in crate::store) fn storable(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{FFFD}").into() } else { text.into() }
}

/// A value that comes out.
#[derive(Debug)]
pub(super) struct Found<'a>(Inner<'a>);

#[derive(Debug)]
enum Inner<'a> {
    Borrowed(ValueRef<'a>),
    Owned(Value),
}

impl Found<'_> {
    /// It, as rusqlite sees it.
    pub(super) fn value(&self) -> ValueRef<'_> {
        match &self.0 {
            Inner::Borrowed(value) => *value,
            Inner::Owned(value) => value.into(),
        }
    }
}

impl<'a> FromSql<'a> for Found<'a> {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Failure> {
        let owned = |number: i64| Self(Inner::Owned(Value::Integer(number)));
        Ok(match *kind {
            Type::INT8 => owned(i64::from_sql(kind, raw)?),
            Type::INT4 => owned(i32::from_sql(kind, raw)?.into()),
            Type::BOOL => owned(bool::from_sql(kind, raw)?.into()),
            Type::FLOAT8 => Self(Inner::Owned(Value::Real(f64::from_sql(kind, raw)?))),
            Type::BYTEA => Self(Inner::Borrowed(ValueRef::Blob(raw))),
            _ => Self(Inner::Borrowed(ValueRef::Text(<&str>::from_sql(kind, raw)?.as_bytes()))),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Failure> {
        Ok(Self(Inner::Borrowed(ValueRef::Null)))
    }

    fn accepts(kind: &Type) -> bool {
        [Type::INT8, Type::INT4, Type::BOOL, Type::FLOAT8, Type::BYTEA].contains(kind)
            || <&str as FromSql>::accepts(kind)
    }
}
