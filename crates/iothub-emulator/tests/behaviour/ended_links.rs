//! What a client has sent counts although its link ended right behind it, before the hub has looked at it.

use core::time::Duration;

use crate::support::*;
use amqp1::{Message, MessageBuilder, Session, Symbol, link::SendOptions, message::Properties};
use iothub_emulator::Emulator;
use iothub_emulator::hub::{DeviceId, IdentityId};
use serde_json::json;

const UNSETTLED: SendOptions = SendOptions { settled: false, tag: None, message_format: 0 };
const SETTLED: SendOptions = SendOptions { settled: true, ..UNSETTLED };

/// Sends messages, and closes the link without waiting for what becomes of them.
async fn leave(session: &Session, address: &str, messages: impl IntoIterator<Item = (MessageBuilder, SendOptions)>) {
    let sender = session.sender(address).attach().await.unwrap();
    for (message, options) in messages {
        drop(sender.reserve().await.unwrap().send_with(message, options).unwrap());
    }
    sender.close().await.unwrap();
}

#[tokio::test]
async fn telemetry_counts_whose_link_ended_before_it_was_read() {
    let (hub, _) = hub_with(|settings| settings.partitions = 1).await;
    let texts = ["1", "2", "3", "4"];
    let messages = texts.map(|text| (Message::builder().data(text), if text == "2" { SETTLED } else { UNSETTLED }));
    leave(&device(&hub, "a").await, &events("a"), messages).await;
    let session = service(&hub).await;
    let mut reader = session.receiver("localhost/ConsumerGroups/$Default/Partitions/0").attach().await.unwrap();
    for text in texts {
        assert_eq!(body(&next(&mut reader).await), text);
    }
}

#[tokio::test]
async fn a_message_to_a_device_counts_whose_link_ended_before_it_was_read() {
    let (hub, _) = hub().await;
    let messages = ["m1", "m2"].map(|id| (c2d("a", id), UNSETTLED));
    leave(&service(&hub).await, "/messages/devicebound", messages).await;
    let mut messages = device(&hub, "a").await.receiver(devicebound("a")).attach().await.unwrap();
    for id in ["m1", "m2"] {
        assert_eq!(body(&next(&mut messages).await), id);
    }
}

fn reported(hub: &Emulator) -> serde_json::Value {
    let twin = hub.with_hub(|hub, _| hub.twin(&IdentityId::from("a".parse::<DeviceId>().unwrap())).unwrap().to_json());
    twin["properties"]["reported"].clone()
}

/// It cannot be answered any more. Some clients settle such requests, some do not.
#[tokio::test]
async fn a_report_counts_whose_link_ended_before_it_was_read() {
    let (hub, _) = hub().await;
    for (number, options) in [(1, UNSETTLED), (2, SETTLED)] {
        let report = Message::builder()
            .message_annotation(Symbol::from_static("operation"), "PATCH")
            .message_annotation(Symbol::from_static("resource"), "/properties/reported")
            .properties(Properties { correlation_id: Some("r".into()), ..Properties::default() })
            .data(json!({ "number": number }).to_string());
        leave(&device(&hub, "a").await, "/devices/a/twin", [(report, options)]).await;
        let is_reported = async {
            while reported(&hub)["number"] != json!(number) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), is_reported).await.expect("reported in time");
    }
}
