//! Every rule that a peer is held to, and what follows from breaking it.

use amqp1_codec::{
    DecodeError, DecodeErrorKind,
    definitions::ErrorCondition,
    frame::{FrameError, FrameErrorKind},
};
use core::fmt;

/// What an error ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The connection, by close.
    Connection,
    /// The session, by end.
    Session,
    /// The link, by detach.
    Link,
}

/// A rule that the peer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerMisbehaved {
    /// An attach of which only the name, the handle and the role can be read (§2.7.3).
    AttachUnreadable(DecodeError),
    /// An attach used a handle that is in use (§2.7.3).
    AttachOnHandleInUse {
        /// The handle.
        handle: u32,
    },
    /// A begin on a channel that has a session (§2.5.1).
    BeginOnChannelInUse {
        /// The channel.
        channel: u16,
    },
    /// A begin answers a session that was not begun (§2.5.1).
    BeginAnswersNothing {
        /// The channel that it names.
        remote_channel: u16,
    },
    /// A frame came on a channel without a session (§2.5).
    ChannelUnmapped {
        /// The channel.
        channel: u16,
    },
    /// A channel above our channel-max (§2.7.1).
    ChannelOutOfRange {
        /// The channel.
        channel: u16,
    },
    /// A transfer that continues a delivery names another delivery-id or tag (§2.7.5).
    ContinuationChanged,
    /// More deliveries than the link credit allows (§2.6.7).
    CreditExceeded,
    /// A delivery-id that was used already (§2.7.5).
    DeliveryIdRepeated {
        /// The id.
        id: u32,
    },
    /// The first transfer of a delivery lacks its id or its tag (§2.7.5).
    DeliveryIncomplete,
    /// An attach asks for a dynamic node and names an address, or describes a node without asking for it (§3.5.3).
    DynamicNodeContradiction,
    /// A disposition of a delivery whose link was detached with an error (§2.6.5).
    ErrantDelivery {
        /// The first id that it names.
        delivery: u32,
    },
    /// Input for a link that was detached with an error, other than a detach or a resuming attach (§2.6.5).
    ErrantLink {
        /// The handle.
        handle: u32,
    },
    /// A flow speaks of a link without naming it (§2.7.4).
    FlowWithoutHandle,
    /// A frame cannot be read (§2.3).
    Frame(FrameError),
    /// An AMQP frame before open, or an open on another channel than 0 (§2.4.1).
    FrameBeforeOpen,
    /// A handle above our handle-max (§2.7.2).
    HandleOutOfRange {
        /// The handle.
        handle: u32,
    },
    /// A handle to which no link is attached (§2.7).
    HandleUnattached {
        /// The handle.
        handle: u32,
    },
    /// An idle time-out so short that this end does not keep to it (§2.4.5).
    IdleTimeoutTooShort {
        /// What was announced, in milliseconds.
        millis: u32,
    },
    /// A sender's attach without initial-delivery-count (§2.7.3).
    InitialDeliveryCountMissing,
    /// More links than are allowed on one connection.
    LinksExceeded,
    /// A max-frame-size below 512 (§2.7.1).
    MaxFrameSizeTooSmall {
        /// What was announced.
        size: u32,
    },
    /// A message of more octets than the link allows (§2.7.3).
    MessageTooLarge,
    /// More metadata than is kept for one connection: see [`max_metadata`](crate::ConnectionConfig::max_metadata).
    MetadataExceeded {
        /// What has to go for it.
        scope: Scope,
    },
    /// A new delivery although the receiver's unsettled map was not complete (§2.7.3).
    NewWhileIncomplete,
    /// An open of more than 512 octets, before the peer could know that this end takes more (§2.4.1).
    OpenTooLong {
        /// Octets of its frame.
        size: usize,
    },
    /// A second open (§2.4.1).
    OpenTwice,
    /// A delivery is resumed beyond what was received of it (§3.4.6).
    ResumedBeyond,
    /// A SASL frame where it has no place (§5.3.2).
    SaslOutOfOrder,
    /// A transfer asks for receiver-settle-mode second on a link of mode first (§2.7.5).
    SecondOnFirst,
    /// A settled transfer on a link whose sender-settle-mode is unsettled (§2.7.5).
    SettledOnUnsettled,
    /// A session that no channel is left to answer on.
    SessionsExceeded,
    /// A delivery has the tag of another that is not settled (§2.6.12).
    TagRepeated,
    /// A transaction that this end does not know, or that is over (§4.4).
    TransactionUnknown,
    /// A flow asks for messages to be acquired within a transaction, which is not possible here (§4.4.3).
    TransactionalAcquisition,
    /// A transfer from the receiving end of a link (§2.6.12).
    TransferFromReceiver,
    /// A delivery of more transfers than is reasonable.
    TransfersExceeded,
    /// More transfers than the session's window allows (§2.5.6).
    WindowExceeded,
}

