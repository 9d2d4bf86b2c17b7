//! A hub with a tier: what comes too fast is put off, then refused.

use core::time::Duration;

use crate::support::https::{Https, Request, VERSION, get, patch, post, request, response};
use crate::support::*;
use amqp1::{Message, Receiver, Session, Symbol, link::SendOptions, message::Properties};
use iothub_emulator::Emulator;
use iothub_emulator::hub::{ErrorCode, Operation, Scale, Tier};
use serde_json::json;

#[tokio::test]
async fn too_many_messages_of_a_day_are_refused_with_the_quota() {
    let (hub, _) = hub_with(|settings| settings.scale = Some(Scale { tier: Tier::Free, units: 1 })).await;
    let session = device(&hub, "a").await;
    let telemetry = session.sender(events("a")).attach().await.unwrap();
    telemetry.send(Message::builder().data("1")).await.unwrap().into_result().unwrap();
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

/// The clock stands still, so that what waits for its rate would wait for ever.
#[tokio::test]
async fn what_an_ended_link_has_left_does_not_hold_up_the_shutdown() {
    let (hub, _) = hub_with(|settings| settings.scale = Some(Scale { tier: Tier::S1, units: 1 })).await;
    hub.with_hub(|hub, now| while hub.throttle(now, Operation::CloudToDevice, 0) == Ok(Duration::ZERO) {});
    let session = service(&hub).await;
    let sender = session.sender("/messages/devicebound").attach().await.unwrap();
    let unsettled = SendOptions { settled: false, tag: None, message_format: 0 };
    for number in 0..40 {
        let message = c2d("a", &number.to_string());
        drop(sender.reserve().await.unwrap().send_with(message, unsettled).unwrap());
    }
    sender.close().await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), hub.shutdown()).await.expect("nothing waits");
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

async fn free() -> Emulator {
    hub_with(|settings| settings.scale = Some(Scale { tier: Tier::Free, units: 1 })).await.0
}

/// Checks how many messages of half a kilobyte the hub has counted, and uses up the rest of the day's.
#[track_caller]
fn counted(hub: &Emulator, messages: usize) {
    hub.with_hub(|hub, now| {
        assert!(hub.meter(now, (8001 - messages) * 512).is_err(), "fewer than {messages}");
        assert_eq!(hub.meter(now, (8000 - messages) * 512), Ok(()), "more than {messages}");
        assert_eq!(hub.check_quota(now).unwrap_err().code(), ErrorCode::IotHubQuotaExceeded);
    });
}

#[tokio::test]
async fn what_is_read_and_written_of_twins_over_https_counts_by_its_size() {
    let hub = free().await;
    let https = Https::new(&hub);
    // 1,000 octets and what is around them: 2 + 1 messages, and what is answered to a change is free.
    let text = "x".repeat(1000);
    let document = json!({ "properties": { "desired": { "a": text } } });
    https.send(patch("/twins/a", &document).owner()).await.ok(200);
    let refused = patch("/twins/a", &json!({ "properties": { "desired": { "a.b": 1 } } })).owner();
    https.send(refused).await.refusal(400, "ArgumentInvalid");
    let read = https.send(get("/twins/a").owner()).await.ok(200).body.len().div_ceil(512);
    assert!(read > 3, "{read}");
    counted(&hub, 3 + read);
    https.send(get("/twins/a").owner()).await.refusal(403, "IotHubQuotaExceeded");
    https.send(patch("/twins/a", &document).owner()).await.refusal(403, "IotHubQuotaExceeded");
    https.send(get("/devices/a").owner()).await.ok(200);
}

#[tokio::test]
async fn results_of_queries_count_by_their_size() {
    let hub = free().await;
    let https = Https::new(&hub);
    let query = json!({ "query": "SELECT * FROM devices" });
    let rows = https.send(post("/devices/query", &query).owner()).await.ok(200).body.len().div_ceil(512);
    assert!(rows > 1, "{rows}");
    counted(&hub, rows);
    https.send(post("/devices/query", &query).owner()).await.refusal(403, "IotHubQuotaExceeded");
}

#[tokio::test]
async fn a_call_of_a_device_that_is_not_there_counts_with_its_answer() {
    let hub = free().await;
    let https = Https::new(&hub);
    let call = json!({ "methodName": "reboot", "payload": "x".repeat(600) });
    assert_eq!(https.send(post("/twins/b/methods", &call).owner()).await.status, 404);
    assert_eq!(https.send(post("/twins/none/methods", &call).owner()).await.status, 404);
    counted(&hub, 2 + 1);
    let response = https.send(post("/twins/b/methods", &call).owner()).await;
    assert_eq!((response.status, response.header("iothub-errorcode")), (403, Some("IotHubQuotaExceeded")));
}

/// Answers the next call of a method.
async fn answer_method(session: &Session, mut calls: Receiver, payload: String) {
    let answers = session.sender("/devices/a/methods/devicebound").attach().await.unwrap();
    let call = next(&mut calls).await;
    let correlation_id = call.message().properties().unwrap().unwrap().correlation_id;
    let answer = Message::builder()
        .properties(Properties { correlation_id, ..Properties::default() })
        .application_property("IoThub-status", 200)
        .data(json!(payload).to_string());
    answers.send(answer).await.unwrap().into_result().unwrap();
}

#[tokio::test]
async fn the_answer_of_a_device_to_a_method_counts_like_the_request() {
    let hub = free().await;
    let session = device(&hub, "a").await;
    let calls = session.receiver("/devices/a/methods/devicebound").attach().await.unwrap();
    let answering = tokio::spawn(async move { answer_method(&session, calls, "x".repeat(1200)).await });
    let call = json!({ "methodName": "m", "payload": "x".repeat(600), "connectTimeoutInSeconds": 30 });
    Https::new(&hub).send(post("/twins/a/methods", &call).owner()).await.ok(200);
    answering.await.unwrap();
    counted(&hub, 2 + 3);
}

#[tokio::test]
async fn what_a_device_reads_reports_and_is_notified_of_counts() {
    let hub = free().await;
    let session = device(&hub, "a").await;
    let requests = session.sender("/devices/a/twin").attach().await.unwrap();
    let mut answers = session.receiver("/devices/a/twin").attach().await.unwrap();
    let ask = async |operation: &'static str, resource: &'static str, data: String, answers: &mut Receiver| {
        let request = Message::builder()
            .message_annotation(Symbol::from_static("operation"), operation)
            .message_annotation(Symbol::from_static("resource"), resource)
            .properties(Properties { correlation_id: Some("id".into()), ..Properties::default() })
            .data(data);
        requests.send(request).await.unwrap().into_result().unwrap();
        body(&next(answers).await)
    };
    let reported = json!({ "a": "x".repeat(600) }).to_string();
    ask("PATCH", "/properties/reported", reported, &mut answers).await;
    let read = ask("GET", "", " ".into(), &mut answers).await.len().div_ceil(512);
    ask("PUT", "/notifications/twin/properties/desired", " ".into(), &mut answers).await;
    let desired = json!({ "properties": { "desired": { "b": "x".repeat(600) } } });
    Https::new(&hub).send(patch("/twins/a", &desired).owner()).await.ok(200);
    let notified = body(&next(&mut answers).await).len().div_ceil(512);
    assert!(read > 1 && notified > 1, "{read}, {notified}");
    counted(&hub, 2 + read + 2 + notified);
    let refused = ask("GET", "", " ".into(), &mut answers).await;
    assert!(refused.contains("403002"), "{refused}");
}
