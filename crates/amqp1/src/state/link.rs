//! The locked state of a link.

use crate::{
    state::{
        aside::{Aside, WaitList},
        drain::LinkDrain,
        engine::{Arrival, Engine},
        ids::LinkKey,
        suspended::{Part, reattach},
    },
    types::{detached::Detached, error::Error},
};
use amqp1_codec::{definitions::SenderSettleMode, messaging::DeliveryState};
use amqp1_engine::{Blocked, StreamItem};
use std::{
    collections::VecDeque,
    task::{Poll, Waker},
    time::Duration,
};

/// Messages of this many octets may wait on a link before there is no room for more.
pub(crate) const ROOM: usize = 1024 * 1024;

/// How many messages may be queued on a link now, if there is room on the connection.
pub(crate) fn room(engine: &mut Engine, id: LinkKey) -> u32 {
    engine.sender(id).map_or(0, |sender| sender.credit_below(ROOM))
}

/// Why nothing can be sent on a link now, if that is so.
pub(crate) fn blocked(engine: &mut Engine, id: LinkKey) -> Option<Blocked> {
    let sender = engine.sender(id).ok()?;
    sender.blocked().or_else(|| (sender.queued() >= ROOM).then_some(Blocked::Queue))
}

/// Somebody who waits for credit.
#[derive(Debug)]
struct Ticket {
    number: u64,
    waker: Option<Waker>,
}

/// The claim of a permit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    epoch: u32,
}

/// A link, as its handles know it.
#[derive(Debug)]
pub(crate) struct LinkState {
    pub(crate) attached: bool,
    pub(crate) detached: Option<Box<Detached>>,
    /// Deliveries that outlived the link, since the sender had settled them.
    pub(crate) undelivered: VecDeque<Arrival>,
    /// The rest of a streamed one that has outlived the link.
    pub(crate) stream_rest: VecDeque<StreamItem>,
    pub(crate) drained: bool,
    /// How many of its messages were rejected because they could not be decoded.
    pub(crate) undecodable: u64,
    /// It was logged that it is given no more credit.
    pub(crate) withheld_reported: bool,
    /// The answer to a drain is waited for: what comes before it may keep it from coming.
    pub(crate) draining: bool,
    pub(crate) waiting: WaitList,
    /// The task that waits for a delivery.
    pub(crate) receiver: Option<Waker>,
    settle_mode: SenderSettleMode,
    /// Those who wait for credit, in the order in which they came.
    tickets: VecDeque<Ticket>,
    next_ticket: u64,
    /// Permits that were given and not used.
    permits: u32,
    /// Permits that were given earlier than this are revoked.
    epoch: u32,
    pub(crate) drain: LinkDrain,
    /// Whether the link stands among the starved ones.
    pub(crate) listed: bool,
    /// How long an outcome is waited for, if not as long as on other links of the connection.
    pub(crate) outcome_timeout: Option<Option<Duration>>,
    /// The outcome of messages that were settled without one.
    pub(crate) default_outcome: Option<Box<DeliveryState>>,
    /// The state of a link that can be resumed.
    pub(crate) resume: Option<Box<Part>>,
    /// It must be attached again before anything is sent (§2.7.3, incomplete-unsettled).
    pub(crate) reattach: bool,
    /// How many deliveries were queued on it.
    pub(crate) queued: u64,
    /// How many of them were given up before any of them had left, and taken out of the queue.
    pub(crate) removed: u64,
    /// How many of them are lost without any of them having left.
    pub(crate) unsent: u64,
}

impl LinkState {
    pub(crate) fn new(settle_mode: SenderSettleMode) -> Self {
        Self {
            attached: false,
            detached: None,
            undelivered: VecDeque::new(),
            stream_rest: VecDeque::new(),
            drained: false,
            undecodable: 0,
            withheld_reported: false,
            draining: false,
            waiting: WaitList::default(),
            receiver: None,
            settle_mode,
            tickets: VecDeque::new(),
            next_ticket: 0,
            permits: 0,
            epoch: 0,
            drain: LinkDrain::default(),
            listed: false,
            outcome_timeout: None,
            default_outcome: None,
            resume: None,
            reattach: false,
            queued: 0,
            removed: 0,
            unsent: 0,
        }
    }

    /// How the sender settles.
    pub(crate) fn settle_mode(&self) -> SenderSettleMode {
        self.settle_mode
    }

