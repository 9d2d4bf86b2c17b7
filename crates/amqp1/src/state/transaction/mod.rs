//! The transactions of a connection, as its locked state knows them.

pub(crate) mod errors;
mod posted;
pub(crate) mod table;
mod work;
