//! Protocol headers (§2.2).

use crate::{
    case::{Case, Check},
    client::{ClientTrial, Scenario},
    verdict::{Outcome, Stop},
};

pub(super) const CASES: &[Case] = &[Case {
    id: "T-2.2-2",
    rule: "The peer that opened the TCP connection sends its header at once (§2.2).",
    sends: "nothing",
    wants: "a protocol header",
    check: Check::Client(Scenario::Idle, header_comes_first),
    ..Case::CLIENT
}];

fn header_comes_first(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.connected()?;
    connection.expect_any_header()?;
    Ok(Outcome::pass())
}
