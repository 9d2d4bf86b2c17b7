use crate::{
    connect::Hub,
    error::{Error, ErrorKind},
};
use amqp1::{
    Delivered, Message, Sender, Value,
    message::{Body, EncodedMessage, MessageId, Properties},
};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use std::{fmt, sync::Arc};

/// The application property that names the method; the hub is particular about its case.
const NAME: &str = "IoThub-methodname";
const STATUS: &str = "IoThub-status";

/// The largest payload of an answer, in octets.
const MAX_PAYLOAD: usize = 128 * 1024;

/// The status of an answer that the application did not give.
pub(super) const UNANSWERED: i32 = 500;

/// A call as it has come.
#[derive(Debug)]
pub(super) struct Received {
    name: String,
    payload: Bytes,
    correlation_id: MessageId,
}

impl Received {
    /// `None` if the call does not say how it is to be answered.
    pub(super) fn parse(message: &Message) -> Option<Self> {
        let properties = message.properties_ref().ok().flatten().map(|properties| properties.readable());
        let correlation_id = properties?.correlation_id?;
        let named = message.application_properties().ok().flatten().and_then(|properties| {
            let mut named =
                properties.iter().filter(|(key, _)| key.as_text().is_some_and(|key| key.eq_ignore_ascii_case(NAME)));
            named.next().and_then(|(_, name)| name.as_text().map(str::to_owned))
        });
        let payload = match message.body() {
            Body::Data(_) => message.data().unwrap_or_default(),
            Body::Value(value) => match value.to_value() {
                Ok(Value::Binary(octets)) => octets,
                Ok(Value::String(text)) => text.to_bytes(),
                _ => Bytes::new(),
            },
            _ => Bytes::new(),
        };
        Some(Self { name: named.unwrap_or_default(), payload, correlation_id })
    }
}

/// A service's call of a direct method, which waits for its answer.
///
/// Dropped without having been answered, it is answered with status 500, so that the service does not wait in vain.
#[must_use = "a call that is dropped is answered with status 500"]
pub struct MethodCall {
    received: Received,
    sender: Sender,
    hub: Arc<Hub>,
    answered: bool,
}

impl fmt::Debug for MethodCall {
    /// Of the payload how long it is: what it holds may be large or secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MethodCall")
            .field("name", &self.received.name)
            .field("payload", &format_args!("{} octets", self.received.payload.len()))
            .finish_non_exhaustive()
    }
}

impl MethodCall {
    pub(super) fn new(received: Received, sender: Sender, hub: Arc<Hub>) -> Self {
        Self { received, sender, hub, answered: false }
    }

    /// The method's name.
    pub fn name(&self) -> &str {
        &self.received.name
    }

    /// The payload as the service sent it: JSON, of which nothing is `null`.
    pub fn payload(&self) -> &Bytes {
        &self.received.payload
    }

    /// The payload as a value of JSON, or as a type of the application's own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] if the payload is not JSON, or does not fit the type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        json(&self.received.payload)
    }

    /// Answers the call. The answer is sent and not confirmed: if the service has stopped waiting, the hub drops it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MessageTooLarge`] for a payload of more than 128 KB, which is reported to the service as status 500; if
    /// the link or the connection has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancelled while it waits for its turn, the call is answered with status 500.
    pub async fn answer(mut self, answer: MethodAnswer) -> Result<(), Error> {
        if answer.payload.len() > MAX_PAYLOAD {
            let sentence = "the message is too large: the answer to a method has at most 128 KB";
            return Err(Error::new(ErrorKind::MessageTooLarge, sentence).about(Delivered::No));
        }
        let message = self.encode(&answer);
        let permit = self.sender.reserve().await.map_err(|error| self.hub.error(error))?;
        let sent = permit.send(message);
        self.answered = sent.is_ok();
        sent.map(drop).map_err(|error| self.hub.error(error))
    }

    pub(super) fn take_payload(&self) -> (String, Bytes) {
        (self.received.name.clone(), self.received.payload.clone())
    }

    fn encode(&self, answer: &MethodAnswer) -> EncodedMessage {
        let correlation_id = Some(self.received.correlation_id.clone());
        Message::builder()
            .properties(Properties { correlation_id, ..Properties::default() })
            .application_property(STATUS, answer.status)
            .data(answer.payload.clone())
            .build()
    }
}

impl Drop for MethodCall {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let unanswered = MethodAnswer::new(UNANSWERED).payload("the device did not answer the call");
        let message = self.encode(&unanswered);
        if let Ok(permit) = self.sender.try_reserve() {
            if let Err(error) = permit.send(message) {
                tracing::debug!(%error, "a call of a method was dropped, and could not be answered");
            }
        } else if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let sender = self.sender.clone();
            // It ends with the link at the latest.
            runtime.spawn(async move {
                if let Ok(permit) = sender.reserve().await
                    && let Err(error) = permit.send(message)
                {
                    tracing::debug!(%error, "a call of a method was dropped, and could not be answered");
                }
            });
        }
    }
}

pub(super) fn json<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Error> {
    let payload = if payload.is_empty() { b"null" } else { payload };
    serde_json::from_slice(payload)
        .map_err(|error| Error::invalid("the payload of the method does not fit").with_source(error))
}

/// The answer to a direct method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodAnswer {
    status: i32,
    payload: Bytes,
}

impl MethodAnswer {
    /// An answer with this status and the payload `null`. What a status means is up to the device and its services; many
    /// use those of HTTP.
    pub fn new(status: i32) -> Self {
        Self { status, payload: Bytes::from_static(b"null") }
    }

    /// Sets the payload.
    #[must_use]
    pub fn payload(mut self, payload: impl Into<serde_json::Value>) -> Self {
        self.payload = payload.into().to_string().into();
        self
    }

    /// Sets the payload to what a type of the application's own is in JSON.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] if it cannot be JSON.
    pub fn json(mut self, payload: &impl serde::Serialize) -> Result<Self, Error> {
        let octets = serde_json::to_vec(payload)
            .map_err(|error| Error::invalid("the answer cannot be written as JSON").with_source(error))?;
        self.payload = octets.into();
        Ok(self)
    }
}
