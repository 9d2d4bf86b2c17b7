//! Deliveries that go and come piece by piece, in memory that does not grow with them.

use super::Connection;
use crate::{
    api::Unsent,
    config::SendOptions,
    error::{ApiMisuse, SendError},
    event::{Event, Settled, Settlement, StreamItem},
    link::{End, Link, Skip},
    store::{LinkId, SessionId},
};
use bytes::Bytes;

impl Connection {
    /// Begins a delivery whose message is written piece by piece. Nothing else can be sent on the link until it is
    /// finished or aborted. The pieces are the octets of an encoded message (§3.2).
    ///
    /// Pieces that are written wait here until there is room for them on the wire: look at [`queued`](Self::queued),
    /// and go on at [`Event::Sendable`].
    ///
    /// # Errors
    ///
    /// Why nothing can be sent.
    pub(crate) fn begin_delivery(&mut self, id: LinkId, options: SendOptions) -> Result<(), SendError> {
        self.check_send(&options)?;
        self.link_parts(id).ok_or(SendError::Detached)?.begin_stream(options)
    }

    /// Writes a piece of the delivery that was begun.
    ///
    /// # Errors
    ///
    /// [`SendError::Detached`] if no delivery is being written, or its link is gone; [`SendError::SettledEarly`] if the
    /// receiver has settled it already: then finish it, or give it up.
    pub(crate) fn write(&mut self, id: LinkId, octets: Bytes) -> Result<(), Unsent<Bytes>> {
        let mut octets = octets;
        let written = self.link_parts(id).ok_or(SendError::Detached).and_then(|mut link| link.write(&mut octets));
        written.map_err(|reason| Unsent::new(reason, octets))
    }

    /// Says that all of the delivery that was begun is written. Its last octets leave now. Of one that the receiver has
    /// settled before it was whole the rest is not sent.
    ///
    /// # Errors
    ///
    /// [`SendError::Detached`] if no delivery is being written, or its link is gone.
    pub(crate) fn finish(&mut self, id: LinkId) -> Result<(), SendError> {
        let link = self.links.get_mut(id).filter(|link| !link.state.is_over()).ok_or(SendError::Detached)?;
        let end = link.sending_mut().ok_or(SendError::Detached)?;
        if end.settled_early.take().is_some() {
            self.stream_is_over(id);
            return Ok(());
        }
        let delivery = end.queue.back_mut().filter(|delivery| delivery.open).ok_or(SendError::Detached)?;
        delivery.open = false;
        self.wake_link(id);
        Ok(())
    }

