//! The device side over HTTPS: telemetry and cloud-to-device messages.

use crate::support::https::*;
use crate::support::*;
use amqp1::Message;
use iothub_emulator::hub::{DeviceId, EventPosition, Settings};
use serde_json::json;

const EVENTS: &str = "/devices/a/messages/events";
const BOUND: &str = "/devices/a/messages/devicebound";

fn as_a(request: Request) -> Request {
    request.token(device_token("a"))
}

/// What is in the partition of a device, as it was stored.
fn stored(hub: &iothub_emulator::Emulator) -> Vec<Message> {
    hub.with_hub(|hub, _| {
        let partition = hub.partition_of(&"a".parse().unwrap());
        let mut cursor = hub.cursor(partition, EventPosition::Start).unwrap();
        let events = hub.read(&mut cursor, 100);
        events.iter().map(|event| Message::received([event.payload.clone()], Default::default())).collect()
    })
}

fn text(message: &Message, name: &str) -> Option<String> {
    message.application_property(name).unwrap().map(|value| value.as_text().unwrap().to_owned())
}

#[tokio::test]
async fn telemetry_arrives_with_its_properties() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    let request = request("POST", EVENTS)
        .header("iothub-to", EVENTS)
        .header("iothub-app-color", "red")
        .header("IoTHub-MessageId", "m1")
        .header("iothub-contenttype", "application/json")
        .header("iothub-contentencoding", "utf-8")
        .header("content-type", "application/octet-stream")
        .body("{\"t\":20}");
    let response = https.send(as_a(request)).await.ok(204);
    assert!(response.body.is_empty());
    let messages = stored(&hub);
    assert_eq!(messages.len(), 1);
    let properties = messages[0].properties().unwrap().unwrap();
    assert_eq!(properties.message_id.unwrap().to_string(), "m1");
    assert_eq!(properties.content_type.unwrap().as_str(), "application/json");
    assert_eq!(properties.content_encoding.unwrap().as_str(), "utf-8");
    assert_eq!(text(&messages[0], "color").as_deref(), Some("red"));
    assert_eq!(&messages[0].data().unwrap()[..], b"{\"t\":20}");
}

#[tokio::test]
async fn a_batch_is_several_messages() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    let batch = json!([
        { "body": "b25l", "properties": { "iothub-app-n": "1", "iothub-messageid": "m1" } },
        { "body": "two", "base64Encoded": false },
        { "body": "dGhyZWU=", "base64Encoded": true, "properties": { "iothub-app-n": "3" } },
    ]);
    let send = |body: String| {
        as_a(request("POST", EVENTS)).header("Content-Type", "application/vnd.microsoft.iothub.json").body(body)
    };
    https.send(send(batch.to_string())).await.ok(204);
    let messages = stored(&hub);
    let bodies: Vec<_> = messages.iter().map(|message| message.data().unwrap().to_vec()).collect();
    assert_eq!(bodies, [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]);
    assert_eq!(text(&messages[2], "n").as_deref(), Some("3"));
    for wrong in ["{}", "[1]", "[{}]", "[{\"body\":\"***\"}]"] {
        https.send(send(wrong.into())).await.refusal(400, "IotHubFormatError");
    }
    assert_eq!(stored(&hub).len(), 3, "nothing of a batch that is refused");
}

#[tokio::test]
async fn a_batch_has_500_messages_at_most_though_they_are_empty() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    let send = |messages: usize| {
        let batch = vec![json!({ "body": "" }); messages];
        let request = as_a(request("POST", EVENTS)).header("Content-Type", "application/vnd.microsoft.iothub.json");
        request.body(json!(batch).to_string())
    };
    https.send(send(500)).await.ok(204);
    https.send(send(501)).await.refusal(413, "MessageTooLarge");
    let properties = hub.with_hub(|hub, _| {
        let partition = hub.partition_of(&"a".parse().unwrap());
        hub.partition_properties(partition).unwrap()
    });
    assert_eq!(properties.last_sequence_number, 499);
}

