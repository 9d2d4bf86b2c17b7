//! Types (part 1).

mod collections;
mod composites;
mod conversation;
mod encodings;
mod hostile;
mod primitives;
mod support;
mod twins;
mod written;

use crate::case::Case;

pub(super) use {
    support::{MALFORMED, takes},
    written::judge_log,
};

pub(super) const TABLES: &[&[Case]] =
    &[encodings::CASES, composites::CASES, primitives::CASES, collections::CASES, written::CASES, hostile::CASES];
