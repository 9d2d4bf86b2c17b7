//! Which link answers and changes of a twin go to.
//!
//! A client has two links for a twin: one on which it asks and one on which it receives. Most say with a link property that
//! they belong together. Where one does not, they belong together that are of one session.

use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use amqp1::codec::performative::Attach;
use amqp1::{
    Receiver, Sender, Session, Value,
    message::{EncodedMessage, Str},
};
use tokio::sync::watch;

use super::requests::SETTLED;
use crate::hub::{ConsumerId, IdentityId};
use crate::signal::{Signal, Waiter};

/// The link property that is the same on both links of a client for one twin.
const CORRELATION: &str = "com.microsoft:channel-correlation-id";

/// How long a request waits for a link that its answer can go to, and the answer for credit on it.
const PATIENCE: Duration = Duration::from_secs(20);

/// What ties the two links of a client together: what follows the first `:` of the link property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair(Str);

impl Pair {
    /// The pair that a link belongs to, if it says so.
    pub(super) fn of(attach: &Attach) -> Option<Self> {
        match attach.properties.as_ref()?.get(CORRELATION)? {
            Value::String(text) => {
                let id = text.as_str().split_once(':').map_or(text.as_str(), |(_, id)| id);
                (!id.is_empty()).then(|| Self(Str::from(id.to_owned())))
            }
            _ => None,
        }
    }
}

/// A link on which a client receives.
#[derive(Debug)]
pub(super) struct TwinLink {
    pair: Option<Pair>,
    session: Session,
    pub(super) sender: Sender,
    /// Who takes the changes that are sent on it.
    pub(super) consumer: ConsumerId,
    subscribed: watch::Sender<bool>,
}

impl TwinLink {
    pub(super) fn new(pair: Option<Pair>, session: Session, sender: Sender, consumer: ConsumerId) -> Self {
        Self { pair, session, sender, consumer, subscribed: watch::Sender::new(false) }
    }

    /// Begins or ends sending changes.
    pub(super) fn subscribe(&self, subscribed: bool) {
        self.subscribed.send_replace(subscribed);
    }

    /// Whether changes are to be sent.
    pub(super) fn subscribed(&self) -> watch::Receiver<bool> {
        self.subscribed.subscribe()
    }

    /// Sends an answer to what was asked on `requests`. Gives up where the client gives no credit or is gone.
    pub(super) async fn send(&self, requests: &Receiver, answer: EncodedMessage) {
        let sent = async { self.sender.reserve().await?.send_with(answer, SETTLED).map(drop) };
        tokio::select! {
            sent = tokio::time::timeout(PATIENCE, sent) => match sent {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "an answer of a twin was not sent"),
                Err(_) => tracing::debug!("no credit for an answer of a twin"),
            },
            _ = requests.detached() => tracing::debug!("an answer of a twin came too late"),
        }
    }
}

/// A link on which a client asks.
#[derive(Clone, Debug, PartialEq)]
struct Asker {
    pair: Option<Pair>,
    session: Session,
}

impl Asker {
    /// How well a link suits what is asked on this one; less is better. `None`: not at all. `others` are those who ask the
    /// same twin.
    fn rank(&self, link: &TwinLink, others: &[Self]) -> Option<u8> {
        let same_session = self.session == link.session;
        match (&self.pair, &link.pair) {
            (Some(ours), Some(theirs)) if ours == theirs => Some(0),
            (Some(_), Some(_)) if others.iter().any(|other| other.pair == link.pair) => None,
            (Some(_), Some(_)) => same_session.then_some(2),
            _ => same_session.then_some(1),
        }
    }
}

#[derive(Debug, Default)]
struct OfTwin {
    askers: Vec<Asker>,
    links: Vec<Arc<TwinLink>>,
}

/// The links of a connection that belong to twins.
#[derive(Debug, Default)]
pub(super) struct TwinLinks {
    twins: Mutex<HashMap<IdentityId, OfTwin>>,
    changed: Signal,
}

impl TwinLinks {
    fn with<R>(&self, id: &IdentityId, work: impl FnOnce(&mut OfTwin) -> R) -> R {
        let mut twins = self.twins.lock().unwrap_or_else(PoisonError::into_inner);
        let of_twin = twins.entry(id.clone()).or_default();
        let result = work(of_twin);
        if of_twin.askers.is_empty() && of_twin.links.is_empty() {
            twins.remove(id);
        }
        result
    }

    /// Adds a link on which a client receives.
    pub(super) fn add(&self, id: &IdentityId, link: TwinLink) -> Arc<TwinLink> {
        let link = Arc::new(link);
        self.with(id, |of_twin| of_twin.links.push(link.clone()));
        self.changed.raise();
        link
    }

    /// Removes the link of `consumer`.
    pub(super) fn remove(&self, id: &IdentityId, consumer: ConsumerId) {
        self.with(id, |of_twin| of_twin.links.retain(|link| link.consumer != consumer));
    }

    /// Adds a link on which a client asks, for as long as the result lives.
    pub(super) fn ask(&self, id: IdentityId, pair: Option<Pair>, session: Session) -> Asking<'_> {
        let asker = Asker { pair, session };
        self.with(&id, |of_twin| of_twin.askers.push(asker.clone()));
        Asking { links: self, id, asker }
    }
}

/// A link on which a client asks, while it is attached.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    links: &'a TwinLinks,
    id: IdentityId,
    asker: Asker,
}

impl Asking<'_> {
    /// Whose twin is asked.
    pub(super) fn id(&self) -> &IdentityId {
        &self.id
    }

    fn find(&self) -> Option<Arc<TwinLink>> {
        self.links.with(&self.id, |of_twin| {
            let ranked = of_twin.links.iter().filter_map(|link| Some((self.asker.rank(link, &of_twin.askers)?, link)));
            // Of those that suit alike, the newest: an older one may be gone without a word.
            ranked.rev().min_by_key(|(rank, _)| *rank).map(|(_, link)| link.clone())
        })
    }

    /// The link that answers go to. Waits for it for a while, since clients attach their two links in any order; `None` if it
    /// does not come, or the client stops asking.
    pub(super) async fn link(&self, requests: &Receiver) -> Option<Arc<TwinLink>> {
        let mut changed = Waiter::new(&self.links.changed);
        let found = async {
            loop {
                if let Some(link) = self.find() {
                    break Some(link);
                }
                changed.woken().await;
            }
        };
        tokio::select! {
            biased;
            found = tokio::time::timeout(PATIENCE, found) => {
                found.unwrap_or_else(|_| {
                    tracing::debug!(id = %self.id, "no link for the answer of a twin");
                    None
                })
            }
            _ = requests.detached() => None,
        }
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.links.with(&self.id, |of_twin| {
            if let Some(place) = of_twin.askers.iter().position(|asker| *asker == self.asker) {
                of_twin.askers.swap_remove(place);
            }
        });
    }
}
