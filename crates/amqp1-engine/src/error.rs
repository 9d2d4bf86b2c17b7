//! Errors, by whose fault they are.

use crate::violation::PeerMisbehaved;
use alloc::vec::Vec;
use amqp1_auth::sasl::SaslError;
use amqp1_codec::{
    Symbol,
    definitions::AmqpError,
    frame::{ProtocolHeader, ProtocolId, SpokenProtocol},
    printable::{bounded_debug, printable},
    sasl::SaslCode,
};
use core::fmt;

/// Why a connection ended.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The peer closed it, perhaps with an error.
    ClosedByPeer(Option<AmqpError>),
    /// The peer did not send its open in time, or sent too much before it.
    HandshakeIncomplete,
    /// Nothing was received for longer than the idle time-out (§2.4.5).
    IdleTimeout,
    /// The application closed it.
    LocallyClosed,
    /// The peer broke a rule.
    Misbehaved(PeerMisbehaved),
    /// The open of this end is larger than the peer takes (§2.4.1, §2.7.1).
    OpenTooLarge {
        /// The size of the open, in octets.
        size: usize,
        /// The size that the peer takes, in octets.
        max: usize,
    },
    /// The peer speaks another protocol, or wants another layer (§2.2).
    ProtocolMismatch {
        /// The expected header.
        expected: ProtocolHeader,
        /// The received header, as far as it could be read; zeros otherwise.
        received: [u8; 8],
        /// Whether this end is the client.
        at_client: bool,
    },
    /// SASL did not succeed.
    Sasl(SaslFailure),
    /// The transport ended without a close.
    TransportLost,
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClosedByPeer(None) => f.write_str("the peer closed the connection"),
            Self::ClosedByPeer(Some(error)) => write!(f, "the peer closed the connection: {error}"),
            Self::HandshakeIncomplete => f.write_str("the peer did not complete the handshake"),
            Self::IdleTimeout => f.write_str("nothing was received within the idle time-out"),
            Self::LocallyClosed => f.write_str("the connection was closed at this end"),
            Self::Misbehaved(violation) => write!(f, "the peer broke the protocol: {violation}"),
            Self::OpenTooLarge { size, max } => write!(
                f,
                "the open has {size} octets where the peer takes {max}: shorten the container id, the hostname, the \
                 capabilities or the properties"
            ),
            Self::ProtocolMismatch { expected, received, at_client } => match mismatch(received, *at_client) {
                Some(text) => f.write_str(text),
                None => {
                    let wanted = if expected.id == ProtocolId::Sasl { "SASL's header" } else { "AMQP's header" };
                    write!(f, "the peer does not speak AMQP 1.0: {} came, not {wanted}", received.escape_ascii())
                }
            },
            Self::Sasl(failure) => write!(f, "authentication failed: {failure}"),
            Self::TransportLost => f.write_str("the transport ended without a close"),
        }
    }
}

impl fmt::Debug for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bounded_debug(f, |f| match self {
            Self::ClosedByPeer(error) => f.debug_tuple("ClosedByPeer").field(error).finish(),
            Self::HandshakeIncomplete => f.write_str("HandshakeIncomplete"),
            Self::IdleTimeout => f.write_str("IdleTimeout"),
            Self::LocallyClosed => f.write_str("LocallyClosed"),
            Self::Misbehaved(violation) => f.debug_tuple("Misbehaved").field(violation).finish(),
            Self::ProtocolMismatch { expected, received, at_client } => f
                .debug_struct("ProtocolMismatch")
                .field("expected", expected)
                .field("received", received)
                .field("at_client", at_client)
                .finish(),
            Self::Sasl(failure) => f.debug_tuple("Sasl").field(failure).finish(),
            Self::OpenTooLarge { size, max } => {
                f.debug_struct("OpenTooLarge").field("size", size).field("max", max).finish()
            }
            Self::TransportLost => f.write_str("TransportLost"),
        })
    }
}

impl core::error::Error for ConnectionError {}

