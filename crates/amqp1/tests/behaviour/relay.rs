//! Links without a target address, whose messages say themselves where they go.

use crate::support::{self, Pair, pair_with, soon};
use amqp1::{
    AcceptedLink, Acceptor, Message, MessageBuilder, Outcome, Receiver, Sender, ServerConnection, Session, Source,
    Value,
    codec::messaging::DeliveryState,
    engine::{Instant, terminus::HeldMessage},
    error::{AmqpError, Cause, ErrorCondition},
    link::{Detached, SendOptions, capability::ANONYMOUS_RELAY},
    message::{Header, Properties},
};
use bytes::Bytes;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// A relay's queues, by their addresses.
type Queues = Arc<Mutex<BTreeMap<String, Vec<Bytes>>>>;

async fn relay(mut server: ServerConnection, queues: Queues) {
    while let Some(link) = server.next_link().await {
        let address = link.address().map(str::to_owned);
        assert_eq!(link.is_anonymous(), address.is_none());
        let AcceptedLink::Receiver(receiver) = link.accept_default().expect("accepted") else {
            panic!("the client sends")
        };
        tokio::spawn(route(receiver, address, queues.clone()));
    }
}

/// Puts each message where the link or the message says.
async fn route(mut receiver: Receiver, address: Option<String>, queues: Queues) {
    while let Ok(Some(delivery)) = receiver.recv().await {
        let properties = delivery.message().properties().expect("sections").unwrap_or_default();
        let to = address.clone().or_else(|| properties.to.map(|to| to.to_string()));
        let routed = {
            let mut queues = queues.lock().expect("no panic under the lock");
            let queue = to.as_ref().and_then(|to| queues.get_mut(to));
            queue.map(|queue| queue.push(delivery.message().data().expect("a data section"))).is_some()
        };
        if routed {
            delivery.accept().expect("settled");
        } else {
            let error = AmqpError::new(ErrorCondition::NOT_FOUND, "no such queue");
            receiver.refuse(delivery, error).await.expect("refused");
        }
    }
}

/// A session with a relay that has the queues `q1` and `q2`.
async fn relayed() -> (Session, Queues) {
    let acceptor = Acceptor::builder().config(|config| config.offered_capabilities.push(ANONYMOUS_RELAY)).build();
    let Pair { client, server } = pair_with(|builder| builder, &acceptor).await;
    assert!(client.offers(&ANONYMOUS_RELAY));
    let queues: Queues = Queues::default();
    for queue in ["q1", "q2"] {
        queues.lock().expect("no panic under the lock").insert(queue.to_owned(), Vec::new());
    }
    tokio::spawn(relay(server, queues.clone()));
    (client.begin().await.expect("a session"), queues)
}

fn queued(queues: &Queues, queue: &str) -> Vec<Bytes> {
    queues.lock().expect("no panic under the lock").get(queue).cloned().expect("a queue")
}

fn to(address: &'static str, body: &'static str) -> MessageBuilder {
    let properties = Properties { to: Some(address.into()), ..Properties::default() };
    Message::builder().properties(properties).data(body)
}

const SETTLED: SendOptions = SendOptions { settled: true, tag: None, message_format: 0 };

#[tokio::test]
async fn e_anon_1_a_sender_without_an_address_sends_each_message_where_it_says() {
    let (session, queues) = relayed().await;
    let sender = session.anonymous_sender().attach().await.expect("a sender");
    assert_eq!(soon(sender.send(to("q1", "one"))).await.expect("an outcome"), Outcome::Accepted);
    assert_eq!(soon(sender.send(to("q2", "two"))).await.expect("an outcome"), Outcome::Accepted);
    let settled = soon(sender.send_with(to("q1", "three"), SETTLED)).await.expect("on its way");
    assert_eq!(settled, Outcome::SentSettled);
    // It comes after the one before it.
    soon(sender.send(to("q2", "four"))).await.expect("an outcome").into_result().expect("accepted");
    assert_eq!(
        (queued(&queues, "q1"), queued(&queues, "q2")),
        (vec![Bytes::from("one"), Bytes::from("three")], vec![Bytes::from("two"), Bytes::from("four")],)
    );
    // Where the link has an address, that counts.
    let sender = session.sender("q2").attach().await.expect("a sender");
    soon(sender.send(to("q1", "five"))).await.expect("an outcome").into_result().expect("accepted");
    assert_eq!(queued(&queues, "q2").len(), 3);
}

