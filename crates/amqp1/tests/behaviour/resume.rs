//! Links that outlive their endpoints, on both sides (§2.6.13, §3.4.6).

use crate::peers::world::{self, World, long, number, receives, short};
use crate::support::{self, mute, receiver_request, soon};
use amqp1::{
    Client, Delivered, Error, ErrorKind, Outcome, Receipt, Retry, Sender,
    error::{AmqpError, ErrorCondition},
    link::{DeliveryState, DeliveryTag, ReceiverSettleMode, SendOptions, SenderSettleMode},
    resume::{SuspendedReceiver, SuspendedSender},
};
use std::{collections::BTreeMap, time::Duration};

/// Checked when this is compiled: all of it can be done in tasks.
#[allow(dead_code)]
fn it_can_be_sent(session: &amqp1::Session, sender: &Sender, left: SuspendedSender, kept: SuspendedReceiver) {
    fn sent<T: Send>(_: T) {}
    fn shared<T: Send + Sync>(_: T) {}
    sent(session.sender("q").resume(&left).attach());
    sent(session.receiver("q").resume(&kept).attach());
    sent(sender.suspend());
    sent(sender.resumed());
    shared((left, kept));
}

fn tag(number: u8) -> DeliveryTag {
    DeliveryTag::new(&[number]).expect("short")
}

/// Queues a message under the tag of its number.
async fn queue(sender: &Sender, number: u8, body: impl amqp1::message::IntoMessage) -> Receipt {
    let options = SendOptions { tag: Some(tag(number)), ..SendOptions::default() };
    sender.reserve().await.expect("credit").send_with(body, options).expect("queued")
}

fn assert_suspended(error: &Error) {
    assert_eq!((error.kind(), error.delivered()), (ErrorKind::Suspended, Delivered::Unknown), "{error:?}");
}

fn tags(left: &SuspendedSender) -> Vec<DeliveryTag> {
    left.deliveries().into_iter().map(|delivery| delivery.tag).collect()
}

