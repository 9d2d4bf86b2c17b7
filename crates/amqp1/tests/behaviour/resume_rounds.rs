//! Resumption where one attach is not enough, or where there is not everything to resume with.

use crate::peers::world::{self, World, number, short};
use crate::support::{gated_pair, receiver_request, sender_request, soon};
use amqp1::{
    Credit, Delivered, ErrorKind, Message, Outcome, Retry,
    link::{DeliveryTag, ReceiverSettleMode, SendOptions, SenderSettleMode},
    resume::{SuspendedReceiver, SuspendedSender},
};
use std::{collections::BTreeMap, time::Duration};

/// Ninety deliveries whose tags do not fit into a frame of 512 octets.
#[tokio::test(start_paused = true)]
async fn what_does_not_fit_into_one_attach_is_sorted_out_over_several() {
    const COUNT: u8 = 90;
    let mut world = World::new().await;
    let (mut sender, mut receiver) = world.client_sends(None, None).await;
    let mut receipts = Vec::new();
    for number in 0..COUNT {
        let tag = DeliveryTag::new(format!("a tag of {number:>20}").as_bytes()).expect("short");
        let permit = soon(sender.reserve()).await.expect("credit");
        let options = SendOptions { tag: Some(tag), ..SendOptions::default() };
        receipts.push(permit.send_with(short(number), options).expect("queued"));
    }
    for _ in 0..COUNT {
        // Taken, and left to the next endpoint.
        soon(receiver.recv()).await.expect("a link").expect("a delivery").leave_unsettled();
    }
    world.lose().await;
    for receipt in receipts {
        assert_eq!(soon(receipt).await.expect_err("suspended").kind(), ErrorKind::Suspended);
    }
    let mut outcomes = BTreeMap::new();
    let mut rounds = 0;
    let mut world = World::new().await;
    loop {
        rounds += 1;
        assert!(rounds < 60, "no end");
        let (left, kept) = (soon(sender.suspend()).await.expect("left"), soon(receiver.suspend()).await.expect("kept"));
        (sender, receiver) = world.client_sends(Some(&left), Some(&kept)).await;
        let settling = async {
            while let Ok(Ok(Some(delivery))) = tokio::time::timeout(Duration::from_secs(3), receiver.recv()).await {
                assert!(delivery.is_resumed() || number(&delivery) == 200);
                delivery.accept().expect("stated");
            }
        };
        let sending = async {
            let resumed = sender.resumed();
            // What waits for credit meanwhile is told as well.
            let sent = sender.send(short(200)).await;
            for (delivery, receipt) in resumed {
                let tag = delivery.tag;
                match receipt.await {
                    Ok(outcome) => *outcomes.entry((tag, outcome == Outcome::Accepted)).or_insert(0) += 1,
                    Err(error) => {
                        assert_eq!((error.kind(), error.retry()), (ErrorKind::Suspended, Retry::ReopenLink));
                        assert_eq!(error.delivered(), Delivered::Unknown);
                    }
                }
            }
            sent
        };
        let (sent, ()) = tokio::join!(sending, settling);
        match sent {
            Ok(outcome) => break assert_eq!(outcome, Outcome::Accepted),
            Err(error) => {
                let seen = (error.kind(), error.retry(), error.delivered());
                assert_eq!(seen, (ErrorKind::Suspended, Retry::ReopenLink, Delivered::No), "{error}");
            }
        }
    }
    assert!(rounds > 3, "{rounds}");
    assert_eq!((outcomes.len(), outcomes.values().sum::<u32>()), (COUNT.into(), COUNT.into()));
    assert!(outcomes.keys().all(|(_, accepted)| *accepted));
}

