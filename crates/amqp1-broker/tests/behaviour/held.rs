//! Messages at a node, between two hops (§3.2.1, §3.4).

use amqp1_broker::terminus::{Fate, HeldMessage, priority_level};
use amqp1_codec::{
    Decode, EncodedMessage, Message, MessageBuilder, Reader, Symbol, Value,
    definitions::{AmqpError, ErrorCondition, Fields},
    messaging::{DeliveryState, Header, Modified, Properties, Received},
};
use amqp1_engine::{ANNOTATIONS_LEFT_OUT, Instant, transaction::TxnId};
use core::time::Duration;

fn at(millis: u64) -> Instant {
    Instant::default() + Duration::from_millis(1000 + millis)
}

fn received(encoded: EncodedMessage) -> Message {
    Message::from_chunks(encoded.into_parts()).expect("a message")
}

fn held(builder: MessageBuilder) -> HeldMessage {
    HeldMessage::new(received(builder.data("hello").build()), at(0)).expect("it can be read")
}

fn header(encoded: Option<EncodedMessage>) -> Header {
    received(encoded.expect("it may go there")).header().expect("readable").unwrap_or_default()
}

fn modified(change: impl FnOnce(&mut Modified)) -> DeliveryState {
    let mut modified = Modified::default();
    change(&mut modified);
    DeliveryState::Modified(Box::new(modified))
}

#[test]
fn m_3_2_1_6_time_spent_at_a_node_is_taken_off_what_a_message_has_to_live() {
    let mut message = held(Message::builder().header(Header { ttl: Some(10_000), ..Header::default() }));
    assert_eq!(message.expiry(), Some(at(10_000)));
    assert_eq!(header(message.acquire(1, at(2_000))).ttl, Some(8_000));
    assert_eq!(header(message.copy(9, at(9_999))).ttl, Some(1));
    // It counts from the arrival, however often the message was given back.
    assert_eq!(message.settle(1, &DeliveryState::Released), Fate::Available);
    assert_eq!(header(message.acquire(2, at(3_001))).ttl, Some(6_999));
    assert_eq!(message.settle(2, &modified(|modified| modified.delivery_failed = true)), Fate::Available);
    assert_eq!(header(message.acquire(1, at(9_000))).ttl, Some(1_000));
    // None is none, however long it takes.
    let mut message = held(Message::builder());
    assert_eq!(header(message.acquire(1, at(u64::from(u32::MAX) * 2))).ttl, None);
}

#[test]
fn m_3_2_1_7_what_has_expired_is_not_delivered() {
    let mut message = held(Message::builder().header(Header { ttl: Some(100), ..Header::default() }));
    assert!(!message.is_expired(at(99)) && message.is_expired(at(100)));
    assert!(message.acquire(1, at(99)).is_some());
    assert!(message.acquire(1, at(100)).is_none() && message.copy(9, at(1_000)).is_none());
}

#[test]
fn m_3_2_1_8_only_the_first_link_is_told_that_no_other_had_it() {
    // What an earlier hop said of its links says nothing of ours.
    let mut message = held(Message::builder().header(Header { first_acquirer: true, ..Header::default() }));
    assert!(!header(message.copy(9, at(0))).first_acquirer, "who looks does not acquire");
    assert!(header(message.acquire(1, at(0))).first_acquirer);
    assert_eq!(message.settle(1, &DeliveryState::Released), Fate::Available);
    assert!(header(message.acquire(1, at(0))).first_acquirer, "it is the same link");
    for link in [2, 1, 2] {
        assert!(!header(message.acquire(link, at(0))).first_acquirer, "link {link}");
    }
}

fn within(outcome: DeliveryState) -> DeliveryState {
    TxnId::new(b"txn").unwrap().state(Some(outcome))
}

