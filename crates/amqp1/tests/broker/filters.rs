//! Selectors and no-local.

use super::{Bed, consumer, drained, next, put, text};
use amqp1::{
    Credit, EncodedMessage, ErrorCondition, ErrorKind, FilterSet, Message, Receiver, Session, Source, Symbol, Value,
};

const SELECTOR: u64 = 0x0000_468C_0000_0004;
const NO_LOCAL: u64 = 0x0000_468C_0000_0003;

pub(crate) fn selected(source: Source, selector: &str) -> Source {
    let mut filter = FilterSet::new();
    filter.insert(Symbol::from_static("jms-selector"), SELECTOR, selector);
    Source { filter: Some(filter), ..source }
}

pub(crate) fn not_local(source: Source) -> Source {
    let mut filter = FilterSet::new();
    filter.insert(Symbol::from_static("no-local"), NO_LOCAL, Vec::<Value>::new());
    Source { filter: Some(filter), ..source }
}

pub(crate) fn coloured(colour: &'static str) -> EncodedMessage {
    Message::builder().application_property("colour", colour).data(colour).build()
}

async fn receiver(session: &Session, source: Source) -> Receiver {
    session.receiver("").source(source).credit(Credit::Manual(10)).attach().await.expect("a receiver")
}

#[tokio::test]
async fn m_3_5_8_a_selector_chooses_and_the_rest_stays() {
    let session = Bed::new(&[]).session().await;
    let sender = session.sender("q").attach().await.expect("a sender");
    let mut red = receiver(&session, selected(Source::at("q"), "colour = 'red'")).await;
    for colour in ["blue", "red", "green", "red"] {
        sender.send(coloured(colour)).await.expect("sent").accepted().expect("accepted");
    }
    for _ in 0..2 {
        let delivery = next(&mut red).await;
        assert_eq!(text(&delivery), "red");
        delivery.accept().expect("settled");
    }
    red.drain().await.expect("drained");
    assert!(red.try_recv().is_none());
    assert_eq!(drained(&session, "q").await, ["blue", "green"]);
}

#[tokio::test]
async fn a_selector_that_cannot_be_read_is_no_link() {
    let session = Bed::new(&[]).session().await;
    let attaching = session.receiver("").source(selected(Source::at("q"), "colour =")).attach();
    let error = attaching.await.expect_err("a refusal");
    assert_eq!((error.kind(), error.condition()), (ErrorKind::LinkRefused, Some(&ErrorCondition::INVALID_FIELD)));
    assert!(error.to_string().contains("octet 8: expected a value"), "{error}");
}

#[tokio::test]
async fn no_local_leaves_out_what_the_own_container_has_published() {
    let bed = Bed::new(&[]);
    let session = bed.session().await;
    let mut others = receiver(&session, not_local(Source::at("q"))).await;
    put(&session, "q", &["mine"]).await;
    put(&bed.session().await, "q", &["another's"]).await;
    let delivery = next(&mut others).await;
    assert_eq!(text(&delivery), "another's");
    others.drain().await.expect("drained");
    assert!(others.try_recv().is_none());
    assert_eq!(text(&next(&mut consumer(&session, "q", 1).await).await), "mine");
}

#[tokio::test]
async fn a_selector_finds_what_comes_back_behind_it() {
    let session = Bed::new(&[]).session().await;
    let sender = session.sender("q").attach().await.expect("a sender");
    let mut any = consumer(&session, "q", 2).await;
    sender.send(coloured("red")).await.expect("sent").accepted().expect("accepted");
    sender.send(coloured("blue")).await.expect("sent").accepted().expect("accepted");
    let (red, blue) = (next(&mut any).await, next(&mut any).await);
    let mut chosen = receiver(&session, selected(Source::at("q"), "colour = 'red'")).await;
    // It has looked at this one.
    put(&session, "q", &["without a colour"]).await;
    red.release().expect("settled");
    assert_eq!(text(&next(&mut chosen).await), "red");
    drop(blue);
}
