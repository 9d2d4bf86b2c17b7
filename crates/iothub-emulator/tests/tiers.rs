//! A hub with a tier: what comes too fast is put off, then refused.

mod support;

use amqp1::Message;
use iothub_emulator::hub::{Operation, Scale, Tier};
use support::https::{Https, get};
use support::*;

#[tokio::test]
async fn too_many_messages_of_a_day_are_refused_with_the_quota() {
    let (hub, _) = hub_with(|settings| settings.scale = Some(Scale { tier: Tier::Free, units: 1 })).await;
    let session = device(&hub, "a").await;
    let telemetry = session.sender(events("a")).attach().await.unwrap();
    telemetry.send(Message::builder().data("1")).await.unwrap().accepted().unwrap();
    hub.with_hub(|hub, now| hub.meter(now, 7999 * 512)).unwrap();
    let outcome = telemetry.send(Message::builder().data("1")).await.unwrap();
    assert_eq!(rejection(outcome), "com.microsoft:quota-exceeded");
}

#[tokio::test]
async fn what_waits_already_is_refused_as_throttled_over_amqp_and_https() {
    let (hub, _) = hub_with(|settings| settings.scale = Some(Scale { tier: Tier::S1, units: 1 })).await;
    let session = device(&hub, "a").await;
    let telemetry = session.sender(events("a")).attach().await.unwrap();
    for operation in [Operation::DeviceToCloud, Operation::TwinRead] {
        hub.with_hub(|hub, now| while hub.throttle(now, operation, 0).is_ok() {});
    }
    let outcome = telemetry.send(Message::builder().data("1")).await.unwrap();
    assert_eq!(rejection(outcome), "com.microsoft:device-container-throttled");
    Https::new(&hub).send(get("/twins/a").owner()).await.refusal(429, "ThrottlingException");
}
