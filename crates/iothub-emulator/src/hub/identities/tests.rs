use super::*;
use crate::hub::{AckMode, CloudToDevice, Policies, Settings};
use bytes::Bytes;
use serde_json::json;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const LATER: UnixMillis = UnixMillis(1_800_000_001_000);

fn id(text: &str) -> IdentityId {
    match text.split_once('/') {
        Some((device, module)) => IdentityId::of_module(device.parse().unwrap(), module.parse().unwrap()),
        None => DeviceId::new(text).unwrap().into(),
    }
}

fn hub(ids: &[&str]) -> Hub {
    let mut hub = Hub::new(Settings::default(), Policies::new()).unwrap();
    for text in ids {
        hub.create_identity(NOW, IdentitySpec::new(id(text))).unwrap();
    }
    hub.take_wakes();
    hub
}

fn code<T: core::fmt::Debug>(result: Result<T, ServiceError>) -> ErrorCode {
    result.unwrap_err().code()
}

#[test]
fn what_exists_is_not_created_and_what_does_not_exist_is_not_found() {
    let mut hub = hub(&["d", "d/m"]);
    let create = |hub: &mut Hub, text: &str| code(hub.create_identity(NOW, IdentitySpec::new(id(text))));
    assert_eq!(create(&mut hub, "d"), ErrorCode::DeviceAlreadyExists);
    assert_eq!(create(&mut hub, "d/m"), ErrorCode::ModuleAlreadyExistsOnDevice);
    assert_eq!(create(&mut hub, "e/m"), ErrorCode::DeviceNotFound);
    for (text, expected) in
        [("e", ErrorCode::DeviceNotFound), ("e/m", ErrorCode::DeviceNotFound), ("d/n", ErrorCode::ModuleNotFound)]
    {
        let id = id(text);
        assert_eq!(code(hub.identity(&id)), expected, "{text}");
        assert_eq!(code(hub.update_identity(NOW, &IfMatch::Any, IdentitySpec::new(&id))), expected, "{text}");
        assert_eq!(code(hub.delete_identity(NOW, &IfMatch::Any, &id)), expected, "{text}");
        assert!(hub.connected(NOW, &id).is_none());
    }
    assert_eq!(code(hub.modules(&DeviceId::new("e").unwrap()).map(drop)), ErrorCode::DeviceNotFound);
}

#[test]
fn a_device_has_50_modules_at_most() {
    let mut hub = hub(&["d"]);
    for n in 0..MAX_MODULES {
        hub.create_identity(NOW, IdentitySpec::new(id(&format!("d/m{n}")))).unwrap();
    }
    assert_eq!(code(hub.create_identity(NOW, IdentitySpec::new(id("d/more")))), ErrorCode::TooManyModulesOnDevice);
    hub.delete_identity(NOW, &IfMatch::None, &id("d/m7")).unwrap();
    hub.create_identity(NOW, IdentitySpec::new(id("d/more"))).unwrap();
    assert_eq!(hub.modules(&id("d").device).unwrap().count(), 50);
    assert_eq!((hub.devices().count(), hub.identities().count()), (1, 51));
}

#[test]
fn system_modules_of_iot_edge_do_not_count_among_the_50() {
    let mut hub = hub(&[]);
    hub.create_identity(NOW, IdentitySpec { iot_edge: true, ..IdentitySpec::new(id("e")) }).unwrap();
    for n in 0..MAX_MODULES {
        hub.create_identity(NOW, IdentitySpec::new(id(&format!("e/m{n}")))).unwrap();
    }
    assert_eq!(code(hub.create_identity(NOW, IdentitySpec::new(id("e/more")))), ErrorCode::TooManyModulesOnDevice);
    assert_eq!(hub.modules(&id("e").device).unwrap().count(), 52);
}

