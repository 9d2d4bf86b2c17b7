use crate::support::{KEY, Rules, ScriptedHub, new_pki, pki, soon};
use amqp1::{
    Delivered,
    acceptor::SaslDecision,
    auth::{
        UnixSeconds,
        sas::{SasToken, SharedAccessKey},
        sasl::plain::Credentials,
    },
    codec::sasl::SaslCode,
};
use iothub::{Auth, DeviceClient, ErrorKind, ServiceClient};
use std::time::Duration;

fn service(hub: &ScriptedHub) -> iothub::ServiceClientBuilder {
    let builder = ServiceClient::builder().connection_string(&hub.service_string()).expect("a connection string");
    builder.ca_pem(&pki().ca).expect("a certificate")
}

fn verify(token: &str) -> SasToken {
    let token = SasToken::parse(token).expect("a token");
    SharedAccessKey::new(KEY).expect("a key").verify(&token, UnixSeconds::new(0)).expect("signed with the key");
    token
}

#[tokio::test]
async fn cbs_puts_a_token_for_the_hub_without_its_port() {
    let mut hub = ScriptedHub::start().await;
    let client = soon("a connection", service(&hub).connect()).await.expect("accepted");
    let put = hub.next_token().await;
    let token = verify(&put.token);
    assert_eq!((put.name.as_str(), token.resource(), token.policy()), ("localhost", "localhost", Some("service")));
    let login = soon("a login", hub.logins.recv()).await.expect("the hub runs");
    assert_eq!((login.mechanism.as_str(), login.hostname.as_deref()), ("MSSBCBS", Some("localhost")));
    client.close().await.expect("a clean close");
}

#[tokio::test]
async fn plain_sends_a_token_as_the_password() {
    let mut hub = ScriptedHub::start().await;
    let builder = DeviceClient::builder().connection_string(&hub.device_string()).expect("a connection string");
    let builder = builder.ca_pem(&pki().ca).expect("a certificate").auth(Auth::SaslPlain);
    let client = soon("a connection", builder.connect()).await.expect("accepted");
    let login = soon("a login", hub.logins.recv()).await.expect("the hub runs");
    let credentials = Credentials::parse(&login.response.expect("a response")).expect("PLAIN");
    assert_eq!(credentials.authcid(), "d1@sas.localhost");
    assert_eq!(verify(credentials.password()).resource(), "localhost/devices/d1");
    assert!(hub.tokens.try_recv().is_err(), "nothing is put to $cbs");
    client.close().await.expect("a clean close");
}

