//! What a query is, once it is read.

/// A query that has been read: see [`Query::parse`].
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub(super) top: Option<u64>,
    pub(super) select: Select,
    pub(super) from: Collection,
    pub(super) condition: Option<Expression>,
    pub(super) group_by: Vec<Path>,
}

/// What is queried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Collection {
    Devices,
    Modules,
}

/// What the rows of the result have.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Select {
    /// The whole document.
    All,
    Columns(Vec<Column>),
}

/// One column, by its name in the result.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) source: Source,
}

/// Where a column's values come from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    Path(Path),
    /// Without a path only for `COUNT()`.
    Aggregate(Aggregate, Option<Path>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregate {
    Average,
    Count,
    Max,
    Min,
    Sum,
}

/// The keys that lead to a value. The names of the service's own properties are as it writes them, whatever their case
/// was in the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path(pub(super) Vec<Box<str>>);

/// Chains are lists, not trees: a long query does not become a deep one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Null,
    Undefined,
    Bool(bool),
    Number(f64),
    Text(Box<str>),
    Array(Vec<Self>),
    Path(Path),
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Negate(Box<Self>),
    Compare(Comparison, Box<Self>, Box<Self>),
    /// `true` for `IN`, `false` for `NIN`.
    In(bool, Box<Self>, Box<Self>),
    Arithmetic(Box<Self>, Vec<(Operator, Self)>),
    IsDefined(Path),
    StartsWith(Box<Self>, Box<Self>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}
