//! Settlement on a link, by either end (§2.6.12).

use super::LinkMut;
use crate::{
    event::Event,
    session::{SentDelivery, state_ends},
    store::DeliveryKey,
};
use alloc::vec::Vec;
use amqp1_codec::{DeliveryTag, definitions::Role, messaging::DeliveryState};

impl LinkMut<'_> {
    /// States an outcome for a received delivery; whether it is settled with it follows from the mode. `false` if
    /// nothing can be said on the link any more. A delivery that is not known was settled before.
    pub(crate) fn settle_received(&mut self, key: DeliveryKey, state: DeliveryState) -> bool {
        if self.link.state.has_detached() || self.session.state.is_end_sent() {
            return false;
        }
        let Some(delivery) = self.session.received.get_mut(key.0) else { return true };
        if delivery.link != self.id || delivery.stated {
            return true;
        }
        // §2.8.3: a receiver of mode first settles with its outcome, also with one that is provisional (§4.4.4).
        let ends = state_ends(&state);
        let settled = ends && !delivery.second;
        delivery.stated = state.is_outcome();
        if let Some(held) = &mut delivery.held {
            if state.is_outcome() {
                // A delivery with an outcome needs no octets.
                held.parts = Vec::new();
            }
            held.state = Some(state.clone());
        }
        let held_back = settled && self.link.is_credit_withheld();
        if settled {
            self.link.tags.remove(&delivery.tag);
            self.link.unsettled.remove(key.0);
            self.session.received.remove(key.0);
        }
        self.session().mark(Role::Receiver, key.0, settled, Some(state), None);
        if ends {
            self.postings.gone(self.id, key.0);
        }
        if held_back {
            self.refill();
        }
        true
    }

    /// A delivery is settled by the peer's word.
    pub(crate) fn forget_unsettled(&mut self, delivery: u64, tag: Option<DeliveryTag>) {
        let full = self.link.sending().is_some() && self.link.unsettled_left() == 0;
        self.link.unsettled.remove(delivery);
        if let Some(tag) = tag {
            self.link.tags.remove(&tag);
        }
        if full && self.link.sendable() > 0 {
            self.outbox.events.push_back(Event::Sendable(self.id));
        }
        let half = self.link.sending_mut().and_then(|end| end.settled_half(delivery));
        if self.link.is_credit_withheld() {
            self.refill();
        }
        if let Some(rest) = half {
            self.outbox.discarded.payloads(rest);
            self.abort_rest();
        }
    }

    /// A delivery that was sent is settled.
    pub(crate) fn forget_sent(&mut self, id: u64, delivery: SentDelivery) {
        if delivery.provisional.is_some() {
            let provisional = self.link.sending_mut().and_then(|end| end.provisional.get_mut());
            provisional.and_then(|provisional| provisional.remove(&delivery.token));
        }
        if delivery.retained.is_some() {
            self.outbox.discarded.retained(delivery.retained);
        }
        self.forget_unsettled(id, delivery.tag.map(|tag| *tag));
        self.check_reduced();
    }

    /// The receiver has settled a delivery that has left in part: the rest is given up (§2.6.14).
    fn abort_rest(&mut self) {
        let Some(end) = self.link.sending_mut() else { return };
        end.ready &= !self.session.leave_waiting(self.id);
        if end.settled_early.is_some() {
            // The application may be waiting to write more of it.
            self.outbox.events.push_back(Event::Sendable(self.id));
        }
        self.count_queued();
        self.wake();
    }
}
