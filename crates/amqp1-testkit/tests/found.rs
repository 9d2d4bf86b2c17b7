//! What the model has found, in its smallest form.

use amqp1_codec::{
    definitions::ErrorCondition,
    messaging::{DeliveryState, Received},
    performative::Performative,
};
use amqp1_engine::{Credit, SessionConfig, Settlement};
use amqp1_testkit::{Pair, error, frames, message, sender, unsettled};

#[test]
fn a_link_for_which_there_is_no_handle_does_not_end_the_session() {
    let mut pair = Pair::open();
    let few = SessionConfig { handle_max: 1, ..SessionConfig::default() };
    let (session, far) = pair.session_with(few);
    for name in ["a", "b"] {
        pair.sender(session, name);
    }
    // The server may not use a third handle to answer.
    let third = pair.client.attach_sender(session, sender("c")).unwrap();
    pair.drive();
    pair.client.detach(third, true, Some(error(ErrorCondition::DETACH_FORCED))).unwrap();
    pair.drive();
    assert_eq!(pair.server.ended_session(far), None);
}

#[test]
fn a_session_for_which_there_was_no_channel_is_ended_all_the_same() {
    let (client, mut server) = Pair::configs();
    server.channel_max = 0;
    let mut pair = Pair::open_with(client, server);
    // Both have used their only channel by the time the other's begin arrives.
    let session = pair.client.begin(SessionConfig::default()).unwrap();
    pair.server.begin(SessionConfig::default()).unwrap();
    pair.drive();
    let ends =
        |octets: &[u8]| frames(octets).iter().filter(|(_, b, _)| matches!(b, Some(Performative::End(_)))).count();
    pair.client.end(session, Some(error(ErrorCondition::INTERNAL_ERROR))).unwrap();
    pair.drive();
    // It has no channel on which to answer, and neither has the client for the other session.
    assert_eq!(ends(&pair.server.written), 0);
    assert!(pair.server.is_closed() && pair.client.is_closed(), "the client's channel stays in use");
}

#[test]
fn an_outcome_is_written_after_the_state_that_was_told_before_it() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let tx = pair.client.attach_sender(session, sender("l")).unwrap();
    pair.drive();
    let rx = pair.server.offered_links()[0];
    for token in 0..2 {
        pair.client.send(tx, message(0, 9), unsettled(token)).unwrap();
    }
    pair.drive();
    let taken = pair.server.take_all(rx);
    let [first, other] = &taken[..] else { panic!("{taken:?}") };
    let received = DeliveryState::Received(Received { section_number: 0, section_offset: 1 });
    pair.server.dispose(rx, other.key, received.clone()).unwrap();
    for key in [first.key, other.key] {
        pair.server.dispose(rx, key, DeliveryState::Accepted).unwrap();
    }
    let octets = pair.server.output(pair.now, usize::MAX);
    let states: Vec<_> = frames(&octets)
        .into_iter()
        .filter_map(|(_, body, _)| match body {
            Some(Performative::Disposition(disposition)) => disposition.state,
            _ => None,
        })
        .collect();
    assert_eq!(states.first(), Some(&received), "{states:?}");
}

#[test]
fn no_more_deliveries_wait_than_the_window_allows() {
    let (mut client, server) = Pair::configs();
    client.max_frame_size = 512;
    let mut pair = Pair::open_with(client, server);
    let (session, _) = pair.session();
    let (rx, tx) = pair.receiver(session, "l", Credit::Window(4));
    for token in 0..4 {
        pair.server.send(tx, message(0, 900), unsettled(token)).unwrap();
    }
    // All but the last are there, and the first frame of that.
    let mut first = pair.server.output(pair.now, usize::MAX);
    let rest = first.split_off(first.len() - 100);
    pair.down.write(&first);
    pair.drive();
    assert_eq!(pair.client.take_all(rx).len(), 3);
    pair.drive();
    pair.down.write(&rest);
    while pair.server.send(tx, message(0, 9), unsettled(9)).is_ok() {}
    pair.drive();
    assert!(pair.client.buffered(rx) <= 4, "{}", pair.client.buffered(rx));
}

#[test]
fn a_window_that_is_set_before_a_drain_is_answered_is_kept_filled() {
    let mut pair = Pair::open();
    let (session, _) = pair.session();
    let (rx, tx) = pair.receiver(session, "l", Credit::Manual(10));
    pair.client.drain(rx).unwrap();
    // The drain leaves, and before its answer comes the application wants messages again.
    let octets = pair.client.output(pair.now, usize::MAX);
    pair.up.write(&octets);
    pair.client.set_credit(rx, Credit::Window(5)).unwrap();
    pair.drive();
    assert!(pair.server.credit(tx) > 0, "nothing can ever be sent again");
}

#[test]
fn a_close_in_peace_waits_for_a_delivery_that_leaves_the_window_to_others() {
    let (mut client, mut server) = Pair::configs();
    client.max_frame_size = 512;
    server.max_frame_size = 512;
    let mut pair = Pair::open_with(client, server);
    pair.server.accept.sessions = Some(SessionConfig { incoming_window: 7, ..SessionConfig::default() });
    let (session, _) = pair.session();
    let (tx, rx) = pair.sender(session, "l");
    // By now it is seen that the window is opened early.
    for token in 0..20 {
        pair.client.send(tx, message(0, 1), unsettled(token)).unwrap();
        pair.drive();
    }
    for token in 20..29 {
        pair.client.send(tx, message(0, 3000), unsettled(token)).unwrap();
    }
    pair.client.engine.close(pair.now, None);
    pair.drive();
    let undelivered = pair.server.detached(rx).expect("the connection is closed").undelivered.len();
    assert_eq!(undelivered, 0);
    let lost = pair.client.settlements().iter().filter(|(_, s)| *s == Settlement::Lost { sent: false }).count();
    assert_eq!(lost, 0, "all of it has left");
}

#[test]
fn credit_that_is_given_twice_before_drains_are_answered_is_there_in_the_end() {
    for credit in [Credit::Window(1), Credit::Manual(1)] {
        let mut pair = Pair::open();
        let (session, _) = pair.session();
        let (rx, tx) = pair.receiver(session, "l", Credit::Manual(0));
        // Each flow leaves and is answered by itself, and no answer has arrived when the next one leaves.
        for step in 0..5 {
            match step {
                0 => pair.client.set_credit(rx, Credit::Manual(10)).unwrap(),
                1 | 3 => pair.client.drain(rx).unwrap(),
                2 => pair.client.set_credit(rx, Credit::Window(16)).unwrap(),
                _ => pair.client.set_credit(rx, credit).unwrap(),
            }
            let octets = pair.client.output(pair.now, usize::MAX);
            pair.server.input.extend_from_slice(&octets);
            pair.server.take_input(pair.now);
            let octets = pair.server.output(pair.now, usize::MAX);
            pair.down.write(&octets);
        }
        pair.drive();
        assert_eq!(pair.server.credit(tx), 1, "{credit:?}");
        assert!(pair.client.detached(rx).is_none());
    }
}
