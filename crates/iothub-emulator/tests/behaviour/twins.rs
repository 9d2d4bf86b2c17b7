//! Twins as devices and modules see them, and what the service's writes bring them.

use core::time::Duration;

use crate::support::*;
use amqp1::codec::message::Body;
use amqp1::{
    Credit, Delivery, Message, MessageBuilder, Receiver, Sender, Session, Symbol, Value,
    message::{MessageId, Properties, Uuid},
};
use iothub_emulator::Emulator;
use iothub_emulator::hub::{IdentityId, IfMatch};
use serde_json::json;

const TWIN: &str = "/devices/a/twin";
const TWIN_OF_MODULE: &str = "/devices/a/modules/m/twin";
const CORRELATION: &str = "com.microsoft:channel-correlation-id";
const DESIRED: &str = "/notifications/twin/properties/desired";
const REPORTED: &str = "/properties/reported";

/// The two links of a client that says that they belong together.
async fn links(session: &Session, address: &str) -> (Sender, Receiver) {
    links_of_pair(session, address, Some("twin:0"), Some("twin:0")).await
}

async fn links_of_pair(
    session: &Session,
    address: &str,
    asks: Option<&str>,
    receives: Option<&str>,
) -> (Sender, Receiver) {
    let key = || Symbol::from_static(CORRELATION);
    let mut sender = session.sender(address);
    if let Some(pair) = asks {
        sender = sender.property(key(), pair);
    }
    let mut receiver = session.receiver(address);
    if let Some(pair) = receives {
        receiver = receiver.property(key(), pair);
    }
    let sender = sender.attach().await.unwrap();
    (sender, receiver.attach().await.unwrap())
}

fn request(operation: &'static str, resource: Option<&'static str>, id: impl Into<MessageId>) -> MessageBuilder {
    let builder = Message::builder()
        .message_annotation(Symbol::from_static("operation"), operation)
        .properties(Properties { correlation_id: Some(id.into()), ..Properties::default() });
    match resource {
        Some(resource) => builder.message_annotation(Symbol::from_static("resource"), resource),
        None => builder,
    }
}

fn get(id: impl Into<MessageId>) -> MessageBuilder {
    request("GET", None, id).data(" ")
}

fn report(id: &'static str, patch: &serde_json::Value) -> MessageBuilder {
    request("PATCH", Some(REPORTED), id).data(patch.to_string())
}

async fn ask(requests: &Sender, request: MessageBuilder) {
    requests.send(request).await.unwrap().into_result().unwrap();
}

fn annotation(delivery: &Delivery, key: &str) -> Option<Value> {
    delivery.message().message_annotation(key).unwrap().map(|value| value.to_value().unwrap())
}

fn text(delivery: &Delivery) -> String {
    assert!(delivery.is_settled());
    assert!(matches!(delivery.message().body(), Body::Data(_)), "some clients insist on data");
    body(delivery)
}

/// The status, the correlation-id and the body of the next answer.
async fn answer(receiver: &mut Receiver) -> (Value, MessageId, String) {
    let delivery = next(receiver).await;
    let status = annotation(&delivery, "status").expect("a status");
    let id = delivery.message().properties().unwrap().unwrap().correlation_id.expect("a correlation-id");
    (status, id, text(&delivery))
}

/// An answer with a status of success and no body.
fn done(status: i32, id: impl Into<MessageId>) -> (Value, MessageId, String) {
    (Value::Int(status), id.into(), String::new())
}

/// The next change of desired properties.
async fn change(receiver: &mut Receiver) -> serde_json::Value {
    let delivery = next(receiver).await;
    let properties = delivery.message().properties().unwrap().unwrap_or_default();
    assert_eq!(properties.correlation_id, None, "with one it would be an answer");
    assert_eq!(annotation(&delivery, "resource"), Some(Value::from(DESIRED)));
    assert_eq!(annotation(&delivery, "status"), None);
    let change: serde_json::Value = serde_json::from_str(&text(&delivery)).unwrap();
    assert_eq!(annotation(&delivery, "version"), Some(Value::Long(change["$version"].as_i64().unwrap())));
    change
}

