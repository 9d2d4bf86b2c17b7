//! Bodies of received messages.

use amqp1::{Message, Value, message::Body};
use bytes::Bytes;

/// The body of a received message, whatever kind it is of.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum MessageBody {
    /// Octets: what devices usually send.
    Data(Bytes),
    /// One value of AMQP's types, such as a text, a map or a list.
    Value(Value),
    /// Lists of values, one for each section.
    Sequence(Vec<Vec<Value>>),
    /// There is none.
    Empty,
}

impl MessageBody {
    pub(super) fn new(message: &Message) -> Result<Self, amqp1::codec::DecodeError> {
        Ok(match message.body() {
            Body::Data(_) => Self::Data(message.data().unwrap_or_default()),
            Body::Value(value) => Self::Value(value.to_value()?),
            Body::Sequence(sequences) => Self::Sequence(sequences.collect::<Result<_, _>>()?),
            Body::Malformed(error) => return Err(error),
            Body::Empty => Self::Empty,
        })
    }

    /// The octets: its data, or the text or the octets that its value is. Other values are not octets.
    pub(super) fn octets(&self) -> Bytes {
        match self {
            Self::Data(octets) | Self::Value(Value::Binary(octets)) => octets.clone(),
            Self::Value(Value::String(text)) => text.to_bytes(),
            Self::Value(_) | Self::Sequence(_) | Self::Empty => Bytes::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::received;
    use amqp1::MessageBuilder;

    #[test]
    fn bodies_that_are_values_give_their_octets() {
        for (value, expected) in [
            (Value::from("text"), &b"text"[..]),
            (Value::from(Bytes::from_static(b"octets")), b"octets"),
            (Value::from(5u32), b""),
        ] {
            let body = MessageBody::new(&received(Message::builder().value(value))).expect("a body");
            assert_eq!(&body.octets()[..], expected);
        }
        assert_eq!(&MessageBody::new(&received(Message::builder())).expect("a body").octets()[..], b"");
    }

    #[test]
    fn bodies_of_every_kind_are_readable() {
        let content = |builder: MessageBuilder| MessageBody::new(&received(builder)).expect("a body");
        let list = vec![Value::from(1i32), Value::from("two")];
        let map = Value::from([("temperature", Value::from(21.5f64))].into_iter().collect::<amqp1::codec::Map>());
        assert_eq!(content(Message::builder().data("x")), MessageBody::Data("x".into()));
        assert_eq!(content(Message::builder().value(map.clone())), MessageBody::Value(map));
        let value = Value::List(list.clone());
        assert_eq!(content(Message::builder().value(value.clone())), MessageBody::Value(value));
        let sequences = Message::builder().sequence(list.clone()).sequence(vec![]);
        assert_eq!(content(sequences), MessageBody::Sequence(vec![list, vec![]]));
        assert_eq!(content(Message::builder()), MessageBody::Empty);
    }
}
