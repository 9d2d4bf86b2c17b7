//! The run of a query for one page: it looks at a few twins at a time, so that the hub's lock can be released in
//! between.

use core::ops::ControlFlow;

use serde_json::Value;

use super::super::Hub;
use super::super::ids::{DeviceId, IdentityId};
use super::super::service_error::ServiceError;
use super::super::twin::Twin;
use super::columns::project;
use super::continuation::{Position, Secret};
use super::evaluate::holds;
use super::groups::Groups;
use super::paging::{ItemType, MAX_PAGE_OCTETS, QueryPage, size};
use super::syntax::{Collection, Query, Select};

/// A run goes on later when it has made rows of that many octets of JSON, more or less.
const MAX_STEP_OCTETS: usize = 64 * 1024;

/// The run of a query, for one page of its result. See [`Hub::begin_query`].
#[derive(Debug)]
pub struct QueryRun {
    query: Query,
    text: Box<str>,
    secret: Secret,
    page_size: usize,
    start: Position,
    cursor: Cursor,
    result: Found,
}

/// What was looked at so far.
#[derive(Clone, Debug)]
enum Cursor {
    Start,
    /// All up to this one.
    UpTo(IdentityId),
    /// This device with all of its modules, and all before.
    Through(DeviceId),
}

/// The result as far as it is known.
#[derive(Debug)]
enum Found {
    Rows {
        rows: Vec<Value>,
        octets: usize,
        /// The last row.
        last: Option<IdentityId>,
        /// Whether there is one more, which is for the next page.
        more: bool,
    },
    Groups(Groups),
}

impl QueryRun {
    pub(super) fn new(query: Query, text: &str, page_size: usize, start: Position, secret: Secret) -> Self {
        let result = if query.is_grouped() {
            Found::Groups(Groups::new(&query.select, &query.group_by))
        } else {
            Found::Rows { rows: Vec::new(), octets: 0, last: start.after.clone(), more: false }
        };
        let cursor = start.after.clone().map_or(Cursor::Start, Cursor::UpTo);
        Self { query, text: text.into(), secret, page_size, start, cursor, result }
    }

    /// Looks at one twin. Returns the octets of the row that it makes, or breaks if the page is complete.
    fn look(&mut self, twin: &Twin<'_>) -> Result<ControlFlow<(), usize>, ServiceError> {
        let Self { query, page_size, start, result, .. } = self;
        let matches = || query.condition.as_ref().is_none_or(|condition| holds(condition, twin));
        match result {
            Found::Groups(groups) => {
                if matches() {
                    groups.add(&query.select, &query.group_by, twin)?;
                }
                Ok(ControlFlow::Continue(0))
            }
            Found::Rows { rows, octets, last, more } => {
                let left = query.top.map_or(u64::MAX, |top| top.saturating_sub(start.given));
                if rows.len() as u64 >= left {
                    return Ok(ControlFlow::Break(()));
                }
                if !matches() {
                    return Ok(ControlFlow::Continue(0));
                }
                if rows.len() >= *page_size || *octets >= MAX_PAGE_OCTETS {
                    *more = true;
                    return Ok(ControlFlow::Break(()));
                }
                let row = project(&query.select, twin);
                let size = size(&row);
                *octets += size;
                rows.push(row);
                *last = Some(twin.id().clone());
                Ok(ControlFlow::Continue(size))
            }
        }
    }

    /// The page, once the run is at its end.
    #[must_use]
    pub fn into_page(self) -> QueryPage {
        let Self { query, text, secret, page_size, start, result, .. } = self;
        let item_type = if query.select == Select::All { ItemType::Twin } else { ItemType::Raw };
        let (rows, next) = match result {
            Found::Rows { rows, last, more, .. } => {
                let given = start.given + rows.len() as u64;
                (rows, more.then_some(Position { given, after: last }))
            }
            Found::Groups(groups) => {
                let mut rows = groups.finish(&query.select, &query.group_by);
                if let Some(top) = query.top {
                    rows.truncate(usize::try_from(top).unwrap_or(usize::MAX));
                }
                let given = usize::try_from(start.given).unwrap_or(usize::MAX).min(rows.len());
                let (mut end, mut octets) = (given, 0);
                while end < rows.len() && end - given < page_size && octets < MAX_PAGE_OCTETS {
                    octets += size(&rows[end]);
                    end += 1;
                }
                let next = (end < rows.len()).then_some(Position { given: end as u64, after: None });
                rows.truncate(end);
                (rows.split_off(given), next)
            }
        };
        let continuation = next.map(|next| next.to_text(&secret, &text));
        QueryPage { rows, continuation, item_type }
    }
}

impl Hub {
    /// Goes on with a query: looks at no more than `most` devices or modules, and at fewer where its rows are large. Returns
    /// whether the run is at its end. Twins that change between two steps are seen as they are when they are looked at.
    ///
    /// # Errors
    /// *ArgumentInvalid* if the query makes too many groups.
    pub fn continue_query(&self, run: &mut QueryRun, most: usize) -> Result<bool, ServiceError> {
        match run.query.from {
            Collection::Devices => self.look_at_devices(run, most),
            Collection::Modules => self.look_at_modules(run, most),
        }
    }

    fn look_at_devices(&self, run: &mut QueryRun, most: usize) -> Result<bool, ServiceError> {
        let after = match run.cursor.clone() {
            Cursor::Start => None,
            Cursor::UpTo(id) => Some(id.device),
            Cursor::Through(device) => Some(device),
        };
        let mut step = Step { left: most.max(1), octets: 0 };
        for twin in self.twins_after(after.as_ref()) {
            let ControlFlow::Continue(octets) = run.look(&twin)? else { return Ok(true) };
            if step.ends(octets) {
                run.cursor = Cursor::UpTo(twin.id().clone());
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn look_at_modules(&self, run: &mut QueryRun, most: usize) -> Result<bool, ServiceError> {
        let (from, after) = match run.cursor.clone() {
            Cursor::Start => (None, None),
            Cursor::UpTo(id) => (Some((id.device.clone(), true)), Some(id)),
            Cursor::Through(device) => (Some((device, false)), None),
        };
        let mut step = Step { left: most.max(1), octets: 0 };
        for (device, modules) in self.module_twins_from(from.as_ref().map(|(id, itself)| (id, *itself))) {
            for twin in modules {
                if after.as_ref().is_some_and(|after| twin.id() <= after) {
                    continue;
                }
                let ControlFlow::Continue(octets) = run.look(&twin)? else { return Ok(true) };
                if step.ends(octets) {
                    run.cursor = Cursor::UpTo(twin.id().clone());
                    return Ok(false);
                }
            }
            // One that has none was looked at all the same.
            if step.ends(0) {
                run.cursor = Cursor::Through(device.clone());
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// How far a run may go at a time.
struct Step {
    left: usize,
    octets: usize,
}

impl Step {
    fn ends(&mut self, octets: usize) -> bool {
        self.left = self.left.saturating_sub(1);
        self.octets += octets;
        self.left == 0 || self.octets >= MAX_STEP_OCTETS
    }
}
