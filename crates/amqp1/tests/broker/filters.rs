//! Selectors and no-local.

use super::{Bed, consumer, drained, next, put, text};
use amqp1::{
    Credit, ErrorKind, Message, Receiver, Session, Source, Symbol, Value, error::ErrorCondition, link::FilterSet,
    message::EncodedMessage,
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

/// Also E-filt-1.
#[tokio::test]
async fn m_3_5_8_2_a_selector_chooses_and_the_rest_stays() {
    let session = Bed::new(&[]).session().await;
    let sender = session.sender("q").attach().await.expect("a sender");
    let mut red = receiver(&session, selected(Source::at("q"), "colour = 'red'")).await;
    for colour in ["blue", "red", "green", "red"] {
        sender.send(coloured(colour)).await.expect("sent").into_result().expect("accepted");
    }
    for _ in 0..2 {
        let delivery = next(&mut red).await;
        assert_eq!(text(&delivery), "red");
        delivery.accept().expect("settled");
    }
    red.drain().await.expect("drained");
    assert!(red.try_recv().is_err());
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

/// Also E-filt-1.
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
    assert!(others.try_recv().is_err());
    assert_eq!(text(&next(&mut consumer(&session, "q", 1).await).await), "mine");
}

#[tokio::test]
async fn a_selector_finds_what_comes_back_behind_it() {
    let session = Bed::new(&[]).session().await;
    let sender = session.sender("q").attach().await.expect("a sender");
    let mut any = consumer(&session, "q", 2).await;
    sender.send(coloured("red")).await.expect("sent").into_result().expect("accepted");
    sender.send(coloured("blue")).await.expect("sent").into_result().expect("accepted");
    let (red, blue) = (next(&mut any).await, next(&mut any).await);
    let mut chosen = receiver(&session, selected(Source::at("q"), "colour = 'red'")).await;
    // It has looked at this one.
    put(&session, "q", &["without a colour"]).await;
    red.release().expect("settled");
    assert_eq!(text(&next(&mut chosen).await), "red");
    drop(blue);
}

/// All that waits is looked at before a drain is answered, though others have their turn meanwhile.
#[tokio::test]
async fn a_drain_finds_what_is_wanted_behind_much_that_is_not() {
    let session = Bed::new(&[]).session().await;
    let sender = session.sender("q").attach().await.expect("a sender");
    for _ in 0..100 {
        sender.send(coloured("blue")).await.expect("sent").into_result().expect("accepted");
    }
    sender.send(coloured("red")).await.expect("sent").into_result().expect("accepted");
    let mut red = receiver(&session, selected(Source::at("q"), "colour = 'red'")).await;
    red.drain().await.expect("drained");
    assert_eq!(text(&red.try_recv().expect("a message")), "red");
}

/// What comes back is looked at again in its order, by each consumer that has passed it.
#[tokio::test]
async fn what_comes_back_is_found_in_order_with_what_was_not_looked_at() {
    let session = Bed::new(&[]).session().await;
    let sender = session.sender("q").attach().await.expect("a sender");
    let mut any = consumer(&session, "q", 3).await;
    for colour in ["red", "blue", "red"] {
        sender.send(coloured(colour)).await.expect("sent").into_result().expect("accepted");
    }
    let held = [next(&mut any).await, next(&mut any).await, next(&mut any).await];
    let selecting = session.receiver("").source(selected(Source::at("q"), "colour = 'red'"));
    let mut chosen = selecting.credit(Credit::Manual(1)).attach().await.expect("a receiver");
    put(&session, "q", &["0", "1"]).await;
    sender.send(coloured("red")).await.expect("sent").into_result().expect("accepted");
    let last = next(&mut chosen).await;
    // Of these the first waits longest, whichever comes back first.
    for delivery in held.into_iter().rev() {
        delivery.release().expect("settled");
    }
    assert_eq!(drained(&session, "q").await, ["red", "blue", "red", "0", "1"]);
    chosen.set_credit(Credit::Manual(2)).expect("credit");
    for _ in 0..2 {
        let delivery = next(&mut chosen).await;
        assert_eq!(text(&delivery), "red");
        delivery.accept().expect("settled");
    }
    last.accept().expect("settled");
    assert_eq!(drained(&session, "q").await, ["blue", "0", "1"]);
}

/// A pattern that would be compared with each octet of a large property does not keep others from the queue.
#[tokio::test]
async fn a_hostile_selector_does_not_stop_the_queue() {
    let bed = Bed::new(&[]);
    let session = bed.session().await;
    let hostile = format!("p LIKE '%{}b'", "a".repeat(8000));
    let _receiver = receiver(&session, selected(Source::at("q"), &hostile)).await;
    let sender = session.sender("q").attach().await.expect("a sender");
    for length in [60_000, 200_000] {
        let large = Message::builder().application_property("p", "a".repeat(length)).data("x").build();
        sender.send(large).await.expect("sent").into_result().expect("accepted");
    }
    put(&bed.session().await, "q", &["y"]).await;
    assert_eq!(drained(&session, "q").await, ["x", "x", "y"]);
    let too_long = format!("p LIKE '%{}b'", "a".repeat(9000));
    let attaching = session.receiver("").source(selected(Source::at("q"), &too_long)).attach();
    let error = attaching.await.expect_err("a refusal");
    assert_eq!(error.condition(), Some(&ErrorCondition::INVALID_FIELD));
}
