//! The cases with `fe2o3-amqp`: `fe2o3 CASE COUNT`.
//!
//! Its frame decoder can be used from outside, its frame encoder cannot: what that does (the frame's header, then the
//! performative by serde) is done here, straight into the reused buffer. The size in front of the frame, which the
//! library leaves to a codec of tokio-util, is written and read by hand.
#![forbid(unsafe_code)]

use amqp1_peers::{Work, inputs};
use bytes::{BufMut, Bytes, BytesMut};
use fe2o3_amqp::frames::amqp::{FrameBody, FrameDecoder};
use fe2o3_amqp_types::{
    definitions::{DeliveryTag, ReceiverSettleMode, Role, SenderSettleMode},
    messaging::{
        Accepted, ApplicationProperties, Data, DeliveryState, Header, Message, Properties, Source, Target,
        TargetArchetype,
        message::{__private::Serializable, DecodeIntoMessage},
    },
    performatives::{Attach, Disposition, Flow, Transfer},
    primitives::SimpleValue,
};
use serde::Serialize;
use serde_amqp::{primitives::Binary, read::SliceReader, ser::Serializer};
use std::{hint::black_box, process::ExitCode};
use tokio_util::codec::Decoder;

#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}

fn main() -> ExitCode {
    amqp1_peers::run(measured, |name, count| {
        Some(match name {
            "encode-transfer" => {
                let (transfer, message) = (transfer(), message());
                encoding(count, move |out| write_transfer(black_box(&transfer), black_box(&message), out))
            }
            "encode-flow" => encoding_of(count, flow()),
            "encode-disposition" => encoding_of(count, disposition()),
            "encode-attach" => encoding_of(count, attach()),
            "decode-transfer-view" => decoding(count, &inputs::transfer(), |body| read_message(body, read_view)),
            "decode-transfer-full" => decoding(count, &inputs::transfer(), |body| read_message(body, read_full)),
            "decode-flow" => decoding(count, &inputs::flow(), read_flow),
            "decode-disposition" => decoding(count, &inputs::disposition(), read_disposition),
            "decode-attach" => decoding(count, &inputs::attach(), read_attach),
            _ => return None,
        })
    })
}

fn message() -> Message<Data> {
    let properties = Properties::builder()
        .message_id(inputs::MESSAGE_ID.to_owned())
        .to(inputs::TO)
        .correlation_id(inputs::CORRELATION_ID.to_owned())
        .content_type(inputs::CONTENT_TYPE)
        .build();
    let application_properties =
        (0..5).fold(ApplicationProperties::builder(), |builder, n: i32| builder.insert(format!("property-{n}"), n));
    Message {
        header: Some(Header { durable: true, ..Header::default() }),
        delivery_annotations: None,
        message_annotations: None,
        properties: Some(properties),
        application_properties: Some(application_properties.build()),
        body: Data(Binary::from(vec![b'x'; inputs::DATA])),
        footer: None,
    }
}

fn transfer() -> Transfer {
    Transfer {
        handle: 0.into(),
        delivery_id: Some(7),
        delivery_tag: Some(DeliveryTag::from(inputs::DELIVERY_TAG)),
        message_format: Some(0),
        settled: Some(false),
        more: false,
        rcv_settle_mode: None,
        state: None,
        resume: false,
        aborted: false,
        batchable: false,
    }
}

fn flow() -> Flow {
    Flow {
        next_incoming_id: Some(1000),
        incoming_window: 2048,
        next_outgoing_id: 2000,
        outgoing_window: 2048,
        handle: Some(1.into()),
        delivery_count: Some(1000),
        link_credit: Some(500),
        available: None,
        drain: false,
        echo: false,
        properties: None,
    }
}

fn disposition() -> Disposition {
    Disposition {
        role: Role::Receiver,
        first: 1000,
        last: Some(1063),
        settled: true,
        state: Some(DeliveryState::Accepted(Accepted {})),
        batchable: false,
    }
}

fn attach() -> Attach {
    Attach {
        name: inputs::LINK.into(),
        handle: 1.into(),
        role: Role::Sender,
        snd_settle_mode: SenderSettleMode::Unsettled,
        rcv_settle_mode: ReceiverSettleMode::First,
        source: Some(Box::new(Source::from(inputs::SOURCE))),
        target: Some(Box::new(TargetArchetype::Target(Target::from(inputs::TO)))),
        unsettled: None,
        incomplete_unsettled: false,
        initial_delivery_count: Some(0),
        max_message_size: Some(262_144),
        offered_capabilities: None,
        desired_capabilities: None,
        properties: None,
    }
}

/// Appends a frame to `out`, the size last.
fn write_frame(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    out.put_slice(&[0, 0, 0, 0, 2, 0, 0, 0]);
    write(out);
    let size = out.len() as u32;
    out[..4].copy_from_slice(&size.to_be_bytes());
}

