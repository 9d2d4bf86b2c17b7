//! Many identities in one request over HTTPS.

use crate::support::{hub, registry, soon};
use iothub::{
    ErrorKind,
    registry::{BulkOperation, Device, DeviceStatus, ETag, Module, TwinUpdate},
};
use serde_json::json;
use std::collections::BTreeSet;

#[tokio::test]
async fn many_identities_change_in_one_request_and_each_failure_is_named() {
    let hub = hub(2).await;
    let registry = registry(&hub);
    let mut off = soon("an answer", registry.device("d1")).await.expect("read");
    off.status = DeviceStatus::Disabled;
    let twin = TwinUpdate::new().tag("room", "cellar").desired("speed", 1);
    let operations = [
        BulkOperation::Create(Box::new(Device::new("new")), twin),
        BulkOperation::create(Device::new("d0")),
        BulkOperation::update(off),
        BulkOperation::Delete("nobody".into(), Some(ETag::new("x"))),
    ];
    let result = soon("an answer", registry.bulk(&operations)).await.expect("done in part");
    assert!(!result.is_successful);
    let failed: BTreeSet<_> = result.errors.iter().map(|error| error.device_id.as_str()).collect();
    assert_eq!(failed, BTreeSet::from(["d0", "nobody"]), "{result:?}");
    let twin = soon("an answer", registry.twin("new")).await.expect("created");
    assert_eq!((&twin.tags["room"], twin.desired.get(&["speed"])), (&json!("cellar"), Some(&json!(1))));
    assert_eq!(soon("an answer", registry.device("d1")).await.expect("read").status, DeviceStatus::Disabled);

    let operations = [
        BulkOperation::CreateModule(Box::new(Module::new("d0", "m1")), TwinUpdate::new()),
        BulkOperation::update_twin("d1", TwinUpdate::new().tag("room", "attic")),
        BulkOperation::delete("new"),
    ];
    let result = soon("an answer", registry.bulk(&operations)).await.expect("done");
    assert!(result.is_successful && result.errors.is_empty(), "{result:?}");
    soon("an answer", registry.module("d0", "m1")).await.expect("created");
    assert_eq!(soon("an answer", registry.twin("d1")).await.expect("read").tags["room"], "attic");
    assert_eq!(soon("an answer", registry.device("new")).await.expect_err("deleted").kind(), ErrorKind::DeviceNotFound);

    let twice = [BulkOperation::delete("d0"), BulkOperation::delete("d0")];
    let error = soon("an answer", registry.bulk(&twice)).await.expect_err("twice");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
}
