//! Bulk changes of devices, modules and twins over HTTPS.

use crate::support::https::*;
use crate::support::*;
use serde_json::{Value, json};

fn bulk(entries: Value) -> Request {
    post("/devices", &entries).owner()
}

#[tokio::test]
async fn every_import_mode_is_known_in_any_case() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    let created = https
        .send(bulk(json!([
            { "id": "x", "importMode": "create", "status": "enabled", "tags": { "a": 1 }, "properties": { "desired": { "b": 2 } } },
            { "id": "y", "importMode": "CreateOrUpdate", "status": "disabled", "statusReason": "why" },
            { "id": "z", "status": "enabled", "authentication": { "type": "sas", "symmetricKey": { "primaryKey": "", "secondaryKey": "" } } },
            { "id": "a", "moduleId": "k", "importMode": "create" },
        ])))
        .await
        .ok(200);
    assert_eq!(created.json(), json!({ "isSuccessful": true, "errors": [], "warnings": [] }));
    let twin = https.send(get("/twins/x").owner()).await.ok(200).json();
    assert_eq!((&twin["tags"], &twin["properties"]["desired"]["b"]), (&json!({ "a": 1 }), &json!(2)));
    https.send(get("/devices/a/modules/k").owner()).await.ok(200);
    assert_eq!(https.send(get("/devices/y").owner()).await.ok(200).json()["statusReason"], "why");

    let etag = https.send(get("/devices/x").owner()).await.ok(200).json()["etag"].clone();
    let twin_etag = twin["etag"].clone();
    https
        .send(bulk(json!([
            { "id": "x", "importMode": "UpdateIfMatchETag", "eTag": etag, "status": "disabled" },
            { "id": "y", "importMode": "Update", "status": "enabled" },
            { "id": "z", "importMode": "deleteIfMatchEtag", "eTag": "*" },
        ])))
        .await
        .ok(200);
    assert_eq!(https.send(get("/devices/x").owner()).await.ok(200).json()["status"], "disabled");
    https.send(get("/devices/z").owner()).await.refusal(404, "DeviceNotFound");

    https
        .send(bulk(json!([
            { "id": "x", "importMode": "updateTwinIfMatchETag", "twinETag": twin_etag, "tags": { "a": null, "c": 3 } },
            { "id": "y", "importMode": "UPDATETWIN", "properties": { "desired": { "d": 4 } } },
            { "id": "w", "importMode": "createOrUpdateIfMatchETag", "eTag": "AAAA" },
        ])))
        .await
        .ok(200);
    assert_eq!(https.send(get("/twins/x").owner()).await.ok(200).json()["tags"], json!({ "c": 3 }));
    https
        .send(bulk(
            json!([{ "id": "w", "importMode": "Delete" }, { "id": "a", "moduleId": "k", "importMode": "delete" }]),
        ))
        .await
        .ok(200);
    https.send(get("/devices/w").owner()).await.refusal(404, "DeviceNotFound");
    https.send(get("/devices/a/modules/k").owner()).await.refusal(404, "ModuleNotFound");
    https.send(get("/devices/a").owner()).await.ok(200);
}

