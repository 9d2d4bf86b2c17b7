use super::attach_receiver;
use crate::{connect::Hub, error::Error, message::Incoming, time::parse_iso8601};
use amqp1::{
    Delivery, Receiver,
    codec::printable::{bounded_debug, printable},
};
use serde::Deserialize;
use std::{fmt, sync::Arc, time::SystemTime};

const SOURCE: &str = "/messages/serviceBound/feedback";
const CONTENT_TYPE: &str = "application/vnd.microsoft.iothub.feedback.json";

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FeedbackStatus {
    /// The device has completed it.
    Success,
    /// Its time ran out before the device took it.
    Expired,
    /// The device gave it back too often.
    DeliveryCountExceeded,
    /// The device has rejected it.
    Rejected,
    /// The device's queue was purged.
    Purged,
    /// Something that this version does not know; the record's description may say more.
    Unknown,
}

impl FeedbackStatus {
    const NAMES: [(&'static str, Self); 5] = [
        ("Success", Self::Success),
        ("Expired", Self::Expired),
        ("DeliveryCountExceeded", Self::DeliveryCountExceeded),
        ("Rejected", Self::Rejected),
        ("Purged", Self::Purged),
    ];

    fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, status)| status)
    }
}

/// What became of one message.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedbackRecord {
    /// The message's id.
    pub original_message_id: String,
    /// What became of it.
    pub status: FeedbackStatus,
    /// The same in words, for people.
    pub description: String,
    /// The device that it was sent to.
    pub device_id: String,
    /// Tells the device from an earlier one of the same id.
    pub device_generation_id: String,
    /// When that was, if the hub said it in a way that can be read.
    pub enqueued_time: Option<SystemTime>,
}

impl fmt::Debug for FeedbackRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { original_message_id, status, description, device_id, device_generation_id, enqueued_time } = self;
        bounded_debug(f, |f| {
            f.debug_struct("FeedbackRecord")
                .field("original_message_id", &printable(original_message_id))
                .field("status", status)
                .field("description", &printable(description))
                .field("device_id", &printable(device_id))
                .field("device_generation_id", &printable(device_generation_id))
                .field("enqueued_time", enqueued_time)
                .finish()
        })
    }
}

/// A record as the hub writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    original_message_id: String,
    #[serde(default)]
    status_code: Code,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    device_id: String,
    #[serde(default)]
    device_generation_id: String,
    #[serde(default)]
    enqueued_time_utc: Option<String>,
}

/// The hub writes the word; its libraries number them.
#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Code {
    Name(String),
    Number(usize),
    #[default]
    Missing,
}

impl From<Wire> for FeedbackRecord {
    fn from(wire: Wire) -> Self {
        let description = wire.description.unwrap_or_default();
        let status = match &wire.status_code {
            Code::Name(name) => FeedbackStatus::from_name(name),
            Code::Number(number) => FeedbackStatus::NAMES.get(*number).map(|(_, status)| *status),
            Code::Missing => None,
        };
        Self {
            original_message_id: wire.original_message_id,
            // One of the vendor's libraries goes by the description alone.
            status: status.or_else(|| FeedbackStatus::from_name(&description)).unwrap_or(FeedbackStatus::Unknown),
            description,
            device_id: wire.device_id,
            device_generation_id: wire.device_generation_id,
            enqueued_time: wire.enqueued_time_utc.as_deref().and_then(parse_iso8601),
        }
    }
}

/// Reads the records of a feedback message.
fn records(message: &Incoming) -> Result<Vec<FeedbackRecord>, Error> {
    let content_type = message.properties.content_type.as_deref();
    if content_type.is_some_and(|text| !text.eq_ignore_ascii_case(CONTENT_TYPE)) {
        return Err(Error::protocol(
            "the hub did not keep to the protocol: a message among feedback is something else",
        ));
    }
    let wire: Vec<Wire> = serde_json::from_slice(&message.body).map_err(|error| {
        Error::protocol("the hub did not keep to the protocol: feedback cannot be read").with_source(error)
    })?;
    Ok(wire.into_iter().map(FeedbackRecord::from).collect())
}

/// Records of what became of messages, as the hub sends them: up to 64 at a time, or those of 15 s.
///
/// [Complete](Self::complete) it when it was dealt with. Dropped, it stays locked at the hub for a while and is then
/// sent again.
#[must_use = "feedback that is not completed comes again"]
pub struct FeedbackBatch {
    delivery: Delivery,
    records: Vec<FeedbackRecord>,
    enqueued_time: Option<SystemTime>,
    hub_name: Option<String>,
    hub: Arc<Hub>,
}

impl fmt::Debug for FeedbackBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { delivery, records, enqueued_time, hub_name, hub: _ } = self;
        bounded_debug(f, |f| {
            f.debug_struct("FeedbackBatch")
                .field("delivery", delivery)
                .field("hub_name", hub_name)
                .field("enqueued_time", enqueued_time)
                .field("records", records)
                .finish_non_exhaustive()
        })
    }
}

