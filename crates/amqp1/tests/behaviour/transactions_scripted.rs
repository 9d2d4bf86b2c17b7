//! Transactions with a coordinator that answers as it must not, late, or not at all.

use crate::peers::raw::Raw;
use crate::support::soon;
use amqp1::{
    Connection, Delivered, Error, ErrorKind, Session, Source,
    codec::{
        SequenceNo,
        performative::{Detach, Disposition, Flow, Performative},
        transaction::{Declared, TransactionalState},
    },
    error::{AmqpError, ErrorCondition},
    link::{Attach, DeliveryState, Role},
    transaction::{Controller, Transaction},
};
use bytes::Bytes;
use std::time::Duration;

struct Bank {
    _connection: Connection,
    session: Session,
    controller: Controller,
    raw: Raw,
}

impl Bank {
    /// A controller whose coordinator has given so much credit.
    async fn open(credit: u32) -> Self {
        let (connection, mut raw) = soon(Raw::connected()).await;
        let (session, ()) = tokio::join!(connection.begin(), raw.begin());
        let session = session.expect("a session");
        let (controller, ()) = tokio::join!(session.transactions(), async {
            let theirs = raw.attach().await;
            answer(&mut raw, &theirs, 0, credit).await;
        });
        Self { _connection: connection, session, controller: controller.expect("a coordinator"), raw }
    }

    /// A transaction whose declare is delivery `id`, named by that.
    async fn declare(&mut self, id: u32) -> Transaction {
        let (transaction, ()) = tokio::join!(self.controller.declare(), async {
            transfer(&mut self.raw).await;
            let declared = Declared { txn_id: Bytes::copy_from_slice(&id.to_be_bytes()) };
            settle(&mut self.raw, id, Some(DeliveryState::Declared(Box::new(declared)))).await;
        });
        transaction.expect("a transaction")
    }
}

/// Answers the attach of a link on which the client sends.
async fn answer(raw: &mut Raw, theirs: &Attach, handle: u32, credit: u32) {
    let attach = Attach {
        name: theirs.name.clone(),
        handle,
        role: Role::Receiver,
        source: Some(Box::new(Source::default())),
        target: theirs.target.clone(),
        ..Attach::default()
    };
    raw.send(attach).await;
    give_credit(raw, handle, 0, credit).await;
}

async fn give_credit(raw: &mut Raw, handle: u32, count: u32, credit: u32) {
    raw.send(Flow {
        next_incoming_id: Some(SequenceNo(0)),
        incoming_window: 1000,
        outgoing_window: 1000,
        handle: Some(handle),
        delivery_count: Some(SequenceNo(count)),
        link_credit: Some(credit),
        ..Flow::default()
    })
    .await;
}

async fn transfer(raw: &mut Raw) {
    raw.until(|body| matches!(body, Performative::Transfer(_))).await;
}

/// Keeps the connection alive while this goes on.
async fn meanwhile<T>(raw: &mut Raw, future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    loop {
        tokio::select! {
            done = &mut future => return done,
            () = tokio::time::sleep(Duration::from_secs(20)) => give_credit(raw, 0, 0, 0).await,
        }
    }
}

/// Settles a delivery of the client's.
async fn settle(raw: &mut Raw, id: u32, state: Option<DeliveryState>) {
    let first = SequenceNo(id);
    raw.send(Disposition { role: Role::Receiver, first, settled: true, state, ..Disposition::default() }).await;
}

fn source(error: &Error) -> Option<ErrorKind> {
    std::error::Error::source(error).and_then(|source| source.downcast_ref::<Error>()).map(Error::kind)
}

#[tokio::test]
async fn x_4_3_1_a_commit_that_is_settled_without_an_answer_is_in_doubt() {
    let mut bank = Bank::open(10).await;
    let transaction = bank.declare(0).await;
    let (committed, ()) = soon(async {
        tokio::join!(transaction.commit(), async {
            transfer(&mut bank.raw).await;
            settle(&mut bank.raw, 1, None).await;
        })
    })
    .await;
    let error = committed.expect_err("no answer");
    assert_eq!((error.kind(), error.delivered()), (ErrorKind::InDoubt, Delivered::Unknown), "{error}");
}