#[tokio::test]
async fn telemetry_of_a_module_and_the_path_that_java_writes() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    https.send(put("/devices/a/modules/extra", &json!({})).owner()).await.ok(200);
    for path in ["/devices/a/modules/extra/messages/events", "/devices/a/modules/extra//messages/events"] {
        https.send(request("POST", path).body("x").owner()).await.ok(204);
    }
    let modules = hub.with_hub(|hub, _| {
        let mut cursor = hub.cursor(hub.partition_of(&"a".parse().unwrap()), EventPosition::Start).unwrap();
        let events = hub.read(&mut cursor, 100);
        events.iter().filter(|event| event.origin.module.as_ref().is_some_and(|id| id.as_str() == "extra")).count()
    });
    assert_eq!(modules, 2);
    https.send(request("POST", "/devices/a/modules/none/messages/events").owner()).await.refusal(404, "ModuleNotFound");
}

#[tokio::test]
async fn what_is_too_large_or_another_devices_is_refused() {
    let (hub, _) = hub_with(|settings: &mut Settings| settings.telemetry.max_size = 1000).await;
    let https = Https::new(&hub);
    https.send(as_a(request("POST", EVENTS)).body(vec![b'x'; 1001])).await.refusal(413, "MessageTooLarge");
    https
        .send(as_a(request("POST", "/devices/b/messages/events")).body("x"))
        .await
        .refusal(401, "IotHubUnauthorizedAccess");
    https.send(request("POST", EVENTS).body("x").token(service_token())).await.refusal(401, "IotHubUnauthorizedAccess");
    https.send(request("POST", "/devices/none/messages/events").body("x").owner()).await.refusal(404, "DeviceNotFound");
    hub.set_device_enabled("a", false);
    https.send(as_a(request("POST", EVENTS)).body("x")).await.refusal(403, "DeviceDisabled");
    https.send(request("POST", EVENTS).body("x").owner()).await.refusal(403, "DeviceDisabled");
    assert!(stored(&hub).is_empty());
}

#[tokio::test]
async fn a_message_is_received_with_its_properties_and_completed() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    let response = https.send(as_a(get(BOUND))).await.ok(204);
    assert!(response.body.is_empty() && response.header("etag").is_none());
    let sender = service(&hub).await.sender("/messages/devicebound").attach().await.unwrap();
    let message = c2d("a", "one").application_property("level", 5_i32).application_property("name", "x y");
    sender.send(message).await.unwrap().into_result().unwrap();
    let response = https.send(as_a(get(BOUND))).await.ok(200);
    assert_eq!(response.body, b"one");
    for (name, value) in [
        ("iothub-messageid", "one"),
        ("iothub-to", BOUND),
        ("iothub-ack", "full"),
        ("iothub-sequencenumber", "1"),
        ("iothub-deliverycount", "0"),
        ("iothub-enqueuedtime", "2027-01-15T08:00:00.000Z"),
        ("iothub-app-level", "5"),
        ("iothub-app-name", "x y"),
    ] {
        assert_eq!(response.header(name), Some(value), "{name}");
    }
    let lock = response.header("etag").unwrap().trim_matches('"').to_owned();
    https.send(as_a(get(BOUND))).await.ok(204);
    https.send(as_a(delete(&format!("{BOUND}/{lock}")))).await.ok(204);
    https.send(as_a(delete(&format!("{BOUND}/{lock}")))).await.refusal(412, "DeviceMessageLockLost");
    https.send(as_a(delete(&format!("{BOUND}/nonsense")))).await.refusal(412, "DeviceMessageLockLost");
    assert_eq!(hub.with_hub(|hub, _| hub.queue_depth("a".parse::<DeviceId>().unwrap())), 0);
}

#[tokio::test]
async fn a_message_is_abandoned_and_rejected() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    let sender = service(&hub).await.sender("/messages/devicebound").attach().await.unwrap();
    sender.send(c2d("a", "one")).await.unwrap().into_result().unwrap();
    let lock = |response: &Response| response.header("etag").unwrap().trim_matches('"').to_owned();
    let first = https.send(as_a(get("/Devices/a/Messages/DeviceBound"))).await.ok(200);
    https.send(as_a(request("POST", &format!("{BOUND}/{}/abandon", lock(&first))))).await.ok(204);
    let second = https.send(as_a(get(BOUND))).await.ok(200);
    assert_eq!(second.header("iothub-deliverycount"), Some("1"));
    https.send(as_a(delete(&format!("{BOUND}/{}?reject", lock(&second))))).await.ok(204);
    assert_eq!(hub.with_hub(|hub, _| hub.queue_depth("a".parse::<DeviceId>().unwrap())), 0);
    hub.with_hub(|hub, now| {
        hub.flush_feedback(now);
        let consumer = hub.add_consumer();
        let feedback = hub.take_feedback(now, consumer).unwrap();
        assert!(String::from_utf8_lossy(&feedback.body).contains("Rejected"));
    });
}

