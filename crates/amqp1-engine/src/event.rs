//! What the engine tells the application. Events are edges; data is pulled.

use crate::{
    error::ConnectionError,
    store::{DeliveryKey, LinkId, SessionId},
};
use alloc::vec::Vec;
use amqp1_codec::{DeliveryTag, Message, Str, Symbol, definitions::AmqpError, messaging::DeliveryState};
use bytes::Bytes;
use core::fmt;

/// Something happened.
#[non_exhaustive]
pub enum Event {
    /// Server: the client chose a mechanism; answer with `sasl_outcome` or `sasl_challenge`.
    SaslInit {
        /// The mechanism, one of those offered.
        mechanism: Symbol,
        /// What it begins with.
        response: Option<Bytes>,
        /// The host that the client believes it talks to.
        hostname: Option<Str>,
    },
    /// Server: the client answered a challenge; answer with `sasl_outcome` or `sasl_challenge`.
    SaslResponse(Bytes),
    /// Server, if open is held: the peer's open is there; answer with `answer_open` or `refuse_open`.
    OpenReceived,
    /// Both opens are exchanged.
    Opened,
    /// The connection is over. The last event.
    Closed(ConnectionError),
    /// The peer began a session; answer with `accept_session`.
    SessionOffered(SessionId),
    /// The peer has answered our begin.
    SessionBegun(SessionId),
    /// The session is over; its id is dead.
    SessionEnded(SessionId, Ended),
    /// The peer attached a link; answer with `accept_link` or `reject_link`.
    LinkOffered(LinkId),
    /// The peer has answered our attach.
    LinkAttached(LinkId),
    /// The link is over; its id is dead.
    LinkDetached(LinkId, Detached),
    /// There is more credit than before.
    Sendable(LinkId),
    /// A delivery is there.
    Receivable(LinkId),
    /// The sender has used up or given up all credit, as `drain` asked.
    Drained(LinkId),
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SaslInit { mechanism, hostname, .. } => write!(f, "SaslInit({mechanism}, {hostname:?})"),
            Self::SaslResponse(octets) => write!(f, "SaslResponse(<{} octets>)", octets.len()),
            Self::OpenReceived => f.write_str("OpenReceived"),
            Self::Opened => f.write_str("Opened"),
            Self::Closed(error) => f.debug_tuple("Closed").field(error).finish(),
            Self::SessionOffered(id) => f.debug_tuple("SessionOffered").field(id).finish(),
            Self::SessionBegun(id) => f.debug_tuple("SessionBegun").field(id).finish(),
            Self::SessionEnded(id, ended) => f.debug_tuple("SessionEnded").field(id).field(ended).finish(),
            Self::LinkOffered(id) => f.debug_tuple("LinkOffered").field(id).finish(),
            Self::LinkAttached(id) => f.debug_tuple("LinkAttached").field(id).finish(),
            Self::LinkDetached(id, detached) => f.debug_tuple("LinkDetached").field(id).field(detached).finish(),
            Self::Sendable(id) => f.debug_tuple("Sendable").field(id).finish(),
            Self::Receivable(id) => f.debug_tuple("Receivable").field(id).finish(),
            Self::Drained(id) => f.debug_tuple("Drained").field(id).finish(),
        }
    }
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
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// Why.
    pub error: Option<AmqpError>,
    /// By whom.
    pub by: Cause,
}

/// How a link ended.
#[derive(Clone, Debug)]
pub struct Detached {
    /// Whether it was closed for good.
    pub closed: bool,
    /// Why.
    pub error: Option<AmqpError>,
    /// By whom.
    pub by: Cause,
    /// Deliveries that the sender had settled and nobody has taken: they exist only here.
    pub undelivered: Vec<IncomingDelivery>,
}

/// A delivery that was received whole.
#[derive(Clone, Debug)]
pub struct IncomingDelivery {
    /// Names it in `dispose`.
    pub key: DeliveryKey,
    /// The sender's name for it.
    pub tag: DeliveryTag,
    /// The message's format.
    pub message_format: u32,
    /// Whether the sender has settled it already.
    pub settled: bool,
    /// The message.
    pub message: Message,
}

/// What became of a message that was sent.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The link that it was sent on.
    pub link: LinkId,
    /// What [`SendOptions`](crate::SendOptions) said.
    pub token: u64,
    /// The answer.
    pub settlement: Settlement,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Settlement {
    /// It was sent settled, and its last octet is on its way.
    Sent,
    /// The receiver's outcome; `None` if it settled without one.
    Outcome(Option<DeliveryState>),
    /// The link, the session or the connection ended first.
    Lost {
        /// Whether any of it had left, so that the receiver may have it.
        sent: bool,
    },
}
