//! How long a delivery leaves a part of the session's window to others, and offers that only close a link.

use super::Connection;
use crate::{
    event::Event,
    link::Link,
    store::{LinkId, SessionId},
    time::Instant,
};
use alloc::collections::BTreeSet;
use amqp1_codec::{Str, definitions::Role};
use core::time::Duration;

/// A delivery that waits for a wider window uses the rest of it when no other link has sent anything for this long: some
/// peers widen it only when a message is whole.
pub(super) const SHARE: Duration = Duration::from_secs(1);

/// How long an attach waits for the detach that it may be followed by at once.
const OFFER: Duration = Duration::from_millis(100);

/// The number of links of a session whose names are remembered until the peer closes them.
const CLOSING: usize = 64;

/// Sessions in which a delivery waits, and links that are not offered yet, by their deadlines.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    sessions: BTreeSet<(Instant, SessionId)>,
    offers: BTreeSet<(Instant, LinkId)>,
}

/// Until when a delivery leaves a part of its session's window to others.
#[derive(Debug)]
pub(crate) struct Pace<'a> {
    pub(crate) shares: &'a mut Shares,
    pub(crate) until: Instant,
}

impl Shares {
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let session = self.sessions.first().map(|(deadline, _)| *deadline);
        let offer = self.offers.first().map(|(deadline, _)| *deadline);
        session.into_iter().chain(offer).min()
    }

    pub(super) fn clear(&mut self) {
        self.sessions.clear();
        self.offers.clear();
    }

    /// A session's deadline is another one.
    pub(crate) fn set(&mut self, id: SessionId, until: &mut Option<Instant>, to: Option<Instant>) {
        if let Some(earlier) = core::mem::replace(until, to) {
            self.sessions.remove(&(earlier, id));
        }
        self.sessions.extend(to.map(|deadline| (deadline, id)));
    }
}

impl Connection {
    /// Lets the deliveries of a session that have waited use all of its window, and offers what only seemed to close.
    pub(super) fn end_shares(&mut self, now: Instant) {
        while let Some((_, id)) = self.shares.sessions.first().copied().filter(|(until, _)| *until <= now) {
            self.shares.sessions.pop_first();
            let Some(session) = self.sessions.get_mut(id) else { continue };
            session.share_until = None;
            for id in core::mem::take(&mut session.patient) {
                let end = self.links.get_mut(id).and_then(Link::sending_mut);
                if let Some(delivery) = end.and_then(|end| end.queue.front_mut()) {
                    delivery.share = 0;
                }
                session.ready.push_back(id);
            }
            self.wake_session(id);
        }
        while let Some((_, id)) = self.shares.offers.first().copied().filter(|(until, _)| *until <= now) {
            self.offer_now(id);
        }
    }

    /// We have closed a link, and the peer's detach does not: it attaches it once more in order to (§2.6.6).
    pub(super) fn expect_close(&mut self, session_id: SessionId, role: Role, name: Str) {
        if let Some(session) = self.sessions.get_mut(session_id).filter(|session| session.closing.len() < CLOSING) {
            session.closing.insert((role == Role::Sender, name));
        }
    }

    /// The peer attaches a link. This is reported, unless it may be only in order to close it.
    pub(super) fn offer(&mut self, session_id: SessionId, id: LinkId) {
        let until = self.idle.after(OFFER);
        let (Some(session), Some(link)) = (self.sessions.get_mut(session_id), self.links.get_mut(id)) else { return };
        if session.closing.is_empty()
            || !session.closing.remove(&(link.role() == Role::Sender, link.local.name.clone()))
        {
            self.outbox.events.push_back(Event::LinkOffered(id));
            return;
        }
        link.state.hold_offer(until);
        self.shares.offers.insert((until, id));
    }

    /// The link is there for more than to be closed.
    pub(super) fn offer_now(&mut self, id: LinkId) {
        if self.withdraw_offer(id) {
            self.outbox.events.push_back(Event::LinkOffered(id));
        }
    }

    /// Whether an offer was held, and is not any more.
    pub(super) fn withdraw_offer(&mut self, id: LinkId) -> bool {
        let until = self.links.get_mut(id).and_then(|link| link.state.take_held_offer());
        until.is_some_and(|until| self.shares.offers.remove(&(until, id)))
    }

    /// A link is over before it was offered.
    pub(super) fn forget_offer(&mut self, id: LinkId, until: Instant) {
        self.shares.offers.remove(&(until, id));
    }
}
