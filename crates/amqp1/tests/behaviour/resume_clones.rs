//! Several handles of one link while it is suspended, and futures that are dropped half way.

use crate::peers::world::{World, long, number, receives, short};
use crate::support::soon;
use amqp1::{Credit, ErrorKind, Outcome, message::EncodedMessage};
use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

/// Polls once; whether it waits.
async fn waits<F: Future>(mut future: Pin<&mut F>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

#[tokio::test(start_paused = true)]
async fn of_several_handles_that_suspend_a_link_at_once_one_gets_what_is_left() {
    let mut world = World::new().await;
    let (sender, mut receiver) = world.client_sends(None, None).await;
    let receipt = sender.reserve().await.expect("credit").send(long(1)).expect("queued");
    let tasks: Vec<_> = (0..5)
        .map(|_| {
            let sender = sender.clone();
            tokio::spawn(async move { sender.suspend().await })
        })
        .collect();
    let mut left = Vec::new();
    for task in tasks {
        match soon(task).await.expect("no panic") {
            Ok(suspended) => left.push(suspended),
            Err(error) => assert_eq!(error.kind(), ErrorKind::LinkDetached, "{error}"),
        }
    }
    assert_eq!(left.len(), 1);
    assert_eq!(soon(receipt).await.expect_err("suspended").kind(), ErrorKind::Suspended);
    receiver.detached().await;
    let kept = soon(receiver.suspend()).await.expect("kept");
    // Of several that resume with it, one gets it.
    let first = world.session.sender("q").resume(&left[0]);
    let second = world.session.sender("q").resume(&left[0]);
    let (first, second, receiver) = soon(async {
        tokio::join!(first.attach(), second.attach(), async {
            receives(world.server.next_link().await.expect("a link"), Some(&kept))
        })
    })
    .await;
    assert_eq!(second.expect_err("taken").kind(), ErrorKind::Config);
    let (first, mut receiver) = (first.expect("attached"), receiver);
    let delivery = soon(receiver.recv()).await.expect("a link").expect("a delivery");
    assert_eq!(number(&delivery), 1);
    delivery.accept().expect("settled");
    for (_, resumed) in first.resumed() {
        assert_eq!(soon(resumed).await.expect("an outcome"), Outcome::Accepted);
    }
    assert!(first.resumed().is_empty(), "once");
}

#[tokio::test(start_paused = true)]
async fn a_suspension_that_is_given_up_can_be_asked_for_again_and_those_who_wait_are_told() {
    let mut world = World::new().await;
    let (sender, mut receiver) = world.client_sends(None, None).await;
    receiver.set_credit(Credit::Manual(0)).expect("set");
    // There is no credit in the end; somebody waits for it.
    while let Ok(permit) = tokio::time::timeout(Duration::from_secs(1), sender.reserve()).await {
        drop(permit.expect("a link").send(short(1)).expect("queued"));
        while receiver.try_recv().is_ok() {}
    }
    let waiting = sender.clone();
    let waiting = tokio::spawn(async move { waiting.send(short(2)).await });
    tokio::task::yield_now().await;
    {
        let mut suspending = pin!(sender.suspend());
        assert!(waits(suspending.as_mut()).await);
    }
    let error = soon(waiting).await.expect("no panic").expect_err("nothing is sent any more");
    assert!(matches!(error.kind(), ErrorKind::LinkDetached | ErrorKind::Suspended), "{error:?}");
    let left = soon(sender.suspend()).await.expect("left");
    // What was not queued is with who wanted to send it.
    let octets = |message: EncodedMessage| message.into_parts().concat();
    let kept: Vec<_> = left.deliveries().into_iter().filter_map(|delivery| delivery.message).map(octets).collect();
    assert!(!kept.is_empty() && !kept.contains(&octets(short(2).into())), "{left:?}");
    assert_eq!(soon(sender.suspend()).await.expect_err("once").kind(), ErrorKind::LinkDetached);
}
