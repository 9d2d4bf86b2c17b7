use super::*;

fn device(id: &str) -> DeviceId {
    DeviceId::new(id).unwrap()
}

fn events(rest: &str) -> Address {
    Address::HubEvents { rest: rest.into() }
}

fn partition(entity: &str, consumer_group: &str, partition: &str) -> Address {
    let [entity, consumer_group, partition] = [entity, consumer_group, partition].map(Into::into);
    Address::EventHub { entity, consumer_group, partition }
}

#[test]
fn addresses_are_found_in_every_form_that_clients_send() {
    let d = || device("device1");
    for (text, expected) in [
        ("$cbs", Address::Cbs),
        ("/$cbs", Address::Cbs),
        ("amqps://hub:5671/$CBS", Address::Cbs),
        ("/devices/device1/messages/events", Address::DeviceTelemetry { device: d(), module: None }),
        ("devices/device1/messages/events/", Address::DeviceTelemetry { device: d(), module: None }),
        ("amqps://h.net/devices/device1/messages/deviceBound", Address::DeviceBound { device: d(), module: None }),
        ("amqps://h.net:5671/Devices/device1/Methods/DeviceBound", Address::Methods { device: d(), module: None }),
        ("/devices/device1/twin", Address::Twin { device: d(), module: None }),
        ("/messages/devicebound", Address::ServiceDeviceBound),
        ("amqps://localhost/messages/deviceBound", Address::ServiceDeviceBound),
        ("/messages/serviceBound/feedback", Address::Feedback),
        ("/messages/servicebound/filenotifications", Address::FileNotifications),
        ("/messages/events", events("")),
        ("/messages/events/", events("")),
        ("amqps://localhost/messages/events/$management", events("$management")),
        ("/Messages/Events/ConsumerGroups/$Default/Partitions/0", events("ConsumerGroups/$Default/Partitions/0")),
        ("localhost/ConsumerGroups/$Default/Partitions/1", partition("localhost", "$Default", "1")),
        ("amqps://ns.net/hub/consumergroups/%24Default/partitions/0", partition("hub", "$Default", "0")),
        ("$management", Address::EventHubManagement { entity: None }),
        ("hub/$management", Address::EventHubManagement { entity: Some("hub".into()) }),
    ] {
        assert_eq!(Address::parse(text), expected, "{text}");
    }
}

#[test]
fn modules_have_the_same_nodes() {
    let module = || Some(ModuleId::new("m%1").unwrap());
    let address = Address::parse("/devices/a/modules/m%251/messages/devicebound");
    assert_eq!(address, Address::DeviceBound { device: device("a"), module: module() });
    assert_eq!(address.module(), module().as_ref());
    assert_eq!(address.segments(), ["devices", "a", "modules", "m%1", "messages", "devicebound"]);
    assert!(matches!(Address::parse("/devices/a/modules/m/twin"), Address::Twin { module: Some(_), .. }));
}

#[test]
fn ids_are_percent_decoded_and_keep_their_case() {
    for (text, id) in [
        ("/devices/My%40Dev%2B1/twin", "My@Dev+1"),
        ("/devices/My@Dev+1/twin", "My@Dev+1"),
        ("/devices/100%/twin", "100%"),
        ("/devices/a#b?c/twin", "a#b?c"),
    ] {
        assert_eq!(Address::parse(text).device(), Some(&device(id)), "{text}");
    }
}

#[test]
fn ids_that_cannot_be_ids_lead_nowhere() {
    for text in ["/devices//twin", "/devices/a%2Fb/twin", "/devices/a%FFb c/twin", "/devices/%00/twin"] {
        assert_eq!(Address::parse(text), Address::Unknown, "{text}");
    }
    let long = format!("/devices/{}/twin", "x".repeat(129));
    assert_eq!(Address::parse(&long), Address::Unknown);
}

#[test]
fn other_paths_lead_nowhere() {
    for text in [
        "",
        "/",
        "amqps://host",
        "/devices/a",
        "/devices/a/messages",
        "/devices/a/messages/events/more",
        "/devices/a/modules/b",
        "/messages",
        "/messages/servicebound",
        "/messages/devicebound/x",
        "hub/ConsumerGroups/g/Partitions",
        "/$management/x",
        "a/$cbs",
    ] {
        assert_eq!(Address::parse(text), Address::Unknown, "{text}");
    }
}

#[test]
fn percent_decoding_leaves_what_is_no_escape() {
    for (text, decoded) in [("%41%zz%4", "A%zz%4"), ("%", "%"), ("%c3%a9", "é"), ("%ff", "%ff"), ("a+b", "a+b")] {
        assert_eq!(decode(text), decoded);
    }
}
