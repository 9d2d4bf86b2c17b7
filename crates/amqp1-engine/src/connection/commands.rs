//! The application's commands.

use super::{Connection, ConnectionState, Ending, frame_size::too_large};
use crate::{
    api::Unsent,
    config::{AttachReply, Credit, ReceiverConfig, SendOptions, SenderConfig, SessionConfig},
    delivery::TRANSFER_ROOM,
    error::{ApiMisuse, SendError},
    event::{Cause, Ended, Event, IncomingDelivery},
    link::{Answer, End, Link, LinkState, ReceivingEnd, SendingEnd, attach_violation},
    outbox::Leaving,
    queue::Blocked,
    session::{self, Session, State},
    store::{DeliveryKey, LinkId, SessionId},
    tolerances::Tolerances,
    violation::PeerMisbehaved,
};
use alloc::boxed::Box;
use amqp1_codec::{
    Encode, EncodedMessage,
    definitions::{AmqpError, Fields, ReceiverSettleMode, Role},
    messaging::DeliveryState,
    performative::Attach,
};

/// Octets of a message that each of its frames must have room for beside the delivery's state.
const LEAST_PAYLOAD: usize = 64;

impl Connection {
    fn check_open(&self) -> Result<(), ApiMisuse> {
        if matches!(self.ending, Ending::No) { Ok(()) } else { Err(ApiMisuse::Closed) }
    }

    /// Begins a session. Before the connection is open the begin waits.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::Closed`] if the connection is closing. If it is open: [`ApiMisuse::NoChannel`] if all channels are
    /// in use; [`ApiMisuse::FrameTooLarge`] if the peer does not take a begin of that size. Where that turns out only
    /// when the connection opens, the session ends: [`Event::SessionEnded`].
    pub fn begin(&mut self, config: SessionConfig) -> Result<SessionId, ApiMisuse> {
        self.check_open()?;
        let opened = self.state == ConnectionState::Opened;
        if opened && !self.has_free_channel() {
            return Err(ApiMisuse::NoChannel);
        }
        if opened {
            self.check_begin(&config, None)?;
        }
        let mut session = Session::new(config);
        session.begun_here = true;
        let id = self.sessions.insert(session);
        if opened {
            self.send_begin(id);
        } else {
            self.waiting.push_back(id);
        }
        Ok(id)
    }

    /// Answers a session that the peer has begun.
    ///
    /// # Errors
    ///
    /// If there is no such session, or it was answered.
    pub(crate) fn accept_session(&mut self, id: SessionId, config: SessionConfig) -> Result<(), ApiMisuse> {
        self.check_open()?;
        let session = self.sessions.get_mut(id).ok_or(ApiMisuse::UnknownSession)?;
        if session.state != State::BeginReceived {
            return Err(ApiMisuse::WrongState);
        }
        let remote_channel = session.remote_channel;
        if !self.has_free_channel() {
            return Err(ApiMisuse::NoChannel);
        }
        self.check_begin(&config, remote_channel)?;
        if let Some(session) = self.sessions.get_mut(id) {
            session.configure(config);
        }
        self.send_begin(id);
        Ok(())
    }

    /// Ends a session. Deliveries that can leave go first; with an error, none does. Settlements that are stated before
    /// the end leaves go first in any case.
    ///
    /// # Errors
    ///
    /// If there is no such session.
    pub(crate) fn end(&mut self, id: SessionId, error: Option<AmqpError>) -> Result<(), ApiMisuse> {
        let session = self.sessions.get_mut(id).ok_or(ApiMisuse::UnknownSession)?;
        match (session.ending, session.state) {
            (session::Ending::Reported, _) => return Err(ApiMisuse::UnknownSession),
            (session::Ending::Asked, _) if error.is_none() => {}
            (_, state) if state.is_end_sent() => {}
            (_, State::Unmapped) => {
                self.waiting.retain(|waiting| *waiting != id);
                self.drop_session(id, Ended { error, by: Cause::Local });
            }
            (_, State::BeginReceived) => self.end_now(id, error),
            _ if error.is_some() => self.end_now(id, error),
            _ => {
                session.ending = session::Ending::Asked;
                self.outbox.leave(Leaving::Session(id));
            }
        }
        Ok(())
    }

