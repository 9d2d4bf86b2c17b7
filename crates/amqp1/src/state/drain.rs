//! Drains of links on which this end sends (§2.6.7): who answers them, and when.
//!
//! The engine reports a drain and leaves the credit usable until it is answered. On a link whose application answers,
//! that is [`Sender::drained`]. On the others it is the driver, after those who waited for credit have sent, the
//! application's tasks have had a turn, and nothing was sent for a moment: on a runtime of several threads a task may be
//! between two messages while another thread has nothing to do.

use crate::{
    handle::{link::LinkState, sender::Sender},
    state::{
        shared::State,
        wait::{Aside, Place},
    },
    types::error::Error,
};
use amqp1_engine::{DrainMode, Instant, LinkId};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

/// How long a task that was woken for credit may take to claim it before a drain is answered without it.
const CLAIM: Duration = Duration::from_secs(1);

/// How long nothing may have been sent before a drain is answered.
const QUIET: Duration = Duration::from_millis(10);

/// What a link knows of the drain that its receiver asks for.
#[derive(Debug, Default)]
pub(crate) struct LinkDrain {
    /// The application answers.
    by_application: bool,
    /// The link is among those that the driver answers.
    listed: bool,
    /// The turn of the application's tasks after which the driver answers.
    after_turn: Option<u64>,
    /// Since when credit that a task waits for is unclaimed.
    unclaimed_since: Option<Instant>,
    /// The credit when it was used last, and since when.
    quiet: Option<(u32, Instant)>,
}

impl LinkDrain {
    /// Takes the application's choice; gives the engine's. Where the driver answers, the engine's time-out only bounds it.
    pub(crate) fn choose(&mut self, mode: DrainMode, operation_timeout: Duration) -> DrainMode {
        self.by_application = mode != DrainMode::Automatic;
        if self.by_application { mode } else { DrainMode::Application { timeout: operation_timeout } }
    }
}

/// Links whose drains the driver answers.
#[derive(Debug, Default)]
pub(crate) struct Drains {
    links: Vec<LinkId>,
    /// Turns of the application's tasks that are over.
    turns: u64,
    /// When to look again.
    pub(crate) deadline: Option<Instant>,
}

impl Drains {
    pub(crate) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }
}

impl State {
    pub(crate) fn on_drain_requested(&mut self, id: LinkId, aside: &mut Aside<'_>) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.waiting.wake(aside);
        link.drain.after_turn = None;
        link.drain.unclaimed_since = None;
        link.drain.quiet = None;
        if !link.drain.by_application && !std::mem::replace(&mut link.drain.listed, true) {
            self.drains.links.push(id);
        }
    }

    pub(crate) fn on_drain_answered(&mut self, id: LinkId, aside: &mut Aside<'_>) {
        if let Some(link) = self.links.get_mut(&id) {
            link.revoke_permits();
            link.waiting.wake(aside);
        }
    }

    /// Answers drains of links whose application does not: `turn` says whether a turn of its tasks is under way, or is
    /// over since this was last called. Whether one is to begin.
    pub(crate) fn answer_drains(&mut self, now: Instant, turn: TurnState) -> bool {
        if turn == TurnState::Over {
            self.drains.turns = self.drains.turns.wrapping_add(1);
        }
        self.drains.deadline = None;
        if self.drains.links.is_empty() {
            return false;
        }
        let Self { engine, links, drains, .. } = self;
        let Drains { links: listed, turns, deadline } = drains;
        let mut wants_turn = false;
        listed.retain(|id| {
            let Some(link) = links.get_mut(id) else { return false };
            if !engine.sender(*id).is_ok_and(|sender| sender.is_drain_requested()) {
                link.drain.listed = false;
                return false;
            }
            let credit = engine.sender(*id).map_or(0, |sender| sender.credit());
            let quiet = link.is_quiet_at(credit, now);
            if let Some(until) = link.waits_for_service(credit, now) {
                // A task that is served wakes the driver.
                *deadline = deadline.iter().copied().chain([until]).min();
                link.drain.after_turn = None;
                return true;
            }
            // One that is under way began too early.
            let next = turns.wrapping_add(if turn == TurnState::UnderWay { 2 } else { 1 });
            let after = *link.drain.after_turn.get_or_insert(next);
            if *turns >= after && now < quiet {
                *deadline = deadline.iter().copied().chain([quiet]).min();
                return true;
            }
            if *turns >= after {
                link.drain.listed = false;
                // It is a live link of ours that sends.
                let _ = engine.sender(*id).and_then(|mut sender| sender.drained());
                return false;
            }
            wants_turn = true;
            true
        });
        wants_turn && turn != TurnState::UnderWay
    }
}

