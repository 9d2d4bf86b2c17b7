//! Who gets in, and where to: by SASL PLAIN and by claims-based security.

use core::time::Duration;

use crate::support::*;
use amqp1::auth::sasl::Mssbcbs;
use amqp1::codec::Limits;
use amqp1::codec::frame::{Frame, FrameDecoder, ProtocolHeader, write_sasl_frame};
use amqp1::codec::sasl::{SaslBody, SaslCode, SaslInit, Secret};
use amqp1::{Client, ErrorKind, Symbol, error::ConnectionError, message::EncodeStyle, tls::TlsClient};
use bytes::BytesMut;
use iothub_emulator::Emulator;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const UNAUTHORIZED: &str = "amqp:unauthorized-access";
const NOT_FOUND: &str = "amqp:not-found";

#[tokio::test]
async fn plain_refuses_wrong_keys_expired_tokens_and_foreign_devices() {
    let (hub, _) = hub().await;
    let a = "localhost/devices/a";
    for (user, password, why) in [
        ("a@sas.localhost", token(OTHER_KEY, a, HOUR, None), "wrong key"),
        ("a@sas.localhost", token(DEVICE_KEY, a, 0, None), "expired"),
        ("b@sas.localhost", device_token("a"), "another device's token"),
        ("nobody@sas.localhost", token(DEVICE_KEY, "localhost/devices/nobody", HOUR, None), "unknown device"),
        ("a@sas.localhost", "secret".into(), "no token"),
        ("a@sas.elsewhere", device_token("a"), "another hub"),
        ("service@sas.root.localhost", token(OTHER_KEY, "localhost", HOUR, Some("service")), "wrong key of a policy"),
        ("service@sas.root.localhost", token(SERVICE_KEY, "localhost", 0, Some("service")), "expired policy token"),
        ("nobody@sas.root.localhost", token(SERVICE_KEY, "localhost", HOUR, Some("nobody")), "unknown policy"),
        ("iothubowner@sas.root.localhost", service_token(), "another policy's token"),
    ] {
        let error = plain(&hub, user, password).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication, "{why}: {error}");
    }
}

#[tokio::test]
async fn a_wrong_password_gets_outcome_2_as_on_the_real_hub() {
    let hub = Emulator::builder().amqp_listen("127.0.0.1:0".parse().unwrap()).start().await.unwrap();
    let mut stream = TcpStream::connect(hub.amqp_addr().unwrap()).await.unwrap();
    let mut out = BytesMut::from(&ProtocolHeader::SASL.encode()[..]);
    let password = token(OTHER_KEY, "localhost", HOUR, Some("service"));
    let init = SaslInit {
        mechanism: Symbol::from_static("PLAIN"),
        initial_response: Some(Secret(format!("\0service@sas.root.localhost\0{password}").into())),
        hostname: None,
    };
    write_sasl_frame(&SaslBody::Init(init), EncodeStyle::Compact, &mut out);
    stream.write_all(&out).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let mut answer = BytesMut::from(answer.strip_prefix(&ProtocolHeader::SASL.encode()).expect("the SASL header"));
    let mut decoder = FrameDecoder::sasl(512, Limits::DEFAULT);
    let offered = decoder.decode(&mut answer).unwrap();
    let Some(Frame::Sasl(SaslBody::Mechanisms(offered))) = offered else { panic!("{offered:?}") };
    let offered: Vec<_> = offered.sasl_server_mechanisms.iter().map(Symbol::as_str).collect();
    assert_eq!(offered, ["MSSBCBS", "ANONYMOUS", "PLAIN"]);
    let outcome = decoder.decode(&mut answer).unwrap();
    let Some(Frame::Sasl(SaslBody::Outcome(outcome))) = outcome else { panic!("{outcome:?}") };
    assert_eq!(outcome.code, SaslCode::Sys);
}

#[tokio::test]
async fn one_that_shows_no_token_gets_a_few_links_only() {
    let (hub, _) = hub().await;
    let mut cbs = Cbs::open(&hub).await;
    let mut links = Vec::new();
    let refused = loop {
        match cbs.session.receiver("$cbs").attach().await {
            Ok(link) => links.push(link),
            Err(error) => break error,
        }
        assert!(links.len() < 100);
    };
    assert_eq!(refusal::<()>(Err(refused)), "amqp:resource-limit-exceeded");
    links.clear();
    cbs.put(device_token("a")).await.outcome().unwrap();
    cbs.session.receiver(devicebound("a")).attach().await.unwrap();
}

