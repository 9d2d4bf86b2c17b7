use crate::support::{ScriptedHub, accept_sender, delivery, soon};
use amqp1::{
    AcceptedLink, Message, Receiver, Sender, Symbol, Value,
    link::{SendOptions, SenderSettleMode},
    message::{MessageId, Properties},
};
use iothub::{Delivered, DesiredChange, DeviceClient, ErrorKind, Twin};
use serde_json::json;
use std::sync::Arc;

const TWIN: &str = "/devices/d1/twin";
const SETTLED: SendOptions = SendOptions { settled: true, tag: None, message_format: 0 };

/// The hub's ends of a twin's links.
struct HubTwin {
    sender: Sender,
    requests: Receiver,
}

async fn open(hub: &mut ScriptedHub, client: &Arc<DeviceClient>) -> (Twin, HubTwin) {
    let client = client.clone();
    let opening = tokio::spawn(async move { client.twin().await });
    let (mut sender, mut requests) = (None, None);
    for _ in 0..2 {
        let (link, _) = hub.next_link().await;
        assert_eq!((link.address(), link.attach().snd_settle_mode), (Some(TWIN), SenderSettleMode::Settled));
        match link {
            amqp1::IncomingLink::Sender(_) => sender = Some(accept_sender(link)),
            link => {
                let Ok(AcceptedLink::Receiver(receiver)) = link.accept_default() else { panic!("the client sends") };
                requests = Some(receiver);
            }
        }
    }
    let twin = soon("the links", opening).await.expect("no panic").expect("attached");
    (twin, HubTwin { sender: sender.expect("a link"), requests: requests.expect("a link") })
}

impl HubTwin {
    /// The next request: its id, its annotations, and its body.
    async fn request(&mut self) -> (MessageId, [Option<Value>; 3], Vec<u8>) {
        let delivery = delivery(&mut self.requests).await;
        assert!(delivery.is_settled(), "requests are sent settled");
        let message = delivery.message();
        let annotations = message.message_annotations().expect("decodes").expect("annotations");
        let annotations = ["operation", "resource", "version"].map(|name| annotations.get(name).cloned());
        let id = message.properties().expect("decodes").expect("properties").correlation_id.expect("an id");
        assert!(matches!(id, MessageId::String(_)), "{id:?}");
        (id, annotations, message.data().unwrap_or_default().to_vec())
    }

    async fn send(&self, message: amqp1::MessageBuilder) {
        let permit = soon("credit", self.sender.reserve()).await.expect("the link is there");
        soon("a message", permit.send_with(message, SETTLED).expect("sent"))
            .await
            .expect("sent")
            .into_result()
            .expect("settled");
    }

    async fn answer(&self, id: MessageId, status: i32, version: Option<i64>, body: &str) {
        let properties = Properties { correlation_id: Some(id), ..Properties::default() };
        let mut message = Message::builder()
            .properties(properties)
            .message_annotation(Symbol::from_static("status"), status)
            .data(body.to_owned());
        if let Some(version) = version {
            message = message.message_annotation(Symbol::from_static("version"), version);
        }
        self.send(message).await;
    }

    /// Answers the two requests of a watch, in the order in which they have to come.
    async fn answer_watch(&mut self, version: i64) {
        let (id, [operation, resource, _], _) = self.request().await;
        assert_eq!(operation, Some(Value::from("PUT")));
        assert_eq!(resource, Some(Value::from("/notifications/twin/properties/desired")));
        self.answer(id, 200, None, "").await;
        self.answer_read(version).await;
    }

    async fn answer_read(&mut self, version: i64) {
        let (id, annotations, _) = self.request().await;
        assert_eq!(annotations, [Some(Value::from("GET")), None, None]);
        let twin = json!({"desired": {"fan": version, "$version": version}, "reported": {"$version": 1}});
        self.answer(id, 200, None, &twin.to_string()).await;
    }

    async fn notify(&self, version: i64) {
        let resource = Symbol::from_static("resource");
        let body = json!({"fan": version, "$version": version}).to_string();
        self.send(Message::builder().message_annotation(resource, "/notifications/twin/properties/desired").data(body))
            .await;
    }
}

