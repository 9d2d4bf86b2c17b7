//! Transactions (part 4).

mod acquiring;
mod coordinator;
mod discharge;
mod posting;
mod retiring;
mod support;

use crate::case::Case;

pub(super) const TABLES: &[&[Case]] =
    &[coordinator::CASES, discharge::CASES, posting::CASES, retiring::CASES, acquiring::CASES];