#[tokio::test]
async fn a_device_whose_id_looks_like_a_lock_settles_its_own() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    let id = "5d2a7b0e-3c1f-4f5a-9a67-0123456789ab";
    hub.add_device(id, DEVICE_KEY).unwrap();
    let sender = service(&hub).await.sender("/messages/devicebound").attach().await.unwrap();
    sender.send(c2d(id, "one")).await.unwrap().into_result().unwrap();
    let bound = format!("/devices/{id}/messages/devicebound");
    let response = https.send(get(&bound).owner()).await.ok(200);
    let lock = response.header("etag").unwrap().trim_matches('"').to_owned();
    https.send(delete(&format!("{bound}/{lock}")).owner()).await.ok(204);
}

#[tokio::test]
async fn a_module_receives_its_messages() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    https.send(put("/devices/a/modules/extra", &json!({})).owner()).await.ok(200);
    let sender = service(&hub).await.sender("/messages/devicebound").attach().await.unwrap();
    let to = "/devices/a/modules/extra/messages/devicebound";
    let properties = amqp1::message::Properties { to: Some(to.into()), ..amqp1::message::Properties::default() };
    sender.send(Message::builder().properties(properties).data("for m")).await.unwrap().into_result().unwrap();
    https.send(as_a(get(BOUND))).await.ok(204);
    let response = https.send(get(to).owner()).await.ok(200);
    assert_eq!(response.body, b"for m");
    let lock = response.header("etag").unwrap().trim_matches('"').to_owned();
    https.send(request("POST", &format!("{to}/{lock}/abandon")).owner()).await.ok(204);
    let response = https.send(get(to).owner()).await.ok(200);
    let lock = response.header("etag").unwrap().trim_matches('"').to_owned();
    https.send(delete(&format!("{to}/{lock}?%3Freject=true")).owner()).await.ok(204);
    https.send(get(to).owner()).await.ok(204);
}

#[tokio::test]
async fn feedback_is_received_settled_and_locked_meanwhile() {
    const FEEDBACK: &str = "/messages/serviceBound/feedback";
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    let as_service = |request: Request| request.token(service_token());
    https.send(as_service(get(FEEDBACK))).await.ok(204);
    let sender = service(&hub).await.sender("/messages/devicebound").attach().await.unwrap();
    sender.send(c2d("a", "one")).await.unwrap().into_result().unwrap();
    let lock = |response: &Response| response.header("etag").unwrap().trim_matches('"').to_owned();
    let message = https.send(as_a(get(BOUND))).await.ok(200);
    https.send(as_a(delete(&format!("{BOUND}/{}", lock(&message))))).await.ok(204);
    hub.with_hub(|hub, now| hub.flush_feedback(now));

    let batch = https.send(as_service(get(FEEDBACK))).await.ok(200);
    assert_eq!(batch.header("content-type"), Some("application/vnd.microsoft.iothub.feedback.json"));
    let records = batch.json();
    assert_eq!((&records[0]["originalMessageId"], &records[0]["statusCode"]), (&json!("one"), &json!("Success")));
    https.send(as_service(get(FEEDBACK))).await.ok(204);
    https.send(as_service(request("POST", &format!("{FEEDBACK}/{}/abandon", lock(&batch))))).await.ok(204);
    let again = https.send(as_service(get(FEEDBACK))).await.ok(200);
    assert_eq!((again.header("iothub-deliverycount"), again.json()), (Some("1"), records));
    https.send(as_service(delete(&format!("{FEEDBACK}/{}", lock(&again))))).await.ok(204);
    https.send(as_service(delete(&format!("{FEEDBACK}/{}", lock(&again))))).await.refusal(412, "DeviceMessageLockLost");
    https.send(as_a(get(FEEDBACK))).await.refusal(401, "IotHubUnauthorizedAccess");
}
