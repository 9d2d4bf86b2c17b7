//! A client that walks through the places, made of scripted peers.

use super::*;
use crate::run::{FailOn, Selection};
use amqp1_codec::{
    Message,
    frame::ProtocolHeader,
    performative::{Attach, Detach, Transfer},
};
use amqp1_script::{Peer, Skip, Tcp, frames};

const WITHIN: Duration = Duration::from_secs(5);

fn connect(address: SocketAddr) -> Peer<Tcp> {
    Peer::new(Tcp::connect(address, WITHIN).expect("the tool listens"))
}

/// Receives one message from a node of the control address, in frames of 512 octets.
fn fetch(address: SocketAddr, node: &str) -> serde_json::Value {
    let mut peer = connect(address);
    let open = amqp1_codec::performative::Open { max_frame_size: 512, ..frames::open("walker") };
    peer.opened(open).expect("the tool opens");
    let session = peer.begun(0).expect("the tool begins");
    let link = peer.attached_receiver(&session, 0, node, node).expect("the tool attaches");
    peer.give_credit(&link, 1);
    let mut octets = Vec::new();
    loop {
        let transfer = peer.expect_skipping::<Transfer>(Skip::CHATTER).expect("a message");
        assert!(transfer.payload.len() <= 512, "frames are as small as they have to be");
        octets.extend_from_slice(&transfer.payload);
        if !transfer.more {
            break;
        }
    }
    peer.closed().expect("the tool closes");
    let message = Message::from_bytes(octets.into()).expect("a message");
    let amqp1_codec::message::Body::Value(value) = message.body() else { panic!("the body is a value") };
    serde_json::from_str(&value.decode::<amqp1_codec::Str>().expect("it is text")).expect("it is JSON")
}

#[test]
fn a_program_walks_through_the_places_and_fetches_list_and_report() {
    let selection = Selection { only: vec!["T-2.2-2".parse().expect("a selector")], ..Selection::default() };
    let options = Options { selection, timeout: WITHIN, ..Options::default() };
    let stand = Stand::open(ClientTarget::new(Vec::<String>::new()), options).expect("it listens");
    let address = stand.address().expect("it has one");
    let begun = Mutex::new(Vec::new());
    let observer = |event: Event<'_>| {
        if let Event::Begun { sheet, cases } = event {
            assert_eq!(cases, 1, "twins are not counted, as results are not");
            begun.lock().expect("no panic").push(sheet.container_id.clone());
        }
    };
    thread::scope(|scope| {
        let report = scope.spawn(|| stand.serve(&observer));
        let list = fetch(address, "list");
        let places = list["cases"].as_array().expect("a list");
        assert!(places.iter().any(|place| place["id"] == "T-2.2-2"), "{list}");
        for place in places {
            let url = place["url"].as_str().expect("it is text");
            let address = url.strip_prefix("amqp://").expect("the scheme").parse().expect("an address");
            let mut peer = connect(address);
            peer.header(ProtocolHeader::AMQP);
            // What comes is of no interest here, but the tool must have read the header.
            peer.next_within(WITHIN);
        }
        let early = fetch(address, "report");
        assert_eq!(early["schema"], 1);
        assert_eq!(early["sheet"]["container_id"], "walker");
        assert_eq!(early["peer"]["address"], format!("client at {address}"));
        let report = report.join().expect("it does not panic").expect("it has served");
        assert_eq!(*begun.lock().expect("no panic"), ["walker"], "the client is introduced once");
        let case = report.cases.iter().find(|case| case.id == "T-2.2-2").expect("the case");
        assert_eq!(case.outcome.verdict, Verdict::Pass, "{}", case.outcome.reason);
        assert!(!case.wire.is_empty(), "the log is kept");
        assert!(early["cases"].as_array().expect("a list").iter().all(|case| case["wire"] == serde_json::json!([])));
    });
}

