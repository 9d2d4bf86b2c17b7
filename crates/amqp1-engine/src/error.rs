//! What can go wrong, by whose fault.

use crate::violation::PeerMisbehaved;
use alloc::vec::Vec;
use amqp1_auth::sasl::SaslError;
use amqp1_codec::{Symbol, definitions::AmqpError, frame::ProtocolHeader, sasl::SaslCode};
use core::fmt;

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq)]
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
    /// The peer speaks another protocol, or wants another layer (§2.2).
    ProtocolMismatch {
        /// What was expected.
        expected: ProtocolHeader,
        /// What came, as far as it could be read.
        received: [u8; 8],
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
            Self::ProtocolMismatch { received, .. } if *received == ProtocolHeader::TLS.encode() => {
                f.write_str("the peer wants TLS by its protocol header (§5.2.1), which was not asked for")
            }
            Self::ProtocolMismatch { expected, received } => {
                write!(f, "the peer answered {} where {expected:?} was expected", received.escape_ascii())
            }
            Self::Sasl(failure) => write!(f, "authentication failed: {failure}"),
            Self::TransportLost => f.write_str("the transport ended without a close"),
        }
    }
}

impl core::error::Error for ConnectionError {}

/// Why SASL did not succeed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SaslFailure {
    /// The mechanism could not answer.
    Mechanism(SaslError),
    /// The server does not offer the mechanism.
    NotOffered {
        /// What was wanted.
        wanted: Symbol,
        /// What the server offers.
        offered: Vec<Symbol>,
    },
    /// The outcome was not ok.
    Refused(SaslCode),
}

impl fmt::Display for SaslFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mechanism(error) => error.fmt(f),
            Self::NotOffered { wanted, offered } => write!(f, "the server offers {offered:?}, not {wanted}"),
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

/// A command that cannot be done, by the caller's fault or because what it names is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApiMisuse {
    /// The connection is closing or closed.
    Closed,
    /// All channels that the peer allows are taken.
    NoChannel,
    /// No such link, or not any more.
    UnknownLink,
    /// No such session, or not any more.
    UnknownSession,
    /// The link is of the other role.
    WrongRole,
    /// Not in this state: what was offered is answered once.
    WrongState,
}

impl fmt::Display for ApiMisuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the connection is closed",
            Self::NoChannel => "all channels are in use",
            Self::UnknownLink => "the link is gone",
            Self::UnknownSession => "the session is gone",
            Self::WrongRole => "the link has the other role",
            Self::WrongState => "this was answered already",
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
    /// The receiver has given no credit, or it is used up.
    NoCredit,
    /// The link must be attached anew first: see [`Event::Reattach`](crate::Event::Reattach).
    Reattach,
    /// The link's settle mode does not allow it.
    SettleMode,
    /// A delivery of this tag is not settled.
    TagInUse,
    /// The receiver takes at most this many octets.
    TooLarge {
        /// The bound, in octets.
        max: u64,
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
                f.write_str("the link's unsettled deliveries are not sorted out: it must be attached anew")
            }
            Self::SettleMode => f.write_str("the link's settle mode does not allow this"),
            Self::TagInUse => f.write_str("another delivery of this tag is not settled"),
            Self::TooLarge { max } => write!(f, "the receiver takes messages of at most {max} octets"),
            Self::Unfinished => f.write_str("a delivery that is streamed on this link is not finished"),
        }
    }
}

impl core::error::Error for SendError {}
