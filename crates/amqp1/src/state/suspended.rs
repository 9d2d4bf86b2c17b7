//! The state of a link between two endpoints.

use crate::{
    state::{engine::Arrival, ids::LinkKey},
    types::error::{Error, ErrorKind, Retry},
};
use amqp1_codec::{
    DeliveryTag, EncodedMessage, Str,
    definitions::{ReceiverSettleMode, SenderSettleMode},
    messaging::DeliveryState,
};
use amqp1_engine::{Suspended, SuspendedReceiver, SuspendedSender};
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

/// Marks the tokens of deliveries that may outlive their link. They are unique in the process, for the engine knows a
/// delivery by its token from one endpoint to the next. Others are keys of slots.
pub(super) const LASTING: u64 = 1 << 63;

pub(crate) fn new_token() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    LASTING | NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Outcomes by tokens.
pub(super) type Outcomes = Mutex<HashMap<u64, Option<DeliveryState>>>;

/// Outcomes that came after the link was suspended: while the session lives, the peer may still settle.
#[derive(Clone, Debug, Default)]
pub(crate) struct Late(pub(super) Arc<Outcomes>);

impl Late {
    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<u64, Option<DeliveryState>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of a suspended link.
#[derive(Clone, Debug)]
pub(crate) struct Left {
    pub(crate) kept: Suspended,
    /// Deliveries that the sender had settled and that were not taken.
    pub(crate) undelivered: VecDeque<Arrival>,
    pub(crate) late: Late,
}

impl Left {
    pub(crate) fn new(kept: Suspended) -> Self {
        Self { kept, undelivered: VecDeque::new(), late: Late::default() }
    }

    /// The state of a sending end.
    pub(crate) fn sender(kept: Suspended) -> Option<SuspendedSender> {
        match kept {
            Suspended::Sender(sender) => Some(sender),
            Suspended::Receiver(_) => None,
        }
    }

    /// The state of a receiving end.
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

    /// The state of a sending end that was kept elsewhere: its deliveries get tokens of this process.
    pub(crate) fn of_sender(mut kept: SuspendedSender) -> Self {
        for delivery in &mut kept.deliveries {
            delivery.token = new_token();
        }
        Self::of(Left::new(Suspended::Sender(kept)))
    }

    /// The state of a receiving end that was kept elsewhere.
    pub(crate) fn of_receiver(kept: SuspendedReceiver) -> Self {
        Self::of(Left::new(Suspended::Receiver(kept)))
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
    pub(crate) begun: bool,
    /// The state that the receiver has stated since the link was suspended.
    pub(crate) late: Option<Option<DeliveryState>>,
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

/// The additional state of a link that can be resumed.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) name: Str,
    pub(crate) modes: Modes,
    /// The deliveries that the engine has handed over.
    pub(crate) kept: Option<Suspended>,
    pub(crate) late: Late,
    /// Deliveries that were not asked for yet.
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
    pub(super) slots: HashMap<u64, (LinkKey, u64)>,
    /// With the default outcome of the link.
    pub(super) late: HashMap<u64, (Weak<Outcomes>, Option<DeliveryState>)>,
}

impl Tokens {
    pub(crate) fn insert(&mut self, token: u64, id: LinkKey, slot: u64) {
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

pub(crate) fn reattach() -> Error {
    let text = "what is not settled on the link did not fit into its attach: suspend the link and resume it once more, or \
                detach it and attach it again if it is not resumable";
    Error::new(ErrorKind::Suspended, text).with_retry(Retry::ReopenLink)
}
