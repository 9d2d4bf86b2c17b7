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

pub(super) use support::MALFORMED;

pub(super) const TABLES: &[&[Case]] = &[
    types::encodings::SERVER,
    encodings::CASES,
    composites::CASES,
    types::primitives::SERVER,
    primitives::CASES,
    types::collections::SERVER,
    collections::CASES,
    types::written::SERVER,
    hostile::CASES,
];
