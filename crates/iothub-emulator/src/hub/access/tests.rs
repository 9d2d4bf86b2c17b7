use super::*;
use crate::hub::{AuthenticationSpec, DeviceSpec, Key, Policies, Settings, UnixMillis, Verdict};

fn hub() -> Hub {
    let policies = Policies::well_known(|name| Key::from_octets(name.as_bytes()).unwrap());
    let mut hub = Hub::new(Settings { host_name: "contoso.net".into(), ..Settings::default() }, policies).unwrap();
    for id in ["a", "b"] {
        let key = Key::from_octets(id.as_bytes()).unwrap();
        let mut spec = DeviceSpec::new(DeviceId::new(id).unwrap(), key);
        spec.modules.push(("known".parse().unwrap(), AuthenticationSpec::default()));
        hub.add_device(spec).unwrap();
    }
    hub
}

fn grant(hub: &Hub, sr: &str, skn: Option<&str>) -> Grant {
    hub.challenge(sr, skn).unwrap().verify(|_| Verdict::Good).unwrap()
}

fn attach(hub: &Hub, grants: &[Grant], address: &str) -> Result<(), AttachError> {
    hub.authorize(grants, &Address::parse(address)).map(|_| ())
}

#[test]
fn before_authentication_only_nodes_that_authorise_each_request_can_be_attached() {
    let hub = hub();
    for address in ["$cbs", "$management", "contoso/$management", "fabrikam/$management"] {
        let address = Address::parse(address);
        assert_eq!(hub.authorize([], &address), Ok(None), "{address}");
        assert_eq!(hub.authorize_use([], &address), Err(AttachError::Unauthorized), "{address}");
    }
    for address in ["/devices/a/twin", "/messages/devicebound", "/nowhere", "/devices/nobody/twin"] {
        assert_eq!(attach(&hub, &[], address), Err(AttachError::Unauthorized), "{address}");
    }
}

#[test]
fn several_tokens_add_up_and_the_one_that_covers_is_named() {
    let hub = hub();
    let grants = [grant(&hub, "contoso.net/devices/a", None), grant(&hub, "contoso.net/devices/b", None)];
    let found = hub.authorize(&grants, &Address::parse("/devices/b/messages/events")).unwrap();
    assert_eq!(found, Some(&grants[1]));
    assert_eq!(attach(&hub, &grants, "/devices/a/messages/devicebound"), Ok(()));
    assert_eq!(attach(&hub, &grants, "/messages/devicebound"), Err(AttachError::Unauthorized));
    assert_eq!(attach(&hub, &grants[..1], "/devices/b/twin"), Err(AttachError::Unauthorized));
}

#[test]
fn what_does_not_exist_is_told_to_those_who_may_know() {
    let mut hub = hub();
    let owner = [grant(&hub, "contoso.net", Some("iothubowner"))];
    let a = DeviceId::new("a").unwrap();
    let missing = AttachError::EventHubPartNotFound;
    for (address, expected) in [
        ("/nowhere", AttachError::AddressNotFound),
        ("/devices/nobody/twin", AttachError::DeviceNotFound(DeviceId::new("nobody").unwrap())),
        ("/devices/a/modules/m/messages/events", AttachError::ModuleNotFound(a.clone())),
        ("/devices/a/modules/m/twin", AttachError::ModuleNotFound(a.clone())),
        ("/devices/a/modules/m/methods/devicebound", AttachError::ModuleNotFound(a.clone())),
        ("fabrikam/ConsumerGroups/$Default/Partitions/0", missing("entity")),
        ("contoso/ConsumerGroups/other/Partitions/0", missing("consumer group")),
        ("contoso/ConsumerGroups/$Default/Partitions/4", missing("partition")),
        ("contoso/ConsumerGroups/$Default/Partitions/+1", missing("partition")),
    ] {
        let error = attach(&hub, &owner, address).unwrap_err();
        assert_eq!((&error, error.condition()), (&expected, "amqp:not-found"), "{address}");
    }
    let elsewhere = Address::parse("fabrikam/$management");
    assert_eq!(hub.authorize_use(&owner, &elsewhere), Err(missing("entity")));
    for address in ["/devices/a/modules/known/twin", "/devices/a/modules/known/methods/devicebound"] {
        assert_eq!(attach(&hub, &owner, address), Ok(()), "{address}");
    }
    assert_eq!(attach(&hub, &owner, "Contoso/consumergroups/$default/partitions/3"), Ok(()));
    hub.set_device_enabled(UnixMillis(0), &a, false);
    for address in ["/devices/a/twin", "/devices/a/modules/known/twin"] {
        let error = attach(&hub, &owner, address).unwrap_err();
        assert_eq!((&error, error.condition()), (&AttachError::DeviceDisabled(a.clone()), "amqp:unauthorized-access"));
    }
}

