//! Extensions.

use crate::case::Case;

pub(super) const TABLES: &[&[Case]] = &[];
