//! Transactions (part 4).

use crate::case::Case;

pub(super) const TABLES: &[&[Case]] = &[];
