//! Links on which clients receive.

use super::{
    consumer::{Consumer, Settled, is_orderly, report, tag},
    queue::{Queue, Stored},
    termini::{Left, Link, Sent},
    topic::Subscription,
};
use amqp1::{
    Error, ErrorKind, Sender,
    acceptor::BoxFuture,
    error::{AmqpError, ErrorCondition},
    link::{DeliveryTag, Detached},
    resume::SuspendedSender,
};
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use std::{collections::HashMap, sync::Arc};

pub(crate) struct Outgoing {
    pub(crate) link: Link,
    /// The node at its source, and what is had of it if it is a topic.
    pub(crate) node: Arc<Queue>,
    pub(crate) subscription: Option<Arc<Subscription>>,
    pub(crate) consumer: Arc<Consumer>,
}

type Unsettled = FuturesUnordered<BoxFuture<'static, Settled>>;

impl Outgoing {
    /// Serves the link. `earlier` are messages whose deliveries were begun before it was resumed.
    pub(crate) async fn run(self, sender: Sender, mut earlier: HashMap<DeliveryTag, Stored>) {
        let mut unsettled = Unsettled::new();
        for (delivery, receipt) in sender.resumed() {
            if let Some(stored) = earlier.remove(&delivery.tag) {
                unsettled.push(Box::pin(async move { (stored, receipt.await) }));
            }
        }
        earlier.into_values().for_each(|stored| self.consumer.give_up(stored, true));
        let served = self.send(&sender, &mut unsettled).await;
        let detached = sender.detached().await;
        let in_good_order = served.as_ref().err().is_none_or(is_orderly);
        report(&self.link.client.container, "received", served, &detached);
        let (mut suspended, mut undecided) = (HashMap::new(), Unsettled::new());
        // Each is asked, for its waker may be called later than that of the link.
        for mut delivery in unsettled {
            match (&mut delivery).now_or_never() {
                Some((stored, Err(error))) if error.kind() == ErrorKind::Suspended => match tag(&stored) {
                    Some(tag) => drop(suspended.insert(tag, stored)),
                    None => self.consumer.settle(stored, Err(error)),
                },
                Some((stored, outcome)) => self.consumer.settle(stored, outcome),
                None => undecided.push(delivery),
            }
        }
        // What is retired within a transaction is settled when that is discharged.
        let consumer = self.consumer.clone();
        tokio::spawn(async move {
            while let Some((stored, outcome)) = undecided.next().await {
                consumer.settle(stored, outcome);
            }
        });
        let kept = match self.link.resumable && !detached.closed {
            true => sender.suspend().await.ok(),
            false => None,
        };
        self.over(kept, suspended, in_good_order, Some(&detached));
    }

    /// The link has ended, and leaves this.
    pub(crate) fn over(
        self,
        suspended: Option<SuspendedSender>,
        unsettled: HashMap<DeliveryTag, Stored>,
        in_good_order: bool,
        detached: Option<&Detached>,
    ) {
        let Self { link, node, subscription, consumer } = self;
        let sent = Some(Sent { consumer, suspended, unsettled, in_good_order });
        link.over(Left { node: Some(node), subscription, sent, received: None }, detached);
    }

    /// Waits for a drain that no message is there for: all have been looked at.
    async fn drain(&self, sender: &Sender) -> Result<(), Error> {
        let asked = sender.drain_requested().await;
        self.consumer.cursor.has_looked().await;
        asked
    }

    /// Sends what the queue has when the client gives credit for it. Any number of deliveries is unsettled at a time, up
    /// to the bound of the link, and each is settled when its outcome comes.
    async fn send(&self, sender: &Sender, unsettled: &mut Unsettled) -> Result<(), Error> {
        let ended = sender.detached();
        tokio::pin!(ended);
        loop {
            // In this order: what comes back is there again before the next message is chosen.
            tokio::select! {
                biased;
                Some((stored, outcome)) = unsettled.next() => match outcome {
                    // It goes on when the link is resumed.
                    Err(error) if error.kind() == ErrorKind::Suspended => {
                        unsettled.push(Box::pin(async move { (stored, Err(error)) }));
                        return sender.detach().await;
                    }
                    outcome => self.consumer.settle(stored, outcome),
                },
                _ = &mut ended => return Ok(()),
                () = self.link.stolen() => {
                    let error = AmqpError::new(ErrorCondition::STOLEN, "the link was attached elsewhere");
                    return sender.detach_with(Some(error), false).await;
                }
                next = self.consumer.next(sender) => match next {
                    Ok((permit, Some(stored))) => match self.consumer.write(permit, stored) {
                        Ok(Some(receipt)) => unsettled.push(receipt),
                        Ok(None) => {}
                        Err(error) => return sender.detach_with(Some(error), true).await,
                    },
                    Ok((_, None)) => {
                        let error = AmqpError::new(ErrorCondition::RESOURCE_DELETED, "the node was deleted");
                        return sender.detach_with(Some(error), true).await;
                    }
                    // It has ended, or has to be attached again.
                    Err(_) => return sender.detach().await,
                },
                // There is no message for it now.
                asked = self.drain(sender) => if asked.is_ok() { sender.drained().ok(); },
            }
        }
    }
}
