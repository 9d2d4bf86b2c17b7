use alloc::string::String;
use core::fmt;

use amqp1_codec::message::{Body, EncodedMessage, Message};
use amqp1_codec::messaging::{MessageId, Properties};
use amqp1_codec::{EncodeStyle, Str, Timestamp, ValueRef};

use super::{ADDRESS, EXPIRATION, NAME, OPERATION, PUT_TOKEN, RequestError, TYPE};
use crate::UnixSeconds;
use crate::secret::SecretText;

/// The kinds of tokens that are put.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenType {
    /// `Bearer`: the word and a JSON web token, IoT Hub's way of taking one.
    Bearer,
    /// `azure-devices.net:sastoken`: a shared access signature, as some of IoT Hub's clients call it.
    IotHubSas,
    /// `jwt`: a JSON web token, Event Hubs' way of taking one.
    Jwt,
    /// `servicebus.windows.net:sastoken`: a shared access signature, the name that every service takes.
    ServiceBusSas,
}

impl TokenType {
    const ALL: [Self; 4] = [Self::Bearer, Self::IotHubSas, Self::Jwt, Self::ServiceBusSas];

    /// The name in the application property `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::IotHubSas => "azure-devices.net:sastoken",
            Self::Jwt => "jwt",
            Self::ServiceBusSas => "servicebus.windows.net:sastoken",
        }
    }

    /// The type with this name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(name))
    }

    /// Whether the token is a shared access signature. Clients send a JSON web token under a signature's type too;
    /// its text then begins with `Bearer`.
    pub const fn is_sas(self) -> bool {
        matches!(self, Self::IotHubSas | Self::ServiceBusSas)
    }
}

/// The operation put-token: a token, and what it is for.
#[derive(Clone)]
pub struct PutToken {
    token_type: TokenType,
    name: Str,
    token: SecretText,
    expiration: Option<Timestamp>,
    reply_to: Option<Str>,
}

impl PutToken {
    /// A token of any type for the audience `name`.
    pub fn new(token_type: TokenType, name: impl Into<Str>, token: impl Into<String>) -> Self {
        Self { token_type, name: name.into(), token: SecretText::new(token), expiration: None, reply_to: None }
    }

    /// A shared access signature for the audience `name`, the resource that the token was signed for.
    pub fn sas(name: impl Into<Str>, token: impl Into<String>) -> Self {
        Self::new(TokenType::ServiceBusSas, name, token)
    }

    /// Says when the token expires, which servers can read from the token as well.
    #[must_use]
    pub fn expiration(mut self, expiry: UnixSeconds) -> Self {
        self.expiration = Some(Timestamp(expiry.as_timestamp_millis()));
        self
    }

    /// Names the address of the receiver that waits for the answer. Servers find it without, if the session has one.
    #[must_use]
    pub fn reply_to(mut self, address: impl Into<Str>) -> Self {
        self.reply_to = Some(address.into());
        self
    }

    /// The request. Its answer is the reply that has `message_id` as its correlation-id.
    pub fn encode(&self, message_id: &MessageId, style: EncodeStyle) -> EncodedMessage {
        let mut builder = Message::builder()
            .properties(Properties {
                message_id: Some(message_id.clone()),
                to: Some(Str::from_static(ADDRESS)),
                reply_to: self.reply_to.clone(),
                ..Properties::default()
            })
            .application_property(OPERATION, PUT_TOKEN)
            .application_property(TYPE, self.token_type.as_str())
            .application_property(NAME, self.name.clone());
        if let Some(expiration) = self.expiration {
            builder = builder.application_property(EXPIRATION, expiration);
        }
        builder.value(self.token.expose()).style(style).build()
    }

    fn parse(message: &Message) -> Result<Self, RequestError> {
        let operation = text(message, OPERATION)?;
        if !operation.eq_ignore_ascii_case(PUT_TOKEN) {
            return Err(RequestError::UnsupportedOperation);
        }
        let token_type = TokenType::from_name(text(message, TYPE)?).ok_or(RequestError::UnsupportedType)?;
        let name = text(message, NAME)?;
        let expiration = match message.application_property(EXPIRATION)? {
            Some(ValueRef::Timestamp(expiration)) => Some(expiration),
            // Not needed: the token says it.
            _ => None,
        };
        let body = match message.body() {
            Body::Value(body) => body,
            Body::Malformed(error) => return Err(error.into()),
            _ => return Err(RequestError::MissingToken),
        };
        let ValueRef::String(token) = body.as_ref()? else { return Err(RequestError::MissingToken) };
        if token.is_empty() {
            return Err(RequestError::MissingToken);
        }
        Ok(Self { expiration, ..Self::new(token_type, name, token) })
    }

    /// The type that the client gives the token.
    pub fn token_type(&self) -> TokenType {
        self.token_type
    }

    /// The audience by the client's account. Clients write it in many ways; what counts is the resource in the token.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The token. It is a secret.
    pub fn token(&self) -> &str {
        self.token.expose()
    }

    /// When the token expires, by the client's account and in milliseconds since 1970; few clients say it.
    pub fn stated_expiration(&self) -> Option<Timestamp> {
        self.expiration
    }
}

impl fmt::Debug for PutToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutToken")
            .field("token_type", &self.token_type)
            .field("name", &self.name)
            .field("token", &self.token)
            .field("expiration", &self.expiration)
            .field("reply_to", &self.reply_to)
            .finish()
    }
}

/// A message that came to the node, with all that is needed to answer it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Names the request; the answer has it as its correlation-id, of the same AMQP type.
    pub message_id: Option<MessageId>,
    /// Where the client wants the answer, for [`reply_link`](super::reply_link) and the answer's `to`.
    pub reply_to: Option<Str>,
    /// The request, or the reason why it is not clear.
    pub operation: Result<PutToken, RequestError>,
}

impl Request {
    /// Reads a request. Nothing about the token is verified.
    ///
    /// There is always something to answer: what cannot be understood is the error in
    /// [`operation`](Self::operation).
    pub fn parse(message: &Message) -> Self {
        let properties = match message.properties_ref() {
            Ok(properties) => properties,
            Err(error) => return Self { message_id: None, reply_to: None, operation: Err(error.into()) },
        };
        let Some(properties) = properties else {
            return Self { message_id: None, reply_to: None, operation: PutToken::parse(message) };
        };
        // The properties that an answer needs must be readable; the other properties mean nothing here.
        let unreadable = properties.message_id().err().or_else(|| properties.reply_to().err());
        let operation = unreadable.map_or_else(|| PutToken::parse(message), |error| Err(error.into()));
        // Detached, as they may outlive the read buffer.
        let Properties { message_id, reply_to, .. } = properties.readable();
        Self {
            message_id: message_id.map(detached),
            reply_to: reply_to.map(|address| address.to_detached()),
            operation,
        }
    }
}

fn detached(id: MessageId) -> MessageId {
    match id {
        MessageId::String(text) => MessageId::String(text.to_detached()),
        MessageId::Binary(octets) => MessageId::Binary(bytes::Bytes::copy_from_slice(&octets)),
        MessageId::Ulong(_) | MessageId::Uuid(_) => id,
    }
}

fn text<'a>(message: &'a Message, property: &'static str) -> Result<&'a str, RequestError> {
    let value = message.application_property(property)?;
    value
        .and_then(|value| value.as_text())
        .filter(|text| !text.is_empty())
        .ok_or(RequestError::MissingProperty(property))
}
