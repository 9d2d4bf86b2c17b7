//! Our client against our acceptor, over TCP.
#![allow(missing_docs)]

use amqp1::{Acceptor, Client};
use amqp1_tests::{
    broker::Broker,
    traffic::{Load, both},
};

#[tokio::test]
async fn ten_thousand_messages_settled_ones_and_a_large_one_go_both_ways() {
    let broker = Broker::start(Acceptor::builder().build()).await;
    let url = format!("amqp://{}", broker.address());
    let connection = Client::builder(url).connect().await.expect("a connection");
    for (address, load) in [("many", Load::MANY), ("settled", Load::SETTLED), ("large", Load::LARGE)] {
        both(&connection, address, load).await;
    }
    connection.close().await.expect("a closed connection");
}
