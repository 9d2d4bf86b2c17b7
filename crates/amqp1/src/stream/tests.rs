//! That nothing stays behind.

use crate::{Acceptor, Client, ErrorKind, IncomingLink, Message};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_stream_whose_head_is_too_large_leaves_no_slot_behind() {
    let (near, far) = tokio::io::duplex(16 * 1024);
    let acceptor = Acceptor::builder().build();
    let (client, server) = tokio::join!(Client::builder("amqp://server.test").connect_with(near), async {
        acceptor.accept(far).await.expect("a handshake").accept().await.expect("a connection")
    });
    let (client, mut server) = (client.expect("a connection"), server);
    let session = client.begin().await.expect("a session");
    let (sender, link) = tokio::join!(session.sender("q").attach(), async {
        let link = server.next_link().await.expect("a link");
        let IncomingLink::Receiver(request) = link else { panic!("the client sends") };
        request.max_message_size(1000).accept().expect("accepted")
    });
    let (sender, _receiver) = (sender.expect("a sender"), link);
    for _ in 0..5 {
        let error = sender.stream(Message::builder().data(vec![0; 2000])).await.expect_err("too large");
        assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
    }
    // The connection's task has to see it.
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(client.shared().look(|state| state.receipts.len()), 0);
    // The link is as good as before.
    let mut stream = sender.stream(Message::builder().data("small")).await.expect("a stream");
    stream.write("more").await.expect("written");
}
