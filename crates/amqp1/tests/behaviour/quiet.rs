//! Connections that are quiet for a while give memory back, and go on.

use crate::support::{body, number, pair, soon};
use amqp1::{Credit, Message};
use std::time::Duration;

/// Longer than a connection is quiet before it gives memory back.
const QUIET: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_while_a_connection_is_quiet_is_settled_afterwards() {
    let mut pair = pair().await;
    let (sender, mut receiver) = pair.client_sends(Credit::Window(10)).await;
    for round in 0..3 {
        let permit = sender.reserve().await.expect("credit");
        let receipt = permit.send(Message::builder().data(body(round))).expect("the link is there");
        let waiting = tokio::spawn(receipt);
        tokio::time::sleep(QUIET).await;
        let delivery = soon(receiver.recv()).await.expect("the link is there").expect("a delivery");
        assert_eq!(number(&delivery), round);
        tokio::time::sleep(QUIET).await;
        delivery.accept().expect("it can be settled");
        soon(waiting).await.expect("no panic").expect("an outcome").into_result().expect("accepted");
        tokio::time::sleep(QUIET).await;
    }
    soon(pair.client.close()).await.expect("closed cleanly");
}
