//! The pages of a result.

use serde_json::Value;

use super::super::Hub;
use super::super::service_error::{ErrorCode, ServiceError};
use super::super::twin::Twin;
use super::columns::project;
use super::continuation::Position;
use super::evaluate::holds;
use super::groups::aggregate;
use super::syntax::{Collection, Query, Select};

/// Rows of a page for which no size is asked.
pub const DEFAULT_PAGE_SIZE: usize = 100;

/// Most rows of a page.
pub const MAX_PAGE_SIZE: usize = 1000;

/// A page ends early when its rows have that many octets of JSON, more or less.
const MAX_PAGE_OCTETS: usize = 4 * 1024 * 1024;

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
    /// As of [`Query::parse`], and *ArgumentInvalid* if the page size is not from 1 to [`MAX_PAGE_SIZE`], or if the
    /// continuation was not given for this query.
    pub fn query(&self, text: &str, page_size: usize, continuation: Option<&str>) -> Result<QueryPage, ServiceError> {
        let query = Query::parse(text)?;
        if !(1..=MAX_PAGE_SIZE).contains(&page_size) {
            let text = format!("a page has from 1 to {MAX_PAGE_SIZE} rows");
            return Err(ServiceError::new(ErrorCode::ArgumentInvalid, text));
        }
        let start = match continuation {
            None => Position { given: 0, after: None },
            Some(continuation) => Position::parse(&self.query_secret, text, continuation)?,
        };
        let item_type = if query.select == Select::All { ItemType::Twin } else { ItemType::Raw };
        let (rows, next) = if query.is_grouped() {
            self.page_of_groups(&query, page_size, &start)?
        } else {
            self.page_of_rows(&query, page_size, start)
        };
        let continuation = next.map(|next| next.to_text(&self.query_secret, text));
        Ok(QueryPage { rows, continuation, item_type })
    }

    fn collection<'h>(&'h self, query: &Query, start: &Position) -> Box<dyn Iterator<Item = Twin<'h>> + 'h> {
        match query.from {
            Collection::Devices => Box::new(self.twins_after(start.after.as_ref())),
            Collection::Modules => Box::new(self.module_twins_after(start.after.as_ref())),
        }
    }

    fn page_of_rows(&self, query: &Query, page_size: usize, start: Position) -> (Vec<Value>, Option<Position>) {
        let left = query.top.map_or(u64::MAX, |top| top.saturating_sub(start.given));
        let (mut rows, mut octets) = (Vec::new(), 0);
        let mut position = start.clone();
        for twin in self.collection(query, &start) {
            if rows.len() as u64 >= left {
                return (rows, None);
            }
            if query.condition.as_ref().is_some_and(|condition| !holds(condition, &twin)) {
                continue;
            }
            // There is one row more, so there is a next page.
            if rows.len() >= page_size || octets >= MAX_PAGE_OCTETS {
                position.given += rows.len() as u64;
                return (rows, Some(position));
            }
            let row = project(&query.select, &twin);
            octets += size(&row);
            rows.push(row);
            position.after = Some(twin.id().clone());
        }
        (rows, None)
    }

    fn page_of_groups(
        &self,
        query: &Query,
        page_size: usize,
        start: &Position,
    ) -> Result<(Vec<Value>, Option<Position>), ServiceError> {
        let all = self.collection(query, start);
        let matching = all.filter(|twin| query.condition.as_ref().is_none_or(|condition| holds(condition, twin)));
        let mut groups = aggregate(&query.select, &query.group_by, matching)?;
        if let Some(top) = query.top {
            groups.truncate(usize::try_from(top).unwrap_or(usize::MAX));
        }
        let given = usize::try_from(start.given).unwrap_or(usize::MAX).min(groups.len());
        let (mut end, mut octets) = (given, 0);
        while end < groups.len() && end - given < page_size && octets < MAX_PAGE_OCTETS {
            octets += size(&groups[end]);
            end += 1;
        }
        let next = (end < groups.len()).then_some(Position { given: end as u64, after: None });
        groups.truncate(end);
        Ok((groups.split_off(given), next))
    }
}

/// About as many octets as the value has as JSON.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| size(item) + 1).sum::<usize>() + 2,
        Value::Object(fields) => fields.iter().map(|(key, value)| key.len() + size(value) + 4).sum::<usize>() + 2,
        _ => 8,
    }
}
