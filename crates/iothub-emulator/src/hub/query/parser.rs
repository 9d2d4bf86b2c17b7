//! Reading a query.

use super::super::service_error::{ErrorCode, ServiceError};
use super::expressions::{condition, is_call, path};
use super::scanner::Scanner;
use super::syntax::{Aggregate, Collection, Column, Path, Query, Select, Source};

/// Most characters of a query.
pub const MAX_QUERY_LENGTH: usize = 8192;

/// Most columns of a result, and most paths to group by.
const MAX_COLUMNS: usize = 256;

/// Most columns that show the same path: that of a whole section may be long.
const MAX_SAME_COLUMNS: usize = 4;

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// *ArgumentInvalid* says where the text is wrong and what was expected there; *ArgumentNull* if it is empty;
    /// *FeatureNotSupported* for a collection that this hub does not have.
    pub fn parse(text: &str) -> Result<Self, ServiceError> {
        if text.trim().is_empty() {
            return Err(ServiceError::new(ErrorCode::ArgumentNull, "the query is empty"));
        }
        let length = text.chars().count();
        if length > MAX_QUERY_LENGTH {
            let text = format!("The query has {length} characters, at most {MAX_QUERY_LENGTH} are allowed");
            return Err(ServiceError::new(ErrorCode::ArgumentInvalid, text));
        }
        let scanner = &mut Scanner::new(text);
        if !scanner.keyword("SELECT") {
            return Err(scanner.expected("SELECT"));
        }
        let top = top(scanner)?;
        let select = select(scanner)?;
        if !scanner.keyword("FROM") {
            return Err(scanner.expected("`,` or FROM"));
        }
        let from = collection(scanner)?;
        let condition = if scanner.keyword("WHERE") { Some(condition(scanner)?) } else { None };
        let group_by = group_by(scanner)?;
        if !scanner.is_at_end() {
            let expected = if group_by.is_empty() { "an operator, GROUP BY or the end" } else { "`,` or the end" };
            return Err(scanner.expected(expected));
        }
        let query = Self { top, select, from, condition, group_by };
        query.check_groups()?;
        Ok(query)
    }

    /// Whether the rows are not those of the collection but made of several of them.
    pub(super) fn is_grouped(&self) -> bool {
        let Select::Columns(columns) = &self.select else { return false };
        !self.group_by.is_empty() || columns.iter().any(|column| matches!(column.source, Source::Aggregate(..)))
    }

    fn check_groups(&self) -> Result<(), ServiceError> {
        let invalid =
            |text: String| Err(ServiceError::new(ErrorCode::ArgumentInvalid, format!("The query is invalid: {text}")));
        let columns = match &self.select {
            Select::All if self.group_by.is_empty() => return Ok(()),
            Select::All => return invalid("GROUP BY needs columns, not SELECT *".into()),
            Select::Columns(columns) => columns,
        };
        for (at, column) in columns.iter().enumerate() {
            if columns.iter().take(at).any(|earlier| earlier.name == column.name) {
                return invalid(format!("two columns are named {}, name one of them with AS", column.name));
            }
            let Source::Path(path) = &column.source else { continue };
            let same = columns.iter().filter(|other| other.source == column.source).count();
            if same > MAX_SAME_COLUMNS {
                return invalid(format!("{} is in more than {MAX_SAME_COLUMNS} columns", path.0.join(".")));
            }
            if self.is_grouped() && !self.group_by.contains(path) {
                return invalid(format!("{} is neither an aggregate nor in GROUP BY", path.0.join(".")));
            }
        }
        Ok(())
    }
}

fn top(scanner: &mut Scanner<'_>) -> Result<Option<u64>, ServiceError> {
    if !scanner.keyword("TOP") {
        return Ok(None);
    }
    let expected = scanner.expected("a whole number of rows, 1 or more, after TOP");
    let number = scanner.number()?.filter(|number| (1.0..9e15).contains(number) && number.fract() == 0.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and in range")]
    number.map(|number| Some(number as u64)).ok_or(expected)
}

fn select(scanner: &mut Scanner<'_>) -> Result<Select, ServiceError> {
    if scanner.sign("*") {
        return Ok(Select::All);
    }
    let mut columns = Vec::new();
    let mut unnamed = 0;
    loop {
        if columns.len() >= MAX_COLUMNS {
            return Err(scanner.invalid(format_args!("a query has at most {MAX_COLUMNS} columns")));
        }
        columns.push(column(scanner, &mut unnamed)?);
        if !scanner.sign(",") {
            return Ok(Select::Columns(columns));
        }
    }
}

fn column(scanner: &mut Scanner<'_>, unnamed: &mut u32) -> Result<Column, ServiceError> {
    let word = scanner.peek_word();
    let source = if is_call(scanner, word) {
        aggregate(scanner, word)?
    } else {
        Source::Path(path(scanner).map_err(|_| scanner.expected("`*`, the path of a property or an aggregate"))?)
    };
    let name = match &source {
        _ if scanner.keyword("AS") => scanner.name()?.to_owned(),
        Source::Path(path) => path.0.last().map(|step| step.to_string()).unwrap_or_default(),
        Source::Aggregate(..) => {
            *unnamed += 1;
            format!("${unnamed}")
        }
    };
    Ok(Column { name, source })
}

fn aggregate(scanner: &mut Scanner<'_>, word: &str) -> Result<Source, ServiceError> {
    let aggregates = [
        ("AVG", Aggregate::Average),
        ("COUNT", Aggregate::Count),
        ("MAX", Aggregate::Max),
        ("MIN", Aggregate::Min),
        ("SUM", Aggregate::Sum),
    ];
    let Some((_, aggregate)) = aggregates.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name)) else {
        return Err(scanner.expected("one of the aggregates COUNT, AVG, SUM, MIN and MAX"));
    };
    scanner.keyword(word);
    scanner.expect("(")?;
    if aggregate == Aggregate::Count && (scanner.sign(")") || scanner.sign("*") && scanner.sign(")")) {
        return Ok(Source::Aggregate(aggregate, None));
    }
    let path = path(scanner)?;
    scanner.expect(")")?;
    Ok(Source::Aggregate(aggregate, Some(path)))
}

fn collection(scanner: &mut Scanner<'_>) -> Result<Collection, ServiceError> {
    const EXPECTED: &str = "devices or devices.modules";
    if !scanner.keyword("devices") {
        return Err(scanner.expected(EXPECTED));
    }
    if !scanner.sign(".") {
        return Ok(Collection::Devices);
    }
    if scanner.keyword("jobs") {
        return Err(ServiceError::new(ErrorCode::FeatureNotSupported, "this hub does not have jobs"));
    }
    if scanner.keyword("modules") { Ok(Collection::Modules) } else { Err(scanner.expected(EXPECTED)) }
}

fn group_by(scanner: &mut Scanner<'_>) -> Result<Vec<Path>, ServiceError> {
    let mut paths = Vec::new();
    if !scanner.keyword("GROUP") {
        return Ok(paths);
    }
    if !scanner.keyword("BY") {
        return Err(scanner.expected("BY after GROUP"));
    }
    loop {
        if paths.len() >= MAX_COLUMNS {
            return Err(scanner.invalid(format_args!("a query groups by at most {MAX_COLUMNS} paths")));
        }
        paths.push(path(scanner)?);
        if !scanner.sign(",") {
            return Ok(paths);
        }
    }
}
