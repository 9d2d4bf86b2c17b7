//! The bodies of the fuzz targets, over the seed corpora.

#[path = "../../../fuzz/src/engine.rs"]
#[allow(unreachable_pub)]
mod engine;
#[path = "../../../fuzz/src/engine_input.rs"]
#[allow(unreachable_pub)]
mod engine_input;
#[path = "../../../fuzz/src/engine_ops.rs"]
#[allow(unreachable_pub)]
mod engine_ops;

use amqp1_codec::messaging::DeliveryState;
use amqp1_engine::{Credit, SenderConfig};
use amqp1_testkit::*;
use std::{
    fs,
    path::{Path, PathBuf},
};

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target)
}

fn run(target: &str, body: fn(&[u8])) {
    let files: Vec<_> = fs::read_dir(folder(target)).expect("a corpus").collect();
    assert!(!files.is_empty());
    for file in files {
        body(&fs::read(file.expect("an entry").path()).expect("a file"));
    }
}

#[test]
fn sasl_server() {
    run("sasl_server", engine::sasl_server);
}

#[test]
fn engine_input() {
    run("engine_input", engine_input::engine_input);
}

#[test]
fn engine_ops() {
    run("engine_ops", engine_ops::engine_ops);
}

/// A conversation with something of everything; what the client and the server have written.
fn conversation() -> [Vec<u8>; 2] {
    let (mut client, mut server) = Pair::configs();
    client.max_frame_size = 512;
    server.max_frame_size = 512;
    let mut pair = Pair::open_with(client, server);
    let (session, _) = pair.session();
    let tx = pair.client.attach_sender(session, SenderConfig { resumable: true, ..sender("a") }).expect("a session");
    pair.drive();
    let (rx, back) = pair.receiver(session, "b", Credit::Window(4));
    for token in 0..3 {
        pair.client.send(tx, message(token, 300 * token), unsettled(token as u64)).expect("credit");
        pair.server.send(back, message(token, 10), settled(token as u64)).expect("credit");
    }
    pair.drive();
    let link = pair.server.offered_links()[0];
    for delivery in pair.server.take_all(link) {
        pair.server.dispose(link, delivery.key, DeliveryState::Accepted).expect("the link is there");
    }
    pair.client.begin_delivery(tx, unsettled(9)).expect("credit");
    pair.client.write(tx, body(1, 50)).expect("a stream");
    pair.drive();
    pair.client.abort(tx, 9).expect("a stream");
    pair.client.drain(rx).expect("a receiver");
    pair.drive();
    pair.client.detach(tx, false, None).expect("a link");
    pair.drive();
    pair.client.end(session, None).expect("a session");
    pair.drive();
    pair.client.engine.close(pair.now, None);
    pair.drive();
    [pair.client.written.clone(), pair.server.written.clone()]
}

#[test]
#[ignore = "writes files"]
fn write_the_corpus_of_engine_ops() {
    let folder = folder("engine_ops");
    fs::create_dir_all(&folder).expect("a folder");
    for seed in 0..8 {
        let mut random = Random::new(seed);
        let octets: Vec<u8> = (0..1 + 20 * seed).map(|_| random.below(256) as u8).collect();
        fs::write(folder.join(format!("list-{seed}")), octets).expect("a file");
    }
}

#[test]
#[ignore = "writes files"]
fn write_the_corpus_of_engine_input() {
    let folder = folder("engine_input");
    fs::create_dir_all(&folder).expect("a folder");
    for (role, written) in conversation().iter().enumerate() {
        let frames: Vec<_> = items(written)
            .into_iter()
            .scan(0, |at, item| {
                let size = if let Item::Frame { size, .. } = item { size } else { 8 };
                let octets = written.get(*at..*at + size)?;
                *at += size;
                Some(octets)
            })
            .filter(|octets| !octets.starts_with(b"AMQP"))
            .collect();
        for choice in [0, 2, 22] {
            let role = 1 - role as u8;
            let raw = [&[choice | role, 60][..], &frames.concat()].concat();
            fs::write(folder.join(format!("raw-{choice}-{role}")), raw).expect("a file");
            let mut framed = vec![choice | role, 1];
            for (action, octets) in frames.iter().enumerate() {
                let body = octets.get(8..).unwrap_or_default();
                let Ok(length) = u8::try_from(body.len()) else { continue };
                framed.extend_from_slice(&[action as u8 * 7, 1, length]);
                framed.extend_from_slice(body);
            }
            fs::write(folder.join(format!("framed-{choice}-{role}")), framed).expect("a file");
        }
    }
}
