use crate::support::{KEY, Rules, ScriptedHub, accept_sender, delivery, error, pki, soon};
use amqp1::{
    IncomingLink, Message, Symbol, Value,
    auth::{
        UnixSeconds,
        sas::{SasKey, SasToken},
    },
    error::{AmqpError, ErrorCondition},
    message::{Fields, Properties, Timestamp},
};
use iothub::{ErrorKind, Event, EventConsumer, EventPosition, MessageBody};

const AT_HUB: &str = "/messages/events/ConsumerGroups/$Default/Partitions/1";

fn builder(hub: &ScriptedHub) -> iothub::EventConsumerBuilder {
    let builder = EventConsumer::builder().connection_string(&hub.service_string()).expect("a connection string");
    builder.ca_pem(&pki().ca).expect("a certificate").partition(1).start(EventPosition::Start)
}

fn connect(hub: &ScriptedHub) -> tokio::task::JoinHandle<Result<EventConsumer, iothub::Error>> {
    tokio::spawn(builder(hub).connect())
}

fn redirect(hostname: &str, port: u16, address: &str) -> AmqpError {
    let mut info = Fields::new();
    info.insert(Symbol::from_static("hostname"), hostname);
    info.insert(Symbol::from_static("network-host"), hostname);
    info.insert(Symbol::from_static("port"), i32::from(port));
    info.insert(Symbol::from_static("address"), address);
    AmqpError { condition: ErrorCondition::LINK_REDIRECT, description: None, info: Some(info) }
}

/// The selector that a link asks for, and the descriptor of the filter.
fn selector(link: &IncomingLink) -> (Value, Value) {
    assert_eq!(link.attach().max_message_size, Some(1024 * 1024));
    let source = link.attach().source.clone().expect("a source");
    let filter = source.filter.as_ref().and_then(|filter| filter.get("apache.org:selector-filter:string")).cloned();
    match filter.expect("a filter") {
        Value::Described(described) => (described.descriptor.clone(), described.value.clone()),
        other => panic!("a filter is described: {other:?}"),
    }
}

fn event(number: i64) -> amqp1::MessageBuilder {
    let annotation = Symbol::from_static;
    Message::builder()
        .message_annotation(annotation("x-opt-sequence-number"), number)
        .message_annotation(annotation("x-opt-offset"), number.to_string())
        .message_annotation(annotation("x-opt-enqueued-time"), Timestamp(1_795_378_051_000))
        .message_annotation(annotation("iothub-connection-device-id"), "d1")
        .data("21")
}

async fn next(consumer: &mut EventConsumer) -> Event {
    soon("an event", consumer.next()).await.expect("no error").expect("not detached").expect("decodable")
}

#[tokio::test]
async fn the_redirect_is_followed_with_a_token_of_the_raw_key() {
    let (mut hub, mut endpoint) = (ScriptedHub::start().await, ScriptedHub::start().await);
    let connecting = connect(&hub);
    let (link, _) = hub.next_link().await;
    assert_eq!(link.address(), Some(AT_HUB));
    let address = format!("amqps://localhost:{}/entity/ConsumerGroups/$Default/Partitions/1", endpoint.port);
    link.reject(redirect("localhost", endpoint.port, &address));

    let put = endpoint.next_token().await;
    let token = SasToken::parse(&put.token).expect("a token");
    assert_eq!((put.name.as_str(), token.resource()), (address.as_str(), address.as_str()));
    let key = SasKey::from_raw_text(KEY).expect("a text");
    token.verify(&key, UnixSeconds::new(0)).expect("signed with the key's text");

    let (link, _) = endpoint.next_link().await;
    assert_eq!(link.address(), Some(address.as_str()));
    let (descriptor, expression) = selector(&link);
    assert_eq!(descriptor, Value::Ulong(0x0000_468C_0000_0004));
    assert_eq!(expression, Value::from("amqp.annotation.x-opt-offset > '-1'"));
    let sender = accept_sender(link);
    let mut consumer = soon("an attach", connecting).await.expect("no panic").expect("accepted");
    assert_eq!(consumer.address(), address);

    for number in 0..3 {
        let receipt = sender.reserve().await.expect("credit").send(event(number)).expect("sent");
        let event = next(&mut consumer).await;
        assert_eq!((event.sequence_number(), event.device_id()), (Some(number), Some("d1")));
        assert_eq!(event.offset(), Some(number.to_string().as_str()));
        assert_eq!(&event.body()[..], b"21");
        assert_eq!(soon("the outcome", receipt).await.expect("an outcome"), amqp1::Outcome::Accepted);
    }
    let detaching = sender.detach_with(Some(error("amqp:link:stolen", "a higher epoch has come")), true);
    detaching.await.expect("answered");
    let error = soon("the end", consumer.next()).await.expect_err("stolen");
    assert_eq!(error.kind(), ErrorKind::Superseded, "{error}");
}