    /// Attaches a link at whose sending end this container is.
    ///
    /// # Errors
    ///
    /// If there is no such session. [`ApiMisuse::NameInUse`] if a link of that name and role is on the session
    /// already: one on another session would be stolen (§2.6.1).
    pub(crate) fn attach_sender(&mut self, session: SessionId, config: SenderConfig) -> Result<LinkId, ApiMisuse> {
        let attach = Attach {
            name: config.name,
            role: Role::Sender,
            snd_settle_mode: config.snd_settle_mode,
            rcv_settle_mode: config.rcv_settle_mode,
            source: config.source.map(Box::new),
            target: config.target,
            initial_delivery_count: Some(config.initial_delivery_count),
            max_message_size: config.max_message_size,
            offered_capabilities: config.offered_capabilities.into(),
            desired_capabilities: config.desired_capabilities.into(),
            properties: (!config.properties.is_empty()).then_some(config.properties),
            ..Attach::default()
        };
        let end = SendingEnd::new(config.initial_delivery_count, config.drain_mode);
        let mut link = Link::new(session, attach, End::Sending(end), LinkState::new());
        link.resumable = config.resumable;
        link.max_unsettled = config.max_unsettled;
        link.continue_sending(config.resume);
        self.attach(link)
    }

    /// Attaches a link at whose receiving end this container is.
    ///
    /// # Errors
    ///
    /// If there is no such session. [`ApiMisuse::NameInUse`] if a link of that name and role is on the session
    /// already: one on another session would be stolen (§2.6.1).
    pub(crate) fn attach_receiver(&mut self, session: SessionId, config: ReceiverConfig) -> Result<LinkId, ApiMisuse> {
        let attach = Attach {
            name: config.name,
            role: Role::Receiver,
            snd_settle_mode: config.snd_settle_mode,
            rcv_settle_mode: config.rcv_settle_mode,
            source: config.source.map(Box::new),
            target: config.target,
            max_message_size: config.max_message_size,
            offered_capabilities: config.offered_capabilities.into(),
            desired_capabilities: config.desired_capabilities.into(),
            properties: (!config.properties.is_empty()).then_some(config.properties),
            ..Attach::default()
        };
        let mut end = ReceivingEnd::new(config.credit);
        end.resume = config.resume.map(Box::new);
        end.reject_undecodable = config.reject_undecodable;
        end.stream.enable(config.streamed);
        let mut link = Link::new(session, attach, End::Receiving(end), LinkState::new());
        link.resumable = config.resumable;
        link.max_unsettled = config.max_unsettled;
        self.attach(link)
    }

    fn attach(&mut self, link: Link) -> Result<LinkId, ApiMisuse> {
        self.check_open()?;
        let session_id = link.session;
        let session = self.sessions.get_mut(session_id).ok_or(ApiMisuse::UnknownSession)?;
        if session.state.is_end_sent() || session.ending != session::Ending::No {
            return Err(ApiMisuse::UnknownSession);
        }
        if attach_violation(&link.local, &Tolerances::STRICT) == Some(PeerMisbehaved::DynamicNodeContradiction) {
            return Err(ApiMisuse::DynamicNodeContradiction);
        }
        if self.is_name_in_use(session_id, &link.local) {
            return Err(ApiMisuse::NameInUse);
        }
        if self.remote_open.is_some() {
            self.check_attach(&link.local)?;
        }
        let Some(session) = self.sessions.get_mut(session_id) else { return Err(ApiMisuse::UnknownSession) };
        let streamed = link.is_streamed();
        let role = link.role();
        let id = self.links.insert(link);
        session.add_link(id, role);
        if streamed {
            self.narrow_window(session_id);
        }
        self.send_attach(id);
        Ok(id)
    }

    /// Whether a link of this name and role lives on the session, and is not about to end.
    fn is_name_in_use(&self, session: SessionId, attach: &Attach) -> bool {
        let lives = |link: &Link| !link.state.is_detaching() && !link.state.is_deaf();
        let is = |link: &Link| link.role() == attach.role && link.local.name == attach.name && lives(link);
        self.sessions
            .get(session)
            .is_some_and(|session| session.links.iter().any(|id| self.links.get(*id).is_some_and(is)))
    }

    fn known_link(&self, id: LinkId) -> Result<&Link, ApiMisuse> {
        self.links.get(id).filter(|link| !link.state.is_over()).ok_or(ApiMisuse::UnknownLink)
    }

    fn link_mut(&mut self, id: LinkId) -> Result<&mut Link, ApiMisuse> {
        self.links.get_mut(id).filter(|link| !link.state.is_over()).ok_or(ApiMisuse::UnknownLink)
    }

