use core::time::Duration;

use crate::UnixSeconds;

/// The time on both clocks, read by the caller at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// Time since any fixed moment, on a clock that never goes backwards.
    pub monotonic: Duration,
    /// The time of day, which may be set forwards and backwards.
    pub wall: UnixSeconds,
}

/// When to renew a token and how to go on after a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalPolicy {
    /// The part of a token's life, in per cent, after which it is renewed. 80 unless set.
    pub renew_at_percent: u8,
    /// A token is renewed at least this long before its expiry, provided that it lives long enough. 30 s unless set.
    pub margin: Duration,
    /// A token is renewed no sooner than this after it was sent, however short its life. 1 s unless set.
    pub min_interval: Duration,
    /// How long to wait for the node's answer before the attempt counts as failed. 30 s unless set.
    pub reply_timeout: Duration,
    /// The pause after the first failed attempt; it doubles with each one that follows. 1 s unless set.
    pub min_backoff: Duration,
    /// The longest pause between attempts. 30 s unless set.
    pub max_backoff: Duration,
    /// How long to go on trying while no token was ever accepted. 60 s unless set.
    pub first_token_timeout: Duration,
    /// The longest time between two looks at the wall clock; a computer that slept is noticed by it. 60 s unless set.
    pub clock_check: Duration,
}

impl Default for RenewalPolicy {
    fn default() -> Self {
        Self {
            renew_at_percent: 80,
            margin: Duration::from_secs(30),
            min_interval: Duration::from_secs(1),
            reply_timeout: Duration::from_secs(30),
            min_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(30),
            first_token_timeout: Duration::from_secs(60),
            clock_check: Duration::from_secs(60),
        }
    }
}

impl RenewalPolicy {
    /// How long after it was sent a token that lives for `life` is renewed.
    fn renew_after(&self, life: Duration) -> Duration {
        let share = life.saturating_mul(u32::from(self.renew_at_percent.min(100))) / 100;
        share.min(life.saturating_sub(self.margin)).max(self.min_interval)
    }

    /// The pause after `failures` attempts in a row have failed.
    fn backoff(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.min_backoff.saturating_mul(1 << doublings).min(self.max_backoff)
    }
}

/// The action that [`Renewal::poll`] asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make or fetch a token, put it to the node, then say so with [`Renewal::handle_sent`]. If there is no token to
    /// be had, say [`Renewal::handle_reply`] with an error at once.
    PutToken,
    /// The last token expired, or none was ever accepted, and no other could be had in time. The renewal has stopped.
    Expired,
}

/// Why an attempt to put a token failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The node is busy, the token provider did not answer, the link went: another attempt may do better.
    Temporary,
    /// The node does not accept the token. Ends the renewal if no token was accepted yet; with a token that is still
    /// good it is tried again, since a token made later may be accepted.
    Final,
}

/// Where a [`Renewal`] stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewalState {
    /// No token was accepted so far.
    Pending,
    /// A token was accepted and has not expired.
    Valid {
        /// Its expiry.
        expiry: UnixSeconds,
    },
    /// Stopped after [`Action::Expired`]; [`Renewal::renew_now`] starts it again.
    Stopped,
}

/// The schedule by which the token for one audience is put and renewed. It does no input or output and reads no
/// clock.
///
/// Call [`poll`](Self::poll) at once, after each `handle_*` and whenever the time of
/// [`poll_timeout`](Self::poll_timeout) has come, until it gives `None`.
///
/// # Two clocks
///
/// An expiry is a time of day, and the time of day can be set. A token is due for renewal when *either* clock says
/// so: the monotonic one if the wall clock was set back, the wall clock if it was set forward or if the computer slept
/// and its monotonic clock with it. A token counts as expired by the monotonic clock only, measured from when it was
/// sent: a wall clock that jumps forward brings a renewal, not an end.
///
/// # Answers
///
/// At most one request is outstanding. When its answer does not come within the policy's `reply_timeout`, the attempt
/// has failed; an answer that comes even later is to be dropped by the caller, who knows requests by their message-id.
#[derive(Clone, Debug)]
pub struct Renewal {
    policy: RenewalPolicy,
    phase: Phase,
    token: Option<Accepted>,
    /// Attempts that failed since the last success.
    failures: u32,
    /// When the first token was first due, for the policy's `first_token_timeout`.
    started: Option<Duration>,
    /// The monotonic time of the last call.
    last_seen: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A token is to be put as soon as the caller polls.
    Due,
    /// The caller was asked for a token. What was sent, if it was, is `sent`.
    Awaiting {
        since: Duration,
        sent: Option<Accepted>,
    },
    /// A token is good, and the next one is not due.
    Resting,
    /// The last attempt failed; the next is at `until`.
    BackingOff {
        until: Duration,
    },
    /// To be reported as expired.
    Failed,
    Stopped,
}

/// A token on its way or accepted, in the time of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Accepted {
    expiry: UnixSeconds,
    expiry_monotonic: Duration,
    renew_monotonic: Duration,
    renew_wall: UnixSeconds,
}

impl Accepted {
    fn is_due(&self, now: Clocks) -> bool {
        now.monotonic >= self.renew_monotonic || now.wall >= self.renew_wall
    }
}