#[test]
fn a_device_does_not_become_one_of_iot_edge_without_room_for_its_system_modules() {
    let mut hub = hub(&["d", "d/$edgeHub"]);
    let edge = || IdentitySpec { iot_edge: true, ..IdentitySpec::new(id("d")) };
    hub.registry.set_len(MAX_IDENTITIES);
    let etag = hub.identity(&id("d")).unwrap().etag().to_owned();
    assert_eq!(code(hub.update_identity(NOW, &IfMatch::Any, edge())), ErrorCode::TooManyDevices);
    let identity = hub.identity(&id("d")).unwrap();
    assert!(identity.etag() == etag && !identity.is_iot_edge());
    // One of the two is there already.
    hub.registry.set_len(MAX_IDENTITIES - 1);
    hub.update_identity(NOW, &IfMatch::Any, edge()).unwrap();
    hub.update_identity(NOW, &IfMatch::Any, edge()).unwrap();
    assert_eq!((hub.modules(&id("d").device).unwrap().count(), hub.registry.len()), (2, MAX_IDENTITIES));
}

#[test]
fn a_change_needs_the_tag_that_it_names_and_makes_a_new_one() {
    let mut hub = hub(&["d"]);
    let stale = IfMatch::Exactly("stale".into());
    assert_eq!(code(hub.update_identity(NOW, &stale, IdentitySpec::new(id("d")))), ErrorCode::PreconditionFailed);
    assert_eq!(code(hub.delete_identity(NOW, &stale, &id("d"))), ErrorCode::PreconditionFailed);
    let first = IfMatch::Exactly(hub.identity(&id("d")).unwrap().etag().into());
    hub.update_identity(NOW, &first, IdentitySpec::new(id("d"))).unwrap();
    assert_eq!(hub.take_wakes(), [Wake::Device(id("d").device)]);
    assert_eq!(code(hub.delete_identity(NOW, &first, &id("d"))), ErrorCode::PreconditionFailed);
    let second = IfMatch::Exactly(hub.identity(&id("d")).unwrap().etag().into());
    hub.delete_identity(NOW, &second, &id("d")).unwrap();
    assert_eq!(hub.take_wakes(), [Wake::Device(id("d").device)]);
}

#[test]
fn a_deleted_device_takes_its_modules_along_and_comes_back_as_another() {
    let mut hub = hub(&["d", "d/m", "d/n", "e"]);
    let generation = |hub: &Hub, text| hub.identity(&id(text)).unwrap().generation_id().clone();
    let before = [generation(&hub, "d"), generation(&hub, "d/m")];
    hub.delete_identity(NOW, &IfMatch::Any, &id("d")).unwrap();
    assert_eq!(hub.identities().map(|identity| identity.id().to_string()).collect::<Vec<_>>(), ["e"]);
    assert_eq!(code(hub.twin(&id("d/m"))), ErrorCode::DeviceNotFound);
    for text in ["d", "d/m"] {
        hub.create_identity(NOW, IdentitySpec::new(id(text))).unwrap();
    }
    assert_eq!(hub.modules(&id("d").device).unwrap().count(), 1);
    for (text, before) in ["d", "d/m"].into_iter().zip(before) {
        assert_ne!(generation(&hub, text), before);
        assert!(before.len() == 18 && before.bytes().all(|octet| octet.is_ascii_digit()), "{before}");
    }
}

#[test]
fn a_deleted_module_wakes_the_links_of_its_device() {
    let mut hub = hub(&["d", "d/m"]);
    hub.delete_identity(NOW, &IfMatch::Any, &id("d/m")).unwrap();
    assert_eq!(hub.take_wakes(), [Wake::Device(id("d").device)]);
    assert!(hub.identity(&id("d")).is_ok());
}

