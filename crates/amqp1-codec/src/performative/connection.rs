//! `open` and `close`.

use super::Milliseconds;
use crate::{
    Str, Symbol,
    definitions::{AmqpError, Fields},
};

composite! {
    /// Negotiates the parameters of a connection (§2.7.1).
    pub struct Open = 0x10, "amqp:open:list" {
        /// The name of the container that sends this.
        container_id: req Str,
        /// The name of the host that is wanted, as in TLS's server name.
        hostname: opt Str,
        /// The largest frame that the sender of this accepts, in octets; at least 512.
        max_frame_size: def u32 = u32::MAX,
        /// The highest channel that may be used.
        channel_max: def u16 = u16::MAX,
        /// The sender of this closes the connection when it receives nothing for this long.
        idle_time_out: opt Milliseconds,
        /// Languages in which the sender of this writes, most wanted first.
        outgoing_locales: multi Symbol,
        /// Languages that the sender of this reads, most wanted first.
        incoming_locales: multi Symbol,
        /// Extensions that the sender of this supports.
        offered_capabilities: multi Symbol,
        /// Extensions that the sender of this would use.
        desired_capabilities: multi Symbol,
        /// Anything else.
        properties: opt Fields,
    }

    /// Ends a connection (§2.7.9).
    pub struct Close = 0x18, "amqp:close:list" {
        /// Why, if because of an error.
        error: opt AmqpError,
    }
}

impl Open {
    /// The key in the properties of an open that says that a close follows, since the connection is refused. The
    /// specification does not have it; clients of several makes read it.
    pub const CONNECTION_ESTABLISHMENT_FAILED: Symbol = Symbol::from_static("amqp:connection-establishment-failed");
}
