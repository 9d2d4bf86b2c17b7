//! A hub with a tier: what comes too fast is put off, then refused.

mod support;

use amqp1::Message;
use iothub_emulator::hub::{Operation, Scale, Tier};
use support::https::{Https, Request, VERSION, get, request, response};
use support::*;

#[tokio::test]
async fn too_many_messages_of_a_day_are_refused_with_the_quota() {
    let (hub, _) = hub_with(|settings| settings.scale = Some(Scale { tier: Tier::Free, units: 1 })).await;
    let session = device(&hub, "a").await;
    let telemetry = session.sender(events("a")).attach().await.unwrap();
    telemetry.send(Message::builder().data("1")).await.unwrap().accepted().unwrap();
    hub.with_hub(|hub, now| hub.meter(now, 7999 * 512)).unwrap();
    let outcome = telemetry.send(Message::builder().data("1")).await.unwrap();
    assert_eq!(rejection(outcome), "com.microsoft:quota-exceeded");
}

#[tokio::test]
async fn what_waits_already_is_refused_as_throttled_over_amqp_and_https() {
    let (hub, _) = hub_with(|settings| settings.scale = Some(Scale { tier: Tier::S1, units: 1 })).await;
    let session = device(&hub, "a").await;
    let telemetry = session.sender(events("a")).attach().await.unwrap();
    for operation in [Operation::DeviceToCloud, Operation::TwinRead] {
        hub.with_hub(|hub, now| while hub.throttle(now, operation, 0).is_ok() {});
    }
    let outcome = telemetry.send(Message::builder().data("1")).await.unwrap();
    assert_eq!(rejection(outcome), "com.microsoft:device-container-throttled");
    Https::new(&hub).send(get("/twins/a").owner()).await.refusal(429, "ThrottlingException");
}

fn telemetry(id: &str) -> Request {
    request("POST", &format!("/devices/{id}/messages/events")).body(vec![0; 600])
}

#[tokio::test]
async fn what_is_refused_by_its_token_uses_up_nothing() {
    let (hub, _) = hub_with(|settings| settings.scale = Some(Scale { tier: Tier::Free, units: 1 })).await;
    let https = Https::new(&hub);
    https.send(telemetry("a")).await.refusal(401, "IotHubUnauthorized");
    https.send(telemetry("a").token(device_token("b"))).await.refusal(401, "IotHubUnauthorizedAccess");
    hub.with_hub(|hub, now| hub.meter(now, 8000 * 512)).unwrap();
    https.send(telemetry("a").token(device_token("a"))).await.refusal(403, "IotHubQuotaExceeded");
    // And nothing that is refused waits.
    hub.with_hub(|hub, now| while hub.throttle(now, Operation::TwinRead, 0).is_ok() {});
    https.send(get("/twins/a")).await.refusal(401, "IotHubUnauthorized");
}

#[tokio::test]
async fn a_body_in_chunks_counts_as_long_as_it_is() {
    let (hub, _) = hub_with(|settings| settings.scale = Some(Scale { tier: Tier::Free, units: 1 })).await;
    let https = Https::new(&hub);
    let mut octets = format!(
        "POST /devices/a/messages/events?{VERSION} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {}\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
        device_token("a")
    );
    for _ in 0..2 {
        octets.push_str(&format!("{:x}\r\n{}\r\n", 300, "x".repeat(300)));
    }
    octets.push_str("0\r\n\r\n");
    let mut stream = https.connect().await;
    tokio::io::AsyncWriteExt::write_all(&mut stream, octets.as_bytes()).await.unwrap();
    response(&mut stream, false).await.ok(204);
    // 600 octets are two messages of the free tier.
    hub.with_hub(|hub, now| hub.meter(now, 7999 * 512)).unwrap_err();
    hub.with_hub(|hub, now| hub.meter(now, 7998 * 512)).unwrap();
}
