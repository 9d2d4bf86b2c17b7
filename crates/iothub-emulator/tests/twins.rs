//! Twins and direct methods, which the hub does not have: their links are taken all the same.

mod support;

use amqp1::codec::message::Body;
use amqp1::{Message, MessageBuilder, MessageId, Properties, Receiver, Sender, Session, Symbol, Uuid, Value};
use iothub_emulator::Emulator;
use support::*;

const TWIN: &str = "/devices/a/twin";
const TWIN_OF_MODULE: &str = "/devices/a/modules/m/twin";
const CORRELATION: &str = "com.microsoft:channel-correlation-id";

async fn links(session: &Session, address: &str) -> (Sender, Receiver) {
    let sender = session.sender(address).attach().await.unwrap();
    (sender, session.receiver(address).attach().await.unwrap())
}

fn request(operation: &'static str, id: impl Into<MessageId>) -> MessageBuilder {
    Message::builder()
        .message_annotation(Symbol::from_static("operation"), operation)
        .message_annotation(Symbol::from_static("resource"), "/properties/reported")
        .properties(Properties { correlation_id: Some(id.into()), ..Properties::default() })
        .data(" ")
}

/// The status, the correlation-id and the body of the next answer.
async fn answer(receiver: &mut Receiver) -> (Value, MessageId, String) {
    let delivery = next(receiver).await;
    let message = delivery.message();
    assert!(delivery.is_settled());
    assert!(matches!(message.body(), Body::Data(_)));
    let status = message.message_annotation("status").unwrap().expect("a status").to_value().unwrap();
    let id = message.properties().unwrap().unwrap().correlation_id.expect("a correlation-id");
    (status, id, body(&delivery))
}

fn not_implemented(id: impl Into<MessageId>) -> (Value, MessageId, String) {
    (Value::Int(501), id.into(), "{}".into())
}

#[tokio::test]
async fn a_twin_answers_those_who_read_and_report_with_501() {
    let (hub, _) = hub().await;
    let session = device(&hub, "a").await;
    for address in [TWIN, TWIN_OF_MODULE] {
        let (requests, mut answers) = links(&session, address).await;
        let uuid = MessageId::Uuid(Uuid([7; 16]));
        requests.send(request("GET", "text")).await.unwrap().accepted().unwrap();
        requests.send(request("PATCH", uuid.clone())).await.unwrap().accepted().unwrap();
        assert_eq!(answer(&mut answers).await, not_implemented("text"), "{address}");
        assert_eq!(answer(&mut answers).await, not_implemented(uuid), "{address}");
    }
}

#[tokio::test]
async fn subscriptions_to_desired_properties_are_accepted_and_nothing_comes_of_them() {
    let (hub, _) = hub().await;
    let session = device(&hub, "a").await;
    for address in [TWIN, TWIN_OF_MODULE] {
        let (requests, mut answers) = links(&session, address).await;
        for operation in ["PUT", "DELETE"] {
            requests.send(request(operation, operation)).await.unwrap().accepted().unwrap();
        }
        // A request without any body section, as some clients subscribe.
        let bare = Message::builder().message_annotation(Symbol::from_static("operation"), "PUT");
        requests.send(bare).await.unwrap().accepted().unwrap();
        // Without a correlation-id an answer would be taken for a change of desired properties.
        let unnamed = Message::builder().message_annotation(Symbol::from_static("operation"), "GET").data(" ");
        requests.send(unnamed).await.unwrap().accepted().unwrap();
        requests.send(request("GET", "the first answer")).await.unwrap().accepted().unwrap();
        assert_eq!(answer(&mut answers).await, not_implemented("the first answer"));
        assert!(has_nothing(&mut answers).await);
    }
}

#[tokio::test]
async fn answers_go_to_the_link_of_the_same_pair() {
    let (hub, _) = hub().await;
    let session = device(&hub, "a").await;
    let pair = async |name: &str| {
        let key = Symbol::from_static(CORRELATION);
        let sender = session.sender(TWIN).property(key.clone(), name).attach().await.unwrap();
        (sender, session.receiver(TWIN).property(key, name).attach().await.unwrap())
    };
    let (one, mut answers_of_one) = pair("twin:1").await;
    let (two, mut answers_of_two) = pair("twin:2").await;
    two.send(request("GET", "two")).await.unwrap().accepted().unwrap();
    one.send(request("GET", "one")).await.unwrap().accepted().unwrap();
    assert_eq!(answer(&mut answers_of_one).await, not_implemented("one"));
    assert_eq!(answer(&mut answers_of_two).await, not_implemented("two"));
}

async fn methods_are_silent(hub: &Emulator, address: &str) {
    let session = device(hub, "a").await;
    let (answers, mut calls) = links(&session, address).await;
    answers.send("to nobody's question").await.unwrap().accepted().unwrap();
    assert!(has_nothing(&mut calls).await);
    answers.close().await.unwrap();
    calls.close().await.unwrap();
}

#[tokio::test]
async fn links_for_methods_are_taken_and_nothing_is_called() {
    let (hub, _) = hub().await;
    methods_are_silent(&hub, "/devices/a/methods/devicebound").await;
    methods_are_silent(&hub, "/devices/a/modules/m/methods/devicebound").await;
}

#[tokio::test]
async fn the_links_of_a_device_that_is_removed_are_detached() {
    let (hub, _) = hub().await;
    let session = device(&hub, "a").await;
    let (twin, answers) = links(&session, TWIN).await;
    let (methods, calls) = links(&session, "/devices/a/methods/devicebound").await;
    assert!(hub.remove_device("a"));
    for detached in [twin.detached().await, answers.detached().await, methods.detached().await, calls.detached().await]
    {
        assert_eq!(detached.error.expect("a reason").condition.as_str(), "amqp:not-found");
    }
    assert_eq!(refusal(session.sender(TWIN).attach().await), "amqp:not-found");
}

#[tokio::test]
async fn the_links_of_another_device_are_refused() {
    let (hub, _) = hub().await;
    let session = device(&hub, "a").await;
    for address in ["/devices/b/twin", "/devices/b/methods/devicebound", "/devices/b/modules/m/twin"] {
        assert_eq!(refusal(session.sender(address).attach().await), "amqp:unauthorized-access", "{address}");
        assert_eq!(refusal(session.receiver(address).attach().await), "amqp:unauthorized-access", "{address}");
    }
}
