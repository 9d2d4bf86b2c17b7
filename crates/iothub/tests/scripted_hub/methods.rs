use crate::support::{ScriptedHub, accept_sender, delivery, soon};
use amqp1::{
    AcceptedLink, Message, Receiver, Sender, Value,
    link::{SendOptions, SenderSettleMode},
    message::{MessageId, Properties, Uuid},
};
use iothub::{DeviceClient, MethodAnswer, MethodHandlers, Methods};
use serde_json::json;
use std::{sync::Arc, time::Duration};

const METHODS: &str = "/devices/d1/methods/devicebound";
const SETTLED: SendOptions = SendOptions { settled: true, tag: None, message_format: 0 };

/// The hub's ends of the links: for calls, and for answers.
async fn methods(hub: &mut ScriptedHub, client: &Arc<DeviceClient>) -> (Methods, Sender, Receiver) {
    let client = client.clone();
    let opening = tokio::spawn(async move { client.methods().await });
    let (mut calls, mut answers, mut pairs) = (None, None, Vec::new());
    for _ in 0..2 {
        let (link, _) = hub.next_link().await;
        assert_eq!(link.address(), Some(METHODS));
        assert_eq!(link.attach().snd_settle_mode, SenderSettleMode::Settled);
        let properties = link.attach().properties.clone().expect("properties");
        assert!(properties.get("com.microsoft:api-version").is_some());
        pairs.push(properties.get("com.microsoft:channel-correlation-id").cloned());
        match link {
            amqp1::IncomingLink::Sender(_) => calls = Some(accept_sender(link)),
            link => {
                let Ok(AcceptedLink::Receiver(receiver)) = link.accept_default() else { panic!("the client sends") };
                answers = Some(receiver);
            }
        }
    }
    assert!(pairs[0] == pairs[1] && matches!(&pairs[0], Some(Value::String(text)) if text.starts_with("methods:")));
    let methods = soon("the links", opening).await.expect("no panic").expect("attached");
    (methods, calls.expect("a link for calls"), answers.expect("a link for answers"))
}

async fn call(calls: &Sender, id: impl Into<MessageId>, name: &str, payload: &'static str) {
    let properties = Properties { correlation_id: Some(id.into()), ..Properties::default() };
    let message = Message::builder().properties(properties).application_property("IoThub-methodname", name);
    let permit = soon("credit", calls.reserve()).await.expect("the link is there");
    soon("a call", permit.send_with(message.data(payload), SETTLED).expect("sent"))
        .await
        .expect("sent")
        .into_result()
        .expect("settled");
}

/// The next answer: the id, the status, and the payload.
async fn answer(answers: &mut Receiver) -> (MessageId, Value, serde_json::Value) {
    let delivery = delivery(answers).await;
    assert!(delivery.is_settled(), "answers are sent settled");
    let message = delivery.message();
    let properties = message.properties().expect("decodes").expect("properties");
    let status = message.application_property("IoThub-status").expect("decodes").expect("a status");
    let payload = serde_json::from_slice(&message.data().unwrap_or_default()).expect("JSON");
    (properties.correlation_id.expect("an id"), status.to_value().expect("decodes"), payload)
}

fn uuid(octet: u8) -> Uuid {
    let mut octets = [octet; 16];
    octets[6] = 0x40;
    octets[8] = 0x80;
    Uuid(octets)
}

