use crate::support::{ScriptedHub, delivery, error, pki, soon};
use amqp1::{
    Message, Outcome, Symbol,
    message::{MessageId, Properties, Timestamp},
};
use iothub::{Ack, CloudMessage, Delivered, ErrorKind, FeedbackStatus, ServiceClient};
use std::sync::Arc;

const DEVICE_BOUND: &str = "/messages/devicebound";
const FEEDBACK: &str = "/messages/serviceBound/feedback";

async fn connect(hub: &ScriptedHub) -> Arc<ServiceClient> {
    let builder = ServiceClient::builder().connection_string(&hub.service_string()).expect("a connection string");
    let client = builder.ca_pem(&pki().ca).expect("a certificate").connect();
    Arc::new(soon("a connection", client).await.expect("the hub takes everyone"))
}

fn send(client: &Arc<ServiceClient>, device: &'static str) -> tokio::task::JoinHandle<Result<(), iothub::Error>> {
    let client = client.clone();
    tokio::spawn(async move { client.send(device, CloudMessage::new("x")).await })
}

#[tokio::test]
async fn a_message_arrives_with_its_properties_and_is_accepted() {
    let mut hub = ScriptedHub::start().await;
    let client = connect(&hub).await;
    let message = CloudMessage::new("open").message_id("m1").ack(Ack::Full).property("level", "3");
    let sending = tokio::spawn({
        let client = client.clone();
        async move { client.send("d 1", message).await }
    });
    let mut messages = hub.next_receiver(DEVICE_BOUND).await;
    let received = delivery(&mut messages).await;
    let properties = received.message().properties().expect("decodes").expect("properties");
    assert_eq!(properties.to.as_deref(), Some("/devices/d%201/messages/devicebound"));
    assert_eq!(properties.message_id, Some(MessageId::from("m1")));
    let text = |name| received.message().application_property(name).expect("decodes").and_then(|value| value.as_text());
    assert_eq!((text("iothub-ack"), text("level")), (Some("full"), Some("3")));
    assert_eq!(received.message().data().as_deref(), Some(&b"open"[..]));
    assert!(!received.is_settled());
    received.accept().expect("the link is there");
    soon("the outcome", sending).await.expect("no panic").expect("accepted");
    client.close().await.expect("a clean close");
}

#[tokio::test]
async fn rejections_have_the_kinds_that_callers_act_on() {
    let mut hub = ScriptedHub::start().await;
    let client = connect(&hub).await;
    let mut sending = send(&client, "d1");
    let mut messages = hub.next_receiver(DEVICE_BOUND).await;
    for (condition, kind) in [
        ("amqp:not-found", ErrorKind::DeviceNotFound),
        ("amqp:resource-limit-exceeded", ErrorKind::QuotaExceeded),
        ("amqp:link:message-size-exceeded", ErrorKind::MessageTooLarge),
        ("com.microsoft:device-container-throttled", ErrorKind::Throttled),
    ] {
        let refused = delivery(&mut messages).await;
        refused.reject(error(condition, "no")).expect("the link is there");
        let error = soon("the outcome", sending).await.expect("no panic").expect_err(condition);
        assert_eq!((error.kind(), error.delivered()), (kind, Delivered::No), "{error}");
        sending = send(&client, "d1");
    }
    delivery(&mut messages).await.release().expect("the link is there");
    let error = soon("the outcome", sending).await.expect("no panic").expect_err("released");
    assert!(error.kind() == ErrorKind::Released && error.is_retriable());
}

#[tokio::test]
async fn many_tasks_send_at_a_time() {
    let mut hub = ScriptedHub::start().await;
    let client = connect(&hub).await;
    let sending: Vec<_> = (0..20).map(|_| send(&client, "d1")).collect();
    let mut messages = hub.next_receiver(DEVICE_BOUND).await;
    let mut received = Vec::new();
    for _ in 0..20 {
        received.push(delivery(&mut messages).await);
    }
    assert!(sending.iter().all(|sending| !sending.is_finished()), "none is settled yet");
    received.into_iter().rev().for_each(|delivery| delivery.accept().expect("the link is there"));
    for sending in sending {
        soon("the outcome", sending).await.expect("no panic").expect("accepted");
    }
}

