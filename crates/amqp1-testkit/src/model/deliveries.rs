//! The deliveries of a session in one direction (§2.6.12), by what one of its ends has said and heard: each is settled
//! at most once by each end.

use amqp1_codec::{
    SequenceNo,
    messaging::DeliveryState,
    performative::{Disposition, Transfer},
};
use std::collections::BTreeMap;

/// More deliveries than any run has.
const MANY: u32 = 1 << 20;

#[derive(Debug, Default)]
struct Delivery {
    link: usize,
    whole: bool,
    /// The sender has settled it with a transfer.
    settled: bool,
    /// The outcome that the receiver has stated.
    stated: Option<DeliveryState>,
    settled_here: bool,
    settled_there: bool,
}

impl Delivery {
    fn is_settled(&self) -> bool {
        self.settled || self.settled_here || self.settled_there
    }
}

/// Deliveries by their ids.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    all: BTreeMap<u32, Delivery>,
    /// The delivery on each link of which more is to come.
    unfinished: BTreeMap<usize, u32>,
    newest: Option<SequenceNo>,
}

/// The ids that a disposition names.
fn ids(disposition: &Disposition) -> impl Iterator<Item = u32> + use<> {
    let (first, last) = (disposition.first, disposition.last.unwrap_or(disposition.first));
    assert!(last.distance_from(first) < MANY, "{disposition:?} goes backwards or far");
    (0..=last.distance_from(first)).map(move |step| first.plus(step).0)
}

impl Deliveries {
    /// A transfer of either direction. Whether a delivery begins with it.
    pub(super) fn transfer(&mut self, link: usize, transfer: &Transfer) -> bool {
        let begun = self.unfinished.remove(&link);
        let id = begun.unwrap_or_else(|| {
            let id = transfer.delivery_id.expect("a first transfer has its id");
            assert!(self.newest.is_none_or(|newest| newest.next() == id), "{transfer:?} after {:?}", self.newest);
            self.newest = Some(id);
            id.0
        });
        let delivery = self.all.entry(id).or_insert_with(|| Delivery { link, ..Delivery::default() });
        delivery.settled |= transfer.settled == Some(true);
        if transfer.aborted {
            self.all.remove(&id);
        } else if transfer.more {
            self.unfinished.insert(link, id);
        } else {
            delivery.whole = true;
        }
        begun.is_none()
    }

    /// This end receives and states an outcome or settles. `link` tells whether a link can still be spoken of, and
    /// whether it waits for the sender to settle first (mode second).
    pub(super) fn receiver_wrote(&mut self, disposition: &Disposition, link: impl Fn(usize) -> (bool, bool)) {
        for id in ids(disposition) {
            let Some(delivery) = self.all.get_mut(&id) else { panic!("{disposition:?} names {id}, which nobody sent") };
            let (attached, second) = link(delivery.link);
            assert!(attached, "{disposition:?} comes after the detach of its link");
            assert!(delivery.whole && !delivery.settled, "{disposition:?}: {id} is {delivery:?}");
            assert!(!delivery.settled_here, "{disposition:?} settles {id} twice");
            if disposition.state.as_ref().is_some_and(DeliveryState::is_outcome) {
                assert!(delivery.stated.is_none(), "{disposition:?} states the outcome of {id} twice");
                assert_eq!(disposition.settled, !second, "{disposition:?} is not what the mode says");
                delivery.stated.clone_from(&disposition.state);
            }
            delivery.settled_here |= disposition.settled;
        }
    }

    /// This end receives and hears what the sender says.
    pub(super) fn receiver_heard(&mut self, disposition: &Disposition) {
        for id in ids(disposition) {
            let Some(delivery) = self.all.get_mut(&id) else { continue };
            assert!(!delivery.settled_there || !disposition.settled, "{disposition:?} settles {id} twice");
            delivery.settled_there |= disposition.settled;
        }
    }

    /// This end sends and settles what the receiver has stated. It may do so after its detach (§2.6.4).
    pub(super) fn sender_wrote(&mut self, disposition: &Disposition) {
        for id in ids(disposition) {
            let Some(delivery) = self.all.get_mut(&id) else {
                panic!("{disposition:?} names {id}, which was not sent")
            };
            assert!(!delivery.settled && !delivery.settled_here, "{disposition:?} settles {id} twice");
            // The error of a rejection is the receiver's, and not said back.
            let echo = match &delivery.stated {
                Some(DeliveryState::Rejected(_)) => Some(DeliveryState::Rejected(None)),
                stated => stated.clone(),
            };
            assert_eq!(disposition.state, echo, "{disposition:?}: another outcome was stated for {id}");
            delivery.settled_here |= disposition.settled;
        }
    }

    /// This end sends and hears what the receiver says.
    pub(super) fn sender_heard(&mut self, disposition: &Disposition) {
        for id in ids(disposition) {
            let Some(delivery) = self.all.get_mut(&id) else {
                panic!("{disposition:?} names {id}, which was not sent")
            };
            assert!(!delivery.settled_there, "{disposition:?} settles {id} twice");
            if disposition.state.as_ref().is_some_and(DeliveryState::is_outcome) {
                delivery.stated.clone_from(&disposition.state);
            }
            delivery.settled_there |= disposition.settled;
        }
    }

    /// What neither end has settled, of the links that are still there.
    pub(super) fn unsettled(&self, attached: impl Fn(usize) -> bool) -> Vec<u32> {
        let live = self.all.iter().filter(|(_, delivery)| !delivery.is_settled() && attached(delivery.link));
        live.map(|(id, _)| *id).collect()
    }

    /// How many there were.
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp1_codec::definitions::Role;

    fn received(settled: bool) -> Deliveries {
        let mut deliveries = Deliveries::default();
        let transfer = Transfer { delivery_id: Some(SequenceNo(0)), settled: Some(settled), ..Transfer::default() };
        assert!(deliveries.transfer(0, &transfer));
        deliveries
    }

    fn accepted(settled: bool) -> Disposition {
        Disposition { role: Role::Receiver, settled, state: Some(DeliveryState::Accepted), ..Disposition::default() }
    }

    #[test]
    fn an_outcome_settles_at_once_or_waits_for_the_sender_by_mode() {
        let mut first = received(false);
        first.receiver_wrote(&accepted(true), |_| (true, false));
        assert!(first.unsettled(|_| true).is_empty());
        let mut second = received(false);
        second.receiver_wrote(&accepted(false), |_| (true, true));
        assert_eq!(second.unsettled(|_| true), [0]);
        second.receiver_heard(&accepted(true));
        assert!(second.unsettled(|_| true).is_empty());
    }

    #[test]
    #[should_panic(expected = "settles 0 twice")]
    fn a_delivery_that_is_settled_twice_is_seen() {
        let mut deliveries = received(false);
        deliveries.receiver_wrote(&accepted(true), |_| (true, false));
        deliveries.receiver_wrote(&accepted(true), |_| (true, false));
    }

    #[test]
    #[should_panic(expected = "which nobody sent")]
    fn a_disposition_of_what_was_not_received_is_seen() {
        let disposition = Disposition { last: Some(SequenceNo(1)), ..accepted(true) };
        received(false).receiver_wrote(&disposition, |_| (true, false));
    }

    #[test]
    #[should_panic(expected = "settled: true")]
    fn a_delivery_that_came_settled_needs_no_disposition() {
        received(true).receiver_wrote(&accepted(true), |_| (true, false));
    }
}
