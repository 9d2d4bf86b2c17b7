//! `begin` and `end`.

use super::Handle;
use crate::{
    SequenceNo, Symbol,
    definitions::{AmqpError, Fields},
};

composite! {
    /// Begins a session on a channel (§2.7.2).
    pub struct Begin = 0x11, "amqp:begin:list" {
        /// The peer's channel that this answers; absent where it begins the session.
        remote_channel: opt u16,
        /// The transfer-id of the first transfer that the sender of this will send.
        next_outgoing_id: req SequenceNo,
        /// How many transfers the sender of this can take.
        incoming_window: req u32,
        /// How many transfers the sender of this can send.
        outgoing_window: req u32,
        /// The highest handle that may be used.
        handle_max: def Handle = u32::MAX,
        /// Extensions that the sender of this supports.
        offered_capabilities: multi Symbol,
        /// Extensions that the sender of this would use.
        desired_capabilities: multi Symbol,
        /// Anything else.
        properties: opt Fields,
    }

    /// Ends a session (§2.7.8).
    pub struct End = 0x17, "amqp:end:list" {
        /// Why, if because of an error.
        error: opt AmqpError,
    }
}