/// Also M-3.4.2-1, M-3.4.4-1 and M-3.4.5-1.
#[test]
fn m_3_2_1_9_failed_attempts_are_counted_and_no_others() {
    let mut message = held(Message::builder().header(Header { delivery_count: 3, ..Header::default() }));
    let failed = modified(|modified| modified.delivery_failed = true);
    let steps = [
        (DeliveryState::Released, Fate::Available, 3),
        (modified(|_| {}), Fate::Available, 3),
        (failed.clone(), Fate::Available, 4),
        (DeliveryState::Received(Received { section_number: 0, section_offset: 5 }), Fate::Available, 4),
        (failed, Fate::Available, 5),
        (within(DeliveryState::Accepted), Fate::Undecided, 5),
        (DeliveryState::Rejected(None), Fate::Rejected(None), 6),
        (DeliveryState::Accepted, Fate::Retired, 6),
    ];
    for (outcome, fate, count) in steps {
        assert!(message.acquire(1, at(0)).is_some());
        assert_eq!(message.settle(1, &outcome), fate, "{outcome:?}");
        assert_eq!(
            (message.delivery_count(), header(message.copy(9, at(0))).delivery_count),
            (count, count),
            "{outcome:?}"
        );
    }
}

#[test]
fn m_3_4_5_2_a_link_that_calls_a_message_undeliverable_does_not_get_it_again() {
    let mut message = held(Message::builder());
    assert!(message.acquire(1, at(0)).is_some());
    assert_eq!(message.settle(1, &modified(|modified| modified.undeliverable_here = true)), Fate::Available);
    assert!(!message.may_go_to(1) && message.may_go_to(2));
    assert!(message.acquire(1, at(0)).is_none());
    assert!(message.acquire(2, at(0)).is_some());
}

#[test]
fn m_3_4_5_3_annotations_of_modified_are_merged_into_the_messages() {
    let key = |name| Symbol::from_static(name);
    let builder =
        Message::builder().message_annotation(key("x-opt-a"), 1_u32).message_annotation(key("x-opt-b"), 2_u32);
    let mut message = held(builder);
    let fields: Fields = [(key("x-opt-b"), 3_u32), (key("x-opt-c"), 4)].into_iter().collect();
    message.settle(1, &modified(|modified| modified.message_annotations = Some(fields)));
    let again = received(message.acquire(2, at(0)).expect("it may go there"));
    let annotations = again.message_annotations().expect("readable").expect("some");
    let values = ["x-opt-a", "x-opt-b", "x-opt-c"].map(|name| annotations.get(name).cloned());
    assert_eq!(values, [1, 3, 4].map(|value| Some(Value::Uint(value))));
}

/// Also M-3.2.3-1: message-annotations stay. Also M-3.2-3 and M-3.2.4-3: so does the bare message.
#[test]
fn m_3_2_2_1_annotations_of_a_delivery_end_with_its_hop() {
    let key = |name| Symbol::from_static(name);
    let bare = || Message::builder().properties(Properties { to: Some("q".into()), ..Properties::default() });
    let mut message =
        held(bare().delivery_annotation(key("x-opt-hop"), 1_u32).message_annotation(key("x-opt-kept"), 2_u32));
    for again in [message.acquire(1, at(0)), message.copy(9, at(0)), Some(message.rejected(None))] {
        let again = received(again.expect("it may go there"));
        assert_eq!(again.delivery_annotations().expect("readable"), None);
        let kept = again.message_annotations().expect("readable").expect("some");
        assert_eq!(kept.get("x-opt-kept"), Some(&Value::Uint(2)));
        let octets = again.to_encoded().into_parts().concat();
        let unchanged = bare().data("hello").build().into_parts().concat();
        assert!(octets.ends_with(&unchanged));
    }
}

