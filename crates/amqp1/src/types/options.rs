//! Options of messages and of links.

use amqp1_codec::DeliveryTag;

/// How a message is sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct SendOptions {
    /// Whether the delivery is settled from the start: the message arrives at most once and has no outcome. On a link
    /// whose sender settles everything ([`SenderSettleMode::Settled`](crate::link::SenderSettleMode)) it is set anyway.
    pub settled: bool,
    /// The delivery's tag (§2.6.12), unique among the unsettled ones of the link; made up if there is none.
    pub tag: Option<DeliveryTag>,
    /// The message's format (§2.8.11); 0 is the one of the specification.
    pub message_format: u32,
}

/// The largest message that a receiving end takes unless it is told otherwise, in octets: 64 MiB. Streamed links take
/// any.
pub const DEFAULT_MAX_MESSAGE_SIZE: u64 = 64 * 1024 * 1024;

/// The outcome of a delivery that is dropped unsettled. An outcome that the source does not list (§3.5.3) is not used:
/// modified becomes released, and what may not be released is left unsettled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnDrop {
    /// Modified, as a failed delivery: the sender may try again and counts the attempt (§3.4.5). The default.
    #[default]
    Modify,
    /// Released: the sender may try again (§3.4.4).
    Release,
    /// None: the delivery stays unsettled, and the sender decides about it, at the latest when the link ends.
    LeaveUnsettled,
}
