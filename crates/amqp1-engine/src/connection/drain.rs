//! The sending end of a drain (§2.6.7): from the receiver's request to the flow that answers it.

use super::Connection;
use crate::{
    config::DrainMode,
    error::ApiMisuse,
    event::Event,
    link::{DrainState, Link},
    store::{LinkId, SessionId},
    time::Instant,
};
use alloc::collections::BTreeSet;

/// Links whose drain the application answers, with the time at which the engine does.
#[derive(Debug, Default)]
pub(super) struct Drains {
    deadlines: BTreeSet<(Instant, LinkId)>,
}

impl Drains {
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    pub(super) fn clear(&mut self) {
        self.deadlines.clear();
    }
}

impl Connection {
    /// Gives up the credit that is left on a link, as the receiver's drain asks (§2.6.7). What is queued is sent first, and
    /// a delivery that was begun keeps its credit: the drain is answered when its first octets have left, or it is aborted.
    /// With [`DrainMode::Application`] it is answered when the time is over all the same, and the delivery waits for new
    /// credit. [`Event::DrainAnswered`] follows. Without a drain that waits for an answer, nothing happens.
    ///
    /// # Errors
    ///
    /// If there is no such link, or this end receives.
    pub(crate) fn drained(&mut self, id: LinkId) -> Result<(), ApiMisuse> {
        let link = self.links.get(id).filter(|link| !link.state.is_over()).ok_or(ApiMisuse::UnknownLink)?;
        if link.sending().is_none() {
            return Err(ApiMisuse::WrongRole);
        }
        self.give_up_credit(id);
        Ok(())
    }

    /// Whether the receiver drains the link and was not answered yet: credit that is left can still be used.
    pub(crate) fn drain_requested(&self, id: LinkId) -> bool {
        let link = self.links.get(id).filter(|link| link.is_attached());
        link.and_then(Link::sending).is_some_and(|end| end.credit.drain() == DrainState::Requested)
    }

    /// A drain has been received, on a link that is attached at both ends.
    pub(super) fn begin_drain(&mut self, id: LinkId) {
        let Some(end) = self.links.get_mut(id).and_then(Link::sending_mut) else { return };
        if end.credit.drain() != DrainState::Requested {
            return;
        }
        if end.credit.left() == 0 {
            return self.answer_drain(id);
        }
        match end.credit.drain_mode() {
            DrainMode::Automatic => self.outbox.drain(id),
            DrainMode::Application { timeout } => {
                let deadline = self.idle.after(timeout);
                if let Some(earlier) = end.credit.set_drain_deadline(deadline) {
                    self.drains.deadlines.remove(&(earlier, id));
                }
                self.drains.deadlines.insert((deadline, id));
            }
        }
        self.outbox.events.push_back(Event::DrainRequested(id));
    }

    /// The drain of a link is over: it was answered or withdrawn, or the link is gone.
    pub(super) fn end_drain(&mut self, id: LinkId) {
        let Some(end) = self.links.get_mut(id).and_then(Link::sending_mut) else { return };
        if let Some(deadline) = end.credit.end_drain() {
            self.drains.deadlines.remove(&(deadline, id));
        }
    }

    /// Gives up what is left of the credit. The application has seen the request, and has had its chance to send.
    pub(super) fn give_up_credit(&mut self, id: LinkId) {
        let Some(end) = self.links.get_mut(id).and_then(Link::sending_mut) else { return };
        end.credit.give_up();
        self.answer_drain(id);
    }

    /// Answers a drain if all the credit is used, or is to be given up and nothing is left to begin: the delivery-count
    /// advances by the rest, and a flow says so.
    pub(super) fn answer_drain(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        if !link.is_attached() || link.can_transfer() {
            return;
        }
        let Some(end) = link.sending_mut().filter(|end| end.credit.is_drain_due() && !end.keeps_credit()) else {
            return;
        };
        end.credit.answer_drain();
        self.end_drain(id);
        self.link_flow(id);
        self.outbox.events.push_back(Event::DrainAnswered(id));
    }

    /// Answers drains whose time is over.
    pub(super) fn answer_late_drains(&mut self, now: Instant) {
        while let Some((deadline, id)) = self.drains.deadlines.first().copied() {
            if deadline > now {
                return;
            }
            self.drains.deadlines.pop_first();
            if let Some(end) = self.links.get_mut(id).and_then(Link::sending_mut) {
                end.credit.drain_deadline_passed();
            }
            self.give_up_credit(id);
        }
    }

    /// A flow of the receiver has been received, before which its drain had come so far.
    pub(super) fn on_credit(&mut self, session: SessionId, id: LinkId, asked_before: DrainState) {
        let Some(link) = self.links.get(id) else { return };
        match link.sending().map(|end| (end.credit.drain(), link.is_attached())) {
            Some((DrainState::Requested, true)) if asked_before != DrainState::Requested => self.begin_drain(id),
            Some((DrainState::None, _)) if asked_before != DrainState::None => self.end_drain(id),
            _ => self.answer_drain(id),
        }
        self.try_detach(id);
        self.try_end(session);
    }
}
