//! Who is let in, and what is said to those who are not.

mod scripted;
mod steps;

use crate::support;
use amqp1::{
    Acceptor, Client, ClientBuilder, Connection, Error, ErrorKind, Retry, Symbol,
    acceptor::{Authenticator, SaslAttempt, SaslDecision},
    auth::sasl::{Anonymous, ClientMechanism, SaslError, plain::Credentials},
    codec::sasl::SaslCode,
};
use bytes::Bytes;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// Knows one user; takes its time.
struct Users;

impl Authenticator for Users {
    fn authenticate(&self, attempt: SaslAttempt) -> amqp1::acceptor::BoxFuture<'_, SaslDecision> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            assert_eq!(attempt.hostname.as_ref().map(|name| name.as_str()), Some("server.test"));
            assert!(!format!("{attempt:?}").contains("geheim"));
            let Ok(credentials) = Credentials::parse(attempt.response.as_deref().unwrap_or_default()) else {
                return SaslDecision::Refuse(SaslCode::Auth);
            };
            match (credentials.authcid(), credentials.password_matches("geheim")) {
                ("busy", _) => SaslDecision::Refuse(SaslCode::SysTemp),
                ("broken", _) => SaslDecision::Refuse(SaslCode::Ok),
                (user, true) => SaslDecision::Accept { identity: user.to_owned(), additional_data: None },
                _ => SaslDecision::Refuse(SaslCode::Sys),
            }
        })
    }
}

/// What the server learns: who it is, and by which mechanism.
type Seen = (Option<String>, Option<String>);

/// Both ends' view of a connection.
async fn meet(builder: ClientBuilder, acceptor: &Acceptor) -> (Result<Connection, Error>, Result<Seen, Error>) {
    let (near, far) = tokio::io::duplex(4096);
    tokio::join!(builder.connect_with(support::checked::Checked::new(near)), async {
        let incoming = acceptor.accept(support::checked::Checked::new(far)).await?;
        let owned = |text: Option<&str>| text.map(ToOwned::to_owned);
        let seen = (owned(incoming.identity()), owned(incoming.mechanism()));
        let _connection = incoming.accept().await?;
        Ok(seen)
    })
}

fn acceptor() -> Acceptor {
    Acceptor::builder().authenticator(Users).build()
}

fn seen(identity: &str, mechanism: &str) -> Seen {
    (Some(identity.to_owned()), Some(mechanism.to_owned()))
}

#[tokio::test]
async fn the_urls_user_and_password_are_plains() {
    let (client, server) = meet(Client::builder("amqp://alice:geheim@server.test"), &acceptor()).await;
    client.expect("let in");
    assert_eq!(server.expect("let in"), seen("alice", "PLAIN"));
}

#[tokio::test]
async fn a_wrong_password_is_an_error_of_authentication_at_both_ends() {
    for (user, retry) in [("alice:falsch", false), ("busy:x", true), ("broken:x", false)] {
        let (client, server) = meet(Client::builder(format!("amqp://{user}@server.test")), &acceptor()).await;
        let error = client.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Authentication, "{user}");
        assert_eq!(matches!(error.retry(), Retry::After(_)), retry, "{user}: {error}");
        let error = server.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Authentication, "{user}");
        // The server's words are not the client's, which would ask to check the password.
        assert_eq!(error.to_string(), "the handshake with a client failed (SASL): the client was refused (PLAIN)");
    }
}

/// Only where that helps: not if the mechanism was chosen, nor if the server does not offer PLAIN.
#[tokio::test]
async fn a_url_without_credentials_is_said_to_lack_them_where_plain_is_offered() {
    let hint = "; put user:password@ before the host of the URL";
    let (client, _) = meet(Client::builder("amqp://server.test"), &acceptor()).await;
    let error = client.expect_err("not offered");
    assert_eq!(error.kind(), ErrorKind::MechanismNotOffered);
    assert!(error.to_string().ends_with(&format!("not ANONYMOUS{hint}")), "{error}");
    let chosen = Client::builder("amqp://server.test").sasl(Anonymous::default());
    let external = Acceptor::builder().authenticator(Users).mechanisms([Symbol::from_static("EXTERNAL")]).build();
    for (client, acceptor) in [(chosen, acceptor()), (Client::builder("amqp://server.test"), external)] {
        let error = meet(client, &acceptor).await.0.expect_err("not offered");
        assert!(error.to_string().ends_with("not ANONYMOUS"), "{error}");
    }
}

