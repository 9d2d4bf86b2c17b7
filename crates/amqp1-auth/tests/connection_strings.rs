//! Connection strings as the portal, the SDKs and tired fingers write them.

use amqp1_auth::connection_string::{
    ConnectionString, ConnectionStringError, Credential, DeviceConnectionString, EventHubsConnectionString,
    ServiceConnectionString,
};
use amqp1_auth::sas::SasError;
use proptest::prelude::*;

const KEY: &str = "bG9jYWwtc2VydmljZS1wb2xpY3kta2V5LTAxMjM0NTY=";
const TOKEN: &str = "SharedAccessSignature sr=hub.example%2Fdevices%2Fd1&sig=AAAAAAAAAAAAAAAA&se=1795377253";

fn fill(text: &str) -> String {
    text.replace("{KEY}", KEY).replace("{TOKEN}", TOKEN)
}

fn service(text: &str) -> Result<ServiceConnectionString, ConnectionStringError> {
    ServiceConnectionString::parse(&fill(text))
}

fn device(text: &str) -> Result<DeviceConnectionString, ConnectionStringError> {
    DeviceConnectionString::parse(&fill(text))
}

fn event_hubs(text: &str) -> Result<EventHubsConnectionString, ConnectionStringError> {
    EventHubsConnectionString::parse(&fill(text))
}

#[test]
fn a_service_connection_string_gives_its_parts() {
    let parsed =
        service("HostName=my-hub.azure-devices.net;SharedAccessKeyName=service;SharedAccessKey={KEY}").unwrap();
    assert_eq!(parsed.host().host(), "my-hub.azure-devices.net");
    assert_eq!(parsed.host().short_name(), "my-hub");
    assert_eq!(parsed.host().port(), None);
    assert_eq!(parsed.network_host(), parsed.host());
    assert_eq!(parsed.credential().policy(), Some("service"));
    let Credential::SharedAccessKey { key, .. } = parsed.credential() else { panic!("a key was given") };
    assert_eq!(key.expose(), KEY);
}

#[test]
fn a_port_may_follow_the_host() {
    let parsed = service("HostName=localhost:5671;SharedAccessKeyName=service;SharedAccessKey={KEY}").unwrap();
    assert_eq!((parsed.host().host(), parsed.host().port_or(1)), ("localhost", 5671));
}

#[test]
fn a_device_connection_string_gives_its_parts() {
    let parsed = device("HostName=hub.example;DeviceId=d-1@x;SharedAccessKey={KEY}").unwrap();
    assert_eq!((parsed.device_id(), parsed.module_id()), ("d-1@x", None));
    assert_eq!(parsed.credential().policy(), None);
}

#[test]
fn a_module_behind_a_gateway_with_a_policy_key() {
    let parsed = device(
        "HostName=hub.example;GatewayHostName=edge.local:5671;DeviceId=d;ModuleId=m;SharedAccessKeyName=device;\
         SharedAccessKey={KEY}",
    )
    .unwrap();
    assert_eq!(parsed.module_id(), Some("m"));
    assert_eq!(parsed.host().to_string(), "hub.example");
    assert_eq!(parsed.network_host().to_string(), "edge.local:5671");
    assert_eq!(parsed.credential().policy(), Some("device"));
}

#[test]
fn a_device_may_give_a_token_or_a_certificate_instead_of_a_key() {
    let parsed = device("HostName=hub.example;DeviceId=d1;SharedAccessSignature={TOKEN}").unwrap();
    let Credential::SharedAccessSignature(token) = parsed.credential() else { panic!("a token was given") };
    assert_eq!(token.resource(), "hub.example/devices/d1");
    let parsed = device("HostName=hub.example;DeviceId=d1;x509=true").unwrap();
    assert!(matches!(parsed.credential(), Credential::X509));
    let parsed = device("HostName=hub.example;DeviceId=d1;X509=False;SharedAccessKey={KEY}").unwrap();
    assert!(matches!(parsed.credential(), Credential::SharedAccessKey { .. }));
}

