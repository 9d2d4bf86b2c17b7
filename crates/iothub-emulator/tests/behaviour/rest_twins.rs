//! Twins over HTTPS.

use crate::support::https::*;
use crate::support::*;
use serde_json::{Value, json};

fn without_metadata(section: &Value) -> Value {
    let mut section = section.clone();
    section.as_object_mut().unwrap().remove("$metadata").expect("metadata");
    section
}

#[tokio::test]
async fn a_new_twin_is_as_the_service_makes_it() {
    let (hub, _) = hub().await;
    let response = Https::new(&hub).send(get("/twins/a").owner()).await.ok(200);
    assert_eq!(response.header("etag"), Some("\"AAAAAAAAAAE=\""));
    let twin = response.json();
    assert_eq!((&twin["deviceId"], &twin["etag"], &twin["version"]), (&json!("a"), &json!("AAAAAAAAAAE="), &json!(2)));
    for section in ["desired", "reported"] {
        assert_eq!(
            twin["properties"][section],
            json!({ "$metadata": { "$lastUpdated": "0001-01-01T00:00:00Z" }, "$version": 1 })
        );
    }
    // Some clients refuse a null there.
    for absent in ["moduleId", "parentScopes", "deviceScope", "configurations"] {
        assert!(twin.get(absent).is_none(), "{absent}: {twin}");
    }
    assert!(!twin.get("tags").is_some_and(Value::is_null), "{twin}");
}

#[tokio::test]
async fn a_patch_merges_and_answers_with_the_whole_twin() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    let change = json!({ "tags": { "site": { "floor": 1, "room": "x" } }, "properties": { "desired": { "rate": 5, "list": [1] } } });
    let first = https.send(patch("/twins/a", &change).token(service_token())).await.ok(200);
    let twin = first.json();
    assert_eq!(first.header("etag"), Some(&*format!("\"{}\"", twin["etag"].as_str().unwrap())));
    assert_eq!(without_metadata(&twin["properties"]["desired"]), json!({ "rate": 5, "list": [1], "$version": 2 }));
    let change = json!({ "tags": { "site": { "room": null } }, "properties": { "desired": { "rate": null } } });
    let twin = https.send(patch("/twins/a", &change).token(service_token())).await.ok(200).json();
    assert_eq!(twin["tags"], json!({ "site": { "floor": 1 } }));
    assert_eq!(without_metadata(&twin["properties"]["desired"]), json!({ "list": [1], "$version": 3 }));
    assert_eq!(https.send(get("/twins/a").owner()).await.ok(200).json(), twin);
}

#[tokio::test]
async fn a_put_replaces_what_was_there() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    let change = json!({ "tags": { "old": 1 }, "properties": { "desired": { "old": 1 } } });
    https.send(patch("/twins/a", &change).owner()).await.ok(200);
    let twin = https
        .send(put("/twins/a", &json!({ "properties": { "desired": { "new": true } } })).owner())
        .await
        .ok(200)
        .json();
    assert_eq!(without_metadata(&twin["properties"]["desired"]), json!({ "new": true, "$version": 3 }));
    assert!(twin["tags"].get("old").is_none());
}

#[tokio::test]
async fn a_twin_that_was_read_can_be_written_back() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    let mut twin = https.send(get("/twins/a").owner()).await.ok(200).json();
    twin["tags"] = json!({ "site": "here" });
    twin["properties"]["reported"] = json!({ "forged": true });
    for method in ["PATCH", "PUT"] {
        let written = https.send(request(method, "/twins/a").json(&twin).owner()).await.ok(200).json();
        assert_eq!(written["tags"], json!({ "site": "here" }));
        assert!(written["properties"]["reported"].get("forged").is_none());
    }
}

#[tokio::test]
async fn a_patch_as_post_with_an_override_is_a_patch() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    let change = json!({ "tags": { "java": true } });
    for value in ["PATCH", "patch"] {
        let request = post("/twins/a", &change).header("X-HTTP-Method-Override", value).owner();
        assert_eq!(https.send(request).await.ok(200).json()["tags"], json!({ "java": true }));
    }
    https.send(post("/twins/a", &change).owner()).await.refusal(405, "MethodNotAllowed");
    let request = post("/twins/a", &change).header("X-HTTP-Method-Override", "BREW").owner();
    https.send(request).await.refusal(400, "ArgumentInvalid");
    // Accepted on every route, and on POST only.
    let request =
        post("/devices/a", &json!({})).header("X-HTTP-Method-Override", "PUT").header("If-Match", "*").owner();
    https.send(request).await.ok(200);
    https.send(get("/devices/a").header("X-HTTP-Method-Override", "DELETE").owner()).await.ok(200);
}

