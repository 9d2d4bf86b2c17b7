//! The rows of a result that are made of several rows: aggregates and groups.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::super::service_error::{ErrorCode, ServiceError};
use super::cell::Cell;
use super::row::Row;
use super::syntax::{Aggregate, Column, Path, Select, Source};

/// Most values that the rows of a result may have together: each group has one for each column, and one for each path.
const MAX_CELLS: usize = 200_000;

/// The groups that there are so far.
#[derive(Debug)]
pub(super) struct Groups {
    most: usize,
    /// By a text that is the same for the same values.
    groups: BTreeMap<String, Group>,
}

impl Groups {
    pub(super) fn new(select: &Select, group_by: &[Path]) -> Self {
        let columns = columns(select);
        let mut groups = BTreeMap::new();
        if group_by.is_empty() {
            // One row even where there is nothing to count.
            groups.insert(String::new(), Group::new(columns, Vec::new()));
        }
        Self { most: MAX_CELLS / (columns.len() + group_by.len()).max(1), groups }
    }

    /// Adds a row to its group.
    ///
    /// # Errors
    /// *ArgumentInvalid* if there are too many groups.
    pub(super) fn add<R: Row>(&mut self, select: &Select, group_by: &[Path], row: &R) -> Result<(), ServiceError> {
        let Self { most, groups } = self;
        let columns = columns(select);
        let values: Vec<Option<Value>> = group_by.iter().map(|path| group_value(row.operand(&path.0))).collect();
        let (key, known) = (key(&values), groups.len());
        if known >= *most && !groups.contains_key(&key) {
            let text = format!("The query is invalid: it makes more than {most} groups, too many for its columns");
            return Err(ServiceError::new(ErrorCode::ArgumentInvalid, text));
        }
        let group = groups.entry(key).or_insert_with(|| Group::new(columns, values));
        for (state, column) in group.states.iter_mut().zip(columns) {
            state.add(&column.source, row);
        }
        Ok(())
    }

    /// The rows of the result, in the order of the values that they are grouped by.
    pub(super) fn finish(self, select: &Select, group_by: &[Path]) -> Vec<Value> {
        self.groups.into_values().map(|group| group.finish(columns(select), group_by)).collect()
    }
}

fn columns(select: &Select) -> &[Column] {
    if let Select::Columns(columns) = select { columns } else { &[] }
}

/// What rows are grouped by: a simple value. Objects and arrays are as good as undefined.
fn group_value(value: Cell<'_>) -> Option<Value> {
    if matches!(value, Cell::Composite(_)) { None } else { value.into_json() }
}

/// A text that is the same for the same values.
fn key(values: &[Option<Value>]) -> String {
    let mut key = String::new();
    for value in values {
        match value {
            Some(value) => key.push_str(&value.to_string()),
            None => key.push_str("undefined"),
        }
        // JSON has no such character outside of its escapes.
        key.push('\u{0}');
    }
    key
}

#[derive(Debug)]
struct Group {
    values: Vec<Option<Value>>,
    states: Vec<State>,
}

impl Group {
    fn new(columns: &[Column], values: Vec<Option<Value>>) -> Self {
        Self { values, states: columns.iter().map(|_| State::default()).collect() }
    }

    fn finish(self, columns: &[Column], group_by: &[Path]) -> Value {
        let mut out = Map::new();
        for (column, state) in columns.iter().zip(self.states) {
            let value = match &column.source {
                Source::Path(path) => {
                    let at = group_by.iter().position(|grouped| grouped == path);
                    at.and_then(|at| self.values.get(at).cloned().flatten())
                }
                Source::Aggregate(aggregate, _) => state.finish(*aggregate),
            };
            if let Some(value) = value {
                out.insert(column.name.clone(), value);
            }
        }
        out.into()
    }
}

/// What one aggregate of one group has seen.
#[derive(Debug, Default)]
struct State {
    count: u64,
    sum: f64,
    numbers: u64,
    least: Option<f64>,
    greatest: Option<f64>,
    first: Option<String>,
    last: Option<String>,
}

impl State {
    fn add<R: Row>(&mut self, source: &Source, row: &R) {
        let Source::Aggregate(_, path) = source else { return };
        let Some(path) = path else {
            self.count += 1;
            return;
        };
        let value = row.operand(&path.0);
        self.count += u64::from(value != Cell::Undefined);
        match value {
            Cell::Number(number) => {
                self.numbers += 1;
                self.sum += number;
                self.least = Some(self.least.map_or(number, |least| least.min(number)));
                self.greatest = Some(self.greatest.map_or(number, |greatest| greatest.max(number)));
            }
            Cell::Text(text) => {
                if self.first.as_deref().is_none_or(|first| *text < *first) {
                    self.first = Some(text.clone().into_owned());
                }
                if self.last.as_deref().is_none_or(|last| *text > *last) {
                    self.last = Some(text.into_owned());
                }
            }
            _ => {}
        }
    }

    fn finish(self, aggregate: Aggregate) -> Option<Value> {
        let text = |text: Option<String>| text.map_or(Cell::Undefined, |text| Cell::Text(text.into()));
        let cell = match aggregate {
            Aggregate::Count => Cell::count(self.count),
            Aggregate::Sum => Cell::number(self.sum),
            #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
            Aggregate::Average => Cell::number(self.sum / self.numbers as f64),
            Aggregate::Min => self.least.map_or_else(|| text(self.first), Cell::number),
            Aggregate::Max => self.greatest.map_or_else(|| text(self.last), Cell::number),
        };
        cell.into_json()
    }
}
