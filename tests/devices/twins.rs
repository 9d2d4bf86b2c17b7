use crate::support::{device, hub, module, registry, soon};
use iothub::{
    DesiredChange, DesiredChanges, ErrorKind,
    registry::{IfMatch, TwinUpdate},
};
use serde_json::json;

async fn next(changes: &mut DesiredChanges) -> DesiredChange {
    soon("a change", changes.next()).await.expect("a change").expect("not detached")
}

#[tokio::test]
async fn a_device_and_a_service_see_what_the_other_writes() {
    let hub = hub(1).await;
    let (client, registry) = (device(&hub, "d0").await, registry(&hub));
    let twin = soon("the links", client.twin()).await.expect("attached");
    let read = soon("an answer", twin.get()).await.expect("read");
    assert!(read.desired.values().is_empty() && read.reported.values().is_empty());
    let first = read.reported.version();

    let reported = twin.update_reported(json!({"fan": {"speed": 2}, "old": true}));
    assert_eq!(soon("an answer", reported).await.expect("reported"), Some(first + 1));
    let removed = soon("an answer", twin.update_reported(json!({"old": null}))).await.expect("reported");
    assert_eq!(removed, Some(first + 2));
    let seen = soon("an answer", registry.twin("d0")).await.expect("read");
    assert_eq!(json!(seen.reported.values()), json!({"fan": {"speed": 2}}));
    assert_eq!(seen.reported.version(), first + 2);

    let mut changes = soon("a watch", twin.watch_desired()).await.expect("subscribed");
    assert!(matches!(next(&mut changes).await, DesiredChange::All(_)));
    let base = changes.version().expect("a version");
    for speed in 1..=3 {
        let update = TwinUpdate::new().desired("fan", json!({"speed": speed}));
        soon("an answer", registry.patch_twin("d0", &update, IfMatch::Any)).await.expect("patched");
        let change = next(&mut changes).await;
        assert!(matches!(change, DesiredChange::Patch(_)), "{change:?}");
        assert_eq!((change.version(), change.properties().get(&["fan", "speed"])), (base + speed, Some(&json!(speed))));
    }
    let read = soon("an answer", twin.get()).await.expect("read");
    assert_eq!((read.desired.version(), read.desired.get(&["fan", "speed"])), (base + 3, Some(&json!(3))));
}

#[tokio::test]
async fn a_stale_version_and_a_forbidden_value_are_refused() {
    let hub = hub(1).await;
    let client = device(&hub, "d0").await;
    let twin = soon("the links", client.twin()).await.expect("attached");
    let version = soon("an answer", twin.get()).await.expect("read").reported.version();
    let next = soon("an answer", twin.update_reported_at(version, json!({"a": 1}))).await.expect("reported");
    assert_eq!(next, Some(version + 1));
    let stale = soon("an answer", twin.update_reported_at(version, json!({"a": 2}))).await.expect_err("stale");
    assert_eq!(stale.kind(), ErrorKind::PreconditionFailed, "{stale}");
    let long = soon("an answer", twin.update_reported(json!({"a": "x".repeat(5000)}))).await.expect_err("too long");
    assert!(matches!(long.kind(), ErrorKind::InvalidArgument | ErrorKind::MessageTooLarge), "{long}");
    assert_eq!(soon("an answer", twin.get()).await.expect("read").reported.get(&["a"]), Some(&json!(1)));
}

#[tokio::test]
async fn a_module_has_a_twin_of_its_own() {
    let hub = hub(1).await;
    let (client, registry) = (module(&hub).await, registry(&hub));
    let twin = soon("the links", client.twin()).await.expect("attached");
    soon("an answer", twin.update_reported(json!({"of": "m"}))).await.expect("reported");
    let of_module = soon("an answer", registry.twin(("d0", "m"))).await.expect("read");
    assert_eq!(of_module.reported.get(&["of"]), Some(&json!("m")));
    let of_device = soon("an answer", registry.twin("d0")).await.expect("read");
    assert!(of_device.reported.values().is_empty());
    let mut changes = soon("a watch", twin.watch_desired()).await.expect("subscribed");
    next(&mut changes).await;
    let update = TwinUpdate::new().desired("mode", "eco");
    soon("an answer", registry.patch_twin(("d0", "m"), &update, IfMatch::Any)).await.expect("patched");
    assert_eq!(next(&mut changes).await.properties().get(&["mode"]), Some(&json!("eco")));
}

#[tokio::test]
async fn a_watch_that_falls_behind_reads_the_twin() {
    let hub = hub(1).await;
    let (client, registry) = (device(&hub, "d0").await, registry(&hub));
    let twin = soon("the links", client.twin()).await.expect("attached");
    let mut changes = soon("a watch", twin.watch_desired()).await.expect("subscribed");
    next(&mut changes).await;
    for number in 0..200 {
        let update = TwinUpdate::new().desired("number", number);
        soon("an answer", registry.patch_twin("d0", &update, IfMatch::Any)).await.expect("patched");
    }
    let (mut last, mut all) = (changes.version().expect("a version"), 0);
    loop {
        let change = next(&mut changes).await;
        assert!(change.version() > last, "versions rise");
        last = change.version();
        all += usize::from(matches!(change, DesiredChange::All(_)));
        if change.properties().get(&["number"]) == Some(&json!(199)) {
            break;
        }
    }
    assert!(all >= 1, "what was lost was made up for");
}

#[tokio::test]
async fn a_watch_goes_on_after_the_connection_was_cut() {
    let hub = hub(1).await;
    let registry = registry(&hub);
    let client = device(&hub, "d0").await;
    let twin = soon("the links", client.twin()).await.expect("attached");
    let mut changes = soon("a watch", twin.watch_desired()).await.expect("subscribed");
    next(&mut changes).await;
    client.close().await.expect("a clean close");
    soon("the end", changes.next()).await.expect_err("the connection is closed");
    for number in 0..2 {
        let update = TwinUpdate::new().desired("number", number);
        soon("an answer", registry.patch_twin("d0", &update, IfMatch::Any)).await.expect("patched");
    }
    let client = device(&hub, "d0").await;
    let twin = soon("the links", client.twin()).await.expect("attached");
    soon("a watch", changes.resume(&twin)).await.expect("subscribed");
    let change = next(&mut changes).await;
    assert!(matches!(change, DesiredChange::All(_)), "{change:?}");
    assert_eq!(change.properties().get(&["number"]), Some(&json!(1)));
    let update = TwinUpdate::new().desired("number", 2);
    soon("an answer", registry.patch_twin("d0", &update, IfMatch::Any)).await.expect("patched");
    assert!(matches!(next(&mut changes).await, DesiredChange::Patch(_)));
}
