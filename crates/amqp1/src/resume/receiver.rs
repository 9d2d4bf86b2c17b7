//! The receiving end: what it leaves.

use crate::{
    handle::{builders::ReceiverBuilder, receiver::Receiver},
    state::suspended::{Left, Modes, Shelf},
    types::{error::Error, outcome::Outcome},
};
use amqp1_codec::{DeliveryTag, Str, messaging::DeliveryState};
use amqp1_engine::Suspended;
use std::fmt;

/// The state of the receiving end of a link between two endpoints (§2.6.13): the deliveries that are not settled, also
/// those of which only a part was received, and those that were not taken.
///
/// An endpoint that resumes the link takes it out of here. If that endpoint is not attached after all, it is put back.
pub struct SuspendedReceiver {
    name: Str,
    pub(crate) modes: Option<Modes>,
    pub(crate) shelf: Shelf,
}

/// An unsettled delivery of a link, as its receiver knows it (§2.6.13). [`SenderDelivery`](super::SenderDelivery) is what
/// its sender knows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReceiverDelivery {
    /// The delivery-tag, which names it at both ends.
    pub tag: DeliveryTag,
    /// Whether all of the message was received.
    pub whole: bool,
    /// Whether the application has received it.
    pub taken: bool,
    /// The outcome that this end has stated, if it has.
    pub outcome: Option<Outcome>,
}

impl SuspendedReceiver {
    /// Nothing, on the link of this name: for an end that knows of nothing, opposite one that resumes.
    pub fn new(name: impl Into<Str>) -> Self {
        Self::from_engine(name, amqp1_engine::SuspendedReceiver::new())
    }

    /// State that was kept elsewhere.
    pub fn from_engine(name: impl Into<Str>, kept: amqp1_engine::SuspendedReceiver) -> Self {
        Self { name: name.into(), modes: None, shelf: Shelf::of_receiver(kept) }
    }

    /// The link's name.
    pub fn name(&self) -> &Str {
        &self.name
    }

    /// The deliveries that are not settled, by their tags. None while an endpoint goes on with them.
    pub fn deliveries(&self) -> Vec<ReceiverDelivery> {
        let left = self.shelf.lock();
        let Some(Left { kept: Suspended::Receiver(receiver), .. }) = &*left else { return Vec::new() };
        let deliveries = receiver.deliveries.iter().map(|(tag, delivery)| ReceiverDelivery {
            tag: *tag,
            whole: delivery.whole,
            taken: delivery.taken,
            outcome: delivery.outcome.clone().map(|outcome| Outcome::of(Some(outcome))),
        });
        deliveries.collect()
    }

    /// States an outcome while there is no link; the sender learns it when the link is resumed, and the delivery does not
    /// come again. Whether there is such a delivery, received whole and without an outcome.
    pub fn settle(&self, tag: &DeliveryTag, outcome: DeliveryState) -> bool {
        match &mut *self.shelf.lock() {
            Some(Left { kept: Suspended::Receiver(receiver), .. }) => receiver.dispose(tag, outcome),
            _ => false,
        }
    }
}

impl fmt::Debug for SuspendedReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tags: Vec<_> = self.deliveries().into_iter().map(|delivery| delivery.tag).collect();
        f.debug_struct("SuspendedReceiver").field("name", &self.name).field("deliveries", &tags).finish()
    }
}

impl Receiver {
    /// Detaches the link, unless it has ended by itself, and gives what it has left, to be
    /// [resumed](crate::link::ReceiverBuilder::resume) with. Settlements that are queued are written first;
    /// deliveries that were not taken yet come at the next endpoint.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the link was not attached as
    /// [`resumable`](crate::link::ReceiverBuilder::resumable);
    /// [`ErrorKind::LinkDetached`](crate::ErrorKind::LinkDetached) if it was closed, which leaves nothing, or was asked
    /// before; [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) if the peer does not answer: then close the connection
    /// and ask again.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the link is detached all the same; ask again.
    pub async fn suspend(&mut self) -> Result<SuspendedReceiver, Error> {
        let (name, modes, shelf) = self.handle().suspend().await?;
        Ok(SuspendedReceiver { name, modes: Some(modes), shelf })
    }
}

impl ReceiverBuilder {
    /// Goes on with what an earlier endpoint of the link has left, under its name, with its settle modes, and resumable as
    /// it was.
    pub fn resume(self, left: &SuspendedReceiver) -> Self {
        self.go_on(left.name(), left.modes, &left.shelf)
    }
}
