//! Distribution, delivery states, sources and targets (§3.3 to §3.5).

mod outcomes;
mod resuming;
mod resuming_receiver;
mod sent;
mod termini;

use crate::case::Case;

pub(super) const TABLES: &[&[Case]] =
    &[outcomes::CASES, sent::CASES, resuming::CASES, resuming_receiver::CASES, termini::CASES];
