//! Extensions.

mod containers;
mod relay;
mod requests;

use crate::case::Case;

pub(super) const TABLES: &[&[Case]] = &[relay::CASES, containers::CASES, requests::CASES];
