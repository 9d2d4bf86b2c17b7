//! Drains of links on which this end sends (§2.6.7): who answers them, and when.
//!
//! The engine reports a drain and leaves the credit usable until it is answered. On a link whose application answers,
//! that is [`Sender::drained`](crate::Sender::drained). On the others it is the driver, after those who waited for credit have sent, the
//! application's tasks have had a turn, and nothing was sent for a moment: on a runtime of several threads a task may be
//! between two messages while another thread has nothing to do.

use crate::state::ids::LinkKey;
use amqp1_engine::{DrainMode, Instant};
use std::time::Duration;

/// How long a task that was woken for credit may take to claim it before a drain is answered without it.
const CLAIM: Duration = Duration::from_secs(1);

/// How long nothing may have been sent before a drain is answered.
const QUIET: Duration = Duration::from_millis(10);

/// The drain that a link's receiver asks for.
#[derive(Debug, Default)]
pub(crate) struct LinkDrain {
    /// The application answers.
    pub(super) by_application: bool,
    /// The link is among those that the driver answers.
    pub(super) listed: bool,
    /// The turn of the application's tasks after which the driver answers.
    pub(super) after_turn: Option<u64>,
    /// Since when credit that a task waits for is unclaimed.
    pub(super) unclaimed_since: Option<Instant>,
    /// The credit when it was used last, and since when.
    pub(super) quiet: Option<(u32, Instant)>,
}

impl LinkDrain {
    /// Takes the application's choice; gives the engine's. Where the driver answers, the engine's time-out only bounds it.
    pub(crate) fn choose(&mut self, mode: DrainMode, operation_timeout: Duration) -> DrainMode {
        self.by_application = mode != DrainMode::Automatic;
        if self.by_application { mode } else { DrainMode::Application { timeout: operation_timeout } }
    }
}

impl LinkDrain {
    /// When nothing will have been sent for long enough, if nothing is sent until then.
    pub(super) fn is_quiet_at(&mut self, credit: u32, now: Instant) -> Instant {
        let quiet = self.quiet.get_or_insert((credit, now));
        if quiet.0 != credit {
            *quiet = (credit, now);
        }
        quiet.1 + QUIET
    }

    /// Until when a drain waits for those who wait for credit; `owed` says whether there are such, and credit for them.
    pub(super) fn waits_for_service(&mut self, owed: bool, now: Instant) -> Option<Instant> {
        if !owed {
            self.unclaimed_since = None;
            return None;
        }
        let until = *self.unclaimed_since.get_or_insert(now) + CLAIM;
        (now < until).then_some(until)
    }
}

/// Links whose drains the driver answers.
#[derive(Debug, Default)]
pub(crate) struct Drains {
    pub(super) links: Vec<LinkKey>,
    /// Turns of the application's tasks that are over.
    pub(super) turns: u64,
    /// When to look again.
    pub(crate) deadline: Option<Instant>,
}

impl Drains {
    pub(crate) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }
}

/// Whether the application's tasks have had a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TurnState {
    None,
    UnderWay,
    Over,
}
