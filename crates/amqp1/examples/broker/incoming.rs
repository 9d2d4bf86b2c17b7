//! Links on which clients send.

use super::{
    broker::Kind,
    consumer::is_orderly,
    queue::Queue,
    termini::{Left, Link},
    transactions::Posted,
};
use amqp1::{
    AmqpError, Delivery, DeliveryState, Detached, Error, ErrorCondition, ErrorKind, Receiver,
    engine::terminus::HeldMessage, resume::SuspendedReceiver,
};
use std::sync::Arc;

/// Says of a message what the node is that it goes to: 0 or 2 a queue, 1 or 3 a topic.
const DESTINATION: &str = "x-opt-jms-dest";

pub(crate) struct Incoming {
    pub(crate) link: Link,
    /// Where the messages go; on the anonymous relay each where its `to` says.
    pub(crate) node: Option<Arc<Queue>>,
}

fn deleted() -> AmqpError {
    AmqpError::new(ErrorCondition::RESOURCE_DELETED, "the node was deleted")
}

impl Incoming {
    pub(crate) async fn run(self, mut receiver: Receiver) {
        if let Some(node) = &self.node {
            self.link.client.broker.attached(node, self.link.key.clone());
        }
        match self.receive(&mut receiver).await {
            Err(error) if !is_orderly(&error) => {
                eprintln!("broker: a link on which a client sent has ended: {error}");
            }
            _ => {}
        }
        let detached = receiver.detached().await;
        let received = match self.link.resumable && !detached.closed {
            true => receiver.suspend().await.ok(),
            false => None,
        };
        if let Some(left) = &received {
            // What was taken is stored. The client learns it when it is back.
            for kept in left.deliveries().iter().filter(|kept| kept.taken && kept.outcome.is_none()) {
                left.settle(&kept.tag, DeliveryState::Accepted);
            }
        }
        self.over(received, Some(&detached));
    }

    /// The link has ended, and leaves this.
    pub(crate) fn over(self, received: Option<SuspendedReceiver>, detached: Option<&Detached>) {
        self.link.over(Left { node: self.node, subscription: None, sent: None, received }, detached);
    }

    /// Takes what comes while there is room: the engine gives credit for what is taken.
    async fn receive(&self, receiver: &mut Receiver) -> Result<(), Error> {
        loop {
            let delivery = tokio::select! {
                delivery = self.next(receiver) => delivery?,
                () = self.deleted() => return receiver.detach_with(Some(deleted()), true).await,
                () = self.link.stolen() => {
                    let error = AmqpError::new(ErrorCondition::STOLEN, "the link was attached elsewhere");
                    return receiver.detach_with(Some(error), false).await;
                }
            };
            let Some(delivery) = delivery else { return Ok(()) };
            match self.taken(&delivery).await {
                // It is visible when its transaction is committed (§4.4.1).
                Ok((node, message)) if delivery.transaction().is_some() => {
                    let posted = Posted { node, message, publisher: self.link.client.container.clone() };
                    match self.link.client.coordinator.post(delivery, posted) {
                        // The transaction is over meanwhile; its controller knows.
                        Err(error) if error.kind() == ErrorKind::RolledBack => {}
                        posted => posted?,
                    }
                }
                Ok((node, message)) => {
                    self.link.client.broker.publish(&node, message, &self.link.client.container);
                    // Of what was sent settled there is nothing to say.
                    delivery.accept()?;
                }
                Err(error) => {
                    if !receiver.refuse(delivery, error).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn next(&self, receiver: &mut Receiver) -> Result<Option<Delivery>, Error> {
        if let Some(node) = &self.node {
            node.ready().await;
        }
        receiver.recv().await
    }

    async fn deleted(&self) {
        match &self.node {
            Some(node) => node.deleted().await,
            None => std::future::pending().await,
        }
    }

    /// A message, and the node that it goes to.
    async fn taken(&self, delivery: &Delivery) -> Result<(Arc<Queue>, HeldMessage), AmqpError> {
        let message = self.link.client.broker.hold(delivery)?;
        let node = match &self.node {
            Some(node) => node.clone(),
            None => self.route(delivery).await?,
        };
        if node.is_deleted() {
            return Err(deleted());
        }
        Ok((node, message))
    }

    /// Where a message goes by itself.
    async fn route(&self, delivery: &Delivery) -> Result<Arc<Queue>, AmqpError> {
        let message = delivery.message();
        let to = message.properties().ok().flatten().and_then(|properties| properties.to);
        let missing = || AmqpError::new(ErrorCondition::NOT_FOUND, "the message does not say where it goes");
        let said = message.message_annotation(DESTINATION).ok().flatten().and_then(|value| value.to_value().ok());
        let node = self.link.client.broker.find(&to.ok_or_else(missing)?, Kind::of_destination(said.as_ref()))?;
        node.ready().await;
        Ok(node)
    }
}
