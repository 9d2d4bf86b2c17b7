//! Every rule that a peer is held to, and what follows from breaking it.

use amqp1_codec::{
    DecodeError, DecodeErrorKind,
    definitions::ErrorCondition,
    frame::{FrameError, FrameErrorKind},
};
use core::fmt;

/// The scope that an error ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The connection, by close.
    Connection,
    /// The session, by end.
    Session,
    /// The link, by detach.
    Link,
}

/// The table of rules. A row has the variant with its documentation, then the section of the specification, the scope,
/// the condition and the text of the error. The last three may name the variant's fields.
macro_rules! violations {
    ($(
        $(#[$doc:meta])*
        $name:ident $(($inner:ident: $inner_type:ty))? $({ $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })?
            => $section:literal, $scope:expr, $condition:expr, $text:literal;
    )*) => {
        /// A rule that the peer broke.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum PeerMisbehaved {
            $(
                $(#[$doc])*
                #[doc = concat!("\n\nSee §", $section, ".")]
                $name $(($inner_type))? $({ $($(#[$field_doc])* $field: $type,)* })?,
            )*
        }

        #[allow(unused_variables, reason = "few columns need the fields")]
        impl PeerMisbehaved {
            /// The section of the specification that has the rule, such as `"2.7.3"`.
            ///
            /// The specification sets no limits for a peer's use of resources: for these it is the section of the
            /// condition `amqp:resource-limit-exceeded`.
            pub const fn section(&self) -> &'static str {
                match *self {
                    $(Self::$name $(($inner))? $({ $($field),* })? => $section,)*
                }
            }

            /// The scope that it ends.
            pub const fn scope(&self) -> Scope {
                match *self {
                    $(Self::$name $(($inner))? $({ $($field),* })? => $scope,)*
                }
            }

            /// The condition in the error that the peer receives.
            pub const fn condition(&self) -> ErrorCondition {
                match *self {
                    $(Self::$name $(($inner))? $({ $($field),* })? => $condition,)*
                }
            }
        }

        #[allow(unused_variables, reason = "few texts name the fields")]
        impl fmt::Display for PeerMisbehaved {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $(Self::$name $(($inner))? $({ $($field),* })? => write!(f, $text),)*
                }
            }
        }

        /// The name, the section and the text of each row.
        #[cfg(test)]
        const ROWS: &[(&str, &str, &str)] = &[$((stringify!($name), $section, $text)),*];
    };
}

violations! {
    /// An attach of which only the name, the handle and the role can be read.
    AttachUnreadable(error: DecodeError)
        => "2.7.3", Scope::Link, unreadable(error), "an attach that cannot be read: {error}";
    /// An attach used a handle that is in use.
    AttachOnHandleInUse {
        /// The handle.
        handle: u32,
    } => "2.7.3", Scope::Session, ErrorCondition::HANDLE_IN_USE, "attach on handle {handle}, which is in use";
    /// A begin on a channel that has a session.
    BeginOnChannelInUse {
        /// The channel.
        channel: u16,
    } => "2.5.1", Scope::Connection, ErrorCondition::NOT_ALLOWED, "begin on channel {channel}, which is in use";
    /// A begin answers a session that was not begun.
    BeginAnswersNothing {
        /// The channel that it names.
        remote_channel: u16,
    } => "2.5.1", Scope::Connection, ErrorCondition::NOT_ALLOWED,
        "begin answers channel {remote_channel}, on which nothing was begun";
    /// A frame came on a channel without a session.
    ChannelUnmapped {
        /// The channel.
        channel: u16,
    } => "2.5.1", Scope::Connection, ErrorCondition::NOT_ALLOWED, "channel {channel} has no session";
    /// A channel above our channel-max.
    ChannelOutOfRange {
        /// The channel.
        channel: u16,
    } => "2.7.1", Scope::Connection, ErrorCondition::FRAMING_ERROR, "channel {channel} is above channel-max";
    /// A transfer that continues a delivery names another delivery-id or tag.
    ContinuationChanged
        => "2.7.5", Scope::Link, ErrorCondition::NOT_ALLOWED, "a delivery changed its id or tag half-way";
    /// More deliveries than the link credit allows.
    CreditExceeded
        => "2.6.7", Scope::Link, ErrorCondition::TRANSFER_LIMIT_EXCEEDED, "more deliveries than link credit";
    /// A delivery-id that was used already.
    DeliveryIdRepeated {
        /// The id.
        id: u32,
    } => "2.7.5", Scope::Session, ErrorCondition::NOT_ALLOWED, "delivery-id {id} was used already";
    /// The first transfer of a delivery lacks its id or its tag.
    DeliveryIncomplete
        => "2.7.5", Scope::Link, ErrorCondition::INVALID_FIELD, "a delivery's first transfer lacks its id or tag";
    /// An attach asks for a dynamic node and names an address, or describes a node without asking for it.
    DynamicNodeContradiction
        => "3.5.3", Scope::Link, ErrorCondition::INVALID_FIELD,
        "a dynamic node with an address, or described but not asked for";
    /// A disposition of a delivery whose link was detached with an error.
    ErrantDelivery {
        /// The first id that it names.
        delivery: u32,
    } => "2.6.5", Scope::Session, ErrorCondition::ERRANT_LINK,
        "a disposition of delivery {delivery}, whose link was detached with an error";
    /// Input for a link that was detached with an error, other than a detach or a resuming attach.
    ErrantLink {
        /// The handle.
        handle: u32,
    } => "2.6.5", Scope::Session, ErrorCondition::ERRANT_LINK,
        "input on handle {handle} for a link that was detached with an error";
    /// A flow speaks of a link without naming it.
    FlowWithoutHandle
        => "2.7.4", Scope::Session, ErrorCondition::INVALID_FIELD, "a flow speaks of a link without naming it";
    /// A frame cannot be read.
    Frame(error: FrameError) => "2.3.1", Scope::Connection, unreadable_frame(error), "{error}";
    /// An AMQP frame before open, or an open on another channel than 0.
    FrameBeforeOpen => "2.4.1", Scope::Connection, ErrorCondition::ILLEGAL_STATE, "a frame before open";
    /// A handle above our handle-max.
    HandleOutOfRange {
        /// The handle.
        handle: u32,
    } => "2.7.2", Scope::Connection, ErrorCondition::FRAMING_ERROR, "handle {handle} is above handle-max";
    /// A handle to which no link is attached.
    HandleUnattached {
        /// The handle.
        handle: u32,
    } => "2.8.17", Scope::Session, ErrorCondition::UNATTACHED_HANDLE, "handle {handle} is not attached";
    /// An idle time-out so short that this end does not keep to it.
    IdleTimeoutTooShort {
        /// The announced time, in milliseconds.
        millis: u32,
    } => "2.4.5", Scope::Connection, ErrorCondition::INVALID_FIELD, "an idle time-out of {millis} ms cannot be kept to";
    /// A sender's attach without initial-delivery-count.
    InitialDeliveryCountMissing
        => "2.7.3", Scope::Link, ErrorCondition::INVALID_FIELD, "a sender's attach without initial-delivery-count";
    /// More links than are allowed on one connection.
    LinksExceeded => "2.8.15", Scope::Session, ErrorCondition::RESOURCE_LIMIT_EXCEEDED, "more links than are allowed";
    /// A max-frame-size below 512.
    MaxFrameSizeTooSmall {
        /// The announced value.
        size: u32,
    } => "2.7.1", Scope::Connection, ErrorCondition::INVALID_FIELD, "max-frame-size {size} is below 512";
    /// A message of more octets than the link allows.
    MessageTooLarge
        => "2.7.3", Scope::Link, ErrorCondition::MESSAGE_SIZE_EXCEEDED, "a message larger than max-message-size";
    /// More metadata than is kept for one connection: see [`max_metadata`](crate::ConnectionConfig::max_metadata).
    MetadataExceeded {
        /// The scope that has to go for it.
        scope: Scope,
    } => "2.8.15", scope, ErrorCondition::RESOURCE_LIMIT_EXCEEDED,
        "more names, properties and states than are kept for one connection";
    /// A new delivery although the receiver's unsettled map was not complete.
    NewWhileIncomplete
        => "2.7.3", Scope::Link, ErrorCondition::ILLEGAL_STATE, "a new delivery while unsettled ones are not sorted out";
    /// An open of more than 512 octets, before the peer could know that this end takes more.
    OpenTooLong {
        /// Octets of its frame.
        size: usize,
    } => "2.4.1", Scope::Connection, ErrorCondition::FRAMING_ERROR, "an open of {size} octets, where 512 are allowed";
    /// A second open.
    OpenTwice => "2.4.1", Scope::Connection, ErrorCondition::ILLEGAL_STATE, "a second open";
    /// A delivery is resumed beyond what was received of it.
    ResumedBeyond
        => "3.4.6", Scope::Link, ErrorCondition::INVALID_FIELD, "a delivery is resumed beyond what was received of it";
    /// A SASL frame where it has no place.
    SaslOutOfOrder => "5.3.2", Scope::Connection, ErrorCondition::ILLEGAL_STATE, "a SASL frame where it has no place";
    /// A transfer asks for receiver-settle-mode second on a link of mode first.
    SecondOnFirst
        => "2.7.5", Scope::Link, ErrorCondition::INVALID_FIELD, "receiver-settle-mode second on a link of mode first";
    /// A settled transfer on a link whose sender-settle-mode is unsettled.
    SettledOnUnsettled
        => "2.7.5", Scope::Link, ErrorCondition::INVALID_FIELD,
        "a settled transfer on a link of sender-settle-mode unsettled";
    /// A session that no channel is left to answer on.
    SessionsExceeded
        => "2.8.15", Scope::Connection, ErrorCondition::RESOURCE_LIMIT_EXCEEDED,
        "a session that no channel is left to answer on";
    /// A delivery has the tag of another that is not settled.
    TagRepeated
        => "2.6.12", Scope::Link, ErrorCondition::NOT_ALLOWED, "a delivery has the tag of another that is not settled";
    /// A transaction that this end does not know, or that is over.
    TransactionUnknown
        => "4.4.1", Scope::Link, ErrorCondition::TRANSACTION_UNKNOWN_ID,
        "the transaction is over, or was never declared here";
    /// A flow asks for messages to be acquired within a transaction, which is not possible here.
    TransactionalAcquisition
        => "4.4.3", Scope::Link, ErrorCondition::NOT_IMPLEMENTED,
        "messages cannot be acquired within a transaction on this link";
    /// A transfer from the receiving end of a link.
    TransferFromReceiver
        => "2.6.12", Scope::Link, ErrorCondition::NOT_ALLOWED, "a transfer from the receiving end of a link";
    /// A delivery of more transfers than is reasonable.
    TransfersExceeded
        => "2.8.15", Scope::Link, ErrorCondition::RESOURCE_LIMIT_EXCEEDED, "a delivery in too many transfers";
    /// More transfers than the session's window allows.
    WindowExceeded
        => "2.5.6", Scope::Session, ErrorCondition::WINDOW_VIOLATION, "more transfers than the session's window allows";
}

/// The condition for octets that cannot be read.
const fn unreadable(error: DecodeError) -> ErrorCondition {
    match error.kind {
        DecodeErrorKind::MissingField(_) | DecodeErrorKind::InvalidValue => ErrorCondition::INVALID_FIELD,
        _ => ErrorCondition::DECODE_ERROR,
    }
}

/// The condition for a frame that cannot be read.
const fn unreadable_frame(error: FrameError) -> ErrorCondition {
    match error.kind {
        FrameErrorKind::Body(body) => unreadable(body),
        _ => ErrorCondition::FRAMING_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::ROWS;
    use alloc::collections::BTreeSet;

    const REQUIREMENTS: &str = include_str!("../../../REQUIREMENTS.md");

    /// The sections in the table of requirements: `2.7.3` of `| T-2.7.3-1 |`.
    fn sections() -> BTreeSet<&'static str> {
        let id = |line: &'static str| line.strip_prefix("| ")?.split(' ').next()?.split_once('-')?.1.rsplit_once('-');
        REQUIREMENTS.lines().filter_map(id).map(|(section, _)| section).collect()
    }

    #[test]
    fn every_rule_is_of_a_section_that_the_table_of_requirements_has() {
        let sections = sections();
        assert!(sections.contains("2.7.3") && !sections.contains("2.7"), "{sections:?}");
        for (name, section, _) in ROWS {
            assert!(sections.contains(section), "{name}: no requirement of §{section}");
        }
    }

    #[test]
    fn every_rule_has_a_text_of_its_own() {
        let mut texts = BTreeSet::new();
        for (name, _, text) in ROWS {
            assert!(!text.is_empty() && texts.insert(text), "{name}: {text}");
        }
    }
}
