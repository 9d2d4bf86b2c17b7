//! The codec's hot path: `cargo bench -p amqp1-benches --bench codec`.
#![allow(missing_docs)]

use amqp1_benches::codec::message;
use amqp1_codec::{
    DeliveryTag, Encode, EncodeStyle, Limits, Message, SequenceNo,
    frame::{FrameDecoder, FrameWriter},
    performative::{Disposition, Flow, Transfer},
};
use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

fn transfer() -> Transfer {
    Transfer {
        handle: 0,
        delivery_id: Some(SequenceNo(7)),
        delivery_tag: Some(DeliveryTag::from(7)),
        message_format: Some(0),
        settled: Some(false),
        ..Transfer::default()
    }
}

fn frame(payload: &Bytes) -> Bytes {
    let mut out = BytesMut::new();
    let frame = FrameWriter::begin(0, &mut out);
    transfer().encode(EncodeStyle::Compact, &mut out);
    frame.finish(payload.len(), &mut out);
    out.extend_from_slice(payload);
    out.freeze()
}

fn codec(criterion: &mut Criterion) {
    for size in [0, 64, 1024, 64 * 1024] {
        let parts: Vec<Bytes> = message(size).build().into_parts();
        let payload = Bytes::from(parts.concat());
        let frame = frame(&payload);
        let mut group = criterion.benchmark_group(format!("transfer with {size} octets"));
        group.throughput(Throughput::Bytes(frame.len() as u64));
        group.bench_function("encode the frame's header", |bencher| {
            let mut out = BytesMut::with_capacity(256);
            bencher.iter(|| {
                out.clear();
                let frame = FrameWriter::begin(0, &mut out);
                transfer().encode(EncodeStyle::Compact, &mut out);
                frame.finish(black_box(payload.len()), &mut out);
            });
        });
        group.bench_function("decode, and read one property", |bencher| {
            let decoder = FrameDecoder::new(1 << 20, Limits::DEFAULT);
            bencher.iter(|| {
                let mut input = BytesMut::from(&frame[..]);
                let decoded = decoder.decode(&mut input).expect("a frame").expect("a whole one");
                let amqp1_codec::frame::Frame::Amqp { payload, .. } = decoded else { return 0 };
                let message = Message::from_bytes(payload).expect("a message");
                let property = message.application_property("property-3").expect("properties");
                black_box(property.and_then(|value| value.as_integer()).unwrap_or_default())
            });
        });
        group.finish();
    }
    let flow = Flow { handle: Some(1), link_credit: Some(100), ..Flow::default() };
    let disposition = Disposition { first: SequenceNo(1), last: Some(SequenceNo(500)), ..Disposition::default() };
    let mut out = BytesMut::with_capacity(256);
    criterion.bench_function("flow, encode", |bencher| {
        bencher.iter(|| {
            out.clear();
            black_box(&flow).encode(EncodeStyle::Compact, &mut out);
        });
    });
    criterion.bench_function("disposition, encode", |bencher| {
        bencher.iter(|| {
            out.clear();
            black_box(&disposition).encode(EncodeStyle::Compact, &mut out);
        });
    });
}

criterion_group!(benches, codec);
criterion_main!(benches);
