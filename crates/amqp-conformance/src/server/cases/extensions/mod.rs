//! Extensions.

mod containers;
pub(super) mod relay;
mod requests;
mod websocket;

use crate::case::Case;

pub(super) const TABLES: &[&[Case]] = &[relay::CASES, containers::CASES, websocket::CASES, requests::CASES];