/// Also a state that names the transaction and no outcome (§4.5.8).
#[tokio::test]
async fn what_was_posted_and_settled_without_an_outcome_is_not_committed() {
    for names_the_transaction in [false, true] {
        let mut bank = Bank::open(10).await;
        let transaction = bank.declare(0).await;
        let (sender, ()) = tokio::join!(bank.session.sender("q").attach(), async {
            let theirs = bank.raw.attach().await;
            answer(&mut bank.raw, &theirs, 1, 10).await;
        });
        let permit = soon(sender.expect("a sender").reserve()).await.expect("credit");
        transaction.post(permit, "x").expect("posted");
        transfer(&mut bank.raw).await;
        let txn_id = Bytes::copy_from_slice(transaction.id().as_slice());
        let within = TransactionalState { txn_id, outcome: None };
        let state = names_the_transaction.then(|| DeliveryState::Transactional(Box::new(within)));
        settle(&mut bank.raw, 1, state).await;
        let (committed, ()) = soon(async {
            tokio::join!(transaction.commit(), async {
                transfer(&mut bank.raw).await;
                settle(&mut bank.raw, 2, Some(DeliveryState::Accepted)).await;
            })
        })
        .await;
        let error = committed.expect_err("nothing says that it was taken");
        assert_eq!(error.kind(), ErrorKind::RolledBack, "{error}");
        assert_eq!(source(&error), Some(ErrorKind::NoOutcome));
    }
}

/// Both were asked for, and one of them was not done.
#[tokio::test]
async fn x_4_3_3_a_rollback_that_may_be_another_transactions_leaves_a_commit_in_doubt() {
    let mut bank = Bank::open(10).await;
    let (one, other) = (bank.declare(0).await, bank.declare(1).await);
    let (one, other, ()) = soon(async {
        tokio::join!(one.commit(), other.commit(), async {
            transfer(&mut bank.raw).await;
            transfer(&mut bank.raw).await;
            let error = AmqpError::new(ErrorCondition::TRANSACTION_ROLLBACK, "one of them");
            bank.raw.send(Detach { handle: 0, closed: true, error: Some(error) }).await;
        })
    })
    .await;
    for error in [one, other].map(|committed| committed.expect_err("lost")) {
        assert_eq!((error.kind(), error.delivered()), (ErrorKind::InDoubt, Delivered::Unknown), "{error}");
        assert_eq!(source(&error), Some(ErrorKind::LinkDetached));
    }
}

/// What is over does not make others doubtful.
#[tokio::test]
async fn x_4_3_3_a_rollback_of_the_only_transaction_there_is_is_told() {
    let mut bank = Bank::open(10).await;
    let done = bank.declare(0).await;
    let (committed, ()) = soon(async {
        tokio::join!(done.commit(), async {
            transfer(&mut bank.raw).await;
            settle(&mut bank.raw, 1, Some(DeliveryState::Accepted)).await;
        })
    })
    .await;
    committed.expect("committed");
    let transaction = bank.declare(2).await;
    let (committed, ()) = soon(async {
        tokio::join!(transaction.commit(), async {
            transfer(&mut bank.raw).await;
            let error = AmqpError::new(ErrorCondition::TRANSACTION_ROLLBACK, "this one");
            bank.raw.send(Detach { handle: 0, closed: true, error: Some(error) }).await;
        })
    })
    .await;
    assert_eq!(committed.expect_err("refused").kind(), ErrorKind::RolledBack);
}

/// The coordinator cannot be told of the rollback, and all the same there was no commit.
#[tokio::test(start_paused = true)]
async fn a_spoilt_transaction_is_rolled_back_also_where_the_coordinator_gives_no_credit_for_it() {
    let mut bank = Bank::open(1).await;
    let (sender, ()) = tokio::join!(bank.session.sender("q").attach(), async {
        let theirs = bank.raw.attach().await;
        answer(&mut bank.raw, &theirs, 1, 10).await;
    });
    let sender = sender.expect("a sender");
    let transaction = bank.declare(0).await;
    transaction.post(sender.reserve().await.expect("credit"), "x").expect("posted");
    transfer(&mut bank.raw).await;
    settle(&mut bank.raw, 1, Some(DeliveryState::rejected(ErrorCondition::NOT_FOUND))).await;
    let error = meanwhile(&mut bank.raw, transaction.commit()).await.expect_err("spoilt");
    assert_eq!((error.kind(), source(&error)), (ErrorKind::RolledBack, Some(ErrorKind::Rejected)), "{error}");
}