impl LinkState {
    /// When nothing will have been sent for long enough, if nothing is sent until then.
    fn is_quiet_at(&mut self, credit: u32, now: Instant) -> Instant {
        let quiet = self.drain.quiet.get_or_insert((credit, now));
        if quiet.0 != credit {
            *quiet = (credit, now);
        }
        quiet.1 + QUIET
    }

    /// Until when a drain waits for those who wait for credit, or are about to use it.
    fn waits_for_service(&mut self, credit: u32, now: Instant) -> Option<Instant> {
        if !self.is_owed_credit(credit) {
            self.drain.unclaimed_since = None;
            return None;
        }
        let until = *self.drain.unclaimed_since.get_or_insert(now) + CLAIM;
        (now < until).then_some(until)
    }
}

/// Whether the application's tasks have had a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TurnState {
    None,
    UnderWay,
    Over,
}

/// A turn of the tasks that are ready now: it is over when the runtime has come round to a task that yields.
#[derive(Debug, Default)]
pub(crate) struct Turn(Option<tokio::task::JoinHandle<()>>);

impl Turn {
    /// Begins a turn. Those whose turn it is have been woken.
    pub(crate) fn begin(&mut self) {
        // In a task of its own, so that the driver, which others wake as well, does not end it early.
        self.0 = Some(tokio::spawn(tokio::task::yield_now()));
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> TurnState {
        let Some(task) = &mut self.0 else { return TurnState::None };
        match Pin::new(task).poll(cx) {
            Poll::Pending => TurnState::UnderWay,
            Poll::Ready(_) => {
                self.0 = None;
                TurnState::Over
            }
        }
    }
}

impl Sender {
    /// Waits until the receiver drains the link: it wants what there is to send now, and the rest of the credit given up.
    /// Holds the link while it waits, but does not borrow this.
    ///
    /// On a link with [`DrainMode::Application`] the credit can be used until [`drained`](Self::drained); this resolves at
    /// once again until then. On others the drain is answered when those who wait in [`send`](Self::send) or
    /// [`reserve`](Self::reserve) have sent, and nothing was sent for 10 ms. A sender that looks for its messages
    /// elsewhere, and may need longer for that, should answer by itself.
    ///
    /// An acceptor chooses by [`AttachReply::drain_mode`](crate::AttachReply), a client by
    /// [`SenderBuilder::drain_mode`](crate::SenderBuilder::drain_mode).
    ///
    /// ```no_run
    /// # use amqp1::{Error, Sender};
    /// # use std::collections::VecDeque;
    /// # async fn serve(sender: &Sender, mut messages: VecDeque<&'static str>) -> Result<(), Error> {
    /// loop {
    ///     sender.drain_requested().await?;
    ///     while let Some(message) = messages.front().copied() {
    ///         let Some(permit) = sender.try_reserve() else { break };
    ///         // Revoked, if the drain was answered meanwhile: the message stays.
    ///         let Ok(receipt) = permit.send(message) else { break };
    ///         messages.pop_front();
    ///         println!("{:?}", receipt.await?);
    ///     }
    ///     sender.drained()?;
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the link ends.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub fn drain_requested(&self) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        let handle = self.handle().clone();
        async move {
            let id = handle.id;
            let requested = handle.shared.wait(Place::Link(id), |state| match state.live_link(id) {
                Ok(_) => state.is_drain_requested(id).then_some(Ok(())),
                Err(error) => Some(Err(error)),
            });
            requested.await?
        }
    }

    /// Answers the receiver's drain: what is queued is sent, and the credit that is left is given up (§2.6.7). Permits
    /// that are held are revoked. Nothing happens unless the receiver drains the link.
    ///
    /// # Errors
    ///
    /// If the link has ended.
    pub fn drained(&self) -> Result<(), Error> {
        let id = self.handle().id;
        self.handle().shared.command(|state, _| {
            state.live_link(id)?;
            if state.is_drain_requested(id) {
                let answered = state.engine.sender(id).and_then(|mut sender| sender.drained());
                answered.map_err(|misuse| state.explain(misuse))?;
                state.live_link(id)?.revoke_permits();
            }
            Ok(())
        })?
    }
}
