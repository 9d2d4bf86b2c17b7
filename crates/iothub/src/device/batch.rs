//! Telemetry that travels as one message: a data section for each (message format 0x80013700).

use super::telemetry::Telemetry;
use crate::error::{Error, ErrorKind};
use amqp1::{Delivered, Message, message::EncodedMessage};
use bytes::{Bytes, BytesMut};

/// The format of a message whose data sections are messages.
pub(crate) const FORMAT: u32 = 0x8001_3700;

/// What the hub takes at once, in octets.
const MAX_SIZE: usize = 256 * 1024;

/// The number of messages that the hub takes at once.
const MAX_COUNT: usize = 500;

/// The batch; `None` if there is nothing in it.
pub(crate) fn encode(telemetry: impl IntoIterator<Item = Telemetry>) -> Result<Option<EncodedMessage>, Error> {
    let mut builder = Message::builder();
    let mut size = 0;
    for (index, one) in telemetry.into_iter().enumerate() {
        if index == MAX_COUNT {
            let sentence = "the message is too large: a batch has at most 500 messages";
            return Err(Error::new(ErrorKind::MessageTooLarge, sentence).about(Delivered::No));
        }
        let octets = contiguous(one.encode()?);
        size += octets.len();
        if size > MAX_SIZE {
            let sentence = "the message is too large: a batch has at most 256 KB";
            return Err(Error::new(ErrorKind::MessageTooLarge, sentence).about(Delivered::No));
        }
        builder = builder.data(octets);
    }
    Ok((size > 0).then(|| builder.build()))
}

fn contiguous(message: EncodedMessage) -> Bytes {
    let mut octets = BytesMut::with_capacity(message.len());
    for part in message.into_parts() {
        octets.extend_from_slice(&part);
    }
    octets.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::received;

    #[test]
    fn each_data_section_is_a_message() {
        let batch = encode([Telemetry::new("one").property("n", "1"), Telemetry::new("two")]).expect("small");
        let batch = received(batch.expect("something"));
        let amqp1::message::Body::Data(sections) = batch.body() else { panic!("data sections") };
        let inner: Vec<Message> = sections
            .map(|section| Message::from_chunks(section.chunks().collect::<Vec<_>>()).expect("a message"))
            .collect();
        assert_eq!(inner.len(), 2);
        assert_eq!(inner[0].data().as_deref(), Some(&b"one"[..]));
        let property = inner[0].application_property("n").expect("decodes");
        assert_eq!(property.and_then(|value| value.as_text()), Some("1"));
        assert_eq!(inner[1].data().as_deref(), Some(&b"two"[..]));
    }

    #[test]
    fn a_batch_is_bounded_and_an_empty_one_is_not_sent() {
        assert!(encode([]).expect("nothing").is_none());
        let error = encode((0..3).map(|_| Telemetry::new(vec![0; 100 * 1024]))).expect_err("too large");
        assert_eq!((error.kind(), error.delivered()), (ErrorKind::MessageTooLarge, Delivered::No));
        assert!(encode((0..500).map(|_| Telemetry::new(""))).expect("as many as the hub takes").is_some());
        let error = encode((0..501).map(|_| Telemetry::new(""))).expect_err("too many");
        assert_eq!((error.kind(), error.delivered()), (ErrorKind::MessageTooLarge, Delivered::No));
    }
}
