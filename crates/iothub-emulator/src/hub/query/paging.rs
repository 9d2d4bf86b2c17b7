//! The pages of a result.

use serde_json::Value;

use super::super::Hub;
use super::super::service_error::{ErrorCode, ServiceError};
use super::continuation::Position;
use super::run::QueryRun;
use super::syntax::Query;

/// Rows of a page for which no size is asked.
pub const DEFAULT_PAGE_SIZE: usize = 100;

/// Most rows of a page.
pub const MAX_PAGE_SIZE: usize = 1000;

/// A page ends early when its rows have that many octets of JSON, more or less.
pub(super) const MAX_PAGE_OCTETS: usize = 4 * 1024 * 1024;

/// What the rows of a page are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemType {
    /// Whole twins.
    Twin,
    /// What the query has made of them.
    Raw,
}

impl ItemType {
    /// The word in the header `x-ms-item-type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Twin => "Twin",
            Self::Raw => "Raw",
        }
    }
}

/// One page of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryPage {
    /// The rows.
    pub rows: Vec<Value>,
    /// What the next page is asked for with; `None` at the end.
    pub continuation: Option<String>,
    /// What the rows are.
    pub item_type: ItemType,
}

impl Hub {
    /// Answers a query, one page of at most `page_size` rows. The first page is asked for without a continuation.
    ///
    /// Rows are in the order of the identities' ids, groups in that of their values.
    ///
    /// # Errors
    /// As of [`Query::parse`], and *ArgumentInvalid* if the page size is not from 1 to [`MAX_PAGE_SIZE`], if the
    /// continuation was not given for this query, or if there are too many groups.
    pub fn query(&self, text: &str, page_size: usize, continuation: Option<&str>) -> Result<QueryPage, ServiceError> {
        let mut run = self.begin_query(text, page_size, continuation)?;
        while !self.continue_query(&mut run, usize::MAX)? {}
        Ok(run.into_page())
    }

    /// Begins a query that is answered in steps: [`continue_query`](Self::continue_query) until the run is at its end, then
    /// [`QueryRun::into_page`]. Otherwise as [`query`](Self::query).
    ///
    /// # Errors
    /// As of [`query`](Self::query).
    pub fn begin_query(
        &self,
        text: &str,
        page_size: usize,
        continuation: Option<&str>,
    ) -> Result<QueryRun, ServiceError> {
        let query = Query::parse(text)?;
        if !(1..=MAX_PAGE_SIZE).contains(&page_size) {
            let text = format!("a page has from 1 to {MAX_PAGE_SIZE} rows");
            return Err(ServiceError::new(ErrorCode::ArgumentInvalid, text));
        }
        let start = match continuation {
            None => Position { given: 0, after: None },
            Some(continuation) => Position::parse(&self.query_secret, text, continuation)?,
        };
        Ok(QueryRun::new(query, text, page_size, start, self.query_secret.clone()))
    }
}

/// About as many octets as the value has as JSON.
pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| size(item) + 1).sum::<usize>() + 2,
        Value::Object(fields) => fields.iter().map(|(key, value)| key.len() + size(value) + 4).sum::<usize>() + 2,
        _ => 8,
    }
}