impl PeerMisbehaved {
    /// What is ended because of it.
    pub const fn scope(&self) -> Scope {
        match self {
            Self::MetadataExceeded { scope } => *scope,
            Self::BeginOnChannelInUse { .. }
            | Self::BeginAnswersNothing { .. }
            | Self::ChannelUnmapped { .. }
            | Self::ChannelOutOfRange { .. }
            | Self::Frame(_)
            | Self::FrameBeforeOpen
            | Self::HandleOutOfRange { .. }
            | Self::IdleTimeoutTooShort { .. }
            | Self::MaxFrameSizeTooSmall { .. }
            | Self::OpenTooLong { .. }
            | Self::OpenTwice
            | Self::SaslOutOfOrder
            | Self::SessionsExceeded => Scope::Connection,
            Self::AttachOnHandleInUse { .. }
            | Self::DeliveryIdRepeated { .. }
            | Self::ErrantDelivery { .. }
            | Self::ErrantLink { .. }
            | Self::FlowWithoutHandle
            | Self::HandleUnattached { .. }
            | Self::LinksExceeded
            | Self::WindowExceeded => Scope::Session,
            Self::AttachUnreadable(_)
            | Self::ContinuationChanged
            | Self::CreditExceeded
            | Self::DeliveryIncomplete
            | Self::DynamicNodeContradiction
            | Self::InitialDeliveryCountMissing
            | Self::MessageTooLarge
            | Self::NewWhileIncomplete
            | Self::ResumedBeyond
            | Self::SecondOnFirst
            | Self::SettledOnUnsettled
            | Self::TagRepeated
            | Self::TransactionUnknown
            | Self::TransactionalAcquisition
            | Self::TransferFromReceiver
            | Self::TransfersExceeded => Scope::Link,
        }
    }

    /// The condition in the error that the peer receives.
    pub const fn condition(&self) -> ErrorCondition {
        match self {
            Self::AttachOnHandleInUse { .. } => ErrorCondition::HANDLE_IN_USE,
            Self::AttachUnreadable(error) => unreadable(*error),
            Self::BeginAnswersNothing { .. }
            | Self::BeginOnChannelInUse { .. }
            | Self::ChannelUnmapped { .. }
            | Self::ContinuationChanged
            | Self::DeliveryIdRepeated { .. }
            | Self::TagRepeated
            | Self::TransferFromReceiver => ErrorCondition::NOT_ALLOWED,
            Self::ChannelOutOfRange { .. } | Self::HandleOutOfRange { .. } | Self::OpenTooLong { .. } => {
                ErrorCondition::FRAMING_ERROR
            }
            Self::CreditExceeded => ErrorCondition::TRANSFER_LIMIT_EXCEEDED,
            Self::DeliveryIncomplete
            | Self::DynamicNodeContradiction
            | Self::FlowWithoutHandle
            | Self::IdleTimeoutTooShort { .. }
            | Self::InitialDeliveryCountMissing
            | Self::ResumedBeyond
            | Self::SecondOnFirst
            | Self::SettledOnUnsettled
            | Self::MaxFrameSizeTooSmall { .. } => ErrorCondition::INVALID_FIELD,
            Self::ErrantDelivery { .. } | Self::ErrantLink { .. } => ErrorCondition::ERRANT_LINK,
            Self::Frame(error) => match error.kind {
                FrameErrorKind::Body(body) => unreadable(body),
                _ => ErrorCondition::FRAMING_ERROR,
            },
            Self::FrameBeforeOpen | Self::NewWhileIncomplete | Self::OpenTwice | Self::SaslOutOfOrder => {
                ErrorCondition::ILLEGAL_STATE
            }
            Self::HandleUnattached { .. } => ErrorCondition::UNATTACHED_HANDLE,
            Self::MessageTooLarge => ErrorCondition::MESSAGE_SIZE_EXCEEDED,
            Self::LinksExceeded | Self::MetadataExceeded { .. } | Self::SessionsExceeded | Self::TransfersExceeded => {
                ErrorCondition::RESOURCE_LIMIT_EXCEEDED
            }
            Self::TransactionUnknown => ErrorCondition::TRANSACTION_UNKNOWN_ID,
            Self::TransactionalAcquisition => ErrorCondition::NOT_IMPLEMENTED,
            Self::WindowExceeded => ErrorCondition::WINDOW_VIOLATION,
        }
    }
}

