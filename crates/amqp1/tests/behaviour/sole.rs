//! Containers that have one connection.

use crate::support::{self, gate::Gate, soon};
use amqp1::codec::Value;
use amqp1::{
    Acceptor, Client, Connection, Error, ErrorKind, ServerConnection, Symbol,
    acceptor::{Authenticator, SaslAttempt, SaslDecision},
};

const SOLE: Symbol = Symbol::from_static("sole-connection-for-container");

/// What a client asks for, if it asks for anything.
#[derive(Clone, Copy, Debug, Default)]
struct Wish {
    desired: bool,
    close_existing: bool,
    weak: bool,
}

const NONE: Wish = Wish { desired: false, close_existing: false, weak: false };
const REFUSE: Wish = Wish { desired: true, ..NONE };
const CLOSE: Wish = Wish { desired: true, close_existing: true, weak: false };
const WEAK: Wish = Wish { desired: true, close_existing: false, weak: true };

/// Whoever says a name is who it says.
struct Trusting;

impl Authenticator for Trusting {
    fn authenticate(&self, attempt: SaslAttempt) -> amqp1::acceptor::BoxFuture<'_, SaslDecision> {
        let response = attempt.response.unwrap_or_default();
        let identity = String::from_utf8_lossy(&response).split('\0').nth(1).unwrap_or_default().to_owned();
        Box::pin(std::future::ready(SaslDecision::Accept { identity, additional_data: None }))
    }
}

type Both = (Result<Connection, Error>, Result<ServerConnection, Error>);

async fn connect(acceptor: &Acceptor, user: &str, container: &str, wish: Wish) -> Both {
    let (near, far) = tokio::io::duplex(4096);
    let builder = Client::builder(format!("amqp://{user}:x@server.test")).container_id(container).config(|config| {
        if wish.desired {
            config.desired_capabilities.push(SOLE);
        }
        for (name, set) in [("enforcement", wish.close_existing), ("detection", wish.weak)] {
            if set {
                let name = Symbol::new(format!("sole-connection-{name}-policy")).expect("ASCII");
                config.properties.insert(name, 1_u32);
            }
        }
    });
    soon(async {
        tokio::join!(builder.connect_with(support::checked::Checked::new(near)), async {
            acceptor.accept(support::checked::Checked::new(far)).await?.accept().await
        })
    })
    .await
}

async fn let_in(acceptor: &Acceptor, user: &str, container: &str, wish: Wish) -> (Connection, ServerConnection) {
    let (client, server) = connect(acceptor, user, container, wish).await;
    (client.expect("let in"), server.expect("let in"))
}

fn acceptor() -> Acceptor {
    Acceptor::builder().authenticator(Trusting).sole_connections().build()
}

#[tokio::test]
async fn e_sole_1_a_second_connection_of_a_container_is_refused() {
    let acceptor = acceptor();
    // Where the two differ, the one that is there has the say.
    for (first, second) in [(REFUSE, REFUSE), (REFUSE, NONE), (NONE, REFUSE), (REFUSE, CLOSE), (WEAK, WEAK)] {
        let (one, _server) = let_in(&acceptor, "alice", "c", first).await;
        assert!(one.offers(&SOLE));
        let (two, server) = connect(&acceptor, "alice", "c", second).await;
        assert_eq!(server.expect_err("refused").kind(), ErrorKind::Closed);
        let error = two.map(|two| async move { two.closed().await });
        // The open is answered before the close, so that either may be what the client hears first.
        let error = match error {
            Ok(closed) => Error::from(soon(closed).await),
            Err(error) => error,
        };
        let error = error.amqp_error().expect("the server's").clone();
        assert_eq!(error.condition.as_str(), "amqp:invalid-field");
        let field = error.info.as_ref().and_then(|info| info.get("invalid-field")).cloned();
        assert_eq!(field, Some(Value::from(Symbol::from_static("container-id"))));
        assert!(!one.is_closed(), "{first:?} {second:?}");
        one.close().await.expect("closed");
        // Now there is none.
        let (again, _server) = let_in(&acceptor, "alice", "c", second).await;
        again.close().await.expect("closed");
    }
}

