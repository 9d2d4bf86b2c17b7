use crate::support::{builder, device, hub, module, next_event, service, soon, telemetry};
use iothub::{Ack, CloudMessage, ErrorKind, FeedbackStatus, Telemetry};
use std::{collections::HashMap, time::Duration};

#[tokio::test]
async fn telemetry_arrives_alone_pipelined_and_in_batches_in_order() {
    let hub = hub(1).await;
    let client = device(&hub, "d0").await;
    soon("an outcome", client.send(Telemetry::new("0").property("room", "3"))).await.expect("accepted");
    let mut receipts = Vec::new();
    for number in 1..100 {
        let sent = client.begin_send(Telemetry::new(number.to_string()).message_id(format!("t{number}")));
        receipts.push(soon("a turn", sent).await.expect("sent"));
    }
    for receipt in receipts {
        soon("an outcome", receipt).await.expect("accepted");
    }
    let batch = (100..110).map(|number| Telemetry::new(number.to_string()).property("number", number.to_string()));
    soon("an outcome", client.send_batch(batch)).await.expect("accepted");
    let mut events = telemetry(&hub).await;
    for number in 0..110 {
        let event = next_event(&mut events).await;
        assert_eq!((&event.body()[..], event.device_id()), (number.to_string().as_bytes(), Some("d0")));
        let expected = (number >= 100).then(|| number.to_string());
        assert_eq!(event.property("number"), expected.as_deref());
    }
    let large = Telemetry::new(vec![0; 300 * 1024]);
    let error = soon("an outcome", client.send(large)).await.expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::MessageTooLarge, "{error}");
}

#[tokio::test]
async fn a_module_sends_to_outputs_under_its_own_name() {
    let hub = hub(1).await;
    let client = module(&hub).await;
    assert_eq!((client.device_id(), client.module_id()), ("d0", "m"));
    let sent = client.send(Telemetry::new("21").output_name("temperature"));
    soon("an outcome", sent).await.expect("accepted");
    let mut events = telemetry(&hub).await;
    let event = next_event(&mut events).await;
    assert_eq!((event.device_id(), event.module_id()), (Some("d0"), Some("m")));
    assert_eq!((&event.body()[..], event.property("iothub-outputname")), (&b"21"[..], Some("temperature")));
}

#[tokio::test]
async fn a_module_completes_messages_of_its_own() {
    let hub = hub(1).await;
    let (client, service) = (module(&hub).await, service(&hub).await);
    let mut messages = soon("a link", client.cloud_to_device()).await.expect("attached");
    soon("an outcome", service.send_to_module("d0", "m", CloudMessage::new("for m"))).await.expect("accepted");
    let message = soon("a message", messages.next()).await.expect("a message").expect("not detached");
    assert_eq!(&message.body()[..], b"for m");
    message.complete().expect("the link is there");
    client.close().await.expect("a clean close");
}

#[tokio::test]
async fn each_settlement_is_what_the_service_hears_of() {
    let feedback = |settings: &mut iothub_emulator::hub::Settings| {
        settings.feedback.batch_delay = Duration::from_millis(50);
        settings.cloud_to_device.max_delivery_count = 3;
    };
    let hub = builder(1).settings(feedback).start().await.expect("a hub");
    let (client, service) = (device(&hub, "d0").await, service(&hub).await);
    let mut feedback = soon("a link", service.feedback()).await.expect("attached");
    for id in ["completed", "rejected", "abandoned"] {
        let message = CloudMessage::new(id).message_id(id).ack(Ack::Full);
        soon("an outcome", service.send("d0", message)).await.expect("accepted");
    }
    let mut messages = soon("a link", client.cloud_to_device()).await.expect("attached");
    let mut abandoned = Vec::new();
    for _ in 0..5 {
        let message = soon("a message", messages.next()).await.expect("a message").expect("not detached");
        assert_eq!(message.ack(), Ack::Full);
        match message.message_id() {
            Some("completed") => message.complete().expect("the link is there"),
            Some("rejected") => message.reject().expect("the link is there"),
            _ => {
                abandoned.push(message.delivery_count());
                message.abandon().expect("the link is there");
            }
        }
    }
    assert_eq!(abandoned, [Some(0), Some(1), Some(2)], "an abandoned message comes again and is counted");
    let mut outcomes = HashMap::new();
    while outcomes.len() < 3 {
        let batch = soon("feedback", feedback.next()).await.expect("feedback").expect("not detached");
        outcomes.extend(batch.records().iter().map(|record| (record.original_message_id.clone(), record.status)));
        batch.complete().expect("the link is there");
    }
    let expected = [
        ("completed", FeedbackStatus::Success),
        ("rejected", FeedbackStatus::Rejected),
        ("abandoned", FeedbackStatus::DeliveryCountExceeded),
    ];
    assert_eq!(outcomes, HashMap::from(expected.map(|(id, status)| (id.to_owned(), status))));
}

#[tokio::test]
async fn a_settlement_after_the_lock_has_run_out_is_without_effect_and_the_message_comes_again() {
    let short = |settings: &mut iothub_emulator::hub::Settings| {
        settings.cloud_to_device.lock = Duration::from_millis(200);
    };
    let hub = builder(1).settings(short).start().await.expect("a hub");
    let (client, service) = (device(&hub, "d0").await, service(&hub).await);
    let mut messages = soon("a link", client.cloud_to_device()).await.expect("attached");
    soon("an outcome", service.send("d0", CloudMessage::new("slow").message_id("slow"))).await.expect("accepted");
    let late = soon("a message", messages.next()).await.expect("a message").expect("not detached");
    // It comes again because nothing was said of it.
    let again = soon("the message again", messages.next()).await.expect("a message").expect("not detached");
    assert_eq!(again.message_id(), Some("slow"));
    late.complete().expect("the link is there");
    // That did not complete it: it is there still, for the next receiver.
    drop(again);
    let third = soon("the message again", messages.next()).await.expect("a message").expect("not detached");
    assert_eq!(third.message_id(), Some("slow"));
    third.complete().expect("the link is there");
    soon("the end", client.close()).await.expect("a clean close");
}

#[tokio::test]
async fn a_module_takes_what_comes_on_its_inputs() {
    let hub = hub(1).await;
    let client = module(&hub).await;
    let mut inputs = soon("a link", client.inputs()).await.expect("attached");
    hub.send_input("d0", "m", "temperature", "21", &[("unit", "C")]).expect("a module");
    let abandoned = soon("a message", inputs.next()).await.expect("a message").expect("not detached");
    assert_eq!((abandoned.input_name(), &abandoned.body()[..]), (Some("temperature"), &b"21"[..]));
    assert_eq!(abandoned.property("unit"), Some("C"));
    abandoned.abandon().expect("the link is there");
    let again = soon("the message again", inputs.next()).await.expect("a message").expect("not detached");
    assert_eq!(&again.body()[..], b"21");
    again.complete().expect("the link is there");
    client.close().await.expect("a clean close");
}