#[tokio::test]
async fn refused_credentials_are_unauthorized_by_plain_and_by_cbs() {
    let login = |_: &_| SaslDecision::Refuse(SaslCode::Sys);
    let hub = ScriptedHub::with(Rules { login, ..Rules::default() }).await;
    let error = soon("an answer", service(&hub).auth(Auth::SaslPlain).connect()).await.expect_err("refused");
    assert_eq!((error.kind(), error.is_retriable()), (ErrorKind::Unauthorized, false), "{error}");

    let cbs = |_| Some(amqp1::auth::cbs::Reply::unauthorized("The token has an invalid signature."));
    let hub = ScriptedHub::with(Rules { cbs, ..Rules::default() }).await;
    let error = soon("an answer", service(&hub).connect()).await.expect_err("refused");
    assert_eq!((error.kind(), error.is_retriable()), (ErrorKind::Unauthorized, false));
    assert!(error.to_string().contains("invalid signature"), "{error}");
    assert!(!format!("{error:?} {error}").contains(KEY));
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_a_tls_error() {
    let hub = ScriptedHub::start().await;
    let builder = service(&hub).ca_pem(new_pki().ca).expect("a certificate");
    let error = soon("an answer", builder.connect()).await.expect_err("another authority");
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");

    // The certificate is for localhost.
    let string = hub.service_string().replace("localhost", "127.0.0.1");
    let builder = ServiceClient::builder().connection_string(&string).expect("a connection string");
    let connecting = builder.ca_pem(&pki().ca).expect("a certificate").connect();
    let error = soon("an answer", connecting).await.expect_err("another name");
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
}

#[tokio::test]
async fn a_port_where_nothing_listens_is_a_connect_error() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let string = format!("HostName=localhost:{port};SharedAccessKeyName=service;SharedAccessKey={KEY}");
    let builder = ServiceClient::builder().connection_string(&string).expect("a connection string");
    let error = soon("an answer", builder.ca_pem(&pki().ca).expect("a certificate").connect()).await;
    let error = error.expect_err("nothing listens");
    assert!(error.kind() == ErrorKind::Connect && error.is_retriable(), "{error}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let string = format!("HostName=localhost:{port};SharedAccessKeyName=service;SharedAccessKey={KEY}");
    let builder = ServiceClient::builder().connection_string(&string).expect("a connection string");
    let builder = builder.ca_pem(&pki().ca).expect("a certificate").connect_timeout(Duration::from_millis(100));
    let error = soon("an answer", builder.connect()).await.expect_err("silence");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
}

#[tokio::test]
async fn a_hub_that_answers_neither_token_nor_attach_is_given_up() {
    let silent = ScriptedHub::with(Rules { cbs: |_| None, ..Rules::default() }).await;
    let builder = service(&silent).operation_timeout(Duration::from_millis(200));
    let error = soon("an answer", builder.connect()).await.expect_err("no reply to the token");
    // The token was delivered; nothing that the caller has sent was.
    assert_eq!((error.kind(), error.delivered()), (ErrorKind::Timeout, Delivered::No), "{error}");

    // The links of this one are never accepted.
    let hub = ScriptedHub::start().await;
    let builder = service(&hub).operation_timeout(Duration::from_millis(500));
    let attaching = async { builder.connect().await?.feedback().await.map(drop) };
    let error = soon("an answer", attaching).await.expect_err("no answer to the attach");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
}

#[tokio::test]
async fn without_a_connection_string_there_is_nothing_to_connect_to() {
    let kinds = [
        ServiceClient::builder().connect().await.expect_err("no string").kind(),
        DeviceClient::builder().connect().await.expect_err("no string").kind(),
        iothub::EventConsumer::builder().connect().await.expect_err("no string").kind(),
    ];
    assert_eq!(kinds, [ErrorKind::InvalidConnectionString; 3]);
}

#[tokio::test]
async fn a_certificate_stands_for_sasl_and_tokens() {
    let mut hub = ScriptedHub::start().await;
    let string = format!("HostName=localhost:{};DeviceId=d1;x509=true", hub.port);
    let builder = DeviceClient::builder().connection_string(&string).expect("a connection string");
    let (chain, key) = &pki().device;
    let connecting = builder.ca_pem(&pki().ca).expect("a certificate").client_certificate(chain, key).connect();
    let client = soon("a connection", connecting).await.expect("accepted");
    let receiving = tokio::spawn(async move { client.cloud_to_device().await.map(|messages| (messages, client)) });
    let (link, connection) = hub.next_link().await;
    assert!(!connection.peer_certificates().unwrap_or_default().is_empty());
    let _sender = crate::support::accept_sender(link);
    soon("an attach", receiving).await.expect("no panic").expect("accepted");
    assert!(hub.logins.try_recv().is_err() && hub.tokens.try_recv().is_err());
}

#[tokio::test]
async fn a_client_that_is_dropped_closes_its_connection_when_its_receivers_are_gone_too() {
    let mut hub = ScriptedHub::start().await;
    let client = soon("a connection", service(&hub).connect()).await.expect("accepted");
    let attaching = tokio::spawn(async move { client.feedback().await });
    let (link, connection) = hub.next_link().await;
    let sender = crate::support::accept_sender(link);
    let mut feedback = soon("an attach", attaching).await.expect("no panic").expect("accepted");
    // The client is gone; its receiver still works.
    drop(sender.reserve().await.expect("credit").send(amqp1::Message::builder().data("[]")).expect("sent"));
    let batch = soon("a batch", feedback.next()).await.expect("feedback").expect("not detached");
    batch.complete().expect("the link is there");
    assert!(!connection.is_closed());
    drop(feedback);
    soon("the end", connection.closed()).await;
}