/// Sections that a message does not have are not made up on its way through a node: neither those of the bare message nor
/// a footer.
#[test]
fn m_3_2_4_a_node_adds_no_section() {
    let bodies: [&'static [u8]; 4] = [
        b"\0\x53\x77\x40",
        b"\0\x53\x75\xa0\x00",
        b"\0\x53\x73\x45\0\x53\x75\xa0\x01x",
        b"\0\x53\x74\xc1\x01\x00\0\x53\x76\x45",
    ];
    for octets in bodies {
        let message = Message::from_bytes(bytes::Bytes::from_static(octets)).expect("sections");
        let mut message = HeldMessage::new(message, at(0)).expect("it can be read");
        let copy = message.copy(9, at(0)).expect("it may go there").into_parts().concat();
        let rejected = message.rejected(None).into_parts().concat();
        assert_eq!((&copy[..], &rejected[..]), (octets, octets));
        // Acquiring it is what the header says, and all that is added.
        let acquired = message.acquire(1, at(0)).expect("it may go there").into_parts().concat();
        let header = Header { first_acquirer: true, ..Header::default() };
        let header = amqp1_codec::Encode::to_octets(&header);
        assert_eq!(acquired, [&header[..], octets].concat());
        assert_eq!(message.dead_letter(None, at(0)).copy(2, at(0)).expect("new").into_parts().concat(), octets);
    }
}

/// Also M-3.4.3-1.
#[test]
fn m_3_2_2_1_the_annotation_rejected_carries_an_error() {
    let error = AmqpError::new(ErrorCondition::DECODE_ERROR, "no such colour");
    let mut message = held(Message::builder().header(Header { ttl: Some(1), durable: true, ..Header::default() }));
    let fate = message.settle(1, &DeliveryState::rejected(error.clone()));
    assert_eq!(fate, Fate::Rejected(Some(Box::new(error.clone()))));
    let dead = received(message.rejected(Some(&error)));
    let hop = dead.delivery_annotations().expect("readable").expect("some");
    let octets = amqp1_codec::Encode::to_octets(hop.get("rejected").expect("it says why"));
    assert_eq!(AmqpError::decode(&mut Reader::new(&octets)).expect("an error"), error);
    let header = dead.header().expect("readable").expect("some");
    assert_eq!((header.durable, header.delivery_count, header.ttl), (true, 1, None));
}

/// At a node of the same container it is held with the reason, which is written to whoever gets it.
#[test]
fn m_3_2_2_1_a_dead_letter_says_why_at_each_attempt_and_may_go_to_any_link() {
    let error = AmqpError::new(ErrorCondition::DECODE_ERROR, "no such colour");
    let mut message = held(Message::builder().header(Header { ttl: Some(1), ..Header::default() }));
    message.settle(1, &modified(|modified| modified.undeliverable_here = true));
    message.settle(2, &DeliveryState::rejected(error.clone()));
    let mut dead = message.dead_letter(Some(&error), at(5_000));
    assert_eq!((dead.expiry(), dead.delivery_count(), dead.may_go_to(1)), (None, 1, true));
    for written in [dead.acquire(1, at(6_000)), dead.copy(2, at(6_000)), dead.acquire(1, at(7_000))] {
        let hop =
            received(written.expect("it does not expire")).delivery_annotations().expect("readable").expect("some");
        let octets = amqp1_codec::Encode::to_octets(hop.get("rejected").expect("it says why"));
        assert_eq!(AmqpError::decode(&mut Reader::new(&octets)).expect("an error"), error);
    }
    let unexplained = message.dead_letter(None, at(0)).acquire(1, at(0)).expect("it may go there");
    assert_eq!(received(unexplained).delivery_annotations().expect("readable"), None);
}

#[test]
fn m_3_2_1_4_fewer_than_ten_levels_share_the_outer_priorities() {
    for levels in 1..10_u8 {
        // The words of the specification.
        let lowest = 5 - levels.div_ceil(2);
        let highest = (4 + levels / 2).max(lowest);
        let all: Vec<u8> = (0..=u8::MAX).map(|priority| priority_level(priority, levels)).collect();
        assert!(all[..=usize::from(lowest)].iter().all(|level| *level == 0), "{levels}");
        assert!(all[usize::from(highest)..].iter().all(|level| *level == levels - 1), "{levels}");
        assert!(
            all[usize::from(lowest)..=usize::from(highest)].windows(2).all(|pair| pair[0] + 1 == pair[1]),
            "{levels}"
        );
    }
    let two = [0, 4, 5, 9].map(|priority| priority_level(priority, 2));
    assert_eq!(two, [0, 0, 1, 1]);
    assert_eq!(priority_level(9, 0), 0);
    assert_eq!(held(Message::builder()).priority(), 4);
}