#[tokio::test]
async fn a_hub_that_serves_its_events_itself_needs_no_redirect() {
    let mut hub = ScriptedHub::start().await;
    let connecting = tokio::spawn(builder(&hub).owner_level(5).prefetch(7).connect());
    let (link, _) = hub.next_link().await;
    let properties = link.attach().properties.clone();
    assert_eq!(properties.and_then(|fields| fields.get("com.microsoft:epoch").cloned()), Some(Value::Long(5)));
    let sender = accept_sender(link);
    let mut consumer = soon("an attach", connecting).await.expect("no panic").expect("accepted");
    let permit = sender.reserve().await.expect("credit");
    assert_eq!(sender.credit(), 7);
    drop(permit.send(event(9)).expect("sent"));
    assert_eq!(next(&mut consumer).await.sequence_number(), Some(9));
    consumer.close().await.expect("a clean close");
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let mut hub = ScriptedHub::start().await;
    let connecting = connect(&hub);
    let circle = redirect("localhost", hub.port, &format!("amqps://localhost:{}/entity/again", hub.port));
    // One at the hub itself, and three redirects.
    for _ in 0..4 {
        hub.next_link().await.0.reject(circle.clone());
    }
    let error = soon("the end", connecting).await.expect("no panic").expect_err("endless");
    assert_eq!(error.kind(), ErrorKind::Redirect, "{error}");
}

#[tokio::test]
async fn another_domain_gets_neither_connection_nor_token() {
    let mut hub = ScriptedHub::start().await;
    let connecting = connect(&hub);
    hub.next_link().await.0.reject(redirect("events.example", 5671, "amqps://events.example/entity"));
    let error = soon("the end", connecting).await.expect("no panic").expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Redirect);
    assert!(error.to_string().contains("events.example"), "{error}");
}