    /// The peer's attach of the link: there from `LinkOffered` or `LinkAttached` on, until it is
    /// [forgotten](Self::forget_attach). It is kept as octets and decoded at each call.
    pub(crate) fn remote_attach(&self, id: LinkId) -> Option<Attach> {
        self.links.get(id)?.remote.as_ref()?.kept.as_ref()?.decode(self.config.decode_limits())
    }

    /// Forgets what the peer attached the link with, so that it does not count as its metadata any more: for servers
    /// with many links, that have no use for it once a link is accepted.
    pub(crate) fn forget_attach(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(id).filter(|link| link.state.handle().is_some()) {
            link.reattach = None;
            if let Some(remote) = &mut link.remote {
                remote.kept = None;
            }
        }
    }

    /// The largest message that the peer takes on the link, in octets.
    pub(crate) fn remote_max_message_size(&self, id: LinkId) -> Option<u64> {
        self.links.get(id)?.remote_max_message_size()
    }

    /// How many more transfers the peer of a session can send, by what it said last of its outgoing window (§2.5.6): a
    /// hint, which the engine holds no peer to. `None` if there is no such session.
    pub(crate) fn remote_outgoing_window(&self, id: SessionId) -> Option<u32> {
        self.sessions.get(id).map(|session| session.incoming_window.remote_outgoing())
    }

    /// The receiver-settle-mode to answer an offered link with: the one that was asked for, or first where this end
    /// receives and [`Tolerances::second_answered_first`](crate::Tolerances) is on. An application that does wait for
    /// the sender to settle answers with the mode of the attach.
    pub fn receiver_settle_mode_to_answer(&self, remote: &Attach) -> ReceiverSettleMode {
        match remote.role {
            Role::Sender if self.config.tolerances.second_answered_first => ReceiverSettleMode::First,
            _ => remote.rcv_settle_mode,
        }
    }

    /// Accepts a link that the peer has offered. If the peer's handle-max allows no more attaches of ours now, the link
    /// is attached when one of them is free again, which [`Event::HandleAwaited`] says.
    ///
    /// # Errors
    ///
    /// If there is no such link, or it was answered. [`ApiMisuse::FrameTooLarge`] if the peer does not take an attach
    /// of that size; then the link is refused.
    pub(crate) fn accept_link(&mut self, id: LinkId, reply: AttachReply) -> Result<(), ApiMisuse> {
        let link = self.link_mut(id)?;
        if link.state.is_answered() {
            return Err(ApiMisuse::WrongState);
        }
        let mut local = (*link.local).clone();
        local.snd_settle_mode = reply.snd_settle_mode;
        // Of our receivers' mode the answer decides; a peer that receives decides for itself.
        local.rcv_settle_mode = match (link.role(), &link.remote) {
            (Role::Sender, Some(remote)) => remote.rcv_settle_mode,
            _ => reply.rcv_settle_mode,
        };
        local.source = reply.source.map(Box::new);
        local.target = reply.target;
        local.max_message_size = reply.max_message_size;
        local.offered_capabilities = reply.offered_capabilities.into();
        local.properties = (!reply.properties.is_empty()).then_some(reply.properties);
        let receives = link.role() == Role::Receiver;
        local.initial_delivery_count = (!receives).then_some(reply.initial_delivery_count);
        if let Err(misuse) = self.check_attach(&local) {
            self.detach_now(id, true, Some(too_large()));
            return Err(misuse);
        }
        let link = self.link_mut(id)?;
        *link.local = local;
        link.resumable = reply.resumable;
        link.max_unsettled = reply.max_unsettled;
        link.forgets = reply.forget_attach;
        match &mut link.end {
            End::Receiving(end) => {
                end.credit.set_policy(reply.credit);
                end.stream.enable(reply.streamed);
                end.resume = reply.resume_receiver.map(Box::new);
                end.reject_undecodable = reply.reject_undecodable;
                end.unsettled_after_end = reply.unsettled_after_end;
            }
            End::Sending(end) => {
                end.credit.configure(reply.initial_delivery_count, reply.drain_mode);
                link.continue_sending(reply.resume_sender);
            }
        }
        let (session_id, streamed) = (link.session, link.is_streamed());
        if streamed {
            self.narrow_window(session_id);
        }
        if self.has_handle(id) {
            self.answer_link(id);
        } else {
            self.await_handle(id, Answer::Accept);
        }
        Ok(())
    }