#[test]
fn an_identity_is_connected_from_its_first_link_to_its_last() {
    let mut hub = hub(&["d", "d/m"]);
    let state = |hub: &Hub, text| {
        let document = hub.identity(&id(text)).unwrap().to_json();
        ["connectionState", "connectionStateUpdatedTime", "lastActivityTime"]
            .map(|field| document[field].as_str().unwrap().to_owned())
    };
    let never = "0001-01-01T00:00:00Z";
    let [now, later] = [NOW, LATER].map(|at| at.to_iso8601().to_string());
    assert_eq!(state(&hub, "d"), ["Disconnected", never, never]);
    let first = hub.connected(NOW, &id("d")).unwrap();
    let second = hub.connected(LATER, &id("d")).unwrap();
    assert_eq!(state(&hub, "d"), ["Connected", &now, &later]);
    assert_eq!(state(&hub, "d/m"), ["Disconnected", never, never], "a module of its own connection");
    hub.disconnected(LATER, first);
    assert_eq!(state(&hub, "d"), ["Connected", &now, &later]);
    hub.disconnected(LATER, second);
    assert_eq!(state(&hub, "d"), ["Disconnected", &later, &later]);
    hub.touched(UnixMillis(LATER.0 + 1), &id("d"));
    assert!(state(&hub, "d")[2].ends_with(".001Z"));
}

#[test]
fn a_link_of_a_deleted_identity_does_not_count_for_the_next_of_its_id() {
    let mut hub = hub(&["d"]);
    let old = hub.connected(NOW, &id("d")).unwrap();
    hub.delete_identity(NOW, &IfMatch::Any, &id("d")).unwrap();
    hub.create_identity(NOW, IdentitySpec::new(id("d"))).unwrap();
    let new = hub.connected(NOW, &id("d")).unwrap();
    hub.disconnected(LATER, old);
    assert!(hub.identity(&id("d")).unwrap().is_connected());
    hub.disconnected(LATER, new);
    assert!(!hub.identity(&id("d")).unwrap().is_connected());
}

#[test]
fn the_number_of_messages_is_that_of_the_queue() {
    let mut hub = hub(&["d"]);
    let device = id("d").device;
    let count = |hub: &Hub| {
        let identity = hub.identity(&id("d")).unwrap().to_json()["cloudToDeviceMessageCount"].clone();
        assert_eq!(hub.twin(&id("d")).unwrap().to_json()["cloudToDeviceMessageCount"], identity);
        identity
    };
    let message = CloudToDevice { message_id: None, ack: AckMode::None, expiry: None, size: 1, payload: Bytes::new() };
    for _ in 0..3 {
        hub.enqueue(NOW, &device, message.clone()).unwrap();
    }
    hub.enqueue(NOW, &device, CloudToDevice { expiry: Some(LATER), ..message }).unwrap();
    assert_eq!(count(&hub), json!(4));
    let consumer = hub.add_consumer();
    let token = hub.take_next(NOW, &device, consumer).unwrap().token;
    assert_eq!(count(&hub), json!(4), "a locked message counts");
    hub.complete(NOW, &device, &token).unwrap();
    hub.handle_timeout(LATER);
    assert_eq!(count(&hub), json!(2));
    assert_eq!(hub.purge(LATER, &device), 2);
    assert_eq!(count(&hub), json!(0));
}

#[test]
fn a_device_of_the_start_is_added_with_its_modules_or_not_at_all() {
    let mut hub = hub(&[]);
    let mut spec: DeviceSpec = "d=c2VjcmV0".parse().unwrap();
    spec.modules = ["m", "n"].map(|module| (module.parse().unwrap(), Default::default())).into();
    hub.add_device(spec.clone()).unwrap();
    assert_eq!(hub.identities().count(), 3);
    assert_eq!(code(hub.add_device(spec.clone())), ErrorCode::DeviceAlreadyExists);
    spec.id = "e".parse().unwrap();
    spec.modules.push(spec.modules[0].clone());
    assert_eq!(code(hub.add_device(spec)), ErrorCode::ModuleAlreadyExistsOnDevice);
    assert_eq!(hub.identities().count(), 3);
}
