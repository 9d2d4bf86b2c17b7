//! Our client against scripts of protonj2's test driver, which wants each frame as its script says.

use amqp1::{
    Client, Connection, Credit, Delivered, Delivery, Error, ErrorKind, Outcome, Receiver, Sender, Session,
    error::{ConnectionError, ErrorCondition},
    link::ReceiverSettleMode,
};
use amqp1_tests::{
    expected::{AtLeast, Judgement},
    peer::{self, Server},
};
use std::{collections::HashMap, future::Future, pin::Pin, time::Duration};
use tokio::time::timeout;

type Running = Pin<Box<dyn Future<Output = u64> + Send>>;

/// A case: its row, and our part of it at the port of its script. It gives how many messages it has moved.
type Case = (&'static str, fn(u64) -> Running);

macro_rules! cases {
    ($($row:literal: $case:path,)*) => { [$(($row, |port| Box::pin($case(port)))),*] };
}

const CASES: [Case; 15] = cases! {
    "SASL refused": sasl_refused,
    "attach refused": attach_refused,
    "attached, then detached with an error": detached,
    "closed during SASL": closed_during_sasl,
    "closed with an error": closed,
    "delivery aborted": aborted,
    "drain": drain,
    "handle-max 0": handle_max,
    "idle time-out": idle,
    "link of the server's": server_link,
    "open refused": open_refused,
    "receiver settles second": second,
    "session window of one frame": small_window,
    "three rejected at once": rejected,
    "txn-id of 255 octets": long_txn_id,
};

#[tokio::test(flavor = "multi_thread")]
async fn our_client_with_scripts_of_protonj2() {
    let mut command = peer::java("clients", "Driver");
    // The driver logs what it does.
    command.stderr(std::process::Stdio::null());
    let server = Server::start(command).await;
    let mut judgement = Judgement::new("protonj2-test-driver");
    let mut ours = HashMap::new();
    for (row, case) in CASES.into_iter().filter(|(row, _)| judgement.wants(row)) {
        let port = server.ready["ports"][row].as_u64().expect("a port");
        let result = timeout(Duration::from_secs(20), tokio::spawn(case(port))).await;
        ours.insert(
            row,
            result.map_err(|_| "not over in time".to_owned()).and_then(|done| done.map_err(|e| e.to_string())),
        );
    }
    for line in server.finish().await {
        let Some((row, result)) = line["case"].as_str().and_then(|row| ours.remove_entry(row)) else { continue };
        let result = match line["failure"].as_str() {
            Some(failure) => Err(format!("{failure} ({result:?})")),
            None => result,
        };
        println!("  {row}: {result:?}");
        judgement.record(row, result);
    }
    judgement.check(AtLeast { cases: CASES.len(), messages: 11 });
}

async fn connect(port: u64) -> Connection {
    try_connect(port).await.expect("a connection")
}

async fn try_connect(port: u64) -> Result<Connection, Error> {
    Client::builder(format!("amqp://127.0.0.1:{port}")).operation_timeout(Duration::from_secs(5)).connect().await
}

async fn begin(port: u64) -> Session {
    connect(port).await.begin().await.expect("a session")
}

async fn sender(session: &Session) -> Sender {
    session.sender("node").attach().await.expect("a sending link")
}

async fn sent(sender: &Sender) -> u64 {
    sender.send("hi").await.expect("an outcome").into_result().expect("accepted");
    1
}

async fn receiver(session: &Session) -> Receiver {
    session.receiver("node").credit(Credit::Manual(10)).attach().await.expect("a receiving link")
}

async fn next(receiver: &mut Receiver) -> Delivery {
    let delivery = receiver.recv().await.expect("a link").expect("a delivery");
    assert_eq!(delivery.message().data().as_deref(), Some(&b"hi"[..]));
    delivery
}

async fn sasl_refused(port: u64) -> u64 {
    let error = Client::builder(format!("amqp://guest:guest@127.0.0.1:{port}")).connect().await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
    0
}

async fn attach_refused(port: u64) -> u64 {
    let session = begin(port).await;
    let error = session.sender("node").attach().await.expect_err("refused");
    assert_eq!(
        (error.kind(), error.condition()),
        (ErrorKind::LinkRefused, Some(&ErrorCondition::NOT_FOUND)),
        "{error}"
    );
    sent(&sender(&session).await).await
}

async fn detached(port: u64) -> u64 {
    let error = sender(&begin(port).await).await.send("hi").await.expect_err("a link that is gone");
    assert_eq!(error.condition(), Some(&ErrorCondition::RESOURCE_DELETED), "{error}");
    assert_eq!((error.kind(), error.delivered()), (ErrorKind::LinkDetached, Delivered::Unknown), "{error}");
    0
}

async fn closed_during_sasl(port: u64) -> u64 {
    let error = try_connect(port).await.expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::TransportLost, "{error}");
    0
}

