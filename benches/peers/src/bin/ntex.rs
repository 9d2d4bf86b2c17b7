//! The cases with `ntex-amqp-codec`: `ntex CASE COUNT`.
#![forbid(unsafe_code)]

use amqp1_peers::{Work, inputs};
use ntex_amqp_codec::{
    AmqpCodec, AmqpFrame, Encode, Message,
    protocol::{
        Accepted, Attach, DeliveryState, Disposition, Flow, Frame, Header, MessageId, ReceiverSettleMode, Role,
        SenderSettleMode, Source, Target, TerminusExpiryPolicy, Transfer, TransferBody,
    },
    types::{Symbol, Variant},
};
use ntex_bytes::{BytePages, ByteString, Bytes, BytesMut};
use ntex_codec::Decoder;
use std::{hint::black_box, process::ExitCode};

#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}

fn main() -> ExitCode {
    amqp1_peers::run(measured, |name, count| {
        Some(match name {
            "encode-transfer" => encoding(count, Frame::Transfer(transfer())),
            "encode-flow" => encoding(count, Frame::Flow(flow())),
            "encode-disposition" => encoding(count, Frame::Disposition(disposition())),
            "encode-attach" => encoding(count, Frame::Attach(attach())),
            "decode-transfer-view" => decoding(count, &inputs::transfer(), |frame| read_message(frame, read_view)),
            "decode-transfer-full" => decoding(count, &inputs::transfer(), |frame| read_message(frame, read_full)),
            "decode-flow" => decoding(count, &inputs::flow(), read_flow),
            "decode-disposition" => decoding(count, &inputs::disposition(), read_disposition),
            "decode-attach" => decoding(count, &inputs::attach(), read_attach),
            _ => return None,
        })
    })
}

fn message() -> Message {
    let mut message = Message::with_body(Bytes::from(vec![b'x'; inputs::DATA]));
    message.set_header(Header { durable: true, priority: 4, ttl: None, first_acquirer: false, delivery_count: 0 });
    message.set_properties(|properties| {
        properties.message_id = Some(MessageId::String(ByteString::from_static(inputs::MESSAGE_ID)));
        properties.to = Some(ByteString::from_static(inputs::TO));
        properties.correlation_id = Some(MessageId::String(ByteString::from_static(inputs::CORRELATION_ID)));
        properties.content_type = Some(Symbol::from(inputs::CONTENT_TYPE));
    });
    for n in 0..5 {
        message.set_app_property(format!("property-{n}"), Variant::Int(n));
    }
    message
}

fn transfer() -> Transfer {
    Transfer::build()
        .handle(0)
        .delivery_id(7)
        .delivery_tag(Bytes::from_static(&inputs::DELIVERY_TAG))
        .message_format(0)
        .settled(false)
        .body(TransferBody::Message(message()))
        .finish()
}

fn flow() -> Flow {
    Flow::build()
        .next_incoming_id(1000)
        .incoming_window(2048)
        .next_outgoing_id(2000)
        .outgoing_window(2048)
        .handle(1)
        .delivery_count(1000)
        .link_credit(500)
        .finish()
}

fn disposition() -> Disposition {
    Disposition::build()
        .role(Role::Receiver)
        .first(1000)
        .last(1063)
        .settled(true)
        .state(DeliveryState::Accepted(Accepted {}))
        .finish()
}

fn attach() -> Attach {
    Attach::build()
        .name(ByteString::from_static(inputs::LINK))
        .handle(1)
        .role(Role::Sender)
        .snd_settle_mode(SenderSettleMode::Unsettled)
        .rcv_settle_mode(ReceiverSettleMode::First)
        .source(source())
        .target(target())
        .initial_delivery_count(0)
        .max_message_size(262_144)
        .finish()
}

// Its default for the expiry policy is not the specification's, which would be encoded.
fn source() -> Source {
    Source {
        address: Some(ByteString::from_static(inputs::SOURCE)),
        expiry_policy: TerminusExpiryPolicy::SessionEnd,
        ..Source::default()
    }
}