#[tokio::test]
async fn e_anon_2_what_cannot_be_routed_is_rejected_where_the_source_allows_it() {
    let (session, queues) = relayed().await;
    let sender = session.anonymous_sender().attach().await.expect("a sender");
    for message in [to("nowhere", "x"), Message::builder().data("no properties")] {
        let outcome = soon(sender.send(message)).await.expect("an outcome");
        let Outcome::Rejected(Some(error)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(error.condition, ErrorCondition::NOT_FOUND);
    }
    // The link is as good as before.
    soon(sender.send(to("q1", "y"))).await.expect("an outcome").into_result().expect("accepted");
    assert_eq!(queued(&queues, "q1"), [Bytes::from("y")]);
    // A default outcome may be chosen too.
    let source = Source { default_outcome: Some(DeliveryState::Rejected(None)), ..Source::default() };
    let sender = session.anonymous_sender().source(source).attach().await.expect("a sender");
    assert!(matches!(soon(sender.send(to("nowhere", "x"))).await, Ok(Outcome::Rejected(Some(_)))));
}

/// The link has gone, and says which delivery it was.
async fn has_gone(sender: &Sender, tag: Option<&'static [u8]>) {
    let detached: Detached = soon(sender.detached()).await;
    assert!(detached.closed && detached.by == Cause::Peer);
    let error = detached.error.expect("the reason");
    assert_eq!(error.condition, ErrorCondition::NOT_FOUND);
    let named = error.info.as_ref().and_then(|info| info.get("delivery-tag"));
    match tag {
        Some(tag) => assert_eq!(named, Some(&Value::Binary(Bytes::from_static(tag)))),
        None => assert!(named.is_some()),
    }
}

#[tokio::test]
async fn e_anon_2_what_cannot_be_routed_costs_the_link_where_the_source_does_not_allow_rejected() {
    let (session, queues) = relayed().await;
    let accepts_only =
        Source { outcomes: vec![amqp1::Symbol::from_static("amqp:accepted:list")].into(), ..Source::default() };
    let sender = session.anonymous_sender().source(accepts_only).attach().await.expect("a sender");
    soon(sender.send(to("q1", "x"))).await.expect("an outcome").into_result().expect("accepted");
    let tag = amqp1::link::DeliveryTag::new(b"unroutable").expect("short");
    let error = soon(sender.send_with(to("nowhere", "x"), SendOptions { tag: Some(tag), ..SendOptions::default() }));
    assert_eq!(error.await.expect_err("the link is gone").condition(), Some(&ErrorCondition::NOT_FOUND));
    has_gone(&sender, Some(b"unroutable")).await;
    assert_eq!(queued(&queues, "q1").len(), 1);
    // The session is as good as before.
    soon(session.end()).await.expect("ended in peace");
}

/// §3.5.3: few peers list outcomes, and those that list none take the four of the specification.
#[tokio::test]
async fn e_anon_2_a_source_that_lists_no_outcomes_allows_rejected() {
    let (session, _queues) = relayed().await;
    for source in [Source::default(), Source { default_outcome: Some(DeliveryState::Released), ..Source::default() }] {
        let sender = session.anonymous_sender().source(source).attach().await.expect("a sender");
        let tag = amqp1::link::DeliveryTag::new(b"unroutable").expect("short");
        let sending = sender.send_with(to("nowhere", "x"), SendOptions { tag: Some(tag), ..SendOptions::default() });
        let Ok(Outcome::Rejected(Some(error))) = soon(sending).await else { panic!("not rejected") };
        let named = error.info.as_ref().and_then(|info| info.get("delivery-tag"));
        assert_eq!(named, Some(&Value::Binary(Bytes::from_static(b"unroutable"))));
        soon(sender.send(to("q1", "x"))).await.expect("the link goes on").into_result().expect("accepted");
    }
}

#[tokio::test]
async fn e_anon_2_what_was_sent_settled_and_cannot_be_routed_costs_the_link() {
    let (session, _queues) = relayed().await;
    let sender = session.anonymous_sender().attach().await.expect("a sender");
    assert_eq!(soon(sender.send_with(to("nowhere", "x"), SETTLED)).await.expect("on its way"), Outcome::SentSettled);
    has_gone(&sender, None).await;
    soon(session.end()).await.expect("ended in peace");
}

/// Keeps nothing across a failure, so it takes nothing durable.
async fn forgetful(mut receiver: Receiver) {
    while let Ok(Some(delivery)) = receiver.recv().await {
        let held = HeldMessage::new(delivery.message().clone(), Instant::default()).expect("readable");
        if !held.is_durable() {
            delivery.accept().expect("settled");
            continue;
        }
        let error = AmqpError::new(ErrorCondition::PRECONDITION_FAILED, "nothing is durable here");
        receiver.refuse(delivery, error).await.expect("refused");
    }
}

#[tokio::test]
async fn m_3_2_1_2_a_durable_message_is_not_taken_where_nothing_is_durable() {
    let mut pair = support::pair().await;
    let session = pair.session().await;
    let durable = || Message::builder().header(Header { durable: true, ..Header::default() }).data("kept");
    for allowed in [true, false] {
        let accepted = amqp1::Symbol::from_static("amqp:accepted:list");
        let rejected = amqp1::Symbol::from_static("amqp:rejected:list");
        let outcomes = if allowed { vec![accepted, rejected] } else { vec![accepted] };
        let source = Source { outcomes: outcomes.into(), ..Source::default() };
        let (sender, receiver) = tokio::join!(session.sender("q").source(source).attach(), async {
            let link = pair.server.next_link().await.expect("a link");
            let AcceptedLink::Receiver(receiver) = link.accept_default().expect("accepted") else { panic!("it sends") };
            receiver
        });
        tokio::spawn(forgetful(receiver));
        let sender = sender.expect("a sender");
        soon(sender.send(Message::builder().data("x"))).await.expect("an outcome").into_result().expect("accepted");
        let outcome = soon(sender.send(durable())).await;
        match outcome {
            Ok(Outcome::Rejected(Some(error))) if allowed => {
                assert_eq!(error.condition, ErrorCondition::PRECONDITION_FAILED);
            }
            Err(error) if !allowed => assert_eq!(error.condition(), Some(&ErrorCondition::PRECONDITION_FAILED)),
            other => panic!("{other:?}"),
        }
    }
}
