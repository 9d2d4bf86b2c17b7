//! Modules: their telemetry with outputs, and their inputs.

use crate::support::*;
use amqp1::{Message, link::SenderSettleMode};
use iothub_emulator::hub::ErrorCode;

const EVENTS: &str = "/devices/a/modules/m/messages/events";

#[tokio::test]
async fn a_modules_telemetry_names_the_module_and_its_output() {
    let (hub, _) = hub_with(|settings| settings.partitions = 1).await;
    let session = device(&hub, "a").await;
    let telemetry = session.sender(EVENTS).attach().await.unwrap();
    let message = Message::builder().application_property("iothub-outputname", "alerts").data("42");
    telemetry.send(message).await.unwrap().into_result().unwrap();
    let mut events =
        service(&hub).await.receiver("localhost/ConsumerGroups/$Default/Partitions/0").attach().await.unwrap();
    let event = next(&mut events).await;
    let annotation = |key: &str| event.message().message_annotation(key).unwrap().unwrap().as_text().map(str::to_owned);
    assert_eq!(annotation("iothub-connection-device-id").as_deref(), Some("a"));
    assert_eq!(annotation("iothub-connection-module-id").as_deref(), Some("m"));
    let output = event.message().application_property("iothub-outputname").unwrap().unwrap();
    assert_eq!((output.as_text(), body(&event).as_str()), (Some("alerts"), "42"));
}

#[tokio::test]
async fn a_module_gets_what_is_put_at_its_inputs() {
    let (hub, _) = hub().await;
    hub.send_input("a", "m", "temperatures", "21", &[("unit", "C")]).unwrap();
    let session = device(&hub, "a").await;
    let mut inputs = session.receiver(EVENTS).attach().await.unwrap();
    let input = next(&mut inputs).await;
    assert_eq!(input.tag().as_slice().len(), 16, "clients make a UUID of it");
    let annotation = |key: &str| input.message().message_annotation(key).unwrap().unwrap().as_text().map(str::to_owned);
    assert_eq!(annotation("x-opt-input-name").as_deref(), Some("temperatures"));
    assert_eq!(annotation("iothub-connection-device-id").as_deref(), Some("a"));
    assert_eq!(annotation("iothub-connection-module-id").as_deref(), Some("m"));
    let unit = input.message().application_property("unit").unwrap().unwrap();
    assert_eq!((unit.as_text(), body(&input).as_str()), (Some("C"), "21"));

    // What is released comes again, what is accepted does not.
    input.release().unwrap();
    let again = next(&mut inputs).await;
    assert_eq!(body(&again), "21");
    again.accept().unwrap();
    hub.send_input("a", "m", "temperatures", "22", &[]).unwrap();
    assert_eq!(body(&next(&mut inputs).await), "22");
    let error = hub.send_input("a", "none", "temperatures", "21", &[]).unwrap_err();
    assert_eq!(error.code(), ErrorCode::ModuleNotFound);
}

#[tokio::test]
async fn inputs_of_a_link_that_is_settled_from_the_start_are_not_kept() {
    let (hub, _) = hub().await;
    let session = device(&hub, "a").await;
    let mut inputs = session.receiver(EVENTS).settle_mode(SenderSettleMode::Settled).attach().await.unwrap();
    hub.send_input("a", "m", "x", "1", &[]).unwrap();
    assert!(next(&mut inputs).await.is_settled());
    inputs.close().await.unwrap();
    let mut inputs = session.receiver(EVENTS).attach().await.unwrap();
    assert!(has_nothing(&mut inputs).await);
}

#[tokio::test]
async fn a_device_has_no_inputs() {
    let (hub, _) = hub().await;
    let session = device(&hub, "a").await;
    assert_eq!(refusal(session.receiver(events("a")).attach().await), "amqp:not-allowed");
}
