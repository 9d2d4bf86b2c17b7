//! The amount of the peer's metadata (everything beside messages) that is kept, and its limits.
//!
//! Opens, attaches, flow properties and the states of deliveries that wait are kept as octets and decoded when they are
//! asked for. Delivery states and errors on their way to the application are kept decoded, without an info that is too
//! large, and shared among the deliveries they are about. All of it counts against one [`Meter`] for each connection.

use alloc::{boxed::Box, string::String, sync::Arc};
use amqp1_codec::{
    Decode, Encode, Limits, Reader, Str, Symbol, Value,
    definitions::{AmqpError, ErrorCondition, Fields, ReceiverSettleMode, SenderSettleMode},
    messaging::{DeliveryState, Modified},
    performative::Attach,
    transaction::{Declared, TransactionalState},
};
use bytes::Bytes;
use core::sync::atomic::{AtomicUsize, Ordering};

/// The count of each link beside its name and its attach, and the count of each link and session before the peer is
/// authenticated: then it is all that bounds their number below what the configuration allows.
pub(crate) const LINK: usize = 32;
pub(crate) const UNAUTHENTICATED: usize = 256;

/// The octets of a delivery's state that do not count: more than a transaction-id of 32 octets and an outcome take.
pub(crate) const SMALL_STATE: usize = 64;

/// The longest condition of an error that is kept whole.
const LONGEST_CONDITION: usize = 255;

/// The key under which the annotations of a *modified* outcome say that they were left out, since they take more than
/// [`max_info`](crate::ConnectionConfig::max_info): a text in their place. It is not to be merged into the message.
pub const ANNOTATIONS_LEFT_OUT: &str = "x-opt-amqp1-left-out";

/// Counts octets that are kept. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter(Arc<AtomicUsize>);

/// Octets that are counted as long as this lives.
#[derive(Debug, Default)]
pub(crate) struct Charge {
    meter: Option<Meter>,
    octets: usize,
}

impl Meter {
    pub(crate) fn used(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts some octets more, whatever the limit.
    pub(crate) fn count(&self, octets: usize) -> Charge {
        self.0.fetch_add(octets, Ordering::Relaxed);
        Charge { meter: Some(self.clone()), octets }
    }

    /// Counts some octets more, if they stay within the limit.
    pub(crate) fn charge(&self, octets: usize, limit: usize) -> Option<Charge> {
        if self.used().saturating_add(octets) > limit {
            return None;
        }
        Some(self.count(octets))
    }
}

impl Charge {
    pub(crate) fn is_empty(&self) -> bool {
        self.octets == 0
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(Meter(meter)) = &self.meter {
            meter.fetch_sub(self.octets, Ordering::Relaxed);
        }
    }
}

/// Octets of one value, counted.
#[derive(Debug)]
pub(crate) struct Kept {
    octets: Bytes,
    /// Counted until this is dropped.
    #[expect(dead_code, reason = "it counts by being there")]
    charge: Charge,
}

impl Kept {
    pub(crate) fn new(octets: Bytes, charge: Charge) -> Self {
        Self { octets, charge }
    }

    pub(crate) fn octets(&self) -> &Bytes {
        &self.octets
    }

