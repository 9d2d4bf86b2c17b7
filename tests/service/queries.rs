//! Queries and purges over HTTPS.

use crate::support::{device, hub, registry, service, soon};
use futures_util::StreamExt;
use iothub::{
    CloudMessage, ErrorKind,
    registry::{IfMatch, Twin, TwinUpdate},
};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;

#[tokio::test]
async fn twins_are_found_page_by_page() {
    let hub = hub(25).await;
    let registry = registry(&hub);
    for number in [3, 7, 11] {
        let update = TwinUpdate::new().tag("room", "kitchen").desired("speed", number);
        soon("an answer", registry.patch_twin(format!("d{number}"), &update, IfMatch::Any)).await.expect("patched");
    }
    let twins = registry.query::<Twin>("SELECT * FROM devices").page_size(10);
    let twins: Vec<_> = soon("all rows", StreamExt::collect::<Vec<_>>(twins)).await;
    let ids: BTreeSet<_> = twins.into_iter().map(|twin| twin.expect("a row").device_id).collect();
    assert_eq!(ids.len(), 25);

    let mut pages = registry.query::<Twin>("SELECT * FROM devices").page_size(10);
    let mut sizes = Vec::new();
    while let Some(page) = soon("a page", pages.next_page()).await.expect("a page") {
        assert_eq!(pages.item_type(), Some("Twin"));
        sizes.push(page.len());
    }
    assert_eq!(sizes, [10, 10, 5]);

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Row {
        device_id: String,
        speed: i64,
    }
    let text = "SELECT deviceId, properties.desired.speed AS speed FROM devices \
                WHERE tags.room = 'kitchen' AND properties.desired.speed > 3";
    let mut rows = registry.query::<Row>(text);
    let mut found = BTreeSet::new();
    while let Some(Row { device_id, speed }) = soon("a row", rows.next()).await.expect("a row") {
        found.insert((device_id, speed));
    }
    assert_eq!(found, BTreeSet::from([("d7".to_owned(), 7), ("d11".to_owned(), 11)]));

    let counts =
        registry.query::<Value>("SELECT tags.room AS room, COUNT() AS devices FROM devices GROUP BY tags.room");
    let counts: Vec<_> = soon("all rows", StreamExt::collect::<Vec<_>>(counts)).await;
    let kitchen = counts.into_iter().map(|row| row.expect("a row")).find(|row| row["room"] == "kitchen");
    assert_eq!(kitchen.expect("a group")["devices"], 3);
}

#[tokio::test]
async fn a_query_goes_on_at_its_continuation_and_a_wrong_one_is_refused() {
    let hub = hub(5).await;
    let registry = registry(&hub);
    let query = || registry.query::<Twin>("SELECT * FROM devices").page_size(3);
    let mut first = query();
    assert_eq!(soon("a page", first.next_page()).await.expect("a page").map(|page| page.len()), Some(3));
    let continuation = first.continuation().expect("more pages").to_owned();
    let mut rest = query().continue_at(continuation);
    assert_eq!(soon("a page", rest.next_page()).await.expect("a page").map(|page| page.len()), Some(2));
    assert!(soon("the end", rest.next_page()).await.expect("the end").is_none());

    let mut wrong = query().continue_at("made up");
    let error = soon("an answer", wrong.next_page()).await.expect_err("it was not given out");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    let mut nonsense = registry.query::<Value>("SELECT FROM WHERE");
    let error = soon("an answer", nonsense.next()).await.expect_err("no query");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
}

#[tokio::test]
async fn messages_that_wait_are_purged() {
    let hub = hub(1).await;
    let (registry, service) = (registry(&hub), service(&hub).await);
    for _ in 0..3 {
        soon("an outcome", service.send("d0", CloudMessage::new("old"))).await.expect("accepted");
    }
    let purged = soon("an answer", registry.purge_messages("d0")).await.expect("purged");
    assert_eq!((purged.device_id.as_str(), purged.purged), ("d0", 3));
    soon("an outcome", service.send("d0", CloudMessage::new("new"))).await.expect("accepted");
    let device = device(&hub.device_connection_string("d0").expect("a device"), &hub).await;
    let mut messages = soon("a link", device.cloud_to_device()).await.expect("attached");
    let message = soon("a message", messages.next()).await.expect("readable").expect("not the end");
    assert_eq!(&message.body()[..], b"new");
}