#[test]
fn an_event_hubs_connection_string_gives_its_parts() {
    let parsed = event_hubs(
        "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=service;SharedAccessKey={KEY};EntityPath=my-hub",
    )
    .unwrap();
    assert_eq!(parsed.endpoint().host(), "ns.servicebus.windows.net");
    assert_eq!(parsed.entity_path(), Some("my-hub"));
    assert!(!parsed.is_development_emulator());
    let parsed = event_hubs(
        "Endpoint=sb://localhost:5672;SharedAccessKeyName=p;SharedAccessKey=any text;UseDevelopmentEmulator=true;",
    )
    .unwrap();
    assert_eq!(parsed.endpoint().port(), Some(5672));
    assert!(parsed.is_development_emulator());
    assert_eq!(parsed.entity_path(), None);
}

#[test]
fn names_are_taken_in_any_case_and_spaces_do_not_matter() {
    let parsed = service(" HOSTNAME = hub.example ; sharedaccesskeyname=service;SharedAccessKEY={KEY} ; ").unwrap();
    assert_eq!(parsed.host().host(), "hub.example");
}

#[test]
fn each_wrong_service_string_says_which_part_is_wrong() {
    use ConnectionStringError as E;
    for (text, expected) in [
        ("", E::MissingField("HostName")),
        ("SharedAccessKeyName=p;SharedAccessKey={KEY}", E::MissingField("HostName")),
        ("HostName=h;SharedAccessKey={KEY}", E::MissingField("SharedAccessKeyName")),
        ("HostName=h;SharedAccessKeyName=p", E::MissingField("SharedAccessKey")),
        ("HostName=h;SharedAccessKeyName=p;SharedAccessKey=", E::EmptyField("SharedAccessKey")),
        ("HostName=h;SharedAccessKeyName=p;SharedAccessKey=abc", E::InvalidKey { field: "SharedAccessKey" }),
        ("HostName=h;HostName=h;SharedAccessKeyName=p;SharedAccessKey={KEY}", E::DuplicateField("HostName")),
        ("HostName=h;Hostnam=h", E::UnknownField { position: 2 }),
        ("HostName=h;nonsense", E::MalformedField { position: 2 }),
        (
            "HostName=h;DeviceId=d;SharedAccessKeyName=p;SharedAccessKey={KEY}",
            E::ForeignField { field: "DeviceId", kind: "a service's" },
        ),
        ("HostName=h;x509=true", E::ForeignField { field: "x509", kind: "a service's" }),
        (
            "HostName=h;SharedAccessKey={KEY};SharedAccessSignature={TOKEN}",
            E::ConflictingFields("SharedAccessKey", "SharedAccessSignature"),
        ),
        (
            "HostName=h;SharedAccessSignature=SharedAccessSignature sr=h",
            E::InvalidToken { field: "SharedAccessSignature", source: SasError::MissingField { field: "sig" } },
        ),
    ] {
        assert_eq!(service(text).expect_err(text), expected, "{text}");
    }
    for text in ["HostName=a b", "HostName=h:port", "HostName=https://h", "HostName=h;GatewayHostName=/"] {
        let error = service(text).expect_err(text);
        assert!(matches!(error, E::InvalidValue { field: "HostName" | "GatewayHostName", .. }), "{text}: {error}");
    }
}

