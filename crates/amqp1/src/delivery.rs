//! A message that was received, to be settled once.

use crate::{error::Error, link::LinkHandle, options::OnDrop};
use amqp1_codec::{
    DeliveryTag, Message,
    definitions::AmqpError,
    messaging::{DeliveryState, Modified},
};
use amqp1_engine::IncomingDelivery;
use std::sync::Arc;

/// A message that was received. It is settled by one of the methods that consume it; they queue and never wait.
#[derive(Debug)]
pub struct Delivery {
    link: Arc<LinkHandle>,
    delivery: IncomingDelivery,
    on_drop: OnDrop,
    settled: bool,
}

impl Delivery {
    pub(crate) fn new(link: Arc<LinkHandle>, delivery: IncomingDelivery, on_drop: OnDrop) -> Self {
        let settled = delivery.settled;
        Self { link, delivery, on_drop, settled }
    }

    /// The message.
    pub fn message(&self) -> &Message {
        &self.delivery.message
    }

    /// The sender's name for the delivery.
    pub fn tag(&self) -> DeliveryTag {
        self.delivery.tag
    }

    /// The message's format (§2.8.11).
    pub fn message_format(&self) -> u32 {
        self.delivery.message_format
    }

    /// Whether the sender had settled it: nothing that is stated about it is told to anyone.
    pub fn is_settled(&self) -> bool {
        self.delivery.settled
    }

    /// It was processed (§3.4.2).
    ///
    /// # Errors
    ///
    /// If the link has ended.
    pub fn accept(self) -> Result<(), Error> {
        self.settle(DeliveryState::Accepted)
    }

    /// It is invalid (§3.4.3).
    ///
    /// # Errors
    ///
    /// If the link has ended.
    pub fn reject(self, error: impl Into<Option<AmqpError>>) -> Result<(), Error> {
        self.settle(DeliveryState::Rejected(error.into().map(Box::new)))
    }

    /// It was not processed and may be delivered again (§3.4.4).
    ///
    /// # Errors
    ///
    /// If the link has ended.
    pub fn release(self) -> Result<(), Error> {
        self.settle(DeliveryState::Released)
    }

    /// It was not processed and is to be changed (§3.4.5).
    ///
    /// # Errors
    ///
    /// If the link has ended.
    pub fn modify(self, modified: Modified) -> Result<(), Error> {
        self.settle(DeliveryState::Modified(Box::new(modified)))
    }

    /// Settles it with any outcome.
    ///
    /// # Errors
    ///
    /// If the link has ended.
    pub fn settle(mut self, state: DeliveryState) -> Result<(), Error> {
        self.state(state)
    }

    /// Lets go of it without settling it, whatever the receiver does with those that are dropped.
    pub fn leave_unsettled(mut self) {
        self.settled = true;
    }

    fn state(&mut self, state: DeliveryState) -> Result<(), Error> {
        if std::mem::replace(&mut self.settled, true) {
            return Ok(());
        }
        let (id, key) = (self.link.id, self.delivery.key);
        self.link.shared.command(|shared, _| {
            let disposed = shared.engine.dispose(id, key, state);
            disposed.map_err(|misuse| shared.closed_error().unwrap_or_else(|| misuse.into()))
        })?
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let state = match self.on_drop {
            _ if self.settled => return,
            OnDrop::LeaveUnsettled => return,
            OnDrop::Release => DeliveryState::Released,
            OnDrop::Modify => {
                DeliveryState::Modified(Box::new(Modified { delivery_failed: true, ..Modified::default() }))
            }
        };
        let _ = self.state(state);
    }
}
