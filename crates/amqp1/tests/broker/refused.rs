//! What the broker refuses unless it is started otherwise.

use super::{Bed, consumer, next, text};
use crate::support::certificates::Authority;
use amqp1::{
    Client, ErrorKind, Message, Outcome, Symbol, Value,
    error::ErrorCondition,
    link::{Filter, ReceiverSettleMode, SendOptions},
    message::Header,
    tls::TlsClient,
};

fn durable() -> amqp1::message::EncodedMessage {
    Message::builder().header(Header { durable: true, ..Header::default() }).data("durable").build()
}

#[tokio::test]
async fn m_3_2_1_durable_messages_are_refused() {
    let session = Bed::new(&[]).session().await;
    let sender = session.sender("q").attach().await.expect("a sender");
    let Ok(Outcome::Rejected(Some(error))) = sender.send(durable()).await else { panic!("not rejected") };
    assert_eq!(error.condition, ErrorCondition::PRECONDITION_FAILED);
    // The link goes on; only where nothing else says it, it is closed.
    sender.send("x").await.expect("sent").into_result().expect("accepted");
    let settled = SendOptions { settled: true, ..SendOptions::default() };
    sender.send_with(durable(), settled).await.expect("sent").into_result().expect("sent");
    let error = sender.detached().await.error.expect("a reason");
    assert_eq!(error.condition, ErrorCondition::PRECONDITION_FAILED);
}

#[tokio::test]
async fn take_durable_takes_them() {
    let session = Bed::new(&["--take-durable"]).session().await;
    let sender = session.sender("q").attach().await.expect("a sender");
    sender.send(durable()).await.expect("sent").into_result().expect("accepted");
    let delivery = next(&mut consumer(&session, "q", 1).await).await;
    assert!(delivery.message().header().expect("it reads").is_some_and(|header| header.durable));
}

#[tokio::test]
async fn mode_second_of_a_sender_is_honoured_on_request() {
    for (arguments, mode) in [(&[][..], ReceiverSettleMode::First), (&["--settle-second"], ReceiverSettleMode::Second)]
    {
        let session = Bed::new(arguments).session().await;
        let sender = session.sender("q").receiver_settle_mode(ReceiverSettleMode::Second).allow_differences();
        let sender = sender.attach().await.expect("a sender");
        assert_eq!(sender.remote_attach().rcv_settle_mode, mode);
        sender.send("x").await.expect("sent").into_result().expect("accepted");
        let receiver = session.receiver("q").receiver_settle_mode(ReceiverSettleMode::Second);
        let mut receiver = receiver.attach().await.expect("a receiver");
        next(&mut receiver).await.accept().expect("settled");
        receiver.close().await.expect("closed");
        assert!(super::drained(&session, "q").await.is_empty());
    }
}

#[tokio::test]
async fn a_filter_that_is_not_served_is_no_link() {
    let session = Bed::new(&[]).session().await;
    let name = Symbol::from_static("colour");
    let receiver =
        session.receiver("q").filter(Filter::new(name, Symbol::from_static("example.org:colour:string"), "red"));
    let error = receiver.attach().await.expect_err("a refusal");
    assert_eq!(error.kind(), ErrorKind::LinkRefused);
    assert_eq!(error.condition(), Some(&ErrorCondition::NOT_IMPLEMENTED));
    // Null is no filter.
    let receiver = session.receiver("q").filter(Filter::undescribed(Symbol::from_static("colour"), Value::Null));
    receiver.allow_differences().attach().await.expect("a link");
}

#[tokio::test]
async fn with_a_password_only_who_knows_it_is_let_in_and_with_tls_it_is_not_seen() {
    let authority = Authority::new();
    let issued = authority.issue("broker.test");
    let folder = std::env::temp_dir().join(format!("amqp1-broker-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let files = [folder.join("chain.pem"), folder.join("key.pem")];
    std::fs::write(&files[0], &issued.chain).expect("written");
    std::fs::write(&files[1], &issued.key).expect("written");
    let [chain, key] = [files[0].to_str().expect("UTF-8"), files[1].to_str().expect("UTF-8")];
    let bed = Bed::new(&["--sasl-plain", "user:pen:cil", "--tls", chain, key]);
    std::fs::remove_dir_all(&folder).expect("removed");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(bed.server.clone().run(listener, std::future::pending()));
    let connect = async |url: &str| {
        let tls = TlsClient::with_ca_pem(authority.pem.as_bytes()).expect("an authority");
        Client::builder(url).tls(tls).dial("127.0.0.1", port).connect().await
    };
    let connection = connect("amqps://user:pen:cil@broker.test").await.expect("a connection");
    let session = connection.begin().await.expect("a session");
    super::put(&session, "q", &["x"]).await;
    assert_eq!(text(&next(&mut consumer(&session, "q", 1).await).await), "x");
    let error = connect("amqps://user:pencil@broker.test").await.expect_err("the wrong password");
    assert_eq!(error.kind(), ErrorKind::Authentication);
    let error = connect("amqps://broker.test").await.expect_err("no password");
    assert!(matches!(error.kind(), ErrorKind::Authentication | ErrorKind::MechanismNotOffered), "{error}");
}
