//! The fields of the header (§3.2.1) and the properties (§3.2.4), one by one: of messages to send and of received ones.

use super::{Message, MessageBuilder};
use crate::{
    DecodeError, SequenceNo, Str, Symbol, Timestamp,
    messaging::{MessageId, MessageIdRef},
    performative::Milliseconds,
};
use bytes::Bytes;
use core::time::Duration;

/// The header.
impl MessageBuilder {
    /// Sets whether the message must survive, as a broker that restarts has it (§3.2.1).
    #[must_use]
    pub fn durable(mut self, durable: bool) -> Self {
        self.header.get_or_insert_default().durable = durable;
        self
    }

    /// Sets the relative priority: 4 unless set, and more is more urgent (§3.2.1).
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.header.get_or_insert_default().priority = priority;
        self
    }

    /// Sets how long the message is worth delivering, in whole milliseconds and at most 49 days (§3.2.1).
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        let ttl = Milliseconds::try_from(ttl.as_millis()).unwrap_or(Milliseconds::MAX);
        self.header.get_or_insert_default().ttl = Some(ttl);
        self
    }

    /// Sets whether the message was not acquired before: for intermediaries (§3.2.1).
    #[must_use]
    pub fn first_acquirer(mut self, first: bool) -> Self {
        self.header.get_or_insert_default().first_acquirer = first;
        self
    }

    /// Sets how many attempts at delivery failed before: for those that pass messages on (§3.2.1).
    #[must_use]
    pub fn delivery_count(mut self, count: u32) -> Self {
        self.header.get_or_insert_default().delivery_count = count;
        self
    }
}

/// Declares the setter of each property, and the access to it.
macro_rules! properties {
    ($($name:ident: $ty:ty, $read:ty, $what:literal;)+) => {
        /// The properties.
        impl MessageBuilder { $(
            #[doc = concat!("Sets ", $what, " (§3.2.4).")]
            #[must_use]
            pub fn $name(mut self, $name: impl Into<$ty>) -> Self {
                self.properties.get_or_insert_default().$name = Some($name.into());
                self
            }
        )+ }

        /// One property each. [`properties`](Self::properties) gives all of them.
        impl Message { $(
            #[doc = concat!("Returns ", $what, " (§3.2.4); `None` if it is not set.")]
            ///
            /// # Errors
            ///
            /// If the section is no list of fields, or this field is malformed.
            #[inline]
            pub fn $name(&self) -> Result<Option<$read>, DecodeError> {
                match self.properties_ref()? {
                    Some(properties) => properties.$name(),
                    None => Ok(None),
                }
            }
        )+ }
    };
}
properties! {
    message_id: MessageId, MessageIdRef<'_>, "the name of the message, a text, a number, a UUID or octets";
    user_id: Bytes, &[u8], "the user who made the message; many brokers check it";
    to: Str, &str, "the address of the node that the message is for";
    subject: Str, &str, "what the message is about";
    reply_to: Str, &str, "the address of the node that answers are for";
    correlation_id: MessageId, MessageIdRef<'_>, "the message-id of the message that this one belongs to";
    content_type: Symbol, &str, "the MIME type of a body that is data";
    content_encoding: Symbol, &str, "how the body is encoded besides, such as `gzip`";
    absolute_expiry_time: Timestamp, Timestamp, "when the message is no longer of use";
    creation_time: Timestamp, Timestamp, "when the message was made";
    group_id: Str, &str, "the name of the group that the message belongs to";
    group_sequence: SequenceNo, SequenceNo, "the message's place in its group";
    reply_to_group_id: Str, &str, "the name of the group that answers belong to";
}
