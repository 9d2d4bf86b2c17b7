//! The sending end of a link.

use crate::{
    error::{Delivered, Error, ErrorKind},
    link::{Detached, LinkHandle, gone, within},
    options::SendOptions,
    outcome::Outcome,
    shared::{Receipt as Slot, Shared},
};
use amqp1_codec::{EncodedMessage, definitions::AmqpError, performative::Attach};
use amqp1_engine::Settlement;
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// The sending end of a link. Clones are handles of the same one.
#[derive(Clone, Debug)]
pub struct Sender {
    handle: Arc<LinkHandle>,
}

impl Sender {
    pub(crate) fn new(handle: Arc<LinkHandle>) -> Self {
        Self { handle }
    }

    /// Sends a message and waits for its outcome.
    ///
    /// # Errors
    ///
    /// If the message cannot be sent or its outcome is not known; [`Error::delivered`] says whether the receiver may
    /// have it. An outcome that is not an acceptance is no error here.
    ///
    /// # Cancel safety
    ///
    /// Cancelled while it waits for credit, nothing was sent. Cancelled later, the delivery goes on.
    pub async fn send(&self, message: impl Into<EncodedMessage>) -> Result<Outcome, Error> {
        self.send_with(message, SendOptions::default()).await
    }

    /// Sends a message as the options say and waits for its outcome.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send).
    pub async fn send_with(&self, message: impl Into<EncodedMessage>, options: SendOptions) -> Result<Outcome, Error> {
        let message = message.into();
        let timeout = self.handle.timeout;
        let permit = within(timeout, "the receiver gave no credit", self.reserve()).await?;
        let receipt = permit.send_with(message, options)?;
        match tokio::time::timeout(timeout, receipt).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let error = Error::new(
                    ErrorKind::Timeout,
                    format!("the receiver stated no outcome within {} s", timeout.as_secs_f32()),
                );
                Err(error.with_delivered(Delivered::Unknown))
            }
        }
    }

    /// Waits for credit. The permit that comes of it sends without waiting.
    ///
    /// # Errors
    ///
    /// If the link ends.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: nothing was sent and no credit is used. Those who wait are served in order.
    pub async fn reserve(&self) -> Result<Permit, Error> {
        let mut waiting = Waiting { handle: &self.handle, ticket: None };
        let id = self.handle.id;
        let reserved = self.handle.shared.wait(|state, aside| {
            let closed = state.closed_error();
            let credit = state.engine.credit(id);
            let Some(link) = state.links.get_mut(&id) else { return Poll::Ready(Err(closed.unwrap_or_else(gone))) };
            if let Some(detached) = &link.detached {
                return Poll::Ready(Err(closed.unwrap_or_else(|| Error::detached(detached))));
            }
            link.poll_permit(&mut waiting.ticket, credit, aside).map(Ok)
        });
        reserved.await??;
        Ok(Permit { handle: self.handle.clone(), used: false })
    }

    /// A permit, if there is credit now.
    pub fn try_reserve(&self) -> Option<Permit> {
        let id = self.handle.id;
        let reserved = self.handle.shared.command(|state, _| {
            let credit = state.engine.credit(id);
            let link = state.links.get_mut(&id)?;
            (credit > link.permits && link.detached.is_none()).then(|| link.permits = link.permits.saturating_add(1))
        });
        reserved.ok().flatten()?;
        Some(Permit { handle: self.handle.clone(), used: false })
    }

    /// How many deliveries may be sent now.
    pub fn credit(&self) -> u32 {
        let id = self.handle.id;
        self.handle.shared.look(|state| state.engine.credit(id))
    }

    /// What the peer has attached the link with.
    pub fn remote_attach(&self) -> Attach {
        self.handle.remote_attach()
    }

    /// The largest message that the receiver takes, in octets.
    pub fn max_message_size(&self) -> Option<u64> {
        self.remote_attach().max_message_size.filter(|max| *max > 0)
    }

    /// Detaches the link, which may be attached again. What is queued is sent first.
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

    /// Closes the link. What is queued is sent first.
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
    pub async fn detach_with(&self, closed: bool, error: Option<AmqpError>) -> Result<(), Error> {
        self.handle.detach(closed, error).await
    }

    /// Waits until the link is over, for whatever reason.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn detached(&self) -> Detached {
        self.handle.detached().await
    }
}

