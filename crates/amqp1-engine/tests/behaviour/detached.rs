//! Detaches and closes in every part that an engine may have of a link, with an error and without, and whatever is under
//! way on the link (§2.6.4, §2.6.6).

use amqp1_codec::{
    SequenceNo,
    definitions::{ErrorCondition, Role},
    performative::{Detach, Flow, Performative},
};
use amqp1_engine::{Cause, Credit, LinkId, Suspended};
use amqp1_testkit::*;

const FIRST: SequenceNo = SequenceNo(7);

/// The delivery that is under way on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UnderWay {
    Nothing,
    /// A delivery that is not settled.
    Unsettled,
    /// A delivery of which a part has left, or has come.
    Half,
    /// A delivery of ours that waits for the session's window.
    Waiting,
    /// A delivery of ours that waits for credit.
    WithoutCredit,
    /// The same as [`Waiting`](Self::Waiting), with a detach of ours behind it that does not close.
    Detaching,
}

impl UnderWay {
    fn all(role: Role) -> Vec<Self> {
        let mut all = vec![Self::Nothing, Self::Unsettled, Self::Half];
        if role == Role::Sender {
            all.extend([Self::Waiting, Self::WithoutCredit, Self::Detaching]);
        }
        all
    }

    /// A link on which that is so.
    fn link(self, part: Part) -> (Peer, LinkId) {
        let (mut peer, id) = part.link(FIRST, Credit::Manual(3), |_| {});
        let granted =
            |credit_, incoming_window| Flow { delivery_count: Some(FIRST), incoming_window, ..credit(0, credit_) };
        match (part.role, self) {
            (_, Self::Nothing) => {}
            (Role::Receiver, Self::Unsettled) => {
                peer.send_payload(0, transfer(0, 0), HELLO);
                peer.end.recv(id).unwrap();
            }
            (Role::Receiver, _) => {
                let half = amqp1_codec::performative::Transfer { more: true, ..transfer(0, 0) };
                peer.send_payload(0, half, &HELLO[..5]);
            }
            (Role::Sender, Self::Half) => {
                peer.send(0, granted(3, 1000));
                peer.end.begin_delivery(id, unsettled(1)).unwrap();
                peer.end.write(id, HELLO.into()).unwrap();
            }
            (Role::Sender, _) => {
                peer.send(0, granted(3, if self == Self::Unsettled { 1000 } else { 0 }));
                peer.end.send(id, message(1, 1), unsettled(1)).unwrap();
                match self {
                    Self::WithoutCredit => peer.send(0, granted(0, 0)),
                    Self::Detaching => peer.end.detach(id, false, None).unwrap(),
                    _ => {}
                }
            }
        }
        let leaves = part.role == Role::Sender && matches!(self, Self::Unsettled | Self::Half);
        assert_eq!(peer.names(), vec!["transfer"; usize::from(leaves)], "{part:?} {self:?}");
        (peer, id)
    }
}

/// Whether the peer has an error to report.
fn reasons() -> [Option<amqp1_codec::definitions::AmqpError>; 2] {
    [None, Some(error(ErrorCondition::RESOURCE_DELETED))]
}

/// The detaches among what the engine has written.
fn detaches(peer: &mut Peer) -> Vec<Detach> {
    let detaches = peer.read().into_iter().filter_map(|(_, body, _)| match body {
        Performative::Detach(detach) => Some(*detach),
        _ => None,
    });
    detaches.collect()
}

/// Also T-2.6.6-1: a close is answered by a close. T-2.6.2-2: the handles are free at both ends.
#[test]
fn t_2_6_4_1_a_detach_is_answered_in_kind_whatever_is_under_way() {
    for part in Part::all() {
        for under_way in UnderWay::all(part.role) {
            for (closed, why) in [true, false].into_iter().flat_map(|closed| reasons().map(|why| (closed, why))) {
                let what = format!("{part:?} {under_way:?} {closed} {why:?}");
                let (mut peer, id) = under_way.link(part);
                peer.send(0, Detach { handle: 0, closed, error: why.clone() });
                assert_eq!(detaches(&mut peer), [Detach { handle: 0, closed, error: None }], "{what}");
                let detached = peer.end.detached(id).unwrap();
                assert_eq!((detached.closed, detached.by, detached.error), (closed, Cause::Peer, why), "{what}");
                assert!(detached.suspended.is_none(), "{what}");
                peer.end.accept.links = Some(Credit::Manual(0));
                peer.send(0, attach("m", 0, Role::Receiver));
                let frames = peer.read();
                let [(_, Performative::Attach(next), _)] = &frames[..] else { panic!("{what}: {frames:?}") };
                assert_eq!(next.handle, 0, "{what}");
            }
        }
    }
}

