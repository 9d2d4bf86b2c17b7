//! Queues, exchanges and bindings, by HTTP over AMQP at `/management`.

use super::Broker;
use amqp1::{
    Message, MessageBuilder, Value,
    brokers::rabbitmq,
    codec::types::Map,
    message::Properties,
    request::{Request, Requester},
};
use std::sync::Arc;

/// The management node, on a pair of links.
pub(super) struct Topology(Requester);

impl Topology {
    pub(super) async fn of(session: &amqp1::Session) -> Self {
        Self(rabbitmq::management(session).attach().await.expect("a pair of links"))
    }

    /// The status of the answer, and its body.
    pub(super) async fn call(&self, method: &'static str, path: &str, body: Value) -> (String, Value) {
        let properties =
            Properties { subject: Some(method.into()), to: Some(path.to_owned().into()), ..Properties::default() };
        let message: MessageBuilder = Message::builder().value(body);
        let answer = self.0.request(Request::new(message).properties(properties)).await.expect("an answer");
        let properties = answer.properties().expect("a section").expect("properties");
        let status = properties.subject.expect("a status").to_string();
        (status, answer.value().expect("a section").expect("a value"))
    }

    /// Declares a durable queue with these arguments.
    pub(super) async fn queue(&self, name: &str, arguments: &[(&'static str, Value)]) {
        let arguments: Map = arguments.iter().cloned().collect();
        let body: Map = [("durable", Value::Boolean(true)), ("arguments", arguments.into())].into_iter().collect();
        let (status, body) = self.call("PUT", &rabbitmq::queue(name), body.into()).await;
        assert_eq!(status, "201", "{body:?}");
    }

    pub(super) async fn stream(&self, name: &str) {
        self.queue(name, &[("x-queue-type", "stream".into())]).await;
    }

    pub(super) async fn exchange(&self, name: &str, kind: &'static str) {
        let body: Map = [("type", Value::from(kind)), ("durable", true.into())].into_iter().collect();
        let (status, body) = self.call("PUT", &rabbitmq::exchange(name, ""), body.into()).await;
        assert_eq!(status, "204", "{body:?}");
    }

    pub(super) async fn bind(&self, exchange: &str, key: &str, queue: &str) {
        let text = |text: &str| Value::from(text.to_owned());
        let body: Map = [
            ("source", text(exchange)),
            ("binding_key", text(key)),
            ("destination_queue", text(queue)),
            ("arguments", Map::new().into()),
        ]
        .into_iter()
        .collect();
        let (status, body) = self.call("POST", "/bindings", body.into()).await;
        assert_eq!(status, "204", "{body:?}");
    }
}

/// Queues are declared, looked at and deleted, and what cannot be done has a status.
pub(super) async fn management(broker: Arc<Broker>) -> u64 {
    let (connection, session) = broker.session().await;
    let topology = Topology::of(&session).await;
    topology.queue("managed", &[]).await;
    let path = rabbitmq::queue("managed");
    let (status, found) = topology.call("GET", &path, Value::Null).await;
    assert_eq!(status, "200");
    let Value::Map(found) = found else { panic!("{found:?}") };
    assert_eq!(found.get_str("name"), Some(&Value::from("managed")));
    // The same queue with other arguments.
    let arguments: Map = [("x-queue-type", Value::from("stream"))].into_iter().collect();
    let other: Map = [("durable", Value::Boolean(true)), ("arguments", arguments.into())].into_iter().collect();
    assert_eq!(topology.call("PUT", &path, other.into()).await.0, "409");
    assert_eq!(topology.call("DELETE", &path, Value::Null).await.0, "200");
    assert_eq!(topology.call("GET", &path, Value::Null).await.0, "404");
    connection.close().await.expect("a closed connection");
    5
}