#[tokio::test]
async fn cbs_refuses_wrong_keys_expired_tokens_and_unknown_devices() {
    let (hub, _) = hub().await;
    let mut cbs = Cbs::open(&hub).await;
    let a = "localhost/devices/a";
    for (text, status, why) in [
        (token(OTHER_KEY, a, HOUR, None), 401, "wrong key"),
        (token(DEVICE_KEY, a, 0, None), 401, "expired"),
        (token(DEVICE_KEY, "localhost/devices/b", HOUR, None), 401, "another device's key"),
        (token(DEVICE_KEY, "localhost/devices/nobody", HOUR, None), 404, "unknown device"),
        (token(DEVICE_KEY, "elsewhere/devices/a", HOUR, None), 401, "another hub"),
        (token(SERVICE_KEY, "localhost", HOUR, Some("nobody")), 401, "unknown policy"),
        (token(SERVICE_KEY, "localhost", HOUR, None), 401, "no policy"),
        ("SharedAccessSignature sr=a".into(), 400, "half a token"),
        ("Bearer x.y.z".into(), 400, "another kind of token"),
    ] {
        assert_eq!(cbs.put(text).await.status_code, status, "{why}");
        assert_eq!(refusal(cbs.session.receiver(devicebound("a")).attach().await), UNAUTHORIZED, "{why}");
    }
    assert_eq!(cbs.put(device_token("a")).await.status_code, 200);
    cbs.session.receiver(devicebound("a")).attach().await.unwrap();
}

#[tokio::test]
async fn before_authentication_only_nodes_that_authorise_each_request_can_be_attached() {
    let (hub, _) = hub().await;
    let cbs = Cbs::open(&hub).await;
    for address in [
        "/devices/a/messages/devicebound",
        "/devices/nobody/messages/devicebound",
        "/messages/serviceBound/feedback",
        "/messages/events/ConsumerGroups/$Default/Partitions/0",
        "localhost/ConsumerGroups/$Default/Partitions/0",
        "/devices/a/twin",
        "/devices/a/methods/devicebound",
        "elsewhere",
    ] {
        assert_eq!(refusal(cbs.session.receiver(address).attach().await), UNAUTHORIZED, "{address}");
    }
    for address in ["/devices/a/messages/events", "/devices/a/twin", "/messages/devicebound", "elsewhere"] {
        assert_eq!(refusal(cbs.session.sender(address).attach().await), UNAUTHORIZED, "{address}");
    }
}

#[tokio::test]
async fn each_identity_reaches_its_own_addresses_only() {
    let (hub, _) = hub().await;
    let by_plain = device(&hub, "a").await;
    let mut cbs = Cbs::open(&hub).await;
    cbs.put(device_token("a")).await.outcome().unwrap();
    for session in [by_plain, cbs.session] {
        session.sender(events("a")).attach().await.unwrap();
        assert_eq!(refusal(session.receiver(devicebound("b")).attach().await), UNAUTHORIZED);
        assert_eq!(refusal(session.sender(events("b")).attach().await), UNAUTHORIZED);
        assert_eq!(refusal(session.sender("/messages/devicebound").attach().await), UNAUTHORIZED);
        assert_eq!(refusal(session.receiver("/messages/serviceBound/feedback").attach().await), UNAUTHORIZED);
    }
    let service = service(&hub).await;
    assert_eq!(refusal(service.receiver(devicebound("a")).attach().await), UNAUTHORIZED);
    service.sender("/messages/devicebound").attach().await.unwrap();
}