/// Nothing of them has left, settled ones and others; they go with the next endpoint, in their order.
#[tokio::test(start_paused = true)]
async fn messages_that_were_only_queued_go_with_the_next_endpoint() {
    let (mut pair, gate) = gated_pair().await;
    let session = pair.session().await;
    let (sender, receiver) = tokio::join!(session.sender("q").resumable(true).attach(), async {
        world::receives(pair.server.next_link().await.expect("a link"), None)
    });
    let sender = sender.expect("a sender");
    let permits = [sender.reserve().await, sender.reserve().await, sender.reserve().await];
    gate.stick();
    let mut receipts = Vec::new();
    for (permit, number) in permits.into_iter().zip(0..) {
        let options = SendOptions { settled: number == 1, ..SendOptions::default() };
        receipts.push(permit.expect("credit").send_with(short(number), options).expect("queued"));
    }
    gate.break_off();
    for receipt in receipts {
        let error = soon(receipt).await.expect_err("suspended");
        // To send it again would be to send it twice.
        assert_eq!((error.kind(), error.delivered()), (ErrorKind::Suspended, Delivered::Unknown));
    }
    let left = soon(sender.suspend()).await.expect("left");
    assert_eq!(left.deliveries().len(), 3);
    drop(receiver);
    let mut world = World::plain().await;
    let (sender, mut receiver) = tokio::join!(world.session.sender("q").resume(&left).attach(), async {
        world::receives(world.server.next_link().await.expect("a link"), None)
    });
    let sender = sender.expect("a sender");
    for expected in 0..3 {
        let delivery = soon(receiver.recv()).await.expect("a link").expect("a delivery");
        assert_eq!((number(&delivery), delivery.is_resumed(), delivery.is_settled()), (expected, false, expected == 1));
        delivery.accept().expect("stated");
    }
    let mut outcomes = Vec::new();
    for (_, receipt) in sender.resumed() {
        outcomes.push(soon(receipt).await.expect("an outcome"));
    }
    assert_eq!(outcomes, [Outcome::Accepted, Outcome::SentSettled, Outcome::Accepted]);
}

