//! The lawful counterparts that cases share.

use super::{Begun, ClientTrial, Scenario};
use crate::{
    case::{Check, Twin},
    verdict::{Outcome, Stop},
};

/// The client opens a connection and begins a session.
pub static BEGIN: Twin = Twin { name: "begin", check: Check::Client(Scenario::Send, begin) };

fn begin(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let Begun { .. } = trial.begun()?;
    Ok(Outcome::pass())
}
