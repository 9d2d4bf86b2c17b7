use amqp1_codec::message::{EncodedMessage, Message};
use amqp1_codec::messaging::{MessageId, Properties};
use amqp1_codec::{EncodeStyle, Str, Value};

use super::{CbsError, Request, RequestError};

const STATUS_CODE: &str = "status-code";
const STATUS_DESCRIPTION: &str = "status-description";
/// The spelling of management nodes, which some servers use here as well.
const STATUS_CODE_OTHERWISE: &str = "statusCode";
const STATUS_DESCRIPTION_OTHERWISE: &str = "statusDescription";

/// The node's answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The request's message-id, in a reply that was received; when a reply is sent it comes from the request.
    pub correlation_id: Option<MessageId>,
    /// 200 or 202 if the token was accepted, else a code as HTTP has them: 400, 401, 403, 404, 500.
    pub status_code: i32,
    /// The node's description, for people.
    pub status_description: Option<Str>,
}

impl Reply {
    /// A reply with this status.
    pub fn new(status_code: i32, status_description: impl Into<Str>) -> Self {
        Self { correlation_id: None, status_code, status_description: Some(status_description.into()) }
    }

    /// Status 200: some clients take nothing else for a success.
    pub fn accepted() -> Self {
        Self::new(200, Str::from_static("OK"))
    }

    /// Status 401: the token is forged, expired or not good for this.
    pub fn unauthorized(description: impl Into<Str>) -> Self {
        Self::new(401, description)
    }

    /// The message that answers `request`: its correlation-id is the request's message-id in the same AMQP type, its
    /// status-code an `int`, its body an amqp-value of null. Clients depend on each of these.
    pub fn encode(&self, request: &Request, style: EncodeStyle) -> EncodedMessage {
        let description = self.status_description.clone().unwrap_or_default();
        Message::builder()
            .properties(Properties {
                to: request.reply_to.clone(),
                correlation_id: request.message_id.clone(),
                ..Properties::default()
            })
            .application_property(STATUS_CODE, self.status_code)
            .application_property(STATUS_DESCRIPTION, description)
            .value(Value::Null)
            .style(style)
            .build()
    }

    /// Reads a reply, be it of success or of refusal; see [`outcome`](Self::outcome). The status-code may have any
    /// integer type.
    ///
    /// # Errors
    ///
    /// [`CbsError::Malformed`], [`CbsError::MissingStatusCode`].
    pub fn parse(message: &Message) -> Result<Self, CbsError> {
        let either = |name, otherwise| match message.application_property(name)? {
            Some(value) => Ok::<_, CbsError>(Some(value)),
            None => Ok(message.application_property(otherwise)?),
        };
        let status_code = either(STATUS_CODE, STATUS_CODE_OTHERWISE)?
            .and_then(|value| value.as_integer())
            .and_then(|code| i32::try_from(code).ok())
            .ok_or(CbsError::MissingStatusCode)?;
        let status_description = either(STATUS_DESCRIPTION, STATUS_DESCRIPTION_OTHERWISE)?
            .and_then(|value| value.as_text())
            .filter(|text| !text.is_empty())
            .map(Str::from);
        let correlation_id = match message.properties_ref()? {
            Some(properties) => properties.correlation_id()?.map(|id| id.to_owned()),
            None => None,
        };
        Ok(Self { correlation_id, status_code, status_description })
    }

    /// Whether this is the answer to the request named `message_id`. An id of another AMQP type is another id.
    pub fn answers(&self, message_id: &MessageId) -> bool {
        self.correlation_id.as_ref() == Some(message_id)
    }

    /// Whether the token was accepted: 200 and 202 both say so.
    ///
    /// # Errors
    ///
    /// [`CbsError::Refused`] with what the node said.
    pub fn outcome(&self) -> Result<(), CbsError> {
        match self.status_code {
            200 | 202 => Ok(()),
            code => Err(CbsError::Refused { code, description: self.status_description.clone() }),
        }
    }
}

impl From<RequestError> for Reply {
    /// Status 400, with the reason.
    fn from(error: RequestError) -> Self {
        Self::new(400, alloc::format!("{error}"))
    }
}
