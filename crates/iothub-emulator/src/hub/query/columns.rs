//! The rows of a result that are made of one row each.

use serde_json::{Map, Value};

use super::row::Row;
use super::syntax::{Select, Source};

/// What a query shows of a row.
pub(super) fn project<R: Row + ?Sized>(select: &Select, row: &R) -> Value {
    let Select::Columns(columns) = select else { return row.document() };
    let mut out = Map::new();
    for column in columns {
        if let Source::Path(path) = &column.source
            && let Some(value) = row.value(&path.0).into_json()
        {
            out.insert(column.name.clone(), value);
        }
    }
    out.into()
}
