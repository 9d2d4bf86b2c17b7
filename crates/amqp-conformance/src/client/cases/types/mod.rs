//! Types (part 1).

mod collections;
mod composites;
mod conversation;
mod encodings;
mod hostile;
mod primitives;
mod support;
mod twins;

use crate::{case::Case, either::types};

pub(super) use support::{MALFORMED, takes};

pub(super) const TABLES: &[&[Case]] = &[
    types::encodings::CLIENT,
    encodings::CASES,
    composites::CASES,
    types::primitives::CLIENT,
    primitives::CASES,
    types::collections::CLIENT,
    collections::CASES,
    types::written::CLIENT,
    hostile::CASES,
];
