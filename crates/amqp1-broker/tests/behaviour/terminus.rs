//! Sources and targets of a node, between two engines (§3.5).

use amqp1_broker::terminus::{
    Difference, DynamicNodes, Key, Lost, Support, Suspension, TerminusStore, differences, refusal, target_differences,
};
use amqp1_codec::{
    Symbol,
    definitions::{ErrorCondition, Role},
    messaging::{
        DeliveryState, DistributionMode, FilterSet, LifetimePolicy, NodeProperties, Source, Target, TerminusDurability,
        TerminusExpiryPolicy,
    },
    performative::{Attach, TargetArchetype},
};
use amqp1_engine::{
    AttachReply, Credit, LinkId, ReceiverConfig, SenderConfig, Settlement, Suspended, SuspendedReceiver,
};
use amqp1_testkit::*;

fn dynamic(address: Option<&'static str>, dynamic: bool, described: bool) -> Source {
    let properties = NodeProperties::default().with_lifetime_policy(LifetimePolicy::DeleteOnClose);
    let dynamic_node_properties = described.then_some(properties);
    Source { address: address.map(Into::into), dynamic, dynamic_node_properties, ..Source::default() }
}

/// The asking end sees the address; two requests have two.
#[test]
fn m_3_5_3_2_the_answer_to_a_dynamic_request_carries_the_address() {
    let mut nodes = DynamicNodes::new();
    let mut pair = Pair::open();
    pair.server.accept.links = None;
    let (session, _) = pair.session();
    let mut addresses = Vec::new();
    for name in ["a", "b"] {
        let config = ReceiverConfig { source: Some(dynamic(None, true, true)), ..receiver(name, Credit::Manual(1)) };
        let rx = pair.client.attach_receiver(session, config.clone()).unwrap();
        pair.drive();
        let tx = pair.server.offered(name, Role::Sender);
        let offered = pair.server.remote_attach(tx).unwrap();
        let asked = offered.source.clone().unwrap();
        let address = nodes.create(Key::new("client", name, Role::Sender), asked.dynamic_node_properties.as_ref());
        let source = Some(Source { address: Some(address), ..*asked });
        pair.server.accept_link(tx, AttachReply { source, ..AttachReply::echo(&offered) }).unwrap();
        pair.drive();
        let granted = pair.client.remote_attach(rx).unwrap().source.clone().unwrap();
        assert!(differences(config.source.as_ref().unwrap(), &granted).is_empty());
        addresses.push(granted.address.unwrap());
    }
    assert!(addresses[0] != addresses[1] && addresses.iter().all(|address| nodes.contains(address)));
}

fn support() -> Support {
    Support {
        outcomes: vec![DeliveryState::ACCEPTED],
        default_outcome: Some(DeliveryState::Released),
        distribution_modes: vec![DistributionMode::MOVE, DistributionMode::COPY],
        filters: |_| false,
        durable: Default::default(),
        outlives_connections: true,
        timeout: 60,
    }
}

/// The asking end finds out.
#[test]
fn m_3_5_1_1_the_attach_in_answer_shows_which_filters_are_in_force() {
    let mut filter = FilterSet::new();
    filter.insert(Symbol::from_static("mine"), 1_u64, "x");
    let asked = Source { filter: Some(filter), ..Source::at("q") };
    let mut pair = Pair::open();
    pair.server.accept.links = None;
    let (session, _) = pair.session();
    let config = ReceiverConfig { source: Some(asked.clone()), ..receiver("l", Credit::Manual(1)) };
    let rx = pair.client.attach_receiver(session, config).unwrap();
    pair.drive();
    let tx = pair.server.offered("l", Role::Sender);
    let offered = pair.server.remote_attach(tx).unwrap();
    let source = Some(support().grant(offered.source.as_deref().unwrap()));
    pair.server.accept_link(tx, AttachReply { source, ..AttachReply::echo(&offered) }).unwrap();
    pair.drive();
    let granted = pair.client.remote_attach(rx).unwrap().source.clone().unwrap();
    assert_eq!(differences(&asked, &granted), [Difference::FilterMissing(Symbol::from_static("mine"))]);
    pair.client.detach(rx, true, Some(error(ErrorCondition::NOT_IMPLEMENTED))).unwrap();
    pair.drive();
    assert!(pair.server.detached(tx).is_some());
}

