//! Events that wait for the application to poll them. A state that many deliveries share is there once, until they are
//! polled.

use crate::{
    connection::shrink_queue,
    event::{Event, Settled, Settlement},
    metadata::{Charge, Stated},
    store::{DeliveryKey, LinkId, SessionId},
};
use alloc::{collections::VecDeque, sync::Arc};
use amqp1_codec::messaging::DeliveryState;

/// Things in their order, some of which belong to something that is kept beside them: few do, and the others are not to
/// pay for that.
#[derive(Debug)]
struct Queue<T, B> {
    queue: VecDeque<T>,
    /// How many were taken.
    taken: u64,
    /// By how many must be taken before it is its turn.
    beside: VecDeque<(u64, B)>,
}

impl<T, B> Default for Queue<T, B> {
    fn default() -> Self {
        Self { queue: VecDeque::new(), taken: 0, beside: VecDeque::new() }
    }
}

impl<T, B> Queue<T, B> {
    #[inline]
    fn push(&mut self, thing: T) {
        self.queue.push_back(thing);
    }

    fn shrink(&mut self) {
        shrink_queue(&mut self.queue);
        shrink_queue(&mut self.beside);
    }

    /// Keeps something beside the last thing.
    fn beside_last(&mut self, beside: B) {
        let queued = u64::try_from(self.queue.len()).unwrap_or(u64::MAX);
        self.beside.push_back((self.taken.saturating_add(queued), beside));
    }

    /// How many were taken, and how many there have been.
    fn counts(&self) -> (u64, u64) {
        (self.taken, self.taken.saturating_add(u64::try_from(self.queue.len()).unwrap_or(u64::MAX)))
    }

    /// The next thing; what is kept beside it goes to `f`.
    #[inline]
    fn pop(&mut self, f: impl FnMut(&mut T, B)) -> Option<T> {
        let mut thing = self.queue.pop_front()?;
        self.taken = self.taken.wrapping_add(1);
        if !self.beside.is_empty() {
            self.join(&mut thing, f);
        }
        Some(thing)
    }

    #[cold]
    fn join(&mut self, thing: &mut T, mut f: impl FnMut(&mut T, B)) {
        while self.beside.front().is_some_and(|(at, _)| *at <= self.taken) {
            let Some((_, beside)) = self.beside.pop_front() else { return };
            f(thing, beside);
        }
    }
}

/// Data that is kept beside an event.
#[derive(Debug)]
enum Beside {
    /// The event's count of the peer's metadata.
    Charge(#[expect(dead_code, reason = "it counts by being there")] Charge),
    State(Arc<Stated>),
}

/// Events, oldest first, and how many of them are provisional outcomes.
#[derive(Debug, Default)]
pub(crate) struct Events(Queue<Event, Beside>, usize);

impl Events {
    #[inline]
    pub(crate) fn push_back(&mut self, event: Event) {
        self.0.push(event);
    }

    /// Counts until all that is queued now is polled.
    pub(crate) fn hold(&mut self, charge: Charge) {
        if !self.0.queue.is_empty() && !charge.is_empty() {
            self.0.beside_last(Beside::Charge(charge));
        }
    }

    pub(crate) fn push_settled_by_sender(&mut self, link: LinkId, key: DeliveryKey, state: Arc<Stated>) {
        self.0.push(Event::SettledBySender(link, key, None));
        self.0.beside_last(Beside::State(state));
    }

    pub(crate) fn push_provisional(
        &mut self,
        (session, link): (SessionId, LinkId),
        token: u64,
        stated: Arc<Stated>,
        settled: bool,
    ) {
        let state = DeliveryState::Released;
        self.1 = self.1.saturating_add(1);
        self.0.push(Event::Provisional { link, session, token, state, settled });
        self.0.beside_last(Beside::State(stated));
    }

    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<Event> {
        let provisional = &mut self.1;
        self.0.pop(|event, beside| match (event, beside) {
            (Event::SettledBySender(_, _, state), Beside::State(stated)) => *state = Some(stated.state.clone()),
            (Event::Provisional { state, .. }, Beside::State(stated)) => {
                *provisional = provisional.saturating_sub(1);
                *state = stated.state.clone();
            }
            _ => {}
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.0.queue.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.queue.is_empty()
    }

    /// How many were polled, and how many there have been.
    pub(crate) fn counts(&self) -> (u64, u64) {
        self.0.counts()
    }

    /// Gives back what it does not need.
    pub(crate) fn shrink(&mut self) {
        self.0.shrink();
    }

    /// Whether a provisional outcome waits to be polled.
    pub(crate) fn has_provisional(&self) -> bool {
        self.1 > 0
    }
}

/// Settlements, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Settlements(Queue<Settled, Arc<Stated>>);

impl Settlements {
    #[inline]
    pub(crate) fn push_back(&mut self, settled: Settled) {
        self.0.push(settled);
    }

    pub(crate) fn push_shared(&mut self, link: LinkId, token: u64, state: Arc<Stated>) {
        self.0.push(Settled { link, token, settlement: Settlement::Outcome(None) });
        self.0.beside_last(state);
    }

    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<Settled> {
        self.0.pop(|settled, stated| settled.settlement = Settlement::Outcome(Some(stated.state.clone())))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.queue.is_empty()
    }

    /// How many were polled, and how many there have been.
    pub(crate) fn counts(&self) -> (u64, u64) {
        self.0.counts()
    }

    /// Gives back what it does not need.
    pub(crate) fn shrink(&mut self) {
        self.0.shrink();
    }
}
