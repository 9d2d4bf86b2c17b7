use super::*;
use crate::hub::{DeviceId, IdentitySpec, Policies, Settings};
use serde_json::json;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const LATER: UnixMillis = UnixMillis(1_800_000_001_000);
const AT_NOW: &str = "2027-01-15T08:00:00.000Z";
const AT_LATER: &str = "2027-01-15T08:00:01.000Z";

fn id() -> IdentityId {
    DeviceId::new("d").unwrap().into()
}

fn module() -> IdentityId {
    IdentityId::of_module(id().device, "m".parse().unwrap())
}

fn hub_with(settings: Settings) -> Hub {
    let mut hub = Hub::new(settings, Policies::new()).unwrap();
    for id in [id(), module()] {
        hub.create_identity(NOW, IdentitySpec::new(id)).unwrap();
    }
    hub.take_wakes();
    hub
}

fn hub() -> Hub {
    hub_with(Settings::default())
}

fn patch(hub: &mut Hub, at: UnixMillis, document: Value) -> Value {
    hub.patch_twin(at, &id(), &IfMatch::None, &document).unwrap().to_json()
}

fn desired(values: Value) -> Value {
    json!({ "properties": { "desired": values } })
}

fn code<T: core::fmt::Debug>(result: Result<T, ServiceError>) -> ErrorCode {
    result.unwrap_err().code()
}

#[test]
fn a_new_twin_is_as_the_service_makes_it() {
    let hub = hub();
    let section = json!({ "$metadata": { "$lastUpdated": "0001-01-01T00:00:00Z" }, "$version": 1 });
    let mut expected = json!({
        "deviceId": "d", "etag": "AAAAAAAAAAE=", "deviceEtag": hub.identity(&id()).unwrap().etag(), "status": "enabled",
        "statusUpdateTime": "0001-01-01T00:00:00Z", "connectionState": "Disconnected",
        "lastActivityTime": "0001-01-01T00:00:00Z", "cloudToDeviceMessageCount": 0, "authenticationType": "sas",
        "x509Thumbprint": { "primaryThumbprint": null, "secondaryThumbprint": null }, "modelId": "", "version": 2,
        "properties": { "desired": section, "reported": section }, "capabilities": { "iotEdge": false },
    });
    assert_eq!(hub.twin(&id()).unwrap().to_json(), expected);
    expected["moduleId"] = "m".into();
    expected["deviceEtag"] = hub.identity(&module()).unwrap().etag().into();
    expected.as_object_mut().unwrap().remove("capabilities");
    assert_eq!(hub.twin(&module()).unwrap().to_json(), expected);
    assert_eq!(
        hub.twin(&id()).unwrap().to_device_json(),
        json!({ "desired": { "$version": 1 }, "reported": { "$version": 1 } })
    );
}

#[test]
fn a_patch_merges_at_every_depth_and_null_removes() {
    let mut hub = hub();
    patch(
        &mut hub,
        NOW,
        json!({ "tags": { "a": { "b": 1, "c": 2 } }, "properties": { "desired": { "x": { "y": 1 } } } }),
    );
    let twin = patch(
        &mut hub,
        LATER,
        json!({
            "tags": { "a": { "b": null, "d": [1, { "e": 2 }] }, "nothing": null },
            "properties": { "desired": { "x": { "z": { "deep": true, "gone": null } } } },
        }),
    );
    assert_eq!(twin["tags"], json!({ "a": { "c": 2, "d": [1, { "e": 2 }] } }));
    let at = |time: &str, version: u64| json!({ "$lastUpdated": time, "$lastUpdatedVersion": version });
    let mut metadata = at(AT_LATER, 3);
    metadata["x"] = at(AT_LATER, 3);
    metadata["x"]["y"] = at(AT_NOW, 2);
    metadata["x"]["z"] = at(AT_LATER, 3);
    metadata["x"]["z"]["deep"] = at(AT_LATER, 3);
    let expected = json!({ "x": { "y": 1, "z": { "deep": true } }, "$metadata": metadata, "$version": 3 });
    assert_eq!(twin["properties"]["desired"], expected);
    assert_eq!((&twin["version"], &twin["etag"]), (&json!(4), &json!("AAAAAAAAAAM=")));
}

