//! Security layers (part 5).

mod dialog;
mod framing;
mod mechanisms;
mod support;
mod tls;

use crate::case::Case;

pub(super) const TABLES: &[&[Case]] = &[tls::CASES, framing::CASES, dialog::CASES, mechanisms::CASES];
