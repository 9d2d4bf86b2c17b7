//! Transactions of many tasks at a time, of which some are given up at any moment.

use crate::peers::resource::{Order, serve};
use crate::support::{client, soon};
use amqp1::{ErrorKind, link::SenderSettleMode};
use bytes::Bytes;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

fn bodies(names: &[u32]) -> BTreeSet<Bytes> {
    names.iter().map(|number| Bytes::from(number.to_string())).collect()
}

/// What was committed is there once, what was not committed is not, and nothing is left live.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_many_tasks_commit_is_there_and_what_they_give_up_is_not() {
    let (near, far) = tokio::io::duplex(16 * 1024);
    let (_orders, mut book) = serve(far, true);
    let connection = client(near, |builder| builder).await;
    let session = connection.begin().await.expect("a session");
    let controller = session.transactions().await.expect("a coordinator");
    let sender = session.sender("queue").attach().await.expect("a sender");
    let committed = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for number in 0..200_u32 {
        let (controller, sender, committed) = (controller.clone(), sender.clone(), committed.clone());
        tasks.push(tokio::spawn(async move {
            let transaction = controller.declare().await.expect("a transaction");
            let body = Bytes::from(number.to_string());
            if number % 3 == 0 {
                transaction.post(sender.reserve().await.expect("credit"), body).expect("posted");
            } else {
                transaction.send(&sender, body).await.expect("an outcome").into_result().expect("accepted");
            }
            match number % 4 {
                0 => drop(transaction),
                1 => drop(transaction.rollback().await.expect("rolled back")),
                _ => {
                    transaction.commit().await.expect("committed");
                    committed.lock().expect("no panic").push(number);
                }
            }
        }));
        // Wherever it is by now.
        if number % 5 == 4 {
            let task = tasks.swap_remove(usize::try_from(number).expect("small") % tasks.len());
            if number % 2 == 0 {
                tokio::task::yield_now().await;
            }
            task.abort();
            if let Err(error) = task.await {
                assert!(error.is_cancelled(), "{error}");
            }
        }
    }
    for task in tasks {
        soon(task).await.expect("no panic");
    }
    // Commits that nobody waited for any more go on.
    let last = soon(book.wait_for(|book| book.live == 0)).await.expect("a resource").clone();
    let visible: BTreeSet<_> = last.visible.iter().cloned().collect();
    assert_eq!(visible.len(), last.visible.len(), "once each");
    let committed = committed.lock().expect("no panic").clone();
    assert!(bodies(&committed).is_subset(&visible));
    let never: Vec<_> = (0..200).filter(|number| number % 4 < 2).collect();
    assert!(bodies(&never).is_disjoint(&visible));
    // The control link has come through it.
    soon(controller.declare().await.expect("a transaction").commit()).await.expect("committed");
}

/// Each is told the truth, or that it is not known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x_4_2_7_when_the_control_link_is_lost_nobody_is_told_more_than_is_known() {
    for round in 0..10 {
        let (near, far) = tokio::io::duplex(16 * 1024);
        let (orders, book) = serve(far, true);
        let connection = client(near, |builder| builder).await;
        let session = connection.begin().await.expect("a session");
        let controller = session.transactions().await.expect("a coordinator");
        // What comes too late for its transaction is not answered here.
        let sender = session.sender("queue").settle_mode(SenderSettleMode::Settled);
        let sender = sender.attach().await.expect("a sender");
        let tasks: Vec<_> = (0..50_u32)
            .map(|number| {
                let (controller, sender) = (controller.clone(), sender.clone());
                tokio::spawn(async move {
                    let transaction = controller.declare().await?;
                    transaction.send(&sender, Bytes::from(number.to_string())).await?.into_result()?;
                    transaction.commit().await
                })
            })
            .collect();
        for _ in 0..round * 10 {
            tokio::task::yield_now().await;
        }
        orders.send(Order::DropControl(None)).expect("a resource");
        let (mut done, mut undone) = (Vec::new(), Vec::new());
        for (number, task) in (0_u32..).zip(tasks) {
            match soon(task).await.expect("no panic").map_err(|error| error.kind()) {
                Ok(()) => done.push(number),
                Err(ErrorKind::InDoubt) => {}
                Err(ErrorKind::RolledBack | ErrorKind::LinkDetached) => undone.push(number),
                Err(other) => panic!("{other:?}"),
            }
        }
        let visible: BTreeSet<_> = book.borrow().visible.iter().cloned().collect();
        assert!(bodies(&done).is_subset(&visible), "{round}");
        assert!(bodies(&undone).is_disjoint(&visible), "{round}");
    }
}
