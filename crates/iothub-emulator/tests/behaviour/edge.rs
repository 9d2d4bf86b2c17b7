//! IoT Edge devices and their system modules.

use crate::support::https::*;
use crate::support::*;
use iothub_emulator::Emulator;
use serde_json::{Value, json};

const RESERVED: &str = "SystemModuleModifyUnauthorizedAccess";

fn edge(is_edge: bool) -> Value {
    json!({ "capabilities": { "iotEdge": is_edge } })
}

async fn modules(https: &Https, device: &str) -> Vec<String> {
    let modules = https.send(get(&format!("/devices/{device}/modules")).owner()).await.ok(200).json();
    modules.as_array().unwrap().iter().map(|module| module["moduleId"].as_str().unwrap().to_owned()).collect()
}

async fn start() -> (Emulator, Https) {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    https.send(put("/devices/e", &edge(true)).owner()).await.ok(200);
    (hub, https)
}

#[tokio::test]
async fn an_edge_device_is_created_with_its_system_modules() {
    let (_hub, https) = start().await;
    assert_eq!(modules(&https, "e").await, ["$edgeAgent", "$edgeHub"]);
    let agent = https.send(get("/devices/e/modules/$edgeAgent").owner()).await.ok(200).json();
    assert_eq!((&agent["managedBy"], &agent["authentication"]["type"]), (&json!("iotEdge"), &json!("sas")));
    let query = json!({ "query": "SELECT * FROM devices.modules WHERE deviceId = 'e'" });
    let rows = https.send(post("/devices/query", &query).owner()).await.ok(200).json();
    let found: Vec<_> = rows.as_array().unwrap().iter().map(|twin| twin["moduleId"].as_str().unwrap()).collect();
    assert_eq!(found, ["$edgeAgent", "$edgeHub"]);
    // Other modules beside them, and none twice.
    https.send(put("/devices/e/modules/m", &json!({})).owner()).await.ok(200);
    let again = put("/devices/e/modules/$edgeHub", &json!({})).owner();
    https.send(again).await.refusal(409, "ModuleAlreadyExistsOnDevice");
    assert_eq!(modules(&https, "e").await, ["$edgeAgent", "$edgeHub", "m"]);
}

#[tokio::test]
async fn system_modules_are_changed_by_the_hub_alone() {
    let (_hub, https) = start().await;
    let path = "/devices/e/modules/$edgeAgent";
    let any = |request: Request| request.header("If-Match", "\"*\"").owner();
    https.send(any(delete(path))).await.refusal(401, RESERVED);
    https.send(any(put(path, &json!({ "managedBy": "me" })))).await.refusal(401, RESERVED);
    let twin = json!({ "properties": { "desired": { "modules": {} } } });
    let text = https.send(patch("/twins/e/modules/$edgeAgent", &twin).owner()).await.refusal(401, RESERVED);
    assert_eq!(text, "Unauthorized to modify reserved module.");
    https.send(put("/twins/e/modules/$edgeHub", &twin).owner()).await.refusal(401, RESERVED);
    https.send(get("/twins/e/modules/$edgeAgent").owner()).await.ok(200);
    assert_eq!(modules(&https, "e").await, ["$edgeAgent", "$edgeHub"]);
    // With their device they go.
    https.send(any(delete("/devices/e"))).await.ok(204);
    https.send(get(path).owner()).await.refusal(404, "DeviceNotFound");
}

#[tokio::test]
async fn a_device_that_becomes_an_edge_device_gets_its_system_modules() {
    let (_hub, https) = start().await;
    https.send(put("/devices/x", &edge(false)).owner()).await.ok(200);
    assert!(modules(&https, "x").await.is_empty());
    let update = put("/devices/x", &edge(true)).header("If-Match", "\"*\"").owner();
    https.send(update).await.ok(200);
    assert_eq!(modules(&https, "x").await, ["$edgeAgent", "$edgeHub"]);
    let bulk = json!([{ "id": "y", "importMode": "create", "capabilities": { "iotEdge": true }, "tags": { "k": 1 } }]);
    https.send(post("/devices", &bulk).owner()).await.ok(200);
    assert_eq!(modules(&https, "y").await, ["$edgeAgent", "$edgeHub"]);
}
