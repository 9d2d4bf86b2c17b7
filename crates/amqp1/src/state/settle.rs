//! Which receipt a settlement of the engine's is for.

use crate::{
    state::{
        aside::Aside,
        ids::LinkKey,
        link::LinkState,
        shared::State,
        suspended::{LASTING, Late, new_token, reattach},
        transaction::table::Transactions,
    },
    types::{
        error::{Error, ErrorKind},
        outcome::or_default,
    },
};
use amqp1_codec::messaging::DeliveryState;
use amqp1_engine::{Settled, Settlement, Suspended};
use std::sync::Arc;

impl State {
    /// A token for the engine, for the message of this slot, which outlives its link or does not.
    pub(crate) fn token(&mut self, id: LinkKey, slot: u64, lasts: bool) -> u64 {
        if !lasts {
            return slot;
        }
        let token = new_token();
        self.tokens.insert(token, id, slot);
        token
    }

    /// The message of this slot was not sent after all.
    pub(crate) fn take_back(&mut self, token: u64, slot: Option<u64>) {
        let Some(slot) = slot else { return };
        self.tokens.remove(token);
        self.receipts.take_back(slot);
    }

    /// The engine has paid.
    pub(crate) fn settle(&mut self, settled: Settled, aside: &mut Aside<'_>) {
        let Settled { link, token, settlement, .. } = settled;
        // Few settlements have to do with their link.
        let link = match &settlement {
            Settlement::Lost { sent: false } => {
                self.log_unsent(link);
                let link = self.engine.link_key(link);
                self.note_unsent(link);
                link
            }
            Settlement::Outcome(state) if !state.as_ref().is_some_and(DeliveryState::is_outcome) => {
                self.engine.link_key(link)
            }
            _ if matches!(self.transactions, Transactions::Resource(_)) => self.engine.link_key(link),
            _ => None,
        };
        if !link.is_some_and(|link| self.is_held(link, token, &settlement)) {
            self.pay(link, token, settlement, aside);
        }
    }

    /// Pays who waits for a delivery. The link is needed where there is no outcome.
    pub(crate) fn pay(&mut self, link: Option<LinkKey>, token: u64, settlement: Settlement, aside: &mut Aside<'_>) {
        let settlement = match settlement {
            Settlement::Outcome(state) if !state.as_ref().is_some_and(DeliveryState::is_outcome) => {
                let default = link.and_then(|id| self.links.get(&id)?.default_outcome.as_deref());
                Settlement::Outcome(or_default(state, default))
            }
            settlement => settlement,
        };
        if token & LASTING == 0 {
            return self.receipts.settle(token, settlement, aside);
        }
        if let Some(slot) = self.tokens.remove(token) {
            return self.receipts.settle(slot, settlement, aside);
        }
        let late = self.tokens.late.remove(&token).and_then(|(late, default)| Some((late.upgrade()?, default)));
        if let (Some((late, default)), Settlement::Outcome(state)) = (late, settlement) {
            Late(late).lock().insert(token, or_default(state, default.as_ref()));
        }
    }

    /// A link is suspended: who asked for its deliveries is told so, and what is left is kept with it.
    pub(crate) fn on_suspended(&mut self, id: LinkKey, kept: Suspended, aside: &mut Aside<'_>) {
        if let Suspended::Sender(sender) = &kept {
            for delivery in &sender.deliveries {
                self.sent_is_suspended(id, delivery.token, aside);
            }
        }
        let Self { links, tokens, receipts, .. } = self;
        let link = links.get_mut(&id);
        let (part, default) =
            link.map(|link| (link.resume.as_mut(), link.default_outcome.as_deref().cloned())).unwrap_or_default();
        if let Suspended::Sender(sender) = &kept {
            tokens.late.retain(|_, (late, _)| late.strong_count() > 0);
            for delivery in &sender.deliveries {
                if let Some(slot) = tokens.remove(delivery.token) {
                    receipts.suspend(slot, aside);
                }
                if let Some(part) = part.as_ref().filter(|_| delivery.begun) {
                    tokens.late.insert(delivery.token, (Arc::downgrade(&part.late.0), default.clone()));
                }
            }
        }
        if let Some(part) = part {
            part.kept = Some(kept);
        }
    }

    /// Nothing more can be said on this endpoint: who waits for what is not said yet is told so.
    pub(crate) fn on_reattach(&mut self, id: LinkKey, aside: &mut Aside<'_>) {
        let Self { links, tokens, receipts, .. } = self;
        tokens.slots.retain(|_, (link, slot)| {
            let stays = *link != id;
            if !stays {
                receipts.suspend(*slot, aside);
            }
            stays
        });
        if let Some(link) = links.get_mut(&id) {
            link.reattach = true;
            link.wake_all(aside);
        }
    }

    /// The error of deliveries that are lost.
    pub(crate) fn lost(&self, id: LinkKey) -> Error {
        let link = self.links.get(&id);
        let lives = link.is_some_and(|link| link.detached.is_none() && link.resume.is_some());
        if self.closed.is_none() && lives {
            let text = "the message was streamed, and cannot be sent again now that its link is resumed";
            return Error::new(ErrorKind::Aborted, text);
        }
        self.link_failure(id)
    }

    /// The error of deliveries that are kept.
    pub(crate) fn suspended(&self, id: LinkKey) -> Error {
        let link = self.links.get(&id);
        let lives = link.is_some_and(|link| link.detached.is_none() && link.ready().is_err());
        if self.closed.is_none() && lives {
            return reattach();
        }
        let failure = self.link_failure(id);
        let text = "the link was suspended with the delivery on it, which goes on when the link is resumed";
        let error = Error::new(ErrorKind::Suspended, text).with_amqp(failure.amqp_error().cloned());
        error.with_retry(failure.retry()).with_source(failure)
    }

    /// Lets go of a link, and of deliveries that were not asked for.
    pub(crate) fn forget_link(&mut self, id: LinkKey, aside: &mut Aside<'_>) -> Option<Box<LinkState>> {
        let link = self.links.remove(&id);
        self.engine.forget_link(id, link.as_ref().is_none_or(|link| link.detached.is_some()));
        for continued in link.iter().filter_map(|link| link.resume.as_ref()).flat_map(|part| &part.continued) {
            self.receipts.forget(continued.slot, aside);
        }
        link
    }
}

impl State {
    /// The default outcome of a link that both ends have attached. A node takes back messages without an outcome.
    pub(crate) fn default_outcome(&mut self, id: LinkKey) -> Option<DeliveryState> {
        let agreed = self.engine.link(id).ok().and_then(|link| link.default_outcome());
        agreed.or_else(|| self.server.is_some().then_some(DeliveryState::Released))
    }
}
