//! A receiver whose deliveries are not settled says why nothing more comes.

use amqp1::{AcceptedLink, Credit, ErrorKind, link::ReceiverSettleMode};

use crate::support::{body, number, pair, receiver_request, soon, warnings::Warnings};
use std::time::Duration;

/// Gives the tasks turns until this is so.
async fn come_round(so: impl Fn() -> bool) {
    soon(async {
        while !so() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A sender that asks for receiver-settle-mode second and never settles, at an acceptor that grants it.
#[tokio::test]
async fn credit_that_is_withheld_is_a_state_an_event_and_a_warning() {
    let warnings = Warnings::listen();
    let mut pair = pair().await;
    let session = pair.session().await;
    let attaching = session.sender("q").name("a\nb").receiver_settle_mode(ReceiverSettleMode::Second).attach();
    let (sender, receiver) = tokio::join!(attaching, async {
        let link = pair.server.next_link().await.expect("a link");
        receiver_request(link)
            .receiver_settle_mode(ReceiverSettleMode::Second)
            .credit(Credit::Window(2))
            .max_unsettled(3)
            .accept()
            .map(AcceptedLink::Receiver)
            .expect("accepted")
    });
    let (sender, AcceptedLink::Receiver(mut receiver)) = (sender.expect("a sender"), receiver) else {
        panic!("the client sends")
    };
    let (withheld, gone) = (receiver.credit_withheld(), receiver.credit_withheld());
    let mut taken = Vec::new();
    for index in 0..3 {
        assert!(!receiver.is_credit_withheld(), "at {index}");
        drop(soon(sender.reserve()).await.expect("credit").send(body(index)).expect("queued"));
        taken.push(soon(receiver.recv()).await.expect("a link").expect("a delivery"));
    }
    soon(withheld).await.expect("a link");
    assert!(receiver.is_credit_withheld());
    // The state is known at once, and logged when the driver comes round.
    let logged = || warnings.logged().len();
    come_round(|| logged() > 0).await;
    let logged = warnings.logged();
    let [warning] = &logged[..] else { panic!("{logged:?}") };
    assert!(warning.contains(r#"link "a\nb""#) && warning.contains("max_unsettled"), "{warning}");
    soon(gone).await.expect("it is so still");
    // Settled at both ends, they make room.
    for delivery in taken {
        delivery.accept().expect("settled");
    }
    come_round(|| !receiver.is_credit_withheld()).await;
    drop(soon(sender.reserve()).await.expect("credit").send(body(9)).expect("queued"));
    let withheld = receiver.credit_withheld();
    sender.close().await.expect("closed");
    assert_eq!(soon(withheld).await.expect_err("gone").kind(), ErrorKind::LinkDetached);
}

/// Ten deliveries are in hand, and no more come until one of them is settled. That was asked for, so nothing is logged.
#[tokio::test(start_paused = true)]
async fn a_receiver_bounds_how_many_deliveries_are_unsettled() {
    let warnings = Warnings::listen();
    let mut pair = pair().await;
    let session = pair.session().await;
    let attaching = session.receiver("q").max_unsettled(10).attach();
    let (receiver, sender) = tokio::join!(attaching, async {
        pair.server.next_link().await.expect("a link").accept_default().expect("accepted")
    });
    let (mut receiver, AcceptedLink::Sender(sender)) = (receiver.expect("a receiver"), sender) else {
        panic!("the client receives")
    };
    tokio::spawn(async move {
        for index in 0..20 {
            let permit = sender.reserve().await.expect("credit");
            drop(permit.send(body(index)).expect("queued"));
        }
    });
    let mut taken = Vec::new();
    while let Ok(delivery) = tokio::time::timeout(Duration::from_secs(60), receiver.recv()).await {
        taken.push(delivery.expect("a link").expect("a delivery"));
    }
    assert_eq!(taken.len(), 10);
    taken.remove(0).accept().expect("settled");
    assert_eq!(number(&soon(receiver.recv()).await.expect("a link").expect("a delivery")), 10);
    assert_eq!(warnings.logged(), Vec::<String>::new());
}
