//! Deliveries that go and come piece by piece, in memory that does not grow with them.

use super::{Connection, undecodable::message_of};
use crate::{
    config::SendOptions,
    delivery::Assembly,
    error::{ApiMisuse, SendError},
    event::{Event, IncomingDelivery, Settled, Settlement, StreamItem},
    link::Link,
    metadata::bounded_state,
    session::Session,
    store::{DeliveryKey, LinkId, SessionId},
};
use alloc::{collections::VecDeque, vec::Vec};
use amqp1_codec::Limits;
use bytes::Bytes;

/// How many octets of a stream wait here when its application is asked for more.
const LOW_WATER: usize = 64 * 1024;

impl Connection {
    /// Begins a delivery whose message is written piece by piece. Nothing else can be sent on the link until it is
    /// finished or aborted. The pieces are the octets of an encoded message (§3.2).
    ///
    /// What is written waits here until there is room for it on the wire: look at [`queued`](Self::queued), and go on
    /// at [`Event::Sendable`].
    ///
    /// # Errors
    ///
    /// Why nothing can be sent.
    pub fn begin_delivery(&mut self, id: LinkId, options: SendOptions) -> Result<(), SendError> {
        let link = self.may_send(id, &options)?;
        let mut delivery = link.outgoing(options)?;
        delivery.open = true;
        link.queue.push_back(delivery);
        if let Some(link) = self.links.get_mut(id) {
            self.outbox.queued.count(link);
        }
        Ok(())
    }

    /// Writes a piece of the delivery that was begun.
    ///
    /// # Errors
    ///
    /// [`SendError::Detached`] if no delivery is being written, or its link is gone; [`SendError::SettledEarly`] if the
    /// receiver has settled it already: then finish it, or give it up.
    pub fn write(&mut self, id: LinkId, octets: Bytes) -> Result<(), SendError> {
        let mut octets = Some(octets);
        let written = self.queue_octets(id, &mut octets);
        if written.is_err() {
            self.outbox.discarded.refused(octets);
        }
        written
    }

    /// Takes the octets if they can be queued.
    fn queue_octets(&mut self, id: LinkId, unqueued: &mut Option<Bytes>) -> Result<(), SendError> {
        let length = unqueued.as_ref().map_or(0, Bytes::len);
        let link = self.links.get_mut(id).filter(|link| !link.state.is_over()).ok_or(SendError::Detached)?;
        if link.settled_early.is_some() {
            return Err(SendError::SettledEarly);
        }
        let max = link.remote_max_message_size();
        let delivery = link.queue.back_mut().filter(|delivery| delivery.open).ok_or(SendError::Detached)?;
        let written = delivery.written.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        if let Some(max) = max.filter(|max| written > *max) {
            return Err(SendError::TooLarge { max });
        }
        delivery.written = written;
        link.queued = link.queued.saturating_add(length);
        delivery.left = delivery.left.saturating_add(length);
        delivery.parts.extend(unqueued.take_if(|octets| !octets.is_empty()));
        self.outbox.queued.count(link);
        self.wake_link(id);
        Ok(())
    }

    /// Says that all of the delivery that was begun is written. Its last octets leave now. Of one that the receiver has
    /// settled before it was whole the rest is not sent.
    ///
    /// # Errors
    ///
    /// [`SendError::Detached`] if no delivery is being written, or its link is gone.
    pub fn finish(&mut self, id: LinkId) -> Result<(), SendError> {
        let link = self.links.get_mut(id).filter(|link| !link.state.is_over()).ok_or(SendError::Detached)?;
        if link.settled_early.take().is_some() {
            self.stream_is_over(id);
            return Ok(());
        }
        let delivery = link.queue.back_mut().filter(|delivery| delivery.open).ok_or(SendError::Detached)?;
        delivery.open = false;
        self.wake_link(id);
        Ok(())
    }

