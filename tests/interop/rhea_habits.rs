//! What rhea writes in its own way, both ways: keys of maps in errors as strings, filters without a descriptor, maps among
//! application properties. Nothing of it costs a message, a link or the connection.

use amqp1::{
    AcceptedLink, Acceptor, Client, Connection, Delivery, Error, IncomingLink, Outcome, Receiver, Session, Source,
    Symbol, Value,
    codec::messaging::FilterSet,
    error::{AmqpError, ErrorCondition},
    message::Fields,
};
use amqp1_tests::peer::{self, Server};
use serde_json::{Value as Json, json};
use std::time::Duration;
use tokio::{net::TcpListener, time::timeout};

const SESSION_FILTER: &str = "com.microsoft:session-filter";
const OTHER_FILTER: &str = "com.microsoft:other-filter";

/// The error that rhea's programs give, with all of its info.
fn check_error(error: &AmqpError) {
    assert_eq!(error.description.as_deref(), Some("not that"), "{error:?}");
    check_info(error);
}

fn check_info(error: &AmqpError) {
    let info = error.info.as_ref().expect("info");
    assert_eq!(info.get("reason"), Some(&Value::from("colour")), "{error:?}");
    assert_eq!(info.get("code").and_then(Value::as_integer), Some(7), "{error:?}");
    assert_eq!(info.get("retry-after"), Some(&Value::from("never")), "{error:?}");
}

async fn next(receiver: &mut Receiver) -> Delivery {
    let next = timeout(Duration::from_secs(20), receiver.recv()).await.expect("a delivery in time");
    next.expect("a link").expect("a delivery")
}

fn text(delivery: &Delivery) -> String {
    match delivery.message().value().expect("a body").expect("a value") {
        Value::String(text) => text.as_str().to_owned(),
        other => panic!("{other:?}"),
    }
}

/// The message with maps that both of rhea's programs send.
fn check_message(delivery: &Delivery) {
    let message = delivery.message();
    assert_eq!(message.data().expect("data"), "the payload");
    assert_eq!(
        message.message_annotation("x-opt-key").expect("annotations").expect("a value").as_text(),
        Some("value")
    );
    let plain = message.application_property("plain").expect("a property in order").expect("a value");
    assert_eq!(plain.as_text(), Some("text"));
    let properties = message.application_properties_ref().expect("a section").expect("a map");
    let nested = properties.get("nested").expect("a value in order").expect("a value").to_value().expect("a value");
    let Value::Map(nested) = nested else { panic!("{nested:?}") };
    assert_eq!(nested.get_str("a").and_then(Value::as_integer), Some(1));
    assert_eq!(message.footer().expect("a footer").expect("a footer").get("checksum"), Some(&Value::from("abc")));
}

fn session_filters() -> FilterSet {
    let mut filters = FilterSet::new();
    filters.insert_undescribed(Symbol::from_static(SESSION_FILTER), "one");
    filters.insert_undescribed(Symbol::from_static(OTHER_FILTER), Value::Null);
    filters
}

async fn check_redirects(session: &Session) {
    for role in ["sender", "receiver"] {
        let error: Error = if role == "sender" {
            match session.sender("redirect").attach().await {
                Err(error) => error,
                Ok(sender) => {
                    sender.detached().await;
                    sender.send("too late").await.expect_err("a link that is gone")
                }
            }
        } else {
            match session.receiver("redirect").attach().await {
                Err(error) => error,
                Ok(mut receiver) => receiver.recv().await.map(drop).expect_err("a link that is gone"),
            }
        };
        let redirect = error.redirect().unwrap_or_else(|| panic!("{role}: {error}"));
        assert_eq!(redirect.hostname.as_deref(), Some("other"), "{role}");
        assert_eq!(redirect.network_host.as_deref(), Some("other.example"), "{role}");
        assert_eq!((redirect.port, redirect.address.as_deref()), (Some(5671), Some("there")), "{role}");
    }
}

async fn check_rejections(session: &Session) {
    let sender = session.sender("reject").attach().await.expect("a link");
    for _ in 0..3 {
        match sender.send("anything").await.expect("an outcome") {
            Outcome::Rejected(Some(error)) => check_error(&error),
            other => panic!("{other:?}"),
        }
    }
    // And the other way: what we say can be read there.
    let mut receiver = session.receiver("outcome").attach().await.expect("a link");
    let mut info = Fields::new();
    info.insert(Symbol::from_static("reason"), "colour");
    let error =
        AmqpError { condition: ErrorCondition::NOT_ALLOWED, description: Some("not that".into()), info: Some(info) };
    next(&mut receiver).await.reject(error).expect("a settlement");
    let answer = next(&mut receiver).await;
    let told: Json = serde_json::from_str(&text(&answer)).expect("JSON");
    let expected = json!({"condition": "amqp:not-allowed", "description": "not that", "info": {"reason": "colour"}});
    assert_eq!(told, json!({"outcome": "rejected", "error": expected}));
    answer.accept().expect("a settlement");
}