/// The answer says what is in force of a node's properties, not what was asked for: that may be malformed.
#[test]
fn m_3_5_9_1_the_answer_says_which_lifetime_policy_is_in_force() {
    let (mut odd, mut spare) = (NodeProperties::default(), NodeProperties::default());
    odd.0.insert(Symbol::from_static("lifetime-policy"), 7_u32);
    spare.0.insert(Symbol::from_static("colour"), "red");
    let known = NodeProperties::default().with_lifetime_policy(LifetimePolicy::DeleteOnNoMessages);
    for (asked, granted) in [
        (None, None),
        (Some(odd), Some(LifetimePolicy::DeleteOnClose)),
        (Some(spare), Some(LifetimePolicy::DeleteOnClose)),
        (Some(known), Some(LifetimePolicy::DeleteOnNoMessages)),
    ] {
        let granted = granted.map(|policy| NodeProperties::default().with_lifetime_policy(policy));
        let source = Source { dynamic: true, dynamic_node_properties: asked.clone(), ..Source::default() };
        let target = Target { dynamic: true, dynamic_node_properties: asked, ..Target::default() };
        let receives = Attach { source: Some(Box::new(source)), ..attach("l", 0, Role::Receiver) };
        let reply = support().reply(&receives, Some("made".into())).unwrap();
        assert!(reply.source.unwrap().dynamic_node_properties == granted);
        let sends = Attach { target: Some(target.into()), ..attach("l", 0, Role::Sender) };
        let reply = support().reply(&sends, Some("made".into())).unwrap();
        assert!(reply.target.unwrap().as_target().unwrap().dynamic_node_properties == granted);
    }
}

/// Also M-3.5.4-1: at either end, an address makes the difference.
#[test]
fn m_3_5_3_2_support_grants_no_dynamic_node_without_an_address() {
    let properties = Some(NodeProperties::default().with_lifetime_policy(LifetimePolicy::DeleteOnClose));
    let source = dynamic(None, true, true);
    let target = Target { dynamic: true, dynamic_node_properties: properties, ..Target::default() };
    assert!(!support().grant(&source).dynamic && !support().grant_target(&target).dynamic);
    let receives = Attach { source: Some(Box::new(source)), ..attach("l", 0, Role::Receiver) };
    let sends = Attach { target: Some(target.into()), ..attach("l", 0, Role::Sender) };
    for asked in [receives, sends] {
        let error = support().reply(&asked, None).unwrap_err();
        assert_eq!(error.condition, ErrorCondition::NOT_IMPLEMENTED);
        assert!(refusal(&asked, &AttachReply::echo(&asked)).is_some());
        assert!(refusal(&asked, &AttachReply::basic(&asked)).is_some());
        let reply = support().reply(&asked, Some("made".into())).unwrap();
        let (source, target) = (reply.source.unwrap(), reply.target.unwrap());
        let target = target.as_target().unwrap();
        let made = Some("made".into());
        match asked.role {
            Role::Receiver => assert_eq!((source.dynamic, source.address), (true, made)),
            Role::Sender => assert_eq!((target.dynamic, target.address.clone()), (true, made)),
        }
    }
}

#[test]
fn t_2_6_3_3_a_target_is_as_lasting_as_is_said() {
    let asked = Target {
        address: Some("q".into()),
        durable: TerminusDurability::UnsettledState,
        expiry_policy: TerminusExpiryPolicy::Never,
        timeout: 3600,
        capabilities: vec![Symbol::from_static("queue")].into(),
        ..Target::default()
    };
    let granted = support().grant_target(&asked);
    assert_eq!(granted, Target { durable: TerminusDurability::None, timeout: 60, ..granted.clone() });
    assert_eq!((granted.address.as_deref(), granted.expiry_policy), (Some("q"), TerminusExpiryPolicy::Never));
    assert!(granted.capabilities.is_empty());
    assert_eq!(target_differences(&asked, &granted), [Difference::LessDurable, Difference::ExpiresSooner]);
    assert_eq!(target_differences(&dynamic_target(), &Target::default()), [Difference::AddressMissing]);
    let granted = Support::default().grant_target(&asked);
    assert_eq!((granted.expiry_policy, granted.timeout), (TerminusExpiryPolicy::SessionEnd, 0));
}

fn dynamic_target() -> Target {
    Target { dynamic: true, ..Target::default() }
}

/// Also T-2.6.3-5: what the peer has at its own end is not judged.
#[test]
fn t_2_6_3_2_a_link_without_a_node_at_our_end_is_refused() {
    let nothing = |role| Attach { source: None, target: None, ..attach("l", 0, role) };
    for role in [Role::Receiver, Role::Sender] {
        let error = Support::default().reply(&nothing(role), None).unwrap_err();
        assert_eq!(error.condition, ErrorCondition::NOT_FOUND);
    }
    // The peer's own end is its own affair.
    let receives = Attach { target: None, ..attach("l", 0, Role::Receiver) };
    assert!(Support::default().reply(&receives, None).unwrap().target.is_none());
    let sends = Attach { source: None, ..attach("l", 0, Role::Sender) };
    assert!(Support::default().reply(&sends, None).unwrap().source.is_none());
    let coordinator = Some(TargetArchetype::Coordinator(Default::default()));
    let coordinator = Attach { target: coordinator, ..attach("l", 0, Role::Sender) };
    let error = Support::default().reply(&coordinator, None).unwrap_err();
    assert_eq!(error.condition, ErrorCondition::NOT_IMPLEMENTED);
}