#[tokio::test]
async fn a_partition_that_is_not_there_is_not_found() {
    let mut hub = ScriptedHub::start().await;
    let connecting = connect(&hub);
    hub.next_link().await.0.reject(error("amqp:not-found", "no such partition"));
    let error = soon("the end", connecting).await.expect("no panic").expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn an_event_hubs_connection_string_goes_straight_to_its_entity() {
    let mut endpoint = ScriptedHub::start().await;
    let string = format!(
        "Endpoint=sb://localhost:{}/;SharedAccessKeyName=p;SharedAccessKey={KEY};EntityPath=entity",
        endpoint.port
    );
    let builder = EventConsumer::builder().connection_string(&string).expect("a connection string");
    let builder = builder.ca_pem(&pki().ca).expect("a certificate").partition(0);
    let start = EventPosition::SequenceNumber { number: 41, inclusive: false };
    let connecting = tokio::spawn(builder.consumer_group("group").start(start).connect());
    assert_eq!(endpoint.next_token().await.name, "sb://localhost/entity/ConsumerGroups/group/Partitions/0");
    let (link, _) = endpoint.next_link().await;
    assert_eq!(link.address(), Some("entity/ConsumerGroups/group/Partitions/0"));
    assert_eq!(selector(&link).1, Value::from("amqp.annotation.x-opt-sequence-number > '41'"));
    let _sender = accept_sender(link);
    soon("an attach", connecting).await.expect("no panic").expect("accepted");
}

#[tokio::test]
async fn partitions_are_asked_for_behind_the_redirect() {
    let (mut hub, mut endpoint) = (ScriptedHub::start().await, ScriptedHub::with(Rules::default()).await);
    let builder = builder(&hub);
    let asking = tokio::spawn(async move { builder.partition_ids().await });
    let (link, _) = hub.next_link().await;
    assert_eq!(link.address(), Some("/messages/events/$management"));
    let address = format!("amqps://localhost:{}/entity/$management", endpoint.port);
    link.reject(redirect("localhost", endpoint.port, &address));

    let replies = endpoint.next_sender("$management").await;
    let mut questions = endpoint.next_receiver("$management").await;
    let question = delivery(&mut questions).await;
    let property = |name| question.message().application_property(name).expect("decodes").and_then(|v| v.as_text());
    assert_eq!((property("operation"), property("name")), (Some("READ"), Some("entity")));
    assert_eq!(property("type"), Some("com.microsoft:eventhub"));
    let correlation_id = question.message().properties().expect("decodes").and_then(|p| p.message_id);
    question.accept().expect("the link is there");
    let ids = amqp1::codec::Array::from_values(["0", "1", "2"].map(Value::from)).expect("one type");
    let body: amqp1::codec::Map = [("partition_ids", Value::from(ids))].into_iter().collect();
    let answer = Message::builder()
        .properties(Properties { correlation_id, ..Properties::default() })
        .application_property("status-code", 200i32)
        .value(body);
    drop(replies.reserve().await.expect("credit").send(answer).expect("sent"));
    let ids = soon("an answer", asking).await.expect("no panic").expect("partitions");
    assert_eq!(ids, ["0", "1", "2"]);
}

#[tokio::test]
async fn a_refused_question_about_partitions_has_its_status_as_its_kind() {
    let mut endpoint = ScriptedHub::start().await;
    let builder = builder(&endpoint);
    let asking = tokio::spawn(async move { builder.partition_ids().await });
    // This hub answers at its own address.
    let replies = endpoint.next_sender("/messages/events/$management").await;
    let mut questions = endpoint.next_receiver("/messages/events/$management").await;
    let question = delivery(&mut questions).await;
    let correlation_id = question.message().properties().expect("decodes").and_then(|p| p.message_id);
    question.accept().expect("the link is there");
    let answer = Message::builder()
        .properties(Properties { correlation_id, ..Properties::default() })
        .application_property("status-code", 401i32)
        .application_property("status-description", "not for you")
        .value(Value::Null);
    drop(replies.reserve().await.expect("credit").send(answer).expect("sent"));
    let error = soon("an answer", asking).await.expect("no panic").expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
}

/// Telemetry of devices that write AMQP's own types instead of octets.
#[tokio::test]
async fn bodies_that_are_values_maps_lists_and_sequences_are_readable() {
    let mut hub = ScriptedHub::start().await;
    let connecting = connect(&hub);
    let sender = accept_sender(hub.next_link().await.0);
    let mut consumer = soon("an attach", connecting).await.expect("no panic").expect("accepted");
    let map: amqp1::codec::Map = [("temperature", Value::from(21.5f64))].into_iter().collect();
    let list = vec![Value::from(1i32), Value::from("two")];
    for (body, content) in [
        (Message::builder().value(Value::Map(map.clone())), MessageBody::Value(Value::Map(map))),
        (Message::builder().value(Value::List(list.clone())), MessageBody::Value(Value::List(list.clone()))),
        (Message::builder().value("text"), MessageBody::Value("text".into())),
        (Message::builder().sequence(list.clone()), MessageBody::Sequence(vec![list])),
        (Message::builder().data("octets"), MessageBody::Data("octets".into())),
    ] {
        drop(sender.reserve().await.expect("credit").send(body).expect("sent"));
        assert_eq!(next(&mut consumer).await.content(), &content);
    }
}

#[tokio::test]
async fn of_several_partitions_one_that_ends_is_an_error_once_and_the_others_go_on() {
    let mut hub = ScriptedHub::start().await;
    let connecting = tokio::spawn(builder(&hub).partitions([0, 1]).connect());
    let mut senders = std::collections::BTreeMap::new();
    for _ in 0..2 {
        let (link, _) = hub.next_link().await;
        let address = link.address().expect("an address").to_owned();
        senders.insert(address, accept_sender(link));
    }
    let mut consumer = soon("an attach", connecting).await.expect("no panic").expect("accepted");
    let (_, second) = senders.pop_last().expect("two");
    let (_, first) = senders.pop_last().expect("two");
    first.close().await.expect("answered");
    let error = soon("the end", consumer.next()).await.expect_err("ended");
    assert_eq!(error.kind(), ErrorKind::ConnectionLost);
    assert!(error.to_string().starts_with("partition 0: "), "{error}");
    drop(second.reserve().await.expect("credit").send(event(5)).expect("sent"));
    let event = next(&mut consumer).await;
    assert_eq!((event.partition_id(), event.sequence_number()), ("1", Some(5)));
    let behind = EventPosition::after_offset("5");
    assert_eq!((consumer.position("0"), consumer.position("1")), (Some(&EventPosition::Start), Some(&behind)));
    second.close().await.expect("answered");
    soon("the end", consumer.next()).await.expect_err("ended");
    assert!(soon("the end", consumer.next()).await.expect("all have ended").is_none());
}
