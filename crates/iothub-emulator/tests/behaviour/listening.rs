//! Where an emulator listens, and the names that its certificate is good for.

use crate::support::*;
use amqp1::auth::sasl::Mssbcbs;
use amqp1::{Client, Connection, Error, ErrorKind, tls::TlsClient};
use iothub_emulator::Emulator;
use std::net::SocketAddr;

async fn connect_to(hub: &Emulator, address: SocketAddr, name: &str) -> Result<Connection, Error> {
    let host = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
    Client::builder(format!("amqps://{host}:{}", address.port()))
        .dial(address.ip().to_string(), address.port())
        .tls(TlsClient::with_ca_pem(hub.ca_pem().as_bytes()).unwrap())
        .sasl(Mssbcbs::default())
        .connect()
        .await
}

#[tokio::test]
async fn both_loopback_addresses_are_served_unless_others_are_given() {
    let hub = Emulator::start().await.unwrap();
    let has_ipv6 = tokio::net::TcpListener::bind("[::1]:0").await.is_ok();
    assert_eq!(hub.local_addrs().len(), if has_ipv6 { 2 } else { 1 });
    for address in hub.local_addrs() {
        for name in [&*address.ip().to_string(), "localhost"] {
            connect_to(&hub, *address, name).await.unwrap_or_else(|error| panic!("{name} at {address}: {error}"));
        }
    }
    let one = Emulator::builder().listen("127.0.0.1:0".parse().unwrap()).start().await.unwrap();
    assert_eq!(one.local_addrs(), [one.local_addr()]);
}

#[tokio::test]
async fn names_and_several_addresses_are_listened_on() {
    let builder = Emulator::builder().listen_on("localhost:0").listen("127.0.0.2:0".parse().unwrap());
    let hub = builder.amqp_listen_on("localhost:0").start().await.unwrap();
    let last = *hub.local_addrs().last().unwrap();
    assert_eq!((last.ip().to_string().as_str(), last.port()), ("127.0.0.2", hub.local_addr().port()));
    for address in hub.local_addrs() {
        connect_to(&hub, *address, &address.ip().to_string()).await.unwrap();
    }
    assert!(!hub.amqp_addrs().is_empty());
}

#[tokio::test]
async fn a_further_name_is_in_the_certificate_and_in_tokens() {
    let clock = iothub_emulator::ManualClock::new(iothub_emulator::hub::UnixMillis(NOW * 1000));
    let builder = Emulator::builder().certificate_name("hub.internal").certificate_name("192.0.2.7").clock(clock);
    let hub = builder.device("a", DEVICE_KEY).start().await.unwrap();
    for name in ["hub.internal", "192.0.2.7"] {
        let connection = connect_to(&hub, hub.local_addr(), name).await.unwrap();
        let mut cbs = Cbs::on(&connection).await;
        cbs.put(token(DEVICE_KEY, &format!("{name}/devices/a"), HOUR, None)).await.outcome().unwrap();
    }
    let error = connect_to(&hub, hub.local_addr(), "other.internal").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
}

#[tokio::test]
async fn a_kept_authority_issues_a_certificate_for_names_that_are_new() {
    let directory = tempfile::tempdir().unwrap();
    let builder = || Emulator::builder().ca_dir(directory.path());
    let first = builder().start().await.unwrap();
    assert!(connect_to(&first, first.local_addr(), "hub.internal").await.is_err());
    let trusted = first.ca_pem().to_owned();
    first.shutdown().await;
    let second = builder().certificate_name("hub.internal").start().await.unwrap();
    assert_eq!(second.ca_pem(), trusted);
    connect_to(&second, second.local_addr(), "hub.internal").await.unwrap();
}
