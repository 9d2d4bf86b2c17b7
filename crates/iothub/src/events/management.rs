//! Questions to the `$management` node of an Event-Hubs-compatible endpoint.

use crate::{
    connect::Hub,
    error::{Error, ErrorKind, Subject},
};
use amqp1::{
    Credit, Message, Receiver, Sender, Session, Source, Target, Value,
    codec::{DecodeError, Map, ValueRef},
    link::SenderSettleMode,
    message::{EncodedMessage, MessageId, Properties},
};

pub(super) const ADDRESS: &str = "$management";

/// What the answer to the one question that is asked here refers to.
const MESSAGE_ID: &str = "partitions";

/// The links to the node.
pub(super) struct Node {
    sender: Sender,
    receiver: Receiver,
}

impl Node {
    pub(super) async fn attach(session: &Session, address: &str) -> Result<Self, amqp1::Error> {
        let receiver = session
            .receiver(address)
            .max_message_size(crate::connect::MAX_MESSAGE_SIZE)
            .target(Target::at(ADDRESS))
            .credit(Credit::Window(10));
        let receiver = receiver.attach().await?;
        let sender = session.sender(address).source(Source::at(ADDRESS)).settle_mode(SenderSettleMode::Unsettled);
        Ok(Self { sender: sender.attach().await?, receiver })
    }

    /// Reads what the endpoint says about an event hub, or about a partition of it.
    pub(super) async fn read(mut self, hub: &Hub, entity: &str, partition: Option<&str>) -> Result<Map, Error> {
        let answered = tokio::time::timeout(hub.operation_timeout(), self.ask(hub, question(entity, partition))).await;
        answered.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Timeout, "the hub did not answer in time: no answer about its partitions"))
        })
    }

    async fn ask(&mut self, hub: &Hub, question: EncodedMessage) -> Result<Map, Error> {
        match self.sender.send(question).await.and_then(amqp1::Outcome::into_result) {
            // Settled without an outcome: the answer says what became of the question.
            Err(error) if error.kind() != amqp1::ErrorKind::NoOutcome => return Err(hub.error(error)),
            _ => {}
        }
        loop {
            let delivery = self.receiver.recv().await.map_err(|error| hub.error(error))?;
            let Some(delivery) = delivery else {
                return Err(Error::protocol(
                    "the hub did not keep to the protocol: it ended the link instead of answering",
                ));
            };
            let answer = answer(delivery.message());
            delivery.accept().ok();
            if let Some(map) = answer? {
                return Ok(map);
            }
        }
    }
}

fn question(entity: &str, partition: Option<&str>) -> EncodedMessage {
    let properties = Properties {
        message_id: Some(MessageId::from(MESSAGE_ID)),
        reply_to: Some(ADDRESS.into()),
        ..Properties::default()
    };
    let builder = Message::builder()
        .properties(properties)
        .application_property("operation", "READ")
        .application_property("name", entity);
    let builder = match partition {
        Some(id) => {
            builder.application_property("type", "com.microsoft:partition").application_property("partition", id)
        }
        None => builder.application_property("type", "com.microsoft:eventhub"),
    };
    builder.value(Value::Null).build()
}

/// What the answer says; `None` if it is not the answer.
fn answer(message: &Message) -> Result<Option<Map>, Error> {
    let malformed = |error: DecodeError| {
        Error::protocol("the hub did not keep to the protocol: its answer cannot be decoded").with_source(error)
    };
    let correlation = message.properties().map_err(malformed)?.and_then(|properties| properties.correlation_id);
    if correlation != Some(MessageId::from(MESSAGE_ID)) {
        return Ok(None);
    }
    let property = |name| message.application_property(name).map_err(malformed);
    let status = property("status-code")?.and_then(|value| ValueRef::as_integer(&value));
    let status = status.and_then(|status| i32::try_from(status).ok()).unwrap_or(500);
    if !(200..300).contains(&status) {
        let description = property("status-description")?.and_then(|value| value.as_text());
        return Err(Subject::Events.status(status, description));
    }
    match message.value().map_err(malformed)? {
        Some(Value::Map(map)) => Ok(Some(map)),
        _ => Err(Error::protocol("the hub did not keep to the protocol: its answer is not a map")),
    }
}
