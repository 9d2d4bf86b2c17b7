//! State that outlives a link, and for how long (§3.5.5, §3.5.6).

#![allow(clippy::arithmetic_side_effects, reason = "instants saturate")]

use alloc::{collections::BTreeMap, vec::Vec};
use amqp1_codec::{
    Str,
    definitions::Role,
    messaging::{TerminusDurability, TerminusExpiryPolicy},
    performative::Seconds,
};
use amqp1_engine::{Instant, Suspended};
use core::time::Duration;

/// Whose terminus it is: a link is named between two containers, once in each direction (§2.6.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The peer's container.
    pub container_id: Str,
    /// The link's name.
    pub link: Str,
    /// Whether this end sends.
    pub sends: bool,
}

impl Key {
    /// The terminus of a link at an end of this role.
    pub fn new(container_id: impl Into<Str>, link: impl Into<Str>, role: Role) -> Self {
        Self { container_id: container_id.into(), link: link.into(), sends: role == Role::Sender }
    }
}

/// The scope that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lost {
    /// The link was detached.
    Link,
    /// Its session has ended.
    Session,
    /// Its connection has ended.
    Connection,
}

/// A terminus whose link is suspended. `S` is what is kept of it.
#[derive(Clone, Debug)]
pub struct Suspension<S = Suspended> {
    /// The unsettled deliveries; an application may write this where it lasts.
    pub state: S,
    /// How durable it is.
    pub durable: TerminusDurability,
    /// When its time begins to run.
    pub policy: TerminusExpiryPolicy,
    /// How long it is kept from then on.
    pub timeout: Seconds,
}

#[derive(Debug)]
struct Kept<S> {
    suspension: Suspension<S>,
    expires: Option<Instant>,
    number: u64,
}

/// Termini whose links are suspended, until they are resumed or expire.
///
/// A link that was closed leaves nothing: do not put it here.
#[derive(Debug)]
pub struct TerminusStore<S = Suspended> {
    kept: BTreeMap<Key, Kept<S>>,
    max: usize,
    max_of_container: usize,
    next: u64,
}

impl Lost {
    /// Whether the time of a terminus of this policy runs.
    const fn starts(self, policy: TerminusExpiryPolicy) -> bool {
        match policy {
            TerminusExpiryPolicy::LinkDetach => true,
            TerminusExpiryPolicy::SessionEnd => matches!(self, Self::Session | Self::Connection),
            TerminusExpiryPolicy::ConnectionClose => matches!(self, Self::Connection),
            TerminusExpiryPolicy::Never => false,
        }
    }
}

impl<S> TerminusStore<S> {
    /// A store of at most this many termini.
    pub const fn new(max: usize) -> Self {
        Self { kept: BTreeMap::new(), max, max_of_container: max, next: 0 }
    }

