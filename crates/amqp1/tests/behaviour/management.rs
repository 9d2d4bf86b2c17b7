//! Management nodes, and tokens put to a node that is served here.

use crate::support::{Pair, pair, soon};
use amqp1::{
    Delivered, ErrorKind, Message, Retry, ServerConnection, Value,
    error::ErrorCondition,
    management::{Management, Operation, Status},
    message::Str,
    request::{IncomingRequest, Pairing},
};
use std::collections::BTreeMap;

fn property(request: &IncomingRequest, name: &str) -> Option<String> {
    let value = request.message().application_property(name).expect("sections")?;
    Some(value.as_text().expect("a text").to_owned())
}

/// Keeps named values, one type of them.
async fn serve(mut server: ServerConnection) {
    let mut pairing = Pairing::new();
    while let Some(link) = server.next_link().await {
        assert_eq!(link.address(), Some("$management"));
        let Some(mut responder) = pairing.accept(link).expect("accepted") else { continue };
        tokio::spawn(async move {
            let mut values = BTreeMap::new();
            while let Ok(Some(request)) = responder.next().await {
                let operation = property(&request, "operation").expect("an operation");
                let name = property(&request, "name").unwrap_or_default();
                let value = request.message().value().expect("sections");
                let (status, body) = operate(&mut values, &operation, name, value, property(&request, "type"));
                request.answer(status.put(Message::builder()).value(body)).await.expect("answered");
            }
        });
    }
}

fn operate(
    values: &mut BTreeMap<String, Value>,
    operation: &str,
    name: String,
    value: Option<Value>,
    entity: Option<String>,
) -> (Status, Value) {
    let none = || (Status::new(404, "no such value"), Value::Null);
    if entity.as_deref() != Some("test:value") {
        return (Status::new(400, "no such type"), Value::Null);
    }
    match operation {
        Operation::CREATE => {
            let value = value.unwrap_or_default();
            values.insert(name, value.clone());
            (Status::new(201, "made"), value)
        }
        Operation::READ => values.get(&name).map_or_else(none, |value| (Status::new(200, "OK"), value.clone())),
        Operation::UPDATE if values.contains_key(&name) => {
            values.insert(name, value.unwrap_or_default());
            (Status::new(200, "OK"), Value::Null)
        }
        Operation::DELETE => values.remove(&name).map_or_else(none, |_| (Status::new(204, ""), Value::Null)),
        Operation::QUERY => {
            let names = values.keys().map(|name| Value::from(name.as_str())).collect();
            (Status::new(200, "OK"), Value::List(names))
        }
        Operation::UPDATE => none(),
        _ => (Status::new(501, "not implemented"), Value::Null),
    }
}

fn on(operation: &'static str, name: &'static str) -> Operation {
    Operation::new(operation).entity_type("test:value").property("name", name)
}

#[tokio::test]
async fn e_mgmt_1_entities_are_made_read_changed_removed_and_listed() {
    let Pair { client, server } = pair().await;
    let serving = tokio::spawn(serve(server));
    let session = client.begin().await.expect("a session");
    let requester = session.requester("$management").reply_to_unique_link().attach().await.expect("two links");
    let management = Management::new(requester);
    let call = |operation| soon(management.call(operation));

    let made = call(on(Operation::CREATE, "a").body("one")).await.expect("made");
    assert_eq!(made.status, Status::new(201, "made"));
    let read = call(on(Operation::READ, "a")).await.expect("read");
    assert_eq!(read.message.value(), Ok(Some("one".into())));
    call(on(Operation::UPDATE, "a").body(2u32)).await.expect("changed");
    call(on(Operation::CREATE, "b")).await.expect("made");
    assert_eq!(call(on(Operation::READ, "a")).await.expect("read").message.value(), Ok(Some(2u32.into())));
    let listed = call(on(Operation::QUERY, "")).await.expect("listed").message.value();
    assert_eq!(listed, Ok(Some(Value::List(vec!["a".into(), "b".into()]))));
    let removed = call(on(Operation::DELETE, "a")).await.expect("removed");
    assert_eq!((removed.status.code, removed.status.description), (204, None));

    let error = call(on(Operation::READ, "a")).await.expect_err("gone");
    assert_eq!((error.kind(), error.delivered(), error.retry()), (ErrorKind::Refused, Delivered::Yes, Retry::Never));
    assert_eq!(error.status(), Some(&Status::new(404, "no such value")));
    assert_eq!(error.to_string(), "the node answered with status 404, no such value");
    let error = call(Operation::new(Operation::READ).entity_type("else")).await.expect_err("refused");
    assert_eq!(error.status().map(|status| status.code), Some(400));
    let error = call(on(Operation::GET_OPERATIONS, "")).await.expect_err("refused");
    assert_eq!(error.status().map(|status| status.code), Some(501));
    drop((management, session, client));
    soon(serving).await.expect("no panic");
}

