//! The codec's cases: what the tables of figures and the benchmarks by time have in common.
//!
//! One message (a header, four properties, five application properties, data of a given size), and the performatives
//! that go with it.

use amqp1_codec::{
    DecodeError, DeliveryTag, Encode, EncodeStyle, Limits, Message, MessageBuilder, SequenceNo, Symbol,
    definitions::{Role, SenderSettleMode},
    frame::{Frame, FrameDecoder, FrameWriter},
    messaging::{DeliveryState, Header, Properties, PropertiesRef, Source, Target},
    performative::{Attach, Disposition, Flow, Performative, Transfer},
};
use bytes::{Bytes, BytesMut};
use std::hint::black_box;

/// Octets of a buffer of frames, as a socket's reader would fill it.
pub const BUFFER: usize = 64 * 1024;

/// A message with a header, four properties, five application properties and a body of this size.
pub fn message(body: usize) -> MessageBuilder {
    let properties = Properties {
        message_id: Some("message-000001".into()),
        to: Some("/devices/device-1/messages/devicebound".into()),
        correlation_id: Some("correlation-1".into()),
        content_type: Symbol::new("application/json").ok(),
        ..Properties::default()
    };
    let builder = Message::builder().header(Header { durable: true, ..Header::default() }).properties(properties);
    let builder = (0..5).fold(builder, |builder, n| builder.application_property(format!("property-{n}"), n));
    builder.data(Bytes::from(vec![b'x'; body]))
}

/// The transfer that carries it.
pub fn transfer() -> Transfer {
    Transfer {
        handle: 0,
        delivery_id: Some(SequenceNo(7)),
        delivery_tag: Some(DeliveryTag::from(7)),
        message_format: Some(0),
        settled: Some(false),
        ..Transfer::default()
    }
}

/// A receiver's flow.
pub fn flow() -> Flow {
    Flow {
        next_incoming_id: Some(SequenceNo(1000)),
        incoming_window: 2048,
        next_outgoing_id: SequenceNo(2000),
        outgoing_window: 2048,
        handle: Some(1),
        delivery_count: Some(SequenceNo(1000)),
        link_credit: Some(500),
        ..Flow::default()
    }
}

/// A receiver that accepts 64 deliveries.
pub fn disposition() -> Disposition {
    Disposition {
        role: Role::Receiver,
        first: SequenceNo(1000),
        last: Some(SequenceNo(1063)),
        settled: true,
        state: Some(DeliveryState::Accepted),
        batchable: false,
    }
}

/// A sender's attach.
pub fn attach() -> Attach {
    Attach {
        name: "link-000001".into(),
        handle: 1,
        role: Role::Sender,
        snd_settle_mode: SenderSettleMode::Unsettled,
        source: Some(Source::at("client-1").into()),
        target: Some(Target::at("/devices/device-1/messages/devicebound").into()),
        initial_delivery_count: Some(SequenceNo(0)),
        max_message_size: Some(262_144),
        ..Attach::default()
    }
}

/// Appends a frame of this performative to `out`.
pub fn write_frame(performative: &impl Encode, out: &mut BytesMut) {
    let frame = FrameWriter::begin(0, out);
    performative.encode(EncodeStyle::Compact, out);
    frame.finish(0, out);
}

/// Appends a transfer frame with a whole message to `out`.
pub fn write_transfer(transfer: &Transfer, message: &MessageBuilder, out: &mut BytesMut) {
    let frame = FrameWriter::begin(0, out);
    transfer.encode(EncodeStyle::Compact, out);
    message.encode(out);
    frame.finish(0, out);
}

/// A frame of this performative.
pub fn frame(performative: &impl Encode) -> Bytes {
    let mut out = BytesMut::new();
    write_frame(performative, &mut out);
    out.freeze()
}

/// A transfer frame with a message whose body has this size.
pub fn transfer_frame(body: usize) -> Bytes {
    let mut out = BytesMut::new();
    write_transfer(&transfer(), &message(body), &mut out);
    out.freeze()
}

/// Reads what a receiver mostly reads: the properties, and one application property.
#[inline]
pub fn read_view(frame: Frame) -> usize {
    let Frame::Amqp { performative: Some(Performative::Transfer(_)), payload, .. } = frame else { return 0 };
    let Ok(message) = Message::from_bytes(payload) else { return 0 };
    let (Ok(Some(properties)), Ok(Some(property))) =
        (message.properties_ref(), message.application_property("property-3"))
    else {
        return 0;
    };
    let (Ok(Some(message_id)), Ok(Some(to)), Ok(Some(correlation_id)), Ok(Some(content_type))) =
        (properties.message_id(), properties.to(), properties.correlation_id(), properties.content_type())
    else {
        return 0;
    };
    black_box((message_id, to, correlation_id, content_type));
    usize::from(property.as_integer() == Some(3))
}

/// Reads every section in full, in place.
#[inline]
pub fn read_full(frame: Frame) -> usize {
    let Frame::Amqp { performative: Some(Performative::Transfer(_)), payload, .. } = frame else { return 0 };
    let Ok(message) = Message::from_bytes(payload) else { return 0 };
    let (Ok(Some(header)), Ok(Some(properties)), Ok(Some(pairs)), Some(data)) =
        (message.header(), message.properties_ref(), message.application_properties_ref(), message.data())
    else {
        return 0;
    };
    black_box((header, data));
    if !read_every_field(&properties) {
        return 0;
    }
    let pairs = pairs.filter(|pair| black_box(pair).is_ok()).count();
    usize::from(pairs == 5)
}