    /// Keeps at most this many termini of one container: with more, its own oldest is given back.
    #[must_use]
    pub const fn max_of_container(mut self, max: usize) -> Self {
        self.max_of_container = max;
        self
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Keeps what a link has left. If there are too many, or too many of its container, the oldest of them is given
    /// back, as if it had expired.
    pub fn suspend(
        &mut self,
        key: Key,
        suspension: Suspension<S>,
        lost: Lost,
        now: Instant,
    ) -> Option<(Key, Suspension<S>)> {
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.kept.insert(key.clone(), Kept { suspension, expires: None, number });
        self.start(lost, now, core::slice::from_ref(&key));
        let oldest = |(_, kept): &(&Key, &Kept<S>)| kept.number;
        let oldest = if self.of_container(&key.container_id).count() > self.max_of_container {
            self.of_container(&key.container_id).min_by_key(oldest)
        } else if self.kept.len() > self.max {
            self.kept.iter().min_by_key(oldest)
        } else {
            None
        };
        let oldest = oldest?.0.clone();
        let kept = self.kept.remove(&oldest)?;
        Some((oldest, kept.suspension))
    }

    /// A session has ended on which these links were suspended before.
    pub fn session_ended(&mut self, links: &[Key], now: Instant) {
        self.start(Lost::Session, now, links);
    }

    /// A connection has ended on which these links were suspended before. A container may have others, which go on.
    pub fn connection_closed(&mut self, links: &[Key], now: Instant) {
        self.start(Lost::Connection, now, links);
    }

    fn of_container(&self, container_id: &Str) -> impl Iterator<Item = (&Key, &Kept<S>)> {
        let first = Key { container_id: container_id.clone(), link: Str::default(), sends: false };
        let container_id = container_id.clone();
        self.kept.range(first..).take_while(move |(key, _)| key.container_id == container_id)
    }

    fn start(&mut self, lost: Lost, now: Instant, links: &[Key]) {
        for key in links {
            let Some(kept) = self.kept.get_mut(key) else { continue };
            if lost.starts(kept.suspension.policy) && kept.expires.is_none() {
                let timeout = Duration::from_secs(u64::from(kept.suspension.timeout));
                kept.expires = Some(now + timeout);
            }
        }
    }

    /// The link is attached again: its time stops, and what it has left is resumed with.
    pub fn resume(&mut self, key: &Key) -> Option<Suspension<S>> {
        self.kept.remove(key).map(|kept| kept.suspension)
    }

    /// The kept state of a link.
    pub fn get(&self, key: &Key) -> Option<&Suspension<S>> {
        self.kept.get(key).map(|kept| &kept.suspension)
    }

    /// All that must be written down to survive this process (§3.5.5): for the rest a restart is the end.
    pub fn durable(&self) -> impl Iterator<Item = (&Key, &Suspension<S>)> {
        let lasts = |suspension: &Suspension<S>| suspension.durable != TerminusDurability::None;
        self.kept.iter().map(|(key, kept)| (key, &kept.suspension)).filter(move |(_, kept)| lasts(kept))
    }

    /// When [`expire`](Self::expire) has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.kept.values().filter_map(|kept| kept.expires).min()
    }

