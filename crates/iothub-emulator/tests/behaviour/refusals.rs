//! What the log says at its default level: one line for each refusal.

use crate::support;
use core::time::Duration;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::support::*;
use amqp1::auth::sasl::Anonymous;
use amqp1::{Client, Message, message::Properties, tls::TlsClient};
use iothub_emulator::Emulator;
use tokio::net::TcpStream;
use tracing::subscriber::DefaultGuard;

/// The log of this test's thread, on which all tasks run.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn start() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// The lines of the refusals since the last look.
    fn refusals(&self) -> Vec<String> {
        let octets = core::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let text = String::from_utf8(octets).unwrap();
        // Beside them only what happens once: that the emulator serves.
        text.lines().filter(|line| !line.contains("the emulator serves")).map(Into::into).collect()
    }

    /// The line of the one refusal since the last look.
    async fn refusal(&self, what: &str) -> String {
        let mut lines = Vec::new();
        while lines.is_empty() {
            lines = self.refusals();
            // A client may know of its refusal before the line is written.
            tokio::task::yield_now().await;
        }
        assert_eq!(lines.len(), 1, "{lines:#?}");
        let line = lines.remove(0);
        for part in [" WARN ", &format!("{what} refused"), "who=", "from=127.0.0.1:", "resource=", "why="] {
            assert!(line.contains(part), "{part}: {line}");
        }
        line
    }
}

