//! Devices and modules over HTTPS.

use crate::support::https::*;
use crate::support::*;
use serde_json::json;

/// A connection to a hub with devices `a` and `b`.
async fn start() -> (iothub_emulator::Emulator, Https) {
    let (hub, _) = hub().await;
    let https = Https::new(&hub);
    (hub, https)
}

fn etag(response: &Response) -> String {
    let etag = response.json()["etag"].as_str().unwrap().to_owned();
    assert_eq!(response.header("etag"), Some(&*format!("\"{etag}\"")));
    etag
}

#[tokio::test]
async fn a_device_is_created_read_changed_and_deleted() {
    let (_hub, https) = start().await;
    let document = json!({ "deviceId": "new", "status": "disabled", "statusReason": "not yet" });
    let created = https.send(put("/devices/new", &document).owner()).await.ok(200);
    assert_eq!(created.header("content-type"), Some("application/json; charset=utf-8"));
    let first = etag(&created);
    let device = created.json();
    assert_eq!(device["status"], "disabled");
    let key = device["authentication"]["symmetricKey"]["primaryKey"].as_str().unwrap();
    assert_eq!(key.len(), 44, "the hub makes keys of 32 octets");

    let read = https.send(get("/devices/new").owner()).await.ok(200);
    assert_eq!((read.json(), etag(&read)), (device.clone(), first.clone()));

    let mut changed = device.clone();
    changed["status"] = "enabled".into();
    let response = https.send(put("/devices/new", &changed).header("If-Match", "\"*\"").owner()).await.ok(200);
    assert_eq!(response.json()["status"], "enabled");
    assert_eq!(response.json()["authentication"], device["authentication"]);
    assert_ne!(etag(&response), first);

    let deleted = https.send(delete("/devices/new").header("If-Match", "*").owner()).await.ok(204);
    assert!(deleted.body.is_empty() && deleted.header("content-type").is_none());
    assert_eq!(https.send(get("/devices/new").owner()).await.refusal(404, "DeviceNotFound"), "new");
    https.send(delete("/devices/new").header("If-Match", "*").owner()).await.refusal(404, "DeviceNotFound");
    let again = https.send(put("/devices/new", &json!({})).owner()).await.ok(200);
    assert_ne!(again.json()["generationId"], device["generationId"]);
}

#[tokio::test]
async fn a_put_without_if_match_creates_and_with_it_updates() {
    let (_hub, https) = start().await;
    let device = json!({ "deviceId": "a" });
    https.send(put("/devices/a", &device).owner()).await.refusal(409, "DeviceAlreadyExists");
    https
        .send(put("/devices/none", &json!({})).header("If-Match", "\"*\"").owner())
        .await
        .refusal(404, "DeviceNotFound");
    for star in ["*", "\"*\""] {
        https.send(put("/devices/a", &device).header("If-Match", star).owner()).await.ok(200);
    }
    let current = etag(&https.send(get("/devices/a").owner()).await);
    let quoted = format!("\"{current}\"");
    https.send(put("/devices/a", &device).header("If-Match", quoted.clone()).owner()).await.ok(200);
    https
        .send(put("/devices/a", &device).header("If-Match", quoted.clone()).owner())
        .await
        .refusal(412, "PreconditionFailed");
    https.send(delete("/devices/a").header("If-Match", quoted).owner()).await.refusal(412, "PreconditionFailed");
    https
        .send(put("/devices/a", &device).header("If-Match", "\"a\", \"b\"").owner())
        .await
        .refusal(400, "ArgumentInvalid");
}

#[tokio::test]
async fn an_unquoted_tag_is_ignored_unless_the_settings_say_otherwise() {
    let (_hub, https) = start().await;
    https.send(put("/devices/a", &json!({})).header("If-Match", "b3RoZXI=").owner()).await.ok(200);
    let (strict, _) = hub_with(|settings| settings.https.compare_unquoted_etags = true).await;
    let https = Https::new(&strict);
    https
        .send(put("/devices/a", &json!({})).header("If-Match", "b3RoZXI=").owner())
        .await
        .refusal(412, "PreconditionFailed");
    let current = etag(&https.send(get("/devices/a").owner()).await);
    https.send(put("/devices/a", &json!({})).header("If-Match", current).owner()).await.ok(200);
}

