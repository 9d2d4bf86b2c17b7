//! Direct methods and twins, with the service over HTTPS and the device over AMQP.

use crate::support::{builder, device, hub, registry, soon};
use iothub::{
    Delivered, DeviceClient, ErrorKind, MethodAnswer,
    registry::{DirectMethod, IdentityId, IfMatch, RegistryClient, TwinUpdate},
};
use iothub_emulator::Emulator;
use serde_json::{Value, json};
use std::time::Duration;

const KEY: &str = "a2V5LW9mLXRoZS1tb2R1bGUtbTE=";

async fn connected(hub: &Emulator) -> DeviceClient {
    device(&hub.device_connection_string("d0").expect("a device"), hub).await
}

/// Answers calls in a task: `echo` with what it was given, `fail` with status 500, and others not at all.
async fn answer(client: DeviceClient) -> tokio::task::JoinHandle<DeviceClient> {
    let mut methods = soon("links", client.methods()).await.expect("attached");
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok(Some(call)) = methods.next().await {
            match call.name() {
                "echo" => {
                    let given: Value = call.json().expect("JSON");
                    call.answer(MethodAnswer::new(200).payload(json!({ "given": given }))).await.expect("sent");
                }
                "fail" => call.answer(MethodAnswer::new(500)).await.expect("sent"),
                _ => kept.push(call),
            }
        }
        client
    })
}

async fn invoke(registry: &RegistryClient, id: impl Into<IdentityId>, method: &DirectMethod) -> (i32, Value) {
    let response = soon("an answer", registry.invoke_method(id, method)).await.expect("answered");
    (response.status, response.payload)
}

#[tokio::test]
async fn a_method_is_answered_with_the_devices_own_status_and_payload() {
    let hub = hub(1).await;
    let registry = registry(&hub);
    let _device = answer(connected(&hub).await).await;
    for payload in [json!(null), json!({"a": [1, "zwei"]}), json!("text"), json!(5)] {
        let echo = DirectMethod::new("echo").payload(payload.clone());
        assert_eq!(invoke(&registry, "d0", &echo).await, (200, json!({ "given": payload })));
    }
    assert_eq!(invoke(&registry, "d0", &DirectMethod::new("fail")).await, (500, Value::Null));
    let calls = (0..20).map(|number| {
        let registry = registry.clone();
        tokio::spawn(async move { invoke(&registry, "d0", &DirectMethod::new("echo").payload(number)).await })
    });
    for (number, call) in calls.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(soon("an answer", call).await.expect("no panic"), (200, json!({ "given": number })));
    }
}

#[tokio::test]
async fn a_method_that_reaches_nobody_or_gets_no_answer_has_its_kind() {
    let hub = hub(1).await;
    let registry = registry(&hub);
    let method = DirectMethod::new("silent").response_timeout(Duration::from_secs(5));
    let offline = soon("an answer", registry.invoke_method("d0", &method)).await.expect_err("offline");
    assert_eq!((offline.kind(), offline.delivered()), (ErrorKind::DeviceNotOnline, Delivered::No), "{offline}");
    assert_eq!(offline.http().map(|answer| (answer.status, answer.code)), Some((404, Some(404_103))));
    let nobody = soon("an answer", registry.invoke_method("nobody", &method)).await.expect_err("no device");
    assert_eq!(nobody.kind(), ErrorKind::DeviceNotFound, "{nobody}");
    let _device = answer(connected(&hub).await).await;
    let silent = soon("an answer", registry.invoke_method("d0", &method)).await.expect_err("no answer");
    assert_eq!((silent.kind(), silent.delivered()), (ErrorKind::Timeout, Delivered::Unknown), "{silent}");
    assert_eq!(silent.http().map(|answer| answer.status), Some(504));
}

#[tokio::test]
async fn a_method_waits_for_a_device_that_comes_in_time() {
    let hub = hub(1).await;
    let registry = registry(&hub);
    let waiting = tokio::spawn(async move {
        let method = DirectMethod::new("echo").payload(1).connect_timeout(Duration::from_secs(30));
        invoke(&registry, "d0", &method).await
    });
    let _device = answer(connected(&hub).await).await;
    assert_eq!(soon("an answer", waiting).await.expect("no panic"), (200, json!({"given": 1})));
}

#[tokio::test]
async fn a_twin_has_two_ends() {
    let hub = hub(1).await;
    let (registry, client) = (registry(&hub), connected(&hub).await);
    let twin = soon("links", client.twin()).await.expect("attached");
    soon("an answer", twin.update_reported(json!({"firmware": "1.2", "fan": {"speed": 0}}))).await.expect("written");
    let read = soon("an answer", registry.twin("d0")).await.expect("read");
    assert_eq!(read.reported.get(&["fan", "speed"]), Some(&json!(0)));
    assert!(read.reported.metadata(&["firmware"]).expect("metadata").last_updated.is_some());

    let mut changes = soon("a subscription", twin.watch_desired()).await.expect("subscribed");
    let update = TwinUpdate::new().desired("fan", json!({"speed": 3})).tag("room", "kitchen");
    let patched = soon("an answer", registry.patch_twin("d0", &update, read.etag)).await.expect("patched");
    // Beginning with what there is, up to the change.
    while soon("a change", changes.next()).await.expect("readable").expect("not the end").version()
        < patched.desired.version()
    {}
    let seen = soon("an answer", twin.get()).await.expect("read");
    assert_eq!(seen.desired.get(&["fan", "speed"]), Some(&json!(3)));
    assert_eq!(seen.reported.get(&["firmware"]), Some(&json!("1.2")));
}

#[tokio::test]
async fn modules_have_methods_and_twins_of_their_own() {
    let hub = builder().device("d0", KEY).module("d0", "m1", KEY).start().await.expect("a hub");
    let registry = registry(&hub);
    let string = hub.module_connection_string("d0", "m1").expect("a module");
    let module = iothub::ModuleClient::builder().connection_string(&string).expect("a connection string");
    let module = module.ca_pem(hub.ca_pem()).expect("a certificate").connect();
    let module = soon("a connection", module).await.expect("accepted");
    let twin = soon("links", module.twin()).await.expect("attached");
    soon("an answer", twin.update_reported(json!({"of": "the module"}))).await.expect("written");
    let read = soon("an answer", registry.twin(("d0", "m1"))).await.expect("read");
    assert_eq!(read.reported.get(&["of"]), Some(&json!("the module")));
    let device = soon("an answer", registry.twin("d0")).await.expect("read");
    assert_eq!(device.reported.get(&["of"]), None);

    let mut methods = soon("links", module.methods()).await.expect("attached");
    let answering = tokio::spawn(async move {
        let call = methods.next().await.expect("readable").expect("not the end");
        call.answer(MethodAnswer::new(201)).await.expect("sent");
        methods
    });
    assert_eq!(invoke(&registry, ("d0", "m1"), &DirectMethod::new("x")).await, (201, Value::Null));
    soon("the answer", answering).await.expect("no panic");
    let device = soon("an answer", registry.invoke_method("d0", &DirectMethod::new("x"))).await;
    assert_eq!(device.expect_err("the device has no links").kind(), ErrorKind::DeviceNotOnline);
    let update = TwinUpdate::new().desired("a", 1);
    soon("an answer", registry.patch_twin(("d0", "m1"), &update, IfMatch::Any)).await.expect("patched");
}