#[test]
fn each_wrong_device_string_says_which_part_is_wrong() {
    use ConnectionStringError as E;
    for (text, expected) in [
        ("HostName=h;SharedAccessKey={KEY}", E::MissingField("DeviceId")),
        ("HostName=h;DeviceId=d", E::MissingField("SharedAccessKey")),
        ("HostName=h;DeviceId=d;x509=true;SharedAccessKey={KEY}", E::ConflictingFields("SharedAccessKey", "x509")),
        (
            "HostName=h;DeviceId=d;x509=true;SharedAccessSignature={TOKEN}",
            E::ConflictingFields("SharedAccessSignature", "x509"),
        ),
        ("HostName=h;DeviceId=d;x509=maybe", E::InvalidValue { field: "x509", expected: "true or false" }),
        (
            "HostName=h;DeviceId=d;SharedAccessKey={KEY};EntityPath=e",
            E::ForeignField { field: "EntityPath", kind: "a device's" },
        ),
    ] {
        assert_eq!(device(text).expect_err(text), expected, "{text}");
    }
    for id in ["a b".to_owned(), "a/b".to_owned(), "å".to_owned(), "a".repeat(129)] {
        let error = device(&format!("HostName=h;DeviceId={id};x509=true")).expect_err("a wrong id");
        assert!(matches!(error, E::InvalidValue { field: "DeviceId", .. }), "{error}");
    }
}

#[test]
fn each_wrong_event_hubs_string_says_which_part_is_wrong() {
    use ConnectionStringError as E;
    let tail = "SharedAccessKeyName=p;SharedAccessKey={KEY}";
    assert_eq!(event_hubs(tail).expect_err("no endpoint"), E::MissingField("Endpoint"));
    assert_eq!(
        event_hubs("Endpoint=sb://h/;SharedAccessKey={KEY}").expect_err("no policy"),
        E::MissingField("SharedAccessKeyName")
    );
    for endpoint in ["h", "http://h/", "sb://", "sb:///", "sb://a b/", "sb://h:x/", "sb://h/path"] {
        let error = event_hubs(&format!("Endpoint={endpoint};{tail}")).expect_err(endpoint);
        assert!(matches!(error, E::InvalidValue { field: "Endpoint", .. }), "{endpoint}: {error}");
    }
    assert_eq!(
        event_hubs(&format!("Endpoint=sb://h/;HostName=h;{tail}")).expect_err("two kinds in one"),
        E::ForeignField { field: "HostName", kind: "an Event Hubs" }
    );
}

#[test]
fn no_debug_output_and_no_error_shows_a_secret() {
    let secret = &KEY[..12];
    let mut refused = 0;
    for text in [
        "HostName=h;SharedAccessKeyName=p;SharedAccessKey={KEY}",
        "HostName=h;DeviceId=d;SharedAccessKey={KEY}",
        "Endpoint=sb://h/;SharedAccessKeyName=p;SharedAccessKey={KEY}",
        "HostName=h;{KEY}",
        "{KEY};HostName=h",
        "HostName={KEY}",
        "HostName=h;SharedAccessKeyName=p;SharedAccessKey={KEY}!",
        "HostName=h;DeviceId={KEY}/;x509=true",
        "Endpoint={KEY}",
        "HostName=h;SharedAccessSignature={KEY}",
    ] {
        let outcome = ConnectionString::parse(&fill(text));
        assert!(!format!("{outcome:?}").contains(secret), "{text}");
        if let Err(error) = outcome {
            assert!(!error.to_string().contains(secret), "{text}");
            refused += 1;
        }
    }
    assert_eq!(refused, 7);
    let token = device("HostName=h;DeviceId=d;SharedAccessSignature={TOKEN}").unwrap();
    assert!(!format!("{token:?}").contains("AAAAAAAA"));
}

proptest! {
    #[test]
    fn any_text_is_answered(text in ".{0,200}") {
        let _ = ConnectionString::parse(&text);
    }

    #[test]
    fn any_mixture_of_known_names_is_answered(
        parts in proptest::collection::vec(
            ("(HostName|DeviceId|ModuleId|SharedAccessKeyName|SharedAccessKey|SharedAccessSignature|x509|\
              GatewayHostName|Endpoint|EntityPath|UseDevelopmentEmulator)",
             "[=]{0,2}",
             "(true|sb://h/|h:1|YWJj|[ -~]{0,12})"),
            0..8,
        )
    ) {
        let text: Vec<String> = parts.iter().map(|(name, equals, value)| format!("{name}{equals}{value}")).collect();
        let _ = ConnectionString::parse(&text.join(";"));
    }
}
