//! Clients that say what they must not, or nothing, to an acceptor.
#![allow(missing_docs)]

mod support;

use amqp1::{
    Acceptor, Authenticator, BoxFuture, Client, ErrorKind, SaslAttempt, SaslDecision, Symbol, auth::sasl::External,
};
use std::time::Duration;
use support::soon;

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
        let (client, server) = soon(async { tokio::join!(client.connect_with(near), acceptor.accept(far)) }).await;
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
                let connecting =
                    Client::builder("amqp://alice:x@server.test").connect_with(near.take().expect("an end"));
                let patience = Duration::from_secs(if goes { 1 } else { 600 });
                let _ = tokio::time::timeout(patience, connecting).await;
            }
        };
        let (server, ()) = soon(async { tokio::join!(acceptor.accept(far), client) }).await;
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
    let accepting = tokio::spawn(async move { acceptor.accept(far).await.map(drop) });
    let connecting = tokio::spawn(Client::builder("amqp://alice:x@server.test").connect_with(near));
    let start = tokio::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(1)).await;
    accepting.abort();
    let error = soon(connecting).await.expect("no panic").expect_err("nobody is there");
    assert_ne!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}