#[test]
fn m_3_5_3_6_the_default_outcome_asked_for_is_granted_where_the_node_has_none() {
    let asked = |outcome| Source { default_outcome: Some(outcome), ..Source::at("q") };
    let granted = |outcome| Support::default().grant(&asked(outcome)).default_outcome;
    assert_eq!(granted(DeliveryState::Accepted), Some(DeliveryState::Accepted));
    assert_eq!(granted(DeliveryState::Received(Default::default())), None);
    assert_eq!(support().grant(&asked(DeliveryState::Accepted)).default_outcome, Some(DeliveryState::Released));
}

#[test]
fn m_3_5_1_2_a_filter_that_is_written_in_another_way_is_not_missing() {
    let name = Symbol::from_static("mine");
    let filter = |name: &Symbol, descriptor: u64| {
        let mut filter = FilterSet::new();
        filter.insert(name.clone(), descriptor, "x");
        Source { filter: Some(filter), ..Source::at("q") }
    };
    let asked = filter(&name, 1);
    assert_eq!(differences(&asked, &filter(&name, 1)), []);
    assert_eq!(differences(&asked, &filter(&name, 2)), [Difference::FilterChanged(name.clone())]);
    assert_eq!(differences(&asked, &filter(&Symbol::from_static("other"), 1)), []);
    assert_eq!(differences(&asked, &filter(&Symbol::from_static("other"), 2)), [Difference::FilterMissing(name)]);
}

fn attach_and_accept(
    pair: &mut Pair,
    resume: Option<amqp1_engine::SuspendedSender>,
    store: &mut TerminusStore,
) -> (LinkId, LinkId) {
    pair.server.accept.links = None;
    let session = pair.client.begin(Default::default()).unwrap();
    let config = SenderConfig {
        resumable: true,
        resume,
        rcv_settle_mode: amqp1_codec::definitions::ReceiverSettleMode::Second,
        ..sender("l")
    };
    let tx = pair.client.attach_sender(session, config).unwrap();
    pair.drive();
    let rx = pair.server.offered("l", Role::Receiver);
    let offered = pair.server.remote_attach(rx).unwrap();
    let kept = store.resume(&Key::new("client", "l", Role::Receiver)).map(|suspension| suspension.state);
    let resume_receiver = match kept {
        Some(Suspended::Receiver(receiver)) => Some(receiver),
        _ => offered.unsettled.is_some().then(SuspendedReceiver::new),
    };
    let reply = AttachReply { resumable: true, resume_receiver, ..AttachReply::echo(&offered) };
    pair.server.accept_link(rx, reply).unwrap();
    pair.drive();
    (tx, rx)
}

/// A delivery is with the receiver when the connection goes; the terminus is kept for ten seconds.
#[test]
fn m_3_5_6_1_a_link_is_resumed_from_the_store_in_time_and_not_after_it() {
    for (pause, kept) in [(9, true), (11, false)] {
        let mut store = TerminusStore::new(10);
        let mut pair = Pair::open();
        let (tx, rx) = attach_and_accept(&mut pair, None, &mut store);
        pair.client.send(tx, message(1, 10), unsettled(1)).unwrap();
        pair.drive();
        let first = pair.server.recv(rx).unwrap();
        let now = pair.now;
        for end in [&mut pair.client, &mut pair.server] {
            end.engine.handle_eof(now);
            end.look();
        }
        let state = pair.server.detached(rx).unwrap().suspended.unwrap();
        let policy = TerminusExpiryPolicy::ConnectionClose;
        let suspension = Suspension { state, durable: Default::default(), policy, timeout: 10 };
        store.suspend(Key::new("client", "l", Role::Receiver), suspension, Lost::Connection, now);
        let Some(Suspended::Sender(sender)) = pair.client.detached(tx).unwrap().suspended else { panic!("kept") };
        let later = now + secs(pause);
        assert_eq!(store.expire(later).len(), usize::from(!kept));
        let mut pair = Pair::open();
        let (_, rx) = attach_and_accept(&mut pair, Some(sender), &mut store);
        let again = pair.server.recv(rx).unwrap();
        assert_eq!((again.tag, again.resumed), (first.tag, kept));
        pair.server.dispose(rx, again.key, DeliveryState::Accepted).unwrap();
        pair.drive();
        assert_eq!(pair.client.settlements(), [(1, Settlement::Outcome(Some(DeliveryState::Accepted)))]);
    }
}
