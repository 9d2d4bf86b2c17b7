use super::*;
use crate::hub::{AuthenticationSpec, DeviceSpec, Hub, IdentitySpec, IfMatch, UnixMillis};

const HOST: &str = "contoso.azure-devices.net";

/// A hub with a device `dev1`, a disabled one `off`, one whose id needs encoding, and a policy for each of the rights.
fn hub() -> Hub {
    let policies = Policies::well_known(|name| Key::from_octets(name.as_bytes()).unwrap());
    let mut hub = Hub::new(Settings { host_name: HOST.into(), ..Settings::default() }, policies).unwrap();
    for id in ["dev1", "off", "a@b"] {
        let mut spec = DeviceSpec::new(DeviceId::new(id).unwrap(), Key::from_octets(id.as_bytes()).unwrap());
        spec.authentication = keys(id, "second");
        spec.modules.push((ModuleId::new("m#1").unwrap(), keys("module", "of module")));
        hub.add_device(spec).unwrap();
    }
    hub.set_device_enabled(UnixMillis(0), &DeviceId::new("off").unwrap(), false);
    hub
}

fn keys(primary: &str, secondary: &str) -> AuthenticationSpec {
    let key = |text: &str| Some(Key::from_octets(text.as_bytes()).unwrap());
    AuthenticationSpec::SymmetricKey { primary: key(primary), secondary: key(secondary) }
}

fn grant(sr: &str, skn: Option<&str>) -> Result<Grant, AuthError> {
    hub().challenge(sr, skn)?.verify(|_| Verdict::Good)
}

fn permits(grant: &Grant, address: &str) -> bool {
    grant.permits(&Address::parse(address))
}

#[test]
fn a_device_token_opens_that_device_and_nothing_else() {
    let grant = grant("Contoso.Azure-Devices.net/devices/dev1", None).unwrap();
    assert_eq!(grant.signer(), &Signer::Device(DeviceId::new("dev1").unwrap()));
    for address in ["/devices/dev1/messages/events", "/devices/dev1/messages/deviceBound", "/devices/dev1/twin", "$cbs"]
    {
        assert!(permits(&grant, address), "{address}");
    }
    for address in [
        "/devices/dev2/messages/events",
        "/devices/dev10/messages/devicebound",
        "/devices/Dev1/messages/devicebound",
        "/messages/devicebound",
        "/messages/servicebound/feedback",
        "/messages/events",
        "contoso/ConsumerGroups/$Default/Partitions/0",
        "$management",
        "/nowhere",
    ] {
        assert!(!permits(&grant, address), "{address}");
    }
}

