//! The commands and getters of sessions and links, in one call each: tests have ids at hand, not handles.
//!
//! Where the id names nothing, getters answer as of a link that is idle.

use super::End;
use amqp1_codec::{
    EncodedMessage,
    definitions::{AmqpError, Fields},
    messaging::DeliveryState,
    performative::Attach,
};
use amqp1_engine::{
    ApiMisuse, AttachReply, Blocked, Credit, DeliveryKey, IncomingDelivery, LinkId, ReceiverConfig, SendError,
    SendOptions, SenderConfig, SessionConfig, SessionId, StreamItem, transaction::TxnId,
};
use bytes::Bytes;

/// Of sessions.
impl End {
    /// Begins a session.
    ///
    /// # Errors
    ///
    /// As [`Connection::begin`](amqp1_engine::Connection::begin).
    pub fn begin(&mut self, config: SessionConfig) -> Result<SessionId, ApiMisuse> {
        self.engine.begin(self.numbers.session(config))
    }

    /// Answers a session that the peer has begun.
    ///
    /// # Errors
    ///
    /// As [`Session::accept`](amqp1_engine::Session::accept).
    pub fn accept_session(&mut self, id: SessionId, config: SessionConfig) -> Result<(), ApiMisuse> {
        self.engine.session(id)?.accept(self.numbers.session(config))
    }

    /// Ends a session.
    ///
    /// # Errors
    ///
    /// As [`Session::end`](amqp1_engine::Session::end).
    pub fn end(&mut self, id: SessionId, error: Option<AmqpError>) -> Result<(), ApiMisuse> {
        self.engine.session(id)?.end(error)
    }

    /// Attaches a link on which this end sends.
    ///
    /// # Errors
    ///
    /// As [`Session::attach_sender`](amqp1_engine::Session::attach_sender).
    pub fn attach_sender(&mut self, session: SessionId, config: SenderConfig) -> Result<LinkId, ApiMisuse> {
        let initial_delivery_count = self.numbers.link(config.initial_delivery_count);
        let config = SenderConfig { initial_delivery_count, ..config };
        self.engine.session(session)?.attach_sender(config)
    }

    /// Attaches a link on which this end receives.
    ///
    /// # Errors
    ///
    /// As [`Session::attach_receiver`](amqp1_engine::Session::attach_receiver).
    pub fn attach_receiver(&mut self, session: SessionId, config: ReceiverConfig) -> Result<LinkId, ApiMisuse> {
        self.engine.session(session)?.attach_receiver(config)
    }

    /// The peer's outgoing window.
    pub fn remote_outgoing_window(&mut self, id: SessionId) -> Option<u32> {
        self.engine.session(id).ok().map(|session| session.remote_outgoing_window())
    }
}

/// Of links in either role.
impl End {
    /// The link's name.
    pub fn link_name(&mut self, id: LinkId) -> Option<String> {
        self.engine.link(id).ok().map(|link| link.name().to_owned())
    }

    /// The session that a link is attached to.
    pub fn session_of(&mut self, id: LinkId) -> Option<SessionId> {
        self.engine.link(id).ok().map(|link| link.session_id())
    }

    /// The attach of the peer.
    pub fn remote_attach(&mut self, id: LinkId) -> Option<Attach> {
        self.engine.link(id).ok()?.remote_attach()
    }

    /// Forgets the attach of the peer.
    pub fn forget_attach(&mut self, id: LinkId) {
        if let Ok(mut link) = self.engine.link(id) {
            link.forget_remote_attach();
        }
    }

    /// Accepts a link that the peer has offered.
    ///
    /// # Errors
    ///
    /// As [`Link::accept`](amqp1_engine::Link::accept).
    pub fn accept_link(&mut self, id: LinkId, reply: AttachReply) -> Result<(), ApiMisuse> {
        let initial_delivery_count = self.numbers.link(reply.initial_delivery_count);
        let reply = AttachReply { initial_delivery_count, ..reply };
        self.engine.link(id)?.accept(reply)
    }

    /// Refuses a link that the peer has offered.
    ///
    /// # Errors
    ///
    /// As [`Link::reject`](amqp1_engine::Link::reject).
    pub fn reject_link(&mut self, id: LinkId, error: AmqpError) -> Result<(), ApiMisuse> {
        self.engine.link(id)?.reject(error)
    }

    /// Detaches a link.
    ///
    /// # Errors
    ///
    /// As [`Link::detach`](amqp1_engine::Link::detach).
    pub fn detach(&mut self, id: LinkId, closed: bool, error: Option<AmqpError>) -> Result<(), ApiMisuse> {
        self.engine.link(id)?.detach(closed, error)
    }

