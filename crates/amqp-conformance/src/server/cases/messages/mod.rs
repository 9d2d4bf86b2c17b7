//! Message formats (§3.1, §3.2).

mod annotations;
mod bodies;
mod counts;
mod header;
mod priorities;
mod properties;
mod sections;
mod support;

use crate::case::Case;

pub(super) const TABLES: &[&[Case]] = &[
    sections::CASES,
    header::CASES,
    priorities::CASES,
    counts::CASES,
    annotations::CASES,
    properties::CASES,
    bodies::CASES,
];
