//! The sending end: what it leaves, and what becomes of it.

use crate::{
    handle::{builders::SenderBuilder, permit::Receipt, sender::Sender},
    state::suspended::{Continued, Left, Modes, Shelf},
    types::{error::Error, outcome::Outcome},
};
use amqp1_codec::{DeliveryTag, EncodedMessage, Str};
use amqp1_engine::Suspended;
use std::fmt;

/// The state of the sending end of a link between two endpoints (§2.6.13): the deliveries that are not settled,
/// messages included, and those that had not left yet.
///
/// An endpoint that resumes the link takes it out of here. If that endpoint is not attached after all, it is put back.
pub struct SuspendedSender {
    name: Str,
    pub(crate) modes: Option<Modes>,
    pub(crate) shelf: Shelf,
}

/// An unsettled delivery of a link, as its sender knows it (§2.6.13). [`ReceiverDelivery`](super::ReceiverDelivery) is what
/// its receiver knows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SenderDelivery {
    /// The delivery-tag, which names it at both ends.
    pub tag: DeliveryTag,
    /// Whether any of it was sent before the link was suspended, so that the receiver may have it.
    pub begun: bool,
    /// The outcome that came after the link was suspended, if it did. Then the delivery is not sent again.
    pub outcome: Option<Outcome>,
    /// The message. `None` if it was streamed, so that it cannot be sent again.
    pub message: Option<EncodedMessage>,
}

impl SuspendedSender {
    /// Nothing, on the link of this name: for an end that knows of nothing, opposite one that resumes.
    pub fn new(name: impl Into<Str>) -> Self {
        Self::from_engine(name, amqp1_engine::SuspendedSender::new())
    }

    /// State that was kept elsewhere.
    pub fn from_engine(name: impl Into<Str>, kept: amqp1_engine::SuspendedSender) -> Self {
        Self { name: name.into(), modes: None, shelf: Shelf::of_sender(kept) }
    }

    /// The link's name.
    pub fn name(&self) -> &Str {
        &self.name
    }

    /// The deliveries, in the order in which they were sent. None while an endpoint goes on with them.
    pub fn deliveries(&self) -> Vec<SenderDelivery> {
        let left = self.shelf.lock();
        let Some(Left { kept: Suspended::Sender(sender), late, .. }) = &*left else { return Vec::new() };
        let late = late.lock();
        let deliveries = sender.deliveries.iter().map(|delivery| SenderDelivery {
            tag: delivery.tag,
            begun: delivery.begun,
            outcome: late.get(&delivery.token).cloned().map(Outcome::of),
            message: delivery.message.clone(),
        });
        deliveries.collect()
    }

    /// Takes a delivery out, which is not sent again then. If the receiver has it, it is settled there as far as that goes:
    /// whether it was processed is not learnt. Whether there was one.
    pub fn remove(&self, tag: &DeliveryTag) -> bool {
        let mut left = self.shelf.lock();
        let Some(Left { kept: Suspended::Sender(sender), .. }) = &mut *left else { return false };
        let place = sender.deliveries.iter().position(|delivery| delivery.tag == *tag);
        place.and_then(|place| sender.deliveries.remove(place)).is_some()
    }
}

impl fmt::Debug for SuspendedSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tags: Vec<_> = self.deliveries().into_iter().map(|delivery| delivery.tag).collect();
        f.debug_struct("SuspendedSender").field("name", &self.name).field("deliveries", &tags).finish()
    }
}

impl SenderDelivery {
    fn resumed(Continued { tag, begun, late, message, .. }: Continued) -> Self {
        Self { tag, begun, outcome: late.map(Outcome::of), message }
    }
}

impl Sender {
    /// Detaches the link, unless it has ended by itself, and gives what it has left, to be
    /// [resumed](crate::link::SenderBuilder::resume) with. What can be sent is sent first.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the link was not attached as
    /// [`resumable`](crate::link::SenderBuilder::resumable);
    /// [`ErrorKind::LinkDetached`](crate::ErrorKind::LinkDetached) if it was closed, which leaves nothing, or another
    /// handle has asked before; [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) if the peer does not answer: then close the
    /// connection and ask again.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the link is detached all the same; ask again.
    pub async fn suspend(&self) -> Result<SuspendedSender, Error> {
        let (name, modes, shelf) = self.handle().suspend().await?;
        Ok(SuspendedSender { name, modes: Some(modes), shelf })
    }

    /// The deliveries of an earlier endpoint that this one has resumed, each with its receipt. They are given once. There
    /// are none on a link that was not [resumed](crate::link::SenderBuilder::resume).
    ///
    /// Outcomes are waited for as long as those of new messages, from when the link was attached. A receipt that is dropped
    /// leaves the delivery as it is.
    pub fn resumed(&self) -> Vec<(SenderDelivery, Receipt)> {
        let handle = self.handle();
        let taken = handle.shared.command(|state, _| {
            let part = state.links.get_mut(&handle.id).and_then(|link| link.resume.as_mut());
            part.map(|part| std::mem::take(&mut part.continued)).unwrap_or_default()
        });
        let resumed = |continued: Continued| {
            let receipt = Receipt::new(handle.clone(), continued.slot);
            (SenderDelivery::resumed(continued), receipt)
        };
        taken.unwrap_or_default().into_iter().map(resumed).collect()
    }
}

impl SenderBuilder {
    /// Goes on with what an earlier endpoint of the link has left, under its name, with its settle modes, and resumable as
    /// it was. The outcomes come from [`Sender::resumed`].
    pub fn resume(self, left: &SuspendedSender) -> Self {
        self.go_on(left.name(), left.modes, &left.shelf)
    }
}