#[test]
fn what_is_read_only_is_ignored_so_a_twin_that_was_read_can_be_sent_back() {
    let mut hub = hub();
    let read = patch(&mut hub, NOW, json!({ "tags": { "a": 1 }, "properties": { "desired": { "x": 1 } } }));
    hub.patch_reported(NOW, &id(), None, &json!({ "r": 1 })).unwrap();
    let mut sent = read.clone();
    sent["properties"]["reported"] = json!({ "r": 2 });
    sent["status"] = "disabled".into();
    let after = patch(&mut hub, LATER, sent.clone());
    assert_eq!((&after["tags"], &after["status"]), (&json!({ "a": 1 }), &json!("enabled")));
    assert_eq!(after["properties"]["desired"]["x"], 1);
    assert_eq!(after["properties"]["desired"]["$version"], 3);
    assert_eq!(after["properties"]["reported"]["r"], 1);
    let replaced = hub.replace_twin(LATER, &id(), &IfMatch::Any, &sent).unwrap().to_json();
    assert_eq!(replaced["properties"]["desired"]["$version"], 4);
    assert_eq!(replaced["properties"]["reported"]["r"], 1);
}

#[test]
fn a_patch_without_tags_or_desired_properties_changes_nothing() {
    let mut hub = hub();
    let before = hub.twin(&id()).unwrap().to_json();
    for document in [
        json!({}),
        json!({ "properties": null }),
        json!({ "properties": { "desired": {}, "reported": { "a": 1 } } }),
        json!({ "tags": {}, "properties": { "desired": { "$version": 1, "$metadata": {} } } }),
    ] {
        assert_eq!(patch(&mut hub, LATER, document), before);
    }
}

#[test]
fn a_section_that_is_null_is_emptied() {
    let mut hub = hub();
    patch(&mut hub, NOW, json!({ "tags": { "a": 1 }, "properties": { "desired": { "x": 1, "y": { "z": 1 } } } }));
    let consumer = hub.add_consumer();
    hub.watch_desired(&id(), consumer).unwrap();
    let twin = patch(&mut hub, LATER, json!({ "tags": null, "properties": { "desired": null } }));
    assert!(twin.get("tags").is_none());
    assert_eq!(hub.twin(&id()).unwrap().desired().len(), 0);
    let change = hub.take_desired(&id(), consumer).unwrap();
    assert_eq!(change.to_json(), json!({ "x": null, "y": null, "$version": 3 }));
}

#[test]
fn a_replacement_empties_what_it_leaves_out() {
    let mut hub = hub();
    patch(&mut hub, NOW, json!({ "tags": { "a": 1 }, "properties": { "desired": { "x": { "y": 1 }, "z": 2 } } }));
    let consumer = hub.add_consumer();
    assert_eq!(hub.watch_desired(&id(), consumer), Ok(2));
    let twin =
        hub.replace_twin(LATER, &id(), &IfMatch::None, &desired(json!({ "z": 3, "n": null }))).unwrap().to_json();
    let at = json!({ "$lastUpdated": AT_LATER, "$lastUpdatedVersion": 3 });
    let mut metadata = at.clone();
    metadata["z"] = at;
    assert_eq!(twin["properties"]["desired"], json!({ "z": 3, "$version": 3, "$metadata": metadata }));
    assert!(twin.get("tags").is_none());
    assert_eq!(hub.take_wakes(), [Wake::Twin(id())]);
    assert_eq!(hub.take_desired(&id(), consumer).unwrap().to_json(), json!({ "z": 3, "$version": 3 }));
    let twin = hub.replace_twin(LATER, &id(), &IfMatch::None, &json!({ "tags": { "b": 1 } })).unwrap();
    assert_eq!((twin.desired().len(), twin.tags().len()), (0, 1));
}

#[test]
fn those_who_watch_get_the_patch_with_its_nulls_and_the_version() {
    let mut hub = hub();
    let consumer = hub.add_consumer();
    hub.watch_desired(&id(), consumer).unwrap();
    patch(&mut hub, NOW, json!({ "tags": { "a": 1 } }));
    assert!(hub.take_wakes().is_empty() && hub.take_desired(&id(), consumer).is_none());
    patch(&mut hub, NOW, desired(json!({ "x": { "y": null, "z": 1 }, "$version": 77 })));
    assert_eq!(hub.take_wakes(), [Wake::Twin(id())]);
    let change = hub.take_desired(&id(), consumer).unwrap();
    assert_eq!((change.to_json(), change.version()), (json!({ "x": { "y": null, "z": 1 }, "$version": 2 }), 2));
    assert!(hub.take_desired(&id(), consumer).is_none());
    hub.unwatch_desired(&id(), consumer);
    patch(&mut hub, NOW, desired(json!({ "x": 1 })));
    assert!(hub.take_wakes().is_empty() && hub.take_desired(&id(), consumer).is_none());
}

