//! Credit at either end, call by call.

use super::*;

const ROOM: Backlog = Backlog { waiting: 0, room: u32::MAX };

fn flow(delivery_count: Option<u32>, link_credit: u32, drain: bool) -> Flow {
    Flow { delivery_count: delivery_count.map(SequenceNo), link_credit: Some(link_credit), drain, ..Flow::default() }
}

fn sender(count: u32, credit: u32) -> SenderCredit {
    let mut sender = SenderCredit::new(SequenceNo(count), DrainMode::Automatic);
    sender.on_receiver_flow(&flow(Some(count), credit, false), SequenceNo(count));
    sender
}

fn receiver(policy: Credit) -> ReceiverCredit {
    let mut receiver = ReceiverCredit::new(policy);
    receiver.set(policy, ROOM);
    assert!(receiver.take_flow_due());
    receiver
}

#[test]
fn a_sender_takes_off_what_it_has_sent_since_the_receiver_counted() {
    let mut sender = sender(u32::MAX, 3);
    sender.send_one();
    sender.send_one();
    assert_eq!((sender.left(), sender.delivery_count()), (1, SequenceNo(1)), "the count wraps");
    sender.on_receiver_flow(&flow(Some(u32::MAX), 10, false), SequenceNo(u32::MAX));
    assert_eq!(sender.left(), 8);
    sender.on_receiver_flow(&flow(None, 1, false), SequenceNo(u32::MAX));
    assert_eq!(sender.left(), 0, "it counts from the first delivery, and has sent more");
    sender.on_receiver_flow(&flow(Some(100), 5, false), SequenceNo(u32::MAX));
    assert_eq!(sender.left(), 5, "a count ahead of ours adds nothing");
    sender.on_receiver_flow(&Flow::default(), SequenceNo(u32::MAX));
    assert_eq!(sender.left(), 5, "a flow without credit leaves it");
}

#[test]
fn a_drain_is_answered_when_the_credit_is_used_or_given_up() {
    let mut sender = sender(0, 2);
    sender.on_receiver_flow(&flow(Some(0), 2, true), SequenceNo(0));
    assert!(sender.remote_drain());
    assert_eq!((sender.drain(), sender.is_drain_due()), (DrainState::Requested, false));
    sender.send_one();
    sender.send_one();
    assert!(sender.is_drain_due(), "all is used");
    sender.on_receiver_flow(&flow(Some(2), 3, true), SequenceNo(0));
    sender.give_up();
    assert!(sender.is_drain_due());
    sender.answer_drain();
    assert_eq!((sender.left(), sender.delivery_count()), (0, SequenceNo(5)));
    assert_eq!(sender.end_drain(), None);
    sender.give_up();
    assert_eq!(sender.drain(), DrainState::None, "there is none to give up for");
}

#[test]
fn a_flow_withdraws_a_drain_and_more_credit_asks_again() {
    let mut sender = sender(0, 2);
    sender.on_receiver_flow(&flow(Some(0), 2, true), SequenceNo(0));
    sender.give_up();
    sender.on_receiver_flow(&flow(Some(0), 2, true), SequenceNo(0));
    assert_eq!(sender.drain(), DrainState::GivingUp, "the same again changes nothing");
    sender.on_receiver_flow(&flow(Some(0), 3, true), SequenceNo(0));
    assert_eq!(sender.drain(), DrainState::Requested);
    sender.on_receiver_flow(&flow(Some(0), 3, false), SequenceNo(0));
    assert_eq!(sender.drain(), DrainState::None);
}

#[test]
fn only_an_application_that_had_its_time_is_late() {
    let timeout = core::time::Duration::from_secs(1);
    for (mode, late) in [(DrainMode::Automatic, false), (DrainMode::Application { timeout }, true)] {
        let mut sender = SenderCredit::new(SequenceNo(0), mode);
        sender.on_receiver_flow(&flow(Some(0), 2, true), SequenceNo(0));
        let (first, second) = (Instant::from_nanos(1), Instant::from_nanos(2));
        assert_eq!(sender.set_drain_deadline(first), None);
        assert_eq!(sender.set_drain_deadline(second), Some(first));
        sender.give_up();
        assert!(!sender.is_drain_late());
        sender.drain_deadline_passed();
        assert_eq!(sender.is_drain_late(), late);
    }
}