/// The likely mistake, from the first octets of the peer.
fn mismatch(received: &[u8; 8], at_client: bool) -> Option<&'static str> {
    Some(match (SpokenProtocol::of(received), at_client) {
        (SpokenProtocol::Tls, true) => "this port speaks TLS: use amqps://",
        (SpokenProtocol::Tls, false) => "the client speaks TLS, and this port does not: let it use amqp://",
        (SpokenProtocol::Http, true) => "this port speaks HTTP, not AMQP: check the port",
        (SpokenProtocol::Http, false) => "the client speaks HTTP, not AMQP",
        (SpokenProtocol::Amqp0, true) => {
            "this port speaks AMQP 0-9-1, not AMQP 1.0; RabbitMQ before version 4 needs the plugin rabbitmq_amqp1_0"
        }
        (SpokenProtocol::Amqp0, false) => "the client speaks AMQP 0-9-1, not AMQP 1.0",
        (SpokenProtocol::Amqp1(header), true) => match header.id {
            ProtocolId::Tls => "the peer wants TLS by its protocol header (§5.2.1), which was not asked for",
            ProtocolId::Sasl => "the server requires SASL, which this client leaves out",
            _ => "the server does not take SASL: leave it out",
        },
        (SpokenProtocol::Amqp1(header), false) => match header.id {
            ProtocolId::Tls => "the client wants TLS by its protocol header (§5.2.1), which is not offered here",
            ProtocolId::Sasl => "the client wants SASL, which is not offered here",
            _ => "the client leaves SASL out, which is required here",
        },
        _ => return None,
    })
}

/// Why SASL did not succeed.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum SaslFailure {
    /// The mechanism could not answer.
    Mechanism(SaslError),
    /// The server does not offer the mechanism.
    NotOffered {
        /// The wanted mechanism.
        wanted: Symbol,
        /// The mechanisms that the server offers.
        offered: Vec<Symbol>,
    },
    /// The outcome was not ok.
    Refused(SaslCode),
}

impl fmt::Display for SaslFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mechanism(error) => error.fmt(f),
            Self::NotOffered { wanted, offered } => {
                f.write_str("the server offers ")?;
                Mechanisms(offered).fmt(f)?;
                write!(f, ", not {}", printable(wanted).limit(MAX_MECHANISM))
            }
            Self::Refused(code) => f.write_str(match code {
                SaslCode::Ok => "the server took the credentials (code 0, ok)",
                SaslCode::Auth => {
                    "the server refused the credentials: check the user name and the password, key or token \
                     (code 1, auth)"
                }
                SaslCode::Sys => {
                    "the server says that its system failed; some servers, IoT Hub among them, say so of a wrong \
                     password, key or token (code 2, sys)"
                }
                SaslCode::SysPerm => {
                    "the server says that its system failed, and that trying again will not help: ask those who run \
                     it (code 3, sys-perm)"
                }
                SaslCode::SysTemp => "the server cannot authenticate now: try again later (code 4, sys-temp)",
            }),
        }
    }
}

impl fmt::Debug for SaslFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bounded_debug(f, |f| match self {
            Self::Mechanism(error) => f.debug_tuple("Mechanism").field(error).finish(),
            Self::NotOffered { wanted, offered } => f
                .debug_struct("NotOffered")
                .field("wanted", wanted)
                .field("offered", &format_args!("{}", Mechanisms(offered)))
                .finish(),
            Self::Refused(code) => f.debug_tuple("Refused").field(code).finish(),
        })
    }
}

/// The most octets of a mechanism's name that are shown: the specification has them at 20 characters (RFC 4422 §3.1).
const MAX_MECHANISM: usize = 80;

/// A list of mechanisms, of which the first are shown.
struct Mechanisms<'a>(&'a [Symbol]);

impl Mechanisms<'_> {
    const SHOWN: usize = 16;
}

impl fmt::Display for Mechanisms<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().take(Self::SHOWN).map(|name| printable(name).limit(MAX_MECHANISM));
        let mut list = f.debug_list();
        list.entries(names);
        if self.0.len() > Self::SHOWN {
            list.entry(&format_args!("… {} more", self.0.len().saturating_sub(Self::SHOWN)));
        }
        list.finish()
    }
}

