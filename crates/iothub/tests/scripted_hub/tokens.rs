use crate::support::{Rules, ScriptedHub, pki, soon};
use amqp1::auth::{cbs::Reply, sas::SasToken};
use iothub::{CloudMessage, ErrorKind, ServiceClient};
use std::time::Duration;

fn service(hub: &ScriptedHub) -> iothub::ServiceClientBuilder {
    let builder = ServiceClient::builder().connection_string(&hub.service_string()).expect("a connection string");
    // So short a life is renewed after a second.
    builder.ca_pem(&pki().ca).expect("a certificate").token_lifetime(Duration::from_secs(4))
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires_on_the_same_connection() {
    let mut hub = ScriptedHub::start().await;
    let client = soon("a connection", service(&hub).connect()).await.expect("accepted");
    let first = SasToken::parse(&hub.next_token().await.token).expect("a token");
    let second = SasToken::parse(&hub.next_token().await.token).expect("a token");
    assert!(second.expiry() > first.expiry());
    assert!(soon("a login", hub.logins.recv()).await.is_some());
    assert!(hub.logins.try_recv().is_err(), "there was one connection");
    client.close().await.expect("a clean close");
}

#[tokio::test]
async fn a_renewal_that_fails_for_good_ends_the_client_with_its_reason() {
    let cbs =
        |number| Some(if number == 0 { Reply::accepted() } else { Reply::unauthorized("the key was regenerated") });
    let mut hub = ScriptedHub::with(Rules { cbs, ..Rules::default() }).await;
    let client = soon("a connection", service(&hub).connect()).await.expect("accepted");
    let waiting = tokio::spawn(async move {
        let mut feedback = client.feedback().await.expect("accepted");
        (feedback.next().await.map(drop), client)
    });
    let _sender = hub.next_sender("/messages/serviceBound/feedback").await;
    let (ended, client) = soon("the end", waiting).await.expect("no panic");
    let error = ended.expect_err("no token any more");
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(error.to_string().contains("the key was regenerated"), "{error}");
    let again = soon("an answer", client.send("d1", CloudMessage::new("x"))).await.expect_err("the client has ended");
    assert_eq!(again.kind(), ErrorKind::Unauthorized);
}

#[tokio::test]
async fn a_given_token_is_not_renewed_and_its_expiry_ends_the_client() {
    let mut hub = ScriptedHub::start().await;
    let expiry = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs() + 4;
    let string = format!(
        "HostName=localhost:{};SharedAccessKeyName=service;SharedAccessSignature=SharedAccessSignature \
         sr=localhost&sig=YWJj&se={expiry}&skn=service",
        hub.port
    );
    let builder = ServiceClient::builder().connection_string(&string).expect("a connection string");
    let client = soon("a connection", builder.ca_pem(&pki().ca).expect("a certificate").connect()).await;
    let client = client.expect("accepted");
    let waiting = tokio::spawn(async move { client.feedback().await.expect("accepted").next().await.map(drop) });
    let _sender = hub.next_sender("/messages/serviceBound/feedback").await;
    let error = soon("the end", waiting).await.expect("no panic").expect_err("expired");
    assert!(error.kind() == ErrorKind::TokenExpired && !error.is_retriable(), "{error}");
    hub.next_token().await;
    assert!(hub.tokens.try_recv().is_err(), "the same token again would not help");
}
