//! Starting, being found and trusted, and stopping.

use crate::support::*;
use amqp1::auth::connection_string::{DeviceConnectionString, EventHubsConnectionString, ServiceConnectionString};
use amqp1::auth::sasl::Mssbcbs;
use amqp1::{Client, ErrorKind, error::ConnectionError, tls::TlsClient};
use iothub_emulator::hub::DeviceId;
use iothub_emulator::{DeviceError, Emulator, StartError};

#[tokio::test]
async fn shutting_down_closes_every_connection_and_says_why() {
    let (hub, _) = hub().await;
    let address = hub.local_addr();
    let connection = connect(&hub, Mssbcbs::default()).await.unwrap();
    hub.shutdown().await;
    match connection.closed().await {
        ConnectionError::ClosedByPeer(Some(error)) => assert_eq!(error.condition.as_str(), "amqp:connection:forced"),
        other => panic!("{other}"),
    }
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn dropping_the_emulator_stops_it() {
    let (hub, _) = hub().await;
    let connection = connect(&hub, Mssbcbs::default()).await.unwrap();
    drop(hub);
    assert!(matches!(connection.closed().await, ConnectionError::ClosedByPeer(Some(_))));
}

#[tokio::test]
async fn what_was_acknowledged_before_the_shutdown_is_in_the_hub() {
    let (hub, _) = hub().await;
    let sender = service(&hub).await.sender("/messages/devicebound").attach().await.unwrap();
    sender.send(c2d("a", "one")).await.unwrap().into_result().unwrap();
    let depth = hub.with_hub(|hub, _| hub.queue_depth("a".parse::<DeviceId>().unwrap()));
    assert_eq!(depth, 1);
    hub.shutdown().await;
}

#[tokio::test]
async fn connection_strings_are_good_and_name_the_port() {
    let (hub, _) = hub().await;
    let port = hub.local_addr().port();
    let service = ServiceConnectionString::parse(&hub.service_connection_string()).unwrap();
    assert_eq!(service.host().port(), Some(port));
    let device = DeviceConnectionString::parse(&hub.device_connection_string("a").unwrap()).unwrap();
    assert_eq!((device.device_id(), device.host().port()), ("a", Some(port)));
    let event_hubs = EventHubsConnectionString::parse(&hub.event_hubs_connection_string()).unwrap();
    assert_eq!((event_hubs.entity_path(), event_hubs.endpoint().port()), (Some("localhost"), Some(port)));
    assert_eq!(hub.device_connection_string("nobody"), None);
    hub.add_device("late", DEVICE_KEY).unwrap();
    assert!(hub.device_connection_string("late").is_some());
    assert!(matches!(hub.add_device("late", DEVICE_KEY), Err(DeviceError::Registry(_))));
    assert!(matches!(hub.add_device("a b", DEVICE_KEY), Err(DeviceError::Id { .. })));
    let error = hub.add_device("other", "s3cr3t!").unwrap_err();
    assert!(matches!(error, DeviceError::Key { .. }) && !error.to_string().contains("s3cr3t"), "{error}");
}

#[tokio::test]
async fn a_client_that_trusts_another_authority_does_not_connect() {
    let (hub, _) = hub().await;
    let other = Emulator::start().await.unwrap();
    let address = hub.local_addr();
    let error = Client::builder(format!("amqps://localhost:{}", address.port()))
        .dial(address.ip().to_string(), address.port())
        .tls(TlsClient::with_ca_pem(other.ca_pem().as_bytes()).unwrap())
        .connect()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
}

#[tokio::test]
async fn a_kept_authority_is_trusted_after_a_restart_under_every_name_of_the_hub() {
    let directory = tempfile::tempdir().unwrap();
    let builder = || Emulator::builder().hostname("contoso.example").ca_dir(directory.path());
    let first = builder().start().await.unwrap();
    let trusted = std::fs::read(first.ca_path().unwrap()).unwrap();
    assert_eq!(trusted, first.ca_pem().as_bytes());
    first.shutdown().await;
    let second = builder().start().await.unwrap();
    let address = second.local_addr();
    for name in ["contoso.example", "events.contoso.example", "localhost", "127.0.0.1"] {
        Client::builder(format!("amqps://{name}:{}", address.port()))
            .dial(address.ip().to_string(), address.port())
            .tls(TlsClient::with_ca_pem(&trusted).unwrap())
            .sasl(Mssbcbs::default())
            .connect()
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[tokio::test]
async fn devices_come_from_a_file_and_what_is_wrong_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("devices.json");
    std::fs::write(&file, format!(r#"[{{"deviceId": "filed", "primaryKey": "{DEVICE_KEY}"}}]"#)).unwrap();
    let hub = Emulator::builder().devices_file(&file).start().await.unwrap();
    assert!(hub.device_connection_string("filed").is_some());

    std::fs::write(&file, r#"[{"deviceId": "filed"}]"#).unwrap();
    let error = Emulator::builder().devices_file(&file).start().await.unwrap_err();
    assert!(matches!(error, StartError::DevicesFileContent { .. }) && error.to_string().contains("primaryKey"));
    let error = Emulator::builder().devices_file(directory.path().join("none")).start().await.unwrap_err();
    assert!(matches!(error, StartError::DevicesFile { .. }));
    let error = Emulator::builder().device("a", "s3cr3t!").start().await.unwrap_err();
    assert!(matches!(error, StartError::Device(_)) && !error.to_string().contains("s3cr3t"));
    let error = Emulator::builder().policy("service", "s3cr3t!").start().await.unwrap_err();
    assert!(matches!(error, StartError::Policy { .. }) && !error.to_string().contains("s3cr3t"));
    let error = Emulator::builder().partitions(0).start().await.unwrap_err();
    assert!(matches!(error, StartError::Settings(_)));
    let error = Emulator::builder().listen(hub.local_addr()).start().await.unwrap_err();
    assert!(matches!(error, StartError::Bind { .. }));
}

#[tokio::test]
async fn plain_tcp_is_served_where_it_is_asked_for_and_redirects_to_itself() {
    let hub = Emulator::builder().amqp_listen("127.0.0.1:0".parse().unwrap()).start().await.unwrap();
    assert_eq!((hub.amqp_addr().is_some(), Emulator::start().await.unwrap().amqp_addr()), (true, None));
    let port = hub.amqp_addr().unwrap().port();
    let connection = Client::builder(format!("amqp://127.0.0.1:{port}")).sasl(Mssbcbs::default()).connect().await;
    let mut cbs = Cbs::on(&connection.unwrap()).await;
    let key = hub.with_hub(|hub, _| hub.policies().policy("service").unwrap().primary_key.base64().to_owned());
    // The clock of this hub is the machine's, and the tokens of these tests end in 2027.
    cbs.put(token(&key, "localhost", 100_000_000, Some("service"))).await.outcome().unwrap();
    let error = cbs.session.receiver("/messages/events").attach().await.unwrap_err();
    let redirect = error.redirect().unwrap();
    assert_eq!((redirect.port, redirect.address), (Some(port), Some(format!("amqp://localhost:{port}/localhost/"))));
}

#[tokio::test]
async fn links_are_detached_and_sessions_ended_before_the_connection_is_closed() {
    let (hub, _) = hub().await;
    let connection = plain(&hub, "a@sas.localhost", device_token("a")).await.unwrap();
    let session = connection.begin().await.unwrap();
    let sender = session.sender(events("a")).attach().await.unwrap();
    let receiver = session.receiver(devicebound("a")).attach().await.unwrap();
    let cbs = session.receiver("$cbs").attach().await.unwrap();
    hub.shutdown().await;
    for detached in [sender.detached().await, receiver.detached().await, cbs.detached().await] {
        assert_eq!(detached.by, amqp1::error::Cause::Peer);
        assert_eq!(detached.error.unwrap().condition.as_str(), "amqp:link:detach-forced");
    }
    assert_eq!(session.ended().await.by, amqp1::error::Cause::Peer);
    assert!(matches!(connection.closed().await, ConnectionError::ClosedByPeer(Some(_))));
}

#[tokio::test]
async fn two_starts_with_one_ca_directory_have_the_same_connection_strings() {
    let directory = tempfile::tempdir().unwrap();
    let strings = async || {
        let builder = Emulator::builder().listen("127.0.0.1:0".parse().unwrap()).ca_dir(directory.path());
        let emulator = builder.policy("device", "c2VjcmV0").start().await.unwrap();
        let key = |name: &str| {
            emulator.with_hub(|hub, _| hub.policies().policy(name).unwrap().primary_key.base64().to_owned())
        };
        let keys = ["iothubowner", "service", "device", "registryRead", "registryReadWrite"].map(key);
        emulator.shutdown().await;
        keys
    };
    let first = strings().await;
    assert_eq!(strings().await, first);
    let (one, other) = tokio::join!(strings(), strings());
    assert_eq!((&one, &other), (&first, &first));
    assert_eq!(first[2], "c2VjcmV0");
}
