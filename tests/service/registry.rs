use crate::support::{device, hub, registry, registry_builder, service, soon};
use iothub::{
    CloudMessage, ErrorKind, RegistryClient,
    registry::{Authentication, ConnectionState, Device, DeviceStatus, ETag, IfMatch, Module, TwinUpdate},
};
use serde_json::json;

#[tokio::test]
async fn devices_are_created_with_keys_that_connect() {
    let hub = hub(0).await;
    let registry = registry(&hub);
    let created = soon("an answer", registry.create_device(&Device::new("new#1"))).await.expect("created");
    assert_eq!((created.status, created.connection_state), (DeviceStatus::Enabled, ConnectionState::Disconnected));
    assert!(created.etag.is_some() && created.generation_id.is_some() && created.last_activity.is_none());
    let key = created.authentication.primary_key().expect("a key that the hub made");
    assert_ne!(Some(key), created.authentication.secondary_key());

    let client = device(&registry.connection_string(&created, key), &hub).await;
    let _messages = soon("a link", client.cloud_to_device()).await.expect("attached");
    let read = soon("an answer", registry.device("new#1")).await.expect("read");
    assert_eq!(read.connection_state, ConnectionState::Connected);
    assert!(read.last_activity.is_some() && read.connection_state_updated.is_some());

    let again = soon("an answer", registry.create_device(&Device::new("new#1"))).await.expect_err("it is there");
    assert_eq!((again.kind(), again.http().map(|answer| answer.status)), (ErrorKind::AlreadyExists, Some(409)));
    assert_eq!(soon("an answer", registry.devices(10)).await.expect("a list").len(), 1);
}

#[tokio::test]
async fn a_device_changes_only_as_it_was_read() {
    let hub = hub(1).await;
    let registry = registry(&hub);
    let mut read = soon("an answer", registry.device("d0")).await.expect("read");
    read.status = DeviceStatus::Disabled;
    read.status_reason = Some("for a while".to_owned());
    let changed = soon("an answer", registry.update_device(&read, read.etag.clone())).await.expect("changed");
    assert_eq!((changed.status, changed.status_reason.as_deref()), (DeviceStatus::Disabled, Some("for a while")));
    assert_eq!(changed.authentication, read.authentication);
    assert_ne!(changed.etag, read.etag);

    let stale = soon("an answer", registry.update_device(&read, read.etag.clone())).await.expect_err("stale");
    assert_eq!(stale.kind(), ErrorKind::PreconditionFailed, "{stale}");
    let stale = soon("an answer", registry.delete_device("d0", read.etag.clone())).await.expect_err("stale");
    assert_eq!(stale.kind(), ErrorKind::PreconditionFailed);
    soon("an answer", registry.update_device(&read, IfMatch::Any)).await.expect("changed in any case");

    let thumbprint = "AB".repeat(20);
    let by_certificate = read.clone().authentication(Authentication::thumbprint(&thumbprint));
    let changed = soon("an answer", registry.update_device(&by_certificate, IfMatch::Any)).await.expect("changed");
    let Authentication::SelfSigned { primary, .. } = &changed.authentication else { panic!("{changed:?}") };
    assert!(primary.eq_ignore_ascii_case(&thumbprint));

    soon("an answer", registry.delete_device("d0", changed.etag)).await.expect("deleted");
    let gone = soon("an answer", registry.device("d0")).await.expect_err("gone");
    assert_eq!(gone.kind(), ErrorKind::DeviceNotFound);
    assert!(gone.http().is_some_and(|answer| answer.tracking_id.is_some()), "{gone:?}");
}

#[tokio::test]
async fn modules_live_and_die_below_their_device() {
    let hub = hub(1).await;
    let registry = registry(&hub);
    let mut new = Module::new("d0", "m1");
    new.managed_by = Some("somebody".to_owned());
    let created = soon("an answer", registry.create_module(&new)).await.expect("created");
    assert_eq!(created.managed_by.as_deref(), Some("somebody"));
    assert!(created.authentication.primary_key().is_some());
    assert_eq!(soon("an answer", registry.modules("d0")).await.expect("a list"), std::slice::from_ref(&created));
    let changed = soon("an answer", registry.update_module(&created, created.etag.clone())).await.expect("changed");
    let stale = soon("an answer", registry.delete_module("d0", "m1", created.etag)).await;
    assert_eq!(stale.expect_err("stale").kind(), ErrorKind::PreconditionFailed);
    soon("an answer", registry.delete_module("d0", "m1", changed.etag)).await.expect("deleted");
    let gone = soon("an answer", registry.module("d0", "m1")).await.expect_err("gone");
    assert_eq!(gone.kind(), ErrorKind::ModuleNotFound);
    let nowhere = soon("an answer", registry.create_module(&Module::new("nobody", "m"))).await.expect_err("no device");
    assert_eq!(nowhere.kind(), ErrorKind::DeviceNotFound);
}

