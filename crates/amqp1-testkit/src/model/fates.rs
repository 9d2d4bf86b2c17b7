//! What must have come of everything when the connection is over.

use super::{
    link::{Link, OURS, token},
    world::World,
};
use crate::End;
use amqp1_codec::definitions::ErrorCondition;
use amqp1_engine::{ConnectionError, Event, LinkId, SessionId, Settlement};
use std::collections::{BTreeMap, BTreeSet};

/// Messages: nothing is lost that was not said to be, nothing comes twice, order is kept, each has one fate.
pub(super) fn check(world: &mut World) {
    collect_undelivered(world);
    let mut fates: BTreeMap<u64, Settlement> = BTreeMap::new();
    for end in [&world.pair.client, &world.pair.server] {
        for (token, settlement) in end.settlements() {
            assert!(fates.insert(token, settlement).is_none(), "message {token} has two fates");
        }
        check_events(end);
    }
    let judge = world.pair.judge.as_ref().expect("a judge");
    for link in &world.links {
        check_received(link);
        for (token, settled) in &link.sent {
            let begun = judge.has_begun(*token);
            check_fate(link, *token, *settled, begun, fates.remove(token));
        }
    }
    assert!(fates.is_empty(), "fates of messages that nobody has sent: {fates:?}");
}

/// What was settled and not taken when the links went belongs to what was received.
fn collect_undelivered(world: &mut World) {
    for at in 0..world.links.len() {
        let Some((side, id)) = world.id(at, false) else { continue };
        if let Some(detached) = world.end(side).detached(id) {
            let tokens: Vec<_> = detached.undelivered.iter().map(|delivery| token(&delivery.message)).collect();
            world.links[at].received.extend(tokens);
        }
    }
}

fn check_received(link: &Link) {
    let sent: Vec<_> = link.sent.iter().map(|(token, _)| *token).collect();
    if link.ended {
        let mut order = sent.iter();
        let in_order = link.received.iter().all(|token| order.any(|sent| sent == token));
        assert!(in_order, "{}: {:?} of {sent:?}", link.name, link.received);
    } else {
        assert_eq!(link.received, sent, "{}", link.name);
    }
}

fn check_fate(link: &Link, token: u64, settled: bool, begun: bool, fate: Option<Settlement>) {
    let received = link.received.contains(&token);
    match (&fate, settled) {
        (Some(Settlement::Sent), true) => {
            assert!(received || link.harsh, "message {token} was sent, and has not arrived on {}", link.name);
        }
        (Some(Settlement::Outcome(state)), false) => {
            assert_eq!(state.as_ref(), link.stated.get(&token), "message {token}");
            assert!(received, "message {token} has an outcome and was not received");
        }
        (Some(Settlement::Lost { sent }), _) => {
            assert!(link.ended, "message {token} is lost on {}, which nobody has ended", link.name);
            assert!(*sent || !received, "message {token} was received although it was not sent");
            assert!(*sent || link.harsh, "message {token} on {} did not leave before the end in peace", link.name);
            assert_eq!(*sent, begun, "message {token}: whether any of it was written");
        }
        _ => panic!("message {token} on {}: {fate:?}", link.name),
    }
}

/// Events: links go before their session, sessions before the connection, each once, and nothing stays. No end finds
/// that the other has broken a rule.
fn check_events(end: &End) {
    let (mut links, mut sessions) = (BTreeSet::<LinkId>::new(), BTreeSet::<SessionId>::new());
    let (mut gone, mut ended_sessions) = (BTreeSet::new(), BTreeSet::new());
    for event in &end.events {
        let context = || format!("{event:?} among {:?}", end.events);
        match event {
            Event::SessionOffered(id) | Event::SessionBegun(id) => assert!(sessions.insert(*id), "{}", context()),
            Event::LinkOffered(id) => assert!(links.insert(*id), "{}", context()),
            Event::LinkAttached(id) => {
                assert!(links.insert(*id) && !gone.contains(id), "{}", context());
            }
            Event::Receivable(id) | Event::Sendable(id) | Event::Drained(id) => {
                assert!(!gone.contains(id), "{}", context());
            }
            Event::LinkDetached(id, detached) => {
                assert!(gone.insert(*id), "{}", context());
                links.remove(id);
                let session = end.session_ids.get(id);
                assert!(session.is_none_or(|session| !ended_sessions.contains(session)), "{}", context());
                check_reason(detached.error.as_ref().map(|error| &error.condition), &context);
            }
            Event::SessionEnded(id, ended) => {
                sessions.remove(id);
                assert!(ended_sessions.insert(*id), "{}", context());
                check_reason(ended.error.as_ref().map(|error| &error.condition), &context);
            }
            Event::Closed(reason) => {
                let fault = matches!(
                    **reason,
                    ConnectionError::Misbehaved(_)
                        | ConnectionError::ProtocolMismatch { .. }
                        | ConnectionError::Sasl(_)
                );
                assert!(!fault, "{}", context());
                assert!(links.is_empty() && sessions.is_empty(), "{links:?} and {sessions:?} stay: {}", context());
            }
            _ => {}
        }
    }
    end.closed();
}

/// Nothing ends with an error but by the model's wish.
fn check_reason(condition: Option<&ErrorCondition>, context: &dyn Fn() -> String) {
    assert!(condition.is_none_or(|condition| *condition == OURS), "{}", context());
}