#[tokio::test]
async fn devices_are_listed_with_and_without_a_slash_and_a_top() {
    let (_hub, https) = start().await;
    let ids = |response: Response| -> Vec<String> {
        let devices = response.ok(200).json();
        devices.as_array().unwrap().iter().map(|device| device["deviceId"].as_str().unwrap().into()).collect()
    };
    assert_eq!(ids(https.send(get("/devices/").owner()).await), ["a", "b"]);
    assert_eq!(ids(https.send(get("/Devices?top=1").owner()).await), ["a"]);
    assert_eq!(ids(https.send(get("/devices/?top=5000").owner()).await), ["a", "b"]);
    for top in ["0", "-1", "many"] {
        https.send(get(&format!("/devices?top={top}")).owner()).await.refusal(400, "ArgumentInvalid");
    }
}

#[tokio::test]
async fn modules_belong_to_their_device() {
    let (_hub, https) = start().await;
    https.send(put("/devices/x", &json!({})).owner()).await.ok(200);
    let path = "/devices/b/modules/%24edgeHub";
    let created =
        https.send(put(path, &json!({ "moduleId": "$edgeHub", "managedBy": "iotEdge" })).owner()).await.ok(200);
    assert_eq!(created.json()["managedBy"], "iotEdge");
    assert_eq!(created.json()["deviceId"], "b");
    etag(&created);
    https.send(put(path, &json!({})).owner()).await.refusal(409, "ModuleAlreadyExistsOnDevice");
    assert_eq!(https.send(get("/devices/b/modules/$edgeHub").owner()).await.ok(200).json(), created.json());
    let modules = https.send(get("/devices/b/modules").owner()).await.ok(200).json();
    assert_eq!(modules, json!([created.json()]));
    assert_eq!(https.send(get("/devices/x/modules").owner()).await.ok(200).json(), json!([]));
    https.send(get("/devices/none/modules").owner()).await.refusal(404, "DeviceNotFound");
    https.send(get("/devices/none/modules/m").owner()).await.refusal(404, "DeviceNotFound");
    https.send(get("/devices/b/modules/other").owner()).await.refusal(404, "ModuleNotFound");
    https.send(delete(path).header("If-Match", "\"*\"").owner()).await.ok(204);
    https.send(get(path).owner()).await.refusal(404, "ModuleNotFound");
}

#[tokio::test]
async fn ids_are_taken_encoded_and_bare() {
    let (_hub, https) = start().await;
    let id = "A-:.+%_#*?!(),=@;$'9";
    let encoded = "A-%3A.%2B%25_%23*%3F!()%2C%3D%40%3B%24'9";
    let created = https.send(put(&format!("/devices/{encoded}"), &json!({ "deviceId": id })).owner()).await.ok(200);
    assert_eq!(created.json()["deviceId"], id);
    https.send(put("/devices/x=y@z", &json!({ "deviceId": "x=y@z" })).owner()).await.ok(200);
    for odd in ["query", "Devices", "modules", "twins"] {
        https.send(put(&format!("/devices/{odd}"), &json!({})).owner()).await.ok(200);
        let device = https.send(get(&format!("/devices/{odd}")).owner()).await.ok(200).json();
        assert_eq!(device["deviceId"], odd);
        assert_eq!(https.send(get(&format!("/devices/{odd}/modules")).owner()).await.ok(200).json(), json!([]));
    }
    for bad in ["a%20b", "a%2Fb", &"x".repeat(129)] {
        https.send(put(&format!("/devices/{bad}"), &json!({})).owner()).await.refusal(400, "ArgumentInvalid");
    }
    https.send(put("/devices/one", &json!({ "deviceId": "two" })).owner()).await.refusal(400, "ArgumentInvalid");
}