    /// The value. It was decoded before, so that it can be decoded again.
    pub(crate) fn decode<T: Decode>(&self, limits: Limits) -> Option<T> {
        T::decode(&mut Reader::with_limits(&self.octets, limits)).ok()
    }
}

/// The peer's attach of a link.
#[derive(Debug)]
pub(crate) struct RemoteAttach {
    pub(crate) snd_settle_mode: SenderSettleMode,
    pub(crate) rcv_settle_mode: ReceiverSettleMode,
    pub(crate) max_message_size: Option<u64>,
    /// All of it; nothing once it is forgotten.
    pub(crate) kept: Option<Kept>,
}

impl RemoteAttach {
    pub(crate) fn new(attach: &Attach, kept: Option<Kept>) -> Self {
        Self {
            snd_settle_mode: attach.snd_settle_mode,
            rcv_settle_mode: attach.rcv_settle_mode,
            max_message_size: attach.max_message_size,
            kept,
        }
    }
}

/// A state that the peer has stated, shared by the deliveries that it is about.
#[derive(Debug)]
pub(crate) struct Stated {
    pub(crate) state: DeliveryState,
    #[expect(dead_code, reason = "it counts by being there")]
    charge: Charge,
}

impl Stated {
    pub(crate) fn new(state: DeliveryState, charge: Charge) -> Self {
        Self { state, charge }
    }
}

/// An error without what would take more than `limit` octets of memory, and that keeps no read buffer alive. What is
/// left out is said in the description.
pub(crate) fn bounded_error(error: &AmqpError, limit: usize, limits: Limits) -> AmqpError {
    let condition = error.condition.as_symbol();
    let short = condition.get(..condition.len().min(LONGEST_CONDITION)).unwrap_or_default();
    let condition = Symbol::new(short).map_or(ErrorCondition::INTERNAL_ERROR, ErrorCondition::new);
    if limit == 0 {
        let left_out = error.description.is_some() || error.info.is_some();
        let description = left_out.then(|| Str::from_static("what explains this error was left out"));
        return AmqpError { condition, description, info: None };
    }
    let text = error.description.as_ref().map_or("", Str::as_str);
    let description = error.description.as_ref().map(|_| cut(text, limit));
    let Some(info) = &error.info else { return AmqpError { condition, description, info: None } };
    let size = info.heap_size();
    let left_out = if size <= limit {
        match detached(info, limits) {
            Some(info) => return AmqpError { condition, description, info: Some(info) },
            None => String::from("an info that cannot be copied was left out"),
        }
    } else {
        alloc::format!("an info that takes {size} octets was left out")
    };
    let description = match description {
        Some(text) => alloc::format!("{text} ({left_out})"),
        None => left_out,
    };
    AmqpError { condition, description: Some(description.into()), info: None }
}

/// The annotations, or that they were left out.
fn bounded_annotations(annotations: &Fields, limit: usize, limits: Limits) -> Fields {
    let size = annotations.heap_size();
    if let Some(annotations) = (size <= limit).then(|| detached(annotations, limits)).flatten() {
        return annotations;
    }
    let left_out = match limit {
        0 => Str::from_static("annotations were left out"),
        _ => alloc::format!("annotations that take {size} octets were left out").into(),
    };
    [(Symbol::from_static(ANNOTATIONS_LEFT_OUT), left_out)].into_iter().collect()
}

/// As much of a text as fits.
fn cut(text: &str, limit: usize) -> Str {
    let end = (0..=limit.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    text.get(..end).unwrap_or_default().into()
}

/// A copy that keeps no read buffer alive. What was received is read as it was then, tolerances included.
fn detached<T: Encode + Decode>(value: &T, limits: Limits) -> Option<T> {
    T::decode(&mut Reader::with_limits(&value.to_octets(), limits)).ok()
}

/// A state without what would take more than `limit` octets of memory, and that keeps no read buffer alive. Which state
/// it is, and which outcome, is never lost.
pub(crate) fn bounded_state(state: &DeliveryState, limit: usize, limits: Limits) -> DeliveryState {
    match state {
        DeliveryState::Accepted => DeliveryState::Accepted,
        DeliveryState::Released => DeliveryState::Released,
        DeliveryState::Received(position) => DeliveryState::Received(position.clone()),
        DeliveryState::Rejected(error) => {
            DeliveryState::Rejected(error.as_ref().map(|error| Box::new(bounded_error(error, limit, limits))))
        }
        DeliveryState::Modified(modified) => {
            let annotations = modified.message_annotations.as_ref();
            let message_annotations = annotations.map(|annotations| bounded_annotations(annotations, limit, limits));
            DeliveryState::Modified(Box::new(Modified { message_annotations, ..**modified }))
        }
        DeliveryState::Declared(declared) => {
            DeliveryState::Declared(Box::new(Declared { txn_id: Bytes::copy_from_slice(&declared.txn_id) }))
        }
        DeliveryState::Transactional(state) => DeliveryState::Transactional(Box::new(TransactionalState {
            txn_id: Bytes::copy_from_slice(&state.txn_id),
            outcome: state.outcome.as_ref().map(|outcome| Box::new(bounded_state(outcome, limit, limits))),
        })),
        DeliveryState::Extension(extension) if state.heap_size() <= limit => {
            detached(state, limits).unwrap_or_else(|| DeliveryState::Extension(extension.clone()))
        }
        // The descriptor says which state it is. One that is no name and no number is as large as it likes.
        DeliveryState::Extension(extension) => {
            let descriptor = match &extension.descriptor {
                Value::Symbol(name) => match Symbol::new(cut(name, LONGEST_CONDITION).as_str()) {
                    Ok(name) => Value::Symbol(name),
                    Err(_) => Value::Null,
                },
                Value::Ulong(number) => Value::Ulong(*number),
                _ => Value::Null,
            };
            let value = Value::List(alloc::vec::Vec::new());
            DeliveryState::Extension(Arc::new(amqp1_codec::Described { descriptor, value }))
        }
    }
}

/// Whether a state takes memory beside itself.
pub(crate) fn is_plain(state: &DeliveryState) -> bool {
    matches!(
        state,
        DeliveryState::Accepted | DeliveryState::Released | DeliveryState::Received(_) | DeliveryState::Rejected(None)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(values: usize) -> Fields {
        let key = |number: usize| Symbol::new(alloc::format!("key-{number}")).expect("ASCII");
        (0..values).map(|number| (key(number), Value::described(Value::Null, Value::Null))).collect()
    }

    #[test]
    fn an_outcome_keeps_its_condition_and_says_that_its_info_is_missing() {
        let error = AmqpError { info: Some(info(600)), ..AmqpError::new(ErrorCondition::NOT_FOUND, "no queue") };
        let kept = bounded_error(&error, 8192, Limits::DEFAULT);
        assert_eq!((kept.condition, kept.info), (ErrorCondition::NOT_FOUND, None));
        let description = kept.description.expect("it says so");
        assert!(description.starts_with("no queue (an info that takes ") && description.ends_with("left out)"));
        let small = AmqpError { info: Some(info(3)), ..AmqpError::new(ErrorCondition::NOT_FOUND, "no queue") };
        assert_eq!(bounded_error(&small, 8192, Limits::DEFAULT), small);
    }

    #[test]
    fn text_is_cut_where_a_character_ends() {
        assert_eq!(cut("aé", 2).as_str(), "a");
        assert_eq!(cut("aé", 3).as_str(), "aé");
    }

    #[test]
    fn what_is_counted_is_counted_until_it_is_dropped() {
        let meter = Meter::default();
        let first = meter.charge(60, 100).expect("within the limit");
        assert!(meter.charge(41, 100).is_none());
        assert_eq!(meter.used(), 60);
        drop(first);
        assert_eq!(meter.used(), 0);
    }
}