#[tokio::test]
async fn unknown_devices_and_addresses_are_not_found_by_those_who_may_ask() {
    let (hub, _) = hub().await;
    let mut cbs = Cbs::open(&hub).await;
    cbs.put(token(OTHER_KEY, "localhost", HOUR, Some("device"))).await.outcome().unwrap();
    assert_eq!(refusal(cbs.session.receiver(devicebound("nobody")).attach().await), NOT_FOUND);
    assert_eq!(refusal(cbs.session.receiver("/devices/a/modules/none/messages/devicebound").attach().await), NOT_FOUND);
    assert_eq!(refusal(cbs.session.receiver("nowhere").attach().await), NOT_FOUND);
    // A policy may act for every device, also for several on one connection.
    cbs.session.receiver(devicebound("a")).attach().await.unwrap();
    cbs.session.receiver(devicebound("b")).attach().await.unwrap();
}

#[tokio::test]
async fn a_client_without_sasl_authenticates_by_cbs() {
    let (hub, _) = hub().await;
    let address = hub.local_addr();
    let connection = Client::builder(format!("amqps://localhost:{}", address.port()))
        .dial(address.ip().to_string(), address.port())
        .tls(TlsClient::with_ca_pem(hub.ca_pem().as_bytes()).unwrap())
        .no_sasl()
        .connect()
        .await
        .unwrap();
    let mut cbs = Cbs::on(&connection).await;
    cbs.put(device_token("a")).await.outcome().unwrap();
    cbs.session.receiver(devicebound("a")).attach().await.unwrap();
}

#[tokio::test]
async fn links_are_detached_when_their_token_expires_and_go_on_when_it_is_renewed() {
    let (hub, clock) = hub().await;
    let mut cbs = Cbs::open(&hub).await;
    let a = "localhost/devices/a";
    cbs.put(token(DEVICE_KEY, a, 100, None)).await.outcome().unwrap();
    cbs.put(token(OTHER_KEY, "localhost/devices/b", 1000, None)).await.outcome().unwrap();
    let of_a = cbs.session.receiver(devicebound("a")).attach().await.unwrap();
    let telemetry_of_a = cbs.session.sender(events("a")).attach().await.unwrap();
    let of_b = cbs.session.sender(events("b")).attach().await.unwrap();
    cbs.put(token(DEVICE_KEY, a, 200, None)).await.outcome().unwrap();
    clock.advance(Duration::from_secs(150));
    telemetry_of_a.send("still here").await.unwrap().into_result().unwrap();
    clock.advance(Duration::from_secs(50));
    for detached in [of_a.detached().await, telemetry_of_a.detached().await] {
        assert_eq!(detached.error.expect("a reason").condition.as_str(), UNAUTHORIZED);
    }
    of_b.send("not concerned").await.unwrap().into_result().unwrap();
}

#[tokio::test]
async fn a_plain_connection_is_closed_when_its_token_expires() {
    let (hub, clock) = hub().await;
    let connection = plain(&hub, "a@sas.localhost", device_token("a")).await.unwrap();
    clock.advance(Duration::from_secs(HOUR));
    match connection.closed().await {
        ConnectionError::ClosedByPeer(Some(error)) => assert_eq!(error.condition.as_str(), UNAUTHORIZED),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_device_that_is_disabled_or_removed_loses_its_links() {
    let (hub, _) = hub().await;
    let a = device(&hub, "a").await.sender(events("a")).attach().await.unwrap();
    let session = device(&hub, "b").await;
    let b = session.receiver(devicebound("b")).attach().await.unwrap();
    assert!(hub.set_device_enabled("a", false));
    assert_eq!(a.detached().await.error.expect("a reason").condition.as_str(), UNAUTHORIZED);
    assert!(hub.remove_device("b"));
    assert_eq!(b.detached().await.error.expect("a reason").condition.as_str(), NOT_FOUND);
    assert_eq!(refusal(session.receiver(devicebound("b")).attach().await), NOT_FOUND);
}

#[tokio::test]
async fn answers_of_cbs_go_to_the_session_that_asked() {
    let (hub, _) = hub().await;
    let connection = connect(&hub, Mssbcbs::default()).await.unwrap();
    let (mut one, mut two) = (Cbs::on(&connection).await, Cbs::on(&connection).await);
    one.put(device_token("a")).await.outcome().unwrap();
    two.put(device_token("b")).await.outcome().unwrap();
    assert_eq!(one.put("nonsense".into()).await.status_code, 400);
    // Tokens are the connection's, whatever the session.
    one.session.receiver(devicebound("b")).attach().await.unwrap();
}
