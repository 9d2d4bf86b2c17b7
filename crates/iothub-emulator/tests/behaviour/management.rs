//! `$management` of the Event-Hubs-compatible endpoint.

use core::time::Duration;

use crate::support::*;
use amqp1::auth::sas::{PercentEncoding, SasKey};
use amqp1::auth::sasl::Anonymous;
use amqp1::codec::Map;
use amqp1::{
    Message, Receiver, Sender, Session, Target, Value,
    link::{ReceiverSettleMode, SendOptions, SenderSettleMode},
    message::{MessageId, Properties, Timestamp},
};
use iothub_emulator::Emulator;

const ENTITY: [(&str, &str); 3] = [("operation", "READ"), ("type", "com.microsoft:eventhub"), ("name", "localhost")];

/// The two links of a client that asks.
struct Asking {
    requests: Sender,
    answers: Receiver,
    last: u64,
}

impl Asking {
    async fn on(session: &Session, address: &str) -> Self {
        let requests = session.sender(address).attach().await.unwrap();
        Self { requests, answers: session.receiver(address).attach().await.unwrap(), last: 0 }
    }

    async fn ask<'t>(&mut self, properties: impl IntoIterator<Item = (&'static str, &'t str)>) -> (i32, Value) {
        self.last += 1;
        let id = MessageId::Ulong(self.last);
        let mut request =
            Message::builder().properties(Properties { message_id: Some(id.clone()), ..Properties::default() });
        for (key, value) in properties {
            request = request.application_property(key, value);
        }
        self.requests.send(request).await.unwrap().into_result().unwrap();
        let answer = next(&mut self.answers).await;
        let message = answer.message();
        assert_eq!(message.properties().unwrap().unwrap().correlation_id, Some(id));
        let status = message.application_property("status-code").unwrap().unwrap().to_value().unwrap();
        let Value::Int(status) = status else { panic!("{status:?}") };
        (status, message.value().unwrap().unwrap())
    }

    async fn read(&mut self, properties: &[(&'static str, &str)]) -> Map {
        match self.ask(properties.iter().copied()).await {
            (200, Value::Map(map)) => map,
            other => panic!("{other:?}"),
        }
    }

    async fn status_with(&mut self, token: &str) -> i32 {
        self.ask(ENTITY.into_iter().chain([("security_token", token)])).await.0
    }
}

/// A session of a client that has shown no token.
async fn stranger(hub: &Emulator) -> Session {
    connect(hub, Anonymous::default()).await.unwrap().begin().await.unwrap()
}

/// A token as Event Hubs clients make it: for the whole address, signed with the text of the key.
fn event_hubs_token(resource: &str, seconds: u64) -> String {
    let key = SasKey::from_raw_text(SERVICE_KEY).unwrap();
    key.sign(resource, PercentEncoding::Component, (NOW + seconds).into(), Some("service")).into_secret_text()
}

async fn report(hub: &Emulator, bodies: &[&'static str]) {
    let sender = device(hub, "a").await.sender(events("a")).attach().await.unwrap();
    for body in bodies {
        sender.send(*body).await.unwrap().into_result().unwrap();
    }
}

fn partition_of_a(hub: &Emulator) -> u32 {
    hub.with_hub(|hub, _| hub.partition_of(&"a".parse().unwrap()))
}

#[tokio::test]
async fn it_tells_what_there_is_to_read() {
    let (hub, _) = hub().await;
    report(&hub, &["one", "two"]).await;
    let session = service(&hub).await;
    let mut asking = Asking::on(&session, "$management").await;
    let map = asking.read(&ENTITY).await;
    assert_eq!(map.get_str("partition_count"), Some(&Value::Int(4)));
    assert_eq!(map.get_str("georeplication_factor"), Some(&Value::Int(1)));
    let Some(Value::Array(ids)) = map.get_str("partition_ids") else { panic!("{map:?}") };
    assert_eq!(ids.len(), 4);

    let number = partition_of_a(&hub).to_string();
    let of_partition =
        [("operation", "READ"), ("type", "com.microsoft:partition"), ("name", "localhost"), ("partition", &*number)];
    let map = asking.read(&of_partition).await;
    assert_eq!(map.get_str("last_enqueued_sequence_number"), Some(&Value::Long(1)));
    assert_eq!(map.get_str("is_partition_empty"), Some(&Value::Boolean(false)));
    assert!(matches!(map.get_str("last_enqueued_offset"), Some(Value::String(_))));

    let elsewhere = [("operation", "READ"), ("type", "com.microsoft:eventhub"), ("name", "elsewhere")];
    assert_eq!(asking.ask(elsewhere).await.0, 404);
    assert_eq!(asking.ask([("operation", "DELETE"), ("name", "localhost")]).await.0, 400);
}

#[tokio::test]
async fn times_are_true_also_where_nothing_has_happened() {
    let (hub, clock) = hub().await;
    clock.advance(Duration::from_secs(60));
    report(&hub, &["one"]).await;
    clock.advance(Duration::from_secs(60));
    let mut asking = Asking::on(&service(&hub).await, "$management").await;
    let start = i64::try_from(NOW).unwrap() * 1000;
    assert_eq!(asking.read(&ENTITY).await.get_str("created_at"), Some(&Timestamp(start).into()));
    let used = partition_of_a(&hub);
    for number in 0..4 {
        let id = number.to_string();
        let request =
            [("operation", "READ"), ("type", "com.microsoft:partition"), ("name", "localhost"), ("partition", &*id)];
        let map = asking.read(&request).await;
        // The first instant of the year 1 is the service's word for never.
        let last = if number == used { start + 60_000 } else { -62_135_596_800_000 };
        assert_eq!(map.get_str("last_enqueued_time_utc"), Some(&Timestamp(last).into()), "{number}");
        assert_eq!(map.get_str("is_partition_empty"), Some(&Value::Boolean(number != used)));
    }
}

#[tokio::test]
async fn it_is_open_before_any_put_token_and_each_request_is_authorised_by_its_own_token() {
    let (hub, _) = hub().await;
    let session = stranger(&hub).await;
    for address in ["$management", "localhost/$management"] {
        let mut asking = Asking::on(&session, address).await;
        assert_eq!(asking.ask(ENTITY).await.0, 401, "{address}");
        for good in [
            service_token(),
            event_hubs_token("amqp://ns.servicebus.windows.net/localhost", HOUR),
            event_hubs_token("sb://localhost/localhost/$management", HOUR),
        ] {
            assert_eq!(asking.status_with(&good).await, 200, "{address}");
        }
        for (bad, why) in [
            (event_hubs_token("amqp://localhost/localhost", 0), "expired"),
            (event_hubs_token("amqp://localhost/localhost/ConsumerGroups/$Default/Partitions/0", HOUR), "a partition"),
            (token(OTHER_KEY, "localhost", HOUR, Some("service")), "wrong key"),
            (token(OTHER_KEY, "localhost", HOUR, Some("device")), "a policy without the right"),
            (device_token("a"), "a device"),
            ("nonsense".into(), "no token"),
        ] {
            assert_eq!(asking.status_with(&bad).await, 401, "{address}: {why}");
        }
        // A token is good for its own request.
        assert_eq!(asking.ask(ENTITY).await.0, 401, "{address}");
    }
}

#[tokio::test]
async fn a_grant_of_the_connection_is_as_good_and_idle_links_outlive_it() {
    let (hub, clock) = hub().await;
    let mut cbs = Cbs::open(&hub).await;
    let mut asking = Asking::on(&cbs.session, "localhost/$management").await;
    assert_eq!(asking.ask(ENTITY).await.0, 401);
    cbs.put(event_hubs_token("sb://localhost/localhost/$management", 100)).await.outcome().unwrap();
    assert_eq!(asking.ask(ENTITY).await.0, 200);
    clock.advance(Duration::from_secs(100));
    assert_eq!(asking.ask(ENTITY).await.0, 401);
    assert_eq!(asking.status_with(&event_hubs_token("amqp://localhost/localhost", HOUR)).await, 200);
    cbs.put(event_hubs_token("sb://localhost/localhost/$management", HOUR)).await.outcome().unwrap();
    // A grant counts also for a request whose own token is bad.
    assert_eq!(asking.status_with("nonsense").await, 200);
}

/// As Java's Event Hubs clients ask, which never put a token for it: settled requests without a body, and a reply-to that
/// is the target of the link for answers, on which mode second is asked for.
#[tokio::test]
async fn settled_requests_are_answered_at_their_reply_to() {
    let (hub, _) = hub().await;
    let session = stranger(&hub).await;
    let requests = session.sender("$management").settle_mode(SenderSettleMode::Settled).attach().await.unwrap();
    let mut answers = session
        .receiver("$management")
        .target(Target::at("management-client-reply-to"))
        .receiver_settle_mode(ReceiverSettleMode::Second)
        .allow_differences()
        .attach()
        .await
        .unwrap();
    let token = event_hubs_token("amqp://localhost/localhost", HOUR);
    for id in 1..=3_u64 {
        let properties = Properties {
            message_id: Some(id.into()),
            reply_to: Some("management-client-reply-to".into()),
            ..Properties::default()
        };
        let mut request = Message::builder().properties(properties).application_property("security_token", &*token);
        for (key, value) in ENTITY {
            request = request.application_property(key, value);
        }
        let settled = SendOptions { settled: true, ..SendOptions::default() };
        requests.send_with(request, settled).await.unwrap().into_result().unwrap();
        let answer = next(&mut answers).await;
        assert!(answer.is_settled());
        let message = answer.message();
        assert_eq!(message.properties().unwrap().unwrap().correlation_id, Some(id.into()));
        assert_eq!(message.application_property("status-code").unwrap().unwrap().as_integer(), Some(200));
    }
}
