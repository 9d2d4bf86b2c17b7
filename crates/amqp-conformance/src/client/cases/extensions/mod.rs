//! Extensions.

mod websocket;

use crate::case::Case;

pub(super) const TABLES: &[&[Case]] = &[websocket::CASES];
