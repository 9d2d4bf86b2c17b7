//! What both kinds of link have in common.

use crate::{
    handle::session::SessionHandle,
    resume::Part,
    state::{
        drain::LinkDrain,
        shared::{Shared, State},
        wait::{Aside, Place, WaitList, within},
    },
    types::error::{Error, ErrorKind},
};
use amqp1_codec::{
    definitions::{AmqpError, SenderSettleMode},
    messaging::DeliveryState,
    performative::Attach,
};
use amqp1_engine::{
    ApiMisuse, Blocked, Cause, Connection as Engine, DeliveryKey, IncomingDelivery, LinkId, StreamItem,
};
use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Poll, Waker},
    time::Duration,
};

/// How a link ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Detached {
    /// Whether it was closed for good.
    pub closed: bool,
    /// Why.
    pub error: Option<AmqpError>,
    /// By whom.
    pub by: Cause,
    /// Whether it was never attached, because the peer's handle-max allows no more links.
    no_handle: bool,
}

impl Detached {
    pub(crate) fn new(detached: &amqp1_engine::Detached) -> Self {
        let amqp1_engine::Detached { closed, error, by, no_handle, .. } = detached;
        Self { closed: *closed, error: error.clone(), by: *by, no_handle: *no_handle }
    }

    /// The connection went, and the link with it.
    fn by_connection() -> Self {
        Self { closed: false, error: None, by: Cause::Connection, no_handle: false }
    }

    /// Returns what the end means to what was in flight on the link, as an error.
    pub fn to_error(&self) -> Error {
        let (kind, text) = match self.by {
            Cause::Peer => (ErrorKind::LinkDetached, "the peer detached the link"),
            Cause::Local => (ErrorKind::LinkDetached, "the link was detached at this end"),
            Cause::Session => (ErrorKind::SessionEnded, "the session of the link ended"),
            Cause::Connection => (ErrorKind::Closed, "the connection of the link ended"),
        };
        Error::new(kind, text).with_amqp(self.error.clone())
    }

    /// The same, before the peer had attached its end.
    fn to_refusal(&self) -> Error {
        match self.by {
            Cause::Peer => {
                Error::new(ErrorKind::LinkRefused, "the peer refused the link").with_amqp(self.error.clone())
            }
            // Nothing has left, and the peer has said nothing.
            Cause::Local if self.no_handle => {
                Error::new(ErrorKind::LinkRefused, "the peer allows no more links on this session (handle-max)")
            }
            _ => self.to_error(),
        }
    }
}

/// Messages of this many octets may wait on a link before there is no room for more.
pub(crate) const ROOM: usize = 1024 * 1024;

/// How many messages may be queued on a link now, if there is room on the connection.
pub(crate) fn room(engine: &mut Engine, id: LinkId) -> u32 {
    engine.sender(id).map_or(0, |sender| if sender.queued() < ROOM { sender.credit() } else { 0 })
}

/// Why nothing can be sent on a link now, if that is so.
pub(crate) fn blocked(engine: &mut Engine, id: LinkId) -> Option<Blocked> {
    let sender = engine.sender(id).ok()?;
    sender.blocked().or_else(|| (sender.queued() >= ROOM).then_some(Blocked::Queue))
}

/// Somebody who waits for credit.
#[derive(Debug)]
struct Ticket {
    number: u64,
    waker: Option<Waker>,
}

/// What a permit claims.
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
    pub(crate) undelivered: VecDeque<IncomingDelivery>,
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
    /// Whoever waits for a delivery.
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
    /// What was sent and settled without an outcome has this one.
    pub(crate) default_outcome: Option<Box<DeliveryState>>,
    /// What a link has that can be resumed.
    pub(crate) resume: Option<Box<Part>>,
    /// It must be attached again before anything is sent (§2.7.3, incomplete-unsettled).
    pub(crate) reattach: bool,
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
        }
    }

    /// How the sender settles.
    pub(crate) fn settle_mode(&self) -> SenderSettleMode {
        self.settle_mode
    }

    /// What the sender may do, when both ends have said what they want.
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
        if self.reattach { Err(crate::resume::reattach()) } else { Ok(()) }
    }

    fn free(&self, room: u32) -> usize {
        usize::try_from(room.saturating_sub(self.permits)).unwrap_or(usize::MAX)
    }

    /// Wakes as many of those who wait for credit as there is credit for, at most this many; how many that is.
    pub(crate) fn feed(&mut self, engine: &mut Engine, id: LinkId, most: usize, aside: &mut Aside<'_>) -> usize {
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

/// A link as its handles hold it; the last one detaches it.
#[derive(Debug)]
pub(crate) struct LinkHandle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: LinkId,
    pub(crate) session: Arc<SessionHandle>,
    /// Whether dropping the last handle closes the link, or only detaches it.
    pub(crate) close_on_drop: bool,
}

