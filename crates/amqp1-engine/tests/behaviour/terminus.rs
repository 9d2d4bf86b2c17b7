//! Sources and targets between two engines (§3.5).

use amqp1_codec::{
    definitions::{ErrorCondition, Role},
    messaging::{DistributionMode, LifetimePolicy, NodeProperties, Source, Target, TerminusExpiryPolicy},
    performative::{Attach, Performative, TargetArchetype},
};
use amqp1_engine::{ApiMisuse, AttachReply, Credit, ReceiverConfig, SenderConfig};
use amqp1_testkit::*;

fn dynamic(address: Option<&'static str>, dynamic: bool, described: bool) -> Source {
    let properties = NodeProperties::default().with_lifetime_policy(LifetimePolicy::DeleteOnClose);
    let dynamic_node_properties = described.then_some(properties);
    Source { address: address.map(Into::into), dynamic, dynamic_node_properties, ..Source::default() }
}

/// Also M-3.5.3-4 and M-3.5.4-1: in a source and in a target.
#[test]
fn m_3_5_3_1_a_request_for_a_dynamic_node_names_no_address() {
    for (source, refused) in [
        (dynamic(Some("here"), true, false), true),
        (dynamic(None, false, true), true),
        (dynamic(None, true, true), false),
        (dynamic(Some("here"), false, false), false),
    ] {
        let Source { address, dynamic, dynamic_node_properties, .. } = source.clone();
        let target = Target { address, dynamic, dynamic_node_properties, ..Target::default() };
        for attach in [
            Attach { source: Some(Box::new(source.clone())), ..attach("l", 0, Role::Receiver) },
            Attach { target: Some(target.into()), ..attach("l", 0, Role::Sender) },
        ] {
            let mut peer = Peer::with_session();
            peer.send(0, attach);
            let expected = refused.then_some(("detach", ErrorCondition::INVALID_FIELD));
            assert_eq!(peer.refusal(), expected, "{source:?}");
        }
    }
}

/// In both directions, and by either end.
#[test]
fn t_2_6_3_3_who_asks_learns_what_is_granted_and_not_what_it_has_asked_for() {
    let asked_source = Source { timeout: 3600, expiry_policy: TerminusExpiryPolicy::Never, ..Source::at("asked") };
    let asked_target = Target { timeout: 3600, expiry_policy: TerminusExpiryPolicy::Never, ..Target::at("asked") };
    for role in [Role::Sender, Role::Receiver] {
        let mut peer = Peer::with_session();
        peer.end.accept.links = None;
        let source = Some(Box::new(asked_source.clone()));
        peer.send(0, Attach { source, target: Some(asked_target.clone().into()), ..attach("l", 0, role) });
        let link = peer.end.offered_links()[0];
        let (source, target) = (Source::at("granted"), Target::at("granted"));
        let reply = AttachReply::echo(&peer.end.remote_attach(link).unwrap());
        let reply = AttachReply { source: Some(source.clone()), target: Some(target.clone().into()), ..reply };
        peer.end.accept_link(link, reply).unwrap();
        let answer = peer.read().into_iter().find_map(|(_, body, _)| match body {
            Performative::Attach(attach) => Some(attach),
            _ => None,
        });
        let answer = answer.unwrap();
        assert_eq!((answer.source.as_deref(), answer.target), (Some(&source), Some(target.clone().into())), "{role:?}");

        // The end that asks is told the same.
        let (mut peer, session) = Peer::client_with_session();
        let ours = match role {
            Role::Sender => peer.end.attach_sender(session, sender("l")),
            Role::Receiver => peer.end.attach_receiver(session, receiver("l", Credit::Manual(1))),
        };
        let ours = ours.unwrap();
        let (source, target) = (Some(Box::new(source)), Some(target.into()));
        peer.send(0, Attach { source, target, ..attach("l", 0, role.opposite()) });
        let told = peer.end.remote_attach(ours).unwrap();
        assert_eq!(told.source.and_then(|source| source.address).as_deref(), Some("granted"), "{role:?}");
        let target = told.target.as_ref().and_then(TargetArchetype::as_target);
        assert_eq!(target.and_then(|target| target.address.as_deref()), Some("granted"), "{role:?}");
    }
}

/// Also M-3.5.3-4 and M-3.5.4-1: this end does not ask so either.
#[test]
fn m_3_5_3_1_a_contradictory_request_is_an_error_of_the_call() {
    for (source, refused) in [
        (dynamic(Some("here"), true, false), true),
        (dynamic(None, false, true), true),
        (dynamic(None, true, true), false),
        (dynamic(Some("here"), false, false), false),
    ] {
        let mut pair = Pair::open();
        let (session, _) = pair.session();
        let before = pair.client.written.len();
        let Source { address, dynamic, dynamic_node_properties, .. } = source.clone();
        let target = Target { address, dynamic, dynamic_node_properties, ..Target::default() };
        let receives = ReceiverConfig { source: Some(source), ..receiver("l", Credit::Manual(1)) };
        let sends = SenderConfig { target: Some(target.into()), ..sender("l") };
        let asked = [pair.client.attach_receiver(session, receives), pair.client.attach_sender(session, sends)];
        for asked in asked {
            assert_eq!(asked.err(), refused.then_some(ApiMisuse::DynamicNodeContradiction));
        }
        pair.drive();
        assert_eq!(pair.client.written.len() == before, refused);
    }
}

#[test]
fn a_distribution_mode_reaches_the_node_and_comes_back() {
    for mode in [DistributionMode::COPY, DistributionMode::MOVE] {
        let mut pair = Pair::open();
        let (session, _) = pair.session();
        let source = Source { distribution_mode: Some(mode.clone()), ..Source::at("q") };
        let config = ReceiverConfig { source: Some(source), ..receiver("a", Credit::Manual(1)) };
        let rx = pair.client.attach_receiver(session, config).unwrap();
        pair.drive();
        let tx = pair.server.offered("a", Role::Sender);
        for attach in [pair.server.remote_attach(tx), pair.client.remote_attach(rx)] {
            assert_eq!(attach.unwrap().source.unwrap().distribution_mode, Some(mode.clone()));
        }
    }
}
