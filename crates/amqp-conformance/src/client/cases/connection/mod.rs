//! Connections and sessions (§2.1 to §2.5, §2.7.1, §2.7.2, §2.7.8 to §2.8).

mod headers;
mod limits;
mod modes;
mod pipelining;

use crate::{case::Case, either};

pub(super) const TABLES: &[&[Case]] = &[
    headers::CASES,
    pipelining::CASES,
    limits::CASES,
    modes::CASES,
    either::framing::CLIENT,
    either::opening::CLIENT,
    either::closing::CLIENT,
    either::sessions::CLIENT,
    either::windows::CLIENT,
    either::limits::CLIENT,
    either::states::CLIENT,
    either::idle::CLIENT,
    either::definitions::CLIENT,
    either::robustness::CLIENT,
];