fn write_value(value: &impl Serialize, out: &mut BytesMut) {
    value.serialize(&mut Serializer::from(out.writer())).expect("a value that can be encoded");
}

fn write_transfer(transfer: &Transfer, message: &Message<Data>, out: &mut BytesMut) {
    write_frame(out, |out| {
        write_value(transfer, out);
        write_value(&Serializable(message), out);
    });
}

/// Encodes again and again into one buffer.
fn encoding(count: usize, write: impl Fn(&mut BytesMut) + 'static) -> Work {
    let mut out = BytesMut::with_capacity(inputs::BUFFER);
    Box::new(move || {
        let mut octets = 0;
        for _ in 0..count {
            out.clear();
            write(&mut out);
            octets += black_box(&out).len();
        }
        octets
    })
}

fn encoding_of(count: usize, performative: impl Serialize + 'static) -> Work {
    encoding(count, move |out| write_frame(out, |out| write_value(black_box(&performative), out)))
}

/// Decodes frames out of buffers that are full of them.
fn decoding(count: usize, frame: &[u8], read: fn(FrameBody) -> bool) -> Work {
    let mut buffers = inputs::buffers(frame, count, |octets| {
        let mut buffer = BytesMut::from(octets);
        // A buffer that a socket is read into is shared with the frames that were taken from it before.
        drop(buffer.split_to(0));
        buffer
    });
    let mut decoder = FrameDecoder {};
    Box::new(move || {
        let mut good = 0;
        for buffer in &mut buffers {
            while let Some(size) = buffer.first_chunk() {
                let mut frame = buffer.split_to(u32::from_be_bytes(*size) as usize);
                drop(frame.split_to(4));
                let Ok(Some(frame)) = decoder.decode(&mut frame) else { break };
                good += usize::from(read(frame.body));
            }
        }
        good
    })
}

fn read_message(body: FrameBody, read: fn(&Message<Data>) -> bool) -> bool {
    let FrameBody::Transfer { performative, payload } = body else { return false };
    performative.delivery_id == Some(7) && load(&payload).is_some_and(|message| read(&message))
}

/// Decodes the message as the library's receiver does.
fn load(payload: &Bytes) -> Option<Message<Data>> {
    Data::decode_message_from_reader(SliceReader::new(payload)).ok()
}

fn read_view(message: &Message<Data>) -> bool {
    let (Some(properties), Some(application_properties)) = (&message.properties, &message.application_properties)
    else {
        return false;
    };
    black_box((&properties.message_id, &properties.to, &properties.correlation_id, &properties.content_type));
    matches!(application_properties.get("property-3"), Some(SimpleValue::Int(3)))
}

fn read_full(message: &Message<Data>) -> bool {
    black_box((&message.header, &message.body));
    message.application_properties.as_ref().is_some_and(|properties| properties.len() == 5) && read_view(message)
}

fn read_flow(body: FrameBody) -> bool {
    matches!(black_box(body), FrameBody::Flow(flow) if flow.link_credit == Some(500))
}

fn read_disposition(body: FrameBody) -> bool {
    matches!(black_box(body), FrameBody::Disposition(disposition) if disposition.last == Some(1063))
}

fn read_attach(body: FrameBody) -> bool {
    matches!(black_box(body), FrameBody::Attach(attach) if attach.max_message_size == Some(262_144))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(frame: &[u8]) -> FrameBody {
        FrameDecoder {}.decode(&mut BytesMut::from(&frame[4..])).unwrap().unwrap().body
    }

    fn encode(performative: impl Serialize) -> BytesMut {
        let mut out = BytesMut::new();
        write_frame(&mut out, |out| write_value(&performative, out));
        out
    }

    #[test]
    fn what_is_decoded_is_what_is_encoded() {
        let mut own = BytesMut::new();
        write_transfer(&transfer(), &message(), &mut own);
        for frame in [&inputs::transfer()[..], &own] {
            let FrameBody::Transfer { performative, payload } = decode(frame) else { panic!("no transfer") };
            assert_eq!((performative, load(&payload)), (transfer(), Some(message())));
        }
        for frame in [&inputs::flow()[..], &encode(flow())] {
            assert!(matches!(decode(frame), FrameBody::Flow(decoded) if decoded == flow()));
        }
        for frame in [&inputs::disposition()[..], &encode(disposition())] {
            assert!(matches!(decode(frame), FrameBody::Disposition(decoded) if decoded == disposition()));
        }
        for frame in [&inputs::attach()[..], &encode(attach())] {
            assert!(matches!(decode(frame), FrameBody::Attach(decoded) if decoded == attach()));
        }
    }
}