async fn check_filters(session: &Session) {
    let source = Source { filter: Some(session_filters()), ..Source::at("filter") };
    let mut receiver = session.receiver("filter").source(source).attach().await.expect("a link");
    let granted = receiver.remote_attach().source.expect("a source").filter.expect("filters");
    assert_eq!(granted.get(SESSION_FILTER), Some(&Value::from("one")));
    let delivery = next(&mut receiver).await;
    let told: Json = serde_json::from_str(&text(&delivery)).expect("JSON");
    assert_eq!(told, json!({SESSION_FILTER: "one", OTHER_FILTER: null}));
    delivery.accept().expect("a settlement");
}

async fn connect(port: u64) -> Connection {
    Client::builder(format!("amqp://127.0.0.1:{port}")).connect().await.expect("a connection")
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_with_the_habits_of_a_server_on_rhea() {
    let server = Server::start(peer::program("rhea_habits_server.js")).await;
    let connection = connect(server.port()).await;
    let session = connection.begin().await.expect("a session");
    check_rejections(&session).await;
    check_redirects(&session).await;
    let mut receiver = session.receiver("message").attach().await.expect("a link");
    let delivery = next(&mut receiver).await;
    check_message(&delivery);
    delivery.accept().expect("a settlement");
    check_filters(&session).await;
    // One session of one connection has lived through all of it.
    let sender = session.sender("take").attach().await.expect("a link");
    sender.send("the last").await.expect("an outcome").into_result().expect("accepted");
    connection.close().await.expect("a closed connection");
    server.stop().await;
}

/// Does with a link what its address asks for.
async fn serve(link: IncomingLink) {
    let address = link.address().expect("an address").to_owned();
    let filters = link.attach().source.as_ref().and_then(|source| source.filter.clone());
    let link = match link {
        IncomingLink::Sender(request) => {
            let granted = request.granted_source().cloned();
            IncomingLink::Sender(request.source(granted.map(|source| Source { filter: filters.clone(), ..source })))
        }
        other => other,
    };
    match (address.as_str(), link.accept_default().expect("a link")) {
        ("reject", AcceptedLink::Sender(sender)) => {
            match sender.send("first").await.expect("an outcome") {
                Outcome::Rejected(Some(error)) => check_error(&error),
                other => panic!("{other:?}"),
            }
            sender.send("second").await.expect("an outcome").into_result().expect("accepted");
        }
        ("take", AcceptedLink::Receiver(mut receiver)) => {
            let delivery = next(&mut receiver).await;
            check_message(&delivery);
            delivery.accept().expect("a settlement");
            let delivery = next(&mut receiver).await;
            assert_eq!(delivery.message().data().expect("data"), "plain");
            delivery.accept().expect("a settlement");
            receiver.detached().await;
        }
        ("filter", AcceptedLink::Sender(sender)) => {
            assert_eq!(filters, Some(session_filters()));
            let detached = sender.detached().await;
            check_info(&detached.error.expect("an error"));
        }
        (address, _) => panic!("{address}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_acceptor_with_the_habits_of_a_client_on_rhea() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let mut client = peer::program("rhea_habits_client.js");
    client.args(["127.0.0.1", &listener.local_addr().expect("an address").port().to_string()]);
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let incoming = Acceptor::builder().build().accept(stream).await.expect("a handshake");
        let mut connection = incoming.accept().await.expect("a connection");
        let mut links = tokio::task::JoinSet::new();
        while let Some(link) = connection.next_link().await {
            links.spawn(serve(link));
        }
        let served = links.len();
        while let Some(done) = links.join_next().await {
            done.expect("a link served to its end");
        }
        served
    });
    let report = peer::run(client).await.unwrap_or_else(|why| panic!("{why}"));
    println!("  {report}");
    for (counted, expected) in [("sent", 2), ("accepted", 2), ("received", 2)] {
        assert_eq!(report[counted], expected, "{report}");
    }
    assert_eq!(report["filter"][SESSION_FILTER], "one", "{report}");
    assert_eq!(serving.await.expect("served to the end"), 3);
}
