//! The states that either end gives to deliveries (§2.6.12, §2.7.6).

use super::wire_id;
use crate::{connection::shrink_vec, metadata::Stated};
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use amqp1_codec::{
    definitions::Role, messaging::DeliveryState, performative::Disposition, transaction::TransactionalState,
};

/// Dispositions of deliveries, gathered until they are written.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    marks: Vec<Mark>,
    /// Grows with each state that another may follow for the same delivery: what comes later is written later.
    age: u32,
}

#[derive(Clone, Debug)]
struct Mark {
    age: u32,
    role: Role,
    first: u64,
    last: u64,
    settled: bool,
    state: Option<DeliveryState>,
    /// Where the state is the peer's.
    stated: Option<Arc<Stated>>,
}

impl Mark {
    fn continues(&self, before: &Self) -> bool {
        before.last.checked_add(1) == Some(self.first)
            && before.age == self.age
            && before.role == self.role
            && before.settled == self.settled
            && before.state == self.state
    }
}

impl Marks {
    /// Gives back what it does not need.
    pub(crate) fn shrink(&mut self) {
        shrink_vec(&mut self.marks);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// `role` is that of the end that speaks; `stated` holds a state that the peer has stated.
    pub(crate) fn add(
        &mut self,
        role: Role,
        id: u64,
        settled: bool,
        state: Option<DeliveryState>,
        stated: Option<Arc<Stated>>,
    ) {
        let passing = !settled && !state.as_ref().is_some_and(DeliveryState::is_outcome);
        let mark = Mark { age: self.age, role, first: id, last: id, settled, state, stated };
        match self.marks.last_mut() {
            Some(before) if mark.continues(before) => before.last = id,
            _ => self.marks.push(mark),
        }
        self.age = self.age.wrapping_add(u32::from(passing));
    }

    /// The dispositions to write: consecutive ids with the same state are one.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (Disposition, Option<Arc<Stated>>)> + use<> {
        let mut marks = core::mem::take(&mut self.marks);
        self.age = 0;
        marks.sort_by_key(|mark| (mark.age, mark.role == Role::Receiver, mark.first));
        let mut merged: Vec<Mark> = Vec::new();
        for mark in marks {
            match merged.last_mut() {
                Some(before) if mark.continues(before) => before.last = mark.last,
                _ => merged.push(mark),
            }
        }
        merged.into_iter().map(|mark| {
            let disposition = Disposition {
                role: mark.role,
                first: wire_id(mark.first),
                last: (mark.last != mark.first).then(|| wire_id(mark.last)),
                settled: mark.settled,
                state: mark.state,
                batchable: false,
            };
            (disposition, mark.stated)
        })
    }
}

/// The effect of a disposition on its deliveries.
pub(crate) enum Stating {
    /// A state that takes no memory, none, or one that the application has stated.
    Own(Option<DeliveryState>),
    /// One that the peer has stated.
    Shared(Arc<Stated>),
}

impl Stating {
    pub(crate) fn state(&self) -> Option<DeliveryState> {
        match self {
            Self::Own(state) => state.clone(),
            Self::Shared(stated) => Some(stated.state.clone()),
        }
    }

    /// The state in the settlement. The receiver knows why it has rejected a message, and go-amqp takes an error
    /// there for one about its own disposition. `retired` says that the receiver has stated the outcome before, within
    /// a transaction.
    pub(crate) fn echo(&self, retired: bool) -> (Option<DeliveryState>, Option<Arc<Stated>>) {
        match self {
            Self::Own(Some(state)) if retired => (Some(without_error(state).unwrap_or_else(|| state.clone())), None),
            Self::Own(state) => (state.clone(), None),
            Self::Shared(stated) => match without_error(&stated.state) {
                Some(state) => (Some(state), None),
                None => (Some(stated.state.clone()), Some(stated.clone())),
            },
        }
    }
}

/// A rejection without its error, within a transaction or not; `None` for other states.
fn without_error(state: &DeliveryState) -> Option<DeliveryState> {
    match state {
        DeliveryState::Rejected(_) => Some(DeliveryState::Rejected(None)),
        DeliveryState::Transactional(within) => {
            let outcome = without_error(within.outcome.as_deref()?)?;
            let within = TransactionalState { txn_id: within.txn_id.clone(), outcome: Some(Box::new(outcome)) };
            Some(DeliveryState::Transactional(Box::new(within)))
        }
        _ => None,
    }
}

/// Whether a receiver that states this, unsettled, waits for the sender to settle. A provisional outcome of a
/// transaction does too.
pub(crate) fn state_ends(state: &DeliveryState) -> bool {
    state.is_outcome() || matches!(state, DeliveryState::Transactional(state) if state.outcome.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn consecutive_marks_become_one_disposition_whatever_their_order() {
        let mut marks = Marks::default();
        for id in [4, 2, 3, 7] {
            marks.add(Role::Receiver, id, true, Some(DeliveryState::Accepted), None);
        }
        let ranges: Vec<_> = marks.drain().map(|(d, _)| (d.first.0, d.last.map(|last| last.0))).collect();
        assert_eq!(ranges, vec![(2, Some(4)), (7, None)]);
    }
}