#[tokio::test]
async fn a_link_that_the_hub_detached_is_attached_again_for_the_next_message() {
    let mut hub = ScriptedHub::start().await;
    let client = connect(&hub).await;
    let sending = send(&client, "d1");
    let mut messages = hub.next_receiver(DEVICE_BOUND).await;
    let lost = delivery(&mut messages).await;
    messages.detach_with(Some(error("amqp:link:detach-forced", "idle")), true).await.expect("answered");
    let error = soon("the outcome", sending).await.expect("no panic").expect_err("detached");
    assert_eq!((error.kind(), error.delivered()), (ErrorKind::ConnectionLost, Delivered::Unknown), "{error}");
    drop(lost);

    let sending = send(&client, "d1");
    let mut messages = hub.next_receiver(DEVICE_BOUND).await;
    delivery(&mut messages).await.accept().expect("the link is there");
    soon("the outcome", sending).await.expect("no panic").expect("accepted");
}

#[tokio::test]
async fn feedback_is_read_and_settled() {
    let mut hub = ScriptedHub::start().await;
    let client = connect(&hub).await;
    let attaching = tokio::spawn({
        let client = client.clone();
        async move { client.feedback().await }
    });
    let sender = hub.next_sender(FEEDBACK).await;
    let mut feedback = soon("an attach", attaching).await.expect("no panic").expect("accepted");
    let batch = || {
        let properties = Properties {
            content_type: Some(Symbol::from_static("application/vnd.microsoft.iothub.feedback.json")),
            user_id: Some("hub".into()),
            ..Properties::default()
        };
        let body = r#"[{"originalMessageId":"m1","deviceId":"d1","deviceGenerationId":"g","statusCode":"Rejected",
            "description":"Rejected","enqueuedTimeUtc":"2026-11-22T20:07:31Z"}]"#;
        let builder = Message::builder().properties(properties).data(body);
        builder.message_annotation(Symbol::from_static("iothub-enqueuedtime"), Timestamp(1_795_378_051_000))
    };

    let first = sender.reserve().await.expect("credit").send(batch()).expect("sent");
    let received = soon("a batch", feedback.next()).await.expect("feedback").expect("not detached");
    let record = received.records().first().expect("a record").clone();
    assert_eq!((record.original_message_id.as_str(), record.device_id.as_str()), ("m1", "d1"));
    assert_eq!(record.status, FeedbackStatus::Rejected);
    assert_eq!(received.enqueued_time(), record.enqueued_time);
    assert_eq!(received.hub_name(), Some("hub"));
    received.complete().expect("the link is there");
    assert_eq!(soon("the outcome", first).await.expect("an outcome"), Outcome::Accepted);

    let second = sender.reserve().await.expect("credit").send(batch()).expect("sent");
    let received = soon("a batch", feedback.next()).await.expect("feedback").expect("not detached");
    received.abandon().expect("the link is there");
    assert_eq!(soon("the outcome", second).await.expect("an outcome"), Outcome::Released);

    let third = sender.reserve().await.expect("credit").send(Message::builder().data("{")).expect("sent");
    let error = soon("an answer", feedback.next()).await.expect_err("no feedback");
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert_eq!(soon("the outcome", third).await.expect("an outcome"), Outcome::Released);

    sender.close().await.expect("answered");
    assert!(soon("the end", feedback.next()).await.expect("no error").is_none());
}

