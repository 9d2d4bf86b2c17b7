//! What is sent and not settled, and what waits to be sent, is bounded: senders wait, and say why.

use crate::support::{self, Pair, body, gated_pair_with, number, pair, receiver_request, soon};
use amqp1::{AcceptedLink, Credit, Delivered, ErrorKind, Receiver, Retry, Sender, link::Blocked};
use bytes::Bytes;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_sender_waits_for_settlements_and_says_so() {
    let mut pair = pair().await;
    let session = pair.session().await;
    let (sender, accepted) = tokio::join!(session.sender("q").max_unsettled(3).attach(), async {
        let link = pair.server.next_link().await.expect("a link");
        receiver_request(link).credit(Credit::Manual(1 << 31)).accept().map(AcceptedLink::Receiver).expect("accepted")
    });
    let (sender, AcceptedLink::Receiver(mut receiver)) = (sender.expect("a sender"), accepted) else {
        panic!("the client sends")
    };
    let mut receipts = Vec::new();
    for number in 0..3 {
        receipts.push(sender.reserve().await.expect("credit").send(body(number)).expect("queued"));
    }
    assert_eq!((sender.blocked(), sender.credit()), (Some(Blocked::Unsettled), 0));
    assert!(sender.try_reserve().is_err());
    let error = sender.send(body(3)).await.expect_err("nothing is settled");
    assert!(error.kind() == ErrorKind::Timeout && error.to_string().contains("settled"), "{error}");
    // One is settled: one may go, and the one that waits does.
    let waiting = sender.reserve();
    let settling = async { receiver.recv().await.expect("a link").expect("a delivery").accept().expect("settled") };
    let (permit, ()) = soon(async { tokio::join!(waiting, settling) }).await;
    receipts.push(permit.expect("a permit").send(body(3)).expect("queued"));
    for expected in 1..4 {
        let delivery = receiver.recv().await.expect("a link").expect("a delivery");
        assert_eq!(number(&delivery), expected);
        delivery.accept().expect("settled");
    }
    for receipt in receipts {
        receipt.await.expect("an outcome").into_result().expect("accepted");
    }
}

const LINKS: usize = 300;
const OCTETS: usize = 64 * 1024;
const MAX: usize = 1024 * 1024;

/// This many links on which the client sends.
async fn links(pair: &mut Pair) -> Vec<(Sender, Receiver)> {
    let session = pair.session().await;
    let mut links = Vec::new();
    for number in 0..LINKS {
        let (sender, accepted) = tokio::join!(session.sender(format!("q{number}")).attach(), async {
            let link = pair.server.next_link().await.expect("a link");
            receiver_request(link).credit(Credit::Window(10)).accept().map(AcceptedLink::Receiver).expect("accepted")
        });
        let AcceptedLink::Receiver(receiver) = accepted else { panic!("the client sends") };
        links.push((sender.expect("a sender"), receiver));
    }
    links
}

