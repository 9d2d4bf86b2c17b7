//! Cloud-to-device messages and their feedback.

use core::time::Duration;

use crate::support::*;
use amqp1::{
    Credit, Outcome, Receiver, Sender, Session, Value,
    link::{ReceiverSettleMode, SenderSettleMode},
    message::Properties,
};
use iothub_emulator::Emulator;
use iothub_emulator::hub::{DeviceId, Hub};

const FEEDBACK: &str = "/messages/serviceBound/feedback";

async fn to_devices(session: &Session) -> Sender {
    session.sender("/messages/devicebound").attach().await.unwrap()
}

async fn send(sender: &Sender, id: &str) {
    sender.send(c2d("a", id)).await.unwrap().into_result().unwrap();
}

async fn inbox(session: &Session, id: &str) -> Receiver {
    session.receiver(devicebound(id)).credit(Credit::Window(10)).attach().await.unwrap()
}

fn count_of(delivery: &amqp1::Delivery) -> Value {
    let annotations = delivery.message().message_annotations().unwrap().unwrap();
    annotations.get("iothub-deliverycount").unwrap().clone()
}

/// Closes the feedback batch, takes it and gives (message, status), in the order of the records.
async fn feedback(hub: &Emulator, receiver: &mut Receiver) -> Vec<(String, String)> {
    hub.with_hub(|hub, now| hub.flush_feedback(now));
    let delivery = next(receiver).await;
    let records: serde_json::Value = serde_json::from_str(&body(&delivery)).unwrap();
    delivery.accept().unwrap();
    let text = |record: &serde_json::Value, key: &str| record[key].as_str().unwrap().to_owned();
    let records = records.as_array().unwrap();
    records.iter().map(|record| (text(record, "originalMessageId"), text(record, "statusCode"))).collect()
}

