//! Questions to the `$management` node of an Event-Hubs-compatible endpoint.

use crate::{
    connect::Hub,
    error::{Error, ErrorKind, Subject},
};
use amqp1::{
    Credit, EncodedMessage, Message, MessageId, Properties, Receiver, Sender, SenderSettleMode, Session, Source,
    Target, Value,
    codec::{DecodeError, ValueRef},
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

    /// Asks which partitions an event hub has.
    pub(super) async fn partition_ids(mut self, hub: &Hub, entity: &str) -> Result<Vec<String>, Error> {
        let answered = tokio::time::timeout(hub.operation_timeout(), self.ask(hub, entity)).await;
        answered.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Timeout, "the hub did not answer in time: no answer about its partitions"))
        })
    }

    async fn ask(&mut self, hub: &Hub, entity: &str) -> Result<Vec<String>, Error> {
        match self.sender.send(question(entity)).await.and_then(amqp1::Outcome::accepted) {
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
            let _ = delivery.accept();
            if let Some(ids) = answer? {
                return Ok(ids);
            }
        }
    }
}

fn question(entity: &str) -> EncodedMessage {
    let properties = Properties {
        message_id: Some(MessageId::from(MESSAGE_ID)),
        reply_to: Some(ADDRESS.into()),
        ..Properties::default()
    };
    Message::builder()
        .properties(properties)
        .application_property("operation", "READ")
        .application_property("type", "com.microsoft:eventhub")
        .application_property("name", entity)
        .value(Value::Null)
        .build()
}

/// The partitions that the answer names; `None` if it is not the answer.
fn answer(message: &Message) -> Result<Option<Vec<String>>, Error> {
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
    let value = message.value().map_err(malformed)?;
    let ids = match &value {
        Some(Value::Map(map)) => map.get_str("partition_ids").map(texts),
        _ => None,
    };
    match ids {
        Some(Some(ids)) => Ok(Some(ids)),
        _ => Err(Error::protocol("the hub did not keep to the protocol: its answer names no partitions")),
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| value.as_text().map(str::to_owned);
    match value {
        Value::Array(array) => array.iter().map(|item| text(&item)).collect(),
        Value::List(items) => items.iter().map(text).collect(),
        _ => None,
    }
}