#[tokio::test]
async fn twins_are_merged_and_replaced_with_versions_and_metadata() {
    let hub = hub(1).await;
    let registry = registry(&hub);
    soon("an answer", registry.create_module(&Module::new("d0", "m1"))).await.expect("created");
    for id in [("d0", None), ("d0", Some("m1"))] {
        let id = match id {
            (device, Some(module)) => (device, module).into(),
            (device, None) => iothub::registry::IdentityId::from(device),
        };
        let twin = soon("an answer", registry.twin(id.clone())).await.expect("read");
        assert_eq!((twin.desired.version(), twin.tags.len(), &twin.module_id), (1, 0, &id.module_id));
        let update = TwinUpdate::new().tag("room", "kitchen").desired("fan", json!({"speed": 3, "mode": "auto"}));
        let patched =
            soon("an answer", registry.patch_twin(id.clone(), &update, twin.etag.clone())).await.expect("patched");
        assert_eq!(patched.desired.version(), 2);
        assert_eq!(patched.desired.get(&["fan", "speed"]), Some(&json!(3)));
        let metadata = patched.desired.metadata(&["fan", "speed"]).expect("metadata");
        assert!(metadata.last_updated.is_some() && metadata.last_updated_version.is_some());
        let stale = soon("an answer", registry.patch_twin(id.clone(), &update, twin.etag)).await.expect_err("stale");
        assert_eq!(stale.kind(), ErrorKind::PreconditionFailed);

        let update = TwinUpdate::new().remove_tag("room").desired("fan", json!({"mode": null}));
        let patched = soon("an answer", registry.patch_twin(id.clone(), &update, IfMatch::Any)).await.expect("patched");
        assert_eq!((patched.tags.len(), patched.desired.get(&["fan"])), (0, Some(&json!({"speed": 3}))));
        let content = TwinUpdate::new().desired("lamp", true);
        let replaced = soon("an answer", registry.replace_twin(id, &content, patched.etag)).await.expect("replaced");
        assert_eq!(serde_json::to_value(replaced.desired.values()).expect("JSON"), json!({"lamp": true}));
        assert!(replaced.desired.version() > patched.desired.version());
    }
    let update = TwinUpdate::new().desired("a.b", 1);
    let refused = soon("an answer", registry.patch_twin("d0", &update, IfMatch::Any)).await.expect_err("a bad key");
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
    let missing = soon("an answer", registry.twin("nobody")).await.expect_err("no device");
    assert_eq!(missing.kind(), ErrorKind::DeviceNotFound);
}

#[tokio::test]
async fn a_policy_without_the_right_is_unauthorized() {
    let hub = hub(1).await;
    let builder = RegistryClient::builder().connection_string(&hub.service_connection_string()).expect("a string");
    let builder = builder.ca_pem(hub.ca_pem()).expect("a certificate").https_port(hub.https_addr().port());
    let client = builder.build().expect("a client");
    let error = soon("an answer", client.create_device(&Device::new("x"))).await.expect_err("no right");
    assert_eq!((error.kind(), error.http().map(|answer| answer.status)), (ErrorKind::Unauthorized, Some(401)));
    // The right to connect is one to twins.
    soon("an answer", client.twin("d0")).await.expect("read");

    let wrong = crate::support::owner(&hub).replace("SharedAccessKey=", "SharedAccessKey=d3Jvbmct");
    let builder = RegistryClient::builder().connection_string(&wrong).expect("a string").ca_pem(hub.ca_pem());
    let client = builder.expect("a certificate").https_port(hub.https_addr().port()).build().expect("a client");
    let error = soon("an answer", client.device("d0")).await.expect_err("a wrong key");
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
}

#[tokio::test]
async fn counts_are_true() {
    let hub = hub(3).await;
    let registry = registry(&hub);
    let client = device(&hub.device_connection_string("d1").expect("a device"), &hub).await;
    let _messages = soon("a link", client.cloud_to_device()).await.expect("attached");
    let mut off = soon("an answer", registry.device("d2")).await.expect("read");
    off.status = DeviceStatus::Disabled;
    soon("an answer", registry.update_device(&off, IfMatch::Any)).await.expect("changed");
    let statistics = soon("an answer", registry.registry_statistics()).await.expect("read");
    assert_eq!((statistics.total, statistics.enabled, statistics.disabled), (3, 2, 1));
    assert_eq!(soon("an answer", registry.service_statistics()).await.expect("read").connected, 1);

    let service = service(&hub).await;
    for _ in 0..3 {
        soon("an outcome", service.send("d0", CloudMessage::new("x"))).await.expect("accepted");
    }
    let waiting = soon("an answer", registry.device("d0")).await.expect("read").cloud_to_device_message_count;
    assert_eq!(waiting, 3);
}

#[tokio::test]
async fn a_hub_that_is_gone_is_a_connect_error() {
    let hub = hub(0).await;
    let client = registry_builder(&hub).retries(1).build().expect("a client");
    soon("an answer", client.devices(1)).await.expect("it is there");
    hub.shutdown().await;
    let error = soon("an answer", client.delete_device("d0", ETag::new("x"))).await.expect_err("it is gone");
    assert!(matches!(error.kind(), ErrorKind::Connect | ErrorKind::ConnectionLost), "{error}");
}
