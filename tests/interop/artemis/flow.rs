//! Credit and drains, and many links.

use super::world::{self, Broker, in_time, index, leave, next, receive, send};
use amqp1::{Credit, Receiver};
use std::{ops::Range, sync::Arc};

/// Asks for this many, and takes what there is.
async fn pull(receiver: &mut Receiver, credit: u32) -> Vec<u64> {
    receiver.set_credit(Credit::Manual(credit)).expect("a link");
    receiver.drain().await.expect("drained");
    let mut taken = Vec::new();
    while let Ok(delivery) = receiver.try_recv() {
        taken.push(index(&delivery));
        delivery.accept().expect("settled");
    }
    taken
}

/// As often as it takes to get these messages: the broker may answer a drain before a message is ready.
async fn pulled(receiver: &mut Receiver, credit: u32, expected: Range<u64>) {
    let mut taken = Vec::new();
    in_time(async {
        while taken.len() < expected.clone().count() {
            taken.extend(pull(receiver, credit).await);
        }
    })
    .await;
    assert!(taken.iter().copied().eq(expected), "{taken:?}");
}

/// Less than there is, all, none, and then the link goes on.
pub(super) async fn drain(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    let sender = world::sender(&session, "flow.drain").await;
    send(&sender, 10).await;
    let builder = session.receiver("flow.drain").credit(Credit::Manual(0));
    let mut receiver = builder.attach().await.expect("a receiving link");
    pulled(&mut receiver, 3, 0..3).await;
    pulled(&mut receiver, 100, 3..10).await;
    assert_eq!(pull(&mut receiver, 100).await, [0; 0]);
    receiver.set_credit(Credit::Window(10)).expect("a link");
    send(&sender, 50).await;
    receive(&mut receiver, 50).await;
    leave(&connection, &[&receiver]).await;
    assert_eq!(broker.count("flow.drain").await, 0);
    60
}

/// Drains while messages arrive.
pub(super) async fn drain_rounds(broker: Arc<Broker>) -> u64 {
    const COUNT: u64 = 1000;
    let (connection, session) = broker.session().await;
    let sender = world::sender(&session, "flow.rounds").await;
    let builder = session.receiver("flow.rounds").credit(Credit::Manual(0));
    let mut receiver = builder.attach().await.expect("a receiving link");
    let sending = tokio::spawn(async move { send(&sender, COUNT).await });
    let mut taken = Vec::new();
    for round in 0..60 {
        taken.extend(pull(&mut receiver, 1 + round % 40).await);
    }
    assert_eq!(sending.await.expect("sent"), COUNT);
    let next = taken.len() as u64;
    assert!(taken.into_iter().eq(0..next));
    pulled(&mut receiver, 2000, next..COUNT).await;
    leave(&connection, &[&receiver]).await;
    COUNT
}

pub(super) async fn credit_one_by_one(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    send(&world::sender(&session, "flow.single").await, 100).await;
    let builder = session.receiver("flow.single").credit(Credit::Manual(0));
    let mut receiver = builder.attach().await.expect("a receiving link");
    for expected in 0..100 {
        receiver.set_credit(Credit::Manual(1)).expect("a link");
        let delivery = next(&mut receiver).await;
        assert_eq!(index(&delivery), expected);
        assert!(receiver.try_recv().is_err());
        delivery.accept().expect("settled");
    }
    leave(&connection, &[&receiver]).await;
    100
}

/// A link out and a link in for each of a hundred queues, on one session.
pub(super) async fn many_links(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    let mut links = Vec::new();
    for number in 0..100 {
        let address = format!("flow.many.{number}");
        links.push((world::sender(&session, &address).await, world::receiver(&session, &address).await));
    }
    let mut moved = 0;
    for (sender, receiver) in &mut links {
        send(sender, 5).await;
        moved += receive(receiver, 5).await;
    }
    for (sender, receiver) in &links {
        sender.close().await.expect("a closed link");
        receiver.close().await.expect("a closed link");
    }
    leave(&connection, &[]).await;
    moved
}