/// Those that the sender had settled exist only at the receiver, which has not taken them when it is suspended.
#[tokio::test(start_paused = true)]
async fn settled_messages_that_nobody_has_taken_come_at_the_next_endpoint_first() {
    let mut world = World::plain().await;
    let session = world.session.clone();
    let (sender, receiver) =
        tokio::join!(session.sender("q").settle_mode(SenderSettleMode::Settled).resumable(true).attach(), async {
            world::receives(world.server.next_link().await.expect("a link"), None)
        });
    let (sender, mut receiver) = (sender.expect("a sender"), receiver);
    for number in 0..2 {
        assert_eq!(soon(sender.send(short(number))).await.expect("sent"), Outcome::SentSettled);
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    let (left, kept) = (soon(sender.suspend()).await.expect("left"), soon(receiver.suspend()).await.expect("kept"));
    assert!(soon(receiver.recv()).await.expect("over in peace").is_none());
    assert!(left.deliveries().is_empty() && kept.deliveries().is_empty());
    // An endpoint that does not come about has not taken them.
    let link = async {
        let link = world.server.next_link().await.expect("a link");
        let refused = receiver_request(link).streamed().resume(&kept).accept();
        refused.expect_err("a streamed link is not resumed").kind()
    };
    let (refused, kind) = tokio::join!(world.session.sender("q").resume(&left).attach(), link);
    assert_eq!((refused.expect_err("refused").kind(), kind), (ErrorKind::LinkRefused, ErrorKind::Config));
    let (sender, mut receiver) = world.client_sends(Some(&left), Some(&kept)).await;
    let sending = tokio::spawn(async move { sender.send(short(2)).await });
    for expected in 0..3 {
        let delivery = soon(receiver.recv()).await.expect("a link").expect("a delivery");
        // The link settles as it did: what is new is settled too.
        assert_eq!((number(&delivery), delivery.is_settled()), (expected, true));
    }
    assert_eq!(soon(sending).await.expect("no panic").expect("sent"), Outcome::SentSettled);
}

/// Nothing is kept of a stream: a receiver that has all of it settles, and for one that has not it is given up.
#[tokio::test(start_paused = true)]
async fn a_streamed_message_is_settled_by_the_next_endpoint_or_given_up() {
    for whole in [true, false] {
        let mut world = World::plain().await;
        let (sender, mut receiver) = world.client_sends(None, None).await;
        // One that is given up here leaves nothing.
        let mut given_up = sender.stream(Message::builder()).await.expect("a stream");
        given_up.write(vec![0; 100_000]).await.expect("written");
        given_up.abort();
        let mut stream = sender.stream(Message::builder()).await.expect("a stream");
        stream.write(vec![1; 100_000]).await.expect("written");
        tokio::time::sleep(Duration::from_millis(10)).await;
        if whole {
            let receipt = stream.finish().expect("finished");
            soon(receiver.recv()).await.expect("a link").expect("a delivery").leave_unsettled();
            world.lose().await;
            assert_eq!(soon(receipt).await.expect_err("suspended").kind(), ErrorKind::Suspended);
        } else {
            world.lose().await;
            stream.write(vec![1; 10]).await.expect_err("the link is gone");
            drop(stream);
        }
        let (left, kept) = (soon(sender.suspend()).await.expect("left"), soon(receiver.suspend()).await.expect("kept"));
        let [sent] = &left.deliveries()[..] else { panic!("{left:?}") };
        assert!(sent.begun && sent.message.is_none());
        let [had] = &kept.deliveries()[..] else { panic!("{kept:?}") };
        assert_eq!(had.whole, whole);
        if whole {
            assert!(kept.settle(&had.tag, amqp1::link::DeliveryState::Accepted));
        }
        let mut world = World::plain().await;
        let (sender, mut receiver) = world.client_sends(Some(&left), Some(&kept)).await;
        let [(delivery, receipt)] = <[_; 1]>::try_from(sender.resumed()).expect("one");
        assert!(delivery.begun && delivery.message.is_none());
        match soon(receipt).await {
            Ok(outcome) => assert_eq!((outcome, whole), (Outcome::Accepted, true)),
            Err(error) => {
                assert!(!whole, "{error}");
                assert_eq!((error.kind(), error.delivered()), (ErrorKind::Aborted, Delivered::Unknown));
            }
        }
        // The link goes on.
        let (sent, ()) = tokio::join!(soon(sender.send(short(3))), async {
            let delivery = soon(receiver.recv()).await.expect("a link").expect("a delivery");
            assert_eq!((number(&delivery), delivery.is_resumed()), (3, false));
            delivery.accept().expect("stated");
        });
        assert_eq!(sent.expect("an outcome"), Outcome::Accepted);
    }
}

/// What was kept elsewhere.
#[tokio::test(start_paused = true)]
async fn what_was_kept_elsewhere_is_resumed_with_on_either_side() {
    let mut kept = amqp1::engine::SuspendedSender::new();
    kept.deliveries.push_back(amqp1::engine::SentSoFar {
        tag: DeliveryTag::new(b"kept").expect("short"),
        token: 0,
        message_format: 0,
        settled: false,
        begun: true,
        state: None,
        message: Some(short(7).into()),
    });
    let left = SuspendedSender::from_engine("l", kept);
    let mut world = World::plain().await;
    // An acceptor that sends; another delivery has the same number.
    let attaching = world.session.receiver("q").receiver_settle_mode(ReceiverSettleMode::Second);
    let nothing = SuspendedReceiver::new("l");
    let (receiver, sender) = tokio::join!(attaching.credit(Credit::Manual(5)).resume(&nothing).attach(), async {
        let link = world.server.next_link().await.expect("a link");
        assert!(link.is_resumed() && link.attach().name.as_str() == "l");
        sender_request(link).resume(&left).accept().expect("accepted")
    });
    let mut receiver = receiver.expect("a receiver");
    let delivery = soon(receiver.recv()).await.expect("a link").expect("a delivery");
    assert_eq!((number(&delivery), delivery.is_resumed()), (7, false));
    delivery.accept().expect("stated");
    let [(_, resumed)] = <[_; 1]>::try_from(sender.resumed()).expect("one");
    assert_eq!(soon(resumed).await.expect("an outcome"), Outcome::Accepted);
}

/// Ends that do not fit together are refused.
#[tokio::test(start_paused = true)]
async fn what_is_left_of_one_link_is_not_taken_for_another() {
    let mut world = World::plain().await;
    let (sender, receiver) = (SuspendedSender::new("l"), SuspendedReceiver::new("other"));
    let (refused, kind) = tokio::join!(world.session.sender("q").resume(&sender).attach(), async {
        let link = world.server.next_link().await.expect("a link");
        receiver_request(link).resume(&receiver).accept().expect_err("another link").kind()
    });
    assert_eq!((refused.expect_err("refused").kind(), kind), (ErrorKind::LinkRefused, ErrorKind::Config));
    let streamed = world.session.receiver("q").streamed().resumable(true).attach().await;
    assert_eq!(streamed.expect_err("not both").kind(), ErrorKind::Config);
}