    /// Takes out what has expired: its deliveries have their source's default outcome.
    pub fn expire(&mut self, now: Instant) -> Vec<(Key, Suspension<S>)> {
        let due = |kept: &Kept<S>| kept.expires.is_some_and(|at| at <= now);
        let due: Vec<_> = self.kept.iter().filter(|(_, kept)| due(kept)).map(|(key, _)| key.clone()).collect();
        due.into_iter().filter_map(|key| self.kept.remove(&key).map(|kept| (key, kept.suspension))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use amqp1_engine::SuspendedSender;

    fn key(link: &'static str) -> Key {
        Key::new("peer", link, Role::Sender)
    }

    fn suspension(policy: TerminusExpiryPolicy, timeout: Seconds) -> Suspension {
        let durable = TerminusDurability::UnsettledState;
        Suspension { state: Suspended::Sender(SuspendedSender::new()), durable, policy, timeout }
    }

    fn at(seconds: u64) -> Instant {
        Instant::default() + Duration::from_secs(seconds)
    }

    #[test]
    fn m_3_5_6_1_the_time_of_a_terminus_runs_from_the_event_of_its_policy() {
        use TerminusExpiryPolicy::{ConnectionClose, LinkDetach, Never, SessionEnd};
        for (policy, runs_after) in [(LinkDetach, 0), (SessionEnd, 1), (ConnectionClose, 2), (Never, 3)] {
            let mut store = TerminusStore::new(10);
            store.suspend(key("l"), suspension(policy, 10), Lost::Link, at(0));
            assert_eq!(store.poll_timeout().is_some(), runs_after == 0, "{policy:?}");
            store.session_ended(&[key("l")], at(5));
            assert_eq!(store.poll_timeout().is_some(), runs_after <= 1, "{policy:?}");
            store.connection_closed(&[key("l")], at(6));
            let expected = [Some(at(10)), Some(at(15)), Some(at(16)), None][runs_after];
            assert_eq!(store.poll_timeout(), expected, "{policy:?}");
            if let Some(expires) = expected {
                assert!(store.expire(at(9)).is_empty());
                assert_eq!(store.expire(expires).len(), 1);
                assert!(store.resume(&key("l")).is_none() && store.is_empty());
            }
        }
    }

    /// Also M-3.5.6-1: attached again, it does not expire.
    #[test]
    fn m_3_3_2_what_expires_is_given_out_to_be_released_and_what_is_resumed_is_not() {
        let mut store = TerminusStore::new(10);
        let session_end = || suspension(TerminusExpiryPolicy::SessionEnd, 0);
        store.suspend(key("a"), session_end(), Lost::Session, at(1));
        store.suspend(key("b"), session_end(), Lost::Session, at(1));
        assert!(store.resume(&key("a")).is_some());
        let expired: Vec<_> = store.expire(at(1)).into_iter().map(|(key, _)| key).collect();
        assert_eq!(expired, vec![key("b")]);
    }

    #[test]
    fn t_2_5_2_3_the_end_of_a_session_leaves_the_termini_of_its_links() {
        let mut store = TerminusStore::new(10);
        store.suspend(key("l"), suspension(TerminusExpiryPolicy::SessionEnd, 30), Lost::Session, at(0));
        assert!(store.get(&key("l")).is_some());
        // The other direction of the same name is another link.
        assert!(store.get(&Key::new("peer", "l", Role::Receiver)).is_none());
        assert_eq!(store.durable().count(), 1);
    }

    /// Of two connections of a container one ends; what is suspended on the other is not concerned.
    #[test]
    fn m_3_5_6_1_the_end_of_a_connection_is_not_that_of_others_of_its_container() {
        let mut store = TerminusStore::new(10);
        let suspension = || suspension(TerminusExpiryPolicy::ConnectionClose, 10);
        store.suspend(key("a"), suspension(), Lost::Link, at(0));
        store.suspend(key("b"), suspension(), Lost::Link, at(0));
        store.connection_closed(&[key("a")], at(1));
        let expired: Vec<_> = store.expire(at(100)).into_iter().map(|(key, _)| key).collect();
        assert_eq!((expired, store.poll_timeout()), (vec![key("a")], None));
        assert!(store.get(&key("b")).is_some());
    }

    #[test]
    fn a_container_with_too_many_termini_loses_its_own() {
        let mut store = TerminusStore::new(10).max_of_container(2);
        let never = || suspension(TerminusExpiryPolicy::Never, 0);
        let of = |container: &'static str, link: &'static str| Key::new(container, link, Role::Sender);
        assert!(store.suspend(of("other", "a"), never(), Lost::Link, at(0)).is_none());
        assert!(store.suspend(of("peer", "b"), never(), Lost::Link, at(0)).is_none());
        assert!(store.suspend(of("peer", "a"), never(), Lost::Link, at(0)).is_none());
        // Again, it is the same.
        assert!(store.suspend(of("peer", "a"), never(), Lost::Link, at(0)).is_none());
        let (dropped, _) = store.suspend(of("peer", "c"), never(), Lost::Link, at(0)).expect("one too many");
        assert_eq!((dropped, store.len()), (of("peer", "b"), 3));
    }

    #[test]
    fn there_are_never_more_than_the_bound() {
        let mut store = TerminusStore::new(1);
        let never = || suspension(TerminusExpiryPolicy::Never, 0);
        assert!(store.suspend(key("a"), never(), Lost::Link, at(0)).is_none());
        let (dropped, _) = store.suspend(key("b"), never(), Lost::Link, at(0)).expect("one too many");
        assert_eq!((dropped, store.len()), (key("a"), 1));
    }
}
