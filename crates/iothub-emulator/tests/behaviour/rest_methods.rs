//! Direct methods over HTTPS: what is answered when no device takes the call.

use crate::support::https::*;
use crate::support::*;
use core::time::Duration;
use serde_json::{Value, json};

/// Checks a refusal in the shape of methods, and gives what its `Message` holds.
#[track_caller]
fn refusal(response: &Response, status: u16, number: u32, code: &str) -> Value {
    assert_eq!(response.status, status, "{}", String::from_utf8_lossy(&response.body));
    assert_eq!(response.header("iothub-errorcode"), Some(code));
    let body = response.json();
    assert_eq!(body["ExceptionMessage"], "");
    let message: Value = serde_json::from_str(body["Message"].as_str().unwrap()).unwrap();
    assert_eq!(message["errorCode"], number);
    assert!(message["trackingId"].is_string() && message["timestampUtc"].is_string(), "{message}");
    message
}

#[tokio::test]
async fn a_device_that_is_not_there_is_404_in_the_shape_of_methods() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    for path in ["/twins/b/methods", "/Twins/b/Methods"] {
        let response = https.send(post(path, &json!({ "methodName": "reboot" })).token(service_token())).await;
        let message = refusal(&response, 404, 404_103, "DeviceNotOnline");
        assert_eq!(message["message"], "Timed out waiting for device to connect.");
        assert_eq!(message["info"], json!({ "timeout": "00:00:00" }));
    }
    let call = json!({ "methodName": "reboot" });
    refusal(&https.send(post("/twins/none/methods", &call).owner()).await, 404, 404_001, "DeviceNotFound");
    refusal(&https.send(post("/twins/b/modules/none/methods", &call).owner()).await, 404, 404_010, "ModuleNotFound");
    let response = https
        .send(post("/twins/b/methods", &json!({ "methodName": "m", "connectTimeoutInSeconds": 301 })).owner())
        .await;
    refusal(&response, 400, 400_004, "ArgumentInvalid");
    https.send(post("/twins/b/methods", &call)).await.refusal(401, "IotHubUnauthorized");
    https.send(post("/twins/b/methods", &call).token(device_token("b"))).await.refusal(401, "IotHubUnauthorizedAccess");
}

#[tokio::test]
async fn a_call_waits_for_the_device_to_connect() {
    let (hub, clock) = hub().await;
    let https = Https::new(&hub);
    let call = json!({ "methodName": "reboot", "connectTimeoutInSeconds": 20 });
    let waiting = tokio::spawn(async move { https.send(post("/twins/b/methods", &call).owner()).await });
    // The clock stands still until it is moved, so the call waits however long this takes.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    clock.advance(Duration::from_secs(20));
    let message = refusal(&waiting.await.unwrap(), 404, 404_103, "DeviceNotOnline");
    assert_eq!(message["info"], json!({ "timeout": "00:00:20" }));
}

#[tokio::test]
async fn a_call_that_waits_is_answered_when_the_emulator_stops() {
    let (hub, _) = hub().await;
    let mut stream = Https::new(&hub).connect().await;
    let call = json!({ "methodName": "reboot", "connectTimeoutInSeconds": 300 });
    let request = post("/twins/b/methods", &call).owner();
    tokio::io::AsyncWriteExt::write_all(&mut stream, &request.to_octets()).await.unwrap();
    // The request is there when another one that was sent later is answered.
    Https::new(&hub).send(get("/devices/b").owner()).await.ok(200);
    let stopped = tokio::spawn(hub.shutdown());
    response(&mut stream, false).await.refusal(503, "ServiceUnavailable");
    stopped.await.unwrap();
}