#[tokio::test]
async fn requests_are_annotated_as_the_hub_wants_it_and_answers_are_found_by_id() {
    let mut hub = ScriptedHub::start().await;
    let client = crate::device::connect(&hub).await;
    let (twin, mut hub) = open(&mut hub, &client).await;
    let reading = tokio::spawn({
        let twin = twin.clone();
        async move { twin.get().await }
    });
    let (read, annotations, body) = hub.request().await;
    assert_eq!((annotations, &body[..]), ([Some(Value::from("GET")), None, None], &b" "[..]));
    let reporting = tokio::spawn(async move { twin.update_reported_at(7, json!({"fan": 2})).await });
    let (report, annotations, body) = hub.request().await;
    let expected = [Some(Value::from("PATCH")), Some(Value::from("/properties/reported")), Some(Value::Int(7))];
    assert_eq!(annotations, expected);
    assert_eq!(body, br#"{"fan":2}"#);
    // In the other order.
    hub.answer(report, 204, Some(8), "").await;
    hub.answer(read, 200, None, r#"{"desired":{"fan":3,"$version":4},"reported":{"$version":8}}"#).await;
    assert_eq!(soon("an answer", reporting).await.expect("no panic").expect("reported"), Some(8));
    let twin = soon("an answer", reading).await.expect("no panic").expect("read");
    assert_eq!((twin.desired.version(), twin.desired.get(&["fan"])), (4, Some(&json!(3))));
}

#[tokio::test]
async fn a_status_is_an_error_with_its_kind_and_text() {
    let mut hub = ScriptedHub::start().await;
    let client = crate::device::connect(&hub).await;
    let (twin, mut hub) = open(&mut hub, &client).await;
    for (status, kind) in [
        (400, ErrorKind::InvalidArgument),
        (412, ErrorKind::PreconditionFailed),
        (429, ErrorKind::Throttled),
        (500, ErrorKind::ServiceUnavailable),
    ] {
        let twin = twin.clone();
        let reporting = tokio::spawn(async move { twin.update_reported(json!({"fan": 2})).await });
        let (id, _, _) = hub.request().await;
        hub.answer(id, status, None, r#"{"errorCode":1,"message":"as the hub says"}"#).await;
        let error = soon("an answer", reporting).await.expect("no panic").expect_err("an error");
        assert_eq!((error.kind(), error.delivered()), (kind, Delivered::No), "{error}");
        assert!(error.to_string().contains("as the hub says"), "{error}");
    }
    let error = twin.update_reported(json!([1])).await.expect_err("not an object");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

#[tokio::test]
async fn a_watch_subscribes_then_reads_and_drops_what_is_not_newer() {
    let mut hub = ScriptedHub::start().await;
    let client = crate::device::connect(&hub).await;
    let (twin, mut hub) = open(&mut hub, &client).await;
    let watching = tokio::spawn(async move { twin.watch_desired().await });
    hub.answer_watch(5).await;
    let mut changes = soon("a watch", watching).await.expect("no panic").expect("subscribed");
    for version in [4, 5, 6] {
        hub.notify(version).await;
    }
    let first = soon("a change", changes.next()).await.expect("a change").expect("not detached");
    assert!(matches!(&first, DesiredChange::All(all) if all.version() == 5), "{first:?}");
    let second = soon("a change", changes.next()).await.expect("a change").expect("not detached");
    assert!(matches!(&second, DesiredChange::Patch(patch) if patch.version() == 6), "{second:?}");
    assert_eq!(changes.version(), Some(6));

    // A gap: the twin is read.
    hub.notify(9).await;
    let (third, ()) = tokio::join!(soon("a change", changes.next()), hub.answer_read(9));
    let third = third.expect("a change").expect("not detached");
    assert!(matches!(&third, DesiredChange::All(all) if all.version() == 9), "{third:?}");
}

#[tokio::test]
async fn a_watch_goes_on_with_the_twin_of_another_connection() {
    let mut first_hub = ScriptedHub::start().await;
    let client = crate::device::connect(&first_hub).await;
    let (twin, mut hub) = open(&mut first_hub, &client).await;
    let watching = tokio::spawn(async move { twin.watch_desired().await });
    hub.answer_watch(5).await;
    let mut changes = soon("a watch", watching).await.expect("no panic").expect("subscribed");
    soon("a change", changes.next()).await.expect("a change").expect("all");
    client.close().await.expect("a clean close");
    soon("the end", changes.next()).await.expect_err("the connection is closed");

    let mut second_hub = ScriptedHub::start().await;
    let client = crate::device::connect(&second_hub).await;
    let (twin, mut hub) = open(&mut second_hub, &client).await;
    let (resumed, ()) = tokio::join!(changes.resume(&twin), async {
        let (id, [operation, ..], _) = hub.request().await;
        assert_eq!(operation, Some(Value::from("PUT")), "first it subscribes");
        // What was known, and what is newer, come before the answer to the read.
        hub.notify(5).await;
        hub.answer(id, 200, None, "").await;
        hub.notify(8).await;
        hub.answer_read(7).await;
    });
    resumed.expect("resumed");
    let versions = [
        soon("a change", changes.next()).await.expect("a change").expect("all"),
        soon("a change", changes.next()).await.expect("a change").expect("a patch"),
    ];
    assert!(
        matches!(&versions, [DesiredChange::All(all), DesiredChange::Patch(patch)]
        if all.version() == 7 && patch.version() == 8),
        "{versions:?}"
    );
}

#[tokio::test]
async fn links_that_the_hub_detaches_fail_what_waits_and_are_attached_again() {
    let mut scripted = ScriptedHub::start().await;
    let client = crate::device::connect(&scripted).await;
    let (twin, mut hub) = open(&mut scripted, &client).await;
    let reporting = tokio::spawn({
        let twin = twin.clone();
        async move { twin.update_reported(json!({"fan": 2})).await }
    });
    hub.request().await;
    let why = crate::support::error("com.microsoft:link-creation-conflict", "another one");
    hub.sender.detach_with(Some(why), true).await.expect("detached");
    let error = soon("an answer", reporting).await.expect("no panic").expect_err("the link is gone");
    assert_eq!((error.kind(), error.delivered()), (ErrorKind::Superseded, Delivered::Unknown), "{error}");
    let error = twin.get().await.expect_err("the link is gone");
    assert_eq!((error.kind(), error.delivered()), (ErrorKind::Superseded, Delivered::No), "{error}");
    let (twin, mut hub) = open(&mut scripted, &client).await;
    let (read, ()) = tokio::join!(soon("an answer", twin.get()), hub.answer_read(1));
    assert_eq!(read.expect("read").desired.version(), 1);
}

/// The kind of the next request, which is answered with success.
async fn answered(hub: &mut HubTwin) -> (Option<Value>, Option<Value>) {
    let (id, [operation, resource, _], _) = hub.request().await;
    hub.answer(id, 200, None, "").await;
    (operation, resource)
}

async fn watch(twin: &Twin, hub: &mut HubTwin, version: i64) -> iothub::DesiredChanges {
    let (watching, ()) = tokio::join!(soon("a watch", twin.watch_desired()), hub.answer_watch(version));
    watching.expect("subscribed")
}

#[tokio::test]
async fn the_last_watch_that_ends_unsubscribes() {
    let mut scripted = ScriptedHub::start().await;
    let client = crate::device::connect(&scripted).await;
    let (twin, mut hub) = open(&mut scripted, &client).await;
    let unsubscription = || (Some(Value::from("DELETE")), Some(Value::from("/notifications/twin/properties/desired")));
    let (first, second) = (watch(&twin, &mut hub, 5).await, watch(&twin, &mut hub, 5).await);
    // The other one goes on: the next request is a read.
    soon("the end", first.close()).await.expect("nothing to ask");
    let (read, ()) = tokio::join!(soon("an answer", twin.get()), hub.answer_read(6));
    read.expect("read");
    let (closed, request) = tokio::join!(soon("the end", second.close()), answered(&mut hub));
    closed.expect("confirmed");
    assert_eq!(request, unsubscription());

    // One that is dropped unsubscribes as well, before another one subscribes.
    let third = watch(&twin, &mut hub, 7).await;
    drop(third);
    assert_eq!(answered(&mut hub).await, unsubscription());
    let fourth = watch(&twin, &mut hub, 8).await;
    drop((client, twin));
    drop(fourth);
}

#[tokio::test]
async fn a_watch_that_is_refused_unsubscription_says_so() {
    let mut scripted = ScriptedHub::start().await;
    let client = crate::device::connect(&scripted).await;
    let (twin, mut hub) = open(&mut scripted, &client).await;
    let changes = watch(&twin, &mut hub, 5).await;
    let (closed, ()) = tokio::join!(soon("the end", changes.close()), async {
        let (id, ..) = hub.request().await;
        hub.answer(id, 429, None, r#"{"message":"too many"}"#).await;
    });
    assert_eq!(closed.expect_err("refused").kind(), ErrorKind::Throttled);
    // It is asked once more.
    assert_eq!(answered(&mut hub).await.0, Some(Value::from("DELETE")));
    let (read, ()) = tokio::join!(soon("an answer", twin.get()), hub.answer_read(6));
    read.expect("nothing was asked between");
}

/// A watch that begins while the last one ends keeps the subscription.
#[tokio::test]
async fn a_new_watch_is_not_unsubscribed_by_one_that_ended_before_it() {
    let mut scripted = ScriptedHub::start().await;
    let client = crate::device::connect(&scripted).await;
    let (twin, mut hub) = open(&mut scripted, &client).await;
    let first = watch(&twin, &mut hub, 5).await;
    drop(first);
    let mut second = watch(&twin, &mut hub, 5).await;
    soon("a change", second.next()).await.expect("a change").expect("all");
    hub.notify(6).await;
    let change = soon("a change", second.next()).await.expect("a change").expect("not detached");
    assert_eq!(change.version(), 6);
    let (read, ()) = tokio::join!(soon("an answer", twin.get()), hub.answer_read(6));
    read.expect("nothing was asked between");
}

/// The stream waits for each: for a notification, for the answer to a read, and for the end.
#[tokio::test]
async fn a_watch_is_a_stream_that_is_woken_by_each_change_and_ends_with_its_links() {
    let mut scripted = ScriptedHub::start().await;
    let client = crate::device::connect(&scripted).await;
    let (twin, mut hub) = open(&mut scripted, &client).await;
    let mut changes = watch(&twin, &mut hub, 5).await;
    let (give, mut take) = tokio::sync::mpsc::unbounded_channel();
    let collecting = tokio::spawn(async move {
        while let Some(change) = futures_util::StreamExt::next(&mut changes).await {
            give.send(change.map(|change| change.version())).expect("the test waits");
        }
        changes
    });
    let mut next = async || soon("a change", take.recv()).await.expect("not the end").expect("a change");
    assert_eq!(next().await, 5);
    hub.notify(6).await;
    assert_eq!(next().await, 6);
    // A gap: the twin is read.
    hub.notify(9).await;
    hub.answer_read(9).await;
    assert_eq!(next().await, 9);
    hub.sender.close().await.expect("closed");
    let mut changes = soon("the end", collecting).await.expect("no panic");
    assert!(soon("the end", futures_util::StreamExt::next(&mut changes)).await.is_none());
}

/// The request of a call that is given up is not repeated, and its answer not lost.
#[tokio::test]
async fn a_read_whose_next_is_cancelled_goes_on_with_the_next_call() {
    let mut scripted = ScriptedHub::start().await;
    let client = crate::device::connect(&scripted).await;
    let (twin, mut hub) = open(&mut scripted, &client).await;
    let mut changes = watch(&twin, &mut hub, 5).await;
    soon("a change", changes.next()).await.expect("a change").expect("all");
    hub.notify(9).await;
    let (id, annotations, _) = tokio::select! {
        request = hub.request() => request,
        _ = changes.next() => panic!("the answer has not come"),
    };
    assert_eq!(annotations[0], Some(Value::from("GET")));
    hub.answer(id, 200, None, r#"{"desired":{"fan":9,"$version":9},"reported":{"$version":1}}"#).await;
    let change = soon("a change", changes.next()).await.expect("a change").expect("not detached");
    assert_eq!(change.version(), 9);
    let (read, ()) = tokio::join!(soon("an answer", twin.get()), hub.answer_read(10));
    read.expect("nothing was asked between");
}
