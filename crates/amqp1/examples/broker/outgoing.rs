//! Links on which clients receive.

use super::{
    broker::{Broker, DEAD_LETTERS},
    queue::{Queue, Stored},
};
use amqp1::{
    AmqpError, Delivered, DeliveryState, Error, ErrorCondition, ErrorKind, Modified, Outcome, Permit, Sender,
    engine::terminus::{Fate, Key},
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use std::sync::Arc;

pub(crate) struct Outgoing {
    pub(crate) broker: Arc<Broker>,
    pub(crate) link: Key,
    pub(crate) queue: Arc<Queue>,
    /// How messages know the link.
    pub(crate) number: u64,
    /// Messages are copied: they stay.
    pub(crate) browses: bool,
    /// What becomes of deliveries without an outcome (§3.5.3), if the client has said so.
    pub(crate) default_outcome: Option<DeliveryState>,
}

/// A delivery, and what became of it.
type Settled = (Stored, Result<Outcome, Error>);

impl Outgoing {
    pub(crate) async fn run(self, sender: Sender) {
        self.broker.attached(&self.queue, self.link.clone());
        if let Err(error) = self.send(&sender).await {
            eprintln!("broker: a link on which a client received has ended: {error}");
        }
        self.ended(sender.detached().await.closed);
    }

    pub(crate) fn ended(self, closed: bool) {
        self.broker.ended(self.queue, &self.link, closed);
    }

    /// Sends what the queue has to whoever gives credit for it. Any number of deliveries is unsettled at a time, up to
    /// the bound of the link, and each is settled when its outcome comes.
    async fn send(&self, sender: &Sender) -> Result<(), Error> {
        let mut unsettled = FuturesUnordered::new();
        let mut browsed = 0;
        let ended = sender.detached();
        tokio::pin!(ended);
        let result = loop {
            // In this order: what comes back is there again before the next message is chosen.
            tokio::select! {
                biased;
                Some((stored, outcome)) = unsettled.next() => self.settle(stored, outcome),
                _ = &mut ended => break Ok(()),
                next = self.next(sender, browsed) => match next {
                    Ok((permit, Some(stored))) => {
                        browsed = stored.number + 1;
                        match self.write(permit, stored) {
                            Ok(Some(receipt)) => unsettled.push(receipt),
                            Ok(None) => {}
                            Err(error) => break sender.detach_with(Some(error), true).await,
                        }
                    }
                    Ok((_, None)) => {
                        let error = AmqpError::new(ErrorCondition::RESOURCE_DELETED, "the node was deleted");
                        break sender.detach_with(Some(error), true).await;
                    }
                    // The link has ended.
                    Err(_) => {
                        ended.await;
                        break Ok(());
                    }
                },
                // There is no message for it now.
                asked = sender.drain_requested() => if asked.is_ok() { sender.drained().ok(); },
            }
        };
        while let Some((stored, outcome)) = unsettled.next().await {
            self.settle(stored, outcome);
        }
        result
    }

    /// Waits for credit, then for a message. Cancelled, it has taken none.
    async fn next(&self, sender: &Sender, browsed: u64) -> Result<(Permit, Option<Stored>), Error> {
        let permit = sender.reserve().await?;
        let wanted = |stored: &Stored| stored.message.may_go_to(self.number);
        let stored = match self.browses {
            true => self.queue.copy(browsed, wanted).await,
            false => self.queue.take(wanted).await,
        };
        Ok((permit, stored))
    }

    /// Sends a message. It is back in the queue if it could not be sent.
    fn write(
        &self,
        permit: Permit,
        mut stored: Stored,
    ) -> Result<Option<impl Future<Output = Settled> + use<>>, AmqpError> {
        let now = self.broker.clock.now();
        let written = match self.browses {
            true => stored.message.copy(self.number, now),
            false => stored.message.acquire(self.number, now),
        };
        // It has expired since.
        let Some(written) = written else {
            self.settle(stored, Ok(Outcome::Released));
            return Ok(None);
        };
        match permit.send(written) {
            Ok(receipt) => Ok(Some(async move { (stored, receipt.await) })),
            Err(error) => {
                let (back, result) = match error.kind() {
                    // The client has drained the link, or taken its credit back: it gets the message with the next one.
                    ErrorKind::CreditRevoked => (Outcome::Released, Ok(None)),
                    // Others may take it.
                    ErrorKind::MessageTooLarge => {
                        eprintln!("broker: a message is larger than a consumer takes: it stays for others");
                        let here = Modified { undeliverable_here: true, ..Modified::default() };
                        (Outcome::Modified(here), Ok(None))
                    }
                    _ => {
                        let error = AmqpError::new(ErrorCondition::INTERNAL_ERROR, error.to_string());
                        (Outcome::Released, Err(error))
                    }
                };
                self.settle(stored, Ok(back));
                result
            }
        }
    }

    fn settle(&self, mut stored: Stored, outcome: Result<Outcome, Error>) {
        if self.browses {
            return;
        }
        let state = match outcome {
            Ok(Outcome::SentSettled) => DeliveryState::Accepted,
            Ok(outcome) => outcome.into_state().unwrap_or(DeliveryState::Released),
            Err(error) => self.lost(&error),
        };
        match stored.message.settle(self.number, &state) {
            Fate::Retired => self.queue.retire(),
            Fate::Available => self.queue.put_back(stored),
            Fate::Rejected(why) => {
                if &*self.queue.name == DEAD_LETTERS {
                    eprintln!("broker: a message was rejected for good");
                } else {
                    self.broker.dead_letter(&stored.message, stored.publisher, why.as_deref());
                }
                self.queue.retire();
            }
        }
        self.broker.changed(&self.queue);
    }

    /// What becomes of a delivery whose link ended before its outcome came: the default outcome (§3.5.3). Where there is
    /// none, it is released, and counts as an attempt that failed if the client did not leave in good order.
    fn lost(&self, error: &Error) -> DeliveryState {
        let orderly = matches!(
            error.kind(),
            ErrorKind::LinkDetached | ErrorKind::SessionEnded | ErrorKind::ClosedByPeer | ErrorKind::Closed
        );
        match &self.default_outcome {
            _ if error.delivered() == Delivered::No => DeliveryState::Released,
            Some(outcome) => outcome.clone(),
            None if orderly => DeliveryState::Released,
            None => DeliveryState::Modified(Box::new(Modified { delivery_failed: true, ..Modified::default() })),
        }
    }
}