#[tokio::test]
async fn e_sole_1_the_connection_that_is_there_is_closed_for_a_client_that_wants_it_so() {
    let acceptor = acceptor();
    for (first, second) in [(NONE, CLOSE), (CLOSE, REFUSE), (CLOSE, CLOSE), (CLOSE, NONE)] {
        let (one, _server) = let_in(&acceptor, "alice", "c", first).await;
        let (two, _kept) = let_in(&acceptor, "alice", "c", second).await;
        soon(one.closed()).await;
        let error = one.closed_error().expect("closed");
        let error = error.amqp_error().expect("the server's");
        assert_eq!(error.condition.as_str(), "amqp:resource-locked");
        assert!(error.info.as_ref().is_some_and(|info| info.get("sole-connection-enforcement").is_some()));
        assert!(!two.is_closed(), "{first:?} {second:?}");
        two.close().await.expect("closed");
    }
}

#[tokio::test]
async fn e_sole_1_the_answer_to_the_open_announces_the_policy() {
    let acceptor = acceptor();
    for (wish, enforcement) in [(NONE, 0_u32), (REFUSE, 0), (WEAK, 0), (CLOSE, 1)] {
        let (client, _server) = let_in(&acceptor, "alice", "c", wish).await;
        let properties = client.remote_open().properties.expect("some");
        let policy = |name: &str| properties.get(format!("sole-connection-{name}-policy").as_str()).cloned();
        assert_eq!(policy("enforcement"), Some(Value::from(enforcement)), "{wish:?}");
        assert_eq!(policy("detection"), Some(Value::from(0_u32)), "{wish:?}");
        client.close().await.expect("closed");
    }
}

#[tokio::test]
async fn e_sole_1_others_are_let_alone() {
    let acceptor = acceptor();
    let (one, _server) = let_in(&acceptor, "alice", "c", CLOSE).await;
    // Another container of hers, and somebody else who says the same name.
    let_in(&acceptor, "alice", "d", CLOSE).await;
    let_in(&acceptor, "mallory", "c", CLOSE).await;
    assert!(!one.is_closed());
    one.close().await.expect("closed");
    // Who asks for the weak form counts only others who ask.
    let (first, _server) = let_in(&acceptor, "alice", "c", NONE).await;
    let (second, _other) = let_in(&acceptor, "alice", "c", WEAK).await;
    let (third, _another) = let_in(&acceptor, "alice", "c", NONE).await;
    assert!([&first, &second, &third].iter().all(|connection| !connection.is_closed()));
    // Nothing of it where it is not offered.
    let plain = Acceptor::builder().authenticator(Trusting).build();
    let (first, _server) = let_in(&plain, "alice", "c", REFUSE).await;
    let_in(&plain, "alice", "c", REFUSE).await;
    assert!(!first.offers(&SOLE) && !first.is_closed());
}

/// A connection whose end was not seen yet does not keep its container out for ever.
#[tokio::test(start_paused = true)]
async fn e_sole_1_a_connection_that_does_not_answer_is_closed_in_time() {
    let acceptor = acceptor();
    let gate = Gate::default();
    let (near, far) = tokio::io::duplex(4096);
    let builder = Client::builder("amqp://alice:x@server.test").container_id("c");
    let (stuck, server) =
        tokio::join!(builder.connect_with(support::checked::Checked::new(gate.around(near))), async {
            acceptor.accept(support::checked::Checked::new(far)).await?.accept().await
        });
    let (_stuck, server) = (stuck.expect("let in"), server.expect("let in"));
    gate.stick();
    let (_two, _kept) = let_in(&acceptor, "alice", "c", CLOSE).await;
    assert!(server.connection().is_closed());
}
