//! Pieces of the resource's schema that the derived one does not say well enough.
//!
//! Only schemas; nothing here checks a value.

use schemars::{Schema, SchemaGenerator, json_schema};

/// A point in time as Kubernetes writes it: RFC 3339.
pub(super) fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time" })
}

/// The same where it may be absent.
pub(super) fn optional_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time", "nullable": true })
}

/// A time of the calendar: a date, a time on the wall of the calendar's zone, or one with an
/// offset. The agent reads it; the server only bounds it.
pub(super) fn calendar_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 40,
        "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+(Z|[+-][0-9:]+)?)?$",
    })
}
