//! Distribution, delivery states, sources and targets (§3.3 to §3.5).

use crate::case::Case;

pub(super) const TABLES: &[&[Case]] = &[];