#[test]
fn m_3_2_1_5_of_ten_levels_and_more_each_is_a_priority() {
    for levels in [10, 11, 100, 255] {
        for priority in 0..=u8::MAX {
            assert_eq!(priority_level(priority, levels), priority.min(levels - 1), "{levels}");
        }
    }
}

#[test]
fn a_message_whose_header_cannot_be_read_is_not_held() {
    // A header whose durable is a string.
    let octets = b"\x00\x53\x70\xc0\x04\x01\xa1\x01x\x00\x53\x75\xa0\x00";
    let message = Message::from_bytes(octets.as_slice().into()).expect("sections");
    assert!(HeldMessage::new(message, at(0)).is_err());
}

#[test]
fn m_3_5_2_1_a_link_that_has_accepted_its_copy_gets_no_other() {
    let mut message = held(Message::builder());
    let undeliverable = modified(|modified| modified.undeliverable_here = true);
    for (link, outcome) in [(1, DeliveryState::Accepted), (2, DeliveryState::Rejected(None)), (3, undeliverable)] {
        assert!(message.copy(link, at(0)).is_some());
        message.settle_copy(link, &DeliveryState::Released);
        assert!(message.copy(link, at(0)).is_some(), "it was given back");
        message.settle_copy(link, &outcome);
        assert!(message.copy(link, at(0)).is_none(), "{outcome:?}");
    }
    assert!(message.copy(4, at(0)).is_some() && message.delivery_count() == 0);
}

/// However often a message fails and however long it stays, no node calls it invalid by itself.
#[test]
fn m_3_4_3_2_only_a_receiver_rejects() {
    let mut message = held(Message::builder().header(Header { ttl: Some(1), ..Header::default() }));
    let received = DeliveryState::Received(Received { section_number: 0, section_offset: 5 });
    let failed = modified(|modified| (modified.delivery_failed, modified.undeliverable_here) = (true, true));
    for link in 0..100 {
        for outcome in [&DeliveryState::Released, &received, &failed] {
            message.acquire(link, at(link));
            assert_eq!(message.settle(link, outcome), Fate::Available);
        }
    }
}

/// Each outcome is bounded; what many of them add up to is, too.
#[test]
fn annotations_of_many_outcomes_do_not_grow_without_a_bound() {
    let mut held = held(Message::builder());
    for round in 0..100_u32 {
        let key = Symbol::new(format!("x-opt-{round}")).unwrap();
        let more: Fields = [(key, Value::from("x".repeat(8000)))].into_iter().collect();
        let modified = Modified { message_annotations: Some(more), undeliverable_here: true, ..Modified::default() };
        assert_eq!(held.settle(round.into(), &DeliveryState::Modified(Box::new(modified))), Fate::Available);
    }
    let written = held.acquire(1_000_000, at(0)).unwrap();
    assert!((56_000..66_000).contains(&written.len()), "{}", written.len());
}

/// The engine says that it left annotations out; what is merged into the message's (§3.4.5) does not.
#[test]
fn that_annotations_were_left_out_is_not_merged_into_a_message() {
    let annotations = [(Symbol::from_static(ANNOTATIONS_LEFT_OUT), "annotations were left out")].into_iter().collect();
    let mut held = held(Message::builder());
    assert_eq!(held.settle(1, &modified(|modified| modified.message_annotations = Some(annotations))), Fate::Available);
    let annotations = received(held.acquire(2, at(0)).expect("available")).message_annotations().expect("readable");
    assert!(annotations.is_none_or(|annotations| annotations.get(ANNOTATIONS_LEFT_OUT).is_none()));
}