#[tokio::test]
async fn many_messages_of_one_task_are_in_flight_at_a_time() {
    let mut hub = ScriptedHub::start().await;
    let client = connect(&hub).await;
    let sending = tokio::spawn({
        let client = client.clone();
        async move {
            let mut receipts = Vec::new();
            for number in 0..20 {
                let message = CloudMessage::new("x").message_id(number.to_string());
                let receipt = match number % 2 {
                    0 => client.begin_send("d1", message).await,
                    _ => client.begin_send_to_module("d1", "m1", message).await,
                };
                receipts.push(receipt.expect("credit"));
            }
            receipts
        }
    });
    let mut messages = hub.next_receiver(DEVICE_BOUND).await;
    let receipts = soon("sending", sending).await.expect("no panic");
    let mut received = Vec::new();
    for number in 0..20 {
        let message = delivery(&mut messages).await;
        let to = message.message().properties().expect("decodes").expect("properties").to.expect("an address");
        assert_eq!(to.contains("/modules/m1/"), number % 2 == 1, "{to}");
        received.push(message);
    }
    // The last is settled first.
    for (number, delivery) in received.into_iter().enumerate().rev() {
        match number {
            7 => delivery.reject(error("amqp:not-found", "no")).expect("the link is there"),
            _ => delivery.accept().expect("the link is there"),
        }
    }
    for (number, receipt) in receipts.into_iter().enumerate() {
        let outcome = soon("an outcome", receipt).await;
        match number {
            7 => assert_eq!(outcome.expect_err("rejected").kind(), ErrorKind::DeviceNotFound),
            _ => outcome.expect("accepted"),
        }
    }
}

#[tokio::test]
async fn file_notifications_are_read_and_settled() {
    let mut hub = ScriptedHub::start().await;
    let client = connect(&hub).await;
    let attaching = tokio::spawn({
        let client = client.clone();
        async move { client.file_notifications().await }
    });
    let sender = hub.next_sender("/messages/serviceBound/filenotifications").await;
    let mut files = soon("an attach", attaching).await.expect("no panic").expect("accepted");
    let notification = |body: &'static str| {
        let content_type = Some(Symbol::from_static("application/vnd.microsoft.iothub.filenotification.json"));
        Message::builder().properties(Properties { content_type, ..Properties::default() }).data(body)
    };
    const FILE: &str = r#"{"deviceId":"d1","blobUri":"https://blobs.example/c/d1/a.txt","blobName":"d1/a.txt",
        "lastUpdatedTime":"2026-11-22T20:07:31+00:00","blobSizeInBytes":12,"enqueuedTimeUtc":"2026-11-22T20:07:32.5Z"}"#;
    let first = sender.reserve().await.expect("credit").send(notification(FILE)).expect("sent");
    let file = soon("a notification", files.next()).await.expect("readable").expect("not detached");
    assert_eq!((file.device_id(), file.blob_name(), file.size()), ("d1", Some("d1/a.txt"), 12));
    assert_eq!(file.blob_uri(), Some("https://blobs.example/c/d1/a.txt"));
    let (updated, enqueued) = (file.last_updated().expect("a time"), file.enqueued_time().expect("a time"));
    assert_eq!(enqueued.duration_since(updated).expect("later").as_millis(), 1500);
    file.complete().expect("the link is there");
    assert_eq!(soon("the outcome", first).await.expect("an outcome"), Outcome::Accepted);

    let second = sender.reserve().await.expect("credit").send(notification(FILE)).expect("sent");
    let file = soon("a notification", files.next()).await.expect("readable").expect("not detached");
    file.abandon().expect("the link is there");
    assert_eq!(soon("the outcome", second).await.expect("an outcome"), Outcome::Released);

    let third = sender.reserve().await.expect("credit").send(notification("[]")).expect("sent");
    let unreadable = soon("an answer", files.next()).await.expect_err("no notification");
    assert_eq!(unreadable.kind(), ErrorKind::Protocol);
    assert_eq!(soon("the outcome", third).await.expect("an outcome"), Outcome::Released);
}
