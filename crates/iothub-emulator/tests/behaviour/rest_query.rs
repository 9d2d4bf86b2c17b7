//! Queries over HTTPS.

use crate::support::https::*;
use crate::support::*;
use iothub_emulator::Emulator;
use serde_json::{Value, json};

async fn fleet(hub: &Emulator, https: &Https) {
    for n in 0..7 {
        https.send(put(&format!("/devices/q{n}"), &json!({ "deviceId": format!("q{n}") })).owner()).await.ok(200);
        let tags = json!({ "tags": { "fleet": "q", "n": n } });
        https.send(patch(&format!("/twins/q{n}"), &tags).owner()).await.ok(200);
    }
    assert!(hub.with_hub(|hub, _| hub.devices().count()) >= 7);
}

fn query(text: &str) -> Request {
    post("/devices/query", &json!({ "query": text })).token(service_token())
}

#[tokio::test]
async fn pages_follow_each_other_and_the_last_one_has_no_continuation() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    fleet(&hub, &https).await;
    let text = "SELECT * FROM devices WHERE tags.fleet = 'q'";
    let (mut ids, mut continuation, mut pages) = (Vec::new(), None::<String>, 0);
    loop {
        let mut request = query(text).header("x-ms-max-item-count", "3");
        if let Some(continuation) = &continuation {
            request = request.header("x-ms-continuation", continuation);
        }
        let page = https.send(request).await.ok(200);
        assert_eq!(page.header("x-ms-item-type"), Some("Twin"));
        for twin in page.json().as_array().unwrap() {
            assert!(twin["properties"]["desired"]["$version"].is_u64(), "{twin}");
            ids.push(twin["deviceId"].as_str().unwrap().to_owned());
        }
        pages += 1;
        continuation = page.header("x-ms-continuation").map(str::to_owned);
        if continuation.is_none() {
            break;
        }
    }
    assert_eq!((pages, ids), (3, (0..7).map(|n| format!("q{n}")).collect()));
}

#[tokio::test]
async fn devices_are_found_by_whether_they_are_connected() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    let connected = || query("SELECT deviceId FROM devices WHERE connectionState = 'Connected'");
    assert_eq!(https.send(connected()).await.ok(200).json(), json!([]));
    let session = device(&hub, "a").await;
    let telemetry = session.sender(events("a")).attach().await.unwrap();
    assert_eq!(https.send(connected()).await.ok(200).json(), json!([{ "deviceId": "a" }]));
    let all = https.send(query("SELECT * FROM devices WHERE connectionState = 'Connected'")).await.ok(200).json();
    assert_eq!((&all[0]["deviceId"], &all[0]["connectionState"]), (&json!("a"), &json!("Connected")));
    assert_ne!(all[0]["lastActivityTime"], "0001-01-01T00:00:00Z");
    telemetry.close().await.unwrap();
}

#[tokio::test]
async fn columns_and_aggregates_are_raw_rows() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    fleet(&hub, &https).await;
    let text = "SELECT COUNT() AS n, MAX(tags.n) AS most FROM devices WHERE tags.fleet = 'q'";
    let page = https.send(query(text)).await.ok(200);
    assert_eq!(page.header("x-ms-item-type"), Some("Raw"));
    assert_eq!(page.json(), json!([{ "n": 7, "most": 6 }]));
    assert_eq!(page.header("x-ms-continuation"), None);
    // Paths are compared without case, and may end with a slash.
    let request = post("/Devices/query/", &json!({ "query": "select tags.n from devices where deviceId = 'q3'" }));
    assert_eq!(https.send(request.owner()).await.ok(200).json(), json!([{ "n": 3 }]));
}

#[tokio::test]
async fn what_is_wrong_with_a_query_is_said() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    let text = https.send(query("SELECT * FROM devices WHERE a ==")).await.refusal(400, "ArgumentInvalid");
    assert!(text.contains("position 32"), "{text}");
    https.send(query("SELECT * FROM c")).await.refusal(400, "ArgumentInvalid");
    for body in [json!({}), json!({ "query": null }), json!({ "query": "" })] {
        https.send(post("/devices/query", &body).owner()).await.refusal(400, "ArgumentNull");
    }
    https.send(post("/devices/query", &json!({ "query": 1 })).owner()).await.refusal(400, "ArgumentInvalid");
    let text = https.send(query("SELECT * FROM devices.jobs")).await.refusal(501, "FeatureNotSupported");
    assert!(text.contains("jobs"), "{text}");
    for size in ["0", "-1", "x"] {
        let request = query("SELECT * FROM devices").header("x-ms-max-item-count", size);
        https.send(request).await.refusal(400, "ArgumentInvalid");
    }
    let request = query("SELECT * FROM devices").header("x-ms-continuation", "AAAA");
    https.send(request).await.refusal(400, "ArgumentInvalid");
    let page = https.send(query("SELECT * FROM devices").header("x-ms-max-item-count", "100000")).await.ok(200);
    assert!(page.json().as_array().is_some_and(|rows: &Vec<Value>| !rows.is_empty()));
}
