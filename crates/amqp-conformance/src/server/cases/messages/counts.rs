//! first-acquirer and delivery-count (§3.2.1).

use super::support::{BODY, field, section};
use crate::{
    case::{Case, Check, Need},
    octets::{self, hex},
    server::ServerTrial,
    verdict::{Outcome, Stop},
};
use amqp1_codec::messaging::{DeliveryState, Modified};

const FIRST_ACQUIRER: &str = "first-acquirer is true only if no other link has acquired the message (§3.2.1).";
const DELIVERY_COUNT: &str =
    "delivery-count is the number of earlier attempts that failed: not those released (§3.2.1).";

pub(super) const CASES: &[Case] = &[
    Case {
        id: "M-3.2.1-8",
        rule: FIRST_ACQUIRER,
        sends: "released for a message, on a link that detaches; a second link",
        wants: "the message without first-acquirer",
        needs: &[Need::Queue],
        check: Check::Server(|trial| {
            let header = second_header(trial, DeliveryState::Released)?;
            match field(header.as_ref(), 3).and_then(|value| value.number()) {
                Some(1) => Ok(Outcome::fail("first-acquirer is true for the second acquirer")),
                _ => Ok(Outcome::pass()),
            }
        }),
        ..Case::SERVER
    },
    Case {
        id: "M-3.2.1-9/released",
        rule: DELIVERY_COUNT,
        sends: "released for a message; a second link",
        wants: "the delivery-count 0",
        needs: &[Need::Queue],
        check: Check::Server(|trial| delivery_count(trial, DeliveryState::Released, 0)),
        ..Case::SERVER
    },
    Case {
        id: "M-3.2.1-9/modified",
        rule: DELIVERY_COUNT,
        sends: "modified with delivery-failed for a message; a second link",
        wants: "the delivery-count 1",
        needs: &[Need::Queue],
        check: Check::Server(|trial| {
            let modified = Modified { delivery_failed: true, ..Modified::default() };
            delivery_count(trial, DeliveryState::Modified(modified.into()), 1)
        }),
        ..Case::SERVER
    },
    Case {
        id: "M-3.2.1-9/not-failed",
        rule: DELIVERY_COUNT,
        sends: "modified without delivery-failed for a message; a second link",
        wants: "the delivery-count 0",
        needs: &[Need::Queue],
        check: Check::Server(|trial| delivery_count(trial, DeliveryState::Modified(Box::default()), 0)),
        ..Case::SERVER
    },
];

/// Puts a message into the queue, settles its first delivery with this state, detaches, and returns the header of the
/// delivery on a second link, which is accepted.
fn second_header(trial: &mut ServerTrial<'_>, state: DeliveryState) -> Result<Option<octets::Value>, Stop> {
    trial.fill(&[hex(BODY)])?;
    let mut first = trial.receiver()?;
    first.give_credit(1);
    let delivery = first.delivery().map_err(|unexpected| Stop::set_up(&unexpected))?;
    first.settle(&delivery, state);
    let link = first.link.clone();
    first.connection.detached(&link).map_err(|unexpected| Stop::set_up(&unexpected))?;
    let mut second = trial.receiver()?;
    second.give_credit(1);
    let delivery = second.delivery()?;
    second.settle(&delivery, DeliveryState::Accepted);
    section(&delivery.message, 0x70)
}

fn delivery_count(trial: &mut ServerTrial<'_>, state: DeliveryState, wanted: u64) -> Result<Outcome, Stop> {
    let header = second_header(trial, state)?;
    let count = field(header.as_ref(), 4).and_then(|value| value.number()).unwrap_or_default();
    match count == wanted {
        true => Ok(Outcome::pass()),
        false => Ok(Outcome::fail(format!("the delivery-count is {count}, not {wanted}"))),
    }
}
