//! Security layers (part 5).

use crate::case::Case;

pub(super) const TABLES: &[&[Case]] = &[];
