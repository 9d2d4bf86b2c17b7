//! Links that outlive their endpoints (§2.6.13): what one endpoint leaves, and a later one goes on with.
//!
//! A link that was attached as resumable hands over, in [`Detached`](crate::Detached), what was not settled when it
//! was suspended: because it was detached without being closed, or because its session or its connection ended. The
//! application keeps that, in memory or elsewhere, and gives it to the attach of the next endpoint, on this connection
//! or another. Both ends then say what they know, and the sender does for each delivery what [`plan`] names.
//!
//! A message that was sent within a transaction is not among it, at either end: it is lost with its endpoint, so that
//! nothing of a transaction that is undone comes again outside of it.

mod plan;
mod position;
mod receiver;
mod sender;

pub(crate) use plan::{Remote, Step, plan};
pub(crate) use position::{octets_before, position};
pub(crate) use receiver::HeldDelivery;
pub use receiver::{ReceivedSoFar, SuspendedReceiver};
pub(crate) use sender::Retained;
pub use sender::{SentSoFar, SuspendedSender};

use crate::delivery::TRANSFER_ROOM;
use amqp1_codec::{
    Decode, DeliveryTag, Encode, EncodeStyle, Limits, Reader, Value,
    messaging::{DeliveryState, Received},
    performative::{Attach, Unsettled},
};

/// The state of a suspended link.
#[derive(Clone)]
pub enum Suspended {
    /// The sending end.
    Sender(SuspendedSender),
    /// The receiving end.
    Receiver(SuspendedReceiver),
}

/// A state as it stands in an unsettled map.
fn to_value(state: Option<&DeliveryState>) -> Value {
    state.and_then(|state| Value::decode(&mut Reader::new(&state.to_octets())).ok()).unwrap_or(Value::Null)
}

/// A state that stands in the peer's unsettled map. What cannot be understood counts as no state: the delivery is then
/// begun from its start.
pub(crate) fn from_value(value: &Value, limits: Limits) -> Option<DeliveryState> {
    match value {
        Value::Null => None,
        value => DeliveryState::decode(&mut Reader::with_limits(&value.to_octets(), limits)).ok(),
    }
}

/// Puts as much of a map into an attach as a frame of `max` octets takes. The rest stays out, and the
/// map says that it is incomplete.
pub(crate) fn fill_unsettled(
    attach: &mut Attach,
    entries: impl Iterator<Item = (DeliveryTag, Option<DeliveryState>)>,
    max: usize,
    style: EncodeStyle,
) {
    /// The frame's header, and what the map's own header may grow to.
    const FRAME: usize = 32;
    attach.unsettled = Some(Unsettled::new());
    attach.incomplete_unsettled = false;
    let mut room = max.saturating_sub(attach.encoded_len(style)).saturating_sub(FRAME);
    let mut map = Unsettled::new();
    for (tag, state) in entries {
        let value = to_value(state.as_ref());
        let cost = tag.encoded_len(style).saturating_add(value.encoded_len(style));
        let Some(left) = room.checked_sub(cost) else {
            attach.incomplete_unsettled = true;
            break;
        };
        room = left;
        map.insert(tag, value);
    }
    attach.unsettled = Some(map);
}

/// An outcome that a transfer frame of `max` octets has room for: what explains it may be left out, it may not.
pub(crate) fn fitting(mut state: DeliveryState, max: usize, style: EncodeStyle) -> DeliveryState {
    let max = max.saturating_sub(TRANSFER_ROOM);
    match &mut state {
        DeliveryState::Rejected(Some(error)) => {
            if error.encoded_len(style) > max {
                error.info = None;
            }
            if error.encoded_len(style) > max {
                error.description = None;
            }
        }
        DeliveryState::Modified(modified) if modified.encoded_len(style) > max => modified.message_annotations = None,
        _ => {}
    }
    state
}

/// Whether one position lies before another.
fn is_before(a: &Received, b: &Received) -> bool {
    (a.section_number, a.section_offset) < (b.section_number, b.section_offset)
}
