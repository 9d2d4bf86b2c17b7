//! An observer that panics ends its connection, and nothing else.

use crate::{pair, soon};
use amqp1::observe::{ConnectionInfo, LinkInfo, Observer};

/// Panics when it is told of a message, and again when it is told of the end that follows.
struct Panics;

impl Observer for Panics {
    fn closed(&self, _: &ConnectionInfo) {
        panic!("on purpose, at the end of a connection")
    }

    fn detached(&self, _: &LinkInfo) {
        panic!("on purpose, at the end of a link")
    }

    fn transferred(&self, _: &LinkInfo, _: u64, _: bool) {
        panic!("on purpose, at a message")
    }
}

/// A second panic while the first unwinds would end the process.
#[tokio::test]
async fn an_observer_that_panics_time_and_again_ends_its_connection_only() {
    let (client, mut server) = pair(|builder| builder.observer(std::sync::Arc::new(Panics)), |builder| builder).await;
    let session = client.begin().await.expect("a session");
    let (sender, _receiver) = tokio::join!(session.sender("queue").attach(), async {
        server.next_link().await.expect("a link").accept_default().expect("accepted")
    });
    let error = soon(sender.expect("attached").send("hello")).await.expect_err("its connection is gone");
    assert_eq!(error.kind(), amqp1::ErrorKind::Internal, "{error}");
    soon(server.connection().closed()).await;
}
