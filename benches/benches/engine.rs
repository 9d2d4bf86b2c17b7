//! Transfers through two engines without sockets: `cargo bench -p amqp1-benches --bench engine`.
#![allow(missing_docs)]

use amqp1_benches::{codec::message, engine::Pair};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn engine(criterion: &mut Criterion) {
    const ROUND: u32 = 500;
    for size in [64, 1024, 64 * 1024] {
        let message = message(size).build();
        let mut pair = Pair::new();
        let mut group = criterion.benchmark_group(format!("{size} octets"));
        group.throughput(Throughput::Elements(u64::from(ROUND)));
        group.bench_function("send, receive, accept", |bencher| bencher.iter(|| pair.round(&message, ROUND)));
        group.finish();
    }
}

criterion_group!(benches, engine);
criterion_main!(benches);
