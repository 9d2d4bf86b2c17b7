//! The sender's step for a delivery, from the states at both ends: the table of §3.4.6.

use super::is_before;
use amqp1_codec::messaging::{DeliveryState, Received};

/// A delivery's entry in the receiver's map.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Remote<'a> {
    /// Nothing: the receiver has forgotten it, or never seen it.
    Absent,
    /// That it is there, in this state.
    There(Option<&'a DeliveryState>),
}

/// The sender's step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Sends the message as a new delivery.
    SendAnew,
    /// Resumes it with what follows this position, which the receiver holds.
    ResumeFrom(Received),
    /// Resumes it from its start.
    ResumeWhole,
    /// Tells the receiver to forget what it has, and sends the message as a new delivery.
    AbortAndSendAnew,
    /// Tells the receiver to forget what it has.
    Abort,
    /// Both ends agree on the outcome: settles.
    Settle(DeliveryState),
    /// The ends have come to other outcomes: says ours, and the receiver settles with it.
    Overrule(DeliveryState),
    /// The receiver has settled, as this end has: nothing is sent.
    Forget(DeliveryState),
}

/// M-3.4.6: `local` is the state at the sender, `received` where it can resume at the earliest.
pub(crate) fn plan(local: Option<&DeliveryState>, remote: Remote<'_>) -> Step {
    let start = match local {
        Some(DeliveryState::Received(from)) => Some(from),
        _ => None,
    };
    let decided = local.filter(|state| state.is_outcome());
    match (decided, remote) {
        (Some(outcome), Remote::Absent) => Step::Forget(outcome.clone()),
        (Some(ours), Remote::There(Some(theirs))) if theirs.is_outcome() => {
            if ours == theirs {
                Step::Settle(ours.clone())
            } else {
                Step::Overrule(ours.clone())
            }
        }
        (Some(_), Remote::There(_)) => Step::Abort,
        (None, Remote::Absent) => Step::SendAnew,
        (None, Remote::There(Some(theirs))) if theirs.is_outcome() => Step::Settle(theirs.clone()),
        (None, Remote::There(Some(DeliveryState::Received(held)))) => match start {
            Some(start) if is_before(held, start) => Step::AbortAndSendAnew,
            _ => Step::ResumeFrom(held.clone()),
        },
        // Null, or a state that is neither a position nor final: nothing is known to be held.
        (None, Remote::There(_)) => match start {
            Some(_) => Step::AbortAndSendAnew,
            None => Step::ResumeWhole,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DeliveryState::{Accepted, Released};

    fn at(section_number: u32, section_offset: u64) -> DeliveryState {
        DeliveryState::Received(Received { section_number, section_offset })
    }

    fn position(section_number: u32, section_offset: u64) -> Received {
        Received { section_number, section_offset }
    }

    /// The worked example of the section, tag by tag. Also M-3.4.6-2 to M-3.4.6-14 and T-2.7.3-12.
    #[test]
    fn m_3_4_6_1_the_fourteen_deliveries_of_the_worked_example() {
        let sender = [
            None,
            None,
            None,
            None,
            Some(at(0, 200)),
            Some(at(1, 150)),
            Some(at(0, 500)),
            Some(at(3, 5)),
            Some(at(2, 0)),
            Some(Accepted),
            Some(Accepted),
            Some(Accepted),
            Some(Accepted),
            Some(Accepted),
        ];
        let (absent, null) = (None, Some(None));
        let receiver = [
            absent.clone(),
            Some(Some(at(3, 0))),
            Some(Some(Accepted)),
            null.clone(),
            absent.clone(),
            Some(Some(at(2, 0))),
            Some(Some(at(0, 100))),
            Some(Some(Accepted)),
            null.clone(),
            absent,
            Some(Some(at(1, 2000))),
            Some(Some(Accepted)),
            Some(Some(Released)),
            null,
        ];
        let steps = [
            Step::SendAnew,
            Step::ResumeFrom(position(3, 0)),
            Step::Settle(Accepted),
            Step::ResumeWhole,
            Step::SendAnew,
            Step::ResumeFrom(position(2, 0)),
            Step::AbortAndSendAnew,
            Step::Settle(Accepted),
            Step::AbortAndSendAnew,
            Step::Forget(Accepted),
            Step::Abort,
            Step::Settle(Accepted),
            Step::Overrule(Accepted),
            Step::Abort,
        ];
        for (at, ((ours, theirs), step)) in sender.iter().zip(&receiver).zip(&steps).enumerate() {
            let remote = theirs.as_ref().map_or(Remote::Absent, |state| Remote::There(state.as_ref()));
            assert_eq!(plan(ours.as_ref(), remote), *step, "tag {}", at + 1);
        }
    }

    #[test]
    fn m_3_4_6_6_a_receiver_that_holds_just_what_the_sender_has_dropped_is_resumed() {
        let same = at(1, 150);
        assert_eq!(plan(Some(&same), Remote::There(Some(&same))), Step::ResumeFrom(position(1, 150)));
    }
}
