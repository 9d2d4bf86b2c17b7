//! Distribution, delivery states, sources and targets (§3.3 to §3.5).

mod outcomes;
pub(crate) mod resuming;
mod resuming_receiver;
mod sent;
mod termini;

use crate::{case::Case, either};

pub(super) const TABLES: &[&[Case]] = &[
    outcomes::CASES,
    sent::CASES,
    either::resuming::CLIENT,
    resuming::CASES,
    resuming_receiver::CASES,
    termini::CASES,
];