#[tokio::test]
async fn bodies_that_are_not_json_or_too_large_are_refused() {
    let (_hub, https) = start().await;
    let send = |body: Vec<u8>| https.send(request("PUT", "/devices/x").owner().body(body));
    send(Vec::new()).await.refusal(400, "ArgumentNull");
    let text = send(b"{\"deviceId\":".to_vec()).await.refusal(400, "IotHubFormatError");
    assert!(text.contains("not JSON"), "{text}");
    send(b"[]".to_vec()).await.refusal(400, "ArgumentInvalid");
    send(b"\xFF\xFE".to_vec()).await.refusal(400, "IotHubFormatError");
    send("[".repeat(100_000).into_bytes()).await.refusal(400, "IotHubFormatError");
    let mut stream = https.connect().await;
    let head = "PUT /devices/x?api-version=2021-04-12 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4194305\r\n";
    let head = format!("{head}Authorization: {}\r\n\r\n", owner_token());
    tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
    response(&mut stream, false).await.refusal(413, "MessageTooLarge");
    https.send(get("/devices/x").owner()).await.refusal(404, "DeviceNotFound");
}

#[tokio::test]
async fn a_body_in_chunks_is_taken_and_bounded() {
    let (_hub, https) = start().await;
    let head = format!(
        "PUT /devices/chunked?api-version=2021-04-12 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\
         Authorization: {}\r\n\r\n",
        owner_token()
    );
    let mut stream = https.connect().await;
    let body = "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, format!("{head}{body}").as_bytes()).await.unwrap();
    response(&mut stream, false).await.ok(200);
    let mut stream = https.connect().await;
    tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
    let chunk = format!("100000\r\n{}\r\n", " ".repeat(0x10_0000));
    for _ in 0..5 {
        // The server may answer before it has read everything.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, chunk.as_bytes()).await;
    }
    response(&mut stream, false).await.refusal(413, "MessageTooLarge");
}

#[tokio::test]
async fn statistics_count_devices_and_those_that_are_connected() {
    let (hub, https) = start().await;
    hub.set_device_enabled("b", false);
    let counts = https.send(get("/statistics/devices").owner()).await.ok(200).json();
    assert_eq!(counts, json!({ "totalDeviceCount": 2, "enabledDeviceCount": 1, "disabledDeviceCount": 1 }));
    let connected = https.send(get("/Statistics/Service").owner()).await.ok(200).json();
    assert_eq!(connected, json!({ "connectedDeviceCount": 0 }));
}

#[tokio::test]
async fn a_purge_ends_the_messages_that_wait_and_counts_them() {
    let (hub, https) = start().await;
    let sender = service(&hub).await.sender("/messages/devicebound").attach().await.unwrap();
    for id in ["one", "two"] {
        sender.send(c2d("a", id)).await.unwrap().into_result().unwrap();
    }
    assert_eq!(https.send(get("/devices/a").owner()).await.json()["cloudToDeviceMessageCount"], 2);
    let purged = https.send(delete("/devices/a/commands").token(service_token())).await.ok(200).json();
    assert_eq!(purged, json!({ "deviceId": "a", "moduleId": null, "totalMessagesPurged": 2 }));
    let purged = https.send(delete("/devices/a/commands").token(service_token())).await.ok(200).json();
    assert_eq!(purged["totalMessagesPurged"], 0);
    https.send(delete("/devices/none/commands").owner()).await.refusal(404, "DeviceNotFound");
}

#[tokio::test]
async fn a_deleted_device_loses_its_token_and_its_links() {
    let (hub, https) = start().await;
    let session = device(&hub, "a").await;
    let messages = session.receiver(devicebound("a")).attach().await.unwrap();
    https.send(delete("/devices/a").header("If-Match", "\"*\"").owner()).await.ok(204);
    let detached = format!("{:?}", messages.detached().await);
    assert!(detached.contains("404001"), "{detached}");
}

