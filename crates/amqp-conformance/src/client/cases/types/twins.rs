//! The lawful counterparts of cases on encodings.

use super::{
    composites::one_mechanism,
    conversation::converses,
    support::{open, takes_open},
};
use crate::{
    case::{Check, Twin},
    client::{ClientTrial, Scenario},
    octets::{self, Style, open_with_property},
    verdict::{Outcome, Stop},
};

/// An open with the container-id alone, written by hand.
pub(super) static RAW_OPEN: Twin = Twin { name: "raw-open", check: Check::Client(Scenario::Send, raw_open) };
/// An open with a property, written by hand.
pub(super) static OPEN_WITH_PROPERTY: Twin =
    Twin { name: "open-with-property", check: Check::Client(Scenario::Send, with_property) };
/// The scenario send, with frames that are written by hand.
pub(super) static RAW_SEND: Twin = Twin { name: "raw-send", check: Check::Client(Scenario::Send, conversation) };
/// The scenario receive, with frames that are written by hand.
pub(super) static RAW_RECEIVE: Twin =
    Twin { name: "raw-receive", check: Check::Client(Scenario::Receive, conversation) };

/// The only mechanism that is offered is ANONYMOUS, in an array.
pub(super) static ANONYMOUS: Twin = Twin {
    name: "anonymous",
    check: Check::Client(Scenario::Send, |trial| {
        one_mechanism(trial, "005340 c00f 01 e0 0c 01 a3 09 414e4f4e594d4f5553")
    }),
};

fn raw_open(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    takes_open(trial, &octets::vector("open-min"))
}

fn with_property(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    takes_open(trial, &open_with_property(open(), &octets::string("text")).encode(&Style::COMPACT))
}

fn conversation(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    converses(trial, &Style::COMPACT)
}
