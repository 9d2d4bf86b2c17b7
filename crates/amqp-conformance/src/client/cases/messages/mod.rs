//! Message formats (§3.1, §3.2).

use crate::case::Case;

pub(super) const TABLES: &[&[Case]] = &[];
