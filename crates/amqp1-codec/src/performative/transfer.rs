//! `transfer` and `disposition`.

use super::Handle;
use crate::{
    DeliveryTag, SequenceNo,
    definitions::{ReceiverSettleMode, Role},
    messaging::DeliveryState,
};

composite! {
    /// Carries a part of a delivery (§2.7.5); the payload follows it in the frame.
    pub struct Transfer = 0x14, "amqp:transfer:list", by_hand {
        /// Which link.
        handle: req Handle,
        /// The delivery's number in the session; mandatory on its first transfer.
        delivery_id: opt SequenceNo,
        /// The delivery's name on the link; mandatory on its first transfer.
        delivery_tag: opt DeliveryTag,
        /// The message's format; mandatory on the first transfer.
        message_format: opt u32,
        /// Whether the sender has settled.
        settled: opt bool,
        /// Whether more of this delivery follows.
        more: def bool = false,
        /// When the receiver is to settle this delivery.
        rcv_settle_mode: opt ReceiverSettleMode,
        /// The delivery's state at the sender.
        state: opt DeliveryState,
        /// Whether this resumes a delivery.
        resume: def bool = false,
        /// Whether the delivery is abandoned, and what was sent of it is to be ignored.
        aborted: def bool = false,
        /// Whether the receiver may wait before it states an outcome.
        batchable: def bool = false,
    }

    /// States what became of deliveries (§2.7.6).
    pub struct Disposition = 0x15, "amqp:disposition:list", by_hand {
        /// Which end of the links the sender of this is.
        role: req Role,
        /// The first delivery.
        first: req SequenceNo,
        /// The last delivery; absent if it is the first.
        last: opt SequenceNo,
        /// Whether they are settled.
        settled: def bool = false,
        /// Their state.
        state: opt DeliveryState,
        /// Whether the receiver of this may wait before it acts on it.
        batchable: def bool = false,
    }
}