/// The status and the error of the next answer.
async fn error(receiver: &mut Receiver) -> (Value, u64) {
    let (status, _, body) = answer(receiver).await;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert!(
        body["message"].is_string() && body["trackingId"].is_string() && body["timestampUtc"].is_string(),
        "{body}"
    );
    (status, body["errorCode"].as_u64().unwrap())
}

fn id(address: &str) -> IdentityId {
    iothub_emulator::hub::Address::parse(address).identity().unwrap()
}

/// The service writes desired properties.
fn desire(hub: &Emulator, address: &str, values: serde_json::Value) {
    let document = json!({ "properties": { "desired": values } });
    hub.with_hub(|hub, now| hub.patch_twin(now, &id(address), &IfMatch::None, &document).map(drop)).unwrap();
}

fn twin(hub: &Emulator, address: &str) -> serde_json::Value {
    hub.with_hub(|hub, _| hub.twin(&id(address)).unwrap().to_json())
}

#[tokio::test]
async fn a_twin_is_read_by_devices_and_modules_however_they_ask() {
    let (hub, _) = hub().await;
    let session = device(&hub, "a").await;
    for address in [TWIN, TWIN_OF_MODULE] {
        desire(&hub, address, json!({ "fan": 2 }));
        hub.with_hub(|hub, now| {
            hub.patch_twin(now, &id(address), &IfMatch::None, &json!({ "tags": { "a": 1 } })).map(drop)
        })
        .unwrap();
        let (requests, mut answers) = links(&session, address).await;
        let expected = json!({ "desired": { "fan": 2, "$version": 2 }, "reported": { "$version": 1 } }).to_string();
        let uuid = MessageId::Uuid(Uuid([7; 16]));
        for (request, id) in [
            (get("a space"), "a space".into()),
            (request("GET", None, uuid.clone()).data(""), uuid),
            // Without any body section, and with annotations that are null.
            (
                request("get", None, "Get1").message_annotation(Symbol::from_static("version"), Value::Null),
                "Get1".into(),
            ),
            (get(MessageId::Ulong(3)), MessageId::Ulong(3)),
        ] {
            ask(&requests, request).await;
            assert_eq!(answer(&mut answers).await, (Value::Int(200), id, expected.clone()), "{address}");
        }
    }
}

