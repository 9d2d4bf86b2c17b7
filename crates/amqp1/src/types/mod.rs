//! Types that hold no connection: errors, outcomes, options, addresses.

pub mod azure;
pub mod capability;
pub(crate) mod detached;
pub(crate) mod error;
pub(crate) mod filter;
pub(crate) mod future;
pub(crate) mod names;
pub(crate) mod options;
pub(crate) mod outcome;
pub(crate) mod security;
pub(crate) mod status;
pub(crate) mod unready;
pub(crate) mod url;