#[test]
fn tags_alone_raise_the_desired_version_only_if_the_hub_is_told_so() {
    let change = json!({ "tags": { "a": 1 } });
    assert_eq!(patch(&mut hub(), NOW, change.clone())["properties"]["desired"]["$version"], 1);
    let mut settings = Settings::default();
    settings.twins.tags_raise_desired_version = true;
    let mut hub = hub_with(settings);
    let consumer = hub.add_consumer();
    hub.watch_desired(&id(), consumer).unwrap();
    assert_eq!(patch(&mut hub, NOW, change)["properties"]["desired"]["$version"], 2);
    assert_eq!(hub.take_desired(&id(), consumer).unwrap().to_json(), json!({ "$version": 2 }));
}

#[test]
fn a_write_with_another_tag_fails_and_one_that_is_refused_changes_nothing() {
    let mut hub = hub();
    let first = IfMatch::Exactly("AAAAAAAAAAE=".into());
    hub.patch_twin(NOW, &id(), &first, &desired(json!({ "x": 1 }))).unwrap();
    let before = hub.twin(&id()).unwrap().to_json();
    assert_eq!(code(hub.patch_twin(NOW, &id(), &first, &json!({ "tags": {} }))), ErrorCode::PreconditionFailed);
    assert_eq!(code(hub.replace_twin(NOW, &id(), &first, &json!({}))), ErrorCode::PreconditionFailed);
    for (document, expected) in [
        (json!([]), ErrorCode::ArgumentInvalid),
        (json!({ "tags": 1 }), ErrorCode::ArgumentInvalid),
        (json!({ "properties": 1 }), ErrorCode::ArgumentInvalid),
        (desired(json!("x")), ErrorCode::ArgumentInvalid),
        (json!({ "tags": { "a": 1 }, "properties": { "desired": { "a.b": 1 } } }), ErrorCode::ArgumentInvalid),
        (json!({ "tags": { "a": "x".repeat(4096), "b": "x".repeat(4096) } }), ErrorCode::MessageTooLarge),
    ] {
        assert_eq!(code(hub.patch_twin(NOW, &id(), &IfMatch::Any, &document)), expected, "{document}");
        assert_eq!(code(hub.replace_twin(NOW, &id(), &IfMatch::Any, &document)), expected, "{document}");
    }
    assert_eq!(hub.twin(&id()).unwrap().to_json(), before);
}

#[test]
fn reported_properties_are_written_by_the_device_and_leave_the_tag_as_it_is() {
    let mut hub = hub();
    assert_eq!(hub.patch_reported(NOW, &id(), None, &json!({ "a": { "b": 1 } })), Ok(2));
    assert_eq!(hub.patch_reported(LATER, &id(), Some(2), &json!({ "a": { "b": null }, "$version": 2 })), Ok(3));
    assert_eq!(hub.patch_reported(LATER, &id(), None, &json!({})), Ok(4), "a change of nothing is a change");
    let twin = hub.twin(&id()).unwrap().to_json();
    let at = json!({ "$lastUpdated": AT_LATER });
    let expected = json!({ "a": {}, "$version": 4, "$metadata": { "$lastUpdated": AT_LATER, "a": at } });
    assert_eq!(twin["properties"]["reported"], expected);
    assert_eq!((&twin["version"], &twin["etag"]), (&json!(5), &json!("AAAAAAAAAAE=")));
    assert_eq!(twin["lastActivityTime"], AT_LATER);
    for (version, document) in
        [(Some(3), json!({})), (None, json!({ "$version": 5 })), (Some(4), json!({ "$version": 1 }))]
    {
        assert_eq!(code(hub.patch_reported(LATER, &id(), version, &document)), ErrorCode::PreconditionFailed);
    }
    assert_eq!(code(hub.patch_reported(LATER, &id(), None, &json!({ "$version": "4" }))), ErrorCode::ArgumentInvalid);
    assert_eq!(code(hub.patch_reported(LATER, &id(), None, &json!({ "a b": 1 }))), ErrorCode::ArgumentInvalid);
    assert_eq!(hub.twin(&id()).unwrap().reported_version(), 4);
}

#[test]
fn a_module_has_a_twin_of_its_own() {
    let mut hub = hub();
    hub.patch_reported(NOW, &module(), None, &json!({ "of": "module" })).unwrap();
    hub.set_model_id(&module(), "dtmi:com:example:Thing;1");
    assert_eq!(hub.twin(&id()).unwrap().reported().len(), 0);
    let twin = hub.module_twins().next().unwrap();
    assert_eq!((twin.id(), twin.model_id()), (&module(), Some("dtmi:com:example:Thing;1")));
    assert_eq!(twin.reported()["of"], "module");
    assert_eq!(hub.twins().count(), 1);
}
