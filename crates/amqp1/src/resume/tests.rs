//! That nothing stays behind.

use crate::{Acceptor, Client, Connection, IncomingLink, Receiver, Sender, ServerConnection, Session};
use bytes::Bytes;
use std::time::Duration;

async fn connected() -> (Connection, Session, ServerConnection) {
    let (near, far) = tokio::io::duplex(16 * 1024);
    let acceptor = Acceptor::builder().build();
    let (client, server) = tokio::join!(Client::builder("amqp://server.test").connect_with(near), async {
        acceptor.accept(far).await.expect("a handshake").accept().await.expect("a connection")
    });
    let client = client.expect("a connection");
    let session = client.begin().await.expect("a session");
    (client, session, server)
}

async fn receiver(server: &mut ServerConnection) -> Receiver {
    let link = server.next_link().await.expect("a link");
    let IncomingLink::Receiver(request) = link else { panic!("the client sends") };
    request.resumable(true).accept().expect("accepted")
}

/// Slots, tokens of living links, and links.
fn kept(connection: &Connection) -> (usize, usize, usize) {
    connection.shared().look(|state| (state.receipts.len(), state.tokens.len(), state.links.len()))
}

async fn queue(sender: &Sender) -> crate::Receipt {
    sender.reserve().await.expect("credit").send(Bytes::from_static(b"x")).expect("queued")
}

#[tokio::test(start_paused = true)]
async fn links_that_come_and_go_leave_no_slots_and_no_tokens_behind() {
    let (client, session, mut server) = connected().await;
    for round in 0..5 {
        let attaching = session.sender("q").resumable(true).attach();
        let (sender, far) = tokio::join!(attaching, receiver(&mut server));
        let sender = sender.expect("a sender");
        // One is asked for, one is not, one is not even heard of.
        let (asked, dropped) = (queue(&sender).await, queue(&sender).await);
        drop(dropped);
        let streamed = sender.stream(crate::Message::builder()).await.expect("a stream");
        streamed.abort();
        let held = queue(&sender).await;
        // The connection's task has to see it.
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(kept(&client).1, 3, "{round}");
        let left = sender.suspend().await.expect("left");
        asked.await.expect_err("suspended");
        // Its slot is held as long as it is.
        assert_eq!(kept(&client), (1, 0, 1), "{round}");
        drop((held, sender, far));
        assert_eq!(kept(&client), (0, 0, 0), "{round}");
        // Refused, given up, and attached, with what is resumed asked for or not.
        let (refused, ()) = tokio::join!(session.sender("q").resume(&left).attach(), async {
            drop(server.next_link().await.expect("a link"));
        });
        refused.expect_err("refused");
        assert_eq!(kept(&client), (0, 0, 0), "{round}");
        let attaching = session.sender("q").resume(&left).attach();
        tokio::time::timeout(Duration::from_secs(1), attaching).await.expect_err("no answer");
        assert_eq!(kept(&client), (0, 0, 0), "{round}");
        drop(server.next_link().await.expect("a link"));
        let (sender, far) = tokio::join!(session.sender("q").resume(&left).attach(), receiver(&mut server));
        let (sender, mut far) = (sender.expect("a sender"), far);
        assert_eq!(kept(&client), (3, 3, 1), "{round}");
        if round % 2 == 0 {
            for (_, resumed) in sender.resumed() {
                far.recv().await.expect("a link").expect("a delivery").accept().expect("settled");
                resumed.await.expect("an outcome").into_result().expect("accepted");
            }
            assert_eq!(kept(&client), (0, 0, 1), "{round}");
        }
        drop((sender, far));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(kept(&client), (0, 0, 0), "{round}");
    }
}