/// What both ends of a link have: `$before` says what goes before the detach.
macro_rules! common {
    ($before:literal) => {
        pub(crate) fn handle(&self) -> &Arc<LinkHandle> {
            &self.handle
        }

        /// What the peer has attached the link with. It is decoded at each call.
        pub fn remote_attach(&self) -> Attach {
            self.handle.remote_attach()
        }

        #[doc = concat!("Detaches the link, which may be attached again. ", $before)]
        ///
        /// # Errors
        ///
        /// If the peer does not answer in time, or has detached with an error.
        ///
        /// # Cancel safety
        ///
        /// Cancelled, it goes on by itself.
        pub async fn detach(&self) -> Result<(), Error> {
            self.handle.detach(false, None).await
        }

        /// Closes the link for good; otherwise as [`detach`](Self::detach).
        ///
        /// # Errors
        ///
        /// As [`detach`](Self::detach).
        ///
        /// # Cancel safety
        ///
        /// As [`detach`](Self::detach).
        pub async fn close(&self) -> Result<(), Error> {
            self.handle.detach(true, None).await
        }

        /// Detaches the link, or closes it, and tells the peer why. With an error nothing that is queued is sent.
        ///
        /// # Errors
        ///
        /// As [`detach`](Self::detach).
        ///
        /// # Cancel safety
        ///
        /// As [`detach`](Self::detach).
        pub async fn detach_with(&self, error: Option<AmqpError>, closed: bool) -> Result<(), Error> {
            self.handle.detach(closed, error).await
        }

        /// Waits until the link is over, for whatever reason. Holds the link while it waits, but does not borrow this,
        /// so that it can be waited for beside other calls.
        ///
        /// # Cancel safety
        ///
        /// Cancel-safe.
        pub fn detached(&self) -> impl Future<Output = Detached> + Send + use<> {
            let handle = self.handle.clone();
            async move { handle.detached().await }
        }
    };
}

pub(crate) use common;

impl State {
    /// The link, if it can still be used.
    pub(crate) fn live_link(&mut self, id: LinkId) -> Result<&mut LinkState, Error> {
        let closed = self.closed_error();
        match self.links.get_mut(&id).map(|link| &mut **link) {
            Some(LinkState { detached: Some(detached), .. }) => Err(closed.unwrap_or_else(|| detached.to_error())),
            Some(_) if closed.is_some() => Err(closed.unwrap_or_else(gone)),
            Some(link) => link.ready().map(|()| link),
            None => Err(closed.unwrap_or_else(gone)),
        }
    }

    /// The attach of the peer, while the engine has it.
    pub(crate) fn remote_attach(&mut self, id: LinkId) -> Option<Attach> {
        self.engine.link(id).ok()?.remote_attach()
    }

    /// Whether the receiver drains the link and was not answered yet.
    pub(crate) fn is_drain_requested(&mut self, id: LinkId) -> bool {
        self.engine.sender(id).is_ok_and(|sender| sender.is_drain_requested())
    }

    /// States an outcome, unless it cannot reach the sender any more.
    pub(crate) fn dispose(&mut self, id: LinkId, key: DeliveryKey, outcome: DeliveryState) -> Result<(), Error> {
        if self.is_dead() {
            return Err(self.link_failure(id));
        }
        self.engine.receiver(id).and_then(|mut receiver| receiver.dispose(key, outcome)).map_err(|misuse| match misuse {
            ApiMisuse::Detached => {
                let text = "the link was detached at this end before the delivery was settled: the sender is not told, \
                            and may deliver it again";
                Error::new(ErrorKind::LinkDetached, text)
            }
            ApiMisuse::FrameTooLarge { .. } => misuse.into(),
            _ => self.link_failure(id),
        })
    }