/// The condition for octets that cannot be read.
const fn unreadable(error: DecodeError) -> ErrorCondition {
    match error.kind {
        DecodeErrorKind::MissingField(_) | DecodeErrorKind::InvalidValue => ErrorCondition::INVALID_FIELD,
        _ => ErrorCondition::DECODE_ERROR,
    }
}

impl fmt::Display for PeerMisbehaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AttachOnHandleInUse { handle } => write!(f, "attach on handle {handle}, which is in use"),
            Self::AttachUnreadable(error) => write!(f, "an attach that cannot be read: {error}"),
            Self::BeginOnChannelInUse { channel } => write!(f, "begin on channel {channel}, which is in use"),
            Self::BeginAnswersNothing { remote_channel } => {
                write!(f, "begin answers channel {remote_channel}, on which nothing was begun")
            }
            Self::ChannelUnmapped { channel } => write!(f, "channel {channel} has no session"),
            Self::ChannelOutOfRange { channel } => write!(f, "channel {channel} is above channel-max"),
            Self::ContinuationChanged => f.write_str("a delivery changed its id or tag half-way"),
            Self::CreditExceeded => f.write_str("more deliveries than link credit"),
            Self::DeliveryIdRepeated { id } => write!(f, "delivery-id {id} was used already"),
            Self::DeliveryIncomplete => f.write_str("a delivery's first transfer lacks its id or tag"),
            Self::DynamicNodeContradiction => {
                f.write_str("a dynamic node with an address, or described but not asked for")
            }
            Self::ErrantDelivery { delivery } => {
                write!(f, "a disposition of delivery {delivery}, whose link was detached with an error")
            }
            Self::ErrantLink { handle } => {
                write!(f, "input on handle {handle} for a link that was detached with an error")
            }
            Self::FlowWithoutHandle => f.write_str("a flow speaks of a link without naming it"),
            Self::Frame(error) => error.fmt(f),
            Self::FrameBeforeOpen => f.write_str("a frame before open"),
            Self::HandleOutOfRange { handle } => write!(f, "handle {handle} is above handle-max"),
            Self::HandleUnattached { handle } => write!(f, "handle {handle} is not attached"),
            Self::IdleTimeoutTooShort { millis } => write!(f, "an idle time-out of {millis} ms cannot be kept to"),
            Self::InitialDeliveryCountMissing => f.write_str("a sender's attach without initial-delivery-count"),
            Self::MaxFrameSizeTooSmall { size } => write!(f, "max-frame-size {size} is below 512"),
            Self::MessageTooLarge => f.write_str("a message larger than max-message-size"),
            Self::MetadataExceeded { .. } => {
                f.write_str("more names, properties and states than are kept for one connection")
            }
            Self::NewWhileIncomplete => f.write_str("a new delivery while unsettled ones are not sorted out"),
            Self::OpenTooLong { size } => write!(f, "an open of {size} octets, where 512 are allowed"),
            Self::OpenTwice => f.write_str("a second open"),
            Self::ResumedBeyond => f.write_str("a delivery is resumed beyond what was received of it"),
            Self::SaslOutOfOrder => f.write_str("a SASL frame where it has no place"),
            Self::SecondOnFirst => f.write_str("receiver-settle-mode second on a link of mode first"),
            Self::SettledOnUnsettled => f.write_str("a settled transfer on a link of sender-settle-mode unsettled"),
            Self::SessionsExceeded => f.write_str("a session that no channel is left to answer on"),
            Self::TagRepeated => f.write_str("a delivery has the tag of another that is not settled"),
            Self::TransactionUnknown => f.write_str("the transaction is over, or was never declared here"),
            Self::TransactionalAcquisition => {
                f.write_str("messages cannot be acquired within a transaction on this link")
            }
            Self::TransferFromReceiver => f.write_str("a transfer from the receiving end of a link"),
            Self::LinksExceeded => f.write_str("more links than are allowed"),
            Self::TransfersExceeded => f.write_str("a delivery in too many transfers"),
            Self::WindowExceeded => f.write_str("more transfers than the session's window allows"),
        }
    }
}
