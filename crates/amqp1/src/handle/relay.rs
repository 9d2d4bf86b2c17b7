//! The anonymous terminus: a target without an address, whose messages say themselves where they go.

use crate::{
    handle::{delivery::Delivery, receiver::Receiver},
    types::error::Error,
};
use amqp1_codec::{
    Symbol, Value,
    definitions::{AmqpError, Fields},
    messaging::{DeliveryState, Source},
};
use bytes::Bytes;

/// Names, in the info of a detach's error, the delivery that it is about.
const DELIVERY_TAG: Symbol = Symbol::from_static("delivery-tag");

/// Whether a sender's source allows `rejected` (§3.5.3). Few peers list any outcomes: none listed means the four of the
/// specification.
fn allows_rejected(source: &Source) -> bool {
    source.outcomes.is_empty()
        || source.outcomes.contains(&DeliveryState::REJECTED)
        || matches!(source.default_outcome, Some(DeliveryState::Rejected(_)))
}

impl Receiver {
    /// Refuses a delivery that this node cannot take, `error` being the reason:
    /// [`NOT_FOUND`](crate::error::ErrorCondition::NOT_FOUND) where a message cannot go where it wants (§3.2.4), or
    /// [`PRECONDITION_FAILED`](crate::error::ErrorCondition::PRECONDITION_FAILED) where it is durable and nothing here is
    /// (§3.2.1). Returns whether the link is still there.
    ///
    /// The delivery is rejected if it is not settled yet and the sender's source allows that outcome, as one does that lists
    /// no outcomes. One that was posted settled keeps its transaction from being committed (§4.4.4). Otherwise there is no
    /// other way to tell the sender, and the link is closed. Either way the error's info names the delivery by its tag.
    ///
    /// # Errors
    ///
    /// If the link has ended, or the peer does not answer its end in time.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it goes on by itself.
    pub async fn refuse(&self, delivery: Delivery, mut error: AmqpError) -> Result<bool, Error> {
        let tag = Bytes::copy_from_slice(delivery.tag().as_slice());
        error.info.get_or_insert_with(Fields::new).insert(DELIVERY_TAG, Value::Binary(tag));
        // §4.4.4.1: what was posted settled keeps its transaction from being committed.
        let posted = delivery.is_settled() && delivery.transaction().is_some();
        let allowed = self.remote_attach().source.is_none_or(|source| allows_rejected(&source));
        if posted || allowed && !delivery.is_settled() {
            return delivery.reject(error).map(|()| true);
        }
        // It ends with the link.
        drop(delivery.leave_unsettled());
        self.detach_with(Some(error), true).await.map(|()| false)
    }
}