impl FeedbackBatch {
    /// The records.
    pub fn records(&self) -> &[FeedbackRecord] {
        &self.records
    }

    /// When the hub made the batch.
    pub fn enqueued_time(&self) -> Option<SystemTime> {
        self.enqueued_time
    }

    /// The hub's name.
    pub fn hub_name(&self) -> Option<&str> {
        self.hub_name.as_deref()
    }

    /// It was dealt with: the hub forgets it. This queues and does not wait; [`ServiceClient::close`] writes what is
    /// queued.
    ///
    /// [`ServiceClient::close`]: crate::ServiceClient::close
    ///
    /// # Errors
    ///
    /// If the link has ended; the batch then comes again.
    pub fn complete(self) -> Result<(), Error> {
        self.delivery.accept().map_err(|error| self.hub.error(error))
    }

    /// It was not dealt with: the hub sends it again, a limited number of times.
    ///
    /// # Errors
    ///
    /// If the link has ended; the batch then comes again.
    pub fn abandon(self) -> Result<(), Error> {
        self.delivery.release().map_err(|error| self.hub.error(error))
    }
}

/// Reads feedback. See [`ServiceClient::feedback`](crate::ServiceClient::feedback).
#[derive(Debug)]
pub struct FeedbackReceiver {
    receiver: Receiver,
    hub: Arc<Hub>,
    /// As a stream: its end was given.
    over: bool,
}

crate::stream::stream!(FeedbackReceiver => FeedbackBatch, |this| this.receiver.is_detached());

impl FeedbackReceiver {
    pub(super) async fn attach(hub: Arc<Hub>) -> Result<Self, Error> {
        let receiver = attach_receiver(&hub, SOURCE).await?;
        Ok(Self { receiver, hub, over: false })
    }

    /// Waits for the next batch, without a limit of time; `None` when the hub has ended the link without an error.
    ///
    /// # Errors
    ///
    /// If the link or the connection ends with an error. Feedback that cannot be read is an error too,
    /// [`ErrorKind::Protocol`](crate::ErrorKind::Protocol); it is abandoned, and the next call goes on.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: no batch is lost.
    pub async fn next(&mut self) -> Result<Option<FeedbackBatch>, Error> {
        let delivery = self.receiver.recv().await.map_err(|error| self.hub.error(error))?;
        let Some(delivery) = delivery else { return self.hub.check().map(|()| None) };
        let read = Incoming::new(delivery.message()).and_then(|message| Ok((records(&message)?, message)));
        match read {
            Ok((records, message)) => Ok(Some(FeedbackBatch {
                delivery,
                records,
                enqueued_time: message.time_annotation("iothub-enqueuedtime"),
                hub_name: message.properties.user_id.and_then(|name| String::from_utf8(name.to_vec()).ok()),
                hub: self.hub.clone(),
            })),
            Err(error) => {
                let _ = delivery.release();
                Err(error)
            }
        }
    }

    /// Closes the link; batches that were received and not settled come again.
    ///
    /// # Errors
    ///
    /// If the hub does not answer in time, or ended the link with an error.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it goes on by itself.
    pub async fn close(&self) -> Result<(), Error> {
        self.receiver.close().await.map_err(|error| self.hub.error(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::ErrorKind, message::tests::received};
    use amqp1::{Message, Symbol, message::Properties};

    fn parse(content_type: &'static str, body: &'static str) -> Result<Vec<FeedbackRecord>, Error> {
        let content_type = Some(Symbol::from_static(content_type));
        let message = Message::builder().properties(Properties { content_type, ..Properties::default() }).data(body);
        records(&Incoming::new(&received(message))?)
    }

    #[test]
    fn records_are_read_as_the_hub_writes_them() {
        let records = parse(
            CONTENT_TYPE,
            r#"[{"originalMessageId":"m1","description":"Success","deviceGenerationId":"g1","deviceId":"d1",
                "enqueuedTimeUtc":"2026-11-22T20:07:31.123Z","statusCode":"Success","extra":[1]},
               {"originalMessageId":"m2","description":"expired","deviceId":"d2"},
               {"originalMessageId":"m3","statusCode":3},
               {"originalMessageId":"m4","statusCode":"Novel"}]"#,
        );
        let records = records.expect("feedback");
        let first = records.first().expect("a record");
        assert_eq!((first.device_id.as_str(), first.device_generation_id.as_str()), ("d1", "g1"));
        assert_eq!(first.enqueued_time, parse_iso8601("2026-11-22T20:07:31.123Z"));
        let statuses: Vec<_> = records.iter().map(|record| record.status).collect();
        use FeedbackStatus::{Expired, Rejected, Success, Unknown};
        assert_eq!(statuses, [Success, Expired, Rejected, Unknown]);
    }

    #[test]
    fn what_is_no_feedback_is_an_error_and_no_panic() {
        for body in ["", "{}", "[{}]", "[1]", "null"] {
            assert_eq!(parse(CONTENT_TYPE, body).expect_err(body).kind(), ErrorKind::Protocol);
        }
        assert!(parse("application/json", "[]").is_err());
    }
}