/// A peer that does not read: what the links of a connection queue together is bounded, and when it reads each gets its
/// turn.
#[tokio::test(start_paused = true)]
async fn many_links_queue_no_more_together_than_a_connection_may_and_each_goes_on() {
    let (mut pair, gate) = gated_pair_with(|builder| builder.config(|config| config.max_queued = MAX)).await;
    let links = links(&mut pair).await;
    gate.stick();
    let queued = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    let (mut senders, mut receivers) = (Vec::new(), Vec::new());
    for (sender, receiver) in links {
        senders.push(sender);
        receivers.push(receiver);
    }
    for sender in &senders {
        let (sender, queued) = (sender.clone(), queued.clone());
        tasks.spawn(async move {
            for _ in 0..3 {
                let permit = sender.reserve().await.expect("a permit");
                let receipt = permit.send(Bytes::from(vec![7; OCTETS])).expect("queued");
                queued.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                receipt.await.expect("an outcome").into_result().expect("accepted");
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let count = || queued.load(std::sync::atomic::Ordering::Relaxed);
    // As much as may be queued, and what the driver and the transport have taken.
    let most = MAX / OCTETS;
    assert!((most..most + 6).contains(&count()), "{} messages of 64 KiB are queued", count());
    gate.unstick();
    // Nobody takes anything, so nothing is settled. What the transport and the receivers' windows hold has left.
    let all = soon(async {
        while count() < LINKS {
            tokio::task::yield_now().await;
        }
    });
    all.await;
    for mut receiver in receivers {
        tasks.spawn(async move {
            for _ in 0..3 {
                receiver.recv().await.expect("a link").expect("a delivery").accept().expect("settled");
            }
            // The link is to live until the sender has its outcome.
            receiver.detached().await;
        });
    }
    soon(async {
        for _ in 0..LINKS {
            tasks.join_next().await.expect("a task").expect("no panic");
        }
    })
    .await;
    assert_eq!(count(), 3 * LINKS);
}

/// The transport takes nothing at all.
#[tokio::test(start_paused = true)]
async fn a_connection_that_takes_nothing_queues_no_more_than_it_may_and_says_why() {
    let timeout = Duration::from_secs(10);
    let (mut pair, gate) = gated_pair_with(|builder| builder.operation_timeout(timeout)).await;
    let links = links(&mut pair).await;
    gate.stick();
    let queued = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for (sender, _receiver) in &links {
        let (sender, queued) = (sender.clone(), queued.clone());
        tasks.spawn(async move {
            let permit = sender.reserve().await.expect("a permit");
            drop(permit.send(Bytes::from(vec![7; 2 * OCTETS])).expect("queued"));
            queued.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        });
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    // 16 MiB unless set, and what the driver has taken to write.
    let count = queued.load(std::sync::atomic::Ordering::Relaxed);
    assert!((120..140).contains(&count), "{count} messages of 128 KiB are queued");
    let waiting = links.iter().find(|(sender, _)| sender.blocked() == Some(Blocked::Queue)).expect("one that waits");
    let error = waiting.0.send("x").await.expect_err("nothing leaves");
    assert!(error.kind() == ErrorKind::Timeout && error.to_string().contains("queued"), "{error}");
    gate.unstick();
    soon(async { while tasks.join_next().await.is_some() {} }).await;
    assert_eq!(queued.load(std::sync::atomic::Ordering::Relaxed), LINKS);
}

/// Permits that are given while there is room, and used when there is none.
#[tokio::test(start_paused = true)]
async fn permits_that_are_used_together_queue_no_more_than_twice_what_a_connection_may() {
    let (mut pair, gate) = gated_pair_with(|builder| builder.config(|config| config.max_queued = MAX)).await;
    let links = links(&mut pair).await;
    gate.stick();
    let mut permits = Vec::new();
    for _ in 0..5 {
        for (sender, _) in &links {
            permits.push(soon(sender.reserve()).await.expect("nothing is queued"));
        }
    }
    let (mut queued, mut refused) = (0, 0);
    for permit in permits {
        match permit.send(Bytes::from(vec![7; OCTETS])) {
            Ok(receipt) => {
                queued += 1;
                drop(receipt);
            }
            Err(error) => {
                refused += 1;
                assert_eq!(
                    (error.kind(), error.delivered(), error.retry()),
                    (ErrorKind::CreditRevoked, Delivered::No, Retry::Now)
                );
            }
        }
    }
    let most = 2 * MAX / OCTETS;
    assert!((most..most + 6).contains(&queued), "{queued} messages of 64 KiB are queued");
    assert_eq!(queued + refused, 5 * LINKS);
    // Those that were refused lost nothing: the same link sends as soon as there is room.
    let sending = tokio::spawn({
        let sender = links.last().expect("a link").0.clone();
        async move { sender.reserve().await.expect("room").send("x") }
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!sending.is_finished());
    gate.unstick();
    drop(soon(sending).await.expect("no panic").expect("queued"));
}

/// Of one link, permits queue as much as all may, though a link counts with a part of that.
#[tokio::test(start_paused = true)]
async fn permits_of_one_link_queue_no_more_than_a_connection_may() {
    let (mut pair, gate) = gated_pair_with(|builder| builder.config(|config| config.max_queued = MAX)).await;
    let (sender, _receiver) = pair.client_sends(Credit::Window(1000)).await;
    gate.stick();
    let mut permits = Vec::new();
    for _ in 0..500 {
        permits.push(soon(sender.reserve()).await.expect("nothing is queued"));
    }
    let results = permits.into_iter().map(|permit| permit.send(Bytes::from(vec![7; OCTETS])).map(drop));
    let queued = results.filter(Result::is_ok).count();
    let most = MAX / OCTETS;
    assert!((most..most + 6).contains(&queued), "{queued} messages of 64 KiB are queued");
    // What waits does not spin.
    let sending = tokio::spawn(async move { sender.send("x").await });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!sending.is_finished());
    gate.unstick();
    sending.abort();
}

#[tokio::test]
async fn receivers_announce_64_mib_unless_they_are_streamed_or_told_otherwise() {
    const DEFAULT: u64 = 64 * 1024 * 1024;
    let mut pair = pair().await;
    let session = pair.session().await;
    let receivers = [
        (session.receiver("q"), Some(DEFAULT)),
        (session.receiver("q").streamed(), None),
        (session.receiver("q").max_message_size(1000), Some(1000)),
        (session.receiver("q").streamed().max_message_size(1000), Some(1000)),
        (session.receiver("q").max_message_size(0), Some(0)),
    ];
    for (receiver, expected) in receivers {
        let (receiver, announced) = tokio::join!(receiver.attach(), async {
            let link = pair.server.next_link().await.expect("a link");
            let announced = link.attach().max_message_size;
            let AcceptedLink::Sender(sender) = link.accept_default().expect("accepted") else { panic!("it receives") };
            (announced, sender.max_message_size(), sender)
        });
        receiver.expect("a receiver");
        assert_eq!((announced.0, announced.1), (expected, expected.filter(|max| *max > 0)));
    }
    // An acceptor's receivers as well.
    for (streamed, told, expected) in
        [(false, None, Some(DEFAULT)), (true, None, None), (false, Some(1000), Some(1000)), (false, Some(0), None)]
    {
        let (sender, receiver) = tokio::join!(session.sender("q").attach(), async {
            let link = pair.server.next_link().await.expect("a link");
            let mut request = receiver_request(link);
            if streamed {
                request = request.streamed();
            }
            if let Some(told) = told {
                request = request.max_message_size(told);
            }
            request.accept().expect("accepted")
        });
        assert_eq!(sender.expect("a sender").max_message_size(), expected);
        drop(receiver);
    }
}

/// More than the engine looks at in one go, and more than it answers in one go.
#[tokio::test]
async fn a_flood_of_attaches_is_answered_to_the_last() {
    use amqp1::codec::{
        EncodeStyle, Limits,
        definitions::Role,
        frame::{Frame, FrameDecoder, ProtocolHeader, write_frame},
        messaging::Target,
        performative::{Attach, Begin, Detach, Open, Performative},
    };
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    const PAIRS: u32 = 20_000;
    let (near, far) = tokio::io::duplex(4 * 1024 * 1024);
    let (mut reading, mut writing) = tokio::io::split(near);
    let serving = tokio::spawn(async move {
        let mut server = support::accept(&amqp1::Acceptor::builder().build(), far).await;
        while server.next_link().await.is_some() {}
    });
    let mut octets = bytes::BytesMut::from(&ProtocolHeader::AMQP.encode()[..]);
    let open = Open { container_id: "peer".into(), ..Open::default() };
    write_frame(0, Some(&open), EncodeStyle::Compact, &mut octets);
    let begin = Begin { incoming_window: 10, outgoing_window: 10, ..Begin::default() };
    write_frame(0, Some(&begin), EncodeStyle::Compact, &mut octets);
    let flood = octets.len();
    for handle in 0..PAIRS {
        let attach = Attach {
            name: "l".into(),
            handle,
            role: Role::Sender,
            source: Some(Box::default()),
            target: Some(Target::at("q").into()),
            initial_delivery_count: Some(amqp1::codec::SequenceNo(0)),
            ..Attach::default()
        };
        write_frame(0, Some(&attach), EncodeStyle::Compact, &mut octets);
        write_frame(0, Some(&Detach { handle, closed: true, error: None }), EncodeStyle::Compact, &mut octets);
    }
    let opened = tokio::sync::Notify::new();
    let answered = async {
        let mut decoder = FrameDecoder::new(u32::MAX, Limits::DEFAULT);
        let (mut input, mut detached) = (bytes::BytesMut::new(), 0);
        while detached < PAIRS {
            assert!(reading.read_buf(&mut input).await.expect("no error") > 0, "{detached} were answered");
            if input.starts_with(b"AMQP") {
                drop(input.split_to(8));
            }
            while let Some(frame) = decoder.decode(&mut input).expect("a frame") {
                opened.notify_one();
                let Frame::Amqp { performative: Some(performative), .. } = frame else { continue };
                assert!(!matches!(performative, Performative::Close(_) | Performative::End(_)), "{performative:?}");
                detached += u32::from(matches!(performative, Performative::Detach(_)));
            }
        }
    };
    // Not much may come before the open is answered.
    let written = async {
        writing.write_all(&octets[..flood]).await.expect("all is taken");
        opened.notified().await;
        writing.write_all(&octets[flood..]).await.expect("all is taken");
    };
    soon(async { tokio::join!(written, answered) }).await;
    serving.abort();
}

/// A shorter limit brings the next deadline forward, also while the driver sleeps; an outcome that comes puts it off.
#[tokio::test(start_paused = true)]
async fn each_outcome_is_given_up_in_its_own_time_whatever_deadlines_there_were_before() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Window(10)).await;
    let began = tokio::time::Instant::now();
    let mut waits = tokio::task::JoinSet::new();
    for (limit, number) in [(60, 0), (5, 1), (20, 2), (2, 3), (10, 4)] {
        sender.set_outcome_timeout(Duration::from_secs(limit));
        let receipt = sender.reserve().await.expect("credit").send(body(number)).expect("queued");
        waits.spawn(async move { (limit, receipt.await.map_err(|error| error.kind())) });
        // The driver has nothing to do until then.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut held = Vec::new();
    for number_ in 0..5 {
        let delivery = receiver.recv().await.expect("a link").expect("a delivery");
        match number_ {
            3 => delivery.accept().expect("settled"),
            _ => held.push(delivery),
        }
    }
    let mut over = Vec::new();
    while let Some(ended) = soon(waits.join_next()).await {
        let (limit, outcome) = ended.expect("a task that ends");
        over.push((limit, outcome.is_ok(), began.elapsed().as_secs()));
        if let Err(kind) = outcome {
            assert_eq!(kind, ErrorKind::Timeout);
        }
    }
    assert_eq!(over, [(2, true, 0), (5, false, 5), (10, false, 10), (20, false, 20), (60, false, 60)]);
}