#[test]
fn t_2_6_3_a_receiver_from_an_unknown_node_of_the_control_address_is_refused() {
    let selection = Selection { only: vec!["T-2.2-2".parse().expect("a selector")], ..Selection::default() };
    let options = Options { selection, timeout: WITHIN, ..Options::default() };
    let stand = Stand::open(ClientTarget::new(Vec::<String>::new()), options).expect("it listens");
    let address = stand.address().expect("it has one");
    thread::scope(|scope| {
        let report = scope.spawn(|| stand.serve(&|_| {}));
        let mut peer = connect(address);
        peer.opened(frames::open("lost")).expect("the tool opens");
        let session = peer.begun(0).expect("the tool begins");
        let attach = frames::attach_receiver("lost", 0, "lists");
        peer.send(session.channel, attach);
        let answer = peer.expect::<Attach>().expect("an answer").body;
        assert_eq!(answer.source, None);
        let detach = peer.expect::<Detach>().expect("a detach").body;
        assert!(detach.closed);
        let error = detach.error.expect("an error");
        assert_eq!(error.condition.as_str(), "amqp:not-found");
        peer.send(session.channel, frames::detach(0));
        peer.closed().expect("the tool goes on and closes");
        fetch(address, "report");
        report.join().expect("it does not panic").expect("it has served");
    });
}

#[test]
fn a_silent_connection_to_the_control_address_holds_no_other_up() {
    let selection = Selection { only: vec!["T-2.2-2".parse().expect("a selector")], ..Selection::default() };
    let options = Options { selection, timeout: WITHIN, ..Options::default() };
    let target = ClientTarget { patience: Duration::from_secs(3600), ..ClientTarget::new(Vec::<String>::new()) };
    let stand = Stand::open(target, options).expect("it listens");
    let address = stand.address().expect("it has one");
    thread::scope(|scope| {
        let report = scope.spawn(|| stand.serve(&|_| {}));
        let silent = connect(address);
        let mut idle = connect(address);
        idle.opened(frames::open("idle")).expect("the tool opens");
        fetch(address, "list");
        fetch(address, "report");
        report.join().expect("it does not panic").expect("it has served");
        drop(silent);
    });
}

#[test]
fn an_interrupt_ends_the_wait_for_a_client() {
    let selection = Selection { only: vec!["T-2.2-2".parse().expect("a selector")], ..Selection::default() };
    let options = Options { selection, timeout: WITHIN, ..Options::default() };
    let interrupt = options.interrupt.clone();
    let stand = Stand::open(ClientTarget::new(Vec::<String>::new()), options).expect("it listens");
    thread::scope(|scope| {
        let report = scope.spawn(|| stand.serve(&|_| {}));
        interrupt.set();
        assert!(report.join().expect("it does not panic").expect("it has served").interrupted);
    });
}

/// The number of fields of the open that the tool sends to a client of this target.
fn fields_of_open(target: ClientTarget) -> u8 {
    use std::{
        io::{Read as _, Write as _},
        net::TcpStream,
    };
    const CASE: &str = "T-2.4.3-1/answer";
    let selection = Selection { only: vec![CASE.parse().expect("a selector")], ..Selection::default() };
    let stand = Stand::open(target, Options { selection, timeout: WITHIN, ..Options::default() }).expect("it listens");
    let places = stand.places();
    let place = places.iter().find(|place| place.id == CASE).expect("its place");
    let address = place.url.strip_prefix("amqp://").expect("the scheme");
    let mut stream = TcpStream::connect(address).expect("it listens");
    let open = frames::encode(0, frames::open("short"), b"");
    stream.write_all(&[&b"AMQP\0\x01\0\0"[..], &open].concat()).expect("it is written");
    // The header, the frame's header, and the descriptor, the format code, the size and the count of the list.
    let mut octets = [0; 8 + 8 + 3 + 3];
    stream.read_exact(&mut octets).expect("a header and an open");
    assert_eq!(octets[16..20], *b"\0\x53\x10\xc0", "an open as list8");
    octets[21]
}

#[test]
fn whole_lists_have_every_field() {
    let client = || ClientTarget::new(Vec::<String>::new());
    assert!(fields_of_open(client()) < 10, "null fields at the end are left out");
    assert_eq!(fields_of_open(ClientTarget { whole_lists: true, ..client() }), 10);
}

#[test]
fn a_place_that_is_not_visited_is_unreachable() {
    let selection = Selection { only: vec!["T-2.2-2".parse().expect("a selector")], ..Selection::default() };
    let options = Options { selection, timeout: WITHIN, ..Options::default() };
    let stand = Stand::open(ClientTarget::new(Vec::<String>::new()), options).expect("it listens");
    let report = stand.report();
    assert_eq!(report.unexpected(FailOn::Unreachable).count(), report.cases.len());
    assert_eq!(report.cases[0].outcome.reason, "the client did not come");
}