/// Answers one request with these application properties.
async fn answered(properties: Vec<(&'static str, Value)>) -> Result<amqp1::management::Answer, amqp1::Error> {
    let mut pair = pair().await;
    let serving = async {
        let mut pairing = Pairing::new();
        let mut responder = loop {
            let link = pair.server.next_link().await.expect("a link");
            if let Some(responder) = pairing.accept(link).expect("accepted") {
                break responder;
            }
        };
        let request = responder.next().await.expect("a link").expect("a request");
        assert_eq!(property(&request, "operation").as_deref(), Some("GET-OPERATIONS"));
        assert_eq!(property(&request, "type").as_deref(), Some("any"));
        assert_eq!(property(&request, "locales").as_deref(), Some("en de"));
        let message = properties
            .into_iter()
            .fold(Message::builder(), |message, (name, value)| message.application_property(name, value));
        request.answer(message.value(Value::Null)).await.expect("answered");
        responder
    };
    let client = pair.client.clone();
    let asking = async {
        let session = client.begin().await.expect("a session");
        let requester = session.requester("$management").reply_to_unique_link().attach().await.expect("two links");
        let operation = Operation::new(Operation::GET_OPERATIONS).entity_type("any").locales("en de");
        Management::new(requester).call(operation).await
    };
    soon(async { tokio::join!(asking, serving) }).await.0
}

#[tokio::test]
async fn e_mgmt_1_a_status_is_understood_in_either_spelling() {
    for (code, description) in [("statusCode", "statusDescription"), ("status-code", "status-description")] {
        for value in [Value::from(202), Value::from(202u16), Value::from(202i64)] {
            let answer = answered(vec![(code, value), (description, "soon".into())]).await.expect("a success");
            assert_eq!(answer.status, Status::new(202, "soon"));
        }
        let busy = ("error-condition", Value::Symbol(amqp1::Symbol::from_static("com.microsoft:server-busy")));
        let error = answered(vec![(code, 503.into()), (description, "busy".into()), busy]).await.expect_err("busy");
        assert_eq!(error.condition().map(ErrorCondition::as_str), Some("com.microsoft:server-busy"));
        assert!(matches!(error.retry(), Retry::After(_)));
        assert_eq!(error.status().and_then(|status| status.description.clone()), Some(Str::from("busy")));
    }
    for unclear in [vec![], vec![("statusCode", "200".into())]] {
        let error = answered(unclear).await.expect_err("no status");
        assert_eq!((error.kind(), error.delivered()), (ErrorKind::Protocol, Delivered::Yes));
    }
}

#[tokio::test]
async fn a_management_node_that_is_not_there_refuses_the_links() {
    let mut pair = pair().await;
    let session = pair.session().await;
    let (requester, ()) = tokio::join!(session.requester("$management").reply_to_unique_link().attach(), async {
        pair.server.next_link().await.expect("a link").reject(ErrorCondition::NOT_FOUND);
    });
    let error = requester.expect_err("refused");
    assert_eq!((error.kind(), error.condition()), (ErrorKind::LinkRefused, Some(&ErrorCondition::NOT_FOUND)));
}

#[cfg(feature = "cbs")]
#[tokio::test]
async fn e_cbs_1_a_token_is_a_request_whose_answer_has_status_200_or_202() {
    use amqp1::{
        auth::cbs::{PutToken, Reply, Request},
        cbs::Cbs,
        message::EncodeStyle,
    };
    let mut pair = pair().await;
    let client = pair.client.clone();
    let serving = async {
        let mut pairing = Pairing::new();
        let mut responder = loop {
            let link = pair.server.next_link().await.expect("a link");
            assert_eq!(link.address(), Some("$cbs"));
            if let Some(responder) = pairing.accept(link).expect("accepted") {
                break responder;
            }
        };
        for status in [200, 202, 401] {
            let request = responder.next().await.expect("a link").expect("a request");
            assert_eq!(property(&request, "operation").as_deref(), Some("put-token"));
            assert_eq!(property(&request, "type").as_deref(), Some("servicebus.windows.net:sastoken"));
            assert_eq!(property(&request, "name").as_deref(), Some("hub.test"));
            assert_eq!(request.message().value(), Ok(Some("s3cret".into())));
            let asked = Request::parse(request.message());
            let reply = Reply::new(status, "as the test says").encode(&asked, EncodeStyle::Compact);
            request.answer_encoded(reply).await.expect("answered");
        }
        responder
    };
    let asking = async {
        let cbs = Cbs::open(&client).await.expect("a node");
        let token = PutToken::sas("hub.test", "s3cret");
        cbs.put_token(&token).await.expect("200");
        cbs.put_token(&token).await.expect("202");
        cbs.put_token(&token).await.expect_err("401")
    };
    let (error, _responder) = soon(async { tokio::join!(asking, serving) }).await;
    assert_eq!(error.condition(), Some(&ErrorCondition::UNAUTHORIZED_ACCESS));
    assert!(!format!("{error:?} {error}").contains("s3cret"));
}
