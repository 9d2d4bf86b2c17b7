//! Which links a client answers methods on.
//!
//! A client has two links for methods: one on which it is called and one on which it answers. It is not called before both
//! are there. Most clients say with a link property that the two belong together; where one does not, they belong
//! together that are of one session. The property alone cannot be relied on: some clients repeat it on other links, or
//! name just the device.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use amqp1::Session;
use tokio::sync::{mpsc, oneshot};

use super::twin_links::Pair;
use crate::hub::IdentityId;
use crate::signal::{Signal, Waiter};

#[derive(Debug)]
struct AnsweringLink {
    number: u64,
    pair: Option<Pair>,
    session: Session,
    /// Requests to be told when everything that has arrived so far was read.
    questions: mpsc::UnboundedSender<oneshot::Sender<()>>,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    links: HashMap<IdentityId, Vec<AnsweringLink>>,
}

/// The links of a connection on which devices and modules answer methods.
#[derive(Debug, Default)]
pub(super) struct MethodLinks {
    state: Mutex<State>,
    changed: Signal,
}

impl MethodLinks {
    fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a link on which `id` answers, for as long as the result lives.
    pub(super) fn add(&self, id: IdentityId, pair: Option<Pair>, session: Session) -> Answering<'_> {
        let (questions, asked) = mpsc::unbounded_channel();
        let number = self.with(|state| {
            state.last += 1;
            let number = state.last;
            state.links.entry(id.clone()).or_default().push(AnsweringLink { number, pair, session, questions });
            number
        });
        self.changed.raise();
        Answering { links: self, id, number, asked }
    }

    /// Whether there is a link for the answers to what is called on a link of this pair or session.
    pub(super) fn answers(&self, id: &IdentityId, pair: Option<&Pair>, session: &Session) -> bool {
        self.with(|state| {
            state.links.get(id).is_some_and(|links| {
                links.iter().any(|link| (pair.is_some() && link.pair.as_ref() == pair) || link.session == *session)
            })
        })
    }

    /// Waits until the answers of `id` that have arrived so far were read.
    pub(super) async fn read_so_far(&self, id: &IdentityId) {
        let read = self.with(|state| {
            let links = state.links.get(id).into_iter().flatten();
            let ask = |link: &AnsweringLink| {
                let (read, is_read) = oneshot::channel();
                link.questions.send(read).ok().map(|()| is_read)
            };
            links.filter_map(ask).collect::<Vec<_>>()
        });
        for is_read in read {
            // A link that has ended has been read to its end.
            is_read.await.ok();
        }
    }

    /// Tells when [`answers`](Self::answers) may have changed.
    pub(super) fn changed(&self) -> Waiter<&Signal> {
        Waiter::new(&self.changed)
    }
}

/// A link on which a client answers, while it is attached.
#[derive(Debug)]
pub(super) struct Answering<'a> {
    links: &'a MethodLinks,
    id: IdentityId,
    number: u64,
    asked: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
}

impl Answering<'_> {
    /// The next request to be told when everything that has arrived so far was read.
    pub(super) async fn asked(&mut self) -> Option<oneshot::Sender<()>> {
        self.asked.recv().await
    }

    /// Who answers.
    pub(super) fn id(&self) -> &IdentityId {
        &self.id
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.links.with(|state| {
            if let Some(links) = state.links.get_mut(&self.id) {
                links.retain(|link| link.number != self.number);
                if links.is_empty() {
                    state.links.remove(&self.id);
                }
            }
        });
        self.links.changed.raise();
    }
}