#[tokio::test]
async fn reported_properties_are_merged_and_the_answer_has_their_version() {
    let (hub, _) = hub().await;
    let session = device(&hub, "a").await;
    for address in [TWIN, TWIN_OF_MODULE] {
        let (requests, mut answers) = links(&session, address).await;
        for (version, patch) in [(2, json!({ "temp": 21, "old": true })), (3, json!({ "old": null }))] {
            ask(&requests, report("p", &patch)).await;
            let delivery = next(&mut answers).await;
            assert_eq!(annotation(&delivery, "status"), Some(Value::Int(204)));
            assert_eq!(annotation(&delivery, "version"), Some(Value::Long(version)));
            assert_eq!(text(&delivery), "");
        }
        let reported = &twin(&hub, address)["properties"]["reported"];
        assert_eq!((&reported["temp"], reported.get("old")), (&json!(21), None));
        // Who wants no answer has none, and the report counts.
        ask(
            &requests,
            Message::builder()
                .message_annotation(Symbol::from_static("operation"), "PATCH")
                .message_annotation(Symbol::from_static("resource"), REPORTED)
                .data(r#"{"unanswered":1}"#),
        )
        .await;
        ask(&requests, get("then")).await;
        let (_, then, body) = answer(&mut answers).await;
        assert_eq!(then, "then".into());
        assert!(body.contains(r#""unanswered":1"#), "{body}");
    }
}

#[tokio::test]
async fn a_report_for_another_version_is_refused() {
    let (hub, _) = hub().await;
    let session = device(&hub, "a").await;
    let (requests, mut answers) = links(&session, TWIN).await;
    let with =
        |version: Value| report("p", &json!({ "n": 1 })).message_annotation(Symbol::from_static("version"), version);
    for version in [Value::Int(1), Value::Long(2), Value::Ulong(3), Value::Null] {
        ask(&requests, with(version)).await;
        assert_eq!(answer(&mut answers).await, done(204, "p"));
    }
    ask(&requests, with(Value::Int(4))).await;
    assert_eq!(error(&mut answers).await, (Value::Int(412), 412_001));
    ask(&requests, with(Value::from("five"))).await;
    assert_eq!(error(&mut answers).await, (Value::Int(400), 400_004));
    ask(&requests, with(Value::Int(5))).await;
    assert_eq!(answer(&mut answers).await, done(204, "p"));
}

#[tokio::test]
async fn what_cannot_be_done_is_answered_with_a_status_and_a_json_body() {
    let (hub, _) = hub().await;
    let session = device(&hub, "a").await;
    let (requests, mut answers) = links(&session, TWIN).await;
    let large: serde_json::Map<String, _> = (0..9).map(|n| (n.to_string(), json!("x".repeat(4000)))).collect();
    for (request, status, code) in [
        (request("PATCH", Some(REPORTED), "1").data("no json"), 400, 400_006),
        (request("PATCH", Some(REPORTED), "2"), 400, 400_006),
        (report("3", &json!([1])), 400, 400_004),
        (report("4", &json!({ "a.b": 1 })), 400, 400_004),
        (report("5", &json!(large)), 413, 413_001),
        (request("PATCH", Some("/properties/desired"), "6").data("{}"), 400, 400_004),
        (request("PUT", Some("/elsewhere"), "7"), 400, 400_004),
        (request("POST", None, "8"), 400, 400_004),
    ] {
        ask(&requests, request).await;
        assert_eq!(error(&mut answers).await, (Value::Int(status), code));
    }
    // A body that is a value, as some clients write it, is as good as data.
    ask(&requests, request("PATCH", Some(REPORTED), "9").value(r#"{"a":1}"#)).await;
    assert_eq!(answer(&mut answers).await, done(204, "9"));
}

#[tokio::test]
async fn those_who_subscribe_get_every_change_until_they_unsubscribe() {
    let (hub, _) = hub().await;
    let session = device(&hub, "a").await;
    for (address, resource) in [(TWIN, DESIRED), (TWIN_OF_MODULE, "/properties/desired")] {
        let (requests, mut answers) = links(&session, address).await;
        desire(&hub, address, json!({ "before": 1 }));
        // As C# subscribes, without a body; once more changes nothing.
        for _ in 0..2 {
            ask(&requests, request("PUT", Some(resource), "PutX")).await;
            assert_eq!(answer(&mut answers).await, done(200, "PutX"));
        }
        desire(&hub, address, json!({ "before": null, "fan": { "speed": 3, "gone": null } }));
        let expected = json!({ "before": null, "fan": { "speed": 3, "gone": null }, "$version": 3 });
        assert_eq!(change(&mut answers).await, expected);
        let whole = json!({ "properties": { "desired": { "all": true } } });
        hub.with_hub(|hub, now| hub.replace_twin(now, &id(address), &IfMatch::Any, &whole).map(drop)).unwrap();
        assert_eq!(change(&mut answers).await, json!({ "all": true, "$version": 4 }));
        ask(&requests, request("DELETE", Some(resource), "done").data(" ")).await;
        assert_eq!(answer(&mut answers).await, done(200, "done"));
        desire(&hub, address, json!({ "after": 1 }));
        assert!(has_nothing(&mut answers).await);
        ask(&requests, get("last")).await;
        assert_eq!(answer(&mut answers).await.1, "last".into());
    }
}

#[tokio::test]
async fn a_subscription_without_a_correlation_id_is_not_answered_and_counts() {
    let (hub, _) = hub().await;
    let session = device(&hub, "a").await;
    let (requests, mut answers) = links(&session, TWIN).await;
    let operation = |operation: &'static str| {
        Message::builder().message_annotation(Symbol::from_static("operation"), operation).data(" ")
    };
    // Answers without a correlation-id would be taken for changes.
    ask(&requests, operation("GET")).await;
    ask(&requests, operation("PUT")).await;
    ask(&requests, get("the first answer")).await;
    assert_eq!(answer(&mut answers).await.1, "the first answer".into());
    desire(&hub, TWIN, json!({ "x": 1 }));
    assert_eq!(change(&mut answers).await["x"], 1);
}

#[tokio::test]
async fn a_subscription_ends_with_its_link() {
    let (hub, _) = hub().await;
    let session = device(&hub, "a").await;
    let (requests, mut answers) = links(&session, TWIN).await;
    ask(&requests, request("PUT", Some(DESIRED), "1")).await;
    assert_eq!(answer(&mut answers).await, done(200, "1"));
    answers.close().await.unwrap();
    desire(&hub, TWIN, json!({ "missed": 1 }));
    let property = Symbol::from_static(CORRELATION);
    let mut answers = session.receiver(TWIN).property(property, "twin:0").attach().await.unwrap();
    desire(&hub, TWIN, json!({ "missed": 2 }));
    ask(&requests, request("PUT", Some(DESIRED), "2")).await;
    assert_eq!(answer(&mut answers).await, done(200, "2"));
    desire(&hub, TWIN, json!({ "seen": 1 }));
    assert_eq!(change(&mut answers).await, json!({ "seen": 1, "$version": 4 }));
}

#[tokio::test]
async fn one_who_gives_no_credit_misses_intermediate_states_only() {
    let (hub, _) = hub().await;
    let session = device(&hub, "a").await;
    let key = Symbol::from_static(CORRELATION);
    let requests = session.sender(TWIN).property(key.clone(), "twin:0").attach().await.unwrap();
    let builder = session.receiver(TWIN).property(key, "twin:0").credit(Credit::Manual(1));
    let mut answers = builder.attach().await.unwrap();
    ask(&requests, request("PUT", Some(DESIRED), "1")).await;
    assert_eq!(answer(&mut answers).await, done(200, "1"));
    for n in 0..500 {
        desire(&hub, TWIN, json!({ "n": n, format!("k{}", n % 10): n }));
    }
    answers.set_credit(Credit::Window(100)).unwrap();
    let mut state = json!({});
    let mut changes = 0;
    while state["$version"] != 501 {
        for (key, value) in change(&mut answers).await.as_object().unwrap() {
            state[key] = value.clone();
        }
        changes += 1;
    }
    assert!(changes <= 17, "{changes}");
    assert_eq!((&state["n"], &state["k0"], &state["k9"]), (&json!(499), &json!(490), &json!(499)));
}

#[tokio::test]
async fn answers_go_to_the_link_of_the_same_pair() {
    let (hub, _) = hub().await;
    let session = device(&hub, "a").await;
    let (one, mut answers_of_one) = links_of_pair(&session, TWIN, Some("twin:1"), Some("twin:1")).await;
    let (two, mut answers_of_two) = links_of_pair(&session, TWIN, Some("twin:2"), Some("twin:2")).await;
    ask(&two, get("two")).await;
    ask(&one, get("one")).await;
    assert_eq!(answer(&mut answers_of_one).await.1, "one".into());
    assert_eq!(answer(&mut answers_of_two).await.1, "two".into());
    // Subscriptions as well.
    ask(&two, request("PUT", Some(DESIRED), "put")).await;
    assert_eq!(answer(&mut answers_of_two).await.1, "put".into());
    desire(&hub, TWIN, json!({ "x": 1 }));
    assert_eq!(change(&mut answers_of_two).await["x"], 1);
    assert!(has_nothing(&mut answers_of_one).await);
}

#[tokio::test]
async fn links_that_do_not_say_that_they_belong_together_do_so_within_their_session() {
    let (hub, _) = hub().await;
    let connection = plain(&hub, "a@sas.localhost", device_token("a")).await.unwrap();
    let (first, second) = (connection.begin().await.unwrap(), connection.begin().await.unwrap());
    let mut others = Vec::new();
    // Also where a client took the property of another kind of link over, as one is known to do.
    for (asks, receives) in
        [(None, None), (Some("twin:1"), None), (None, Some("twin:1")), (Some("twin:1"), Some("methods:2"))]
    {
        others.push(links_of_pair(&second, TWIN, None, None).await);
        let (requests, mut answers) = links_of_pair(&first, TWIN, asks, receives).await;
        ask(&requests, get("here")).await;
        assert_eq!(answer(&mut answers).await.1, "here".into(), "{asks:?} {receives:?}");
        requests.close().await.unwrap();
        answers.close().await.unwrap();
    }
    for (_, answers) in &mut others {
        assert!(has_nothing(answers).await);
    }
}

#[tokio::test]
async fn an_answer_waits_for_the_link_of_its_pair() {
    let (hub, _) = hub().await;
    let session = device(&hub, "a").await;
    let key = || Symbol::from_static(CORRELATION);
    let (_other, mut answers_of_other) = links_of_pair(&session, TWIN, Some("twin:1"), Some("twin:1")).await;
    let requests = session.sender(TWIN).property(key(), "twin:2").attach().await.unwrap();
    ask(&requests, get("early")).await;
    assert!(has_nothing(&mut answers_of_other).await);
    let mut answers = session.receiver(TWIN).property(key(), "twin:2").attach().await.unwrap();
    assert_eq!(answer(&mut answers).await.1, "early".into());
}

#[tokio::test]
async fn one_connection_carries_the_twins_of_many_devices_on_links_of_the_same_name() {
    let (hub, _) = hub().await;
    hub.add_device("dev#1%2", DEVICE_KEY).unwrap();
    let connection = connect(&hub, amqp1::auth::sasl::Mssbcbs::default()).await.unwrap();
    let mut cbs = Cbs::on(&connection).await;
    cbs.put(token(OTHER_KEY, "localhost", HOUR, Some("device"))).await.outcome().unwrap();
    let mut open = Vec::new();
    // Absolute and percent-encoded, as C# writes them, one session for each device.
    for (address, path) in [
        ("amqps://localhost/devices/a/twin", TWIN),
        ("amqps://localhost:5671/devices/b/twin", "/devices/b/twin"),
        ("amqps://localhost/devices/dev%231%252/twin", "/devices/dev%231%252/twin"),
        ("amqps://localhost/devices/a/modules/m/twin", TWIN_OF_MODULE),
    ] {
        let session = connection.begin().await.unwrap();
        let key = Symbol::from_static(CORRELATION);
        let sender = session.sender(address).name("TwinSenderLink").property(key.clone(), format!("twin:{path}"));
        let receiver = session.receiver(address).name("TwinReceiverLink").property(key, format!("twin:{path}"));
        open.push((path, sender.attach().await.unwrap(), receiver.attach().await.unwrap()));
    }
    for (path, requests, _) in &open {
        ask(requests, report("p", &json!({ "of": path }))).await;
    }
    for (path, _, answers) in &mut open {
        assert_eq!(answer(answers).await, done(204, "p"), "{path}");
        assert_eq!(twin(&hub, path)["properties"]["reported"]["of"], json!(path));
    }
}

#[tokio::test]
async fn an_identity_is_connected_while_a_link_of_it_is_attached() {
    let (hub, clock) = hub().await;
    let connection = plain(&hub, "a@sas.localhost", device_token("a")).await.unwrap();
    let session = connection.begin().await.unwrap();
    let state = |address: &str| {
        let twin = twin(&hub, address);
        let identity = hub.with_hub(|hub, _| hub.identity(&id(address)).unwrap().to_json());
        assert_eq!(identity["connectionState"], twin["connectionState"]);
        (twin["connectionState"].clone(), twin["lastActivityTime"].clone())
    };
    assert_eq!(state(TWIN), (json!("Disconnected"), json!("0001-01-01T00:00:00Z")));
    let (requests, answers) = links(&session, TWIN).await;
    assert_eq!(state(TWIN), (json!("Connected"), json!("2027-01-15T08:00:00.000Z")));
    assert_eq!(state(TWIN_OF_MODULE).0, "Disconnected");
    clock.advance(Duration::from_secs(1));
    ask(&requests, report("p", &json!({}))).await;
    assert_eq!(state(TWIN), (json!("Connected"), json!("2027-01-15T08:00:01.000Z")));
    requests.close().await.unwrap();
    assert_eq!(state(TWIN).0, "Connected");
    answers.close().await.unwrap();
    connection.close().await.unwrap();
    let gone = async {
        while state(TWIN).0 != "Disconnected" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("disconnected");
}

#[tokio::test]
async fn the_model_that_a_device_names_is_in_its_twin() {
    let (hub, _) = hub().await;
    let session = device(&hub, "a").await;
    let model = "dtmi:com:example:Thermostat;1";
    session.sender(TWIN).property(Symbol::from_static("com.microsoft:model-id"), model).attach().await.unwrap();
    assert_eq!(twin(&hub, TWIN)["modelId"], model);
}

async fn methods_are_silent(hub: &Emulator, address: &str) {
    let session = device(hub, "a").await;
    let (answers, mut calls) = links(&session, address).await;
    answers.send("to nobody's question").await.unwrap().into_result().unwrap();
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
async fn the_links_of_a_module_that_is_removed_are_detached_and_no_others() {
    let (hub, _) = hub().await;
    let session = device(&hub, "a").await;
    let (requests, mut answers) = links(&session, TWIN).await;
    let (of_module, answers_of_module) = links(&session, TWIN_OF_MODULE).await;
    hub.with_hub(|hub, now| hub.delete_identity(now, &IfMatch::Any, &id(TWIN_OF_MODULE))).unwrap();
    for detached in [of_module.detached().await, answers_of_module.detached().await] {
        assert_eq!(detached.error.expect("a reason").condition.as_str(), "amqp:not-found");
    }
    assert_eq!(refusal(session.sender(TWIN_OF_MODULE).attach().await), "amqp:not-found");
    ask(&requests, get("still here")).await;
    assert_eq!(answer(&mut answers).await.1, "still here".into());
}

#[tokio::test]
async fn a_disabled_device_disables_the_twins_of_its_modules() {
    let (hub, _) = hub().await;
    let module =
        plain(&hub, "a/modules/m@sas.localhost", token(MODULE_KEY, "localhost/devices/a/modules/m", HOUR, None));
    let session = module.await.unwrap().begin().await.unwrap();
    let (requests, _answers) = links(&session, TWIN_OF_MODULE).await;
    assert_eq!(refusal(session.sender(TWIN).attach().await), "amqp:unauthorized-access");
    assert!(hub.set_device_enabled("a", false));
    let detached = requests.detached().await;
    assert_eq!(detached.error.expect("a reason").condition.as_str(), "amqp:unauthorized-access");
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

#[tokio::test]
async fn an_integer_of_more_than_64_bits_is_refused_in_a_report() {
    let (hub, _) = hub().await;
    let (requests, mut answers) = links(&device(&hub, "a").await, TWIN).await;
    for number in ["4503599627370496", "18446744073709551616"] {
        let body = format!(r#"{{"n": {number}}}"#);
        ask(&requests, request("PATCH", Some(REPORTED), "r").data(body)).await;
        assert_eq!(error(&mut answers).await, (Value::Int(400), 400004), "{number}");
    }
}