    /// Refuses a link that the peer has offered (§2.6.3): attach without a terminus, then detach with the reason.
    ///
    /// # Errors
    ///
    /// If there is no such link, or it was answered.
    pub(crate) fn reject_link(&mut self, id: LinkId, error: AmqpError) -> Result<(), ApiMisuse> {
        let link = self.known_link(id)?;
        if link.state.is_answered() {
            return Err(ApiMisuse::WrongState);
        }
        self.detach_now(id, true, Some(error));
        Ok(())
    }

    /// Detaches a link. Deliveries that are queued go first; with an error, none does. Settlements that are stated
    /// before the detach leaves go first in any case.
    ///
    /// # Errors
    ///
    /// If there is no such link.
    pub(crate) fn detach(&mut self, id: LinkId, closed: bool, error: Option<AmqpError>) -> Result<(), ApiMisuse> {
        let link = self.link_mut(id)?;
        if link.state.has_detached() {
            return Ok(());
        }
        if error.is_some() || link.state.detach_when_sent(closed).is_err() {
            self.detach_now(id, closed, error);
        } else if !self.stop_sender(id) {
            self.outbox.leave(Leaving::Link(id));
        }
        Ok(())
    }

    /// The name of a link.
    pub(crate) fn link_name(&self, id: LinkId) -> Option<&str> {
        self.links.get(id).map(|link| link.local.name.as_str())
    }

    /// Whether a link's window of credit is not filled, because too many of its deliveries are unsettled: see
    /// [`Event::CreditWithheld`].
    pub(crate) fn is_credit_withheld(&self, id: LinkId) -> bool {
        self.links.get(id).and_then(Link::receiving).is_some_and(|end| end.credit.is_withheld())
    }

    /// How many deliveries may be queued on a link now.
    pub(crate) fn credit(&self, id: LinkId) -> u32 {
        self.links.get(id).map_or(0, Link::sendable)
    }

    /// How many octets of payload wait on a link to be sent. The last octet of a delivery that is being written leaves
    /// with what follows it, and does not count.
    pub(crate) fn queued(&self, id: LinkId) -> usize {
        self.links.get(id).and_then(Link::sending).map_or(0, SendingEnd::sendable_octets)
    }

    /// The credit of a link on which less waits to be sent.
    pub(crate) fn credit_below(&self, id: LinkId, octets: usize) -> u32 {
        let below = |link: &&Link| link.sending().is_some_and(|end| end.sendable_octets() < octets);
        self.links.get(id).filter(below).map_or(0, Link::sendable)
    }

    /// How many deliveries of a link have not left completely.
    pub(crate) fn waiting(&self, id: LinkId) -> usize {
        self.links.get(id).and_then(Link::sending).map_or(0, |end| end.queue.len())
    }

    /// Whether the last of them is not finished yet.
    pub(crate) fn is_last_open(&self, id: LinkId) -> bool {
        let sending = self.links.get(id).and_then(Link::sending);
        sending.is_some_and(|end| end.queue.back().is_some_and(|delivery| delivery.open))
    }

    /// How many octets wait on all links to be sent, with something for each delivery, as far as they count towards
    /// [`max_queued`](crate::ConnectionConfig::max_queued).
    pub fn all_queued(&self) -> usize {
        self.outbox.queued.octets()
    }

    /// Whether more may be queued on the connection: see [`max_queued`](crate::ConnectionConfig::max_queued).
    pub fn has_queue_room(&self) -> bool {
        self.outbox.queued.room() > 0
    }

    /// How many octets may be queued on the connection: as [configured](crate::ConnectionConfig::max_queued).
    pub fn max_queued(&self) -> usize {
        self.config.max_queued
    }

    /// How many octets more may be queued on the connection.
    pub fn queue_room(&self) -> usize {
        self.outbox.queued.room()
    }

    /// Why nothing can be queued on a link; `None` if something can, or if the link is not attached.
    pub(crate) fn blocked(&self, id: LinkId) -> Option<Blocked> {
        let link = self.links.get(id).filter(|link| link.is_attached())?;
        if link.sending()?.lacks_credit() {
            Some(Blocked::Credit)
        } else if link.unsettled_left() == 0 {
            Some(Blocked::Unsettled)
        } else {
            (!self.has_queue_room()).then_some(Blocked::Queue)
        }
    }

    /// Queues a delivery: the whole of it, or nothing.
    ///
    /// # Errors
    ///
    /// Why it was not queued, with the message.
    pub(crate) fn send(
        &mut self,
        id: LinkId,
        message: EncodedMessage,
        options: SendOptions,
    ) -> Result<(), Unsent<EncodedMessage>> {
        let mut message = message;
        let sent = self
            .check_send(&options)
            .and_then(|()| self.link_parts(id).ok_or(SendError::Detached)?.send(&mut message, options));
        sent.map_err(|reason| Unsent::new(reason, message))
    }