#[tokio::test]
async fn a_write_with_an_old_tag_is_412_and_changes_nothing() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    let change = json!({ "tags": { "n": 1 } });
    let first = https.send(patch("/twins/a", &change).header("If-Match", "\"AAAAAAAAAAE=\"").owner()).await.ok(200);
    let change = json!({ "tags": { "n": 2 } });
    for method in ["PATCH", "PUT"] {
        let request = request(method, "/twins/a").json(&change).header("If-Match", "\"AAAAAAAAAAE=\"").owner();
        https.send(request).await.refusal(412, "PreconditionFailed");
    }
    assert_eq!(https.send(get("/twins/a").owner()).await.json(), first.json());
    https.send(patch("/twins/a", &change).header("If-Match", "*").owner()).await.ok(200);
    https.send(patch("/twins/a", &change).owner()).await.ok(200);
}

#[tokio::test]
async fn modules_have_twins_and_what_is_not_there_has_none() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    https.send(put("/devices/a/modules/extra", &json!({})).owner()).await.ok(200);
    let change = json!({ "properties": { "desired": { "x": 1 } } });
    let twin = https.send(patch("/twins/a/modules/extra", &change).owner()).await.ok(200).json();
    assert_eq!((&twin["deviceId"], &twin["moduleId"]), (&json!("a"), &json!("extra")));
    assert_eq!(https.send(get("/Twins/a/Modules/extra").owner()).await.ok(200).json(), twin);
    assert_eq!(https.send(get("/twins/none").owner()).await.refusal(404, "DeviceNotFound"), "none");
    https.send(get("/twins/a/modules/none").owner()).await.refusal(404, "ModuleNotFound");
    https.send(patch("/twins/none", &change).owner()).await.refusal(404, "DeviceNotFound");
}

#[tokio::test]
async fn what_a_twin_does_not_take_is_refused() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    for body in [
        json!([]),
        json!({ "tags": 5 }),
        json!({ "properties": { "desired": [] } }),
        json!({ "tags": { "a.b": 1 } }),
        json!({ "tags": { "n": 9_007_199_254_740_992_u64 } }),
    ] {
        https.send(patch("/twins/a", &body).owner()).await.refusal(400, "ArgumentInvalid");
    }
    let large = json!({ "tags": { "a": "x".repeat(4000), "b": "x".repeat(4000), "c": "x".repeat(4000) } });
    let response = https.send(patch("/twins/a", &large).owner()).await;
    assert!(matches!(response.status, 400 | 413), "{response:?}");
}

/// As floating-point numbers they would be others, and no error.
#[tokio::test]
async fn integers_of_more_than_64_bits_are_refused_wherever_a_twin_is_written() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    for number in ["18446744073709551616", "-9223372036854775809"] {
        let twin = format!(r#"{{"tags": {{"n": {number}}}}}"#);
        for method in ["PATCH", "PUT"] {
            let request = request(method, "/twins/a").body(twin.clone()).owner();
            https.send(request).await.refusal(400, "ArgumentInvalid");
        }
        let entries = format!(r#"[{{"id": "a", "importMode": "updateTwin", "tags": {{"n": {number}}}}}]"#);
        https.send(request("POST", "/devices").body(entries).owner()).await.refusal(400, "ArgumentInvalid");
    }
    assert_eq!(https.send(get("/twins/a").owner()).await.ok(200).json()["version"], json!(2), "nothing was written");
    let float = request("PATCH", "/twins/a").body(r#"{"tags": {"n": 1e20}}"#).owner();
    assert_eq!(https.send(float).await.ok(200).json()["tags"]["n"], json!(1e20));
}

#[tokio::test]
async fn a_device_is_told_of_what_the_service_wrote() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    let id = "a".parse::<iothub_emulator::hub::DeviceId>().unwrap().into();
    let consumer = hub.with_hub(|hub, _| {
        let consumer = hub.add_consumer();
        hub.watch_desired(&id, consumer).unwrap();
        consumer
    });
    https.send(patch("/twins/a", &json!({ "properties": { "desired": { "rate": 7 } } })).owner()).await.ok(200);
    let change = hub.with_hub(|hub, _| hub.take_desired(&id, consumer)).unwrap();
    assert_eq!((change.version(), &change.to_json()["rate"]), (2, &json!(7)));
}
