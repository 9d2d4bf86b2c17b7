use crate::support::{KEY, builder, device, device_builder, hub, next_event, soon, telemetry};
use amqp1_tests::relay::Relay;
use iothub::{Delivered, DeviceClient, ErrorKind, SasToken, Telemetry};
use iothub_emulator::Emulator;
use std::{
    collections::BTreeMap,
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

/// Of a message that was sent, what its sender knows.
fn knows(outcome: &Result<(), iothub::Error>) -> Delivered {
    match outcome {
        Ok(()) => Delivered::Yes,
        Err(error) => {
            assert_eq!((error.kind(), error.is_retriable()), (ErrorKind::ConnectionLost, true), "{error}");
            error.delivered()
        }
    }
}

/// A device whose connection goes through the relay.
async fn device_through(relay: &Relay, hub: &Emulator) -> DeviceClient {
    let port = |port: u16| format!("localhost:{port}");
    let string = crate::support::string(hub, "d0");
    let string = string.replace(&port(hub.local_addr().port()), &port(relay.address().port()));
    let builder = DeviceClient::builder().connection_string(&string).expect("a connection string");
    soon("a connection", builder.ca_pem(hub.ca_pem()).expect("a certificate").connect()).await.expect("accepted")
}

/// How often the hub has each message.
async fn at_the_hub(hub: &Emulator) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    soon("an outcome", device(hub, "d0").await.send(Telemetry::new("last"))).await.expect("accepted");
    let mut events = telemetry(hub).await;
    loop {
        let text = String::from_utf8(next_event(&mut events).await.body().to_vec()).expect("UTF-8");
        if text == "last" {
            return found;
        }
        *found.entry(text).or_default() += 1;
    }
}

/// What the hub says is kept back for a while before the cut, so that each answer is possible: what was accepted before
/// is known, what was sent since is not, and what waits for its turn was not sent.
#[tokio::test]
async fn telemetry_in_flight_when_a_connection_is_cut_says_what_is_known_of_it() {
    let hub = hub(1).await;
    let relay = Relay::start(hub.local_addr()).await;
    let client = Arc::new(device_through(&relay, &hub).await);
    for number in 0..10 {
        let sent = client.send(Telemetry::new(format!("early-{number}")));
        assert_eq!(knows(&soon("an outcome", sent).await), Delivered::Yes);
    }
    relay.mute();
    let mut receipts = Vec::new();
    // Until no credit is left.
    let waiting = loop {
        let text = format!("late-{}", receipts.len());
        let (client, message) = (client.clone(), Telemetry::new(text.clone()));
        let mut sending = tokio::spawn(async move { client.begin_send(message).await });
        tokio::select! {
            receipt = &mut sending => receipts.push((text, receipt.expect("no panic").expect("sent"))),
            () = tokio::time::sleep(Duration::from_secs(1)) => break (text, sending),
        }
        assert!(receipts.len() < 100_000, "credit has an end");
    };
    assert!(!receipts.is_empty());
    relay.cut();
    let mut known = BTreeMap::new();
    let (text, waiting) = waiting;
    let refused = soon("an outcome", waiting).await.expect("no panic").expect_err("cut");
    known.insert(text, knows(&Err(refused)));
    for (text, receipt) in receipts {
        known.insert(text, knows(&soon("an outcome", receipt).await));
    }
    let count = |of: Delivered| known.values().filter(|known| **known == of).count();
    assert_eq!((count(Delivered::Yes), count(Delivered::No)), (0, 1));
    let found = at_the_hub(&hub).await;
    for number in 0..10 {
        assert_eq!(found.get(&format!("early-{number}")), Some(&1));
    }
    for (text, known) in &known {
        match known {
            Delivered::No => assert_eq!(found.get(text), None, "{text}"),
            // The hub took all of these; that is what its answers would have said.
            _ => assert!(found.get(text).is_none_or(|times| *times == 1), "{text}"),
        }
    }
}

/// Cut at some moment, many times: what the hub has acknowledged is there once, what was not sent is not there, and what
/// is not known is there once or not at all.
#[tokio::test]
async fn nothing_that_was_acknowledged_is_lost_however_often_a_connection_is_cut() {
    const ROUNDS: usize = 10;
    const MESSAGES: usize = 400;
    let hub = hub(1).await;
    let relay = Arc::new(Relay::start(hub.local_addr()).await);
    let mut known = BTreeMap::new();
    for round in 0..ROUNDS {
        let client = device_through(&relay, &hub).await;
        soon("a link", client.prepare_to_send()).await.expect("attached");
        let mut receipts = Vec::new();
        for number in 0..MESSAGES {
            let text = format!("{round}-{number}");
            if number == MESSAGES * round / ROUNDS {
                relay.cut();
            }
            match soon("a turn", client.begin_send(Telemetry::new(text.clone()))).await {
                Ok(receipt) => receipts.push((text, receipt)),
                Err(error) => drop(known.insert(text, knows(&Err(error)))),
            }
        }
        for (text, receipt) in receipts {
            known.insert(text, knows(&soon("an outcome", receipt).await));
        }
    }
    assert_eq!(known.len(), ROUNDS * MESSAGES);
    let found = at_the_hub(&hub).await;
    for (text, known) in &known {
        let times = found.get(text).copied().unwrap_or_default();
        match known {
            Delivered::Yes => assert_eq!(times, 1, "{text} was acknowledged"),
            Delivered::No => assert_eq!(times, 0, "{text} was not delivered"),
            Delivered::Unknown => assert!(times <= 1, "{text} was delivered {times} times"),
        }
    }
}
