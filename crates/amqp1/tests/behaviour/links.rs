//! Messages and their outcomes, and how links come and go.

use crate::support::{body, number, pair, receiver_request, soon};
use amqp1::{
    AcceptedLink, Credit, Delivered, Delivery, ErrorKind, Outcome, Retry, Symbol,
    codec::definitions::Fields,
    error::{AmqpError, Cause, ErrorCondition},
    link::{Modified, OnDrop, ReceiverSettleMode, SendOptions, SenderSettleMode},
};
use bytes::Bytes;

/// Sends one message to a receiver that does this with it.
async fn outcome_of(settle: impl FnOnce(Delivery) -> Result<(), amqp1::Error>) -> Outcome {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Window(10)).await;
    let (outcome, ()) = tokio::join!(sender.send("x"), async {
        let delivery = receiver.recv().await.expect("a link").expect("a delivery");
        settle(delivery).expect("settled");
    });
    outcome.expect("an outcome")
}

#[tokio::test]
async fn every_outcome_reaches_the_sender() {
    assert_eq!(outcome_of(Delivery::accept).await, Outcome::Accepted);
    assert_eq!(outcome_of(Delivery::release).await, Outcome::Released);
    let why = AmqpError::new(ErrorCondition::DECODE_ERROR, "no such colour");
    assert_eq!(outcome_of(|delivery| delivery.reject(why.clone())).await, Outcome::Rejected(Some(why.clone())));
    assert_eq!(outcome_of(|delivery| delivery.reject(None)).await, Outcome::Rejected(None));
    let modified = Modified { undeliverable_here: true, ..Modified::default() };
    assert_eq!(outcome_of(|delivery| delivery.modify(modified.clone())).await, Outcome::Modified(modified));
    let later = outcome_of(|delivery| {
        let (message, handle) = delivery.into_parts();
        assert_eq!(message.data().as_deref(), Some(&b"x"[..]));
        handle.accept()
    });
    assert_eq!(later.await, Outcome::Accepted);
}

#[tokio::test]
async fn an_outcome_that_is_no_acceptance_can_be_taken_for_an_error() {
    let why = AmqpError::new(ErrorCondition::RESOURCE_LIMIT_EXCEEDED, "full");
    let error = outcome_of(|delivery| delivery.reject(why.clone())).await.into_result().expect_err("rejected");
    assert_eq!(
        (error.kind(), error.condition()),
        (ErrorKind::Rejected, Some(&ErrorCondition::RESOURCE_LIMIT_EXCEEDED))
    );
    assert!(matches!(error.retry(), Retry::After(_)));
    let error = outcome_of(Delivery::release).await.into_result().expect_err("released");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Released, Retry::Now));
}

#[tokio::test]
async fn a_dropped_delivery_is_dealt_with_as_the_receiver_says() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Window(10)).await;
    let failed = Modified { delivery_failed: true, ..Modified::default() };
    for (on_drop, expected) in [(OnDrop::Modify, Outcome::Modified(failed)), (OnDrop::Release, Outcome::Released)] {
        receiver.set_on_drop(on_drop);
        let (outcome, ()) = tokio::join!(sender.send("x"), async {
            drop(receiver.recv().await.expect("a link").expect("a delivery"));
        });
        assert_eq!(outcome.expect("an outcome"), expected);
    }
    receiver.set_on_drop(OnDrop::LeaveUnsettled);
    let receipt = sender.reserve().await.expect("credit").send("x").expect("queued");
    let mut receipt = std::pin::pin!(receipt);
    drop(receiver.recv().await.expect("a link").expect("a delivery"));
    // What is settled after it has its outcome first.
    let (outcome, ()) = tokio::join!(sender.send("y"), async {
        receiver.recv().await.expect("a link").expect("a delivery").accept().expect("settled");
    });
    assert_eq!(outcome.expect("an outcome"), Outcome::Accepted);
    assert!(poll_once(receipt.as_mut()).await.is_none());
}

/// What the future is ready with.
async fn poll_once<F: Future + Unpin>(future: F) -> Option<F::Output> {
    let mut future = future;
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut future).poll(cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn a_receiver_that_goes_gives_back_what_nobody_has_taken() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Window(10)).await;
    let mut receipts = Vec::new();
    for _ in 0..3 {
        receipts.push(sender.reserve().await.expect("credit").send("x").expect("queued"));
    }
    // When the last has come, the others are there as well.
    let taken = receiver.recv().await.expect("a link").expect("a delivery");
    let second = receiver.recv().await.expect("a link").expect("a delivery");
    second.accept().expect("settled");
    drop(receiver);
    taken.accept().expect("the link lives as long as its deliveries");
    let mut outcomes = Vec::new();
    for receipt in receipts {
        outcomes.push(soon(receipt).await.expect("an outcome"));
    }
    assert_eq!(outcomes, [Outcome::Accepted, Outcome::Accepted, Outcome::Released]);
    assert_eq!(soon(sender.detached()).await.by, Cause::Peer);
}

