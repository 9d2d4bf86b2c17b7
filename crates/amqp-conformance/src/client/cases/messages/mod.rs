//! Message formats (§3.1, §3.2).

mod received;
mod refused;
mod sent;
mod support;

use crate::case::Case;

pub(super) const TABLES: &[&[Case]] = &[received::CASES, refused::CASES, sent::CASES];