    /// Checks that a delivery with this state may be sent, whatever the link.
    #[inline]
    pub(super) fn check_send(&self, options: &SendOptions) -> Result<(), SendError> {
        if let Some(state) = &options.state {
            if matches!(state, DeliveryState::Received(_)) {
                return Err(SendError::StateNotAllowed);
            }
            let max = self.max_transfer();
            if state.encoded_len(self.config.style) > max.saturating_sub(TRANSFER_ROOM + LEAST_PAYLOAD) {
                return Err(SendError::StateTooLarge { max });
            }
        }
        if matches!(self.ending, Ending::No) { Ok(()) } else { Err(SendError::Detached) }
    }

    /// Takes the next delivery of a link.
    pub(crate) fn recv(&mut self, id: LinkId) -> Option<IncomingDelivery> {
        let limits = self.config.decode_limits();
        let link = self.links.get_mut(id)?;
        let delivery = link.take(limits)?;
        link.tell_credit(id, &mut self.outbox);
        Some(delivery)
    }

    /// How many deliveries of a link wait to be taken.
    pub(crate) fn buffered(&self, id: LinkId) -> usize {
        self.links.get(id).and_then(Link::receiving).map_or(0, |end| end.buffered.len())
    }

    /// Sets how many deliveries a link allows from now on.
    ///
    /// # Errors
    ///
    /// If there is no such link, or it sends.
    pub(crate) fn set_credit(&mut self, id: LinkId, credit: Credit) -> Result<(), ApiMisuse> {
        let link = self.link_mut(id)?;
        let attached = link.is_attached();
        let end = link.receiving_mut().ok_or(ApiMisuse::WrongRole)?;
        if !attached {
            end.credit.set_policy(credit);
            return Ok(());
        }
        link.set_credit(credit);
        if let Some(link) = self.links.get_mut(id) {
            link.queue_flow(id, &mut self.outbox);
            link.tell_credit(id, &mut self.outbox);
        }
        Ok(())
    }

    /// Asks the sender to use up the link's credit or give it up (§2.6.7). `Event::Drained` says that it has; no credit
    /// is given until `set_credit`.
    ///
    /// # Errors
    ///
    /// If there is no such link, or it sends.
    pub(crate) fn drain(&mut self, id: LinkId) -> Result<(), ApiMisuse> {
        let link = self.link_mut(id)?;
        let end = link.receiving_mut().ok_or(ApiMisuse::WrongRole)?;
        if end.credit.drain() {
            self.link_flow(id);
        } else {
            self.outbox.events.push_back(Event::Drained(id));
        }
        Ok(())
    }

    /// Sets what this end's flows say of the link in their properties (§2.7.4), and tells it.
    ///
    /// # Errors
    ///
    /// If there is no such link.
    pub(crate) fn set_flow_properties(&mut self, id: LinkId, properties: Fields) -> Result<(), ApiMisuse> {
        self.known_link(id)?;
        if !properties.is_empty() {
            self.check_flow(properties.clone())?;
        }
        let link = self.link_mut(id)?;
        link.flow_properties = (!properties.is_empty()).then(|| Box::new(properties));
        if link.is_attached() {
            self.link_flow(id);
        }
        Ok(())
    }

    /// The properties of the peer's last flow of the link.
    pub(crate) fn remote_flow_properties(&self, id: LinkId) -> Option<Fields> {
        self.links.get(id)?.remote_flow_properties.as_ref()?.decode(self.config.decode_limits())
    }

    /// States an outcome for a received delivery. Whether that settles it follows from the link's mode. A delivery that
    /// is settled already is left alone.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::UnknownLink`] if there is no such link; [`ApiMisuse::Detached`] if this end's detach, or the end of
    /// its session, has left already: the outcome is not said then.
    pub(crate) fn dispose(&mut self, id: LinkId, key: DeliveryKey, state: DeliveryState) -> Result<(), ApiMisuse> {
        let fits = self.check_state(&state);
        let mut link = self.link_parts(id).filter(|link| !link.link.state.is_over()).ok_or(ApiMisuse::UnknownLink)?;
        fits?;
        if link.settle_received(key, state) { Ok(()) } else { Err(ApiMisuse::Detached) }
    }
}
