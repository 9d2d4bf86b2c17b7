//! The query language over twins.
//!
//! `SELECT [TOP n] * | columns FROM devices | devices.modules [WHERE condition] [GROUP BY paths]`, as the service's pages
//! describe it for twins.
//!
//! | What | Where |
//! |---|---|
//! | what a query is, once it is read | `syntax` |
//! | reading it | `scanner`, `expressions`, `parser` |
//! | values and conditions | `cell`, `evaluate` |
//! | what is queried | `row`, and for twins `twin_row` |
//! | rows of a result, aggregates and groups | `columns`, `groups` |
//! | pages and what leads from one to the next | `paging`, `run`, `continuation` |
//!
//! Rules that the service's pages leave open:
//! - Values of different types, objects and arrays do not compare: the result is *undefined*, and so is that of a division
//!   by zero or an overflow. A condition holds only if it is true.
//! - A column without `AS` is named by the last part of its path, an aggregate `$1`, `$2` and so on.
//! - `SUM` and `AVG` look at numbers only. `MIN` and `MAX` look at numbers, and where there are none at texts.
//! - What is undefined is left out of a row.

mod cell;
mod columns;
mod continuation;
mod evaluate;
mod expressions;
mod groups;
mod paging;
mod parser;
mod row;
mod run;
mod scanner;
mod syntax;
mod twin_row;

pub use cell::Cell;
pub(crate) use continuation::Secret;
pub use paging::{DEFAULT_PAGE_SIZE, ItemType, MAX_PAGE_SIZE, QueryPage};
pub use parser::MAX_QUERY_LENGTH;
pub use row::Row;
pub use run::QueryRun;
pub use syntax::Query;

#[cfg(test)]
mod tests;