#[test]
fn a_window_is_filled_when_half_of_it_is_used_as_far_as_there_is_room() {
    let mut receiver = receiver(Credit::Window(10));
    for left in (6..10).rev() {
        receiver.receive_one(false).expect("there is credit");
        receiver.refill(ROOM);
        assert_eq!((receiver.left(), receiver.take_flow_due()), (left, false));
    }
    receiver.receive_one(false).expect("there is credit");
    receiver.refill(Backlog { waiting: 1, room: u32::MAX });
    assert_eq!(receiver.left(), 5, "what waits counts");
    receiver.refill(Backlog { waiting: 0, room: 0 });
    assert!(receiver.is_withheld());
    assert_eq!((receiver.take_withheld(), receiver.take_withheld()), (true, false), "it is reported once");
    receiver.refill(Backlog { waiting: 0, room: 7 });
    assert_eq!((receiver.left(), receiver.take_flow_due(), receiver.is_withheld()), (7, true, false));
    receiver.refill(ROOM);
    assert_eq!((receiver.left(), receiver.take_flow_due()), (7, false));
}

#[test]
fn what_was_in_flight_when_the_credit_was_lowered_may_come() {
    let mut receiver = receiver(Credit::Manual(5));
    receiver.set(Credit::Manual(2), ROOM);
    assert_eq!((receiver.left(), receiver.in_flight()), (2, 5));
    receiver.take_back();
    assert_eq!((receiver.left(), receiver.in_flight(), receiver.policy()), (0, 5, Credit::Manual(0)));
    for _ in 0..5 {
        receiver.receive_one(false).expect("it was in flight");
    }
    assert_eq!(receiver.receive_one(false), None);
    receiver.set(Credit::Manual(9), ROOM);
    receiver.set(Credit::Manual(1), ROOM);
    assert_eq!(receiver.in_flight(), 9);
    receiver.on_sender_flow(&flow(Some(9), 0, false), ROOM);
    assert_eq!(receiver.in_flight(), 5, "the sender says that it has used 4 of them otherwise");
}

#[test]
fn a_tolerated_sender_may_run_over_its_credit_by_some() {
    let mut receiver = receiver(Credit::Manual(1));
    for _ in 0..=ReceiverCredit::OVERRUN {
        receiver.receive_one(true).expect("it is tolerated");
    }
    assert_eq!(receiver.receive_one(true), None);
    receiver.set(Credit::Manual(1), ROOM);
    assert_eq!((receiver.receive_one(true), receiver.receive_one(true)), (Some(()), Some(())), "it may again");
}

#[test]
fn a_drain_is_done_when_the_credit_is_gone_and_once() {
    let mut receiver = receiver(Credit::Window(4));
    assert!(receiver.drain() && receiver.is_draining());
    receiver.receive_one(false).expect("there is credit");
    assert!(!receiver.on_sender_flow(&flow(Some(2), 2, true), ROOM));
    assert!(receiver.on_sender_flow(&flow(Some(4), 0, true), ROOM));
    assert_eq!((receiver.left(), receiver.is_draining(), receiver.drain_done()), (0, false, false));
    assert!(!receiver.drain(), "there is nothing to drain");
    assert_eq!(receiver.policy(), Credit::Manual(0));
}

#[test]
fn more_than_half_of_all_numbers_may_be_given_up_in_a_drain_and_only_there() {
    let mut receiver = receiver(Credit::Manual(u32::MAX));
    assert!(!receiver.on_sender_flow(&flow(Some(u32::MAX), 0, false), ROOM));
    assert_eq!(receiver.left(), u32::MAX, "a count behind ours tells nothing");
    receiver.drain();
    assert!(receiver.on_sender_flow(&flow(Some(u32::MAX), 0, true), ROOM));
    assert_eq!((receiver.left(), receiver.delivery_count()), (0, SequenceNo(u32::MAX)));
}

#[test]
fn what_was_given_before_a_drain_was_answered_is_given_again() {
    let mut receiver = receiver(Credit::Manual(3));
    receiver.drain();
    receiver.set(Credit::Manual(5), ROOM);
    receiver.take_flow_due();
    assert!(!receiver.on_sender_flow(&flow(Some(3), 0, true), ROOM), "the drain is over for us");
    assert_eq!((receiver.left(), receiver.delivery_count()), (5, SequenceNo(3)));
    assert!(receiver.take_flow_due(), "the sender is told again");
    receiver.on_sender_flow(&flow(Some(5), 3, false), ROOM);
    assert_eq!(receiver.left(), 3, "from then on the sender knows");
}

#[test]
fn a_window_that_the_sender_has_given_up_is_filled_again() {
    let mut receiver = receiver(Credit::Window(4));
    receiver.on_sender_flow(&flow(Some(4), 0, false), ROOM);
    assert_eq!((receiver.left(), receiver.delivery_count(), receiver.take_flow_due()), (4, SequenceNo(4), true));
}
