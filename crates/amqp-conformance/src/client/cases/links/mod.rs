//! Links, flow and transfers (§2.6, §2.7.3 to §2.7.7).

use crate::case::Case;

pub(super) const TABLES: &[&[Case]] = &[];
