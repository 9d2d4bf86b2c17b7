//! What is well-formed and wrong where it arrives: each case has a set of answers that are right.

use amqp1_codec::{Symbol, definitions::Role, frame::ProtocolHeader, performative::Open, performative::Transfer};
use amqp1_engine::{Credit, ServerSasl};
use amqp1_testkit::*;
use serde_json::Value;

const VECTORS: &str = include_str!("../data/malformed_engine.json");

/// Octets as the data gives them: hexadecimal pieces, of which `7a*300` is 300 times 7a.
fn octets(pieces: &str) -> Vec<u8> {
    let octet = |pair: &[u8]| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap();
    let piece = |piece: &str| {
        let (hex, times) = piece.split_once('*').map_or((piece, 1), |(hex, times)| (hex, times.parse().unwrap()));
        hex.as_bytes().chunks(2).map(octet).collect::<Vec<_>>().repeat(times)
    };
    pieces.split_whitespace().flat_map(piece).collect()
}

/// A server that has seen what the case says comes before.
fn after(state: &str) -> Peer {
    let mechanisms = ["PLAIN", "ANONYMOUS", "SCRAM-SHA-1"].map(Symbol::from_static).to_vec();
    let mut peer = match state {
        "nothing" => Peer::of_server(ServerSasl::Required(mechanisms)),
        _ => Peer::fresh(),
    };
    peer.end.accept.links = Some(Credit::Manual(10));
    for step in ["nothing", "header", "open", "begin", "attach"] {
        match step {
            "header" => peer.raw(&ProtocolHeader::AMQP.encode()),
            "open" => peer.send(0, Open { container_id: "peer".into(), ..Open::default() }),
            "begin" => peer.send(0, begin()),
            "attach" => peer.send(0, attach("before", 0, Role::Sender)),
            _ => {}
        }
        if step == state {
            peer.read();
            return peer;
        }
    }
    panic!("no state {state}");
}

/// The cases that are told and not written down.
fn act(peer: &mut Peer, id: &str) {
    let first = |id| Transfer { more: true, ..transfer(0, id) };
    match id {
        "bad-transfer-no-credit-burst" => {
            let burst: Vec<_> = (0..50).flat_map(|id| frame(0, transfer(0, id), HELLO)).collect();
            peer.raw(&burst);
        }
        "bad-transfer-delivery-id-mismatch" => {
            peer.send_payload(0, first(0), HELLO);
            peer.send_payload(0, Transfer { delivery_tag: None, more: false, ..transfer(0, 1) }, b"");
        }
        "bad-transfer-interleaved-same-link" => {
            peer.send_payload(0, first(0), HELLO);
            peer.send_payload(0, first(1), HELLO);
        }
        "bad-transfer-dup-tag" => {
            peer.send_payload(0, transfer(0, 0), HELLO);
            peer.send_payload(0, Transfer { delivery_tag: transfer(0, 0).delivery_tag, ..transfer(0, 1) }, HELLO);
        }
        _ => panic!("nobody knows how to do {id}"),
    }
}

/// What the server did, in the words of the data.
fn answer(peer: &mut Peer) -> String {
    let frames = peer.read();
    if let Some((scope, condition)) = refusal(&frames) {
        return format!("{scope}:{}", condition.as_str());
    }
    if frames.iter().any(|(_, body, _)| body.name() == "close") {
        return "closed".into();
    }
    if !peer.end.opened() && peer.end.is_finished() { "drop".into() } else { "ignored".into() }
}

/// Also T-2.8.15-1: each condition for what it means.
#[test]
fn every_wrong_octet_string_gets_one_of_its_right_answers() {
    let data: Value = serde_json::from_str(VECTORS).unwrap();
    let text = |case: &Value, field: &str| case[field].as_str().unwrap_or_default().to_owned();
    let mut failures = Vec::new();
    let cases = data["vectors"].as_array().unwrap();
    assert!(cases.len() >= 38);
    for case in cases {
        let id = text(case, "id");
        let mut peer = after(&text(case, "after"));
        match (case["hex"].as_str(), &text(case, "level")[..]) {
            (None, _) => act(&mut peer, &id),
            (Some(hex), "performative") => {
                let body = octets(hex);
                let size = u32::try_from(body.len() + 8).unwrap().to_be_bytes();
                peer.raw(&[&size[..], &[2, 0, 0, 0], &body].concat());
            }
            (Some(hex), _) => peer.raw(&octets(hex)),
        }
        let answer = answer(&mut peer);
        let strict_only = case["strict"].as_bool().unwrap() && answer == "ignored";
        let allowed = case["allowed"].as_array().unwrap();
        let fits = |allowed: &Value| {
            let allowed = allowed.as_str().unwrap();
            answer == allowed || answer.strip_prefix(allowed).is_some_and(|rest| rest.starts_with(':'))
        };
        if !strict_only && !allowed.iter().any(fits) {
            failures.push(format!("{id}: {answer}, not one of {allowed:?}"));
        }
        // An answer that ends less than the connection leaves the rest working.
        if !peer.end.is_closed() && peer.end.opened() {
            peer.send(7, begin());
            peer.send(7, attach("after", 0, Role::Sender));
            peer.send_payload(7, transfer(0, 0), HELLO);
            let link = *peer.end.offered_links().last().unwrap();
            assert!(peer.end.recv(link).is_some(), "{id}");
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