    /// Gives up a delivery that is not wholly written (§2.6.14): the receiver forgets what it has of it. The delivery is
    /// reported as [`Settlement::Aborted`].
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::WrongState`] if all of it has left, or there is none of this token.
    pub fn abort(&mut self, id: LinkId, token: u64) -> Result<(), ApiMisuse> {
        let link = self.links.get_mut(id).filter(|link| !link.state.is_over()).ok_or(ApiMisuse::UnknownLink)?;
        if link.settled_early == Some(token) {
            link.settled_early = None;
            self.stream_is_over(id);
            return Ok(());
        }
        let place = link.queue.iter().position(|delivery| delivery.token == token && !delivery.aborted);
        let at = place.ok_or(ApiMisuse::WrongState)?;
        let could_send = link.sendable() > 0;
        let Some(delivery) = link.queue.get_mut(at) else { return Err(ApiMisuse::WrongState) };
        if delivery.id.is_none() && delivery.resume {
            return Err(ApiMisuse::WrongState);
        }
        link.queued = link.queued.saturating_sub(delivery.left);
        link.tags.remove(&delivery.tag);
        let (session_id, begun, was_settled) = (link.session, delivery.id, delivery.settled);
        match begun {
            None => link.queue.remove(at).into_iter().for_each(|delivery| self.outbox.discarded.delivery(delivery)),
            Some(_) => self.outbox.discarded.payloads(delivery.give_up()),
        }
        if let Some(session) = self.sessions.get_mut(session_id) {
            link.ready &= !session.leave_waiting(id);
        }
        let unsettled = begun.filter(|_| !was_settled);
        // Its outcome may have come before it was whole: then that was reported.
        let untold = match (unsettled, self.sessions.get_mut(session_id)) {
            (Some(delivery), Some(session)) => {
                link.unsettled.remove(delivery);
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
        let Some(link) = self.links.get_mut(id) else { return };
        self.outbox.count(link);
    }

    /// The application has done with a delivery that it has given up, or that the receiver had settled: others can be
    /// sent.
    fn stream_is_over(&mut self, id: LinkId) {
        if self.links.get(id).is_some_and(|link| link.sendable() > 0) {
            self.outbox.events.push_back(Event::Sendable(id));
        }
    }

    /// The receiver has settled a delivery that has left in part: the rest is given up (§2.6.14).
    pub(super) fn abort_rest(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        if let Some(session) = self.sessions.get_mut(link.session) {
            link.ready &= !session.leave_waiting(id);
        }
        if link.settled_early.is_some() {
            // The application may be waiting to write more of it.
            self.outbox.events.push_back(Event::Sendable(id));
        }
        self.less_is_queued(id);
        self.wake_link(id);
    }

    /// Takes the next piece of a streamed link's deliveries, which come one after the other. Taking opens the session's
    /// window again.
    pub fn poll_stream(&mut self, id: LinkId) -> Option<StreamItem> {
        let link = self.links.get_mut(id)?;
        let session_id = link.session;
        let mut item = link.stream.get_mut()?.pop_front()?;
        match &mut item {
            StreamItem::Data(_) if link.released => {}
            StreamItem::Data(_) => self.release_transfers(session_id, 1),
            StreamItem::End { .. } | StreamItem::Aborted => {
                link.streams = link.streams.saturating_sub(1);
                link.refill();
                self.tell_credit(id);
            }
            StreamItem::Begin { state, .. } => {
                let kept = link.stream_states.get_mut().and_then(VecDeque::pop_front).flatten();
                *state = kept.and_then(|kept| kept.decode(self.config.decode_limits()));
            }
        }
        Some(item)
    }

    /// Passes over the rest of the streamed delivery whose pieces are being taken: what waits of it is dropped, which opens
    /// the session's window again, and what still comes of it is dropped as it comes.
    pub fn skip_stream(&mut self, id: LinkId) {
        while let Some(link) = self.links.get_mut(id) {
            match link.stream.get().and_then(VecDeque::front) {
                Some(StreamItem::Begin { .. }) => return,
                Some(StreamItem::End { .. } | StreamItem::Aborted) => return drop(self.poll_stream(id)),
                Some(StreamItem::Data(_)) => drop(self.poll_stream(id)),
                None => {
                    link.skips_stream = link.streams > 0;
                    return;
                }
            }
        }
    }

    /// How many octets of a streamed link wait to be taken.
    pub fn buffered_octets(&self, id: LinkId) -> usize {
        let octets = |item: &StreamItem| if let StreamItem::Data(octets) = item { octets.len() } else { 0 };
        self.links.get(id).map_or(0, |link| link.stream.get().into_iter().flatten().map(octets).sum())
    }

    /// Whether octets of this streamed link that wait to be taken hold back its sender: it has used half of the session's
    /// window or more, which is opened again when they are taken.
    pub fn is_held_back(&self, id: LinkId) -> bool {
        let Some(link) = self.links.get(id).filter(|link| !link.released) else { return false };
        let waits = link.stream.get().into_iter().flatten().any(|item| matches!(item, StreamItem::Data(_)));
        waits && self.sessions.get(link.session).is_some_and(Session::is_held_back)
    }

    /// Transfers of a streamed link are taken, or will not be.
    pub(super) fn release_transfers(&mut self, session_id: SessionId, count: u32) {
        if let Some(mut session) = self.session_mut(session_id) {
            session.session.release_transfers(count);
            session.tell_window();
        }
    }

    /// A session has a streamed link from now on.
    pub(super) fn narrow_window(&mut self, session_id: SessionId) {
        let max = self.config.max_frame_size;
        if let Some(mut session) = self.session_mut(session_id) {
            session.session.narrow_window(max);
            if session.session.begin_sent {
                session.tell();
            }
        }
    }

    /// A streamed delivery begins.
    pub(super) fn stream_begins(&mut self, id: LinkId, assembly: &mut Assembly) {
        let kept = assembly.state.take();
        if let Some(link) = self.links.get_mut(id) {
            link.stream_states.make().push_back(kept);
        }
        self.stream_item(
            id,
            StreamItem::Begin {
                key: DeliveryKey(assembly.id),
                tag: assembly.tag,
                message_format: assembly.message_format,
                settled: assembly.settled,
                state: None,
            },
        );
        if let Some(link) = self.links.get_mut(id) {
            link.streams = link.streams.saturating_add(1);
        }
    }

    /// What has come of a streamed delivery is handed on.
    pub(super) fn stream_data(&mut self, session_id: SessionId, id: LinkId, assembly: &mut Assembly) {
        for octets in core::mem::take(&mut assembly.parts) {
            if let Some(session) = self.sessions.get_mut(session_id) {
                session.hold_transfer();
            }
            self.stream_item(id, StreamItem::Data(octets));
        }
    }

    pub(super) fn stream_item(&mut self, id: LinkId, item: StreamItem) {
        let Some(link) = self.links.get_mut(id) else { return };
        let skipped = link.skips_stream && !matches!(item, StreamItem::Begin { .. });
        link.skips_stream = skipped && matches!(item, StreamItem::Data(_));
        link.stream.make().push_back(item);
        if skipped {
            drop(self.poll_stream(id));
            return;
        }
        self.outbox.events.push_back(Event::Receivable(id));
    }

    /// A stream has sent what was written: the application is asked for more.
    pub(super) fn ask_for_more(&mut self, id: LinkId, before: usize) {
        let Some(link) = self.links.get(id) else { return };
        let open = link.queue.back().is_some_and(|delivery| delivery.open);
        let queued = link.sendable_octets();
        if open && before > LOW_WATER && queued <= LOW_WATER || open && queued == 0 {
            self.outbox.events.push_back(Event::Sendable(id));
        }
    }
}

/// What waited on a streamed link when it ended.
pub(crate) struct EmptiedStream {
    /// How many transfers.
    pub(crate) held: u32,
    /// The whole deliveries that only exist here, because the sender has settled them.
    pub(crate) whole: Vec<IncomingDelivery>,
    /// The rest of such a one whose beginning was taken.
    pub(crate) rest: Option<Vec<Bytes>>,
}

impl Link {
    /// Empties the stream of a link that is over.
    pub(crate) fn empty_stream(&mut self, limits: Limits, max_info: usize) -> EmptiedStream {
        let mut states = self.stream_states.take();
        let mut held: u32 = 0;
        let mut whole = Vec::new();
        let mut current = None;
        // What comes before the first beginning belongs to a delivery whose beginning was taken.
        let mut begun = Some(Vec::new());
        let mut rest = None;
        for item in self.stream.take() {
            match item {
                StreamItem::Begin { key, tag, message_format, .. } => {
                    let state = states.pop_front().flatten().and_then(|state| state.decode(limits));
                    let state = state.map(|state| bounded_state(&state, max_info, limits));
                    begun = None;
                    current = Some((key, tag, message_format, state, Vec::new()));
                }
                StreamItem::Data(octets) => {
                    held = held.saturating_add(1);
                    match (&mut current, &mut begun) {
                        (Some((.., parts)), _) | (None, Some(parts)) => parts.push(octets),
                        (None, None) => {}
                    }
                }
                StreamItem::End { settled: true } if begun.is_some() => rest = begun.take(),
                StreamItem::End { settled: true } => {
                    let Some((key, tag, message_format, state, parts)) = current.take() else { continue };
                    let message = message_of(message_format, parts, limits);
                    let (settled, resumed) = (true, false);
                    let delivery = IncomingDelivery { key, tag, message_format, settled, resumed, state, message };
                    whole.push(delivery);
                }
                StreamItem::End { settled: false } | StreamItem::Aborted => (current, begun) = (None, None),
            }
        }
        EmptiedStream { held, whole, rest }
    }
}
