//! What is learnt of a link while it is suspended, or while its next endpoint is attached: from a peer whose frames come
//! when they are least wanted.

use crate::peers::raw::Raw;
use crate::support::{body, soon};
use amqp1::{
    ErrorKind, Outcome, Receipt, Sender, Session,
    codec::performative::Unsettled,
    link::{DeliveryTag, SendOptions},
    resume::{SuspendedReceiver, SuspendedSender},
};
use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

fn tag(number: u8) -> DeliveryTag {
    DeliveryTag::new(&[number]).expect("short")
}

/// A link with two deliveries on it, suspended. The receipts have ended.
async fn suspended(raw: &mut Raw, session: &Session) -> SuspendedSender {
    let (sender, ()) = tokio::join!(session.sender("q").resumable(true).attach(), async {
        let attach = raw.attach().await;
        raw.answer(&attach, None).await;
    });
    let sender: Sender = sender.expect("a sender");
    let mut receipts = Vec::new();
    for number in 0..2 {
        let options = SendOptions { tag: Some(tag(number)), ..SendOptions::default() };
        let permit = soon(sender.reserve()).await.expect("credit");
        receipts.push(permit.send_with(body(number.into()), options).expect("queued"));
        assert_eq!(soon(raw.delivery()).await, number);
    }
    let (left, ()) = tokio::join!(sender.suspend(), raw.detach());
    for receipt in receipts {
        assert_eq!(soon(receipt).await.expect_err("suspended").kind(), ErrorKind::Suspended);
    }
    left.expect("left")
}

async fn connected() -> (amqp1::Connection, Session, Raw) {
    let (connection, mut raw) = soon(Raw::connected()).await;
    let (session, ()) = tokio::join!(connection.begin(), raw.begin());
    let session = session.expect("a session");
    (connection, session, raw)
}

/// Lets the client's task see what was written.
async fn settle_down() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}

fn outcomes(left: &SuspendedSender) -> Vec<(DeliveryTag, Option<Outcome>)> {
    left.deliveries().into_iter().map(|delivery| (delivery.tag, delivery.outcome)).collect()
}

async fn accepted(resumed: Receipt) {
    assert_eq!(soon(resumed).await.expect("an outcome"), Outcome::Accepted);
}

/// Also T-2.7.3-14: the peer's map is incomplete, and our sender resumes nothing.
#[tokio::test(start_paused = true)]
async fn a_link_that_must_be_attached_again_says_so_to_who_sends_although_it_resumes_nothing() {
    for resumable in [false, true] {
        let (_connection, session, mut raw) = connected().await;
        let (sender, ()) = tokio::join!(session.sender("q").resumable(resumable).attach(), async {
            let attach = raw.attach().await;
            raw.answer_incomplete(&attach).await;
        });
        let sender = sender.expect("a sender");
        let error = soon(sender.send("new")).await.expect_err("not now");
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Suspended, amqp1::Retry::ReopenLink));
        assert!(soon(sender.reserve()).await.is_err());
        assert!(soon(sender.stream(amqp1::Message::builder())).await.is_err());
        let (detached, ()) = tokio::join!(sender.detach(), raw.detach());
        detached.expect("detached");
    }
}

/// The peer has detached, and then settles by the old id.
#[tokio::test(start_paused = true)]
async fn an_outcome_that_comes_after_the_link_was_suspended_is_not_lost_and_its_message_not_sent_again() {
    for elsewhere in [false, true] {
        let (mut connection, mut session, mut raw) = connected().await;
        let left = suspended(&mut raw, &session).await;
        assert_eq!(outcomes(&left), [(tag(0), None), (tag(1), None)]);
        raw.accept(0).await;
        settle_down().await;
        assert_eq!(outcomes(&left), [(tag(0), Some(Outcome::Accepted)), (tag(1), None)]);
        let first_id = if elsewhere { 0 } else { 2 };
        if elsewhere {
            drop((connection, session));
            (connection, session, raw) = connected().await;
        }
        let (sender, theirs) = tokio::join!(session.sender("q").resume(&left).attach(), async {
            let attach = raw.attach().await;
            raw.answer(&attach, Some(Unsettled::new())).await;
            attach
        });
        let sender = sender.expect("a sender");
        assert_eq!(theirs.name, *left.name());
        let named: Vec<_> = theirs.unsettled.expect("a map").iter().map(|(tag, _)| tag).collect();
        assert_eq!(named, [tag(1)]);
        assert_eq!(soon(raw.delivery()).await, 1);
        raw.accept(first_id).await;
        let resumed = sender.resumed();
        assert_eq!(
            resumed.iter().map(|(delivery, _)| (delivery.tag, delivery.outcome.clone())).collect::<Vec<_>>(),
            [(tag(0), Some(Outcome::Accepted)), (tag(1), None)]
        );
        for (_, resumed) in resumed {
            accepted(resumed).await;
        }
        drop(connection);
    }
}

