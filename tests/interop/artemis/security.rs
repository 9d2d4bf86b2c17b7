//! Logins, and links that are refused.

use super::world::{self, Broker, leave, receive, send};
use amqp1::{
    Client, Connection, ErrorKind, acceptor::ScramHash, auth::sasl::Plain, error::ErrorCondition, tls::TlsClient,
};
use std::sync::Arc;

async fn used(connection: Connection, queue: &str) -> u64 {
    let session = connection.begin().await.expect("a session");
    send(&world::sender(&session, queue).await, 10).await;
    let mut receiver = world::receiver(&session, queue).await;
    receive(&mut receiver, 10).await;
    leave(&connection, &[&receiver]).await;
    10
}

pub(super) async fn plain(broker: Arc<Broker>) -> u64 {
    let client = |user: &str, password: &str| {
        broker.client().sasl(Plain::new(user, password).expect("a user and a password")).connect()
    };
    let moved = used(client("guest", "guest").await.expect("let in"), "security.plain").await;
    for (user, password) in [("guest", "wrong"), ("nobody", "guest")] {
        let error = client(user, password).await.expect_err("not let in");
        assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
    }
    moved
}

pub(super) async fn scram(broker: Arc<Broker>) -> u64 {
    let mut moved = 0;
    for hash in [ScramHash::Sha256, ScramHash::Sha512] {
        let client =
            |user: &str, password: &str| world::client(broker.port_of("scram")).scram(hash, user, password).connect();
        moved += used(client("user", "pencil").await.expect("let in"), "security.scram").await;
        for (user, password) in [("user", "wrong"), ("nobody", "pencil")] {
            let error = client(user, password).await.expect_err("not let in");
            assert_eq!(error.kind(), ErrorKind::Authentication, "{hash:?}: {error}");
        }
    }
    let error = world::client(broker.port_of("scram")).scram(ScramHash::Sha1, "user", "pencil").connect().await;
    assert_eq!(error.expect_err("not offered").kind(), ErrorKind::MechanismNotOffered);
    moved
}

pub(super) async fn tls(broker: Arc<Broker>) -> u64 {
    let client =
        |tls| Client::builder(format!("amqps://guest:guest@localhost:{}", broker.tls_port())).tls(tls).connect();
    let trusting = TlsClient::with_ca_pem(&crate::read(broker.certificates(), "ca.pem")).expect("a CA");
    let moved = used(client(trusting).await.expect("let in"), "security.tls").await;
    let other = TlsClient::with_ca_pem(&crate::read(crate::certificates().path(), "ca.pem")).expect("a CA");
    let error = client(other).await.expect_err("another CA");
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    moved
}

/// Links to and from an address that is forbidden, with the reason; others of the session go on.
pub(super) async fn refused(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    let sender = session.sender("refused").attach().await.map(drop);
    let receiver = session.receiver("refused").attach().await.map(drop);
    for refused in [sender, receiver] {
        let error = refused.expect_err("forbidden");
        assert_eq!(error.kind(), ErrorKind::LinkRefused, "{error}");
        assert_eq!(error.condition(), Some(&ErrorCondition::UNAUTHORIZED_ACCESS), "{error}");
        assert!(error.amqp_error().is_some_and(|error| error.description.is_some()), "{error}");
    }
    send(&world::sender(&session, "security.allowed").await, 10).await;
    let mut receiver = world::receiver(&session, "security.allowed").await;
    receive(&mut receiver, 10).await;
    leave(&connection, &[&receiver]).await;
    10
}
