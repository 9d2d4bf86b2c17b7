use crate::support::{KEY, builder, device, device_builder, hub, next_event, soon, telemetry};
use iothub::{DeviceClient, ErrorKind, SasToken, Telemetry};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// A token for the first device, as a service that keeps keys would sign it.
fn sign(resource: &str, seconds: u64) -> SasToken {
    use iothub::amqp1::{
        auth::sas::{PercentEncoding, SasKey},
        cbs::Token,
    };
    let key = SasKey::from_base64(KEY).expect("a key");
    key.sign(resource, PercentEncoding::Component, Token::expiry_in(seconds), None)
}

#[tokio::test]
async fn a_provider_is_asked_for_the_device_and_again_before_a_token_expires() {
    let hub = hub(1).await;
    let host = format!("localhost:{}", hub.local_addr().port());
    let asked = Arc::new(AtomicUsize::new(0));
    let provider = {
        let asked = asked.clone();
        move |resource: String| {
            let asked = asked.clone();
            async move {
                assert_eq!(resource, "localhost/devices/d0");
                asked.fetch_add(1, Ordering::SeqCst);
                Ok(sign(&resource, 4))
            }
        }
    };
    let builder = DeviceClient::builder().identity(&host, "d0").expect("names").token_provider(provider);
    let client = builder.ca_pem(hub.ca_pem()).expect("a certificate").connect();
    let client = soon("a connection", client).await.expect("accepted");
    soon("renewals", async {
        while asked.load(Ordering::SeqCst) < 3 {
            soon("an outcome", client.send(Telemetry::new("x"))).await.expect("accepted");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_provider_without_a_token_says_why() {
    let hub = hub(1).await;
    let provider = |_: String| async { Err("the vault is sealed".into()) };
    let error = soon("an answer", device_builder(&hub, "d0").token_provider(provider).connect()).await;
    let error = error.expect_err("no token");
    assert_eq!((error.kind(), error.is_retriable()), (ErrorKind::Unauthorized, true));
    assert!(error.to_string().contains("the vault is sealed"), "{error}");
}

#[tokio::test]
async fn a_ready_token_is_used_until_it_expires() {
    let hub = hub(1).await;
    let host = format!("localhost:{}", hub.local_addr().port());
    let token = sign("localhost/devices/d0", 3);
    let string = format!("HostName={host};DeviceId=d0;SharedAccessSignature={}", token.as_str());
    let builder = DeviceClient::builder().connection_string(&string).expect("a connection string");
    let client = soon("a connection", builder.ca_pem(hub.ca_pem()).expect("a certificate").connect()).await;
    let client = client.expect("accepted");
    soon("an outcome", client.send(Telemetry::new("x"))).await.expect("accepted");
    let mut messages = soon("a link", client.cloud_to_device()).await.expect("attached");
    let error = soon("the end", messages.next()).await.expect_err("expired");
    assert!(matches!(error.kind(), ErrorKind::TokenExpired | ErrorKind::Unauthorized), "{error}");
    let error = soon("the end", async {
        loop {
            match client.send(Telemetry::new("x")).await {
                Err(error) => break error,
                Ok(()) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    });
    assert!(matches!(error.await.kind(), ErrorKind::TokenExpired | ErrorKind::Unauthorized));
}

#[tokio::test]
async fn after_an_emulator_was_restarted_a_new_client_goes_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = builder(1).ca_dir(directory.path()).start().await.expect("a hub");
    let port = first.local_addr();
    let client = device(&first, "d0").await;
    soon("an outcome", client.send(Telemetry::new("before"))).await.expect("accepted");
    let mut messages = soon("a link", client.cloud_to_device()).await.expect("attached");
    let mut methods = soon("the links", client.methods()).await.expect("attached");
    let twin = soon("the links", client.twin()).await.expect("attached");
    let mut changes = soon("a watch", twin.watch_desired()).await.expect("subscribed");
    soon("all", changes.next()).await.expect("a change");
    soon("the end", first.shutdown()).await;
    // Each part says so, and what was sent and not answered is an error.
    for (what, error) in [
        ("messages", soon("the end", messages.next()).await.expect_err("over")),
        ("methods", soon("the end", methods.next()).await.expect_err("over")),
        ("changes", soon("the end", changes.next()).await.expect_err("over")),
        ("twin", soon("the end", twin.get()).await.expect_err("over")),
        ("telemetry", soon("the end", client.send(Telemetry::new("x"))).await.expect_err("over")),
    ] {
        assert_eq!((error.kind(), error.is_retriable()), (ErrorKind::ConnectionLost, true), "{what}: {error}");
    }
    let refused = soon("an answer", client.twin()).await.expect_err("over");
    assert_eq!(refused.kind(), ErrorKind::ConnectionLost);

    let second = builder(1).ca_dir(directory.path()).listen(port).start().await.expect("a hub at the same port");
    let client = device(&second, "d0").await;
    let twin = soon("the links", client.twin()).await.expect("attached");
    soon("a watch", changes.resume(&twin)).await.expect("subscribed");
    soon("an outcome", client.send(Telemetry::new("after"))).await.expect("accepted");
    assert_eq!(&next_event(&mut telemetry(&second).await).await.body()[..], b"after");
}