/// Waits until the hub has done what a settlement asks for; settlements are not answered.
async fn until(hub: &Emulator, done: impl Fn(&mut Hub) -> bool) {
    let wait = async {
        while !hub.with_hub(|hub, _| done(hub)) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the hub has heard of the settlement");
}

async fn settled(hub: &Emulator, depth: usize) {
    let device: DeviceId = "a".parse().unwrap();
    until(hub, |hub| hub.queue_depth(&device) == depth).await;
}

/// Also M-3.4.3-1: what is rejected does not come again.
#[tokio::test]
async fn m_3_4_2_1_messages_are_completed_rejected_and_abandoned_and_feedback_says_so() {
    let (hub, _) = hub().await;
    let service = service(&hub).await;
    let sender = to_devices(&service).await;
    let mut reports = service.receiver(FEEDBACK).attach().await.unwrap();
    for id in ["one", "two", "three"] {
        send(&sender, id).await;
    }
    let mut inbox = inbox(&device(&hub, "a").await, "a").await;

    let one = next(&mut inbox).await;
    assert_eq!((body(&one).as_str(), count_of(&one)), ("one", Value::Ubyte(0)));
    assert_eq!(one.tag().as_slice().len(), 16);
    one.accept().unwrap();
    let two = next(&mut inbox).await;
    two.reject(None).unwrap();
    let three = next(&mut inbox).await;
    assert_eq!(body(&three), "three");
    three.release().unwrap();
    let again = next(&mut inbox).await;
    assert_eq!((body(&again).as_str(), count_of(&again)), ("three", Value::Ubyte(1)));
    again.accept().unwrap();
    settled(&hub, 0).await;

    let mut records = feedback(&hub, &mut reports).await;
    records.sort();
    let expected = [("one", "Success"), ("three", "Success"), ("two", "Rejected")];
    assert_eq!(records, expected.map(|(id, status)| (id.to_owned(), status.to_owned())));
}

#[tokio::test]
async fn what_the_service_sends_is_what_the_device_sees() {
    let (hub, _) = hub().await;
    let sender = to_devices(&service(&hub).await).await;
    let properties = Properties {
        to: Some(devicebound("a").into()),
        message_id: Some(amqp1::message::MessageId::Uuid(amqp1::message::Uuid([7; 16]))),
        correlation_id: Some("c".into()),
        user_id: Some("me".into()),
        content_type: Some(amqp1::Symbol::from_static("text/plain")),
        ..Properties::default()
    };
    let message = amqp1::Message::builder().properties(properties.clone()).application_property("k", "v").data("hi");
    sender.send(message).await.unwrap().into_result().unwrap();
    let mut inbox = inbox(&device(&hub, "a").await, "a").await;
    let delivery = next(&mut inbox).await;
    assert_eq!(delivery.message().properties().unwrap(), Some(properties));
    assert_eq!(delivery.message().application_property("k").unwrap().unwrap().as_text(), Some("v"));
    assert_eq!(body(&delivery), "hi");
}

#[tokio::test]
async fn messages_that_the_hub_does_not_take_are_rejected_with_its_conditions() {
    let (hub, _) = hub_with(|settings| settings.cloud_to_device.max_depth = 2).await;
    let sender = to_devices(&service(&hub).await).await;
    send(&sender, "one").await;
    send(&sender, "two").await;
    let outcome = async |message: amqp1::MessageBuilder| rejection(sender.send(message).await.unwrap());
    assert_eq!(outcome(c2d("a", "three")).await, "amqp:resource-limit-exceeded");
    assert_eq!(outcome(c2d("nobody", "four")).await, "amqp:not-found");
    assert_eq!(outcome(c2d("b", "five").data(vec![0; 64 * 1024])).await, "amqp:link:message-size-exceeded");
    assert_eq!(
        outcome(c2d("b", "six").application_property("iothub-ack", "maybe")).await,
        "com.microsoft:argument-error"
    );
    assert_eq!(outcome(amqp1::Message::builder().data("to nobody")).await, "com.microsoft:argument-error");
    // The link goes on.
    sender.send(c2d("b", "seven")).await.unwrap().into_result().unwrap();
}

#[tokio::test]
async fn a_lock_that_runs_out_gives_the_message_to_the_next_without_counting() {
    let (hub, clock) = hub().await;
    let sender = to_devices(&service(&hub).await).await;
    send(&sender, "one").await;
    let session = device(&hub, "a").await;
    let mut first = inbox(&session, "a").await;
    let held = next(&mut first).await;
    let mut second = inbox(&session, "a").await;
    assert!(has_nothing(&mut second).await);
    first.drain().await.unwrap();
    clock.advance(Duration::from_secs(60));
    let again = next(&mut second).await;
    assert_eq!((body(&again).as_str(), count_of(&again)), ("one", Value::Ubyte(0)));
    // Too late: the lock is another's now.
    held.accept().unwrap();
    assert!(has_nothing(&mut second).await);
    settled(&hub, 1).await;
    again.accept().unwrap();
    settled(&hub, 0).await;
}

#[tokio::test]
async fn the_locks_of_a_device_that_goes_away_run_out() {
    let (hub, clock) = hub().await;
    let sender = to_devices(&service(&hub).await).await;
    send(&sender, "one").await;
    let first = device(&hub, "a").await;
    let mut receiver = inbox(&first, "a").await;
    next(&mut receiver).await.leave_unsettled();
    drop(receiver);
    first.end().await.unwrap();
    let mut receiver = inbox(&device(&hub, "a").await, "a").await;
    assert!(has_nothing(&mut receiver).await);
    clock.advance(Duration::from_secs(60));
    assert_eq!(count_of(&next(&mut receiver).await), Value::Ubyte(0));
}

#[tokio::test]
async fn a_message_that_is_given_up_too_often_dies() {
    let (hub, _) = hub_with(|settings| settings.cloud_to_device.max_delivery_count = 3).await;
    let service = service(&hub).await;
    send(&to_devices(&service).await, "one").await;
    let mut inbox = inbox(&device(&hub, "a").await, "a").await;
    for count in 0..3 {
        let delivery = next(&mut inbox).await;
        assert_eq!(count_of(&delivery), Value::Ubyte(count));
        delivery.release().unwrap();
    }
    settled(&hub, 0).await;
    let mut reports = service.receiver(FEEDBACK).attach().await.unwrap();
    assert_eq!(feedback(&hub, &mut reports).await, [("one".into(), "DeliveryCountExceeded".into())]);
}

#[tokio::test]
async fn feedback_comes_by_itself_when_its_batch_is_old_enough() {
    let (hub, clock) = hub().await;
    let service = service(&hub).await;
    send(&to_devices(&service).await, "one").await;
    let mut reports = service.receiver(FEEDBACK).attach().await.unwrap();
    hub.with_hub(|hub, now| hub.purge(now, "a".parse::<DeviceId>().unwrap()));
    clock.advance(Duration::from_secs(15));
    let report = next(&mut reports).await;
    assert!(body(&report).contains("\"Purged\""), "{}", body(&report));
    let properties = report.message().properties().unwrap().unwrap();
    assert_eq!(properties.user_id.as_deref(), Some(&b"localhost"[..]));
}

#[tokio::test]
async fn feedback_that_is_not_settled_comes_again() {
    let (hub, clock) = hub().await;
    let service = service(&hub).await;
    send(&to_devices(&service).await, "one").await;
    hub.with_hub(|hub, now| {
        hub.purge(now, "a".parse::<DeviceId>().unwrap());
        hub.flush_feedback(now);
    });
    let mut reports = service.receiver(FEEDBACK).attach().await.unwrap();
    next(&mut reports).await.release().unwrap();
    let again = next(&mut reports).await;
    assert_eq!(again.message().header().unwrap().unwrap().delivery_count, 1);
    again.leave_unsettled();
    assert!(has_nothing(&mut reports).await);
    clock.advance(Duration::from_secs(60));
    next(&mut reports).await.reject(None).unwrap();
    until(&hub, |hub| hub.feedback_pending() == (0, 0)).await;
    clock.advance(Duration::from_secs(60));
    assert!(has_nothing(&mut reports).await);
}

#[tokio::test]
async fn no_more_is_delivered_than_there_is_credit_for() {
    let (hub, _) = hub().await;
    let sender = to_devices(&service(&hub).await).await;
    for id in ["one", "two"] {
        send(&sender, id).await;
    }
    let session = device(&hub, "a").await;
    let mut inbox = session.receiver(devicebound("a")).credit(Credit::Manual(1)).attach().await.unwrap();
    let one = next(&mut inbox).await;
    assert_eq!(body(&one), "one");
    let mut other = session.receiver(devicebound("a")).credit(Credit::Manual(1)).attach().await.unwrap();
    assert_eq!(body(&next(&mut other).await), "two");
}

#[tokio::test]
async fn both_settle_modes_of_the_receiver_and_a_settled_sender_are_served() {
    let (hub, _) = hub().await;
    let sender = to_devices(&service(&hub).await).await;
    let session = device(&hub, "a").await;
    send(&sender, "one").await;
    let second = session.receiver(devicebound("a")).receiver_settle_mode(ReceiverSettleMode::Second);
    let mut receiver = second.attach().await.unwrap();
    next(&mut receiver).await.accept().unwrap();
    settled(&hub, 0).await;
    receiver.close().await.unwrap();

    send(&sender, "two").await;
    let settled_mode = session.receiver(devicebound("a")).settle_mode(SenderSettleMode::Settled);
    let mut receiver = settled_mode.attach().await.unwrap();
    assert!(next(&mut receiver).await.is_settled());
    settled(&hub, 0).await;
}

#[tokio::test]
async fn one_connection_carries_many_devices_and_repeats_link_names() {
    let (hub, _) = hub().await;
    let sender = to_devices(&service(&hub).await).await;
    let mut cbs = Cbs::open(&hub).await;
    cbs.put(device_token("a")).await.outcome().unwrap();
    cbs.put(device_token("b")).await.outcome().unwrap();
    let connection = connect(&hub, amqp1::auth::sasl::Mssbcbs::default()).await.unwrap();
    let mut tokens = Cbs::on(&connection).await;
    let mut inboxes = Vec::new();
    for id in ["a", "b"] {
        tokens.put(device_token(id)).await.outcome().unwrap();
        let session = connection.begin().await.unwrap();
        let receiver = session.receiver(devicebound(id)).name("TelemetryReceiverLink").attach().await.unwrap();
        inboxes.push((id, receiver));
    }
    for (id, receiver) in &mut inboxes {
        sender.send(c2d(id, id)).await.unwrap().into_result().unwrap();
        assert_eq!(body(&next(receiver).await), *id);
    }
}

#[tokio::test]
async fn a_message_can_be_lost_on_purpose() {
    let (hub, _) = hub().await;
    let sender = to_devices(&service(&hub).await).await;
    hub.drop_next_c2d();
    send(&sender, "lost").await;
    send(&sender, "found").await;
    let mut inbox = inbox(&device(&hub, "a").await, "a").await;
    let found = next(&mut inbox).await;
    assert_eq!(body(&found), "found");
    // Otherwise it comes again while the link is drained.
    found.accept().unwrap();
    assert!(has_nothing(&mut inbox).await);
}

#[tokio::test]
async fn settled_messages_of_the_service_are_taken_too() {
    let (hub, _) = hub().await;
    let session = service(&hub).await;
    let sender = session.sender("/messages/deviceBound").settle_mode(SenderSettleMode::Settled).attach().await.unwrap();
    let options = amqp1::link::SendOptions { settled: true, ..Default::default() };
    assert_eq!(sender.send_with(c2d("a", "one"), options).await.unwrap(), Outcome::SentSettled);
    let mut inbox = inbox(&device(&hub, "a").await, "a").await;
    assert_eq!(body(&next(&mut inbox).await), "one");
}

#[tokio::test]
async fn a_module_takes_its_own_messages_and_its_device_does_not() {
    let (hub, _) = hub().await;
    let service = service(&hub).await;
    let sender = to_devices(&service).await;
    let mut of_device = inbox(&device(&hub, "a").await, "a").await;
    let token = token(MODULE_KEY, "localhost/devices/a/modules/m", HOUR, None);
    let module = plain(&hub, "a/modules/m@sas.localhost", token).await.unwrap().begin().await.unwrap();
    let mut of_module =
        module.receiver("amqps://localhost/devices/a/modules/m/messages/deviceBound").attach().await.unwrap();
    let mut reports = service.receiver(FEEDBACK).attach().await.unwrap();
    let message = |to: &str| {
        let properties =
            Properties { to: Some(to.to_owned().into()), message_id: Some("m-1".into()), ..Properties::default() };
        amqp1::Message::builder().properties(properties).application_property("iothub-ack", "full").data("hello")
    };
    sender.send(message("/devices/a/modules/m/messages/devicebound")).await.unwrap().into_result().unwrap();
    let delivery = next(&mut of_module).await;
    assert_eq!((body(&delivery).as_str(), delivery.tag().as_slice().len()), ("hello", 16));
    assert!(has_nothing(&mut of_device).await);
    let id = hub.with_hub(|hub, _| {
        let id = hub.modules(&"a".parse().unwrap()).unwrap().next().unwrap().id().clone();
        assert_eq!(hub.identity(&id).unwrap().cloud_to_device_messages(), 1);
        id
    });
    delivery.accept().unwrap();
    until(&hub, |hub| hub.queue_depth(&id) == 0).await;
    assert_eq!(feedback(&hub, &mut reports).await, [("m-1".into(), "Success".into())]);
    let outcome = sender.send(message("/devices/a/modules/none/messages/devicebound")).await.unwrap();
    assert_eq!(rejection(outcome), "amqp:not-found");
}