    /// Gives up a delivery that is not wholly written (§2.6.14): the receiver forgets what it has of it. The delivery
    /// is reported as [`Settlement::Aborted`].
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::WrongState`] if all of it has left, or there is none of this token.
    pub(crate) fn abort(&mut self, id: LinkId, token: u64) -> Result<(), ApiMisuse> {
        let link = self.links.get_mut(id).filter(|link| !link.state.is_over()).ok_or(ApiMisuse::UnknownLink)?;
        let could_send = link.sendable() > 0;
        let Link { session: session_id, unsettled: of_link, tags, end: End::Sending(end), .. } = link else {
            return Err(ApiMisuse::WrongState);
        };
        let session_id = *session_id;
        if end.settled_early == Some(token) {
            end.settled_early = None;
            self.stream_is_over(id);
            return Ok(());
        }
        let place = end.queue.iter().position(|delivery| delivery.token == token && !delivery.aborted);
        let at = place.ok_or(ApiMisuse::WrongState)?;
        let Some(delivery) = end.queue.get_mut(at) else { return Err(ApiMisuse::WrongState) };
        if delivery.id.is_none() && delivery.resume {
            return Err(ApiMisuse::WrongState);
        }
        end.queued = end.queued.saturating_sub(delivery.left);
        tags.remove(&delivery.tag);
        let (begun, was_settled) = (delivery.id, delivery.settled);
        match begun {
            None => end.queue.remove(at).into_iter().for_each(|delivery| self.outbox.discarded.delivery(delivery)),
            Some(_) => self.outbox.discarded.payloads(delivery.give_up()),
        }
        if let Some(session) = self.sessions.get_mut(session_id) {
            end.ready &= !session.leave_waiting(id);
        }
        let unsettled = begun.filter(|_| !was_settled);
        // Its outcome may have come before it was whole: then that was reported.
        let untold = match (unsettled, self.sessions.get_mut(session_id)) {
            (Some(delivery), Some(session)) => {
                of_link.remove(delivery);
                let sent = session.sent.remove(delivery);
                let known = sent.is_some();
                self.outbox.discarded.retained(sent.and_then(|sent| sent.retained));
                known
            }
            _ => true,
        };
        if untold {
            self.outbox.settled.push_back(Settled { link: id, token, settlement: Settlement::Aborted });
        }
        self.less_is_queued(id);
        if !could_send {
            self.stream_is_over(id);
        }
        self.wake_link(id);
        self.answer_drain(id);
        self.try_detach(id);
        self.try_end(session_id);
        Ok(())
    }

    /// Less waits on a link than before: there may be room again for what was refused.
    pub(super) fn less_is_queued(&mut self, id: LinkId) {
        if let Some(end) = self.links.get_mut(id).and_then(Link::sending_mut) {
            self.outbox.count(end);
        }
    }

    /// The application has done with a delivery that it has given up, or that the receiver had settled: others can be
    /// sent.
    fn stream_is_over(&mut self, id: LinkId) {
        if self.links.get(id).is_some_and(|link| link.sendable() > 0) {
            self.outbox.events.push_back(Event::Sendable(id));
        }
    }

    /// Takes the next piece of a streamed link's deliveries, which come one after the other. Taking opens the session's
    /// window again.
    pub(crate) fn poll_stream(&mut self, id: LinkId) -> Option<StreamItem> {
        self.link_parts(id)?.poll_stream()
    }

    /// Passes over the rest of the streamed delivery whose pieces are being taken: what waits of it is dropped, which
    /// opens the session's window again, and what still comes of it is dropped as it comes.
    pub(crate) fn skip_stream(&mut self, id: LinkId) {
        while let Some(end) = self.links.get_mut(id).and_then(Link::receiving_mut) {
            match end.stream.skip() {
                Skip::Done => return,
                Skip::Last => return drop(self.poll_stream(id)),
                Skip::More => drop(self.poll_stream(id)),
            }
        }
    }

    /// How many octets are left of the streamed delivery whose pieces are being taken, once its end has come.
    pub(crate) fn stream_rest(&self, id: LinkId) -> Option<usize> {
        self.links.get(id).and_then(Link::receiving)?.stream.rest()
    }

    /// How many octets of a streamed link wait to be taken.
    pub(crate) fn buffered_octets(&self, id: LinkId) -> usize {
        self.links.get(id).and_then(Link::receiving).map_or(0, |end| end.stream.octets())
    }

    /// Whether octets of this streamed link that wait to be taken hold back its sender: it has used half of the
    /// session's window or more, which is opened again when they are taken.
    pub(crate) fn is_held_back(&self, id: LinkId) -> bool {
        let Some(link) = self.links.get(id) else { return false };
        let waits = link.receiving().is_some_and(|end| end.stream.holds_back());
        waits && self.sessions.get(link.session).is_some_and(|session| session.incoming_window.is_held_back())
    }

    /// Transfers of a streamed link are taken, or will not be.
    pub(super) fn release_transfers(&mut self, session_id: SessionId, count: u32) {
        if let Some(mut session) = self.session_mut(session_id) {
            session.session.incoming_window.release(count);
            session.tell_window();
        }
    }

    /// A session has a streamed link from now on.
    pub(super) fn narrow_window(&mut self, session_id: SessionId) {
        let max = self.config.max_frame_size;
        if let Some(mut session) = self.session_mut(session_id) {
            session.session.narrow_window(max);
            if session.session.state.is_begin_sent() {
                session.tell();
            }
        }
    }
}