#[test]
fn a_module_token_is_signed_by_the_module_and_opens_that_module_and_nothing_else() {
    let resource = format!("{HOST}/devices/dev1/modules/m#1");
    let hub = hub();
    let mut tried = Vec::new();
    let grant = hub.challenge(&resource, None).unwrap().verify(|key| {
        tried.push(key.octets().to_vec());
        if tried.len() == 2 { Verdict::Good } else { Verdict::Forged }
    });
    assert_eq!(tried, [b"module".to_vec(), b"of module".to_vec()]);
    let grant = grant.unwrap();
    assert_eq!(grant.signer().to_string(), "module dev1/m#1");
    assert!(grant.auth_method().contains(r#""scope":"module""#));
    for address in ["/devices/dev1/modules/m%231/twin", "/devices/dev1/modules/m#1/methods/devicebound", "$cbs"] {
        assert!(permits(&grant, address), "{address}");
    }
    for address in ["/devices/dev1/twin", "/devices/dev1/modules/m/twin", "/devices/a@b/modules/m#1/twin"] {
        assert!(!permits(&grant, address), "{address}");
    }
    // The device's own token covers its modules.
    assert!(permits(&self::grant(&format!("{HOST}/devices/dev1"), None).unwrap(), "/devices/dev1/modules/m%231/twin"));
}

#[test]
fn module_ids_that_were_encoded_twice_are_found() {
    for module in ["m#1", "m%231"] {
        for device in ["a@b", "a%40b"] {
            let grant = grant(&format!("{HOST}/devices/{device}/modules/{module}"), None).unwrap();
            assert!(permits(&grant, "/devices/a%40b/modules/m%231/twin"), "{device} {module}");
        }
    }
}

#[test]
fn an_identity_with_a_certificate_takes_no_token() {
    let mut hub = hub();
    let id = IdentityId::of_module(DeviceId::new("dev1").unwrap(), ModuleId::new("x509").unwrap());
    let authentication = Some(AuthenticationSpec::CertificateAuthority);
    hub.create_identity(UnixMillis(0), IdentitySpec { authentication, ..IdentitySpec::new(&id) }).unwrap();
    let error = hub.challenge(&format!("{HOST}/devices/dev1/modules/x509"), None).unwrap_err();
    assert_eq!((&error, error.cbs_status()), (&AuthError::NoKeys(id, "certificateAuthority"), 401));
}

#[test]
fn a_grant_does_not_outlive_the_identity_that_has_signed() {
    let mut hub = hub();
    let [device, module] = ["devices/dev1", "devices/dev1/modules/m#1"]
        .map(|path| hub.challenge(&format!("{HOST}/{path}"), None).unwrap().verify(|_| Verdict::Good).unwrap());
    let policy = hub.challenge(HOST, Some("device")).unwrap().verify(|_| Verdict::Good).unwrap();
    let twin = Address::parse("/devices/dev1/modules/m%231/twin");
    for grant in [&device, &module, &policy] {
        assert!(hub.authorize([grant], &twin).is_ok());
    }
    let id = twin.identity().unwrap();
    hub.delete_identity(UnixMillis(0), &IfMatch::Any, &id).unwrap();
    hub.create_identity(UnixMillis(0), IdentitySpec::new(&id)).unwrap();
    assert!(hub.authorize([&module], &twin).is_err());
    assert!(hub.authorize([&device], &twin).is_ok() && hub.authorize([&policy], &twin).is_ok());
}

#[test]
fn policies_open_what_their_rights_say() {
    let service = ["/messages/devicebound", "/messages/serviceBound/feedback", "/messages/events/$management"];
    let endpoint = ["contoso/ConsumerGroups/$Default/Partitions/0", "$management", "contoso/$management"];
    let device = ["/devices/dev1/messages/events", "/devices/any/twin", "/devices/dev1/methods/devicebound"];
    for (policy, opens_service, opens_devices) in [
        ("iothubowner", true, true),
        ("service", true, false),
        ("device", false, true),
        ("registryRead", false, false),
        ("registryReadWrite", false, false),
    ] {
        let grant = grant(HOST, Some(policy)).unwrap();
        assert_eq!(grant.signer(), &Signer::Policy(policy.into()));
        for address in service.iter().chain(&endpoint) {
            assert_eq!(permits(&grant, address), opens_service, "{policy} {address}");
        }
        for address in device {
            assert_eq!(permits(&grant, address), opens_devices, "{policy} {address}");
        }
    }
}

#[test]
fn a_policy_token_for_a_part_opens_that_part_only() {
    let device = grant(&format!("{HOST}/devices/dev1"), Some("iothubowner")).unwrap();
    assert!(permits(&device, "/devices/dev1/twin") && !permits(&device, "/devices/dev2/twin"));
    assert!(!permits(&device, "/messages/devicebound"));
    let feedback = grant(&format!("{HOST}/messages/serviceBound"), Some("service")).unwrap();
    assert!(permits(&feedback, "/messages/servicebound/feedback") && !permits(&feedback, "/messages/devicebound"));
}

#[test]
fn event_hubs_tokens_open_the_endpoint() {
    let partition = |n| format!("amqps://x/contoso/ConsumerGroups/$Default/Partitions/{n}");
    let entity = grant("sb://any.servicebus.windows.net/contoso", Some("service")).unwrap();
    assert!(
        permits(&entity, &partition(0)) && permits(&entity, "$management") && permits(&entity, "contoso/$management")
    );
    assert!(!permits(&entity, "/messages/devicebound"));
    let group = grant("sb://ns/contoso/consumergroups/$default", Some("service")).unwrap();
    assert!(permits(&group, &partition(1)) && !permits(&group, "$management"));
    let one = format!("amqps://{HOST}:5671/contoso/ConsumerGroups/$Default/Partitions/0");
    let one = grant(&one, Some("service")).unwrap();
    assert!(permits(&one, &partition(0)) && !permits(&one, &partition(1)));
    let management = grant("sb://ns/contoso/$management", Some("service")).unwrap();
    assert!(permits(&management, "$management") && !permits(&management, &partition(0)));
    let hub_side = grant(&format!("{HOST}/messages/events"), Some("service")).unwrap();
    assert!(permits(&hub_side, "/messages/events/x") && !permits(&hub_side, "$management"));
}

#[test]
fn the_host_must_be_ours_except_for_event_hubs_tokens() {
    assert!(grant("CONTOSO.azure-devices.net:5671", Some("service")).is_ok());
    assert_eq!(grant("fabrikam.azure-devices.net", Some("service")), Err(AuthError::ForeignHost));
    assert!(grant("amqp://ns.servicebus.windows.net/contoso/$management", Some("service")).is_ok());
    for elsewhere in ["amqps://fabrikam.net/fabrikam", "amqps://fabrikam.net", "amqp://fabrikam.net/devices/dev1"] {
        assert_eq!(grant(elsewhere, Some("service")), Err(AuthError::ForeignHost), "{elsewhere}");
    }
    assert_eq!(grant("sb://ns/fabrikam", Some("service")), Err(AuthError::UnknownResource));
    let settings = Settings { host_name: HOST.into(), any_event_hub_host: false, ..Settings::default() };
    let strict = Hub::new(settings, Policies::well_known(|_| Key::from_octets(b"k").unwrap())).unwrap();
    for foreign in ["sb://ns/contoso", "amqp://ns/contoso"] {
        assert_eq!(strict.challenge(foreign, Some("service")).unwrap_err(), AuthError::ForeignHost);
    }
}

#[test]
fn what_cannot_be_good_is_refused_before_any_signature() {
    for (sr, skn, expected, status) in [
        (format!("{HOST}/devices/nobody"), None, AuthError::DeviceNotFound, 404),
        (format!("{HOST}/devices"), None, AuthError::DeviceNotFound, 404),
        (format!("{HOST}/devices/off"), None, AuthError::DeviceDisabled(DeviceId::new("off").unwrap()), 401),
        (format!("{HOST}/devices/dev1/modules/m"), None, AuthError::ModuleNotFound, 404),
        (format!("{HOST}/devices/dev1/modules"), None, AuthError::ModuleNotFound, 404),
        (
            format!("{HOST}/devices/off/modules/m#1"),
            None,
            AuthError::DeviceDisabled(DeviceId::new("off").unwrap()),
            401,
        ),
        (HOST.into(), None, AuthError::PolicyMissing, 401),
        ("sb://ns/contoso".into(), None, AuthError::PolicyMissing, 401),
        (HOST.into(), Some("nobody"), AuthError::UnknownPolicy, 401),
        (format!("{HOST}/elsewhere"), Some("service"), AuthError::UnknownResource, 401),
        (format!("{HOST}//x"), Some("service"), AuthError::MalformedResource(ResourceError::EmptySegment), 400),
    ] {
        let error = grant(&sr, skn).unwrap_err();
        assert_eq!((&error, error.cbs_status()), (&expected, status), "{sr}");
    }
}

#[test]
fn both_keys_of_the_signer_are_tried_and_no_others() {
    let hub = hub();
    let mut tried = Vec::new();
    let challenge = hub.challenge(&format!("{HOST}/devices/dev1"), None).unwrap();
    let result = challenge.verify(|key| {
        tried.push(key.octets().to_vec());
        Verdict::Forged
    });
    assert_eq!(result, Err(AuthError::BadSignature));
    assert_eq!(tried, [b"dev1".to_vec(), b"second".to_vec()]);
}

#[test]
fn an_expired_token_is_told_from_a_forged_one() {
    let hub = hub();
    let challenge = hub.challenge(HOST, Some("service")).unwrap();
    assert_eq!(challenge.style(), ResourceStyle::Hub);
    assert_eq!(challenge.verify(|_| Verdict::Expired), Err(AuthError::TokenExpired));
    assert_eq!(AuthError::TokenExpired.condition(), "amqp:unauthorized-access");
}

#[test]
fn ids_that_were_encoded_twice_are_found() {
    for sr in ["contoso.azure-devices.net/devices/a%40b", "contoso.azure-devices.net/devices/a@b"] {
        let grant = grant(sr, None).unwrap();
        assert!(permits(&grant, "/devices/a%40b/twin") && permits(&grant, "/devices/a@b/twin"), "{sr}");
    }
}

#[test]
fn the_auth_method_tells_who_signed() {
    let device = grant(&format!("{HOST}/devices/dev1"), None).unwrap().auth_method();
    let policy = grant(HOST, Some("device")).unwrap().auth_method();
    let scope =
        |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["scope"].as_str().map(String::from);
    assert_eq!((scope(&device), scope(&policy)), (Some("device".into()), Some("hub".into())));
    assert!(device.contains(r#""type":"sas","issuer":"iothub""#));
}

#[test]
fn a_challenge_shows_neither_keys_nor_the_grant() {
    let hub = hub();
    let shown = format!("{:?}", hub.challenge(HOST, Some("service")).unwrap());
    assert!(!shown.contains("Policy") && shown.contains("keys: 1"), "{shown}");
}
