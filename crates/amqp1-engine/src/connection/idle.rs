//! Time: heartbeats both ways, the handshake's deadline, the wait for a close.

#![allow(clippy::arithmetic_side_effects, reason = "instants saturate, and durations are only halved")]

use super::{Connection, ConnectionState};
use crate::{config::ConnectionConfig, error::ConnectionError, time::Instant};
use amqp1_codec::definitions::{AmqpError, ErrorCondition};
use core::time::Duration;

/// The shortest idle time-out of a peer that this end keeps to, in milliseconds: one that wants to hear more often than
/// every few milliseconds costs more than it can be worth.
pub(super) const LEAST_MILLIS: u32 = 10;

#[derive(Debug)]
pub(super) struct Idle {
    now: Instant,
    /// How long we wait for the peer.
    threshold: Option<Duration>,
    last_received: Instant,
    /// How often the peer must hear from us: half of what it announced.
    interval: Option<Duration>,
    last_sent: Instant,
    /// An empty frame is to be written.
    pub(super) heartbeat_due: bool,
    handshake: Option<Instant>,
    close: Option<Instant>,
    /// No deadline of the connection is earlier than this.
    earliest: Option<Instant>,
}

impl Idle {
    pub(super) fn new(config: &ConnectionConfig, now: Instant) -> Self {
        let handshake = now + config.handshake_timeout;
        Self {
            now,
            threshold: config.idle_timeout.filter(|timeout| !timeout.is_zero()),
            last_received: now,
            interval: None,
            last_sent: now,
            heartbeat_due: false,
            handshake: Some(handshake),
            close: None,
            earliest: Some(handshake),
        }
    }

    pub(super) fn set_now(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// A deadline this much time from now.
    pub(super) fn after(&mut self, time: Duration) -> Instant {
        let deadline = self.now + time;
        self.note(deadline);
        deadline
    }

    /// A deadline is set.
    fn note(&mut self, deadline: Instant) {
        self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
    }

    pub(super) fn received(&mut self) {
        self.last_received = self.now;
    }

    pub(super) fn last_received(&self) -> Instant {
        self.last_received
    }

    pub(super) fn sent(&mut self) {
        self.last_sent = self.now;
        self.heartbeat_due = false;
        self.interval.map(|interval| self.after(interval));
    }

    /// The idle-time-out of our open: half of our own threshold (§2.4.5), in milliseconds.
    pub(super) fn announced(&self) -> Option<u32> {
        self.threshold.map(|threshold| u32::try_from((threshold / 2).as_millis()).unwrap_or(u32::MAX).max(1))
    }

    /// The handshake is done.
    pub(super) fn opened(&mut self, remote: Option<u32>) {
        self.handshake = None;
        self.interval = remote.filter(|millis| *millis > 0).map(|millis| Duration::from_millis(u64::from(millis)) / 2);
        let peer = self.threshold.map(|threshold| self.last_received + threshold);
        let own = self.interval.map(|interval| self.last_sent + interval);
        peer.into_iter().chain(own).for_each(|deadline| self.note(deadline));
    }

    pub(super) fn start_close(&mut self, timeout: Duration) {
        let deadline = self.after(timeout);
        self.close.get_or_insert(deadline);
    }

    /// Something left before our close could.
    pub(super) fn restart_close(&mut self, timeout: Duration) {
        self.close = Some(self.after(timeout));
    }

    fn deadlines(&self, closing: bool) -> impl Iterator<Item = Instant> {
        if closing {
            return [self.close, None, None, None].into_iter().flatten();
        }
        let peer = match self.handshake {
            Some(_) => None,
            None => self.threshold.map(|threshold| self.last_received + threshold),
        };
        let own = if self.heartbeat_due { None } else { self.interval.map(|interval| self.last_sent + interval) };
        [self.handshake, self.close, peer, own].into_iter().flatten()
    }
}

impl Connection {
    /// When to call [`handle_timeout`](Self::handle_timeout), if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let next = self.next_deadline();
        debug_assert!(
            next.is_none_or(|next| self.idle.earliest.is_some_and(|earliest| earliest <= next)),
            "{next:?} is earlier than {:?}",
            self.idle.earliest
        );
        next
    }

    /// A time that is not later than [`poll_timeout`](Self::poll_timeout), without the work of finding that: for a
    /// runtime that asks after each command whether its timer is set early enough. Deadlines that move on or go away
    /// move it at the next [`transmit`](Self::transmit) or [`handle_timeout`](Self::handle_timeout), which does nothing
    /// if it is called too early.
    pub fn earliest_timeout(&self) -> Option<Instant> {
        self.idle.earliest
    }

    /// Finds the earliest deadline.
    pub(super) fn look_for_deadlines(&mut self) {
        self.idle.earliest = self.next_deadline();
    }

    fn next_deadline(&self) -> Option<Instant> {
        if self.state == ConnectionState::End {
            return None;
        }
        let links = [
            self.drains.next_deadline(),
            self.handle_deadline(),
            self.stops.next_deadline(),
            self.shares.next_deadline(),
        ]
        .into_iter()
        .flatten();
        let links = links.filter(|_| !self.outbox.is_closed());
        self.idle.deadlines(self.outbox.is_closed()).chain(links).min()
    }

    /// When octets of the peer came last.
    pub fn last_received(&self) -> Instant {
        self.idle.last_received()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.idle.set_now(now);
        self.on_time(now);
        self.look_for_deadlines();
    }

    fn on_time(&mut self, now: Instant) {
        if self.state == ConnectionState::End {
            return;
        }
        let due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if due(self.idle.close) {
            // The frames before our close have had their time, and so has the peer's answer.
            self.close_unanswered = true;
            self.close_now(None, ConnectionError::LocallyClosed);
            self.enter_end();
            return;
        }
        if self.outbox.is_closed() {
            return;
        }
        self.answer_late_drains(now);
        self.stop_waiting(now);
        self.end_shares(now);
        if due(self.idle.handshake) {
            return self.handshake_incomplete();
        }
        self.end_awaiting(now);
        let idle = &self.idle;
        let silent = idle.handshake.is_none() && due(idle.threshold.map(|threshold| idle.last_received + threshold));
        if silent {
            let error = AmqpError::new(
                ErrorCondition::RESOURCE_LIMIT_EXCEEDED,
                "nothing was received within the idle time-out that was announced",
            );
            return self.close_now(Some(error), ConnectionError::IdleTimeout);
        }
        if due(idle.interval.map(|interval| idle.last_sent + interval)) {
            self.idle.heartbeat_due = true;
        }
    }

    pub(super) fn handshake_incomplete(&mut self) {
        self.idle.handshake = None;
        self.speak_up();
        let error = AmqpError::new(ErrorCondition::RESOURCE_LIMIT_EXCEEDED, "the handshake took too long or too much");
        self.close_now(Some(error), ConnectionError::HandshakeIncomplete);
    }
}