    /// The outcome of deliveries that are settled without one.
    pub fn default_outcome(&mut self, id: LinkId) -> Option<DeliveryState> {
        self.engine.link(id).ok()?.default_outcome()
    }

    /// The properties of this end's flows.
    pub fn flow_properties(&mut self, id: LinkId) -> Option<Fields> {
        self.engine.link(id).ok()?.flow_properties().cloned()
    }

    /// Sets the properties of this end's flows.
    ///
    /// # Errors
    ///
    /// As [`Link::set_flow_properties`](amqp1_engine::Link::set_flow_properties).
    pub fn set_flow_properties(&mut self, id: LinkId, properties: Fields) -> Result<(), ApiMisuse> {
        self.engine.link(id)?.set_flow_properties(properties)
    }

    /// Leaves the properties out of this end's flows from the next one on.
    pub fn clear_flow_properties(&mut self, id: LinkId) {
        if let Ok(mut link) = self.engine.link(id) {
            link.clear_flow_properties();
        }
    }

    /// The properties of the peer's last flow.
    pub fn remote_flow_properties(&mut self, id: LinkId) -> Option<Fields> {
        self.engine.link(id).ok()?.remote_flow_properties()
    }

    /// Forgets the properties of the peer's last flow.
    pub fn forget_flow_properties(&mut self, id: LinkId) {
        if let Ok(mut link) = self.engine.link(id) {
            link.forget_remote_flow_properties();
        }
    }
}

/// Of links on which this end sends.
impl End {
    /// How many deliveries may be queued now.
    pub fn credit(&mut self, id: LinkId) -> u32 {
        self.engine.sender(id).map_or(0, |sender| sender.credit())
    }

    /// How many octets of payload wait to be sent.
    pub fn queued(&mut self, id: LinkId) -> usize {
        self.engine.sender(id).map_or(0, |sender| sender.queued())
    }

    /// Why nothing can be queued.
    pub fn blocked(&mut self, id: LinkId) -> Option<Blocked> {
        self.engine.sender(id).ok()?.blocked()
    }

    /// The largest message that the peer takes, in octets.
    pub fn remote_max_message_size(&mut self, id: LinkId) -> Option<u64> {
        self.engine.sender(id).ok()?.remote_max_message_size()
    }

    /// Queues a delivery.
    ///
    /// # Errors
    ///
    /// As [`Sender::send`](amqp1_engine::Sender::send); [`SendError::Detached`] without a sender.
    pub fn send(&mut self, id: LinkId, message: EncodedMessage, options: SendOptions) -> Result<(), SendError> {
        self.engine.sender(id).map_err(|_| SendError::Detached)?.send(message, options).map_err(Into::into)
    }

    /// Begins a delivery whose message is written in pieces.
    ///
    /// # Errors
    ///
    /// As [`Sender::begin_delivery`](amqp1_engine::Sender::begin_delivery); [`SendError::Detached`] without a sender.
    pub fn begin_delivery(&mut self, id: LinkId, options: SendOptions) -> Result<(), SendError> {
        self.engine.sender(id).map_err(|_| SendError::Detached)?.begin_delivery(options)
    }

    /// Writes a piece of the delivery that was begun.
    ///
    /// # Errors
    ///
    /// As [`Sender::write`](amqp1_engine::Sender::write); [`SendError::Detached`] without a sender.
    pub fn write(&mut self, id: LinkId, octets: Bytes) -> Result<(), SendError> {
        self.engine.sender(id).map_err(|_| SendError::Detached)?.write(octets).map_err(Into::into)
    }

    /// Completes the delivery that was begun.
    ///
    /// # Errors
    ///
    /// As [`Sender::finish`](amqp1_engine::Sender::finish); [`SendError::Detached`] without a sender.
    pub fn finish(&mut self, id: LinkId) -> Result<(), SendError> {
        self.engine.sender(id).map_err(|_| SendError::Detached)?.finish()
    }

    /// Aborts a delivery that has not left completely.
    ///
    /// # Errors
    ///
    /// As [`Sender::abort`](amqp1_engine::Sender::abort).
    pub fn abort(&mut self, id: LinkId, token: u64) -> Result<(), ApiMisuse> {
        self.engine.sender(id)?.abort(token)
    }

    /// Settles a delivery that was sent.
    ///
    /// # Errors
    ///
    /// As [`Sender::settle`](amqp1_engine::Sender::settle).
    pub fn settle_sent(&mut self, id: LinkId, token: u64, state: Option<DeliveryState>) -> Result<(), ApiMisuse> {
        self.engine.sender(id)?.settle(token, state)
    }