#[test]
fn plain_confines_the_token_to_the_user() {
    let hub = hub();
    let plain = |user, sr, skn| hub.challenge_plain(user, sr, skn)?.verify(|_| Verdict::Good);
    let device = plain("a@sas.contoso", "contoso.net/devices/a", None).unwrap();
    assert_eq!(attach(&hub, &[device], "/devices/a/messages/events"), Ok(()));
    let by_policy = plain("a@sas.contoso", "contoso.net", Some("device")).unwrap();
    let by_policy = [by_policy];
    assert_eq!(attach(&hub, &by_policy, "/devices/a/twin"), Ok(()));
    assert_eq!(attach(&hub, &by_policy, "/devices/b/twin"), Err(AttachError::Unauthorized));
    let service = plain("service@sas.root.contoso", "contoso.net", Some("service")).unwrap();
    assert_eq!(attach(&hub, &[service], "/messages/devicebound"), Ok(()));
    let module = plain("a/modules/known@sas.contoso", "contoso.net/devices/a/modules/known", None).unwrap();
    let module = [module];
    assert_eq!(attach(&hub, &module, "/devices/a/modules/known/messages/events"), Ok(()));
    assert_eq!(attach(&hub, &module, "/devices/a/messages/events"), Err(AttachError::Unauthorized));
    for (user, sr, skn) in [
        ("a@sas.contoso", "contoso.net/devices/b", None),
        ("a@sas.contoso", "contoso.net", Some("service")),
        ("a/modules/known@sas.contoso", "contoso.net/devices/b", None),
        ("a@sas.contoso", "contoso.net/devices/a/modules/known", None),
        ("service@sas.root.contoso", "contoso.net", Some("device")),
        ("service@sas.root.contoso", "contoso.net/devices/a", None),
    ] {
        assert_eq!(plain(user, sr, skn), Err(AuthError::ForeignIdentity), "{user} {sr}");
    }
}

#[test]
fn the_redirect_leads_to_the_same_node_of_the_endpoint() {
    let hub = hub();
    let Address::HubEvents { rest } = Address::parse("/messages/events/ConsumerGroups/$Default/Partitions/2") else {
        panic!("not the hub's events");
    };
    let redirect = hub.redirect(&rest, 5671);
    assert_eq!((&*redirect.host, redirect.port), ("contoso.net", 5671));
    assert_eq!(redirect.address, "amqps://contoso.net:5671/contoso/ConsumerGroups/$Default/Partitions/2");
    let service = grant(&hub, &redirect.address, Some("service"));
    assert_eq!(attach(&hub, &[service], &redirect.address), Ok(()));
    assert_eq!(hub.redirect("", 1).address, "amqps://contoso.net:1/contoso/");
}

#[test]
fn what_real_clients_ask_for_on_a_local_hub_is_granted() {
    let policies = Policies::well_known(|name| Key::from_octets(name.as_bytes()).unwrap());
    let settings = Settings { entity_aliases: vec!["myhub".into()], ..Settings::default() };
    let mut hub = Hub::new(settings, policies).unwrap();
    let key = Key::from_octets(b"key").unwrap();
    hub.add_device(DeviceSpec::new(DeviceId::new("device1").unwrap(), key)).unwrap();
    let service = Some("service");
    for (sr, skn, address) in [
        ("localhost/devices/device1", None, "/devices/device1/messages/devicebound"),
        ("localhost", service, "/messages/devicebound"),
        ("localhost", service, "amqps://localhost/messages/serviceBound/feedback"),
        ("localhost", service, "amqps://localhost/messages/events/ConsumerGroups/$Default/Partitions/0"),
        ("sb://localhost/localhost/$management", service, "$management"),
        ("sb://localhost/localhost", service, "$management"),
        ("sb://localhost/localhost", service, "amqps://localhost/localhost/ConsumerGroups/$Default/Partitions/1"),
        ("sb://localhost/localhost/consumergroups/$Default", service, "localhost/ConsumerGroups/$Default/Partitions/0"),
        (
            "amqps://localhost:5671/myhub/ConsumerGroups/$Default/Partitions/0",
            service,
            "amqps://localhost:5671/myhub/ConsumerGroups/$Default/Partitions/0",
        ),
    ] {
        assert_eq!(attach(&hub, &[grant(&hub, sr, skn)], address), Ok(()), "{sr} {address}");
    }
}
