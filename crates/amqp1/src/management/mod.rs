//! Requests to management nodes: an operation in the application properties, and a status in those of the answer.
//!
//! ```no_run
//! # async fn example(session: &amqp1::Session) -> Result<(), amqp1::Error> {
//! use amqp1::management::{Management, Operation};
//!
//! let requester = session.requester("$management").reply_to_unique_link().attach().await?;
//! let management = Management::new(requester);
//! let read = Operation::new(Operation::READ).entity_type("com.microsoft:eventhub").property("name", "hub");
//! let answer = management.call(read).await?;
//! println!("{:?}", answer.message.value());
//! # Ok(()) }
//! ```

pub use crate::types::status::Status;

use crate::{
    request::{Request, Requester},
    types::error::{Delivered, Error, ErrorKind, Retry},
};
use amqp1_codec::{Message, MessageBuilder, Str, Value, definitions::AmqpError, messaging::Properties};
use std::time::Duration;

/// A management node, such as `$management`. Clones are handles of the same one.
#[derive(Clone, Debug)]
pub struct Management {
    requester: Requester,
}

/// The node's answer, whose status is a success.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// The status.
    pub status: Status,
    /// The whole answer.
    pub message: Message,
}

impl Management {
    /// The node that this requester asks.
    pub fn new(requester: Requester) -> Self {
        Self { requester }
    }

    /// Has the node do something, and waits until it has.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`] if the status is none of success: [`Error::status`] has it. [`ErrorKind::Protocol`] if
    /// there is none, or it cannot be read. Otherwise as [`Requester::request`].
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the node may do it all the same.
    pub async fn call(&self, operation: Operation) -> Result<Answer, Error> {
        let message = self.requester.request(operation.request).await?;
        let unclear = |text| Error::new(ErrorKind::Protocol, text).with_delivered(Delivered::Yes);
        match Status::of(&message) {
            Ok(Some(status)) if status.is_success() => Ok(Answer { status, message }),
            Ok(Some(status)) => Err(refused(&status)),
            Ok(None) => Err(unclear("the node's answer has no status")),
            Err(error) => Err(unclear("the node's answer is malformed").with_source(error)),
        }
    }

    /// The requester.
    pub fn requester(&self) -> &Requester {
        &self.requester
    }
}

/// The operation that a node is asked for.
#[derive(Clone, Debug)]
#[must_use = "call does it"]
pub struct Operation {
    request: Request,
}

impl Operation {
    /// Makes an entity.
    pub const CREATE: &'static str = "CREATE";
    /// Removes an entity.
    pub const DELETE: &'static str = "DELETE";
    /// Lists the operations of each type of entity.
    pub const GET_OPERATIONS: &'static str = "GET-OPERATIONS";
    /// Lists entities.
    pub const QUERY: &'static str = "QUERY";
    /// Looks at an entity.
    pub const READ: &'static str = "READ";
    /// Changes an entity.
    pub const UPDATE: &'static str = "UPDATE";

    /// This operation: the application property `operation`.
    pub fn new(operation: impl Into<Str>) -> Self {
        Self { request: Request::new(Message::builder().application_property("operation", operation.into())) }
    }

    /// Sets the type of the entity: the application property `type`.
    pub fn entity_type(self, name: impl Into<Str>) -> Self {
        self.property("type", name.into())
    }

    /// Sets the languages that descriptions are wanted in, most wanted first and with blanks between: the application
    /// property `locales`.
    pub fn locales(self, locales: impl Into<Str>) -> Self {
        self.property("locales", locales.into())
    }

    /// Sets an application property.
    pub fn property(self, name: impl Into<Str>, value: impl Into<Value>) -> Self {
        self.with(|message| message.application_property(name, value))
    }

    /// Sets the body.
    pub fn body(self, value: impl Into<Value>) -> Self {
        self.with(|message| message.value(value))
    }

    /// Sets the properties (§3.2.4), of which the requester sets message-id, reply-to and correlation-id.
    pub fn properties(mut self, properties: Properties) -> Self {
        self.request = self.request.properties(properties);
        self
    }

    /// Sets how long the answer may take.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.request = self.request.timeout(timeout);
        self
    }

    fn with(mut self, change: impl FnOnce(MessageBuilder) -> MessageBuilder) -> Self {
        self.request.message = change(self.request.message);
        self
    }
}

/// How long to wait when the node says that it may do better later.
const LATER: Duration = Duration::from_secs(5);

/// The error for a status that is no success. The node has received the request.
fn refused(status: &Status) -> Error {
    let retry = match status.code {
        // An operation that is not implemented will not be later.
        501 | 505 => Retry::Never,
        408 | 429 | 500..=599 => Retry::After(LATER),
        _ => Retry::Never,
    };
    let said = status.condition.clone().map(|condition| AmqpError {
        condition,
        description: status.description.clone(),
        info: None,
    });
    Error::new(ErrorKind::Refused, format!("the node answered with {status}"))
        .with_retry(retry)
        .with_amqp(said)
        .with_delivered(Delivered::Yes)
        .with_status(status.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp1_codec::definitions::ErrorCondition;

    #[test]
    fn a_status_says_what_may_help_unless_the_condition_does() {
        for (code, later) in
            [(400, false), (404, false), (408, true), (429, true), (500, true), (501, false), (503, true)]
        {
            assert_eq!(matches!(refused(&Status::new(code, "x")).retry(), Retry::After(_)), later, "{code}");
        }
        let status = Status { condition: Some(ErrorCondition::NOT_FOUND), ..Status::new(500, "gone") };
        let error = refused(&status);
        assert_eq!((error.retry(), error.condition()), (Retry::Never, Some(&ErrorCondition::NOT_FOUND)));
        assert_eq!(error.status(), Some(&status));
    }
}
