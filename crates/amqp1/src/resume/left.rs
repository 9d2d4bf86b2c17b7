//! What is left of a link, on its way from one endpoint to the next.

use crate::{
    handle::link::{LinkHandle, LinkState},
    state::{
        shared::State,
        wait::{Aside, within},
    },
    types::{
        error::{Error, ErrorKind, Retry},
        outcome::or_default,
    },
};
use amqp1_codec::{
    DeliveryTag, EncodedMessage, Str,
    definitions::{ReceiverSettleMode, SenderSettleMode},
    messaging::DeliveryState,
};
use amqp1_engine::{IncomingDelivery, LinkId, Settlement, Suspended, SuspendedReceiver, SuspendedSender};
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

/// Marks the tokens of deliveries that may outlive their link. They are unique in the process, for the engine knows a
/// delivery by its token from one endpoint to the next. Others are keys of slots.
const LASTING: u64 = 1 << 63;

pub(crate) fn new_token() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    LASTING | NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Outcomes by tokens.
type Outcomes = Mutex<HashMap<u64, Option<DeliveryState>>>;

/// Outcomes that came after the link was suspended: while the session lives, the peer may still settle.
#[derive(Clone, Debug, Default)]
pub(crate) struct Late(Arc<Outcomes>);

impl Late {
    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<u64, Option<DeliveryState>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a link has left.
#[derive(Clone, Debug)]
pub(crate) struct Left {
    pub(crate) kept: Suspended,
    /// Deliveries that the sender had settled and nobody has taken.
    pub(crate) undelivered: VecDeque<IncomingDelivery>,
    pub(crate) late: Late,
}

impl Left {
    pub(crate) fn new(kept: Suspended) -> Self {
        Self { kept, undelivered: VecDeque::new(), late: Late::default() }
    }

    /// What a sending end has left.
    pub(crate) fn sender(kept: Suspended) -> Option<SuspendedSender> {
        match kept {
            Suspended::Sender(sender) => Some(sender),
            Suspended::Receiver(_) => None,
        }
    }

    /// What a receiving end has left.
    pub(crate) fn receiver(kept: Suspended) -> Option<SuspendedReceiver> {
        match kept {
            Suspended::Receiver(receiver) => Some(receiver),
            Suspended::Sender(_) => None,
        }
    }
}

/// Where it is kept between two endpoints; empty while there is one.
#[derive(Clone, Debug)]
pub(crate) struct Shelf(Arc<Mutex<Option<Left>>>);

impl Shelf {
    pub(crate) fn of(left: Left) -> Self {
        Self(Arc::new(Mutex::new(Some(left))))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<Left>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(&self) -> Result<Left, Error> {
        let text = "what this link has left is taken already: another endpoint goes on with it";
        self.lock().take().ok_or_else(|| Error::new(ErrorKind::Config, text))
    }

    pub(crate) fn put_back(&self, left: Left) {
        *self.lock() = Some(left);
    }
}

/// A delivery that an endpoint goes on with, and the slot for its outcome.
#[derive(Debug)]
pub(crate) struct Continued {
    pub(crate) tag: DeliveryTag,
    pub(crate) message: Option<EncodedMessage>,
    pub(crate) token: u64,
    pub(crate) slot: u64,
}

/// How both ends settle (§2.8.2, §2.8.3).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Modes {
    pub(crate) sender: SenderSettleMode,
    pub(crate) receiver: ReceiverSettleMode,
}

/// What a link that can be resumed has more than others.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) name: Str,
    pub(crate) modes: Modes,
    /// What the engine has handed over.
    pub(crate) kept: Option<Suspended>,
    pub(crate) late: Late,
    /// Deliveries that nobody has asked for yet.
    pub(crate) continued: Vec<Continued>,
}

impl Part {
    pub(crate) fn named(name: Str, modes: Modes) -> Self {
        Self { name, modes, ..Self::default() }
    }
}

/// Where what the engine says of a lasting token goes.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    slots: HashMap<u64, (LinkId, u64)>,
    /// With the default outcome of the link.
    late: HashMap<u64, (Weak<Outcomes>, Option<DeliveryState>)>,
}

