//! What a consumer gets, and what becomes of it.

use super::{
    broker::{Broker, DEAD_LETTERS},
    queue::{Queue, Stored},
    waiting::Cursor,
};
use amqp1::{
    Delivered, Error, ErrorKind, Outcome, Permit, Sender,
    acceptor::BoxFuture,
    broker::terminus::{Fate, MessageFilters},
    codec::printable::printable,
    error::{AmqpError, Cause, ErrorCondition},
    link::{DeliveryState, DeliveryTag, Detached, Modified, SendOptions},
    message::Str,
};
use std::sync::Arc;

pub(crate) struct Consumer {
    pub(crate) broker: Arc<Broker>,
    pub(crate) queue: Arc<Queue>,
    /// How messages know the link.
    pub(crate) number: u64,
    pub(crate) container: Str,
    pub(crate) filters: MessageFilters,
    pub(crate) cursor: Cursor,
    /// Messages are copied: they stay.
    pub(crate) browses: bool,
    /// What becomes of deliveries without an outcome (§3.5.3), if the client has said so.
    pub(crate) default_outcome: Option<DeliveryState>,
}

/// A delivery, and what became of it.
pub(crate) type Settled = (Stored, Result<Outcome, Error>);

impl Consumer {
    /// Waits for credit, then for a message. Cancelled, it has taken none.
    pub(crate) async fn next(&self, sender: &Sender) -> Result<(Permit, Option<Stored>), Error> {
        let permit = sender.reserve().await?;
        let wanted = |stored: &Stored| {
            let local = stored.publisher == self.container;
            stored.message.may_go_to(self.number) && self.filters.passes(&stored.message, local)
        };
        let stored = match self.browses {
            true => self.queue.copy(&self.cursor, wanted).await,
            false => self.queue.take(&self.cursor, wanted).await,
        };
        Ok((permit, stored))
    }

    /// Sends a message. It is back in the queue if it could not be sent.
    pub(crate) fn write(
        &self,
        permit: Permit,
        mut stored: Stored,
    ) -> Result<Option<BoxFuture<'static, Settled>>, AmqpError> {
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
        match permit.send_with(written, SendOptions { tag: tag(&stored), ..SendOptions::default() }) {
            Ok(receipt) => Ok(Some(Box::pin(async move { (stored, receipt.await) }))),
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

    /// Settles a delivery whose outcome does not come any more: the default outcome (§3.5.3). Where there is none, it is
    /// released, and counts as an attempt that failed if the client did not leave in good order.
    pub(crate) fn give_up(&self, stored: Stored, in_good_order: bool) {
        self.settle_with(stored, &self.unsettled(in_good_order));
    }

    fn unsettled(&self, in_good_order: bool) -> DeliveryState {
        match &self.default_outcome {
            Some(outcome) => outcome.clone(),
            None if in_good_order => DeliveryState::Released,
            None => DeliveryState::Modified(Box::new(Modified { delivery_failed: true, ..Modified::default() })),
        }
    }

    pub(crate) fn settle(&self, stored: Stored, outcome: Result<Outcome, Error>) {
        let state = match outcome {
            Ok(Outcome::SentSettled) => DeliveryState::Accepted,
            Ok(outcome) => outcome.into_state().unwrap_or(DeliveryState::Released),
            Err(error) => self.lost(&error),
        };
        self.settle_with(stored, &state);
    }

    fn settle_with(&self, mut stored: Stored, state: &DeliveryState) {
        if self.browses {
            return;
        }
        match stored.message.settle(self.number, state) {
            Fate::Retired => self.queue.retire(),
            // An outcome of a transaction comes with its commit.
            Fate::Available | Fate::Undecided => self.queue.put_back(stored),
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

    /// What becomes of a delivery whose link ended before its outcome came.
    fn lost(&self, error: &Error) -> DeliveryState {
        match error.delivered() {
            Delivered::No => DeliveryState::Released,
            _ => self.unsettled(is_orderly(error)),
        }
    }
}

/// The name of a delivery: that of its message in the queue.
pub(crate) fn tag(stored: &Stored) -> Option<DeliveryTag> {
    DeliveryTag::new(&stored.number.to_be_bytes()).ok()
}

/// Reports why a link has ended, unless its client left without an error.
pub(crate) fn report(client: &str, what: &str, served: Result<(), Error>, detached: &Detached) {
    let why = match (served, &detached.error) {
        (Err(error), _) if !is_orderly(&error) => error.to_string(),
        (_, Some(error)) if detached.by != Cause::Local => error.to_string(),
        _ => return,
    };
    eprintln!("broker: a link on which the client {} {what} has ended: {why}", printable(client));
}

/// Whether a link ended because its client left in good order.
pub(crate) fn is_orderly(error: &Error) -> bool {
    use ErrorKind::{Closed, ClosedByPeer, LinkDetached, SessionEnded};
    matches!(error.kind(), LinkDetached | SessionEnded | ClosedByPeer | Closed)
}
