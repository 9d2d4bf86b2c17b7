//! How an answer says what became of its request.

use amqp1_codec::{
    DecodeError, Message, MessageBuilder, Str, Symbol, ValueRef, definitions::ErrorCondition, printable::printable,
};
use std::fmt;

/// The application properties, each in the spelling of management nodes and in the one of `$cbs` and of Azure's nodes.
const CODE: [&str; 2] = ["statusCode", "status-code"];
const DESCRIPTION: [&str; 2] = ["statusDescription", "status-description"];
const CONDITION: [&str; 2] = ["errorCondition", "error-condition"];

/// The status of a request: a code like those of HTTP, and the node's description.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// 200 to 299 is a success.
    pub code: i32,
    /// The node's description, for people.
    pub description: Option<Str>,
    /// An error condition, which some nodes give besides.
    pub condition: Option<ErrorCondition>,
}

impl Status {
    /// This code, with a description that says something or is empty.
    pub fn new(code: i32, description: impl Into<Str>) -> Self {
        Self { code, description: Some(description.into()).filter(|text| !text.is_empty()), condition: None }
    }

    /// Reads the status of an answer, in either spelling; the code may have any integer type. `None` if there is no
    /// code.
    ///
    /// # Errors
    ///
    /// If the application properties are malformed.
    pub fn of(message: &Message) -> Result<Option<Self>, DecodeError> {
        let code =
            either(message, CODE)?.and_then(|value| value.as_integer()).and_then(|code| i32::try_from(code).ok());
        let Some(code) = code else { return Ok(None) };
        let text = |names| Ok::<_, DecodeError>(either(message, names)?.and_then(|value| value.as_text()));
        let description = text(DESCRIPTION)?.filter(|text| !text.is_empty()).map(Str::from);
        // One that is not ASCII is none.
        let condition = text(CONDITION)?.filter(|text| !text.is_empty()).and_then(|text| Symbol::new(text).ok());
        let condition = condition.map(ErrorCondition::new);
        Ok(Some(Self { code, description, condition }))
    }

    /// Whether the node did what it was asked for.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// Adds the status to an answer, as management nodes spell it: an `int`, and a string.
    pub fn put(&self, message: MessageBuilder) -> MessageBuilder {
        let [code, _] = CODE;
        let [description, _] = DESCRIPTION;
        message
            .application_property(code, self.code)
            .application_property(description, self.description.clone().unwrap_or_default())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.code)?;
        match &self.description {
            Some(description) => write!(f, ", {}", printable(description)),
            None => Ok(()),
        }
    }
}

fn either<'a>(message: &'a Message, [name, otherwise]: [&str; 2]) -> Result<Option<ValueRef<'a>>, DecodeError> {
    match message.application_property(name)? {
        Some(value) => Ok(Some(value)),
        None => message.application_property(otherwise),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp1_codec::Value;

    fn answer(properties: impl IntoIterator<Item = (&'static str, Value)>) -> Message {
        let add = |message: MessageBuilder, (name, value)| message.application_property(name, value);
        let message = properties.into_iter().fold(Message::builder(), add).build();
        Message::from_chunks(message.into_parts()).expect("sections")
    }

    #[test]
    fn e_mgmt_1_a_status_is_read_in_either_spelling_and_any_integer_type() {
        for code in [CODE[0], CODE[1]] {
            for value in [Value::from(404), Value::from(404u16), Value::from(404i64), Value::from(404u64)] {
                let status = Status::of(&answer([(code, value), (DESCRIPTION[1], "none".into())])).expect("a map");
                assert_eq!(status, Some(Status::new(404, "none")));
            }
        }
        let status = Status::of(&answer([(CODE[0], 200.into()), (DESCRIPTION[0], "".into())])).expect("a map");
        assert_eq!(status, Some(Status::new(200, "")));
        assert_eq!(Status::of(&answer([(CODE[0], "200".into())])), Ok(None));
        assert_eq!(Status::of(&answer([(CODE[0], u64::MAX.into())])), Ok(None));
        assert_eq!(Status::of(&answer([])), Ok(None));
    }
}
