//! Events stand in the spans of what they are about.

use crate::{log, soon};
use amqp1::{AcceptedLink, Acceptor, Client};
use tokio::net::TcpListener;

#[tokio::test]
async fn events_and_frames_say_whose_they_are() {
    log::install();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let acceptor = Acceptor::builder().config(|config| config.container_id = "spans-server".into()).build();
    let serving = tokio::spawn(async move {
        let (tcp, peer) = listener.accept().await.expect("the client");
        let mut server = acceptor.accept(tcp).await.expect("a handshake").accept().await.expect("open");
        let link = server.next_link().await.expect("a link").accept_default().expect("accepted");
        let AcceptedLink::Receiver(mut receiver) = link else { panic!("the client sends") };
        let delivery = receiver.recv().await.expect("the link is there").expect("a delivery");
        delivery.accept().expect("settled");
        assert!(receiver.recv().await.expect("no error").is_none());
        assert!(server.next_link().await.is_none());
        peer
    });
    let client = Client::builder(format!("amqp://{address}")).container_id("spans\nclient");
    let client = soon(client.connect()).await.expect("a connection");
    let session = client.begin().await.expect("a session");
    let sender = session.sender("spans-queue").name("spans\u{1b}[2Jlink").attach().await.expect("attached");
    soon(sender.send("hello")).await.expect("sent").into_result().expect("accepted");
    soon(sender.close()).await.expect("closed");
    soon(client.close()).await.expect("closed");
    let peer = soon(serving).await.expect("no panic");

    let log = log::logged();
    // With `--nocapture`, for docs/observing.md.
    println!("{log}");
    let at_client =
        format!("role=\"client\" peer={address} container=\"spans\\nclient\" remote_container=\"spans-server\"}}");
    let at_server =
        format!("role=\"acceptor\" peer={peer} container=\"spans-server\" remote_container=\"spans\\nclient\"}}");
    let line = |words: &[&str]| {
        let found = log.lines().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(found, "no line with {words:?} in\n{log}");
    };
    line(&["DEBUG", &at_client, ":session{id=", "SessionBegun"]);
    let link = r#":link{id="#;
    let names = r#"name="spans\u{1b}[2Jlink" role="sender""#;
    line(&["DEBUG", &at_client, link, names, "target=\"spans-queue\"}", "LinkAttached"]);
    line(&["DEBUG", &at_client, link, names, "LinkDetached"]);
    line(&["DEBUG", &at_server, link, "role=\"receiver\"", "target=\"spans-queue\"}", "LinkOffered"]);
    line(&["TRACE", &at_client, "amqp1::frames: [0x", "AMQP:FRAME:0 -> @transfer(20) [handle=0x0"]);
    line(&["TRACE", &at_server, "amqp1::frames: [0x", "AMQP:FRAME:0 <- @transfer(20) [handle=0x0"]);
    line(&["TRACE", "amqp1::frames: [0x", "SASL:FRAME:  -> SASL"]);
    // A name cannot forge a line.
    assert!(!log.contains('\u{1b}'));
}
