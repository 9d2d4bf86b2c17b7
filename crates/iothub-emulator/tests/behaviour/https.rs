//! What all routes have in common: errors, headers, versions, and what bounds clients.

use crate::support::https::*;
use crate::support::*;
use core::time::Duration;
use iothub_emulator::Emulator;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A route that needs a token and nothing else.
const ROUTE: &str = "/jobs/v2/job1";

#[tokio::test]
async fn what_is_not_built_is_501_and_names_the_feature() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    for (method, path, feature) in [
        ("GET", "/jobs/v2/job1", "jobs"),
        ("PUT", "/jobs/v2/job1", "jobs"),
        ("POST", "/jobs/v2/job1/cancel", "jobs"),
        ("GET", "/jobs/v2/query?jobType=x", "jobs"),
        ("POST", "/jobs/create", "import and export jobs"),
        ("GET", "/jobs", "import and export jobs"),
        ("DELETE", "/jobs/1", "import and export jobs"),
        ("GET", "/configurations?top=5", "configurations"),
        ("PUT", "/configurations/c1", "configurations"),
        ("POST", "/configurations/testQueries", "configurations"),
        ("POST", "/devices/a/applyConfigurationContent", "configurations"),
        ("GET", "/digitaltwins/a", "digital twins"),
        ("PATCH", "/DigitalTwins/a", "digital twins"),
        ("POST", "/digitaltwins/a/components/c/commands/x", "digital twins"),
    ] {
        let text = https.send(request(method, path).owner()).await.refusal(501, "FeatureNotSupported");
        assert_eq!(text, format!("this hub does not have {feature}"), "{method} {path}");
    }
}

#[tokio::test]
async fn a_response_has_the_headers_of_the_service_over_http_1_1() {
    let (hub, _) = hub().await;
    let response = Https::new(&hub).send(get(ROUTE).owner()).await;
    for name in ["date", "server", "content-length"] {
        assert!(response.header(name).is_some(), "{name}: {response:?}");
    }
    let id = response.header("x-ms-request-id").unwrap();
    assert_eq!((id.len(), id.matches('-').count()), (36, 4));
    let body = response.json();
    let tracking = body["ExceptionMessage"].as_str().unwrap();
    assert!(tracking.contains(&id.replace('-', "")), "the body names the same id: {tracking}");
    assert!(tracking.contains("-TimeStamp:2027-01-15T08:00:00"), "{tracking}");
    assert!(!response.headers.iter().any(|(name, _)| name.contains(char::is_uppercase)));
}

#[tokio::test]
async fn any_dated_version_is_taken_and_a_missing_one_is_named() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    for version in ["2016-11-14", "2020-05-31-preview", "2020-09-30", "2024-03-31"] {
        let request = bare("GET", &format!("{ROUTE}?API-Version={version}")).owner();
        https.send(request).await.refusal(501, "FeatureNotSupported");
    }
    for query in ["", "?", "?api-version=", "?api-version=latest", "?top=1"] {
        let text =
            https.send(bare("GET", &format!("{ROUTE}{query}")).owner()).await.refusal(400, "InvalidProtocolVersion");
        assert!(text.contains("api-version"), "{text}");
    }
}

#[tokio::test]
async fn an_unknown_route_and_an_unknown_method_are_service_errors() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    for path in ["/", "/nothing", "/devices/a/nothing", "/twins", "/statistics/nothing"] {
        https.send(get(path).owner()).await.refusal(404, "ResourceNotFound");
    }
    https.send(get(&"/a".repeat(3000)).owner()).await.refusal(400, "ArgumentInvalid");
}

#[tokio::test]
async fn tokens_are_checked_and_each_refusal_says_why() {
    let (hub, clock) = hub().await;
    let https = Https::new(&hub);
    let text = https.send(get(ROUTE)).await.refusal(401, "IotHubUnauthorized");
    assert!(text.contains("header is missing"), "{text}");
    let text = https.send(get(ROUTE).token("SharedAccessSignature nonsense")).await.refusal(401, "IotHubUnauthorized");
    assert!(text.contains("malformed"), "{text}");
    let text = https.send(get(ROUTE).token("Bearer abc")).await.refusal(401, "IotHubUnauthorized");
    assert!(text.contains("Entra"), "{text}");
    let forged = token(OTHER_KEY, "localhost", HOUR, Some("service"));
    let text = https.send(get(ROUTE).token(forged)).await.refusal(401, "IotHubUnauthorizedAccess");
    assert!(text.contains("signature"), "{text}");
    let stranger = token(DEVICE_KEY, "localhost/devices/nobody", HOUR, None);
    let text = https.send(get(ROUTE).token(stranger)).await.refusal(401, "IotHubUnauthorizedAccess");
    assert!(text.contains("no device of this id"), "{text}");
    let elsewhere = token(OWNER_KEY, "localhost/devices", HOUR, Some("iothubowner"));
    let text = https.send(get(ROUTE).token(elsewhere)).await.refusal(401, "IotHubUnauthorizedAccess");
    assert!(text.contains("another resource"), "{text}");
    let foreign = token(OWNER_KEY, "elsewhere.example", HOUR, Some("iothubowner"));
    let text = https.send(get(ROUTE).token(foreign)).await.refusal(401, "IotHubUnauthorizedAccess");
    assert!(text.contains("another host"), "{text}");
    clock.advance(Duration::from_secs(HOUR));
    let text = https.send(get(ROUTE).owner()).await.refusal(401, "IotHubUnauthorized");
    assert!(text.contains("expired"), "{text}");
}

