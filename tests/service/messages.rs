//! Messages to devices, and what became of them.

use crate::support::{builder, device, hub, service, soon};
use iothub::{Ack, CloudMessage, CloudToDevice, ErrorKind, FeedbackStatus, ModuleClient};
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

#[tokio::test]
async fn a_message_keeps_all_its_properties() {
    let hub = hub(1).await;
    let (service, device) =
        (service(&hub).await, device(&hub.device_connection_string("d0").expect("a device"), &hub).await);
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() + 3_600_000;
    let expiry = UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).expect("a time"));
    let message = CloudMessage::new(&b"\x00body"[..])
        .message_id("m-1")
        .correlation_id("c-1")
        .user_id(&b"\xffuser"[..])
        .expiry(expiry)
        .content_type("application/json")
        .content_encoding("utf-8")
        .ack(Ack::Full)
        .property("level", "3");
    soon("an outcome", service.send("d0", message)).await.expect("accepted");
    let mut messages = soon("a link", device.cloud_to_device()).await.expect("attached");
    let message = soon("a message", messages.next()).await.expect("readable").expect("not the end");
    assert_eq!(&message.body()[..], b"\x00body");
    assert_eq!((message.message_id(), message.correlation_id()), (Some("m-1"), Some("c-1")));
    assert_eq!((message.user_id(), message.expiry()), (Some(&b"\xffuser"[..]), Some(expiry)));
    assert_eq!(message.to(), Some("/devices/d0/messages/devicebound"));
    assert_eq!((message.content_type(), message.content_encoding()), (Some("application/json"), Some("utf-8")));
    assert_eq!((message.ack(), message.property("level")), (Ack::Full, Some("3")));
    message.complete().expect("the link is there");
    device.close().await.expect("a clean close");
}

async fn next(messages: &mut iothub::CloudToDeviceReceiver) -> CloudToDevice {
    soon("a message", messages.next()).await.expect("readable").expect("not the end")
}

/// One for each mode and outcome: feedback comes for those that asked for it, once, and is settled after it was read.
#[tokio::test]
async fn feedback_comes_as_it_was_asked_for() {
    let hub = hub(1).await;
    let (service, device) =
        (service(&hub).await, device(&hub.device_connection_string("d0").expect("a device"), &hub).await);
    let mut receipts = Vec::new();
    for (mode, ack) in
        [("none", Ack::None), ("positive", Ack::Positive), ("negative", Ack::Negative), ("full", Ack::Full)]
    {
        for outcome in ["complete", "reject"] {
            let message = CloudMessage::new(outcome).message_id(format!("{mode}-{outcome}")).ack(ack);
            receipts.push(service.begin_send("d0", message).await.expect("credit"));
        }
    }
    for receipt in receipts {
        soon("an outcome", receipt).await.expect("accepted");
    }
    let mut messages = soon("a link", device.cloud_to_device()).await.expect("attached");
    for _ in 0..8 {
        let message = next(&mut messages).await;
        let settled = if &message.body()[..] == b"complete" { message.complete() } else { message.reject() };
        settled.expect("the link is there");
    }
    let mut feedback = soon("a link", service.feedback()).await.expect("attached");
    let mut records = BTreeMap::new();
    while records.len() < 4 {
        let batch = soon("feedback", feedback.next()).await.expect("readable").expect("not the end");
        for record in batch.records() {
            assert_eq!(record.device_id, "d0");
            assert!(records.insert(record.original_message_id.clone(), record.status).is_none());
        }
        batch.complete().expect("the link is there");
    }
    let expected = [
        ("full-complete", FeedbackStatus::Success),
        ("full-reject", FeedbackStatus::Rejected),
        ("negative-reject", FeedbackStatus::Rejected),
        ("positive-complete", FeedbackStatus::Success),
    ];
    assert_eq!(records, expected.map(|(id, status)| (id.to_owned(), status)).into());
    service.close().await.expect("a clean close");
}

#[tokio::test]
async fn of_many_in_flight_those_that_do_not_fit_say_so() {
    let hub = hub(1).await;
    let service = service(&hub).await;
    let mut receipts = Vec::new();
    for number in 0..60 {
        let device = if number == 7 { "nobody" } else { "d0" };
        receipts.push(soon("credit", service.begin_send(device, CloudMessage::new("x"))).await.expect("queued"));
    }
    let mut kinds = Vec::new();
    for receipt in receipts {
        kinds.push(soon("an outcome", receipt).await.map_err(|error| error.kind()));
    }
    assert_eq!(kinds[7], Err(ErrorKind::DeviceNotFound));
    // The queue of a device holds fifty.
    assert_eq!(kinds.iter().filter(|outcome| outcome.is_ok()).count(), 50);
    assert!(kinds[51..].iter().all(|outcome| *outcome == Err(ErrorKind::QuotaExceeded)), "{kinds:?}");
}

#[tokio::test]
async fn a_module_gets_its_messages_and_its_device_does_not() {
    const KEY: &str = "a2V5LW9mLXRoZS1tb2R1bGUtbTE=";
    let hub = builder().device("d0", KEY).module("d0", "m1", KEY).start().await.expect("a hub");
    let service = service(&hub).await;
    let string = hub.module_connection_string("d0", "m1").expect("a module");
    let module = ModuleClient::builder().connection_string(&string).expect("a connection string");
    let module = soon("a connection", module.ca_pem(hub.ca_pem()).expect("a certificate").connect()).await;
    let module = module.expect("accepted");
    let device = device(&hub.device_connection_string("d0").expect("a device"), &hub).await;
    let message = CloudMessage::new("for the module").message_id("m").ack(Ack::Full);
    soon("an outcome", service.send_to_module("d0", "m1", message)).await.expect("accepted");
    let receipt = service.begin_send_to_module("d0", "m1", CloudMessage::new("again")).await.expect("credit");
    soon("an outcome", receipt).await.expect("accepted");
    soon("an outcome", service.send("d0", CloudMessage::new("for the device"))).await.expect("accepted");
    let mut messages = soon("a link", module.cloud_to_device()).await.expect("attached");
    let message = next(&mut messages).await;
    assert_eq!(&message.body()[..], b"for the module");
    assert_eq!(message.to(), Some("/devices/d0/modules/m1/messages/devicebound"));
    message.complete().expect("the link is there");
    assert_eq!(&next(&mut messages).await.body()[..], b"again");
    let mut messages = soon("a link", device.cloud_to_device()).await.expect("attached");
    assert_eq!(&next(&mut messages).await.body()[..], b"for the device");
    let error = soon("an outcome", service.send_to_module("d0", "none", CloudMessage::new("x"))).await;
    assert_eq!(error.expect_err("no module").kind(), ErrorKind::ModuleNotFound);
}