    /// Removes the state of a delivery that waits to be sent.
    pub fn forget_state(&mut self, id: LinkId, token: u64) {
        if let Ok(mut sender) = self.engine.sender(id) {
            sender.forget_state(token);
        }
    }

    /// Whether the transfer that aborts a delivery waits to be sent.
    pub fn is_aborting(&mut self, id: LinkId) -> bool {
        self.engine.sender(id).is_ok_and(|sender| sender.is_aborting())
    }

    /// Whether the receiver drains the link and was not answered yet.
    pub fn drain_requested(&mut self, id: LinkId) -> bool {
        self.engine.sender(id).is_ok_and(|sender| sender.is_drain_requested())
    }

    /// Gives up the credit that is left: [`End::drained`] is about the other role.
    ///
    /// # Errors
    ///
    /// As [`Sender::drained`](amqp1_engine::Sender::drained).
    pub fn answer_drain(&mut self, id: LinkId) -> Result<(), ApiMisuse> {
        self.engine.sender(id)?.drained()
    }
}

/// Of links on which this end receives.
impl End {
    /// Takes the next delivery.
    pub fn recv(&mut self, id: LinkId) -> Option<IncomingDelivery> {
        self.engine.receiver(id).ok()?.recv()
    }

    /// How many deliveries wait to be taken.
    pub fn buffered(&mut self, id: LinkId) -> usize {
        self.engine.receiver(id).map_or(0, |receiver| receiver.buffered())
    }

    /// States an outcome for a delivery.
    ///
    /// # Errors
    ///
    /// As [`Receiver::dispose`](amqp1_engine::Receiver::dispose).
    pub fn dispose(&mut self, id: LinkId, key: DeliveryKey, state: DeliveryState) -> Result<(), ApiMisuse> {
        self.engine.receiver(id)?.dispose(key, state)
    }

    /// Whether a delivery is not settled.
    pub fn is_unsettled(&mut self, id: LinkId, key: DeliveryKey) -> bool {
        self.engine.receiver(id).is_ok_and(|receiver| receiver.is_unsettled(key))
    }

    /// How many more deliveries the sender may send.
    pub fn allowed(&mut self, id: LinkId) -> u32 {
        self.engine.receiver(id).map_or(0, |receiver| receiver.credit())
    }

    /// Sets how credit is given from now on.
    ///
    /// # Errors
    ///
    /// As [`Receiver::set_credit`](amqp1_engine::Receiver::set_credit).
    pub fn set_credit(&mut self, id: LinkId, credit: Credit) -> Result<(), ApiMisuse> {
        self.engine.receiver(id)?.set_credit(credit)
    }

    /// Whether the credit window is not filled because too many deliveries are unsettled.
    pub fn is_credit_withheld(&mut self, id: LinkId) -> bool {
        self.engine.receiver(id).is_ok_and(|receiver| receiver.is_credit_withheld())
    }

    /// Asks the sender to use the credit up or give it up.
    ///
    /// # Errors
    ///
    /// As [`Receiver::drain`](amqp1_engine::Receiver::drain).
    pub fn drain(&mut self, id: LinkId) -> Result<(), ApiMisuse> {
        self.engine.receiver(id)?.drain()
    }

    /// How many messages were rejected or dropped because they could not be decoded.
    pub fn undecodable(&mut self, id: LinkId) -> u64 {
        self.engine.receiver(id).map_or(0, |receiver| receiver.undecodable())
    }

    /// Takes the next piece of a streamed link's deliveries.
    pub fn poll_stream(&mut self, id: LinkId) -> Option<StreamItem> {
        self.engine.receiver(id).ok()?.poll_stream()
    }

    /// Skips the rest of the streamed delivery whose pieces are being taken.
    pub fn skip_stream(&mut self, id: LinkId) {
        if let Ok(mut receiver) = self.engine.receiver(id) {
            receiver.skip_stream();
        }
    }

    /// How many octets of a streamed link wait to be taken.
    pub fn buffered_octets(&mut self, id: LinkId) -> usize {
        self.engine.receiver(id).map_or(0, |receiver| receiver.buffered_octets())
    }

    /// Whether octets of this streamed link that wait to be taken hold back its sender.
    pub fn is_held_back(&mut self, id: LinkId) -> bool {
        self.engine.receiver(id).is_ok_and(|receiver| receiver.is_held_back())
    }

    /// Drops the deliveries that wait to be taken and were acquired within this transaction.
    pub fn drop_acquired(&mut self, id: LinkId, txn: &TxnId) -> usize {
        self.engine.receiver(id).map_or(0, |mut receiver| receiver.drop_acquired(txn))
    }
}
