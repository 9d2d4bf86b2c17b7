//! What becomes of a message that was sent without waiting.

use crate::{connect::Hub, error::Error};
use amqp1::{Outcome, Receipt};
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// What becomes of a message: a future that ends when the hub has accepted it, or has not.
///
/// Dropped, the message goes on, and its outcome is not known.
#[must_use = "a receipt is a future of what became of the message"]
pub struct SendReceipt {
    receipt: Receipt,
    hub: Arc<Hub>,
}

impl fmt::Debug for SendReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendReceipt").field("receipt", &self.receipt).finish_non_exhaustive()
    }
}

impl SendReceipt {
    pub(crate) fn new(receipt: Receipt, hub: Arc<Hub>) -> Self {
        Self { receipt, hub }
    }
}

impl Future for SendReceipt {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = std::task::ready!(Pin::new(&mut self.receipt).poll(context));
        Poll::Ready(outcome.and_then(Outcome::into_result).map_err(|error| self.hub.error(error)))
    }
}
