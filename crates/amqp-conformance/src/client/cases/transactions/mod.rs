//! Transactions (part 4).

mod control;
mod outcomes;
mod work;

use crate::case::Case;

pub(super) const TABLES: &[&[Case]] = &[control::CASES, outcomes::CASES, work::CASES];
