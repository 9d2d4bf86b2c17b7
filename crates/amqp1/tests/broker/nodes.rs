//! Nodes that are made for a link, and messages that say themselves where they go.

use super::{Bed, consumer, next, text};
use amqp1::{
    ErrorKind, Message, Source, Symbol, Target,
    codec::messaging::{LifetimePolicy, NodeProperties},
    error::ErrorCondition,
    message::Properties,
};

fn dynamic(policy: Option<LifetimePolicy>) -> Source {
    let properties = policy.map(|policy| NodeProperties::default().with_lifetime_policy(policy));
    Source { dynamic: true, dynamic_node_properties: properties, ..Source::default() }
}

fn to(address: &str) -> Properties {
    Properties { to: Some(address.into()), ..Properties::default() }
}

#[tokio::test]
async fn m_3_5_3_2_a_dynamic_node_is_used_by_its_address_and_goes_with_its_link() {
    let bed = Bed::new(&[]);
    let session = bed.session().await;
    let mut replies = session.receiver("").source(dynamic(None)).attach().await.expect("a node");
    let address = replies.remote_attach().source.and_then(|source| source.address).expect("an address");
    let other = bed.session().await;
    let sender = other.sender(address.clone()).attach().await.expect("a sender");
    sender.send("hello").await.expect("sent").into_result().expect("accepted");
    let delivery = next(&mut replies).await;
    assert_eq!(text(&delivery), "hello");
    delivery.accept().expect("settled");
    replies.close().await.expect("closed");
    let detached = sender.detached().await;
    assert_eq!(detached.error.map(|error| error.condition), Some(ErrorCondition::RESOURCE_DELETED));
    let error = other.sender(address).attach().await.expect_err("no node");
    assert_eq!((error.kind(), error.condition()), (ErrorKind::LinkRefused, Some(&ErrorCondition::NOT_FOUND)));
}

#[tokio::test]
async fn m_3_5_13_1_a_dynamic_node_lives_as_long_as_its_policy_says() {
    let bed = Bed::new(&[]);
    let session = bed.session().await;
    let properties = NodeProperties::default().with_lifetime_policy(LifetimePolicy::DeleteOnNoLinksOrMessages);
    let target = Target { dynamic: true, dynamic_node_properties: Some(properties), ..Target::default() };
    let sender = session.sender("").target(target).attach().await.expect("a node");
    let target = sender.remote_attach().target.expect("a target");
    let address = target.as_target().and_then(|target| target.address.clone()).expect("an address");
    sender.send("x").await.expect("sent").into_result().expect("accepted");
    sender.close().await.expect("closed");
    // The message keeps it, then the link.
    let mut receiver = consumer(&session, &address, 1).await;
    next(&mut receiver).await.accept().expect("settled");
    receiver.close().await.expect("closed");
    let error = session.receiver(address).attach().await.expect_err("no node");
    assert_eq!(error.condition(), Some(&ErrorCondition::NOT_FOUND));
}

#[tokio::test]
async fn a_link_that_comes_back_by_its_name_gets_its_node_again() {
    let session = Bed::new(&[]).session().await;
    let mut addresses = Vec::new();
    for name in ["replies", "replies", "others"] {
        let receiver = session.receiver("").source(dynamic(None)).name(name).attach().await.expect("a node");
        addresses.push(receiver.remote_attach().source.and_then(|source| source.address).expect("an address"));
        receiver.detach().await.expect("detached");
    }
    assert!(addresses[0] == addresses[1] && addresses[1] != addresses[2], "{addresses:?}");
}

#[tokio::test]
async fn the_anonymous_relay_sends_each_message_where_it_says() {
    let session = Bed::new(&[]).session().await;
    let relay = session.anonymous_sender().attach().await.expect("a relay");
    let _nodes = [consumer(&session, "a", 0).await, consumer(&session, "b", 0).await];
    for address in ["a", "b", "a"] {
        let message = Message::builder().properties(to(address)).data(address).build();
        relay.send(message).await.expect("sent").into_result().expect("accepted");
    }
    let to = |address| Message::builder().properties(to(address)).data("x").build();
    for message in [Message::builder().data("x").build(), to("dynamic/x/y/7"), to("c"), to("topic://a")] {
        let error = relay.send(message).await.expect("an outcome").into_result().expect_err("it goes nowhere");
        assert_eq!(error.condition(), Some(&ErrorCondition::NOT_FOUND));
    }
    assert_eq!(super::drained(&session, "a").await, ["a", "a"]);
    assert_eq!(super::drained(&session, "b").await, ["b"]);
}

/// What is in force is said, whatever was asked for.
#[tokio::test]
async fn an_unknown_lifetime_policy_is_not_said_back() {
    let session = Bed::new(&[]).session().await;
    let mut odd = NodeProperties::default();
    odd.0.insert(Symbol::from_static("lifetime-policy"), 7_u32);
    let source = Source { dynamic: true, dynamic_node_properties: Some(odd), ..Source::default() };
    let receiver = session.receiver("").source(source).attach().await.expect("a node");
    let granted = receiver.remote_attach().source.and_then(|source| source.dynamic_node_properties);
    assert_eq!(granted.and_then(|granted| granted.lifetime_policy()), Some(LifetimePolicy::DeleteOnClose));
}

/// A link that is attached again has the node that it had, with the policy that it was made with.
#[tokio::test]
async fn t_2_6_3_3_the_lifetime_policy_of_a_node_that_there_is_already_is_said() {
    let session = Bed::new(&[]).session().await;
    let made = LifetimePolicy::DeleteOnNoLinks;
    for asked in [made, LifetimePolicy::DeleteOnNoMessages, LifetimePolicy::DeleteOnClose] {
        let receiver =
            session.receiver("").source(dynamic(Some(asked))).name("replies").attach().await.expect("a node");
        let granted = receiver.remote_attach().source.and_then(|source| source.dynamic_node_properties);
        assert_eq!(granted.and_then(|granted| granted.lifetime_policy()), Some(made), "asked for {asked:?}");
        receiver.detach().await.expect("detached");
    }
}

#[tokio::test]
async fn t_2_6_3_3_a_capability_that_no_node_has_is_not_said_back() {
    let session = Bed::new(&[]).session().await;
    let asked = [Symbol::from_static("queue"), Symbol::from_static("unknown")];
    let source = Source { capabilities: asked.into_iter().collect(), ..Source::at("q") };
    let receiver = session.receiver("").source(source).attach().await.expect("a receiver");
    let granted = receiver.remote_attach().source.expect("a source").capabilities;
    assert_eq!(granted.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["queue"]);
}

#[tokio::test]
async fn only_its_connection_receives_from_a_temporary_queue() {
    let bed = Bed::new(&[]);
    let session = bed.session().await;
    let capabilities = vec![Symbol::from_static("temporary-queue")];
    let target = Target { dynamic: true, capabilities: capabilities.clone().into(), ..Target::default() };
    let creator = session.sender("").target(target).attach().await.expect("a node");
    let target = creator.remote_attach().target.expect("a target");
    let address = target.as_target().and_then(|target| target.address.clone()).expect("an address");
    let source = || Source { capabilities: capabilities.clone().into(), ..Source::at(address.clone()) };
    let mut receiver = session.receiver("").source(source()).attach().await.expect("a receiver");
    let others = bed.session().await;
    let error = others.receiver("").source(source()).attach().await.expect_err("it is another's");
    assert_eq!(error.condition(), Some(&ErrorCondition::RESOURCE_LOCKED));
    super::put(&others, &address, &["answer"]).await;
    assert_eq!(text(&next(&mut receiver).await), "answer");
}
