//! Connections and sessions (§2.1 to §2.5, §2.7.1, §2.7.2, §2.7.8 to §2.8).

mod headers;
mod hosts;
mod modes;
mod pipelining;
mod robustness;
mod sessions;
mod windows;

use crate::{case::Case, either};

pub(super) const TABLES: &[&[Case]] = &[
    headers::CASES,
    pipelining::CASES,
    hosts::CASES,
    robustness::CASES,
    modes::CASES,
    sessions::CASES,
    windows::CASES,
    either::framing::SERVER,
    either::opening::SERVER,
    either::closing::SERVER,
    either::sessions::SERVER,
    either::windows::SERVER,
    either::limits::SERVER,
    either::states::SERVER,
    either::idle::SERVER,
    either::definitions::SERVER,
    either::robustness::SERVER,
];
