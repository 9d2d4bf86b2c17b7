//! Links, flow and transfers (§2.6, §2.7.3 to §2.7.7).

mod attach;
mod detach;
mod flow;
mod offered;
mod resumption;
mod support;

use crate::{case::Case, either::links};

pub(super) const TABLES: &[&[Case]] = &[
    links::credit::CLIENT,
    links::drain::CLIENT,
    links::flow::CLIENT,
    links::transfer::CLIENT,
    links::multi_frame::CLIENT,
    links::disposition::CLIENT,
    links::deliveries::CLIENT,
    links::detach::CLIENT,
    links::sizes::CLIENT,
    links::attach::CLIENT,
    attach::CASES,
    detach::CASES,
    flow::CASES,
    offered::CASES,
    resumption::CASES,
];
