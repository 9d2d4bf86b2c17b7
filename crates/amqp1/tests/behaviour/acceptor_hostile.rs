//! Clients that say what they must not, or nothing, to an acceptor.

use crate::support::{self, pair_with, soon};
use amqp1::{
    Acceptor, Client, Credit, ErrorKind, Symbol,
    acceptor::{Authenticator, BoxFuture, SaslAttempt, SaslDecision},
    auth::sasl::External,
};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Believes what is said, or takes for ever to find out.
struct Trusting(bool);

impl Authenticator for Trusting {
    fn authenticate(&self, attempt: SaslAttempt) -> BoxFuture<'_, SaslDecision> {
        Box::pin(async move {
            if !self.0 {
                std::future::pending::<()>().await;
            }
            let identity = attempt.response.map(|name| String::from_utf8_lossy(&name).into_owned()).unwrap_or_default();
            SaslDecision::Accept { identity, additional_data: None }
        })
    }
}

/// EXTERNAL says that TLS has shown who it is: without a certificate nothing has.
#[tokio::test]
async fn s_ext_1_nobody_is_let_in_by_external_without_a_certificate() {
    let acceptor = Acceptor::builder().authenticator(Trusting(true)).mechanisms([Symbol::from_static("EXTERNAL")]);
    let acceptor = acceptor.build();
    for name in ["", "root"] {
        let (near, far) = tokio::io::duplex(4096);
        let client = Client::builder("amqp://server.test").sasl(External::with_authzid(name).expect("an identity"));
        let (client, server) = soon(async {
            tokio::join!(
                client.connect_with(support::checked::Checked::new(near)),
                acceptor.accept(support::checked::Checked::new(far))
            )
        })
        .await;
        assert_eq!(client.expect_err("refused").kind(), ErrorKind::Authentication);
        assert_eq!(server.expect_err("refused").kind(), ErrorKind::Authentication);
    }
}

/// Whoever keeps the door is not kept at it.
#[tokio::test(start_paused = true)]
async fn a_handshake_ends_in_time_wherever_it_stands() {
    let acceptor = Acceptor::builder().authenticator(Trusting(false)).handshake_timeout(Duration::from_secs(5)).build();
    // Says nothing; asks, and waits; asks, and goes.
    for (asks, goes) in [(false, false), (true, false), (true, true)] {
        let start = tokio::time::Instant::now();
        let (near, far) = tokio::io::duplex(4096);
        let mut near = Some(near);
        let client = async {
            if asks {
                let connecting = Client::builder("amqp://alice:x@server.test")
                    .connect_with(support::checked::Checked::new(near.take().expect("an end")));
                let patience = Duration::from_secs(if goes { 1 } else { 600 });
                let connected = tokio::time::timeout(patience, connecting).await;
                assert!(!matches!(connected, Ok(Ok(_))), "{connected:?}");
            }
        };
        let (server, ()) =
            soon(async { tokio::join!(acceptor.accept(support::checked::Checked::new(far)), client) }).await;
        let expected = if goes { ErrorKind::TransportLost } else { ErrorKind::Timeout };
        assert_eq!(server.expect_err("too late").kind(), expected, "{asks} {goes}");
        assert!(start.elapsed() <= Duration::from_secs(60), "{:?}", start.elapsed());
    }
}

/// A door that nobody keeps any more is shut.
#[tokio::test(start_paused = true)]
async fn a_handshake_that_is_given_up_ends_the_connection_at_once() {
    let acceptor = Acceptor::builder().authenticator(Trusting(false)).build();
    let (near, far) = tokio::io::duplex(4096);
    let accepting = tokio::spawn(async move { acceptor.accept(support::checked::Checked::new(far)).await.map(drop) });
    let connecting =
        tokio::spawn(Client::builder("amqp://alice:x@server.test").connect_with(support::checked::Checked::new(near)));
    let start = tokio::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(1)).await;
    accepting.abort();
    let error = soon(connecting).await.expect("no panic").expect_err("nobody is there");
    assert_ne!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

/// What one client says after the AMQP header and an open, or instead of them.
const HOSTILE: [(bool, &[u8]); 10] = [
    (false, b"GET / HTTP/1.1\r\n\r\n"),
    (false, b"AMQP\x00\x00\x09\x01"),
    (false, b"AMQ"),
    // SIZE below 8, a DOFF of 1, a TYPE that is not known, a frame beyond any bound.
    (true, b"\0\0\0\x07\x02\0\0\0"),
    (true, b"\0\0\0\x08\x01\0\0\0"),
    (true, b"\0\0\0\x08\x02\x07\0\0"),
    (true, b"\xff\xff\xff\xff\x02\0\0\0"),
    // A body that ends too early, a second open, a frame on a channel without a session.
    (true, b"\0\0\0\x0b\x02\0\0\0\0\x53\x11"),
    (true, b"\0\0\0\x11\x02\0\0\0\0\x53\x10\xc0\x04\x01\xa1\x01c"),
    (true, b"\0\0\0\x0c\x02\0\0\x05\0\x53\x17\x45"),
];

const OPENING: &[u8] = b"AMQP\0\x01\0\0\0\0\0\x11\x02\0\0\0\0\x53\x10\xc0\x04\x01\xa1\x01c";

/// Those that were there before, and those that come later.
#[tokio::test(start_paused = true)]
async fn t_rob_7_what_is_refused_on_one_connection_costs_no_other() {
    let acceptor = Acceptor::builder().build();
    let mut before = pair_with(|builder| builder, &acceptor).await;
    let (sender, mut receiver) = before.client_sends(Credit::Window(10)).await;
    for (opens, octets) in HOSTILE {
        let (mut near, far) = tokio::io::duplex(4096);
        let hostile = async {
            if opens {
                near.write_all(OPENING).await.expect("written");
            }
            near.write_all(octets).await.expect("written");
            let mut answer = Vec::new();
            near.read_to_end(&mut answer).await.expect("an answer and its end");
            answer
        };
        let serving = async {
            match acceptor.accept(support::checked::Checked::new(far)).await {
                Ok(incoming) => match incoming.accept().await {
                    Ok(mut connection) => assert!(connection.next_link().await.is_none()),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Protocol, "{error}"),
                },
                Err(error) => assert!(!opens, "{error}"),
            }
        };
        let (answer, ()) = soon(async { tokio::join!(hostile, serving) }).await;
        // A close is the last that it is told, where it has opened, and where it was waited for.
        let told = opens || octets.len() < 8;
        assert_eq!(answer.windows(3).any(|octets| octets == [0, 0x53, 0x18]), told, "{}", octets.escape_ascii());
        let mut after = pair_with(|builder| builder, &acceptor).await;
        let (later, mut taken) = after.client_sends(Credit::Window(10)).await;
        for (sender, receiver) in [(&sender, &mut receiver), (&later, &mut taken)] {
            let (outcome, ()) = soon(async {
                tokio::join!(sender.send("x"), async {
                    receiver.recv().await.expect("a link").expect("a delivery").accept().expect("settled");
                })
            })
            .await;
            outcome.expect("an outcome").into_result().expect("accepted");
        }
    }
}