#[tokio::test]
async fn messages_that_are_sent_settled_arrive_and_have_no_outcome() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Window(10)).await;
    let settled = SendOptions { settled: true, ..SendOptions::default() };
    assert_eq!(sender.send_with(body(7), settled).await.expect("sent"), Outcome::SentSettled);
    let delivery = receiver.recv().await.expect("a link").expect("a delivery");
    assert!(delivery.is_settled());
    assert_eq!(number(&delivery), 7);
    delivery.accept().expect("nothing to say");
    // They outlive the link.
    for index in 0..5 {
        sender.send_with(body(index), settled).await.expect("sent").into_result().expect("settled");
    }
    sender.close().await.expect("closed");
    for index in 0..5 {
        assert_eq!(number(&receiver.recv().await.expect("a link").expect("a delivery")), index);
    }
    assert!(receiver.recv().await.expect("no error").is_none());
}

/// Also T-2.7.5-9.
#[tokio::test]
async fn t_2_7_5_8_a_link_that_settles_everything_sends_settled_and_one_that_settles_nothing_refuses_to() {
    let mut pair = pair().await;
    let session = pair.session().await;
    let all = session.sender("all").settle_mode(SenderSettleMode::Settled);
    let none = session.sender("none").settle_mode(SenderSettleMode::Unsettled);
    let ((all, none), _links) = tokio::join!(async { tokio::join!(all.attach(), none.attach()) }, async {
        [pair.server.next_link().await, pair.server.next_link().await]
            .map(|link| link.expect("a link").accept_default().expect("accepted"))
    });
    assert_eq!(all.expect("a sender").send("x").await.expect("sent"), Outcome::SentSettled);
    let settled = SendOptions { settled: true, ..SendOptions::default() };
    let error = none.expect("a sender").send_with("x", settled).await.expect_err("not allowed");
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[tokio::test]
async fn t_2_6_12_4_a_receiver_of_mode_second_gets_its_outcome_through() {
    let mut pair = pair().await;
    let session = pair.session().await;
    let builder = session.receiver("q").receiver_settle_mode(ReceiverSettleMode::Second);
    let (receiver, link) =
        tokio::join!(builder.attach(), async { pair.server.next_link().await.expect("a link").accept_default() });
    let Ok(AcceptedLink::Sender(sender)) = link else { panic!("the client receives") };
    let mut receiver = receiver.expect("a receiver");
    let (outcome, ()) = tokio::join!(sender.send("x"), async {
        receiver.recv().await.expect("a link").expect("a delivery").accept().expect("settled");
    });
    assert_eq!(outcome.expect("an outcome"), Outcome::Accepted);
}

#[tokio::test]
async fn a_message_that_is_too_large_is_not_sent() {
    let mut pair = pair().await;
    let session = pair.session().await;
    let (sender, _receiver) = tokio::join!(session.sender("q").attach(), async {
        let link = pair.server.next_link().await.expect("a link");
        receiver_request(link).max_message_size(100).accept().map(AcceptedLink::Receiver).expect("accepted")
    });
    let sender = sender.expect("a sender");
    assert_eq!(sender.max_message_size(), Some(100));
    let error = sender.send(Bytes::from(vec![0; 200])).await.expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
}

#[tokio::test]
async fn t_2_6_7_8_a_drained_link_has_no_credit_until_it_is_given_anew() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_receives(Credit::Manual(10)).await;
    let permit = sender.reserve().await.expect("credit");
    let receipt = permit.send(body(1)).expect("queued");
    let revoked = sender.reserve().await.expect("credit");
    receiver.drain().await.expect("drained");
    assert_eq!(number(&receiver.recv().await.expect("a link").expect("a delivery")), 1);
    assert_eq!(revoked.send("x").expect_err("no credit").kind(), ErrorKind::CreditRevoked);
    drop(receipt);
    assert_eq!(sender.credit(), 0);
    // Nothing to drain is drained at once.
    receiver.drain().await.expect("drained");
    // Whoever waits meanwhile is served when there is credit again.
    let (outcome, ()) = tokio::join!(sender.send(body(2)), async {
        receiver.set_credit(Credit::Manual(1)).expect("a link");
        let delivery = receiver.recv().await.expect("a link").expect("a delivery");
        assert_eq!(number(&delivery), 2);
        delivery.accept().expect("settled");
    });
    assert_eq!(outcome.expect("an outcome"), Outcome::Accepted);
}