impl Renewal {
    /// A schedule whose first token is due at once.
    pub fn new(policy: RenewalPolicy) -> Self {
        Self { policy, phase: Phase::Due, token: None, failures: 0, started: None, last_seen: Duration::ZERO }
    }

    /// When to call [`poll`](Self::poll) next, on the monotonic clock; a time that is past means now. `None` while
    /// the renewal is stopped.
    ///
    /// Every other method may change the answer.
    pub fn poll_timeout(&self) -> Option<Duration> {
        match self.phase {
            Phase::Due | Phase::Failed => Some(self.last_seen),
            Phase::Awaiting { since, .. } => Some(since.saturating_add(self.policy.reply_timeout)),
            Phase::Resting => {
                let check = self.last_seen.saturating_add(self.policy.clock_check);
                Some(self.token.map_or(self.last_seen, |token| token.renew_monotonic.min(check)))
            }
            Phase::BackingOff { until } => Some(self.deadline().map_or(until, |deadline| until.min(deadline))),
            Phase::Stopped => None,
        }
    }

    /// The action that is due.
    pub fn poll(&mut self, now: Clocks) -> Option<Action> {
        self.last_seen = now.monotonic;
        match self.phase {
            Phase::Awaiting { since, .. } if now.monotonic >= since.saturating_add(self.policy.reply_timeout) => {
                self.attempt_failed(now, Refusal::Temporary);
            }
            Phase::Resting if self.token.is_none_or(|token| token.is_due(now)) => self.phase = Phase::Due,
            _ => {}
        }
        if let Phase::BackingOff { until } = self.phase {
            // The deadline first: the last attempt before it has been made.
            if self.deadline().is_some_and(|deadline| now.monotonic >= deadline) {
                self.phase = Phase::Failed;
            } else if now.monotonic >= until {
                self.phase = Phase::Due;
            }
        }
        match self.phase {
            Phase::Due => {
                self.started.get_or_insert(now.monotonic);
                self.phase = Phase::Awaiting { since: now.monotonic, sent: None };
                Some(Action::PutToken)
            }
            Phase::Failed => {
                self.phase = Phase::Stopped;
                self.token = None;
                Some(Action::Expired)
            }
            _ => None,
        }
    }

    /// The token that [`Action::PutToken`] asked for was sent; it is good until `expiry`.
    ///
    /// The time to wait for the answer runs from now. Without such a request outstanding this does nothing.
    pub fn handle_sent(&mut self, now: Clocks, expiry: UnixSeconds) {
        self.last_seen = now.monotonic;
        if let Phase::Awaiting { .. } = self.phase {
            let life = expiry.saturating_duration_since(now.wall);
            let renew_after = self.policy.renew_after(life);
            let sent = Accepted {
                expiry,
                expiry_monotonic: now.monotonic.saturating_add(life),
                renew_monotonic: now.monotonic.saturating_add(renew_after),
                // Rounded up, so that the two clocks agree where neither was set.
                renew_wall: now.wall.saturating_add(renew_after.saturating_add(Duration::from_nanos(999_999_999))),
            };
            self.phase = Phase::Awaiting { since: now.monotonic, sent: Some(sent) };
        }
    }

    /// The node answered, or the attempt failed before that. Without a request outstanding this does nothing.
    pub fn handle_reply(&mut self, now: Clocks, reply: Result<(), Refusal>) {
        self.last_seen = now.monotonic;
        let Phase::Awaiting { sent, .. } = self.phase else { return };
        match (reply, sent) {
            (Ok(()), Some(token)) => {
                self.token = Some(token);
                self.failures = 0;
                self.phase = Phase::Resting;
            }
            // An answer to nothing: the caller's mistake must not pass for a token.
            (Ok(()), None) => self.attempt_failed(now, Refusal::Temporary),
            (Err(refusal), _) => self.attempt_failed(now, refusal),
        }
    }

    /// Makes a new token due at once, also if the renewal has stopped: after a new connection, or when a peer says
    /// that the token is not good any more.
    pub fn renew_now(&mut self, now: Clocks) {
        self.last_seen = now.monotonic;
        self.failures = 0;
        if self.phase == Phase::Stopped {
            self.started = None;
        }
        self.phase = Phase::Due;
    }

    /// Forgets the accepted token and makes a new one due at once: a new connection knows none.
    pub fn reset(&mut self, now: Clocks) {
        self.token = None;
        self.started = None;
        self.renew_now(now);
    }

    /// Whether there is a good token, as of the last call.
    pub fn state(&self) -> RenewalState {
        match (self.phase, self.token) {
            (Phase::Stopped | Phase::Failed, _) => RenewalState::Stopped,
            (_, Some(token)) => RenewalState::Valid { expiry: token.expiry },
            (_, None) => RenewalState::Pending,
        }
    }

    /// When trying is over.
    fn deadline(&self) -> Option<Duration> {
        match self.token {
            Some(token) => Some(token.expiry_monotonic),
            None => self.started.map(|started| started.saturating_add(self.policy.first_token_timeout)),
        }
    }

    fn attempt_failed(&mut self, now: Clocks, refusal: Refusal) {
        if refusal == Refusal::Final && self.token.is_none() {
            self.phase = Phase::Failed;
            return;
        }
        self.failures = self.failures.saturating_add(1);
        self.phase = Phase::BackingOff { until: now.monotonic.saturating_add(self.policy.backoff(self.failures)) };
    }
}

#[cfg(test)]
mod tests;
