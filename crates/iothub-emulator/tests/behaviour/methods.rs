//! Direct methods: called by the service, answered by devices and modules over AMQP.

use core::time::Duration;
use std::sync::Arc;

use crate::support::https::{Https, post};
use crate::support::*;
use amqp1::{
    Credit, Delivery, Message, Receiver, Sender, Session, Symbol,
    message::{MessageId, Properties},
};
use iothub_emulator::hub::{Address, ErrorCode, MethodAnswer, MethodInvocation, ServiceError};
use iothub_emulator::{Emulator, ManualClock};
use serde_json::{Value, json};

const METHODS: &str = "/devices/a/methods/devicebound";
const METHODS_OF_MODULE: &str = "/devices/a/modules/m/methods/devicebound";
const CORRELATION: &str = "com.microsoft:channel-correlation-id";

async fn answering(session: &Session, address: &str, pair: &'static str) -> Sender {
    session.sender(address).property(Symbol::from_static(CORRELATION), pair).attach().await.unwrap()
}

async fn called(session: &Session, address: &str, pair: &'static str) -> Receiver {
    session.receiver(address).property(Symbol::from_static(CORRELATION), pair).attach().await.unwrap()
}

fn invocation(address: &str, payload: Value) -> MethodInvocation {
    let id = Address::parse(address).identity().unwrap();
    MethodInvocation { connect_timeout: Duration::from_secs(20), ..MethodInvocation::new(id, "reboot", payload) }
}

type Outcome = tokio::task::JoinHandle<Result<MethodAnswer, ServiceError>>;

fn invoke(hub: &Arc<Emulator>, invocation: MethodInvocation) -> Outcome {
    let hub = hub.clone();
    tokio::spawn(async move { hub.invoke_method(invocation).await })
}

async fn shared_hub() -> (Arc<Emulator>, ManualClock) {
    let (hub, clock) = hub().await;
    (Arc::new(hub), clock)
}

fn correlation_id(call: &Delivery) -> MessageId {
    call.message().properties().unwrap().unwrap().correlation_id.unwrap()
}

async fn answer(link: &Sender, id: MessageId, status: i32, payload: &str) {
    let properties = Properties { correlation_id: Some(id), ..Properties::default() };
    let message = Message::builder().properties(properties).application_property("IoThub-status", status);
    link.send(message.data(payload.to_owned())).await.unwrap().into_result().unwrap();
}