#[inline]
fn read_every_field(properties: &PropertiesRef<'_>) -> bool {
    fn is_well<T>(field: Result<Option<T>, DecodeError>) -> bool {
        black_box(field).is_ok()
    }
    is_well(properties.message_id())
        && is_well(properties.user_id())
        && is_well(properties.to())
        && is_well(properties.subject())
        && is_well(properties.reply_to())
        && is_well(properties.correlation_id())
        && is_well(properties.content_type())
        && is_well(properties.content_encoding())
        && is_well(properties.absolute_expiry_time())
        && is_well(properties.creation_time())
        && is_well(properties.group_id())
        && is_well(properties.group_sequence())
        && is_well(properties.reply_to_group_id())
}

/// Reads every section in full, into values that are their own.
#[inline]
pub fn read_owned(frame: Frame) -> usize {
    let Frame::Amqp { performative: Some(Performative::Transfer(_)), payload, .. } = frame else { return 0 };
    let Ok(message) = Message::from_bytes(payload) else { return 0 };
    let (Ok(Some(header)), Ok(Some(properties)), Ok(Some(application_properties)), Some(data)) =
        (message.header(), message.properties(), message.application_properties(), message.data())
    else {
        return 0;
    };
    black_box((&header, &properties, &application_properties, &data));
    usize::from(application_properties.len() == 5)
}

/// One performative.
fn looked_at<T>(performative: &T) -> usize {
    black_box(performative);
    1
}

/// The names of the cases with which this codec is compared with others.
pub const CASES: [&str; 10] = [
    "encode-transfer",
    "decode-transfer-view",
    "decode-transfer-full",
    "decode-transfer-owned",
    "encode-flow",
    "decode-flow",
    "encode-disposition",
    "decode-disposition",
    "encode-attach",
    "decode-attach",
];

/// The names of cases that have no like in others.
pub const OWN: &[&str] = &["build-message"];

/// What does a case `count` times, and says how many times it succeeded; all that it needs is built here already.
/// `None` if there is no such case.
pub fn case(name: &str, count: usize) -> Option<Box<dyn FnMut() -> usize>> {
    Some(match name {
        "encode-transfer" => {
            let (transfer, message) = (transfer(), message(1024));
            encoding(count, move |out| write_transfer(black_box(&transfer), black_box(&message), out))
        }
        "encode-flow" => {
            let flow = flow();
            encoding(count, move |out| write_frame(black_box(&flow), out))
        }
        "encode-disposition" => {
            let disposition = disposition();
            encoding(count, move |out| write_frame(black_box(&disposition), out))
        }
        "encode-attach" => {
            let attach = attach();
            encoding(count, move |out| write_frame(black_box(&attach), out))
        }
        "decode-transfer-view" => decoding(count, &transfer_frame(1024), read_view),
        "decode-transfer-full" => decoding(count, &transfer_frame(1024), read_full),
        "decode-transfer-owned" => decoding(count, &transfer_frame(1024), read_owned),
        "decode-flow" => decoding(count, &frame(&flow()), |frame| match frame {
            Frame::Amqp { performative: Some(Performative::Flow(flow)), .. } => looked_at(&flow),
            _ => 0,
        }),
        "decode-disposition" => decoding(count, &frame(&disposition()), |frame| match frame {
            Frame::Amqp { performative: Some(Performative::Disposition(disposition)), .. } => looked_at(&disposition),
            _ => 0,
        }),
        "decode-attach" => decoding(count, &frame(&attach()), |frame| match frame {
            Frame::Amqp { performative: Some(Performative::Attach(attach)), .. } => looked_at(&attach),
            _ => 0,
        }),
        "build-message" => building(count, &message(1024)),
        _ => return None,
    })
}

/// Encodes messages each of which has a builder of its own, as `Sender::send` does.
fn building(count: usize, message: &MessageBuilder) -> Box<dyn FnMut() -> usize> {
    let mut builders = vec![message.clone(); count];
    Box::new(move || builders.drain(..).map(|builder| looked_at(&builder.build())).sum())
}

/// Encodes again and again into one buffer.
fn encoding(count: usize, write: impl Fn(&mut BytesMut) + 'static) -> Box<dyn FnMut() -> usize> {
    let mut out = BytesMut::with_capacity(BUFFER);
    Box::new(move || {
        for _ in 0..count {
            out.clear();
            write(&mut out);
            black_box(&out[..]);
        }
        count
    })
}

/// Decodes frames out of buffers that are full of them.
fn decoding(count: usize, frame: &Bytes, read: impl Fn(Frame) -> usize + 'static) -> Box<dyn FnMut() -> usize> {
    let mut buffers = buffers(frame, count);
    let mut decoder = FrameDecoder::new(1 << 20, Limits::DEFAULT);
    Box::new(move || {
        let mut read_well = 0;
        for buffer in &mut buffers {
            while let Ok(Some(frame)) = decoder.decode(buffer) {
                read_well += read(frame);
            }
        }
        read_well
    })
}

/// As many buffers as hold `count` copies of a frame.
pub fn buffers(frame: &Bytes, count: usize) -> Vec<BytesMut> {
    let each = (BUFFER / frame.len()).max(1);
    (0..count.div_ceil(each))
        .map(|index| {
            let mut buffer = BytesMut::from(frame.repeat(each.min(count - index * each)).as_slice());
            // A buffer that a socket is read into is shared with the frames that were taken from it before.
            drop(buffer.split_to(0));
            buffer
        })
        .collect()
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
