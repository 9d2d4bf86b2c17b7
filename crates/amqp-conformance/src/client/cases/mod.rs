//! The cases for clients, a folder for each subject.

mod connection;
mod extensions;
mod links;
mod messages;
pub(crate) mod nodes;
mod security;
mod transactions;
mod types;

use crate::case::Case;

/// Every table, in the order in which a run goes through them.
const SUBJECTS: &[&[&[Case]]] = &[
    types::TABLES,
    connection::TABLES,
    links::TABLES,
    messages::TABLES,
    nodes::TABLES,
    transactions::TABLES,
    security::TABLES,
    extensions::TABLES,
];

/// Every case for clients, in the order in which a run goes through them.
pub fn all() -> impl Iterator<Item = &'static Case> {
    SUBJECTS.iter().copied().flatten().copied().flatten()
}