#[tokio::test]
async fn a_link_that_the_peer_detaches_with_an_error_fails_all_that_waits_on_it() {
    let mut pair = pair().await;
    let (sender, receiver) = pair.client_sends(Credit::Manual(1)).await;
    let receipt = sender.reserve().await.expect("credit").send("x").expect("queued");
    let waiting = sender.reserve();
    let why = AmqpError::new(ErrorCondition::DETACH_FORCED, "the queue moves");
    let (receipt, waiting, detached) =
        tokio::join!(receipt, waiting, async { receiver.detach_with(Some(why.clone()), true).await });
    detached.expect("detached");
    for error in [receipt.expect_err("lost"), waiting.expect_err("lost")] {
        assert_eq!((error.kind(), error.amqp_error()), (ErrorKind::LinkDetached, Some(&why)));
        assert_eq!(error.retry(), Retry::ReopenLink);
    }
    let detached = sender.detached().await;
    assert_eq!((detached.closed, detached.by, detached.error), (true, Cause::Peer, Some(why)));
    assert_eq!(sender.send("x").await.expect_err("gone").kind(), ErrorKind::LinkDetached);
}

#[tokio::test]
async fn a_receiver_tells_a_link_that_ended_in_peace_from_one_that_did_not() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_receives(Credit::Window(5)).await;
    sender.detach().await.expect("detached");
    assert!(receiver.recv().await.expect("no error").is_none());
    let (sender, mut receiver) = pair.client_receives(Credit::Window(5)).await;
    sender.detach_with(Some(ErrorCondition::RESOURCE_DELETED.into()), true).await.expect("detached");
    let error = receiver.recv().await.expect_err("an error");
    assert_eq!(error.condition(), Some(&ErrorCondition::RESOURCE_DELETED));
}

#[tokio::test]
async fn t_2_6_3_2_a_refused_link_is_an_error_with_the_reason() {
    let mut pair = pair().await;
    let session = pair.session().await;
    let (sender, ()) = tokio::join!(session.sender("nothing").attach(), async {
        let link = pair.server.next_link().await.expect("a link");
        assert_eq!(link.address(), Some("nothing"));
        link.reject(AmqpError::new(ErrorCondition::NOT_FOUND, "no such queue"));
    });
    let error = sender.expect_err("refused");
    assert_eq!((error.kind(), error.condition()), (ErrorKind::LinkRefused, Some(&ErrorCondition::NOT_FOUND)));
    assert_eq!(error.retry(), Retry::Never);
    // One that is looked at and dropped is refused too.
    let (receiver, ()) = tokio::join!(session.receiver("nothing").attach(), async {
        drop(pair.server.next_link().await.expect("a link"));
    });
    let error = receiver.expect_err("refused");
    assert_eq!((error.kind(), error.condition()), (ErrorKind::LinkRefused, Some(&ErrorCondition::NOT_ALLOWED)));
    // Nothing of it is left: its name is free, and the session goes on.
    let (sender, link) = tokio::join!(session.sender("nothing").attach(), async {
        pair.server.next_link().await.expect("a link").accept_default().expect("accepted")
    });
    assert!(matches!(link, AcceptedLink::Receiver(_)));
    soon(sender.expect("a sender").close()).await.expect("closed");
}

/// It was attached, however fast its end came: it is not taken for refused, and nothing that had arrived is lost.
#[tokio::test]
async fn a_link_that_is_detached_at_once_was_not_refused() {
    let mut pair = pair().await;
    let session = pair.session().await;
    let (sender, ()) = tokio::join!(session.sender("q").attach(), async {
        drop(pair.offered().await.accept_default().expect("accepted"));
    });
    let error = soon(sender.expect("a sender").send("x")).await.expect_err("no link");
    assert_eq!((error.kind(), error.delivered()), (ErrorKind::LinkDetached, Delivered::No));

    let settled = session.receiver("q").settle_mode(SenderSettleMode::Settled);
    let (receiver, ()) = tokio::join!(settled.attach(), async {
        let link = pair.offered().await;
        let AcceptedLink::Sender(sender) = link.accept_default().expect("accepted") else { panic!("it receives") };
        assert_eq!(sender.send("x").await.expect("sent"), Outcome::SentSettled);
        sender.flush().await.expect("written");
        let error = AmqpError::new(ErrorCondition::RESOURCE_DELETED, "the queue is gone");
        sender.detach_with(Some(error), true).await.expect("detached");
    });
    let mut receiver = receiver.expect("a receiver");
    let delivery = receiver.recv().await.expect("what had arrived").expect("a delivery");
    assert_eq!(delivery.message().data().as_deref(), Some(&b"x"[..]));
    let error = receiver.recv().await.expect_err("the end");
    assert_eq!((error.kind(), error.condition()), (ErrorKind::LinkDetached, Some(&ErrorCondition::RESOURCE_DELETED)));
}

