//! Links, flow and transfers (§2.6, §2.7.3 to §2.7.7).

mod attach;
mod credit;
mod detach;
mod dispositions;
mod incomplete_maps;
mod multi_frame;
mod naming;
mod refusals;
mod resumption;
mod support;

use crate::{case::Case, either::links};

pub(super) const TABLES: &[&[Case]] = &[
    links::credit::SERVER,
    links::drain::SERVER,
    links::flow::SERVER,
    links::transfer::SERVER,
    links::multi_frame::SERVER,
    links::disposition::SERVER,
    links::deliveries::SERVER,
    links::detach::SERVER,
    links::sizes::SERVER,
    links::attach::SERVER,
    attach::CASES,
    naming::CASES,
    detach::CASES,
    credit::CASES,
    refusals::CASES,
    resumption::CASES,
    incomplete_maps::CASES,
    multi_frame::CASES,
    dispositions::CASES,
];