fn contains(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_authority_is_named() {
    let (log, _guard) = Log::start();
    let (hub, _) = hub().await;
    let (other, _) = support::hub().await;
    let port = hub.local_addr().port();
    let client = Client::builder(format!("amqps://localhost:{port}"))
        .dial("127.0.0.1", port)
        .tls(TlsClient::with_ca_pem(other.ca_pem().as_bytes()).unwrap())
        .no_sasl();
    client.connect().await.unwrap_err();
    contains(&log.refusal("connection").await, &["AMQP over TLS", "does not trust the certificate"]);
}

#[tokio::test]
async fn a_client_that_speaks_no_tls_is_named() {
    let (log, _guard) = Log::start();
    let (hub, _) = hub().await;
    let port = hub.local_addr().port();
    Client::builder(format!("amqp://localhost:{port}")).dial("127.0.0.1", port).connect().await.unwrap_err();
    contains(&log.refusal("connection").await, &["AMQP over TLS", "TLS"]);
}

#[tokio::test]
async fn those_who_only_look_whether_the_port_is_open_leave_no_line() {
    let (log, _guard) = Log::start();
    let (hub, _) = hub().await;
    drop(TcpStream::connect(hub.local_addr()).await.unwrap());
    // Whatever would be said about it is said before this one is through.
    device(&hub, "a").await;
    assert_eq!(log.refusals(), [""; 0]);
}

#[tokio::test]
async fn a_wrong_password_is_one_line_without_the_password() {
    let (log, _guard) = Log::start();
    let (hub, _) = hub().await;
    let password = token(OTHER_KEY, "localhost/devices/a", HOUR, None);
    plain(&hub, "a@sas.localhost", password.clone()).await.unwrap_err();
    let line = log.refusal("connection").await;
    contains(&line, &[r#"who="a@sas.localhost""#, "matches neither the primary nor the secondary key"]);
    let signature = password.split("sig=").nth(1).unwrap().split('&').next().unwrap();
    assert!(!line.contains(signature), "{line}");
}

#[tokio::test]
async fn tokens_requests_and_links_are_refused_in_one_line_each() {
    let (log, _guard) = Log::start();
    let (hub, _) = hub().await;
    let mut cbs = Cbs::open(&hub).await;
    cbs.put(token(OTHER_KEY, "localhost/devices/a", HOUR, None)).await;
    let line = log.refusal("token").await;
    contains(&line, &["who=\"refused token for localhost/devices/a\"", r#"resource="what it is for""#, "401002"]);
    assert!(!line.contains("sig="), "{line}");
    cbs.put(token(OTHER_KEY, "localhost", HOUR, Some("service"))).await;
    contains(&log.refusal("token").await, &["who=\"refused token of policy service for localhost\"", "401002"]);

    refusal(cbs.session.receiver(devicebound("a")).attach().await);
    contains(&log.refusal("link").await, &[r#"resource="/devices/a/messages/devicebound""#, "no valid token"]);

    cbs.put(device_token("a")).await.outcome().unwrap();
    refusal(cbs.session.sender(events("b")).attach().await);
    contains(&log.refusal("link").await, &[r#"who="device a""#, r#"resource="/devices/b/messages/events""#]);

    let requests = cbs.session.sender("$management").attach().await.unwrap();
    let mut answers = cbs.session.receiver("$management").attach().await.unwrap();
    let request = Message::builder().properties(Properties { message_id: Some("1".into()), ..Properties::default() });
    requests.send(request.data("")).await.unwrap().into_result().unwrap();
    next(&mut answers).await;
    contains(&log.refusal("request").await, &[r#"who="device a""#, r#"resource="/$management""#, "401002"]);

    // This one is told where to go.
    let session = service(&hub).await;
    refusal(session.receiver("/messages/events/ConsumerGroups/$Default/Partitions/0").attach().await);
    assert_eq!(log.refusals(), [""; 0]);
}

#[tokio::test]
async fn messages_that_are_not_taken_are_one_line_each() {
    let (log, _guard) = Log::start();
    let (hub, _) = hub_with(|settings| settings.telemetry.max_size = 10).await;
    let sender = service(&hub).await.sender("/messages/devicebound").attach().await.unwrap();
    rejection(sender.send(c2d("nobody", "m")).await.unwrap());
    let line = log.refusal("message").await;
    contains(&line, &[r#"who="policy service""#, r#"resource="/devices/nobody/messages/devicebound""#, "404001"]);
    let sender = device(&hub, "a").await.sender(events("a")).attach().await.unwrap();
    rejection(sender.send("more than ten octets").await.unwrap());
    contains(
        &log.refusal("telemetry").await,
        &[r#"who="device a""#, r#"resource="/devices/a/messages/events""#, "413001"],
    );
}

#[tokio::test]
async fn a_link_that_may_not_go_on_is_one_line() {
    let (log, _guard) = Log::start();
    let (hub, clock) = hub().await;
    let mut cbs = Cbs::open(&hub).await;
    cbs.put(token(DEVICE_KEY, "localhost/devices/a", 100, None)).await.outcome().unwrap();
    let link = cbs.session.receiver(devicebound("a")).attach().await.unwrap();
    clock.advance(Duration::from_secs(100));
    link.detached().await;
    contains(
        &log.refusal("link").await,
        &[r#"who="device a""#, r#"resource="/devices/a/messages/devicebound""#, "401002"],
    );
}

#[tokio::test]
async fn what_a_client_calls_itself_stays_in_its_line() {
    let (log, _guard) = Log::start();
    let hub = Emulator::builder().amqp_listen("127.0.0.1:0".parse().unwrap()).start().await.unwrap();
    let connection = Client::builder(format!("amqp://{}", hub.amqp_addr().unwrap()))
        .container_id(format!("x\n2026 WARN all is lost\u{1b}[2J{}", "y".repeat(400)))
        .sasl(Anonymous::default())
        .connect()
        .await
        .unwrap();
    let session = connection.begin().await.unwrap();
    refusal(session.receiver(format!("a\r\nb\u{202e}c\u{0}{}", "z".repeat(10_000))).attach().await);
    let line = log.refusal("link").await;
    contains(&line, &["x\\n2026 WARN all is lost\\u{1b}[2J", "a\\r\\nb\\u{202e}c\\u{0}"]);
    assert!(line.len() < 2000, "{}", line.len());
}

#[tokio::test]
async fn of_many_refusals_of_one_connection_the_first_ones_are_logged() {
    let (log, _guard) = Log::start();
    let (hub, _) = hub().await;
    let session = connect(&hub, Anonymous::default()).await.unwrap().begin().await.unwrap();
    for _ in 0..50 {
        session.sender(events("a")).attach().await.unwrap_err();
    }
    let mut lines = log.refusals();
    assert_eq!(lines.len(), 21, "{lines:#?}");
    let last = lines.pop().unwrap();
    contains(&last, &["WARN", "from=127.0.0.1:", "further refusals of this connection are not shown"]);
    assert!(lines.iter().all(|line| line.contains("link refused")), "{lines:#?}");
    // Other connections have their own.
    let session = connect(&hub, Anonymous::default()).await.unwrap().begin().await.unwrap();
    session.sender(events("a")).attach().await.unwrap_err();
    log.refusal("link").await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_given_up_after_the_handshake_time() {
    let (log, _guard) = Log::start();
    let hub = Emulator::builder().handshake_timeout(Duration::from_secs(30)).start().await.unwrap();
    let start = tokio::time::Instant::now();
    let mut stream = TcpStream::connect(hub.local_addr()).await.unwrap();
    // It ends, in whatever way.
    let mut octets = [0; 64];
    while matches!(tokio::io::AsyncReadExt::read(&mut stream, &mut octets).await, Ok(1..)) {}
    let waited = start.elapsed().as_secs();
    assert!((30..60).contains(&waited), "{waited} s");
    log.refusal("connection").await;
}

#[tokio::test]
async fn a_producer_at_the_built_in_endpoint_is_refused_with_what_to_do_instead() {
    let (hub, _) = hub().await;
    let session = service(&hub).await;
    let entity = hub.with_hub(|hub, _| hub.settings().entity().to_owned());
    for address in [entity.clone(), format!("amqps://localhost/{entity}/"), format!("{entity}/Partitions/0")] {
        let error = session.sender(address.as_str()).attach().await.expect_err("it is refused").to_string();
        assert!(error.contains("amqp:unauthorized-access"), "{address}: {error}");
        assert!(error.contains("as a device, to /devices/{id}/messages/events"), "{address}: {error}");
    }
    let error = session.sender("something-else").attach().await.expect_err("it is refused").to_string();
    assert!(error.contains("amqp:not-found"), "{error}");
    hub.shutdown().await;
}

#[tokio::test]
async fn a_consumer_group_that_is_missing_is_refused_with_the_option_that_adds_it() {
    let (log, _guard) = Log::start();
    let (hub, _) = hub().await;
    let connection = service(&hub).await;
    refusal(connection.receiver("localhost/ConsumerGroups/other/Partitions/0").attach().await);
    contains(&log.refusal("link").await, &["no such consumer group", "--consumer-group NAME"]);
}

#[tokio::test]
async fn a_request_over_https_is_named_with_its_route_and_never_with_its_token() {
    let (log, _guard) = Log::start();
    let (hub, _) = hub().await;
    let client = https::Https::new(&hub);
    let token = service_token();
    client.send(https::get("/devices/a").token(&token)).await.refusal(401, "IotHubUnauthorizedAccess");
    let line = log.refusal("request").await;
    contains(&line, &["policy service", "GET /devices/a", "401002", "RegistryRead is needed"]);
    assert!(!line.contains("sig=") && !line.contains(&token), "{line}");
    client.send(https::get("/devices/a")).await.refusal(401, "IotHubUnauthorized");
    contains(&log.refusal("request").await, &["unknown", "GET /devices/a", "401003", "header is missing"]);
    let wrong = support::token(OTHER_KEY, "localhost", HOUR, Some("service"));
    client.send(https::get("/devices/a").token(&wrong)).await.refusal(401, "IotHubUnauthorizedAccess");
    let line = log.refusal("request").await;
    contains(&line, &["refused token of policy service for localhost", "GET /devices/a", "401002"]);
    assert!(!line.contains("sig=") && !line.contains(&wrong), "{line}");
    client.send(https::get("/jobs/v2/x").owner()).await.refusal(501, "FeatureNotSupported");
    contains(&log.refusal("request").await, &["policy iothubowner", "GET /jobs/v2/x", "does not have jobs"]);
    // An ordinary answer to an ordinary question.
    client.send(https::get("/devices/none").owner()).await.refusal(404, "DeviceNotFound");
    assert_eq!(log.refusals(), Vec::<String>::new());
}

#[tokio::test]
async fn of_one_https_connection_a_bounded_number_of_refusals_is_logged() {
    let (log, _guard) = Log::start();
    let (hub, _) = hub().await;
    let mut stream = https::Https::new(&hub).connect().await;
    for _ in 0..30 {
        https::exchange(&mut stream, &https::get("/devices/a")).await.refusal(401, "IotHubUnauthorized");
    }
    let lines = log.refusals();
    assert_eq!(lines.len(), 21, "{lines:#?}");
    assert!(lines[20].contains("further refusals"), "{}", lines[20]);
}