impl Tokens {
    pub(crate) fn insert(&mut self, token: u64, id: LinkId, slot: u64) {
        self.slots.insert(token, (id, slot));
    }

    pub(crate) fn remove(&mut self, token: u64) -> Option<u64> {
        self.slots.remove(&token).map(|(_, slot)| slot)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The slot of a token.
    pub(crate) fn slot(&self, token: u64) -> Option<u64> {
        if token & LASTING == 0 {
            return Some(token);
        }
        self.slots.get(&token).map(|(_, slot)| *slot)
    }

    /// The token of a slot, as the engine knows it.
    pub(crate) fn of(&self, slot: u64) -> u64 {
        let found = self.slots.iter().find(|(_, (_, named))| *named == slot);
        found.map_or(slot, |(token, _)| *token)
    }
}

impl State {
    /// A token for the engine, for the message of this slot, which outlives its link or does not.
    pub(crate) fn token(&mut self, id: LinkId, slot: u64, lasts: bool) -> u64 {
        if !lasts {
            return slot;
        }
        let token = new_token();
        self.tokens.insert(token, id, slot);
        token
    }

    /// The message of this slot was not sent after all.
    pub(crate) fn take_back(&mut self, token: u64, slot: u64) {
        self.tokens.remove(token);
        self.receipts.take_back(slot);
    }

    /// The engine has paid.
    pub(crate) fn settle(&mut self, id: LinkId, token: u64, settlement: Settlement, aside: &mut Aside<'_>) {
        if !self.is_held(id, token, &settlement) {
            self.pay(id, token, settlement, aside);
        }
    }

    /// Pays who waits for a delivery.
    pub(crate) fn pay(&mut self, id: LinkId, token: u64, settlement: Settlement, aside: &mut Aside<'_>) {
        let settlement = match settlement {
            Settlement::Outcome(state) if !state.as_ref().is_some_and(DeliveryState::is_outcome) => {
                let default = self.links.get(&id).and_then(|link| link.default_outcome.as_deref());
                Settlement::Outcome(or_default(state, default))
            }
            settlement => settlement,
        };
        if token & LASTING == 0 {
            return self.receipts.settle(token, settlement, aside);
        }
        if let Some(slot) = self.tokens.remove(token) {
            return self.receipts.settle(slot, settlement, aside);
        }
        let late = self.tokens.late.remove(&token).and_then(|(late, default)| Some((late.upgrade()?, default)));
        if let (Some((late, default)), Settlement::Outcome(state)) = (late, settlement) {
            Late(late).lock().insert(token, or_default(state, default.as_ref()));
        }
    }

    /// A link is suspended: who asked for its deliveries is told so, and what is left is kept with it.
    pub(crate) fn on_suspended(&mut self, id: LinkId, kept: Suspended, aside: &mut Aside<'_>) {
        if let Suspended::Sender(sender) = &kept {
            for delivery in &sender.deliveries {
                self.sent_is_suspended(id, delivery.token, aside);
            }
        }
        let Self { links, tokens, receipts, .. } = self;
        let link = links.get_mut(&id);
        let (part, default) =
            link.map(|link| (link.resume.as_mut(), link.default_outcome.as_deref().cloned())).unwrap_or_default();
        if let Suspended::Sender(sender) = &kept {
            tokens.late.retain(|_, (late, _)| late.strong_count() > 0);
            for delivery in &sender.deliveries {
                if let Some(slot) = tokens.remove(delivery.token) {
                    receipts.suspend(slot, aside);
                }
                if let Some(part) = part.as_ref().filter(|_| delivery.begun) {
                    tokens.late.insert(delivery.token, (Arc::downgrade(&part.late.0), default.clone()));
                }
            }
        }
        if let Some(part) = part {
            part.kept = Some(kept);
        }
    }

    /// Nothing more can be said on this endpoint: who waits for what is not said yet is told so.
    pub(crate) fn on_reattach(&mut self, id: LinkId, aside: &mut Aside<'_>) {
        let Self { links, tokens, receipts, .. } = self;
        tokens.slots.retain(|_, (link, slot)| {
            let stays = *link != id;
            if !stays {
                receipts.suspend(*slot, aside);
            }
            stays
        });
        if let Some(link) = links.get_mut(&id) {
            link.reattach = true;
            link.wake_all(aside);
        }
    }

