use super::*;

const KEY: &str = "c2VjcmV0";

fn error_of(json: &str) -> String {
    parse_devices(json).unwrap_err().to_string()
}

#[test]
fn a_file_gives_devices_with_keys_and_status() {
    let json = r#"[
        {"deviceId": "a", "primaryKey": "c2VjcmV0"},
        {"deviceId": "b", "primaryKey": "c2VjcmV0", "secondaryKey": "b3RoZXI=", "status": "disabled"},
        {"deviceId": "c", "primaryKey": "c2VjcmV0", "secondaryKey": null, "status": "enabled"}
    ]"#;
    let devices = parse_devices(json).unwrap();
    let seen: Vec<_> = devices.iter().map(|d| (d.id.as_str(), d.secondary_key.is_some(), d.enabled)).collect();
    assert_eq!(seen, [("a", false, true), ("b", true, false), ("c", false, true)]);
    assert_eq!(devices[1].secondary_key.as_ref().unwrap().octets(), b"other");
}

#[test]
fn errors_in_a_file_name_the_entry_and_the_field() {
    let ok = r#"{"deviceId": "a", "primaryKey": "c2VjcmV0"}"#;
    for (entry, expected) in [
        ("7", "entry 2, entry: must be an object"),
        (r#"{"primaryKey": "c2VjcmV0"}"#, "entry 2, deviceId: is missing"),
        (r#"{"deviceId": "x/y", "primaryKey": "c2VjcmV0"}"#, "entry 2, deviceId: character 1"),
        (r#"{"deviceId": 5}"#, "entry 2, deviceId: must be a string"),
        (r#"{"deviceId": "b"}"#, "entry 2 (b), primaryKey: is missing"),
        (r#"{"deviceId": "b", "primaryKey": "c2VjcmV0", "secondaryKey": ""}"#, "entry 2 (b), secondaryKey: the key is"),
        (r#"{"deviceId": "b", "primaryKey": "c2VjcmV0", "status": "on"}"#, "entry 2 (b), status: must be"),
        (r#"{"deviceId": "b", "primaryKey": "c2VjcmV0", "colour": "red"}"#, "entry 2 (b), colour: is not a field"),
        (ok, "entry 2 (a), deviceId: entry 1 has the same id"),
    ] {
        let text = error_of(&format!("[{ok}, {entry}]"));
        assert!(text.contains(expected), "{text:?} should say {expected:?}");
    }
}

#[test]
fn what_is_no_array_and_what_is_no_json_is_told_apart() {
    assert_eq!(parse_devices("{}").unwrap_err(), DevicesFileError::NotAnArray);
    assert!(error_of("[\n {\"deviceId\" 5}]").contains("line 2"));
}

#[test]
fn a_wrong_key_is_not_repeated_in_the_error() {
    let text = error_of(r#"[{"deviceId": "a", "primaryKey": "my secret!"}]"#);
    assert!(text.contains("primaryKey") && !text.contains("secret"), "{text}");
    let error = "a=my secret!".parse::<DeviceSpec>().unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[test]
fn the_argument_form_splits_at_the_first_equals_sign() {
    let spec: DeviceSpec = "dev-1=b3RoZXI=".parse().unwrap();
    assert_eq!((spec.id.as_str(), spec.primary_key.octets(), spec.enabled), ("dev-1", &b"other"[..], true));
    assert_eq!("dev-1".parse::<DeviceSpec>().unwrap_err(), DeviceArgumentError::NoKey);
    assert_eq!("=b3RoZXI=".parse::<DeviceSpec>().unwrap_err(), DeviceArgumentError::Id(IdError::Empty));
    assert_eq!("a=".parse::<DeviceSpec>().unwrap_err(), DeviceArgumentError::Key(KeyError::Empty));
}

#[test]
fn a_second_device_of_the_same_id_is_refused() {
    let mut registry = Registry::default();
    let spec: DeviceSpec = format!("a={KEY}").parse().unwrap();
    assert!(registry.add(spec.clone(), "1").is_ok());
    assert_eq!(registry.add(spec.clone(), "2"), Err(DeviceExists(spec.id.clone())));
    assert_eq!(&**registry.device(&spec.id).unwrap().generation_id(), "1");
    assert!(registry.remove(&spec.id) && !registry.remove(&spec.id));
}

#[test]
fn no_debug_form_shows_a_key() {
    let mut registry = Registry::default();
    registry.add(format!("a={KEY}").parse().unwrap(), "1").unwrap();
    let shown = format!("{registry:?}");
    assert!(shown.contains("Key(..)") && !shown.contains(KEY) && !shown.contains("secret"), "{shown}");
}
