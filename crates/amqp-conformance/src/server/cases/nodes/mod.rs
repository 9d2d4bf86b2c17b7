//! Distribution, delivery states, sources and targets (§3.3 to §3.5).

mod acquiring;
mod dynamic;
mod expiry;
mod filters;
mod lifetime;
mod outcomes;
pub(crate) mod resuming;
mod resuming_receiver;
mod sources;
pub(super) mod support;

use crate::{case::Case, either};

pub(super) const TABLES: &[&[Case]] = &[
    acquiring::CASES,
    outcomes::CASES,
    either::resuming::SERVER,
    resuming::CASES,
    resuming_receiver::CASES,
    filters::CASES,
    sources::CASES,
    dynamic::CASES,
    expiry::CASES,
    lifetime::CASES,
];