#[tokio::test]
async fn t_2_8_18_1_a_redirect_says_where_to_go() {
    let mut pair = pair().await;
    let session = pair.session().await;
    let (receiver, ()) = tokio::join!(session.receiver("elsewhere").attach(), async {
        let mut info = Fields::new();
        info.insert(Symbol::from_static("hostname"), "other.test");
        info.insert(Symbol::from_static("network-host"), "10.0.0.7");
        info.insert(Symbol::from_static("port"), 5671u32);
        info.insert(Symbol::from_static("address"), "amqps://other.test/elsewhere");
        let error = AmqpError { condition: ErrorCondition::LINK_REDIRECT, description: None, info: Some(info) };
        pair.server.next_link().await.expect("a link").reject(error);
    });
    let redirect = receiver.expect_err("redirected").redirect().expect("a redirect");
    assert_eq!(redirect.hostname.as_deref(), Some("other.test"));
    assert_eq!(redirect.network_host.as_deref(), Some("10.0.0.7"));
    assert_eq!(redirect.port, Some(5671));
    assert_eq!(redirect.address.as_deref(), Some("amqps://other.test/elsewhere"));
}

#[tokio::test]
async fn the_last_handle_of_a_link_detaches_it_when_all_is_settled() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Window(5)).await;
    let receipt = sender.reserve().await.expect("credit").send("x").expect("queued");
    drop(sender);
    let delivery = receiver.recv().await.expect("a link").expect("a delivery");
    delivery.accept().expect("settled");
    assert_eq!(soon(receipt).await.expect("an outcome"), Outcome::Accepted);
    assert!(soon(receiver.recv()).await.expect("no error").is_none());
    assert!(soon(receiver.detached()).await.closed);
}

#[tokio::test]
async fn a_session_that_the_peer_ends_takes_its_links_with_it() {
    let mut pair = pair().await;
    let session = pair.session().await;
    let (receiver, (server_session, attached)) = tokio::join!(session.receiver("q").attach(), async {
        let link = pair.server.next_link().await.expect("a link");
        (link.session(), link.accept_default())
    });
    let mut receiver = receiver.expect("a receiver");
    let why = AmqpError::new(ErrorCondition::RESOURCE_LIMIT_EXCEEDED, "too much");
    server_session.end_with(Some(why.clone())).await.expect("ended");
    drop(attached);
    let error = receiver.recv().await.expect_err("gone");
    assert_eq!((error.kind(), error.amqp_error()), (ErrorKind::SessionEnded, Some(&why)));
    let ended = session.ended().await;
    assert_eq!((ended.by, ended.error), (Cause::Peer, Some(why)));
    // The connection goes on.
    pair.session().await.end().await.expect("ended");
}

/// A link to a coordinator that is served like one to a queue would take declarations for messages, and promise
/// transactions that there are not.
#[tokio::test]
async fn x_4_1_1_a_coordinator_is_not_granted_by_default() {
    let mut pair = pair().await;
    let session = pair.client.begin().await.expect("a session");
    let (controller, accepted) = soon(async {
        tokio::join!(session.transactions(), async {
            pair.server.next_link().await.expect("a link").accept_default().map(drop)
        })
    })
    .await;
    assert_eq!(accepted.expect_err("refused").kind(), ErrorKind::Config);
    let error = controller.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::LinkRefused);
    assert_eq!(error.amqp_error().map(|error| error.condition.as_str()), Some("amqp:not-implemented"));
}

/// Handles show how their connection is. What passes through it may be large or secret.
#[tokio::test]
async fn what_messages_hold_is_not_in_the_debug_output_of_handles() {
    let mut pair = pair().await;
    let (sender, receiver) = pair.client_sends(Credit::Manual(10)).await;
    let message = amqp1::Message::builder().application_property("p", "SECRET").value("SECRET");
    let receipt = sender.reserve().await.expect("credit").send(message.build()).expect("queued");
    // It waits at the receiver.
    tokio::time::timeout(std::time::Duration::from_millis(50), std::future::pending::<()>()).await.ok();
    let shown = format!("{sender:?} {receiver:?} {:?} {:?} {receipt:?}", pair.client, pair.server);
    assert!(!shown.contains("SECRET") && shown.len() < 3000, "{shown}");
}

/// §2.6.1: the second would be taken for the first.
#[tokio::test]
async fn a_name_that_the_session_has_already_is_an_error_of_the_call() {
    let mut pair = pair().await;
    let session = pair.session().await;
    let (sender, _receiver) = tokio::join!(session.sender("q").name("l").attach(), async {
        pair.server.next_link().await.expect("a link").accept_default().expect("accepted")
    });
    let sender = sender.expect("a sender");
    let error = tokio::select! {
        attached = session.sender("q").name("l").attach() => attached.expect_err("the name is in use"),
        link = pair.server.next_link() => panic!("the server sees it: {link:?}"),
    };
    assert_eq!(error.kind(), ErrorKind::Config);
    soon(sender.close()).await.expect("closed");
}