/// Also T-2.6.6-1. What answers is an attach, and a detach like the peer's.
#[test]
fn t_2_6_4_1_a_detach_of_a_link_that_we_have_not_answered_is_answered_in_kind() {
    for role in [Role::Sender, Role::Receiver] {
        for (closed, why) in [true, false].into_iter().flat_map(|closed| reasons().map(|why| (closed, why))) {
            let mut peer = Peer::with_session();
            peer.end.accept.links = None;
            peer.send(0, attach("l", 0, role));
            peer.send(0, Detach { handle: 0, closed, error: why.clone() });
            let frames = peer.read();
            let [(_, Performative::Attach(ours), _), (_, Performative::Detach(detach), _)] = &frames[..] else {
                panic!("{role:?}: {frames:?}")
            };
            assert_eq!((ours.role, detach.handle), (role.opposite(), ours.handle), "{role:?}");
            assert_eq!((detach.closed, &detach.error), (closed, &None), "{role:?}");
            let detached = peer.end.detached(peer.end.offered_links()[0]).unwrap();
            assert_eq!((detached.closed, detached.by, detached.error), (closed, Cause::Peer, why), "{role:?}");
        }
    }
}

/// Whichever end detaches. A close leaves nothing.
#[test]
fn t_2_6_4_1_a_detached_link_leaves_what_is_not_settled_at_either_end() {
    for (part, by_peer) in Part::all().flat_map(|part| [(part, true), (part, false)]) {
        for closed in [true, false] {
            let what = format!("{part:?} by the peer: {by_peer}, closed: {closed}");
            let (mut peer, id) = part.resumable_link(FIRST, Credit::Manual(3));
            match part.role {
                Role::Sender => {
                    peer.send(0, Flow { delivery_count: Some(FIRST), ..credit(0, 3) });
                    peer.end.send(id, message(1, 1), unsettled(1)).unwrap();
                }
                Role::Receiver => peer.send_payload(0, transfer(0, 0), HELLO),
            }
            peer.read();
            if !by_peer {
                peer.end.detach(id, closed, None).unwrap();
                peer.flush();
            }
            peer.send(0, Detach { handle: 0, closed, error: None });
            assert_eq!(detaches(&mut peer).len(), 1, "{what}");
            let left = match peer.end.detached(id).unwrap().suspended {
                Some(Suspended::Sender(kept)) => (Role::Sender, kept.deliveries.len()),
                Some(Suspended::Receiver(kept)) => (Role::Receiver, kept.deliveries.len()),
                None => (part.role, 0),
            };
            assert_eq!(left, (part.role, usize::from(!closed)), "{what}");
        }
    }
}

/// With an error or without. A link of the same name in the other direction is another one.
#[test]
fn t_2_6_6_2_an_end_that_has_only_detached_closes_once_more_in_each_part() {
    for (part, beside) in Part::all().flat_map(|part| [(part, true), (part, false)]) {
        for why in reasons() {
            let what = format!("{part:?} {beside} {why:?}");
            let (mut peer, id) = part.link(FIRST, Credit::Manual(3), |_| {});
            if beside {
                peer.end.accept.links = Some(Credit::Manual(0));
                peer.send(0, attach("l", 1, part.role));
                assert_eq!(peer.names(), ["attach"], "{what}");
            }
            peer.end.detach(id, false, None).unwrap();
            assert_eq!(detaches(&mut peer), [Detach { handle: 0, closed: false, error: None }], "{what}");
            peer.send(0, Detach { handle: 0, closed: true, error: why.clone() });
            let frames = peer.read();
            let [(_, Performative::Attach(again), _), (_, Performative::Detach(close), _)] = &frames[..] else {
                panic!("{what}: {frames:?}")
            };
            assert_eq!((again.name.as_str(), again.role, again.handle), ("l", part.role, 0), "{what}");
            assert_eq!(**close, Detach { handle: 0, closed: true, error: None }, "{what}");
            let detached = peer.end.detached(id).unwrap();
            assert_eq!((detached.closed, detached.by, detached.error), (true, Cause::Peer, why), "{what}");
            // The peer answers, and is not answered. The other link is as it was.
            peer.send(0, attach("l", 0, part.role.opposite()));
            peer.send(0, Detach { handle: 0, closed: true, error: None });
            assert!(peer.names().is_empty(), "{what}");
            let others = peer.end.offered_links().into_iter().filter(|other| *other != id);
            let others: Vec<_> = others.map(|other| peer.end.attached_now(other)).collect();
            assert_eq!(others, vec![true; usize::from(beside)], "{what}");
        }
    }
}
