//! What the hub does with messages that are malformed: it looks into all of them, takes what it can read, and rejects
//! the rest by itself.

use crate::support::*;
use amqp1::{Credit, Message, link::SendOptions, message::EncodedMessage};
use bytes::Bytes;

fn raw(octets: &'static [u8]) -> EncodedMessage {
    EncodedMessage::from_parts([Bytes::from_static(octets)])
}

const MALFORMED: [&[u8]; 4] = [
    b"<?xml?>",
    // Data that is null; a content-type beyond ASCII; a key twice.
    b"\x00\x53\x75\x40",
    b"\x00\x53\x73\xc0\x0c\x07\x40\x40\x40\x40\x40\x40\xa3\x03a\xc3\xa9\x00\x53\x75\xa0\x01x",
    b"\x00\x53\x74\xc1\x09\x04\xa1\x01k\x41\xa1\x01k\x42\x00\x53\x75\xa0\x01x",
];

/// A user-id as string; delivery annotations behind the body; string keys of annotations.
const TOLERATED: [&[u8]; 3] = [
    b"\x00\x53\x73\xc0\x09\x02\x40\xa1\x05guest\x00\x53\x75\xa0\x04body",
    b"\x00\x53\x75\xa0\x04body\x00\x53\x71\xc1\x01\x00",
    b"\x00\x53\x72\xc1\x07\x02\xa1\x01k\xa1\x01v\x00\x53\x75\xa0\x04body",
];

#[tokio::test]
async fn malformed_messages_to_devices_are_rejected_by_the_hub() {
    let (hub, _) = hub().await;
    let session = service(&hub).await;
    let sender = session.sender("/messages/devicebound").attach().await.unwrap();
    for octets in MALFORMED {
        assert_eq!(rejection(sender.send(raw(octets)).await.unwrap()), "amqp:decode-error");
    }
    // The link lives on, and nothing of them reached the device.
    sender.send(c2d("a", "m1")).await.unwrap().into_result().unwrap();
    let device = device(&hub, "a").await;
    let mut inbox = device.receiver(devicebound("a")).credit(Credit::Window(10)).attach().await.unwrap();
    let delivery = next(&mut inbox).await;
    assert_eq!(body(&delivery), "m1");
    delivery.accept().unwrap();
    assert!(has_nothing(&mut inbox).await);
}

#[tokio::test]
async fn malformed_telemetry_is_rejected_by_the_hub_and_what_is_tolerated_is_stored() {
    let (hub, _) = hub().await;
    let device = device(&hub, "a").await;
    let sender = device.sender(events("a")).attach().await.unwrap();
    for octets in MALFORMED {
        assert_eq!(rejection(sender.send(raw(octets)).await.unwrap()), "amqp:decode-error");
    }
    for octets in TOLERATED {
        sender.send(raw(octets)).await.unwrap().into_result().unwrap();
    }
    // A format that is none of the hub's is read as format 0 is.
    let other = SendOptions { message_format: 9, ..SendOptions::default() };
    sender.send_with(Message::builder().data("last"), other).await.unwrap().into_result().unwrap();
    let number = hub.with_hub(|hub, _| hub.partition_of(&"a".parse().unwrap()));
    let session = service(&hub).await;
    let address = format!("localhost/ConsumerGroups/$Default/Partitions/{number}");
    let mut reader = session.receiver(address).attach().await.unwrap();
    for expected in ["body", "body", "body", "last"] {
        let delivery = next(&mut reader).await;
        assert_eq!(body(&delivery), expected);
        assert_eq!(delivery.message().validate(), Ok(()), "what the hub sends is as it should be");
    }
}