#[tokio::test]
async fn sr_counts_as_it_was_written() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    for encoding in [amqp1::auth::sas::PercentEncoding::Component, amqp1::auth::sas::PercentEncoding::LowerHex] {
        let key = amqp1::auth::sas::SasKey::from_base64(OWNER_KEY).unwrap();
        let expiry = amqp1::auth::UnixSeconds::new(NOW + HOUR);
        let token = key.sign("localhost/jobs/v2", encoding, expiry, Some("iothubowner")).into_secret_text();
        https.send(get(ROUTE).token(token)).await.refusal(501, "FeatureNotSupported");
    }
}

#[tokio::test]
async fn requests_share_a_connection_and_head_has_no_body() {
    let (hub, _) = hub().await;
    let mut stream = Https::new(&hub).connect().await;
    for _ in 0..3 {
        exchange(&mut stream, &get(ROUTE).owner()).await.refusal(501, "FeatureNotSupported");
    }
    let response = exchange(&mut stream, &request("HEAD", ROUTE).owner()).await;
    assert_eq!((response.status, response.body.len()), (501, 0));
    exchange(&mut stream, &get(ROUTE).owner()).await.refusal(501, "FeatureNotSupported");
}

#[tokio::test]
async fn headers_that_are_too_large_or_are_not_http_end_the_connection() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    let mut stream = https.connect().await;
    let large = get(ROUTE).header("x-large", "x".repeat(100 * 1024)).to_octets();
    // The server may have ended the connection before it has read everything.
    let _ = stream.write_all(&large).await;
    assert_eq!(response(&mut stream, false).await.status, 431);
    let mut stream = https.connect().await;
    stream.write_all(b"AMQP\0\x01\0\0\r\n\r\n").await.unwrap();
    assert_eq!(response(&mut stream, false).await.status, 400);
    // And the listener goes on.
    https.send(get(ROUTE).owner()).await.refusal(501, "FeatureNotSupported");
}

#[tokio::test]
async fn a_client_that_is_slow_or_idle_is_cut_off() {
    let hub = Emulator::builder().handshake_timeout(Duration::from_millis(300)).start().await.unwrap();
    let https = Https::new(&hub);
    // Nothing at all; half of a request; one request, and then nothing.
    let mut silent = https.connect().await;
    let mut slow = https.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").await.unwrap();
    let mut idle = https.connect().await;
    exchange(&mut idle, &get("/")).await.refusal(404, "ResourceNotFound");
    // Half of a body.
    let key = hub.with_hub(|hub, _| hub.policies().policy("iothubowner").unwrap().primary_key.base64().to_owned());
    // The clock of this hub is the machine's, and the tokens of these tests end in 2027.
    let token = token(&key, "localhost", 100_000_000, Some("iothubowner"));
    let mut body = https.connect().await;
    let head = "PUT /devices/x?api-version=2021-04-12 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n";
    body.write_all(format!("{head}Authorization: {token}\r\n\r\n{{").as_bytes()).await.unwrap();
    let text = response(&mut body, false).await.refusal(400, "IotHubFormatError");
    assert!(text.contains("not there after"), "{text}");
    let tcp = tokio::net::TcpStream::connect(hub.https_addr()).await.unwrap();
    for stream in [&mut silent, &mut slow, &mut idle] {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
        ended.expect("the server ends it").ok();
    }
    let mut tcp = tcp;
    let ended = tokio::time::timeout(Duration::from_secs(20), tcp.read(&mut [0; 16])).await;
    assert!(matches!(ended, Ok(Ok(0) | Err(_))), "a client without TLS is cut off: {ended:?}");
}

#[tokio::test]
async fn many_connections_are_served_at_a_time() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    let mut streams = Vec::new();
    for _ in 0..200 {
        streams.push(https.connect().await);
    }
    for stream in &mut streams {
        exchange(stream, &get(ROUTE).owner()).await.refusal(501, "FeatureNotSupported");
    }
}

#[tokio::test]
async fn a_shutdown_ends_idle_connections_and_listening() {
    let (hub, _) = hub().await;
    let address = hub.https_addr();
    let mut stream = Https::new(&hub).connect().await;
    exchange(&mut stream, &get(ROUTE).owner()).await.refusal(501, "FeatureNotSupported");
    hub.shutdown().await;
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap_or(0), 0);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn https_listens_where_it_is_told_or_at_a_free_port() {
    let first = Emulator::start().await.unwrap();
    assert_eq!(first.https_note(), None);
    let address = first.https_addr();
    let second = Emulator::builder().https_listen_or_free_port(address).start().await.unwrap();
    assert_ne!(second.https_addr().port(), address.port());
    let note = second.https_note().unwrap();
    assert!(note.contains(&second.https_addr().port().to_string()) && !note.contains('\n'), "{note}");
    let error = Emulator::builder().https_listen(address).start().await.unwrap_err();
    assert!(matches!(error, iothub_emulator::StartError::Bind { place, .. } if place == address.to_string()));
}

#[tokio::test]
async fn a_client_that_waits_to_be_told_to_go_on_is_told() {
    let (hub, _) = hub().await;
    let mut stream = Https::new(&hub).connect().await;
    let head = "PUT /devices/new?api-version=2021-04-12 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n";
    let head = format!("{head}Expect: 100-continue\r\nAuthorization: {}\r\n\r\n", owner_token());
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(response(&mut stream, true).await.status, 100);
    stream.write_all(b"{}").await.unwrap();
    response(&mut stream, false).await.ok(200);
    // One that is refused is not asked for its body.
    let mut stream = Https::new(&hub).connect().await;
    let head = "PUT /devices/new?api-version=2021-04-12 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n";
    stream.write_all(format!("{head}Expect: 100-continue\r\n\r\n").as_bytes()).await.unwrap();
    response(&mut stream, false).await.refusal(401, "IotHubUnauthorized");
}
