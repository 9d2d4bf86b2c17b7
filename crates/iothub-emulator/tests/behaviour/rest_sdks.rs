//! What breaks an official SDK first: one test for each such thing that a response can get wrong.

use crate::support::https::*;
use crate::support::*;
use serde_json::{Value, json};

#[tokio::test]
async fn java_sends_a_patch_as_post_with_an_override() {
    let (hub, _) = hub().await;
    // Its own headers, in its own order.
    let request = post("/twins/a", &json!({ "properties": { "desired": { "rate": 1 } } }))
        .header("X-HTTP-Method-Override", "PATCH")
        .header("Request-Id", "1")
        .header("Accept", "application/json")
        .owner();
    let twin = Https::new(&hub).send(request).await.ok(200).json();
    assert_eq!(twin["properties"]["desired"]["rate"], 1);
}

#[tokio::test]
async fn node_parses_a_body_only_where_the_content_type_is_json_and_204_has_none() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    for request in
        [get("/devices/a"), get("/twins/a"), get("/devices"), get("/statistics/devices"), get("/devices/none")]
    {
        let response = https.send(request.owner()).await;
        assert!(response.header("content-type").unwrap().contains("application/json"), "{response:?}");
        response.json();
    }
    let response = https.send(delete("/devices/b").header("If-Match", "\"*\"").owner()).await.ok(204);
    assert!(response.body.is_empty());
}

#[tokio::test]
async fn node_finds_the_code_before_the_semicolon() {
    let (hub, _) = hub().await;
    let response = Https::new(&hub).send(get("/devices/none").owner()).await;
    assert_eq!(response.json()["Message"], "ErrorCode:DeviceNotFound;none");
    assert_eq!(response.header("iothub-errorcode"), Some("DeviceNotFound"));
}

#[tokio::test]
async fn java_needs_three_fields_of_a_device_and_no_nulls_in_lists() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    for path in ["/devices/a", "/devices"] {
        let body = https.send(get(path).owner()).await.ok(200).json();
        let device = if body.is_array() { &body[0] } else { &body };
        assert!(device["deviceId"].is_string() && device["authentication"].is_object());
        assert_eq!(device["connectionState"], "Disconnected");
        assert!(device.get("parentScopes").is_none_or(Value::is_array));
    }
    let id = "a".parse::<iothub_emulator::hub::DeviceId>().unwrap().into();
    let presence = hub.with_hub(|hub, now| hub.connected(now, &id));
    assert!(presence.is_some());
    assert_eq!(https.send(get("/devices/a").owner()).await.json()["connectionState"], "Connected");
    assert_eq!(https.send(get("/statistics/service").owner()).await.json()["connectedDeviceCount"], 1);
}

#[tokio::test]
async fn csharp_refuses_a_twin_with_null_tags() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    for request in [get("/twins/a"), put("/twins/a", &json!({})), patch("/twins/a", &json!({ "tags": null }))] {
        let twin = https.send(request.owner()).await.ok(200).json();
        assert!(!twin.get("tags").is_some_and(Value::is_null), "{twin}");
    }
}

#[tokio::test]
async fn a_put_without_if_match_means_create_and_every_sdk_puts_a_star_on_updates() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    https.send(put("/devices/a", &json!({ "deviceId": "a" })).owner()).await.refusal(409, "DeviceAlreadyExists");
    for star in ["*", "\"*\""] {
        https.send(put("/devices/a", &json!({ "deviceId": "a" })).header("If-Match", star).owner()).await.ok(200);
    }
}

#[tokio::test]
async fn the_redirect_names_a_host_that_the_certificate_covers_and_the_port_that_serves() {
    let (hub, _) = hub().await;
    let error = service(&hub).await.receiver("/messages/events/$management").attach().await.unwrap_err();
    let redirect = error.redirect().unwrap();
    assert_eq!(redirect.port, Some(hub.local_addr().port()));
    let host = redirect.hostname.as_deref().or(redirect.network_host.as_deref()).unwrap();
    assert_eq!(host, hub.hostname());
    // The same certificate is at both listeners, and is good for that name.
    Https::new(&hub).send(get("/devices").owner()).await.ok(200);
    assert_eq!(host, "localhost");
}