#[tokio::test]
async fn each_route_asks_for_its_right() {
    let (_hub, https) = start().await;
    let tokens: [(&str, String); 5] = [
        ("reader", token(READER_KEY, "localhost", HOUR, Some("registryRead"))),
        ("writer", token(WRITER_KEY, "localhost", HOUR, Some("registryReadWrite"))),
        ("service", service_token()),
        ("devices", token(OTHER_KEY, "localhost", HOUR, Some("device"))),
        ("device", device_token("a")),
    ];
    let star = |request: Request| request.header("If-Match", "\"*\"");
    let empty = || json!({});
    for (name, token) in tokens {
        let cases: Vec<(Request, &[&str])> = vec![
            (get("/devices/a"), &["reader", "writer"]),
            (get("/devices"), &["reader", "writer"]),
            (get("/devices/a/modules"), &["reader", "writer"]),
            (get("/statistics/devices"), &["reader", "writer"]),
            (star(put("/devices/a", &empty())), &["writer"]),
            (get("/twins/a"), &["service"]),
            (patch("/twins/a", &empty()), &["service"]),
            (put("/twins/a", &empty()), &["service"]),
            (delete("/devices/a/commands"), &["service"]),
        ];
        for (request, allowed) in cases {
            let what = format!("{name}: {}", String::from_utf8_lossy(&request.to_octets()).lines().next().unwrap());
            let response = https.send(request.token(token.clone())).await;
            if allowed.contains(&name) {
                assert_eq!(response.status, 200, "{what}");
            } else {
                let text = response.refusal(401, "IotHubUnauthorizedAccess");
                assert!(text.contains("the rule does not allow access"), "{what}: {text}");
            }
        }
    }
    // A token for identities only.
    let confined = token(READER_KEY, "localhost/devices", HOUR, Some("registryRead"));
    https.send(get("/devices/a").token(confined.clone())).await.ok(200);
    https.send(get("/statistics/devices").token(confined)).await.refusal(401, "IotHubUnauthorizedAccess");
    let confined = token(OWNER_KEY, "localhost/twins/a", HOUR, Some("iothubowner"));
    https.send(get("/twins/a").token(confined.clone())).await.ok(200);
    https.send(get("/twins/b").token(confined)).await.refusal(401, "IotHubUnauthorizedAccess");
}

/// What handlers are asked without a token.
#[tokio::test]
async fn no_route_is_open() {
    let (_hub, https) = start().await;
    for (method, path) in [
        ("GET", "/devices"),
        ("GET", "/devices/a"),
        ("PUT", "/devices/a"),
        ("DELETE", "/devices/a"),
        ("GET", "/devices/a/modules"),
        ("GET", "/devices/a/modules/m"),
        ("PUT", "/devices/a/modules/m"),
        ("DELETE", "/devices/a/modules/m"),
        ("DELETE", "/devices/a/commands"),
        ("GET", "/statistics/devices"),
        ("GET", "/statistics/service"),
        ("GET", "/twins/a"),
        ("PATCH", "/twins/a"),
        ("PUT", "/twins/a"),
        ("GET", "/twins/a/modules/m"),
        ("PATCH", "/twins/a/modules/m"),
        ("PUT", "/twins/a/modules/m"),
        ("GET", "/jobs/v2/j"),
        ("GET", "/configurations/c"),
        ("GET", "/digitaltwins/a"),
    ] {
        https.send(request(method, path)).await.refusal(401, "IotHubUnauthorized");
    }
    for (method, path) in
        [("POST", "/devices/a"), ("PATCH", "/devices/a"), ("DELETE", "/twins/a"), ("POST", "/statistics/devices")]
    {
        https.send(request(method, path).owner()).await.refusal(405, "MethodNotAllowed");
    }
}
