//! The codec's hot path by time, for people: `cargo bench -p amqp1-benches --bench codec`. What is compared with other
//! libraries and guarded against growth is counted in instructions, by `benches/performance.py`.
#![allow(missing_docs)]

use amqp1_benches::codec::{
    CASES, buffers, case, message, read_full, read_view, transfer, transfer_frame, write_transfer,
};
use amqp1_codec::{
    Limits,
    frame::{Frame, FrameDecoder},
};
use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, Bencher, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

/// Octets of data in the messages of the grid.
const SIZES: [usize; 5] = [0, 64, 1024, 64 * 1024, 1024 * 1024];

/// Octets of inputs that are prepared at once.
const BATCH: usize = 4 * 1024 * 1024;

/// The cases whose instructions are counted.
fn cases(criterion: &mut Criterion) {
    const COUNT: usize = 1000;
    let mut group = criterion.benchmark_group("cases");
    group.throughput(Throughput::Elements(COUNT as u64));
    for name in CASES {
        group.bench_function(name, |bencher| {
            let work = || case(name, COUNT).expect("a case of this name");
            bencher.iter_batched(work, |mut work| work(), BatchSize::PerIteration);
        });
    }
    group.finish();
}

/// A message out and in, by the size of its body.
fn sizes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sizes");
    for size in SIZES {
        let frame = transfer_frame(size);
        group.throughput(Throughput::Bytes(frame.len() as u64));
        let id = |what: &str| BenchmarkId::new(what, size);
        group.bench_function(id("encode into a buffer that is used again"), |bencher| {
            let (transfer, message, mut out) = (transfer(), message(size), BytesMut::with_capacity(frame.len()));
            bencher.iter(|| {
                out.clear();
                write_transfer(black_box(&transfer), black_box(&message), &mut out);
            });
        });
        group.bench_function(id("build, to be cut into frames; large bodies are shared"), |bencher| {
            let message = message(size);
            bencher.iter_batched(|| message.clone(), |message| message.build(), BatchSize::SmallInput);
        });
        group.bench_function(id("decode, and read properties"), |bencher| decode(bencher, &frame, read_view));
        group.bench_function(id("decode, and read everything in place"), |bencher| decode(bencher, &frame, read_full));
    }
    group.finish();
}

fn decode(bencher: &mut Bencher<'_>, frame: &Bytes, read: fn(Frame) -> usize) {
    let mut decoder = FrameDecoder::new(u32::MAX, Limits::DEFAULT);
    let input = || buffers(frame, 1).remove(0);
    // As many inputs at once as do not fill the memory.
    let inputs = BatchSize::NumIterations((BATCH / frame.len()).max(1) as u64);
    bencher.iter_batched(
        input,
        |mut input| {
            let frame = decoder.decode(&mut input).expect("a frame").expect("a whole one");
            (read(frame), input)
        },
        inputs,
    );
}

criterion_group!(benches, cases, sizes);
criterion_main!(benches);