    /// Why a link cannot be used any more.
    pub(crate) fn link_failure(&self, id: LinkId) -> Error {
        let detached = self.links.get(&id).and_then(|link| link.detached.as_deref());
        self.closed_error().or_else(|| detached.map(Detached::to_error)).unwrap_or_else(gone)
    }
}

impl LinkHandle {
    pub(crate) fn timeout(&self) -> Duration {
        self.session.connection.timeout
    }

    /// Drops what waits of the delivery that was read piece by piece, and what still comes of it.
    pub(crate) fn skip_stream(&self) {
        // Of a link that is over nothing comes.
        let skipped = self.shared.command(|state, _| {
            if let Ok(mut receiver) = state.engine.receiver(self.id) {
                receiver.skip_stream();
            }
        });
        if skipped.is_err() {
            tracing::debug!("the rest of a stream is lost with its connection");
        }
    }

    pub(crate) fn remote_attach(&self) -> Attach {
        self.shared.look(|state| state.remote_attach(self.id)).unwrap_or_default()
    }

    /// Waits for the peer's answer to our attach. A link that has ended since was attached all the same: what is sent or
    /// received next says how it ended, however fast the end came, and what had arrived on it can still be received.
    pub(crate) async fn attached(&self) -> Result<(), Error> {
        let id = self.id;
        let attached = self.shared.wait(Place::Link(id), |state| {
            let closed = state.closed_error();
            let link = state.links.get(&id)?;
            match &link.detached {
                _ if link.attached => Some(Ok(())),
                Some(detached) => Some(Err(closed.unwrap_or_else(|| detached.to_refusal()))),
                None => None,
            }
        });
        within(&self.shared, self.timeout(), "attaching a link", attached).await?
    }

    /// Waits until the link is over, for whatever reason.
    pub(crate) async fn detached(&self) -> Detached {
        let id = self.id;
        let detached = self.shared.wait(Place::Link(id), |state| state.links.get(&id)?.detached.as_deref().cloned());
        detached.await.unwrap_or_else(|_| Detached::by_connection())
    }

    /// Whether the link has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.shared.look(|state| {
            let link = state.links.get(&self.id);
            state.closed.is_some() || link.is_none_or(|link| link.detached.is_some())
        })
    }

    /// Why the link cannot be used any more.
    pub(crate) fn failure(&self) -> Error {
        self.shared.look(|state| state.link_failure(self.id))
    }

    /// Detaches and waits for the peer's answer.
    pub(crate) async fn detach(&self, closed: bool, error: Option<AmqpError>) -> Result<(), Error> {
        // It may be over already; then that counts.
        let _ = self
            .shared
            .command(|state, _| state.engine.link(self.id).and_then(|mut link| link.detach(closed, error)))?;
        let detached =
            within(&self.shared, self.timeout(), "detaching a link", async { Ok(self.detached().await) }).await?;
        match (detached.by, &detached.error) {
            (Cause::Local, _) | (Cause::Peer, None) => Ok(()),
            (Cause::Peer, Some(_)) => Err(detached.to_error()),
            (Cause::Session | Cause::Connection, _) => Err(self.failure()),
        }
    }
}

impl Drop for LinkHandle {
    fn drop(&mut self) {
        let (id, closed) = (self.id, self.close_on_drop);
        let state = self.shared.command(|state, aside| {
            let _ = state.engine.link(id).and_then(|mut link| link.detach(closed, None));
            state.forget_link(id, aside)
        });
        // What it holds is dropped when the lock is released.
        drop(state);
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::LinkDetached, "the link is gone")
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp1_codec::definitions::ErrorCondition;

    #[test]
    fn only_a_link_without_a_handle_is_refused_by_the_handle_max() {
        let error = Some(AmqpError::new(ErrorCondition::RESOURCE_LIMIT_EXCEEDED, "too much is said"));
        let detached = |no_handle| Detached { closed: true, error: error.clone(), by: Cause::Local, no_handle };
        let (refused, exceeded) = (detached(true).to_refusal(), detached(false).to_refusal());
        assert_eq!((refused.kind(), exceeded.kind()), (ErrorKind::LinkRefused, ErrorKind::LinkDetached));
        assert!(refused.to_string().contains("handle-max"), "{refused}");
        assert!(!exceeded.to_string().contains("handle-max"), "{exceeded}");
        assert!(exceeded.to_string().contains("too much is said"), "{exceeded}");
    }
}
