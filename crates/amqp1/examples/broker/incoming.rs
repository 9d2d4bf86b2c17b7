//! Links on which clients send.

use super::{broker::Broker, queue::Queue};
use amqp1::{AmqpError, Delivery, Error, ErrorCondition, Receiver, Str, engine::terminus::Key};
use std::sync::Arc;

/// Where the messages of a link go.
pub(crate) enum Target {
    /// Each where its `to` says (the anonymous relay).
    Relay,
    Queue(Arc<Queue>),
}

pub(crate) struct Incoming {
    pub(crate) broker: Arc<Broker>,
    pub(crate) link: Key,
    pub(crate) target: Target,
}

impl Incoming {
    pub(crate) async fn run(self, mut receiver: Receiver) {
        if let Target::Queue(queue) = &self.target {
            self.broker.attached(queue, self.link.clone());
        }
        if let Err(error) = self.receive(&mut receiver).await {
            eprintln!("broker: a link on which a client sent has ended: {error}");
        }
        self.ended(receiver.detached().await.closed);
    }

    pub(crate) fn ended(self, closed: bool) {
        if let Target::Queue(queue) = self.target {
            self.broker.ended(queue, &self.link, closed);
        }
    }

    /// Takes what comes while there is room: the engine gives credit for what is taken.
    async fn receive(&self, receiver: &mut Receiver) -> Result<(), Error> {
        loop {
            let delivery = match &self.target {
                Target::Relay => receiver.recv().await?,
                Target::Queue(queue) => {
                    queue.room().await;
                    tokio::select! {
                        delivery = receiver.recv() => delivery?,
                        () = queue.deleted() => {
                            let error = AmqpError::new(ErrorCondition::RESOURCE_DELETED, "the node was deleted");
                            return receiver.detach_with(Some(error), true).await;
                        }
                    }
                }
            };
            let Some(delivery) = delivery else { return Ok(()) };
            match self.store(&delivery).await {
                // Of what was sent settled there is nothing to say.
                Ok(()) => delivery.accept()?,
                Err(error) => {
                    if !receiver.refuse(delivery, error).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn store(&self, delivery: &Delivery) -> Result<(), AmqpError> {
        let message = self.broker.hold(delivery)?;
        let queue = match &self.target {
            Target::Queue(queue) => queue.clone(),
            Target::Relay => {
                let to = delivery.message().properties().ok().flatten().and_then(|properties| properties.to);
                let missing = || AmqpError::new(ErrorCondition::NOT_FOUND, "the message does not say where it goes");
                let queue = self.broker.queue(&to.ok_or_else(missing)?)?;
                queue.room().await;
                queue
            }
        };
        if queue.is_deleted() {
            return Err(AmqpError::new(ErrorCondition::RESOURCE_DELETED, "the node was deleted"));
        }
        queue.push(message, self.publisher());
        self.broker.changed(&queue);
        Ok(())
    }

    fn publisher(&self) -> Str {
        self.link.container_id.clone()
    }
}