    /// The sender's settle mode that both ends have agreed on.
    pub(crate) fn negotiate(&mut self, remote: Option<SenderSettleMode>) {
        if self.settle_mode == SenderSettleMode::Mixed {
            self.settle_mode = remote.unwrap_or_default();
        }
    }

    /// Whether a delivery is sent settled; `None` if it must not be as it is asked for.
    pub(crate) fn settles(&self, asked: bool) -> Option<bool> {
        match self.settle_mode {
            SenderSettleMode::Settled => Some(true),
            SenderSettleMode::Unsettled => (!asked).then_some(false),
            SenderSettleMode::Mixed => Some(asked),
        }
    }

    pub(crate) fn wake_all(&mut self, aside: &mut Aside<'_>) {
        self.waiting.wake(aside);
        aside.wake(self.receiver.take());
        aside.wake(self.tickets.iter_mut().filter_map(|ticket| ticket.waker.take()));
    }

    /// Gives back what it does not need.
    pub(crate) fn shrink(&mut self) {
        self.waiting.shrink();
        self.tickets.shrink_to_fit();
    }

    /// Whether the link does what is asked of it now.
    pub(crate) fn ready(&self) -> Result<(), Error> {
        if self.reattach { Err(reattach()) } else { Ok(()) }
    }

    fn free(&self, room: u32) -> usize {
        usize::try_from(room.saturating_sub(self.permits)).unwrap_or(usize::MAX)
    }

    /// Wakes as many of those who wait for credit as there is credit for, at most this many; how many that is.
    pub(crate) fn feed(&mut self, engine: &mut Engine, id: LinkKey, most: usize, aside: &mut Aside<'_>) -> usize {
        let free = self.free(room(engine, id)).min(most).min(self.tickets.len());
        aside.wake(self.tickets.iter_mut().take(free).filter_map(|ticket| ticket.waker.take()));
        free
    }

    pub(crate) fn is_starved(&mut self) -> bool {
        self.listed = !self.tickets.is_empty();
        self.listed
    }

    /// Whether a newcomer may send, with everyone served who came before.
    pub(crate) fn is_free(&self, room: u32) -> bool {
        self.tickets.len() < self.free(room)
    }

    /// Ready if there is credit for everyone who came before as well; otherwise waits in line.
    pub(crate) fn poll_turn(&mut self, ticket: &mut Option<u64>, room: u32, aside: &mut Aside<'_>) -> Poll<()> {
        let end = self.tickets.len();
        let place = match *ticket {
            None => end,
            Some(number) => self.tickets.iter().position(|ticket| ticket.number == number).unwrap_or(end),
        };
        if place < self.free(room) {
            if ticket.take().is_some() {
                let woken = self.tickets.remove(place);
                aside.trash(woken.and_then(|ticket| ticket.waker));
            }
            return Poll::Ready(());
        }
        if ticket.is_none() {
            *ticket = Some(self.next_ticket);
            self.tickets.push_back(Ticket { number: self.next_ticket, waker: None });
            self.next_ticket = self.next_ticket.wrapping_add(1);
        }
        if let Some(ticket) = self.tickets.get_mut(place) {
            aside.store(&mut ticket.waker);
        }
        Poll::Pending
    }

    /// Leaves the line; those behind move up.
    pub(crate) fn leave(&mut self, number: u64, room: u32, aside: &mut Aside<'_>) {
        if let Some(place) = self.tickets.iter().position(|ticket| ticket.number == number) {
            aside.trash(self.tickets.remove(place).and_then(|ticket| ticket.waker));
            let free = self.free(room);
            aside.wake(self.tickets.iter_mut().take(free).filter_map(|ticket| ticket.waker.take()));
        }
    }

    /// The claim of a permit that is given now.
    pub(crate) fn claim(&mut self) -> Claim {
        self.permits = self.permits.saturating_add(1);
        Claim { epoch: self.epoch }
    }

    /// A permit was used, or given back.
    pub(crate) fn release_permit(&mut self, claim: Claim) {
        if self.is_good(claim) {
            self.permits = self.permits.saturating_sub(1);
        }
    }

    pub(crate) fn is_good(&self, claim: Claim) -> bool {
        claim.epoch == self.epoch
    }

    /// The credit of all permits was given up.
    pub(crate) fn revoke_permits(&mut self) {
        self.permits = 0;
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// Whether a task waits for credit that is there. Idle permits do not count.
    pub(crate) fn is_owed_credit(&self, credit: u32) -> bool {
        !self.tickets.is_empty() && self.permits < credit
    }
}
