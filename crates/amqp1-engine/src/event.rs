//! Events for the application. Events are edges; data is pulled.

use crate::{
    error::ConnectionError,
    resume::Suspended,
    store::{DeliveryKey, LinkId, SessionId},
    transaction::TxnId,
};
use alloc::{boxed::Box, vec::Vec};
use amqp1_codec::{
    DecodeError, DeliveryTag, Message, Str, Symbol, definitions::AmqpError, messaging::DeliveryState,
    printable::bounded_debug,
};
use bytes::Bytes;
use core::fmt;

/// Something happened.
#[non_exhaustive]
pub enum Event {
    /// Server: the client chose a mechanism; answer with [`sasl_outcome`](crate::Connection::sasl_outcome) or
    /// [`sasl_challenge`](crate::Connection::sasl_challenge).
    SaslInit(Box<SaslChoice>),
    /// Server: the client answered a challenge; answer with [`sasl_outcome`](crate::Connection::sasl_outcome) or
    /// [`sasl_challenge`](crate::Connection::sasl_challenge).
    SaslResponse(Bytes),
    /// Server, if open is held: the peer's open is there; answer with
    /// [`answer_open`](crate::Connection::answer_open) or [`refuse_open`](crate::Connection::refuse_open).
    OpenReceived,
    /// Both opens are exchanged.
    Opened,
    /// The connection is over. The last event.
    Closed(Box<ConnectionError>),
    /// The peer began a session; answer with [`Session::accept`](crate::Session::accept), or refuse it with
    /// [`Session::end`](crate::Session::end) and an error.
    SessionOffered(SessionId),
    /// The peer has answered our begin.
    SessionBegun(SessionId),
    /// The session is over. Look-ups of its id can fail as soon as this event is queued, before it is polled: see
    /// [Ids](crate#ids).
    SessionEnded(SessionId, Box<Ended>),
    /// The peer has not answered our end within [`close_timeout`](crate::ConnectionConfig::close_timeout). Its channel
    /// stays taken until it does.
    EndUnanswered(SessionId),
    /// The peer attached a link; answer with [`Link::accept`](crate::Link::accept) or
    /// [`Link::reject`](crate::Link::reject).
    LinkOffered(LinkId),
    /// The peer has answered our attach.
    LinkAttached(LinkId),
    /// The link was answered with more attaches than the peer's handle-max allows at a time (§2.7.2): it is attached
    /// when a handle is free. If none is in [`handle_timeout`](crate::ConnectionConfig::handle_timeout), its session
    /// ends.
    HandleAwaited(LinkId),
    /// The link is over. Look-ups of its id can fail as soon as this event is queued, before it is polled: see
    /// [Ids](crate#ids).
    LinkDetached(LinkId, Box<Detached>),
    /// There is more credit than before, or deliveries were settled of which there were too many.
    Sendable(LinkId),
    /// Too much waited to be sent on the connection, and does not any more.
    QueueHasRoom,
    /// A delivery is there, or on a streamed link a piece of one, where there was none: take them until there are none.
    /// On a streamed link that is being drained, each piece is reported, since [what
    /// waits](crate::Receiver::is_held_back) may keep the drain from being answered.
    Receivable(LinkId),
    /// The sender has used up or given up all credit, as `drain` asked.
    Drained(LinkId),
    /// The receiver drains the link: it wants what there is now, and the rest of the credit given up (§2.6.7). The
    /// credit can be used until the drain is answered: see [`DrainMode`](crate::DrainMode).
    DrainRequested(LinkId),
    /// The receiver's drain was answered: what was left of the credit is given up.
    DrainAnswered(LinkId),
    /// The link has as many unsettled deliveries as it may have: its window of credit is not filled until some are
    /// settled.
    CreditWithheld(LinkId),
    /// A message of the link could not be decoded and was rejected, or dropped if it was settled, because
    /// [`ReceiverConfig::reject_undecodable`](crate::ReceiverConfig::reject_undecodable) asks for that.
    Undecodable(LinkId, Box<DeliveryTag>, DecodeError),
    /// Data of a frame that only advises could not be read: the name of the frame's performative, and what is wrong
    /// first, at which octet of the frame's body. It counts as absent, or as what
    /// [`Limits::odd_advisory_data`](amqp1_codec::Limits::odd_advisory_data) says; what it has to do with is reported
    /// as ever, after this. It comes only with [`Tolerances::odd_advisory_data`](crate::Tolerances::odd_advisory_data).
    OddAdvisoryData(&'static str, DecodeError),
    /// The peer, who sent this delivery, has settled it; with a state, that is the one that counts (§2.6.12).
    SettledBySender(LinkId, DeliveryKey, Option<DeliveryState>),
    /// The receiver has stated a provisional outcome within a transaction (§4.4.2). What becomes of the delivery is
    /// decided when the transaction is discharged, with [`settle`](crate::Sender::settle), which also reports it as
    /// [`Settled`].
    Provisional {
        /// The link that it was sent on, which may be over already.
        link: LinkId,
        /// The session of that link.
        session: SessionId,
        /// The token of [`SendOptions`](crate::SendOptions).
        token: u64,
        /// The transactional state with the outcome.
        state: DeliveryState,
        /// Whether the receiver has settled the delivery with it: then it cannot state another outcome, and after a
        /// rollback the default outcome applies (§4.4.4). One that it has not settled is as before after a rollback.
        settled: bool,
    },
    /// A message that was posted within this transaction cannot be decided any more, since its link is over, or was
    /// discarded when it came: the transaction must not be committed (§4.4.4). The link is not known where it was gone
    /// by then. Reported where this end is the [resource](crate::TransactionRole::Resource).
    PostingLost(Option<LinkId>, TxnId),
    /// The receiver has stated a provisional outcome within this transaction for deliveries that are lost to it, since
    /// their link is over: the transaction must not be committed. Reported where this end is the
    /// [resource](crate::TransactionRole::Resource).
    RetirementLost(SessionId, TxnId),
    /// The properties of the link's flow have changed: see
    /// [`remote_flow_properties`](crate::Link::remote_flow_properties).
    FlowProperties(LinkId),
    /// Both ends have said all that can be said of what is not settled, but one of them could not name all of it
    /// (§2.7.3, incomplete-unsettled): detach the link without closing it, and attach it again.
    Reattach(LinkId),
}

/// The start of a client's SASL dialog.
#[derive(Clone, PartialEq, Eq)]
pub struct SaslChoice {
    /// The mechanism, one of those offered.
    pub mechanism: Symbol,
    /// The first response. It may hold a password.
    pub response: Option<Bytes>,
    /// The host that the client believes it talks to.
    pub hostname: Option<Str>,
}

impl fmt::Debug for SaslChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("SaslChoice");
        shown.field("mechanism", &self.mechanism).field("hostname", &self.hostname).finish_non_exhaustive()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bounded_debug(f, |f| self.show(f))
    }
}