/// The peer settles by the old id when the next endpoint has asked, and before it answers that.
#[tokio::test(start_paused = true)]
async fn an_outcome_that_crosses_the_next_attach_counts_whether_that_comes_about_or_not() {
    let (_connection, session, mut raw) = connected().await;
    let left = suspended(&mut raw, &session).await;
    let (refused, ()) = tokio::join!(session.sender("q").resume(&left).attach(), async {
        let attach = raw.attach().await;
        assert!(outcomes(&left).is_empty(), "taken up");
        raw.accept(0).await;
        raw.refuse(&attach).await;
    });
    assert_eq!(refused.expect_err("refused").kind(), ErrorKind::LinkRefused);
    assert_eq!(outcomes(&left), [(tag(0), Some(Outcome::Accepted)), (tag(1), None)]);
    raw.detach_seen().await;
    let (sender, ()) = tokio::join!(session.sender("q").resume(&left).attach(), async {
        let attach = raw.attach().await;
        assert_eq!(attach.unsettled.as_ref().expect("a map").len(), 1);
        raw.accept(1).await;
        settle_down().await;
        raw.answer(&attach, Some(Unsettled::new())).await;
    });
    let sender = sender.expect("a sender");
    for (_, resumed) in sender.resumed() {
        accepted(resumed).await;
    }
    // Nothing is sent again: the next delivery is a new one.
    let permit = soon(sender.reserve()).await.expect("credit");
    let options = SendOptions { tag: Some(tag(9)), ..SendOptions::default() };
    let receipt = permit.send_with(body(9), options).expect("queued");
    assert_eq!(soon(raw.delivery()).await, 9);
    drop(receipt);
}

/// The peer does not answer in time, and answers then.
#[tokio::test(start_paused = true)]
async fn an_attach_that_is_given_up_gives_back_what_is_left_and_outcomes_still_come() {
    let (_connection, session, mut raw) = connected().await;
    let left = suspended(&mut raw, &session).await;
    let error = session.sender("q").resume(&left).attach().await.expect_err("no answer");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(outcomes(&left), [(tag(0), None), (tag(1), None)]);
    raw.accept(1).await;
    settle_down().await;
    assert_eq!(outcomes(&left), [(tag(0), None), (tag(1), Some(Outcome::Accepted))]);
}

/// What came to an endpoint that was lost before anyone held it comes again, or exists only here.
#[tokio::test(start_paused = true)]
async fn what_an_endpoint_has_received_that_nobody_got_to_hold_is_not_lost_with_it() {
    let (connection, session, mut raw) = connected().await;
    let left = SuspendedReceiver::new("l");
    {
        let mut attaching = pin!(session.receiver("q").resume(&left).attach());
        assert!(poll_fn(|cx| Poll::Ready(attaching.as_mut().poll(cx).is_pending())).await);
        let attach = raw.attach().await;
        raw.answer_and_go(&attach).await;
        soon(connection.closed()).await;
    }
    let kept: Vec<_> = left.deliveries().into_iter().map(|kept| (kept.tag, kept.whole, kept.taken)).collect();
    assert_eq!(kept, [(1.into(), true, false)]);
    let (_connection, session, mut raw) = connected().await;
    let (receiver, attach) = tokio::join!(session.receiver("q").resume(&left).attach(), async {
        let attach = raw.attach().await;
        raw.answer_as_sender(&attach).await;
        attach
    });
    assert_eq!(attach.unsettled.expect("a map").len(), 1);
    let delivery = soon(receiver.expect("a receiver").recv()).await.expect("a link").expect("a delivery");
    assert_eq!((delivery.tag(), delivery.is_settled()), (0.into(), true));
}