#[tokio::test]
async fn reported_properties_are_imported_with_a_new_identity_only() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    // As an export has them.
    let twin =
        |battery: u8| json!({ "reported": { "battery": battery, "$version": 9, "$metadata": { "battery": {} } } });
    for (mode, device, module) in
        [("create", "x", None), ("createOrUpdate", "y", None), ("create", "a", Some("k")), ("update", "x", None)]
    {
        let battery = if mode == "update" { 1 } else { 80 };
        let mut entry = json!({ "id": device, "importMode": mode, "status": "enabled", "properties": twin(battery) });
        if let Some(module) = module {
            entry["moduleId"] = module.into();
        }
        https.send(bulk(json!([entry]))).await.ok(200);
        let path =
            module.map_or_else(|| format!("/twins/{device}"), |module| format!("/twins/{device}/modules/{module}"));
        let shown = https.send(get(&path).owner()).await.ok(200).json();
        let reported = &shown["properties"]["reported"];
        assert_eq!((&reported["battery"], &reported["$version"]), (&json!(80), &json!(2)), "{mode}: {shown}");
        // It was not the device that did so.
        assert_eq!(shown["lastActivityTime"], "0001-01-01T00:00:00Z", "{shown}");
    }
    // Nothing is left of an entry whose properties are not taken.
    for reported in [json!([1]), json!({ "a.b": 1 })] {
        let entry = json!({ "id": "half", "importMode": "create", "properties": { "reported": reported } });
        assert_eq!(https.send(bulk(json!([entry]))).await.status, 400);
        https.send(get("/devices/half").owner()).await.refusal(404, "DeviceNotFound");
    }
}

#[tokio::test]
async fn what_is_fine_is_done_when_other_entries_fail() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    let answer = https
        .send(bulk(json!([
            { "id": "fine", "importMode": "create" },
            { "id": "a", "importMode": "create" },
            { "id": "missing", "importMode": "update" },
            { "id": "missing2", "moduleId": "m", "importMode": "create" },
            { "id": "not an id", "importMode": "create" },
            { "id": "odd", "importMode": "replace" },
            { "id": "tagless", "importMode": "updateIfMatchETag" },
            { "id": "half", "importMode": "create", "tags": { "a.b": 1 } },
        ])))
        .await
        .ok(400);
    let answer = answer.json();
    assert_eq!(answer["isSuccessful"], false);
    let errors: Vec<_> = answer["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["deviceId"].as_str().unwrap(), error["errorCode"].as_u64().unwrap()))
        .collect();
    let expected = [
        ("a", 409_001),
        ("missing", 404_001),
        ("missing2", 404_001),
        ("not an id", 400_004),
        ("odd", 400_004),
        ("tagless", 400_005),
        ("half", 400_004),
    ];
    assert_eq!(errors.len(), expected.len(), "{answer}");
    for (device, code) in expected {
        let found = errors.iter().find(|(id, _)| *id == device);
        if device == "tagless" {
            assert!(found.is_some_and(|(_, code)| [404_001, 400_005].contains(code)), "{answer}");
        } else {
            assert_eq!(found, Some(&(device, code)), "{answer}");
        }
    }
    assert_eq!(answer["errors"][2]["moduleId"], "m");
    assert!(answer["errors"][0]["errorStatus"].as_str().unwrap().contains("DeviceAlreadyExists"));
    https.send(get("/devices/fine").owner()).await.ok(200);
    // Nothing is left of an entry that failed.
    https.send(get("/devices/half").owner()).await.refusal(404, "DeviceNotFound");
}

#[tokio::test]
async fn a_whole_request_is_refused_for_what_it_is() {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    let twice =
        json!([{ "id": "n", "importMode": "create" }, { "id": "a", "moduleId": "m" }, { "id": "a", "moduleId": "k" }]);
    https.send(bulk(twice)).await.refusal(400, "DeviceDefinedMultipleTimes");
    https.send(get("/devices/n").owner()).await.refusal(404, "DeviceNotFound");
    let many: Vec<_> = (0..101).map(|n| json!({ "id": format!("n{n}"), "importMode": "create" })).collect();
    https.send(bulk(many[..100].into())).await.ok(200);
    https.send(bulk(many.into())).await.refusal(413, "TooManyDevices");
    for body in [json!([]), json!({}), json!([{ "deviceId": "x" }]), json!(["x"])] {
        https.send(bulk(body)).await.refusal(400, "ArgumentInvalid");
    }
    https
        .send(post("/devices", &json!([{ "id": "x" }])).token(service_token()))
        .await
        .refusal(401, "IotHubUnauthorizedAccess");
}