impl Event {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SaslInit(choice) => write!(f, "SaslInit({:?}, {:?})", choice.mechanism, choice.hostname),
            Self::SaslResponse(octets) => write!(f, "SaslResponse(<{} octets>)", octets.len()),
            Self::OpenReceived => f.write_str("OpenReceived"),
            Self::Opened => f.write_str("Opened"),
            Self::Closed(error) => f.debug_tuple("Closed").field(error).finish(),
            Self::SessionOffered(id) => f.debug_tuple("SessionOffered").field(id).finish(),
            Self::SessionBegun(id) => f.debug_tuple("SessionBegun").field(id).finish(),
            Self::SessionEnded(id, ended) => f.debug_tuple("SessionEnded").field(id).field(ended).finish(),
            Self::EndUnanswered(id) => f.debug_tuple("EndUnanswered").field(id).finish(),
            Self::LinkOffered(id) => f.debug_tuple("LinkOffered").field(id).finish(),
            Self::LinkAttached(id) => f.debug_tuple("LinkAttached").field(id).finish(),
            Self::HandleAwaited(id) => f.debug_tuple("HandleAwaited").field(id).finish(),
            Self::LinkDetached(id, detached) => f.debug_tuple("LinkDetached").field(id).field(detached).finish(),
            Self::QueueHasRoom => f.write_str("QueueHasRoom"),
            Self::Sendable(id) => f.debug_tuple("Sendable").field(id).finish(),
            Self::Receivable(id) => f.debug_tuple("Receivable").field(id).finish(),
            Self::Drained(id) => f.debug_tuple("Drained").field(id).finish(),
            Self::DrainRequested(id) => f.debug_tuple("DrainRequested").field(id).finish(),
            Self::DrainAnswered(id) => f.debug_tuple("DrainAnswered").field(id).finish(),
            Self::CreditWithheld(id) => f.debug_tuple("CreditWithheld").field(id).finish(),
            Self::Undecodable(id, tag, error) => {
                f.debug_tuple("Undecodable").field(id).field(tag).field(error).finish()
            }
            Self::OddAdvisoryData(performative, error) => {
                f.debug_tuple("OddAdvisoryData").field(performative).field(error).finish()
            }
            Self::SettledBySender(id, key, state) => {
                f.debug_tuple("SettledBySender").field(id).field(key).field(state).finish()
            }
            Self::Provisional { link, token, state, settled, .. } => {
                f.debug_tuple("Provisional").field(link).field(token).field(state).field(settled).finish()
            }
            Self::PostingLost(id, txn) => f.debug_tuple("PostingLost").field(id).field(txn).finish(),
            Self::RetirementLost(id, txn) => f.debug_tuple("RetirementLost").field(id).field(txn).finish(),
            Self::FlowProperties(id) => f.debug_tuple("FlowProperties").field(id).finish(),
            Self::Reattach(id) => f.debug_tuple("Reattach").field(id).finish(),
        }
    }
}

