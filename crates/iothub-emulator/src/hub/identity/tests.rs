use super::*;

const NOW: UnixMillis = UnixMillis(1_800_000_000_123);

fn id(text: &str) -> IdentityId {
    match text.split_once('/') {
        Some((device, module)) => IdentityId::of_module(DeviceId::new(device).unwrap(), ModuleId::new(module).unwrap()),
        None => DeviceId::new(text).unwrap().into(),
    }
}

fn identity(text: &str, document: &Value) -> Identity {
    Identity::new(IdentitySpec::parse(id(text), document).unwrap(), "123", "etag".into()).unwrap()
}

const NEVER: &str = "0001-01-01T00:00:00Z";

#[test]
fn a_new_device_is_shown_with_every_field_that_clients_need() {
    let document = json!({
        "deviceId": "d", "authentication": { "symmetricKey": { "primaryKey": "YQ==", "secondaryKey": "Yg==" } },
    });
    let expected = json!({
        "deviceId": "d", "generationId": "123", "etag": "etag", "connectionState": "Disconnected", "status": "enabled",
        "statusReason": null, "connectionStateUpdatedTime": NEVER, "statusUpdatedTime": NEVER, "lastActivityTime": NEVER,
        "cloudToDeviceMessageCount": 0, "capabilities": { "iotEdge": false },
        "authentication": {
            "type": "sas",
            "symmetricKey": { "primaryKey": "YQ==", "secondaryKey": "Yg==" },
            "x509Thumbprint": { "primaryThumbprint": null, "secondaryThumbprint": null },
        },
    });
    assert_eq!(identity("d", &document).to_json(), expected);
}

#[test]
fn a_new_module_has_its_own_fields_and_no_status() {
    let document = json!({
        "deviceId": "d", "moduleId": "$edgeAgent", "managedBy": "iotEdge", "authentication": { "type": "none" },
    });
    let expected = json!({
        "deviceId": "d", "moduleId": "$edgeAgent", "managedBy": "iotEdge", "generationId": "123", "etag": "etag",
        "connectionState": "Disconnected", "connectionStateUpdatedTime": NEVER, "lastActivityTime": NEVER,
        "cloudToDeviceMessageCount": 0,
        "authentication": {
            "type": "none",
            "symmetricKey": { "primaryKey": null, "secondaryKey": null },
            "x509Thumbprint": { "primaryThumbprint": null, "secondaryThumbprint": null },
        },
    });
    assert_eq!(identity("d/$edgeAgent", &document).to_json(), expected);
}

#[test]
fn a_document_that_was_read_can_be_sent_back() {
    let document = json!({
        "deviceId": "d", "status": "disabled", "statusReason": "lost", "capabilities": { "iotEdge": true },
        "parentScopes": ["ms-azure-iot-edge://parent-1"],
        "authentication": { "type": "certificateAuthority", "symmetricKey": null, "x509Thumbprint": null },
    });
    let first = identity("d", &document);
    assert_eq!(first.to_json()["deviceScope"], "ms-azure-iot-edge://d-123");
    let again = identity("d", &first.to_json());
    assert_eq!(again.to_json(), first.to_json());
    assert_eq!(again.to_json()["parentScopes"], json!(["ms-azure-iot-edge://parent-1"]));
}

#[test]
fn what_a_document_leaves_out_has_its_default() {
    for document in [json!({}), json!({ "deviceId": "", "status": null, "capabilities": null, "parentScopes": null })] {
        let spec = IdentitySpec::parse(id("d"), &document).unwrap();
        assert!(spec.enabled && !spec.iot_edge && spec.authentication.is_none() && spec.parent_scopes.is_empty());
        let shown = identity("d", &document).to_json();
        assert!(shown.get("deviceScope").is_none() && shown.get("parentScopes").is_none(), "{shown}");
        assert_eq!(shown["authentication"]["type"], "sas");
    }
}

#[test]
fn a_wrong_field_is_an_invalid_argument_and_is_named() {
    for (document, named) in [
        (json!([]), "the body"),
        (json!({ "deviceId": "e" }), "deviceId"),
        (json!({ "moduleId": "m" }), "moduleId"),
        (json!({ "status": "on" }), "status"),
        (json!({ "status": 1 }), "status"),
        (json!({ "statusReason": "x".repeat(129) }), "statusReason"),
        (json!({ "capabilities": true }), "capabilities"),
        (json!({ "capabilities": { "iotEdge": "yes" } }), "iotEdge"),
        (json!({ "deviceScope": "x".repeat(1025) }), "deviceScope"),
        (json!({ "parentScopes": "one" }), "parentScopes"),
        (json!({ "parentScopes": [1] }), "parent scope"),
        (json!({ "authentication": { "type": "password" } }), "type"),
    ] {
        let error = IdentitySpec::parse(id("d"), &document).unwrap_err();
        assert_eq!(error.code(), ErrorCode::ArgumentInvalid);
        assert!(error.text().contains(named), "{document}: {error}");
    }
}

#[test]
fn an_update_without_authentication_keeps_the_keys() {
    let mut device = identity("d", &json!({}));
    let before = device.to_json();
    let spec = IdentitySpec::parse(id("d"), &json!({ "status": "disabled" })).unwrap();
    device.update(NOW, spec, "other".into()).unwrap();
    let after = device.to_json();
    assert_eq!(after["authentication"], before["authentication"]);
    assert_eq!((&after["status"], &after["etag"]), (&json!("disabled"), &json!("other")));
    assert_eq!(after["statusUpdatedTime"], "2027-01-15T08:00:00.123Z");
    let spec = IdentitySpec::parse(id("d"), &json!({ "authentication": { "type": "sas" } })).unwrap();
    device.update(NOW, spec, "third".into()).unwrap();
    assert_ne!(device.to_json()["authentication"], before["authentication"]);
}

#[test]
fn only_the_exact_tag_matches() {
    assert!(IfMatch::None.check("a").is_ok() && IfMatch::Any.check("a").is_ok());
    assert!(IfMatch::Exactly("a".into()).check("a").is_ok());
    let error = IfMatch::Exactly("A".into()).check("a").unwrap_err();
    assert_eq!(error.code(), ErrorCode::PreconditionFailed);
}

#[test]
fn no_debug_form_shows_a_key() {
    let device = identity("d", &json!({ "authentication": { "symmetricKey": { "primaryKey": "c2VjcmV0" } } }));
    let shown = format!("{device:?}");
    assert!(shown.contains("Key(..)") && !shown.contains("c2VjcmV0"), "{shown}");
}