/// A command that cannot be done, by the caller's fault or because what it names is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApiMisuse {
    /// The connection is closing or closed.
    Closed,
    /// This end has detached the link, or ended its session: nothing more can be said on it.
    Detached,
    /// A dynamic node is asked for by an address, or is described and not asked for (§3.5.3).
    DynamicNodeContradiction,
    /// The frame that it needs is larger than the peer takes (§2.7.1).
    FrameTooLarge {
        /// The size of the frame, in octets.
        size: usize,
        /// The size that the peer takes, in octets.
        max: usize,
    },
    /// The session has a link of this name and role, which is not detaching (§2.6.1).
    NameInUse,
    /// All channels that both ends allow are taken (§2.7.1, channel-max).
    NoChannel,
    /// There is no such link, or it is over.
    UnknownLink,
    /// There is no such session, or it is over.
    UnknownSession,
    /// The link is of the other role.
    WrongRole,
    /// Not possible in this state: what was offered has been answered already, no delivery has this token, or too much
    /// or too little of the delivery has left.
    WrongState,
}

impl fmt::Display for ApiMisuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the connection is closed",
            Self::Detached => "the link was detached at this end",
            Self::DynamicNodeContradiction => "a dynamic node with an address, or described but not asked for",
            Self::FrameTooLarge { size, max } => {
                return write!(f, "this needs a frame of {size} octets, and the peer takes at most {max}");
            }
            Self::NameInUse => "the session has a link of this name already",
            Self::NoChannel => "all channels are in use",
            Self::UnknownLink => "the link is gone",
            Self::UnknownSession => "the session is gone",
            Self::WrongRole => "the link has the other role",
            Self::WrongState => "this is not possible in the present state",
        })
    }
}

impl core::error::Error for ApiMisuse {}

/// Why a message was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The link is gone.
    Detached,
    /// The receiver has given no credit, the credit is used up, or the peer has not answered the attach yet: wait for
    /// [`Event::Sendable`](crate::Event::Sendable).
    NoCredit,
    /// Too much waits to be sent on the connection: see [`max_queued`](crate::ConnectionConfig::max_queued) and
    /// [`Event::QueueHasRoom`](crate::Event::QueueHasRoom).
    QueueFull,
    /// The link must be attached again first: see [`Event::Reattach`](crate::Event::Reattach).
    Reattach,
    /// The link's settle mode does not allow it.
    SettleMode,
    /// The receiver has settled the delivery before it was whole.
    SettledEarly,
    /// The state `received` is only for deliveries that are resumed (§3.4.1).
    StateNotAllowed,
    /// The delivery's state leaves no room for a message in the peer's frames.
    StateTooLarge {
        /// The largest frame, in octets.
        max: usize,
    },
    /// A delivery of this tag is not settled.
    TagInUse,
    /// The receiver takes at most this many octets.
    TooLarge {
        /// The bound, in octets.
        max: u64,
    },
    /// As many deliveries of the link are unsettled as may be.
    TooManyUnsettled {
        /// How many that is.
        max: u32,
    },
    /// A stream on this link is not finished.
    Unfinished,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Detached => f.write_str("the link is gone"),
            Self::NoCredit => f.write_str("the receiver has given no credit"),
            Self::Reattach => {
                f.write_str("the link's unsettled deliveries are not sorted out: it must be attached again")
            }
            Self::SettleMode => f.write_str("the link's settle mode does not allow this"),
            Self::SettledEarly => f.write_str("the receiver has settled the delivery before it was whole"),
            Self::StateNotAllowed => f.write_str("the state received is only for deliveries that are resumed"),
            Self::StateTooLarge { max } => {
                write!(f, "the delivery's state leaves no room for a message in frames of {max} octets")
            }
            Self::TagInUse => f.write_str("another delivery of this tag is not settled"),
            Self::TooLarge { max } => write!(f, "the receiver takes messages of at most {max} octets"),
            Self::QueueFull => f.write_str("too much waits to be sent on the connection"),
            Self::TooManyUnsettled { max } => {
                write!(f, "{max} deliveries of the link are unsettled, and no more may be")
            }
            Self::Unfinished => f.write_str("a delivery that is streamed on this link is not finished"),
        }
    }
}

impl core::error::Error for SendError {}