/// How far events and settlements are to be polled: see [`Connection::events_end`](crate::Connection::events_end).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventsEnd {
    pub(crate) events: u64,
    pub(crate) settled: u64,
}

/// Who ended something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The peer.
    Peer,
    /// This end.
    Local,
    /// The session, which ended.
    Session,
    /// The connection, which ended.
    Connection,
}

/// How a session ended.
#[derive(Clone, PartialEq)]
pub struct Ended {
    /// Why.
    pub error: Option<AmqpError>,
    /// By whom.
    pub by: Cause,
}

/// How a link ended.
#[derive(Clone)]
pub struct Detached {
    /// Whether it was closed for good.
    pub closed: bool,
    /// Why.
    pub error: Option<AmqpError>,
    /// By whom.
    pub by: Cause,
    /// Whether it was never attached because all handles that the peer allows are in use (§2.7.2, handle-max).
    pub no_handle: bool,
    /// Deliveries that the sender had settled and that were not taken: they exist only here. With
    /// [`AttachReply::unsettled_after_end`](crate::AttachReply::unsettled_after_end) also those that it had not
    /// settled.
    pub undelivered: Vec<IncomingDelivery>,
    /// On a streamed link, the octets that are left of a delivery whose beginning was taken, and which is whole and
    /// settled by its sender: they too exist only here.
    pub stream_rest: Option<Vec<Bytes>>,
    /// The unsettled deliveries, if the link is resumable and was not closed: a new endpoint resumes with them.
    pub suspended: Option<Suspended>,
}

/// A delivery that was received whole.
#[derive(Clone)]
pub struct IncomingDelivery {
    /// Names it in [`Receiver::dispose`](crate::Receiver::dispose).
    pub key: DeliveryKey,
    /// The sender's name for it.
    pub tag: DeliveryTag,
    /// The message's format.
    pub message_format: u32,
    /// Whether the sender has settled it already.
    pub settled: bool,
    /// Whether it was begun at an earlier endpoint of the link. The application may have taken it there already: its
    /// tag is the same, its key is another.
    pub resumed: bool,
    /// Its state at the sender: a transactional state, for one.
    pub state: Option<DeliveryState>,
    /// The message.
    pub message: Message,
}

/// A piece of a delivery on a streamed link.
#[derive(Clone)]
pub enum StreamItem {
    /// A delivery begins.
    Begin {
        /// Names it in [`Receiver::dispose`](crate::Receiver::dispose).
        key: DeliveryKey,
        /// The sender's name for it.
        tag: DeliveryTag,
        /// The message's format.
        message_format: u32,
        /// Whether the sender has settled it already.
        settled: bool,
        /// Its state at the sender.
        state: Option<DeliveryState>,
    },
    /// Octets of the encoded message.
    Data(Bytes),
    /// The delivery is whole, and whether the sender has settled it.
    End {
        /// Whether the sender has settled it.
        settled: bool,
    },
    /// The sender has given it up: what came of it is void, and there is nothing to settle.
    Aborted,
}

/// The fate of a message that was sent.
#[derive(Clone)]
pub struct Settled {
    /// The link that it was sent on.
    pub link: LinkId,
    /// The token of [`SendOptions`](crate::SendOptions).
    pub token: u64,
    /// The answer.
    pub settlement: Settlement,
}

/// The fate of a message.
#[derive(Clone, PartialEq)]
pub enum Settlement {
    /// It was sent settled, and its last octet is on its way.
    Sent,
    /// The receiver's outcome; `None` if it settled without one.
    Outcome(Option<DeliveryState>),
    /// This end gave it up with [`Sender::abort`](crate::Sender::abort), before it was whole.
    Aborted,
    /// The link, the session or the connection ended first.
    Lost {
        /// Whether any of it had left, so that the receiver may have it.
        sent: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_small_for_each_is_moved_several_times() {
        assert!(size_of::<Event>() <= 56, "{}", size_of::<Event>());
        assert!(size_of::<Settled>() <= 48, "{}", size_of::<Settled>());
    }
}