#[tokio::test]
async fn a_mechanism_that_is_not_offered_is_not_tried() {
    let (client, server) = meet(Client::builder("amqp://server.test").sasl(Anonymous::default()), &acceptor()).await;
    assert_eq!(client.expect_err("not offered").kind(), ErrorKind::MechanismNotOffered);
    let error = server.expect_err("the client has left");
    assert_eq!(error.kind(), ErrorKind::TransportLost);
    assert!(error.to_string().contains("(PLAIN)"), "{error}");
}

#[tokio::test]
async fn t_2_2_8_sasl_can_be_left_out_only_where_that_is_allowed() {
    let bare = || Client::builder("amqp://server.test").no_sasl();
    let (client, server) = meet(bare(), &acceptor()).await;
    assert_eq!(client.expect_err("refused").kind(), ErrorKind::Protocol);
    assert!(server.is_err());
    let lenient = Acceptor::builder().authenticator(Users).allow_no_sasl(true).build();
    let (client, server) = meet(bare(), &lenient).await;
    client.expect("let in");
    assert_eq!(server.expect("let in"), (None, None));
    let (client, server) = meet(Client::builder("amqp://alice:geheim@server.test"), &lenient).await;
    client.expect("let in");
    assert_eq!(server.expect("let in"), seen("alice", "PLAIN"));
}

#[tokio::test]
async fn without_an_authenticator_everybody_is_let_in() {
    let open = Acceptor::builder().build();
    let (client, server) = meet(Client::builder("amqp://server.test"), &open).await;
    client.expect("let in");
    assert_eq!(server.expect("let in"), (None, Some("ANONYMOUS".to_owned())));
    let (client, server) = meet(Client::builder("amqp://server.test").no_sasl(), &open).await;
    client.expect("let in");
    assert_eq!(server.expect("let in"), (None, None));
}

/// PLAIN that waits to be asked.
#[derive(Debug)]
struct Reluctant;

impl ClientMechanism for Reluctant {
    fn name(&self) -> &'static str {
        "PLAIN"
    }

    fn initial_response(&mut self) -> Option<Bytes> {
        None
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Bytes, SaslError> {
        assert!(challenge.is_empty());
        Ok(Bytes::from_static(b"\0alice\0geheim"))
    }
}

#[tokio::test]
async fn a_client_that_says_nothing_at_first_is_asked() {
    let (client, server) = meet(Client::builder("amqp://server.test").sasl(Reluctant), &acceptor()).await;
    client.expect("let in");
    assert_eq!(server.expect("let in"), seen("alice", "PLAIN"));
}

#[tokio::test]
async fn a_peer_that_speaks_something_else_is_an_error_of_protocol() {
    let (near, mut far) = tokio::io::duplex(4096);
    far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("room");
    let error = Client::builder("amqp://server.test")
        .connect_with(support::checked::Checked::new(near))
        .await
        .expect_err("HTTP");
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    let (mut near, far) = tokio::io::duplex(4096);
    near.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("room");
    let error = acceptor().accept(far).await.expect_err("HTTP");
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
}

#[tokio::test]
async fn mechanisms_are_offered_as_set() {
    let acceptor = Acceptor::builder().mechanisms(["MSSBCBS", "ANONYMOUS"].map(Symbol::from_static)).build();
    let (client, server) =
        meet(Client::builder("amqp://server.test").sasl(amqp1::auth::sasl::Mssbcbs::default()), &acceptor).await;
    client.expect("let in");
    assert_eq!(server.expect("let in"), (None, Some("MSSBCBS".to_owned())));
}

/// Never decides.
struct Undecided;

impl Authenticator for Undecided {
    fn authenticate(&self, _: SaslAttempt) -> amqp1::acceptor::BoxFuture<'_, SaslDecision> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_gone_is_not_waited_for_by_who_decides() {
    let acceptor = Acceptor::builder().authenticator(Undecided).build();
    let (near, far) = tokio::io::duplex(4096);
    let began = tokio::time::Instant::now();
    let (client, server) = tokio::join!(
        tokio::time::timeout(
            Duration::from_secs(1),
            Client::builder("amqp://u:p@server.test").connect_with(support::checked::Checked::new(near))
        ),
        acceptor.accept(support::checked::Checked::new(far))
    );
    client.expect_err("no answer");
    assert_eq!(server.expect_err("gone").kind(), ErrorKind::TransportLost);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}