async fn closed(port: u64) -> u64 {
    let error = sender(&begin(port).await).await.send("hi").await.expect_err("a connection that is gone");
    assert_eq!(error.condition(), Some(&ErrorCondition::CONNECTION_FORCED), "{error}");
    assert_eq!((error.kind(), error.delivered()), (ErrorKind::ClosedByPeer, Delivered::Unknown), "{error}");
    0
}

async fn aborted(port: u64) -> u64 {
    let mut receiver = receiver(&begin(port).await).await;
    next(&mut receiver).await.accept().expect("settled");
    1
}

async fn drain(port: u64) -> u64 {
    let mut receiver = receiver(&begin(port).await).await;
    let delivery = next(&mut receiver).await;
    receiver.drain().await.expect("drained");
    delivery.accept().expect("settled");
    1
}

/// There is a handle for one link.
async fn handle_max(port: u64) -> u64 {
    let session = begin(port).await;
    let only = sender(&session).await;
    let error = session.sender("node").attach().await.expect_err("one link too many");
    assert_eq!(error.kind(), ErrorKind::LinkRefused, "{error}");
    sent(&only).await
}

/// It wants to hear something every 400 ms, and closes when it has.
async fn idle(port: u64) -> u64 {
    let closed = connect(port).await.closed().await;
    let ConnectionError::ClosedByPeer(Some(error)) = closed else { panic!("{closed:?}") };
    assert_eq!(error.description.as_deref(), Some("heard three times"));
    0
}

async fn server_link(port: u64) -> u64 {
    sent(&sender(&begin(port).await).await).await
}

async fn open_refused(port: u64) -> u64 {
    let error = match try_connect(port).await {
        Ok(connection) => {
            connection.closed().await;
            connection.closed_error().expect("it is closed")
        }
        Err(error) => error,
    };
    assert_eq!(error.condition(), Some(&ErrorCondition::NOT_ALLOWED), "{error}");
    assert_eq!(error.kind(), ErrorKind::ClosedByPeer, "{error}");
    0
}

async fn second(port: u64) -> u64 {
    let builder = begin(port).await.receiver("node").receiver_settle_mode(ReceiverSettleMode::Second);
    let mut receiver = builder.credit(Credit::Manual(10)).attach().await.expect("a receiving link");
    next(&mut receiver).await.accept().expect("settled");
    1
}

/// A message of four frames, one a window.
async fn small_window(port: u64) -> u64 {
    let session = begin(port).await;
    let outcome = sender(&session).await.send(vec![0; 1800]).await.expect("an outcome");
    outcome.into_result().expect("accepted");
    1
}

async fn rejected(port: u64) -> u64 {
    let session = begin(port).await;
    let sender = sender(&session).await;
    let (one, two, three) = tokio::join!(sender.send("hi"), sender.send("hi"), sender.send("hi"));
    for outcome in [one, two, three] {
        let Outcome::Rejected(Some(error)) = outcome.expect("an outcome") else { panic!("not rejected") };
        assert_eq!(error.condition, ErrorCondition::DECODE_ERROR);
    }
    3
}

async fn long_txn_id(port: u64) -> u64 {
    let session = begin(port).await;
    let transaction = session.transactions().await.expect("a coordinator").declare().await.expect("declared");
    assert_eq!(transaction.id().as_slice().len(), 255);
    let sender = sender(&session).await;
    let outcome = transaction.send(&sender, "hi").await.expect("an outcome");
    outcome.into_result().expect("accepted");
    transaction.commit().await.expect("committed");
    1
}