    /// What is said to those whose deliveries are lost.
    pub(crate) fn lost(&self, id: LinkId) -> Error {
        let link = self.links.get(&id);
        let lives = link.is_some_and(|link| link.detached.is_none() && link.resume.is_some());
        if self.closed.is_none() && lives {
            let text = "the message was streamed, and cannot be sent again now that its link is resumed";
            return Error::new(ErrorKind::Aborted, text);
        }
        self.link_failure(id)
    }

    /// What is said to those whose deliveries are kept.
    pub(crate) fn suspended(&self, id: LinkId) -> Error {
        let link = self.links.get(&id);
        let lives = link.is_some_and(|link| link.detached.is_none() && link.ready().is_err());
        if self.closed.is_none() && lives {
            return reattach();
        }
        let failure = self.link_failure(id);
        let text = "the link was suspended with the delivery on it, which goes on when the link is resumed";
        let error = Error::new(ErrorKind::Suspended, text).with_amqp(failure.amqp_error().cloned());
        error.with_retry(failure.retry()).with_source(failure)
    }

    /// Lets go of a link, and of what nobody has asked for.
    pub(crate) fn forget_link(&mut self, id: LinkId, aside: &mut Aside<'_>) -> Option<Box<LinkState>> {
        let link = self.links.remove(&id);
        for continued in link.iter().filter_map(|link| link.resume.as_ref()).flat_map(|part| &part.continued) {
            self.receipts.forget(continued.slot, aside);
        }
        link
    }
}

impl State {
    /// The default outcome of a link that both ends have attached. A node takes back what nobody has decided about.
    pub(crate) fn default_outcome(&mut self, id: LinkId) -> Option<DeliveryState> {
        let agreed = self.engine.link(id).ok().and_then(|link| link.default_outcome());
        agreed.or_else(|| self.server.is_some().then_some(DeliveryState::Released))
    }
}

impl LinkState {
    /// What the link has left, once.
    fn take_left(&mut self) -> Option<Left> {
        let part = self.resume.as_mut()?;
        let kept = part.kept.take()?;
        Some(Left { kept, undelivered: std::mem::take(&mut self.undelivered), late: part.late.clone() })
    }
}

/// A message of which pieces are handed out as they come is kept by nobody.
pub(crate) fn check_streamed(streamed: bool, resumable: bool) -> Result<(), Error> {
    let text = "a link whose messages are received piece by piece cannot be resumed";
    if streamed && resumable { Err(Error::new(ErrorKind::Config, text)) } else { Ok(()) }
}

pub(crate) fn reattach() -> Error {
    let text = "what is not settled on the link did not fit into its attach: suspend the link and resume it once more, or \
                detach it and attach it again if it is not resumable";
    Error::new(ErrorKind::Suspended, text).with_retry(Retry::ReopenLink)
}

impl LinkHandle {
    /// Detaches the link unless it is over, and gives what it leaves, with its name and modes.
    pub(crate) async fn suspend(&self) -> Result<(Str, Modes, Shelf), Error> {
        let id = self.id;
        let part = self.shared.look(|state| {
            let part = state.links.get(&id)?.resume.as_ref()?;
            Some((part.name.clone(), part.modes))
        });
        let Some((name, modes)) = part else {
            return Err(Error::new(ErrorKind::Config, "the link was not attached as one that can be resumed"));
        };
        // It may be over already; then that counts.
        let _ = self.shared.command(|state, _| state.engine.link(id).and_then(|mut link| link.detach(false, None)));
        let detached =
            within(&self.shared, self.timeout(), "detaching a link", async { Ok(self.detached().await) }).await?;
        let left = self.shared.command(|state, _| state.links.get_mut(&id).and_then(|link| link.take_left()))?;
        match left {
            Some(left) => Ok((name, modes, Shelf::of(left))),
            None if detached.closed => {
                let error = Error::new(ErrorKind::LinkDetached, "the link was closed, and has left nothing");
                Err(error.with_amqp(detached.error))
            }
            None => Err(Error::new(ErrorKind::LinkDetached, "nothing is left of the link, or it was asked for before")),
        }
    }
}