/// The runtime of the connection goes while another one's task waits for a commit.
#[test]
fn a_commit_whose_runtime_goes_is_in_doubt() {
    let theirs = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let ours = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (transaction, bank) = theirs.block_on(async {
        let mut bank = Bank::open(10).await;
        (bank.declare(0).await, bank)
    });
    let (handle, mut theirs) = (theirs.handle().clone(), Some(theirs));
    let committed = ours.block_on(async {
        let Bank { mut raw, .. } = bank;
        let asked = handle.spawn(async move {
            transfer(&mut raw).await;
            raw
        });
        tokio::join!(transaction.commit(), async {
            let _raw = asked.await.expect("the discharge is there");
            theirs.take().expect("it runs").shutdown_background();
        })
        .0
    });
    let error = committed.expect_err("nobody is there to hear of it");
    assert_eq!((error.kind(), error.delivered()), (ErrorKind::InDoubt, Delivered::Unknown), "{error}");
}

/// An operation time-out for each of the two waits, and no more.
#[tokio::test(start_paused = true)]
async fn a_coordinator_that_says_nothing_keeps_nobody_waiting() {
    let mut bank = Bank::open(1).await;
    let start = tokio::time::Instant::now();
    let error = meanwhile(&mut bank.raw, bank.controller.declare()).await.expect_err("no answer");
    assert_eq!((error.kind(), error.delivered()), (ErrorKind::Timeout, Delivered::Unknown));
    let error = meanwhile(&mut bank.raw, bank.controller.declare()).await.expect_err("no credit");
    assert_eq!((error.kind(), error.delivered()), (ErrorKind::Timeout, Delivered::No));
    assert!(start.elapsed() <= Duration::from_secs(130), "{:?}", start.elapsed());
    drop(bank.raw);
    assert!(soon(bank.controller.declare()).await.is_err());
}

/// Suspended with its link and sent again, it would be part of no transaction: it is lost with the link instead, and what
/// it was posted in is not committed.
#[tokio::test]
async fn x_4_2_7_what_is_posted_does_not_outlive_its_transaction() {
    let mut bank = Bank::open(10).await;
    let (sender, ()) = tokio::join!(bank.session.sender("q").resumable(true).attach(), async {
        let theirs = bank.raw.attach().await;
        answer(&mut bank.raw, &theirs, 1, 10).await;
    });
    let sender = sender.expect("a sender");
    let transaction = bank.declare(0).await;
    let (posted, left) = soon(async {
        tokio::join!(transaction.send(&sender, "x"), async {
            transfer(&mut bank.raw).await;
            let (left, ()) = tokio::join!(sender.suspend(), async {
                bank.raw.until(|body| matches!(body, Performative::Detach(_))).await;
                bank.raw.send(Detach { handle: 1, closed: false, error: None }).await;
            });
            left.expect("left")
        })
    })
    .await;
    let error = posted.expect_err("lost");
    assert_eq!(error.delivered(), Delivered::Unknown, "{error:?}");
    assert!(left.deliveries().is_empty(), "{left:?}");
    let (committed, ()) = soon(async {
        tokio::join!(transaction.commit(), async {
            transfer(&mut bank.raw).await;
            settle(&mut bank.raw, 2, Some(DeliveryState::Accepted)).await;
        })
    })
    .await;
    assert_eq!(committed.expect_err("spoilt").kind(), ErrorKind::RolledBack);
}

/// The resource may forget what belongs to no transaction any more.
#[tokio::test(start_paused = true)]
async fn x_4_2_7_nobody_waits_for_outcomes_when_the_control_link_has_gone() {
    for how in 0..4 {
        let mut bank = Bank::open(10).await;
        let (sender, ()) = tokio::join!(bank.session.sender("q").attach(), async {
            let theirs = bank.raw.attach().await;
            answer(&mut bank.raw, &theirs, 1, if how == 3 { 0 } else { 10 }).await;
        });
        let sender = sender.expect("a sender");
        let transaction = bank.declare(0).await;
        let work = async {
            match how {
                // The last one waits for credit.
                0 | 3 => transaction.send(&sender, "x").await.map(drop),
                posts => {
                    transaction.post(sender.reserve().await?, "x")?;
                    if posts == 1 { transaction.commit().await } else { transaction.rollback().await.map(drop) }
                }
            }
        };
        let start = tokio::time::Instant::now();
        let (worked, ()) = soon(async {
            tokio::join!(work, async {
                if how != 3 {
                    transfer(&mut bank.raw).await;
                }
                bank.raw.send(Detach { handle: 0, closed: true, error: None }).await;
            })
        })
        .await;
        let kind = worked.err().map(|error| (error.kind(), error.delivered()));
        let rolled_back = Some((ErrorKind::RolledBack, Delivered::No));
        assert_eq!(kind, if how == 2 { None } else { rolled_back });
        assert!(start.elapsed() < Duration::from_secs(1), "{how}: {:?}", start.elapsed());
    }
}