#[tokio::test]
async fn devices_and_modules_are_called_and_answer_with_a_uuid_or_its_text() {
    let (hub, _) = shared_hub().await;
    let session = device(&hub, "a").await;
    for address in [METHODS, METHODS_OF_MODULE] {
        let answers = answering(&session, address, "methods:1").await;
        let mut calls = called(&session, address, "methods:1").await;
        for as_text in [false, true] {
            let outcome = invoke(&hub, invocation(address, json!({ "in": 5 })));
            let call = next(&mut calls).await;
            assert!(call.is_settled(), "clients settle no calls");
            assert_eq!(body(&call), r#"{"in":5}"#);
            let name = call.message().application_property("IoThub-methodname").unwrap().unwrap();
            assert_eq!(name.as_text(), Some("reboot"));
            let id = correlation_id(&call);
            let MessageId::Uuid(uuid) = &id else { panic!("{id:?}") };
            assert_eq!((uuid.0[6] >> 4, uuid.0[8] >> 6), (4, 0b10), "clients take a random UUID only");
            let id = if as_text { MessageId::from(id.to_string().to_uppercase()) } else { id };
            answer(&answers, id, 500, "[null]").await;
            let answered = outcome.await.unwrap().unwrap();
            assert_eq!(answered, MethodAnswer { status: 500, payload: json!([null]) });
        }
    }
}

#[tokio::test]
async fn a_call_over_https_is_answered_with_status_and_payload() {
    let (hub, _) = shared_hub().await;
    let session = device(&hub, "a").await;
    let answers = answering(&session, METHODS, "methods:1").await;
    let mut calls = called(&session, METHODS, "methods:1").await;
    let https = Https::new(&hub);
    let asked = json!({ "methodName": "reboot", "connectTimeoutInSeconds": 20 });
    let response = tokio::spawn(async move { https.send(post("/twins/a/methods", &asked).owner()).await });
    let call = next(&mut calls).await;
    assert_eq!(body(&call), "null");
    answer(&answers, correlation_id(&call), 404, "").await;
    assert_eq!(response.await.unwrap().ok(200).json(), json!({ "status": 404, "payload": null }));
}

#[tokio::test]
async fn a_call_waits_for_both_links_in_either_order() {
    let (hub, _) = shared_hub().await;
    for answers_first in [false, true] {
        let outcome = invoke(&hub, invocation(METHODS, Value::Null));
        let session = device(&hub, "a").await;
        let (answers, mut calls) = if answers_first {
            (answering(&session, METHODS, "methods:1").await, called(&session, METHODS, "methods:1").await)
        } else {
            let mut calls = called(&session, METHODS, "methods:1").await;
            assert!(has_nothing(&mut calls).await, "it could not answer");
            (answering(&session, METHODS, "methods:1").await, calls)
        };
        let call = next(&mut calls).await;
        answer(&answers, correlation_id(&call), 200, "1").await;
        assert_eq!(outcome.await.unwrap().unwrap().payload, json!(1));
        session.end().await.unwrap();
    }
}

#[tokio::test]
async fn links_of_one_identity_are_paired_by_their_property_or_their_session() {
    let (hub, _) = shared_hub().await;
    let connection = plain(&hub, "a@sas.localhost", device_token("a")).await.unwrap();
    let sessions = [connection.begin().await.unwrap(), connection.begin().await.unwrap()];
    // As C: both in one session with the device's id; as Java: of a pair in any session; as Node at times: another's.
    for (asks, receives, other_session) in
        [("a", "a", false), ("methods:7", "methods:7", true), ("twin:1", "methods:2", false)]
    {
        let answers = answering(&sessions[0], METHODS, asks).await;
        let mut calls = called(&sessions[usize::from(other_session)], METHODS, receives).await;
        let outcome = invoke(&hub, invocation(METHODS, Value::Null));
        let call = next(&mut calls).await;
        answer(&answers, correlation_id(&call), 200, "1").await;
        assert_eq!(outcome.await.unwrap().unwrap().status, 200);
        answers.close().await.unwrap();
        calls.close().await.unwrap();
    }
}

#[tokio::test]
async fn links_that_do_not_belong_together_are_not_called() {
    let (hub, _) = shared_hub().await;
    let connection = plain(&hub, "a@sas.localhost", device_token("a")).await.unwrap();
    let _answers = answering(&connection.begin().await.unwrap(), METHODS, "methods:1").await;
    let _calls = called(&connection.begin().await.unwrap(), METHODS, "methods:2").await;
    let call = MethodInvocation { connect_timeout: Duration::ZERO, ..invocation(METHODS, Value::Null) };
    assert_eq!(hub.invoke_method(call).await.unwrap_err().code(), ErrorCode::DeviceNotOnline);
}

#[tokio::test]
async fn a_device_that_does_not_answer_or_takes_no_call_times_out() {
    let (hub, clock) = shared_hub().await;
    let session = device(&hub, "a").await;
    let answers = answering(&session, METHODS, "methods:1").await;
    let mut calls = called(&session, METHODS, "methods:1").await;
    let outcome = invoke(&hub, invocation(METHODS, Value::Null));
    let call = next(&mut calls).await;
    clock.advance(Duration::from_secs(30));
    assert_eq!(outcome.await.unwrap().unwrap_err().code(), ErrorCode::GatewayTimeout);
    answer(&answers, correlation_id(&call), 200, "1").await;

    calls.set_credit(Credit::Manual(0)).unwrap();
    calls.drain().await.unwrap();
    let outcome =
        invoke(&hub, MethodInvocation { connect_timeout: Duration::ZERO, ..invocation(METHODS, Value::Null) });
    while hub.with_hub(|hub, _| hub.next_deadline()).is_none() {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_secs(30));
    assert_eq!(outcome.await.unwrap().unwrap_err().code(), ErrorCode::GatewayTimeout);
}

#[tokio::test]
async fn an_answer_that_is_no_json_or_a_connection_that_ends_fails_the_call() {
    let (hub, _) = shared_hub().await;
    let connection = plain(&hub, "a@sas.localhost", device_token("a")).await.unwrap();
    let session = connection.begin().await.unwrap();
    let answers = answering(&session, METHODS, "methods:1").await;
    let mut calls = called(&session, METHODS, "methods:1").await;
    let outcome = invoke(&hub, invocation(METHODS, Value::Null));
    let call = next(&mut calls).await;
    answer(&answers, correlation_id(&call), 200, "{").await;
    assert_eq!(outcome.await.unwrap().unwrap_err().code(), ErrorCode::BadDeviceResponse);

    let outcome = invoke(&hub, invocation(METHODS, Value::Null));
    next(&mut calls).await;
    drop((session, answers, calls));
    connection.close().await.unwrap();
    assert_eq!(outcome.await.unwrap().unwrap_err().code(), ErrorCode::DeviceConnectionClosedRemotely);
}

/// The client sends an answer and, right behind it, ends the link on which it was called.
#[tokio::test]
async fn an_answer_counts_that_was_sent_before_the_link_of_its_call_ended() {
    let (hub, _) = shared_hub().await;
    for _ in 0..10 {
        let session = device(&hub, "a").await;
        let answers = answering(&session, METHODS, "methods:1").await;
        let mut calls = called(&session, METHODS, "methods:1").await;
        let outcome = invoke(&hub, invocation(METHODS, Value::Null));
        let call = next(&mut calls).await;
        let properties = Properties { correlation_id: Some(correlation_id(&call)), ..Properties::default() };
        let message = Message::builder().properties(properties).application_property("IoThub-status", 204);
        let receipt = answers.reserve().await.unwrap().send(message.data("null")).unwrap();
        drop((call, calls));
        receipt.await.unwrap().into_result().unwrap();
        assert_eq!(outcome.await.unwrap().map(|answer| answer.status), Ok(204));
    }
}

/// The client does not wait for the outcome of its answer: it ends the link, the session or the connection right behind it.
#[tokio::test]
async fn an_answer_counts_whose_link_ended_before_it_was_read() {
    let (hub, _) = shared_hub().await;
    for end in ["link", "session", "connection"] {
        let connection = plain(&hub, "a@sas.localhost", device_token("a")).await.unwrap();
        let session = connection.begin().await.unwrap();
        let answers = answering(&session, METHODS, "methods:1").await;
        let mut calls = called(&session, METHODS, "methods:1").await;
        let outcome = invoke(&hub, invocation(METHODS, Value::Null));
        let call = next(&mut calls).await;
        let properties = Properties { correlation_id: Some(correlation_id(&call)), ..Properties::default() };
        let message = Message::builder().properties(properties).application_property("IoThub-status", 204);
        let receipt = answers.reserve().await.unwrap().send(message.data("null")).unwrap();
        match end {
            "link" => answers.close().await.unwrap(),
            "session" => session.end().await.unwrap(),
            _ => connection.close().await.unwrap(),
        }
        assert!(receipt.await.is_err(), "nothing was acknowledged");
        assert_eq!(outcome.await.unwrap().map(|answer| answer.status), Ok(204), "{end}");
    }
}