/// Three messages on their way when the connection goes: one whose outcome is known, one that was taken, one that was not.
#[tokio::test(start_paused = true)]
async fn sends_under_way_end_and_their_outcomes_come_from_the_next_endpoint_once() {
    let mut world = World::plain().await;
    let (sender, mut receiver) = world.client_sends(None, None).await;
    let mut receipts = Vec::new();
    for number in 0..3 {
        receipts.push(queue(&sender, number, short(number)).await);
    }
    let known = receipts.remove(0);
    soon(receiver.recv()).await.expect("a link").expect("a delivery").accept().expect("stated");
    assert_eq!(soon(known).await.expect("an outcome"), Outcome::Accepted);
    let taken = soon(receiver.recv()).await.expect("a link").expect("a delivery");
    assert!(!taken.is_resumed());
    world.lose().await;
    for receipt in receipts {
        let error = soon(receipt).await.expect_err("suspended");
        assert_suspended(&error);
        assert_eq!(error.retry(), Retry::ReopenConnection);
    }
    assert_eq!(taken.accept().expect_err("the link is gone").kind(), ErrorKind::ClosedByPeer);
    let (left, kept) = (sender.suspend().await.expect("left"), receiver.suspend().await.expect("kept"));
    drop((sender, receiver));
    assert_eq!(tags(&left), [tag(1), tag(2)]);
    assert!(left.deliveries().iter().all(|delivery| delivery.begun && delivery.message.is_some()));

    let mut world = World::plain().await;
    let (sender, mut receiver) = world.client_sends(Some(&left), Some(&kept)).await;
    assert!(left.deliveries().is_empty() && kept.deliveries().is_empty(), "taken up");
    let resumed = sender.resumed();
    assert!(sender.resumed().is_empty(), "they are given once");
    for number in 1..3 {
        let delivery = soon(receiver.recv()).await.expect("a link").expect("a delivery");
        assert_eq!((delivery.tag(), delivery.is_resumed(), world::number(&delivery)), (tag(number), true, number));
        delivery.accept().expect("stated");
    }
    for ((delivery, receipt), number) in resumed.into_iter().zip(1..) {
        assert_eq!((delivery.tag, delivery.begun, delivery.outcome), (tag(number), true, None));
        assert!(delivery.message.is_some());
        assert_eq!(soon(receipt).await.expect("an outcome"), Outcome::Accepted);
    }
    let (sent, got) = tokio::join!(soon(sender.send(short(9))), async {
        let delivery = soon(receiver.recv()).await.expect("a link").expect("a delivery");
        assert!(!delivery.is_resumed());
        let got = number(&delivery);
        delivery.accept().expect("stated");
        got
    });
    assert_eq!((sent.expect("an outcome"), got), (Outcome::Accepted, 9));
    assert!(receiver.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn deliveries_of_a_receiver_come_again_and_what_is_dropped_meanwhile_settles_nothing() {
    let mut world = World::plain().await;
    let (sender, mut receiver) = world.client_receives(None, None).await;
    let mut receipts = Vec::new();
    for number in 0..4 {
        receipts.push(queue(&sender, number, short(number)).await);
    }
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(soon(receiver.recv()).await.expect("a link").expect("a delivery"));
    }
    world.lose().await;
    let handle = taken.pop().expect("three").leave_unsettled();
    let accepted = taken.pop().expect("two");
    accepted.accept().expect_err("the link is gone");
    // It would be modified if the link lived.
    drop(taken);
    let kept = receiver.suspend().await.expect("kept");
    handle.accept().expect_err("the link is gone");
    for receipt in receipts {
        assert_suspended(&soon(receipt).await.expect_err("suspended"));
    }
    let seen: Vec<_> = kept.deliveries().into_iter().map(|kept| (kept.tag, kept.taken, kept.outcome)).collect();
    assert_eq!(seen, [0, 1, 2, 3].map(|number| (tag(number), number < 3, None)));
    assert!(kept.settle(&tag(0), DeliveryState::Released), "it is decided while there is no link");
    assert!(!kept.settle(&tag(0), DeliveryState::Accepted) && !kept.settle(&tag(7), DeliveryState::Accepted));
    let left = sender.suspend().await.expect("left");

    let mut world = World::plain().await;
    let (sender, mut receiver) = world.client_receives(Some(&kept), Some(&left)).await;
    for expected in 1..4 {
        let delivery = soon(receiver.recv()).await.expect("a link").expect("a delivery");
        assert_eq!((number(&delivery), delivery.is_resumed(), delivery.is_settled()), (expected, true, false));
        delivery.accept().expect("stated");
    }
    let mut outcomes = Vec::new();
    for (delivery, receipt) in sender.resumed() {
        outcomes.push((delivery.tag, soon(receipt).await.expect("an outcome")));
    }
    let expected = |number| (tag(number), if number == 0 { Outcome::Released } else { Outcome::Accepted });
    assert_eq!(outcomes, [0, 1, 2, 3].map(expected));
    assert!(receiver.try_recv().is_err());
}

/// Messages of several frames over a transport that is cut at one octet or another: what was received of a message is not
/// sent again, and nothing is lost or comes twice.
#[tokio::test(start_paused = true)]
async fn wherever_the_transport_is_cut_each_message_arrives_once_and_has_one_outcome() {
    let (mut cuts, mut halves) = (0, 0);
    for (up, down) in
        (300..6000).step_by(23).map(|up| (up, usize::MAX)).chain((150..600).map(|down| (usize::MAX, down)))
    {
        let Some(mut world) = World::cut_after(up, down).await else { continue };
        let attaching = world.session.sender("q").receiver_settle_mode(ReceiverSettleMode::Second);
        let accepting = async { Some(receives(world.server.next_link().await?, None)) };
        let (Ok(sender), Some(mut receiver)) = tokio::join!(attaching.resumable(true).attach(), soon(accepting)) else {
            continue;
        };
        let mut news = BTreeMap::new();
        let mut outcomes = BTreeMap::new();
        let mut under_way = Vec::new();
        for number in 0..3 {
            let Ok(permit) = soon(sender.reserve()).await else { break };
            let options = SendOptions { tag: Some(tag(number)), ..SendOptions::default() };
            let Ok(receipt) = permit.send_with(long(number), options) else { break };
            under_way.push((number, receipt));
        }
        let sent = under_way.len();
        while let Ok(Some(delivery)) =
            tokio::time::timeout(Duration::from_secs(3), receiver.recv()).await.unwrap_or(Ok(None))
        {
            *news.entry(number(&delivery)).or_insert(0) += u32::from(!delivery.is_resumed());
            let stated = delivery.accept();
            assert!(stated.is_ok() || world.server.connection().is_closed(), "{stated:?}");
        }
        if !world.client.is_closed() && !world.server.connection().is_closed() {
            continue;
        }
        cuts += 1;
        let mut suspended = 0;
        for (number, receipt) in under_way {
            match soon(receipt).await {
                Ok(outcome) => *outcomes.entry((number, outcome == Outcome::Accepted)).or_insert(0) += 1,
                Err(error) => {
                    assert_suspended(&error);
                    suspended += 1;
                }
            }
        }
        world.server.connection().closed().await;
        let (left, kept) = (sender.suspend().await.expect("left"), receiver.suspend().await.expect("kept"));
        assert_eq!(left.deliveries().len(), suspended);
        halves += usize::from(kept.deliveries().iter().any(|delivery| !delivery.whole));

        let mut world = World::new().await;
        let (sender, mut receiver) = world.client_sends(Some(&left), Some(&kept)).await;
        let resumed = sender.resumed();
        let receiving = async {
            while let Ok(Ok(Some(delivery))) = tokio::time::timeout(Duration::from_secs(3), receiver.recv()).await {
                let body = delivery.message().data().expect("a data section");
                assert_eq!(body[..], long(number(&delivery))[..]);
                *news.entry(number(&delivery)).or_insert(0) += u32::from(!delivery.is_resumed());
                delivery.accept().expect("stated");
            }
        };
        let asking = async {
            for (delivery, receipt) in resumed {
                let number = delivery.tag.as_slice()[0];
                let outcome = soon(receipt).await.expect("an outcome");
                *outcomes.entry((number, outcome == Outcome::Accepted)).or_insert(0) += 1;
            }
        };
        tokio::join!(receiving, asking);
        assert!(outcomes.keys().all(|(_, accepted)| *accepted), "{up} {down}: {outcomes:?}");
        assert_eq!((outcomes.len(), outcomes.values().sum::<u32>()), (sent, sent as u32), "{up} {down}: {outcomes:?}");
        // One of which a part had come is whole at the next endpoint, and was begun at the first.
        assert!(news.len() == sent && news.values().all(|count| *count <= 1), "{up} {down}: {news:?}");
    }
    assert!(cuts > 200 && halves > 100, "{cuts} {halves}");
}

#[tokio::test(start_paused = true)]
async fn opposite_a_peer_that_has_forgotten_everything_all_is_sent_anew() {
    for forgets in [true, false] {
        let mut world = World::plain().await;
        let (sender, receiver) = world.client_sends(None, None).await;
        let receipts = [queue(&sender, 0, short(0)).await, queue(&sender, 1, short(1)).await];
        world.lose().await;
        for receipt in receipts {
            assert_suspended(&soon(receipt).await.expect_err("suspended"));
        }
        let left = sender.suspend().await.expect("left");
        assert!(left.remove(&tag(0)) && !left.remove(&tag(0)), "it is not to be sent again");
        drop(receiver);
        let mut world = World::plain().await;
        let nothing = SuspendedReceiver::new(left.name().clone());
        let (sender, mut receiver) = world.client_sends(Some(&left), forgets.then_some(&nothing)).await;
        let delivery = soon(receiver.recv()).await.expect("a link").expect("a delivery");
        assert_eq!((number(&delivery), delivery.is_resumed()), (1, false));
        delivery.accept().expect("stated");
        let [(_, resumed)] = <[_; 1]>::try_from(sender.resumed()).expect("one");
        assert_eq!(soon(resumed).await.expect("an outcome"), Outcome::Accepted);
        assert!(receiver.try_recv().is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn opposite_a_sender_that_has_forgotten_everything_what_was_not_taken_comes_settled() {
    let mut world = World::plain().await;
    let (sender, mut receiver) = world.client_receives(None, None).await;
    let _receipts = [queue(&sender, 0, short(0)).await, queue(&sender, 1, short(1)).await];
    let taken = soon(receiver.recv()).await.expect("a link").expect("a delivery");
    world.lose().await;
    let kept = receiver.suspend().await.expect("kept");
    let mut world = World::plain().await;
    let (_sender, mut receiver) = world.client_receives(Some(&kept), None).await;
    let delivery = soon(receiver.recv()).await.expect("a link").expect("a delivery");
    assert_eq!((number(&delivery), delivery.is_resumed(), delivery.is_settled()), (1, true, true));
    drop((taken, delivery));
    // What nobody takes here either is not lost with this endpoint.
    assert!(receiver.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_closed_leaves_nothing_and_one_that_is_not_resumable_says_so() {
    for by_peer in [true, false] {
        let mut world = World::plain().await;
        let (sender, receiver) = world.client_sends(None, None).await;
        let receipt = queue(&sender, 0, short(0)).await;
        if by_peer {
            let why = Some(AmqpError::from(ErrorCondition::RESOURCE_DELETED));
            receiver.detach_with(why, true).await.expect("detached");
            sender.detached().await;
        } else {
            soon(sender.close()).await.expect("closed");
        }
        let lost = soon(receipt).await.expect_err("lost");
        assert_eq!((lost.kind(), lost.delivered()), (ErrorKind::LinkDetached, Delivered::Unknown));
        let error = soon(sender.suspend()).await.expect_err("nothing is left");
        assert_eq!(error.kind(), ErrorKind::LinkDetached);
        assert_eq!(error.condition().is_some(), by_peer);
    }
    let world = World::plain().await;
    let session = world.session.clone();
    let (mut server, _client) = (world.server, world.client);
    let (sender, link) = tokio::join!(session.sender("q").attach(), server.next_link());
    drop(link);
    drop(sender);
    let (sender, _far) = tokio::join!(session.sender("q").attach(), async {
        server.next_link().await.expect("a link").accept_default().expect("accepted")
    });
    let error = soon(sender.expect("a sender").suspend()).await.expect_err("not resumable");
    assert_eq!(error.kind(), ErrorKind::Config);
}

/// A settled send has no receipt, and the link is lost before the messages leave.
#[tokio::test(start_paused = true)]
async fn messages_that_were_sent_settled_and_had_not_left_are_sent_by_the_next_endpoint_which_says_so_of_each() {
    let mut world = World::plain().await;
    let (sender, mut receiver) = world.client_sends(None, None).await;
    let settled = SendOptions { settled: true, ..SendOptions::default() };
    for number in 0..3 {
        assert_eq!(sender.send_with(short(number), settled).await.expect("queued"), Outcome::SentSettled);
    }
    world.lose().await;
    let (left, kept) = (soon(sender.suspend()).await.expect("left"), soon(receiver.suspend()).await.expect("kept"));
    assert_eq!(left.deliveries().iter().map(|delivery| delivery.begun).collect::<Vec<_>>(), [false; 3]);
    let mut world = World::plain().await;
    let (sender, mut receiver) = world.client_sends(Some(&left), Some(&kept)).await;
    for expected in 0..3 {
        assert_eq!(number(&soon(receiver.recv()).await.expect("a link").expect("a delivery")), expected);
    }
    let resumed = sender.resumed();
    assert_eq!(resumed.len(), 3);
    for (_, resumed) in resumed {
        assert_eq!(soon(resumed).await.expect("sent"), Outcome::SentSettled);
    }
}

/// The session ends, or the link is detached; each time it goes on, on the same connection.
#[tokio::test(start_paused = true)]
async fn a_link_goes_on_in_another_session_of_the_same_connection() {
    let mut world = World::plain().await;
    let (mut sender, mut receiver) = world.client_sends(None, None).await;
    let mut receipt = Some(queue(&sender, 0, short(0)).await);
    for round in 0..4 {
        if round % 2 == 0 {
            soon(world.session.end()).await.expect("ended");
            world.session = world.client.begin().await.expect("a session");
        }
        let (left, kept) = (soon(sender.suspend()).await.expect("left"), soon(receiver.suspend()).await.expect("kept"));
        if let Some(receipt) = receipt.take() {
            assert_suspended(&soon(receipt).await.expect_err("suspended"));
        }
        assert_eq!(soon(sender.suspend()).await.expect_err("it was asked before").kind(), ErrorKind::LinkDetached);
        assert_eq!(tags(&left), [tag(0)], "{round}");
        (sender, receiver) = world.client_sends(Some(&left), Some(&kept)).await;
        let twice = world.session.sender("q").resume(&left).attach().await.expect_err("it is taken");
        assert_eq!(twice.kind(), ErrorKind::Config);
    }
    let delivery = soon(receiver.recv()).await.expect("a link").expect("a delivery");
    assert!(delivery.is_resumed());
    delivery.accept().expect("stated");
    let [(_, resumed)] = <[_; 1]>::try_from(sender.resumed()).expect("one");
    assert_eq!(soon(resumed).await.expect("an outcome"), Outcome::Accepted);
}

#[tokio::test(start_paused = true)]
async fn an_attach_that_fails_leaves_what_was_left_as_it_was() {
    let mut world = World::plain().await;
    let (sender, mut receiver) = world.client_sends(None, None).await;
    let receipt = queue(&sender, 0, short(0)).await;
    soon(world.client.close()).await.expect("closed");
    assert_suspended(&soon(receipt).await.expect_err("suspended"));
    let (left, kept) = (sender.suspend().await.expect("left"), soon(receiver.suspend()).await.expect("kept"));

    // A peer that refuses.
    let mut world = World::plain().await;
    let (refused, ()) = tokio::join!(world.session.sender("q").resume(&left).attach(), async {
        let link = world.server.next_link().await.expect("a link");
        assert!(link.is_resumed());
        link.reject(AmqpError::from(ErrorCondition::UNAUTHORIZED_ACCESS));
    });
    assert_eq!(refused.expect_err("refused").kind(), ErrorKind::LinkRefused);
    assert_eq!(tags(&left), [tag(0)]);
    // One that does not answer, until nobody waits any more.
    let attaching = world.session.sender("q").resume(&left).attach();
    tokio::time::timeout(Duration::from_secs(1), attaching).await.expect_err("no answer");
    assert_eq!(tags(&left), [tag(0)]);
    // One whose session is over.
    world.session.end().await.expect("ended");
    world.session.sender("q").resume(&left).attach().await.expect_err("the session is over");
    assert_eq!(tags(&left), [tag(0)]);
    // One that says nothing at all.
    let (near, far) = tokio::io::duplex(1024);
    let mute = mute(far);
    let connection = Client::builder("amqp://server.test")
        .connect_with(support::checked::Checked::new(near))
        .await
        .expect("a connection");
    let session = connection.begin().await;
    assert_eq!(session.expect_err("no answer").kind(), ErrorKind::Timeout);
    mute.abort();
    // The acceptor's end, opposite a client that has gone.
    let (sender, link) = tokio::join!(
        async {
            let attaching = world.client.begin().await.expect("a session").sender("q").resume(&left).attach();
            tokio::time::timeout(Duration::from_secs(1), attaching).await.expect_err("no answer");
            world.client.close().await
        },
        world.server.next_link()
    );
    sender.expect("closed");
    let link = link.expect("a link");
    world.server.connection().closed().await;
    receiver_request(link).resume(&kept).accept().expect_err("it is over");
    assert_eq!((tags(&left), kept.deliveries().len()), (vec![tag(0)], 1));

    let mut world = World::plain().await;
    let (sender, mut receiver) = world.client_sends(Some(&left), Some(&kept)).await;
    let delivery = soon(receiver.recv()).await.expect("a link").expect("a delivery");
    assert!(delivery.is_resumed());
    delivery.accept().expect("stated");
    let [(_, resumed)] = <[_; 1]>::try_from(sender.resumed()).expect("one");
    assert_eq!(soon(resumed).await.expect("an outcome"), Outcome::Accepted);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_does_not_come_at_the_next_endpoint_either_is_given_up_and_the_delivery_is_not() {
    let mut world = World::plain().await;
    let (sender, mut receiver) = world.client_sends(None, None).await;
    let receipt = queue(&sender, 0, short(0)).await;
    world.lose().await;
    let error = soon(receipt).await.expect_err("suspended");
    assert_suspended(&error);
    // What ended the link is told with it.
    assert!(std::error::Error::source(&error).is_some());
    let (left, kept) = (sender.suspend().await.expect("left"), soon(receiver.suspend()).await.expect("kept"));
    let mut world = World::plain().await;
    let (sender, mut receiver) = world.client_sends(Some(&left), Some(&kept)).await;
    let [(_, resumed)] = <[_; 1]>::try_from(sender.resumed()).expect("one");
    let before = tokio::time::Instant::now();
    let error = soon(resumed).await.expect_err("nobody settles");
    assert_eq!((error.kind(), error.delivered()), (ErrorKind::Timeout, Delivered::Unknown));
    assert_eq!(before.elapsed().as_secs(), 60);
    let delivery = soon(receiver.recv()).await.expect("a link").expect("a delivery");
    delivery.leave_unsettled();
    world.lose().await;
    let again = sender.suspend().await.expect("left");
    assert_eq!(tags(&again), [tag(0)]);
    let kept = receiver.suspend().await.expect("kept");
    let mut world = World::plain().await;
    let (sender, mut receiver) = world.client_sends(Some(&again), Some(&kept)).await;
    let [(_, resumed)] = <[_; 1]>::try_from(sender.resumed()).expect("one");
    soon(receiver.recv()).await.expect("a link").expect("a delivery").accept().expect("stated");
    assert_eq!(soon(resumed).await.expect("an outcome"), Outcome::Accepted);
}

/// A link that goes on settles as it did: in mode first, what was received would come twice as new.
#[tokio::test]
async fn a_resumed_link_has_the_settle_modes_that_it_had() {
    let mut world = World::new().await;
    let (sender, mut receiver) = world.client_sends(None, None).await;
    let (left, kept) = tokio::join!(sender.suspend(), async {
        receiver.detached().await;
        receiver.suspend().await
    });
    let (left, kept) = (left.expect("left"), kept.expect("kept"));
    let (again, modes) = soon(async {
        tokio::join!(world.session.sender("q").resume(&left).attach(), async {
            let link = world.server.next_link().await.expect("a link");
            let modes = (link.attach().snd_settle_mode, link.attach().rcv_settle_mode);
            let _receiver = receives(link, Some(&kept));
            modes
        })
    })
    .await;
    again.expect("attached");
    assert_eq!(modes, (SenderSettleMode::Mixed, ReceiverSettleMode::Second));
}
