use super::*;

fn keys(authentication: &AuthenticationSpec) -> Vec<&[u8]> {
    match authentication {
        AuthenticationSpec::SymmetricKey { primary, secondary } => {
            primary.iter().chain(secondary).map(Key::octets).collect()
        }
        _ => Vec::new(),
    }
}

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
    let seen: Vec<_> = devices.iter().map(|d| (d.id.as_str(), keys(&d.authentication).len(), d.enabled)).collect();
    assert_eq!(seen, [("a", 1, true), ("b", 2, false), ("c", 1, true)]);
    assert_eq!(keys(&devices[1].authentication), [b"secret".as_slice(), b"other"]);
}

#[test]
fn a_file_gives_devices_with_certificates_and_modules() {
    let json = r#"[
        {"deviceId": "a", "authentication": {
            "type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": "0123456789abcdef0123456789ABCDEF01234567"}}},
        {"deviceId": "b", "primaryKey": "c2VjcmV0", "modules": [
            {"moduleId": "m", "primaryKey": "b3RoZXI="},
            {"moduleId": "$edgeAgent", "authentication": {"type": "certificateAuthority"}}]}
    ]"#;
    let devices = parse_devices(json).unwrap();
    assert!(matches!(&devices[0].authentication, AuthenticationSpec::SelfSigned { primary: Some(_), secondary: None }));
    let modules: Vec<_> = devices[1].modules.iter().map(|(id, how)| (id.as_str(), keys(how).len())).collect();
    assert_eq!(modules, [("m", 1), ("$edgeAgent", 0)]);
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
        (r#"{"deviceId": "b", "authentication": {"type": "selfSigned"}}"#, "entry 2 (b), authentication: selfSigned"),
        (
            r#"{"deviceId": "b", "primaryKey": "c2VjcmV0", "authentication": {}}"#,
            "entry 2 (b), authentication: takes the place",
        ),
        (r#"{"deviceId": "b", "primaryKey": "c2VjcmV0", "modules": 1}"#, "entry 2 (b), modules: must be an array"),
        (r#"{"deviceId": "b", "primaryKey": "c2VjcmV0", "modules": [1]}"#, "entry 2 (b), modules: must be an object"),
        (r#"{"deviceId": "b", "primaryKey": "c2VjcmV0", "modules": [{}]}"#, "entry 2 (b), moduleId: is missing"),
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
    assert_eq!((spec.id.as_str(), spec.enabled), ("dev-1", true));
    assert_eq!(keys(&spec.authentication), [b"other"]);
    assert_eq!("dev-1".parse::<DeviceSpec>().unwrap_err(), DeviceArgumentError::NoKey);
    assert_eq!("=b3RoZXI=".parse::<DeviceSpec>().unwrap_err(), DeviceArgumentError::Id(IdError::Empty));
    assert_eq!("a=".parse::<DeviceSpec>().unwrap_err(), DeviceArgumentError::Key(KeyError::Empty));
}

#[test]
fn devices_with_certificates_are_given_by_thumbprints_or_an_authority() {
    let (sha1, sha256) = ("a1".repeat(20), "B2".repeat(32));
    let parsed = |text: &str| text.parse::<DeviceSpec>().map(|spec| spec.authentication);
    let both = parsed(&format!("d=x509:{sha1},{sha256}")).unwrap();
    let AuthenticationSpec::SelfSigned { primary: Some(primary), secondary: Some(secondary) } = both else { panic!() };
    assert!(primary.matches(&"A1".repeat(20)) && secondary.matches(&"b2".repeat(32)));
    let one = parsed(&format!("d=x509:{sha256}")).unwrap();
    assert!(matches!(one, AuthenticationSpec::SelfSigned { primary: Some(_), secondary: None }));
    assert!(matches!(parsed("d=x509:ca"), Ok(AuthenticationSpec::CertificateAuthority)));
    for text in
        ["d=x509:", "d=x509:abc", "d=x509:CA", &format!("d=x509:{sha1},"), &format!("d=x509:{sha1},{sha1},{sha1}")]
    {
        assert!(matches!(parsed(text), Err(DeviceArgumentError::Thumbprint(_))), "{text}");
    }
}
