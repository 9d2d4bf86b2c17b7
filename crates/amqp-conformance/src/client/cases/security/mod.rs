//! Security layers (part 5).

mod dialog;
mod framing;
mod mechanisms;
mod support;

use crate::case::Case;

pub(super) const TABLES: &[&[Case]] = &[framing::CASES, dialog::CASES, mechanisms::CASES];