#[tokio::test]
async fn calls_are_answered_in_any_order_under_their_own_ids() {
    let mut hub = ScriptedHub::start().await;
    let client = crate::device::connect(&hub).await;
    let (mut methods, calls, mut answers) = methods(&mut hub, &client).await;
    call(&calls, uuid(1), "first", r#"{"delay":5}"#).await;
    call(&calls, "a text", "second", "null").await;
    let first = soon("a call", methods.next()).await.expect("a call").expect("not detached");
    let second = soon("a call", methods.next()).await.expect("a call").expect("not detached");
    assert_eq!((first.name(), second.name()), ("first", "second"));
    assert_eq!(first.json::<serde_json::Value>().expect("JSON"), json!({"delay": 5}));
    assert_eq!(second.json::<Option<u32>>().expect("JSON"), None);
    second.answer(MethodAnswer::new(404).payload("no")).await.expect("sent");
    first.answer(MethodAnswer::new(200)).await.expect("sent");
    assert_eq!(answer(&mut answers).await, ("a text".into(), Value::Int(404), json!("no")));
    assert_eq!(answer(&mut answers).await, (uuid(1).into(), Value::Int(200), json!(null)));
}

#[tokio::test]
async fn a_call_that_is_dropped_or_answered_at_too_great_length_is_answered_with_500() {
    let mut hub = ScriptedHub::start().await;
    let client = crate::device::connect(&hub).await;
    let (mut methods, calls, mut answers) = methods(&mut hub, &client).await;
    call(&calls, uuid(1), "dropped", "{}").await;
    drop(soon("a call", methods.next()).await.expect("a call"));
    let (id, status, _) = answer(&mut answers).await;
    assert_eq!((id, status), (uuid(1).into(), Value::Int(500)));

    call(&calls, uuid(2), "long", "{}").await;
    let long = soon("a call", methods.next()).await.expect("a call").expect("not detached");
    let error = long.answer(MethodAnswer::new(200).payload("x".repeat(128 * 1024))).await.expect_err("too large");
    assert_eq!(error.kind(), iothub::ErrorKind::MessageTooLarge);
    let (id, status, _) = answer(&mut answers).await;
    assert_eq!((id, status), (uuid(2).into(), Value::Int(500)));
}

#[tokio::test]
async fn a_call_without_a_correlation_id_is_passed_over() {
    let mut hub = ScriptedHub::start().await;
    let client = crate::device::connect(&hub).await;
    let (mut methods, calls, _answers) = methods(&mut hub, &client).await;
    let permit = soon("credit", calls.reserve()).await.expect("the link is there");
    let nameless = Message::builder().application_property("IoThub-methodname", "lost").data("{}");
    soon("a call", permit.send_with(nameless, SETTLED).expect("sent"))
        .await
        .expect("sent")
        .into_result()
        .expect("settled");
    call(&calls, uuid(1), "next", "{}").await;
    let next = soon("a call", methods.next()).await.expect("a call").expect("not detached");
    assert_eq!(next.name(), "next");
}

#[tokio::test]
async fn handlers_answer_together_and_what_fails_has_a_status() {
    let mut hub = ScriptedHub::start().await;
    let client = crate::device::connect(&hub).await;
    let (methods, calls, mut answers) = methods(&mut hub, &client).await;
    let both = Arc::new(tokio::sync::Barrier::new(2));
    let handlers = MethodHandlers::new()
        .timeout(Duration::from_millis(500))
        .on("together", move |request| {
            let both = both.clone();
            async move {
                both.wait().await;
                MethodAnswer::new(200).payload(request.json::<u32>().unwrap_or_default())
            }
        })
        .on("forever", |_| std::future::pending())
        .on("broken", |_| async { panic!("on purpose") });
    let serving = tokio::spawn(methods.serve(handlers));
    // Neither is answered before the other has come.
    call(&calls, uuid(1), "together", "1").await;
    call(&calls, uuid(2), "together", "2").await;
    let mut answered = [answer(&mut answers).await, answer(&mut answers).await];
    answered.sort_by_key(|(_, _, payload)| payload.as_u64());
    assert_eq!(answered[0], (uuid(1).into(), Value::Int(200), json!(1)));
    assert_eq!(answered[1], (uuid(2).into(), Value::Int(200), json!(2)));
    for (octet, name, expected) in [(3, "forever", 504), (4, "broken", 500), (5, "unknown", 501)] {
        call(&calls, uuid(octet), name, "null").await;
        let (id, status, _) = answer(&mut answers).await;
        assert_eq!((id, status), (uuid(octet).into(), Value::Int(expected)), "{name}");
    }
    soon("the end", calls.close()).await.expect("closed");
    soon("the end", serving).await.expect("no panic").expect("the hub has ended the link");
}