/// A place in the line for credit, given up when it is dropped.
struct Waiting<'a> {
    handle: &'a LinkHandle,
    ticket: Option<u64>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(number) = self.ticket else { return };
        let id = self.handle.id;
        let _ = self.handle.shared.command(|state, aside| {
            let credit = state.engine.credit(id);
            if let Some(link) = state.links.get_mut(&id) {
                link.leave(number, credit, aside);
            }
        });
    }
}

/// A claim on credit: sends one message without waiting. Dropped, the claim goes to the next in line.
#[derive(Debug)]
pub struct Permit {
    handle: Arc<LinkHandle>,
    used: bool,
}

impl Permit {
    /// Queues a message.
    ///
    /// # Errors
    ///
    /// If the link has ended, the message is too large, or the receiver has taken its credit back.
    pub fn send(self, message: impl Into<EncodedMessage>) -> Result<Receipt, Error> {
        self.send_with(message, SendOptions::default())
    }

    /// Queues a message as the options say.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_with(mut self, message: impl Into<EncodedMessage>, options: SendOptions) -> Result<Receipt, Error> {
        let message = message.into();
        let id = self.handle.id;
        let token = self.handle.shared.command(|state, _| {
            let slot = state.receipts.vacant_entry();
            let token = slot.key();
            let sent = state.engine.send(id, message, to_engine(options, token));
            match sent {
                Ok(()) => {
                    state.receipts.insert(Slot::Pending(None));
                    if let Some(link) = state.links.get_mut(&id) {
                        link.permits = link.permits.saturating_sub(1);
                    }
                    Ok(token)
                }
                Err(error) => {
                    let link = state.links.get(&id).and_then(|link| link.detached.as_ref());
                    Err(state.closed_error().or_else(|| link.map(Error::detached)).unwrap_or_else(|| error.into()))
                }
            }
        })??;
        self.used = true;
        Ok(Receipt { shared: self.handle.shared.clone(), token, done: false })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.used {
            return;
        }
        let id = self.handle.id;
        let _ = self.handle.shared.command(|state, aside| {
            if let Some(link) = state.links.get_mut(&id) {
                link.permits = link.permits.saturating_sub(1);
            }
            state.wake_senders(id, aside);
        });
    }
}

/// A message on its way: a future of its outcome. Dropped, the delivery goes on and nobody asks.
#[derive(Debug)]
#[must_use = "a receipt is a future of the outcome; drop it on purpose if the outcome does not matter"]
pub struct Receipt {
    shared: Arc<Shared>,
    token: usize,
    done: bool,
}

impl Future for Receipt {
    type Output = Result<Outcome, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let token = self.token;
        let shared = self.shared.clone();
        let settlement = shared.poll(cx, |state, aside| match state.receipts.get_mut(token) {
            Some(Slot::Pending(waker)) => {
                aside.store(waker);
                Poll::Pending
            }
            Some(Slot::Done(_)) => match state.receipts.remove(token) {
                Slot::Done(settlement) => Poll::Ready((settlement, state.closed_error())),
                _ => Poll::Ready((Settlement::Lost { sent: true }, None)),
            },
            _ => Poll::Ready((Settlement::Lost { sent: true }, state.closed_error())),
        });
        let Poll::Ready(settlement) = settlement else { return Poll::Pending };
        self.done = true;
        Poll::Ready(settlement.and_then(|(settlement, closed)| match settlement {
            Settlement::Sent => Ok(Outcome::SentSettled),
            Settlement::Outcome(state) => Ok(Outcome::of(state)),
            Settlement::Lost { sent } => {
                let error = closed.unwrap_or_else(|| {
                    Error::new(ErrorKind::LinkDetached, "the link ended before the receiver stated an outcome")
                });
                Err(error.with_delivered(if sent { Delivered::Unknown } else { Delivered::No }))
            }
        }))
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let token = self.token;
        self.shared.drive(None, |state, _| match state.receipts.get_mut(token) {
            Some(slot @ Slot::Pending(_)) => *slot = Slot::Forgotten,
            Some(Slot::Done(_)) => drop(state.receipts.remove(token)),
            _ => {}
        });
    }
}

fn to_engine(options: SendOptions, token: usize) -> amqp1_engine::SendOptions {
    amqp1_engine::SendOptions {
        settled: options.settled,
        tag: options.tag,
        message_format: options.message_format,
        token: u64::try_from(token).unwrap_or(u64::MAX),
    }
}
