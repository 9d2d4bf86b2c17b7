//! Types (part 1).

use crate::case::Case;

pub(super) const TABLES: &[&[Case]] = &[];
