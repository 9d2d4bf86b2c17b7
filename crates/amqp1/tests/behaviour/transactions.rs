//! Transactions, with a container that coordinates them and holds a queue.

use crate::peers::resource::{Book, OnCommit, Order, serve};
use crate::support::{client, soon};
use amqp1::{
    ClientBuilder, Connection, Credit, Delivered, Delivery, Error, ErrorKind, Outcome, Receiver, Retry, Sender,
    Session,
    error::{AmqpError, ErrorCondition},
    link::{DeliveryState, Modified, OnDrop, ReceiverSettleMode, SenderSettleMode},
    transaction::{Controller, capability},
};
use bytes::Bytes;
use std::{future::Future, task::Poll, time::Duration};
use tokio::sync::{mpsc, watch};

struct Bank {
    connection: Connection,
    session: Session,
    controller: Controller,
    orders: mpsc::UnboundedSender<Order>,
    book: watch::Receiver<Book>,
}

impl Bank {
    async fn open() -> Self {
        Self::open_with(|builder| builder).await
    }

    async fn open_with(change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Self {
        let (near, far) = tokio::io::duplex(16 * 1024);
        let (orders, book) = serve(far, true);
        let connection = client(near, change).await;
        let session = connection.begin().await.expect("a session");
        let controller = session.transactions().await.expect("a coordinator");
        Self { connection, session, controller, orders, book }
    }

    fn order(&self, order: Order) {
        self.orders.send(order).expect("a resource");
    }

    async fn sender(&self) -> Sender {
        self.session.sender("queue").attach().await.expect("a sender")
    }

    /// Of mode second: what is retired is not settled before the discharge.
    async fn receiver(&self) -> Receiver {
        self.receiver_with(ReceiverSettleMode::Second, Credit::Window(20)).await
    }

    async fn receiver_with(&self, mode: ReceiverSettleMode, credit: Credit) -> Receiver {
        let receiver = self.session.receiver("queue").receiver_settle_mode(mode).credit(credit);
        receiver.attach().await.expect("a receiver")
    }

    /// Waits until the resource's book says this.
    async fn until(&mut self, says: impl Fn(&Book) -> bool) -> Book {
        soon(self.book.wait_for(|book| says(book))).await.expect("a resource").clone()
    }

    fn now(&self) -> Book {
        self.book.borrow().clone()
    }
}

async fn next(receiver: &mut Receiver) -> Delivery {
    soon(receiver.recv()).await.expect("a link").expect("a delivery")
}

fn body(delivery: &Delivery) -> Bytes {
    delivery.message().data().expect("a body")
}

fn failed() -> Option<DeliveryState> {
    Some(DeliveryState::Modified(Box::new(Modified { delivery_failed: true, ..Modified::default() })))
}

/// Polls once and gives the future up.
async fn give_up(future: impl Future) {
    let mut future = Box::pin(future);
    std::future::poll_fn(|cx| {
        assert!(future.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

#[tokio::test]
async fn what_is_posted_is_seen_after_the_commit_and_never_after_a_rollback() {
    let bank = Bank::open().await;
    let sender = bank.sender().await;
    let kept = bank.controller.declare().await.expect("a transaction");
    let gone = bank.controller.declare().await.expect("another");
    assert_ne!(kept.id(), gone.id());
    let outcome = kept.send(&sender, "kept").await.expect("an outcome");
    let Outcome::Transactional(state) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(state.txn_id, kept.id().as_slice());
    outcome.into_result().expect("accepted, if it is committed");
    gone.send(&sender, "gone").await.expect("an outcome").into_result().expect("accepted");
    assert_eq!(bank.now().visible, Vec::<Bytes>::new());
    assert!(soon(gone.rollback()).await.expect("rolled back").is_empty());
    soon(kept.commit()).await.expect("committed");
    assert_eq!(bank.now().visible, ["kept"]);
    assert_eq!(bank.now().live, 0);
}

#[tokio::test]
async fn the_coordinators_offers_can_be_asked_for() {
    let bank = Bank::open().await;
    assert!(bank.controller.offers(capability::LOCAL_TRANSACTIONS));
    assert!(!bank.controller.offers(capability::DISTRIBUTED_TRANSACTIONS));
}

#[tokio::test]
async fn a_retirement_takes_effect_at_the_commit() {
    let mut bank = Bank::open().await;
    let mut receiver = bank.receiver().await;
    bank.order(Order::Stock("one"));
    bank.order(Order::Stock("two"));
    let transaction = bank.controller.declare().await.expect("a transaction");
    transaction.accept(next(&mut receiver).await).expect("retired");
    transaction.reject(next(&mut receiver).await, None).expect("retired");
    assert_eq!(bank.until(|book| book.retired == 2).await.outcomes, vec![]);
    soon(transaction.commit()).await.expect("committed");
    let outcomes = bank.until(|book| book.outcomes.len() == 2).await.outcomes;
    assert_eq!(
        outcomes,
        vec![("one".into(), Some(DeliveryState::Accepted)), ("two".into(), Some(DeliveryState::Rejected(None)))]
    );
}

/// The resource may settle, and need not (§4.4.2). Where nobody does, no more would come after some thousands.
#[tokio::test]
async fn x_4_4_2_1_what_was_retired_is_settled_after_the_commit_whoever_does_it() {
    for mode in [ReceiverSettleMode::First, ReceiverSettleMode::Second] {
        let mut bank = Bank::open().await;
        bank.order(Order::OnCommit(OnCommit::Leave));
        let mut receiver = bank.receiver_with(mode, Credit::Window(2)).await;
        let mut count = 0;
        for outcome in [DeliveryState::Accepted, DeliveryState::Rejected(None), DeliveryState::Released] {
            for _ in 0..3 {
                bank.order(Order::Stock("one"));
                let transaction = bank.controller.declare().await.expect("a transaction");
                transaction.retire(next(&mut receiver).await, outcome.clone()).expect("retired");
                soon(transaction.commit()).await.expect("committed");
                count += 1;
                let outcomes = bank.until(|book| book.outcomes.len() == count).await.outcomes;
                assert_eq!(outcomes.last(), Some(&("one".into(), Some(outcome.clone()))), "{mode:?}");
            }
        }
    }
}

#[tokio::test]
async fn x_4_4_2_3_what_was_retired_in_vain_is_dealt_with_as_what_is_dropped() {
    let mut bank = Bank::open().await;
    let mut receiver = bank.receiver().await;
    receiver.set_on_drop(OnDrop::Release);
    bank.order(Order::OnCommit(OnCommit::Refuse));
    bank.order(Order::Stock("one"));
    let transaction = bank.controller.declare().await.expect("a transaction");
    transaction.accept(next(&mut receiver).await).expect("retired");
    let error = soon(transaction.commit()).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::RolledBack);
    let outcomes = bank.until(|book| !book.outcomes.is_empty()).await.outcomes;
    assert_eq!(outcomes, vec![("one".into(), Some(DeliveryState::Released))]);
}

#[tokio::test]
async fn a_rollback_gives_deliveries_back_to_be_settled_anew() {
    let mut bank = Bank::open().await;
    let mut receiver = bank.receiver().await;
    bank.order(Order::Stock("one"));
    let transaction = bank.controller.declare().await.expect("a transaction");
    transaction.accept(next(&mut receiver).await).expect("retired");
    let mut back = soon(transaction.rollback()).await.expect("rolled back");
    let delivery = back.pop().expect("the delivery");
    assert_eq!((body(&delivery), back.len()), ("one".into(), 0));
    assert_eq!(bank.now().outcomes, vec![]);
    // In another transaction, or in none.
    let transaction = bank.controller.declare().await.expect("a transaction");
    transaction.release(delivery).expect("retired");
    let delivery = soon(transaction.rollback()).await.expect("rolled back").pop().expect("the delivery");
    delivery.accept().expect("settled");
    let outcomes = bank.until(|book| !book.outcomes.is_empty()).await.outcomes;
    assert_eq!(outcomes, vec![("one".into(), Some(DeliveryState::Accepted))]);
}

#[tokio::test]
async fn a_transaction_that_is_dropped_is_rolled_back() {
    let mut bank = Bank::open().await;
    let (sender, mut receiver) = (bank.sender().await, bank.receiver().await);
    bank.order(Order::Stock("one"));
    let transaction = bank.controller.declare().await.expect("a transaction");
    transaction.send(&sender, "gone").await.expect("an outcome").into_result().expect("accepted");
    transaction.accept(next(&mut receiver).await).expect("retired");
    bank.until(|book| book.live == 1).await;
    drop(transaction);
    let book = bank.until(|book| book.live == 0 && !book.outcomes.is_empty()).await;
    assert_eq!(book.visible, Vec::<Bytes>::new());
    // What was retired in it is dealt with as what is dropped.
    assert_eq!(book.outcomes, vec![("one".into(), failed())]);
    assert_eq!(book.commits, 0);
}

#[tokio::test]
async fn a_transaction_may_be_dropped_outside_of_the_runtime() {
    let mut bank = Bank::open().await;
    let transaction = bank.controller.declare().await.expect("a transaction");
    bank.until(|book| book.live == 1).await;
    std::thread::spawn(move || drop(transaction)).join().expect("no panic");
    bank.until(|book| book.live == 0).await;
}

#[tokio::test]
async fn a_declare_that_is_given_up_leaves_no_transaction() {
    let mut bank = Bank::open().await;
    give_up(bank.controller.declare()).await;
    bank.until(|book| book.declared == 1 && book.live == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_declare_that_is_not_answered_in_time_is_an_error_and_ends_with_the_control_link() {
    let mut bank = Bank::open_with(|builder| builder.operation_timeout(Duration::from_secs(5))).await;
    bank.order(Order::Declares(false));
    let error = bank.controller.declare().await.expect_err("no answer");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    bank.order(Order::Declares(true));
    bank.until(|book| book.live == 1).await;
    // Later ones are told from it.
    let transaction = bank.controller.declare().await.expect("a transaction");
    transaction.commit().await.expect("committed");
    assert_eq!(bank.now().live, 1);
    bank.controller.close().await.expect("closed");
    bank.until(|book| book.live == 0).await;
}

#[tokio::test]
async fn a_commit_that_is_given_up_goes_on() {
    let mut bank = Bank::open().await;
    let sender = bank.sender().await;
    let transaction = bank.controller.declare().await.expect("a transaction");
    transaction.send(&sender, "kept").await.expect("an outcome").into_result().expect("accepted");
    give_up(transaction.commit()).await;
    assert_eq!(bank.until(|book| book.live == 0).await.visible, ["kept"]);
}

/// A discharge is one frame and the posting hundreds, on links that take turns.
#[tokio::test]
async fn a_discharge_does_not_overtake_what_was_posted() {
    for commit in [true, false] {
        let mut bank = Bank::open().await;
        let sender = bank.sender().await;
        let large = Bytes::from(vec![7; 200_000]);
        let transaction = bank.controller.declare().await.expect("a transaction");
        transaction.post(sender.reserve().await.expect("credit"), large.clone()).expect("posted");
        // Nor what somebody has ceased to wait for.
        give_up(transaction.send(&sender, large.clone())).await;
        if commit {
            soon(transaction.commit()).await.expect("committed");
            assert_eq!(bank.now().visible, [large.clone(), large]);
        } else {
            drop(transaction);
            bank.until(|book| book.declared == 1 && book.live == 0).await;
        }
        // The control link has come through it.
        let transaction = bank.controller.declare().await.expect("a transaction");
        soon(transaction.commit()).await.expect("committed");
    }
}

#[tokio::test]
async fn settled_messages_are_posted_as_well() {
    let bank = Bank::open().await;
    let sender = bank.session.sender("queue").settle_mode(SenderSettleMode::Settled).attach().await.expect("a sender");
    let transaction = bank.controller.declare().await.expect("a transaction");
    assert_eq!(transaction.send(&sender, "kept").await.expect("sent"), Outcome::SentSettled);
    soon(transaction.commit()).await.expect("committed");
    assert_eq!(bank.now().visible, ["kept"]);
}

#[tokio::test]
async fn a_commit_that_the_coordinator_refuses_is_a_rollback() {
    let mut bank = Bank::open().await;
    let (sender, mut receiver) = (bank.sender().await, bank.receiver().await);
    bank.order(Order::OnCommit(OnCommit::Refuse));
    bank.order(Order::Stock("one"));
    receiver.set_on_drop(OnDrop::Release);
    let transaction = bank.controller.declare().await.expect("a transaction");
    transaction.send(&sender, "gone").await.expect("an outcome").into_result().expect("accepted");
    transaction.accept(next(&mut receiver).await).expect("retired");
    let error = soon(transaction.commit()).await.expect_err("refused");
    assert_eq!((error.kind(), error.delivered()), (ErrorKind::RolledBack, Delivered::No));
    assert_eq!(error.condition(), Some(&ErrorCondition::TRANSACTION_ROLLBACK));
    assert_eq!(error.retry(), Retry::Now);
    let book = bank.until(|book| !book.outcomes.is_empty()).await;
    assert_eq!(book.outcomes, vec![("one".into(), Some(DeliveryState::Released))]);
    assert_eq!(book.visible, Vec::<Bytes>::new());
}

#[tokio::test]
async fn a_posting_that_nobody_waited_for_and_that_fails_spoils_the_commit() {
    let bank = Bank::open().await;
    let sender = bank.sender().await;
    let transaction = bank.controller.declare().await.expect("a transaction");
    transaction.post(sender.reserve().await.expect("credit"), "gone").expect("posted");
    transaction.post(sender.reserve().await.expect("credit"), "nowhere").expect("posted");
    let error = soon(transaction.commit()).await.expect_err("spoilt");
    assert_eq!((error.kind(), error.condition()), (ErrorKind::RolledBack, Some(&ErrorCondition::NOT_FOUND)));
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<Error>());
    assert_eq!(source.map(Error::kind), Some(ErrorKind::Rejected));
    // The coordinator was not asked for it.
    assert_eq!((bank.now().commits, bank.now().live), (0, 0));
}

#[tokio::test]
async fn an_outcome_that_somebody_has_seen_is_for_the_coordinator_to_judge() {
    let bank = Bank::open().await;
    let sender = bank.sender().await;
    let transaction = bank.controller.declare().await.expect("a transaction");
    let error = transaction.send(&sender, "nowhere").await.expect("an outcome").into_result().expect_err("rejected");
    assert_eq!(error.kind(), ErrorKind::Rejected);
    let error = soon(transaction.commit()).await.expect_err("spoilt");
    assert_eq!((error.kind(), error.condition()), (ErrorKind::RolledBack, Some(&ErrorCondition::TRANSACTION_ROLLBACK)));
    assert_eq!(bank.now().commits, 1);
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_in_doubt_unless_the_coordinator_says_better() {
    let cases = [
        (None, ErrorKind::InDoubt, Delivered::Unknown),
        (Some(ErrorCondition::INTERNAL_ERROR), ErrorKind::InDoubt, Delivered::Unknown),
        (Some(ErrorCondition::TRANSACTION_ROLLBACK), ErrorKind::RolledBack, Delivered::No),
        (Some(ErrorCondition::TRANSACTION_UNKNOWN_ID), ErrorKind::RolledBack, Delivered::No),
    ];
    for (condition, kind, delivered) in cases {
        let mut bank = Bank::open().await;
        let mut receiver = bank.receiver().await;
        bank.order(Order::Stock("one"));
        bank.order(Order::OnCommit(OnCommit::Detach(condition.map(AmqpError::from))));
        let transaction = bank.controller.declare().await.expect("a transaction");
        transaction.accept(next(&mut receiver).await).expect("retired");
        let error = soon(transaction.commit()).await.expect_err("lost");
        assert_eq!((error.kind(), error.delivered()), (kind, delivered), "{error}");
        if kind == ErrorKind::InDoubt {
            // Nothing is said of what may be settled: what comes after it is the first that is heard of.
            bank.order(Order::Stock("two"));
            next(&mut receiver).await.accept().expect("settled");
            let outcomes = bank.until(|book| !book.outcomes.is_empty()).await.outcomes;
            assert_eq!(outcomes, vec![("two".into(), Some(DeliveryState::Accepted))]);
        } else {
            let outcomes = bank.until(|book| !book.outcomes.is_empty()).await.outcomes;
            assert_eq!(outcomes, vec![("one".into(), failed())]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_not_answered_in_time_is_in_doubt() {
    // Before the connection itself is given up.
    let bank = Bank::open_with(|builder| builder.operation_timeout(Duration::from_secs(5))).await;
    bank.order(Order::OnCommit(OnCommit::Wait));
    let transaction = bank.controller.declare().await.expect("a transaction");
    let error = transaction.commit().await.expect_err("no answer");
    assert_eq!((error.kind(), error.delivered()), (ErrorKind::InDoubt, Delivered::Unknown));
    assert!(
        error.to_string().contains("the commit was not answered (") && error.to_string().contains("took longer"),
        "{error}"
    );
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<Error>());
    assert_eq!(source.map(Error::kind), Some(ErrorKind::Timeout));
}

#[tokio::test]
async fn the_loss_of_the_control_link_is_a_rollback() {
    let mut bank = Bank::open().await;
    let (sender, mut receiver) = (bank.sender().await, bank.receiver().await);
    bank.order(Order::Stock("one"));
    bank.order(Order::Stock("two"));
    let worked = bank.controller.declare().await.expect("a transaction");
    let idle = bank.controller.declare().await.expect("a transaction");
    worked.send(&sender, "gone").await.expect("an outcome").into_result().expect("accepted");
    worked.accept(next(&mut receiver).await).expect("retired");
    bank.order(Order::DropControl(Some(ErrorCondition::DETACH_FORCED.into())));
    let detached = soon(bank.controller.detached()).await;
    assert_eq!(detached.error.expect("an error").condition, ErrorCondition::DETACH_FORCED);
    let error = worked.send(&sender, "late").await.expect_err("rolled back");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::RolledBack, Retry::ReopenLink));
    assert_eq!(error.condition(), Some(&ErrorCondition::DETACH_FORCED));
    let error = worked.retire(next(&mut receiver).await, DeliveryState::Accepted).expect_err("rolled back");
    assert_eq!(error.kind(), ErrorKind::RolledBack);
    let error = soon(worked.commit()).await.expect_err("rolled back");
    assert_eq!((error.kind(), error.condition()), (ErrorKind::RolledBack, Some(&ErrorCondition::DETACH_FORCED)));
    // Which is what was wanted here.
    assert!(soon(idle.rollback()).await.expect("rolled back").is_empty());
    let book = bank.until(|book| book.outcomes.len() == 2).await;
    assert_eq!(book.visible, Vec::<Bytes>::new());
    // The session is as it was, and so are its links.
    let controller = bank.session.transactions().await.expect("a coordinator");
    let transaction = controller.declare().await.expect("a transaction");
    transaction.send(&sender, "kept").await.expect("an outcome").into_result().expect("accepted");
    soon(transaction.commit()).await.expect("committed");
    assert_eq!(bank.now().visible, ["kept"]);
}

#[tokio::test]
async fn a_controller_that_is_closed_rolls_back_what_is_live() {
    let mut bank = Bank::open().await;
    let sender = bank.sender().await;
    let transaction = bank.controller.declare().await.expect("a transaction");
    transaction.send(&sender, "gone").await.expect("an outcome").into_result().expect("accepted");
    bank.until(|book| book.live == 1).await;
    soon(bank.controller.close()).await.expect("closed");
    assert_eq!(bank.until(|book| book.live == 0).await.visible, Vec::<Bytes>::new());
    let error = soon(transaction.commit()).await.expect_err("rolled back");
    assert_eq!(error.kind(), ErrorKind::RolledBack);
    assert!(bank.controller.declare().await.is_err());
}

#[tokio::test]
async fn a_peer_without_transactions_refuses_the_control_link() {
    let (near, far) = tokio::io::duplex(16 * 1024);
    let (_orders, _book) = serve(far, false);
    let connection = client(near, |builder| builder).await;
    let session = connection.begin().await.expect("a session");
    let error = session.transactions().await.expect_err("refused");
    assert_eq!((error.kind(), error.condition()), (ErrorKind::LinkRefused, Some(&ErrorCondition::NOT_IMPLEMENTED)));
    // Nothing else suffers.
    session
        .sender("queue")
        .attach()
        .await
        .expect("a sender")
        .send("x")
        .await
        .expect("an outcome")
        .into_result()
        .expect("accepted");
}

#[tokio::test]
async fn what_has_no_place_in_a_transaction_is_refused_here() {
    let mut bank = Bank::open().await;
    let other = Bank::open().await;
    let (sender, mut receiver) = (bank.sender().await, bank.receiver().await);
    let transaction = other.controller.declare().await.expect("a transaction");
    let error = transaction.send(&sender, "x").await.expect_err("another connection");
    assert_eq!(error.kind(), ErrorKind::Config);
    let error = transaction.post(sender.reserve().await.expect("credit"), "x").expect_err("another connection");
    assert_eq!(error.kind(), ErrorKind::Config);
    bank.order(Order::Stock("one"));
    bank.order(Order::Stock("two"));
    let error = transaction.accept(next(&mut receiver).await).expect_err("another connection");
    assert_eq!(error.kind(), ErrorKind::Config);
    let near = bank.controller.declare().await.expect("a transaction");
    let no_outcome = near.id().state(Some(DeliveryState::Accepted));
    let error = near.retire(next(&mut receiver).await, no_outcome).expect_err("no outcome");
    assert_eq!(error.kind(), ErrorKind::Config);
    // They were dropped, and that was said of them.
    let outcomes = bank.until(|book| book.outcomes.len() == 2).await.outcomes;
    assert_eq!(outcomes, vec![("one".into(), failed()), ("two".into(), failed())]);
    // The other transaction is none the worse for it.
    soon(transaction.commit()).await.expect("committed");
}

#[tokio::test]
async fn a_transaction_may_span_sessions_where_that_is_offered() {
    let bank = Bank::open().await;
    assert!(bank.controller.offers(capability::MULTI_SSNS_PER_TXN));
    let second = bank.connection.begin().await.expect("a session");
    let senders = [bank.sender().await, second.sender("queue").attach().await.expect("a sender")];
    let transaction = bank.controller.declare().await.expect("a transaction");
    for sender in &senders {
        transaction.send(sender, "kept").await.expect("an outcome").into_result().expect("accepted");
    }
    soon(transaction.commit()).await.expect("committed");
    assert_eq!(bank.now().visible, ["kept", "kept"]);
}