fn target() -> Target {
    Target {
        address: Some(ByteString::from_static(inputs::TO)),
        expiry_policy: TerminusExpiryPolicy::SessionEnd,
        ..Target::default()
    }
}

/// Encodes a frame again and again into one buffer.
fn encoding(count: usize, frame: Frame) -> Work {
    let frame = AmqpFrame::new(0, frame);
    let mut out = BytePages::default();
    Box::new(move || {
        let mut octets = 0;
        for _ in 0..count {
            out.clear();
            black_box(&frame).encode(&mut out);
            octets += black_box(&out).len();
        }
        octets
    })
}

/// Decodes frames out of buffers that are full of them.
fn decoding(count: usize, frame: &[u8], read: fn(Frame) -> bool) -> Work {
    let mut buffers = inputs::buffers(frame, count, |octets| BytesMut::from(octets));
    let codec = AmqpCodec::<AmqpFrame>::new();
    Box::new(move || {
        let mut good = 0;
        for buffer in &mut buffers {
            while let Ok(Some(frame)) = codec.decode(buffer) {
                good += usize::from(read(frame.into_parts().1));
            }
        }
        good
    })
}

fn read_message(frame: Frame, read: fn(&Message) -> bool) -> bool {
    let Frame::Transfer(transfer) = frame else { return false };
    let Ok(message) = transfer.load_message::<Message>() else { return false };
    transfer.delivery_id() == Some(7) && read(&message)
}

fn read_view(message: &Message) -> bool {
    let Some(properties) = message.properties() else { return false };
    black_box((properties.message_id(), properties.to(), properties.correlation_id(), properties.content_type()));
    matches!(message.app_property("property-3"), Some(Variant::Int(3)))
}

fn read_full(message: &Message) -> bool {
    black_box((message.header(), message.body().data()));
    message.app_properties().is_some_and(|properties| properties.len() == 5) && read_view(message)
}

fn read_flow(frame: Frame) -> bool {
    matches!(black_box(frame), Frame::Flow(flow) if flow.link_credit() == Some(500))
}

fn read_disposition(frame: Frame) -> bool {
    matches!(black_box(frame), Frame::Disposition(disposition) if disposition.last() == Some(1063))
}

fn read_attach(frame: Frame) -> bool {
    matches!(black_box(frame), Frame::Attach(attach) if attach.max_message_size() == Some(262_144))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(frame: &[u8]) -> Frame {
        AmqpCodec::<AmqpFrame>::new().decode(&mut BytesMut::from(frame)).unwrap().unwrap().into_parts().1
    }

    fn encode(frame: Frame) -> Bytes {
        let mut out = BytePages::default();
        AmqpFrame::new(0, frame).encode(&mut out);
        out.freeze()
    }

    #[test]
    fn what_is_decoded_is_what_is_encoded() {
        for frame in [&inputs::transfer()[..], &encode(Frame::Transfer(transfer()))] {
            let Frame::Transfer(decoded) = decode(frame) else { panic!("no transfer") };
            // The format stands in the transfer, and is not put into the message that is loaded from it.
            let mut message_of_transfer = decoded.load_message::<Message>().unwrap();
            message_of_transfer.set_format(decoded.message_format().unwrap());
            assert_eq!(message_of_transfer, message());
            let (decoded, expected) = (decoded.into_inner(), transfer().into_inner());
            assert_eq!(*decoded, ntex_amqp_codec::protocol::TransferInner { body: decoded.body.clone(), ..*expected });
        }
        for expected in [Frame::Flow(flow()), Frame::Disposition(disposition()), Frame::Attach(attach())] {
            let given = match &expected {
                Frame::Flow(_) => inputs::flow(),
                Frame::Disposition(_) => inputs::disposition(),
                _ => inputs::attach(),
            };
            assert_eq!(decode(&given), expected);
            assert_eq!(decode(&encode(expected.clone())), expected);
        }
    }
}
