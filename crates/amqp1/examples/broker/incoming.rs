//! Links on which clients send.

use super::{
    broker::{Broker, Kind},
    consumer::report,
    queue::Queue,
    termini::{Left, Link},
    transactions::Posted,
};
use amqp1::{
    Credit, Delivery, Error, ErrorKind, Receiver,
    broker::terminus::HeldMessage,
    error::{AmqpError, ErrorCondition},
    link::{DeliveryState, Detached},
    resume::SuspendedReceiver,
};
use std::sync::Arc;

/// How many messages a sender may send that were not taken yet.
const WINDOW: u32 = 256;

/// Says of a message what the node is that it goes to: 0 or 2 a queue, 1 or 3 a topic.
const DESTINATION: &str = "x-opt-jms-dest";

/// A message and the node that it goes to, or why it is refused.
type Taken = Result<(Arc<Queue>, HeldMessage), AmqpError>;

pub(crate) struct Incoming {
    pub(crate) link: Link,
    /// Where the messages go; on the anonymous relay each where its `to` says.
    pub(crate) node: Option<Arc<Queue>>,
    /// The window of credit that the link was accepted with.
    pub(crate) window: u32,
}

/// How many messages a sender may send: no more than its node has room for. Other senders may use that room first.
pub(crate) fn window(broker: &Broker, node: Option<&Arc<Queue>>) -> u32 {
    let room = node.map_or(broker.options.depth, |node| node.free());
    u32::try_from(room).map_or(WINDOW, |room| room.min(WINDOW))
}

fn deleted() -> AmqpError {
    AmqpError::new(ErrorCondition::RESOURCE_DELETED, "the node was deleted")
}

impl Incoming {
    pub(crate) async fn run(self, mut receiver: Receiver) {
        let served = self.receive(&mut receiver).await;
        let detached = receiver.detached().await;
        report(&self.link.client.container, "sent", served, &detached);
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
        let mut window = self.window;
        loop {
            let next = tokio::select! {
                next = self.next(receiver, &mut window) => next?,
                () = self.deleted() => return receiver.detach_with(Some(deleted()), true).await,
                () = self.link.stolen() => {
                    let error = AmqpError::new(ErrorCondition::STOLEN, "the link was attached elsewhere");
                    return receiver.detach_with(Some(error), false).await;
                }
            };
            let Some((delivery, taken)) = next else { return Ok(()) };
            match taken {
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
                    // Before the outcome, on which the sender may send the next.
                    self.grant(receiver, &mut window);
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

    /// The next message, when there is room for it. `None` when the link has ended.
    async fn next(&self, receiver: &mut Receiver, window: &mut u32) -> Result<Option<(Delivery, Taken)>, Error> {
        let ended = receiver.detached();
        if let Some(node) = &self.node {
            if !has_room(node, ended).await {
                return Ok(None);
            }
            self.grant(receiver, window);
            let Some(delivery) = receiver.recv().await? else { return Ok(None) };
            let taken = self.taken(&delivery, node.clone());
            return Ok(Some((delivery, taken)));
        }
        let Some(delivery) = receiver.recv().await? else { return Ok(None) };
        let taken = match self.route(&delivery) {
            Ok(node) if !has_room(&node, ended).await => return Ok(None),
            Ok(node) => self.taken(&delivery, node),
            Err(error) => Err(error),
        };
        Ok(Some((delivery, taken)))
    }

    /// Changes the window of credit as the room has changed.
    fn grant(&self, receiver: &mut Receiver, granted: &mut u32) {
        let window = window(&self.link.client.broker, self.node.as_ref());
        // A link that has ended needs no credit. What it has brought is still taken.
        if *granted != window && receiver.set_credit(Credit::Window(window)).is_ok() {
            *granted = window;
        }
    }

    async fn deleted(&self) {
        match &self.node {
            Some(node) => node.deleted().await,
            None => std::future::pending().await,
        }
    }

    /// A message, and the node that it goes to.
    fn taken(&self, delivery: &Delivery, node: Arc<Queue>) -> Taken {
        let message = self.link.client.broker.hold(delivery)?;
        if node.is_deleted() {
            return Err(deleted());
        }
        Ok((node, message))
    }

    /// Where a message goes by itself.
    fn route(&self, delivery: &Delivery) -> Result<Arc<Queue>, AmqpError> {
        let message = delivery.message();
        let to = message.properties().ok().flatten().and_then(|properties| properties.to);
        let missing = || AmqpError::new(ErrorCondition::NOT_FOUND, "the message does not say where it goes");
        let said = message.message_annotation(DESTINATION).ok().flatten().and_then(|value| value.to_value().ok());
        self.link.client.broker.find(&to.ok_or_else(missing)?, Kind::of_destination(said.as_ref()))
    }
}

/// Waits until a node has room. What has been sent to a full one on a link that ends is not taken: whoever sends it settled
/// accepts that.
async fn has_room(node: &Queue, ended: impl Future<Output = Detached>) -> bool {
    tokio::select! {
        biased;
        () = node.ready() => true,
        _ = ended => false,
    }
}
