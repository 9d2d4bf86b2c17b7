//! What an acceptor grants by default, and what a client does when it does not get what it asked for.

use crate::peers::raw::Raw;
use crate::support::{pair, pair_with, receiver_request, sender_request, soon};
use amqp1::{
    AcceptedLink, Acceptor, Credit, ErrorKind, IncomingLink, Retry, Source, Symbol, Target, Value,
    codec::{
        SequenceNo,
        messaging::{DistributionMode, LifetimePolicy, NodeProperties, TerminusDurability, TerminusExpiryPolicy},
        performative::Performative,
    },
    connection::Tolerances,
    engine::terminus::{STANDARD_OUTCOMES, Support},
    error::ErrorCondition,
    link::{
        Attach, DeliveryState, Filter, FilterSet, Modified, ReceiverBuilder, ReceiverSettleMode, Role,
        SenderSettleMode, TargetArchetype,
    },
    message::Str,
};

const FILTER: Symbol = Symbol::from_static("jms-selector");
const SELECTOR: u64 = 0x0000_468C_0000_0004;
const STRANGE: Symbol = Symbol::from_static("x:outcome:list");

fn filters() -> FilterSet {
    let mut filters = FilterSet::new();
    filters.insert(FILTER, SELECTOR, "colour = 'red'");
    filters
}

/// A source that asks for everything but a dynamic node.
fn everything() -> Source {
    let mut outcomes = STANDARD_OUTCOMES.to_vec();
    outcomes.push(STRANGE);
    Source {
        address: Some("q".into()),
        durable: TerminusDurability::UnsettledState,
        expiry_policy: TerminusExpiryPolicy::Never,
        timeout: 3600,
        distribution_mode: Some(DistributionMode::COPY),
        filter: Some(filters()),
        default_outcome: Some(DeliveryState::Modified(Box::new(Modified {
            delivery_failed: true,
            ..Modified::default()
        }))),
        outcomes: outcomes.into(),
        capabilities: vec![Symbol::from_static("topic")].into(),
        ..Source::default()
    }
}

/// And such a target.
fn everywhere() -> Target {
    Target {
        address: Some("q".into()),
        durable: TerminusDurability::UnsettledState,
        expiry_policy: TerminusExpiryPolicy::Never,
        timeout: 3600,
        capabilities: vec![Symbol::from_static("queue")].into(),
        ..Target::default()
    }
}

fn with_support(link: IncomingLink, support: &Support) -> AcceptedLink {
    match link {
        IncomingLink::Sender(mut request) => {
            request.grant(support, None).expect("granted");
            AcceptedLink::Sender(request.accept().expect("accepted"))
        }
        link => {
            let mut request = receiver_request(link);
            request.grant(support, None).expect("granted");
            AcceptedLink::Receiver(request.accept().expect("accepted"))
        }
    }
}

fn dynamic() -> NodeProperties {
    NodeProperties::default().with_lifetime_policy(LifetimePolicy::DeleteOnClose)
}

/// What the acceptor answers to a receiver.
async fn answer_to_receiver(change: impl FnOnce(ReceiverBuilder) -> ReceiverBuilder) -> Attach {
    let mut pair = pair().await;
    let session = pair.session().await;
    let attaching = change(session.receiver("q")).allow_differences().attach();
    let (receiver, _link) =
        tokio::join!(soon(attaching), async { pair.offered().await.accept_default().expect("accepted") });
    receiver.expect("attached").remote_attach()
}

/// Also M-3.5.1-1 and M-3.5.3-7.
#[tokio::test]
async fn t_2_6_3_3_by_default_a_receiver_gets_what_needs_no_support() {
    let answer = answer_to_receiver(|builder| {
        builder
            .source(everything())
            .target(Target { address: Some("mine".into()), ..everywhere() })
            .settle_mode(SenderSettleMode::Unsettled)
            .receiver_settle_mode(ReceiverSettleMode::Second)
            .property(Symbol::from_static("x"), 1_u32)
    })
    .await;
    let granted = Source {
        address: Some("q".into()),
        distribution_mode: Some(DistributionMode::MOVE),
        default_outcome: everything().default_outcome,
        outcomes: STANDARD_OUTCOMES.to_vec().into(),
        ..Source::default()
    };
    assert_eq!(answer.source.as_deref(), Some(&granted));
    assert_eq!(answer.target, Some(Target::at("mine").into()));
    assert_eq!(answer.snd_settle_mode, SenderSettleMode::Unsettled);
    // Where it sends, the receiver's mode stands.
    assert_eq!(answer.rcv_settle_mode, ReceiverSettleMode::Second);
    assert_eq!(answer.properties, None);
    // What was not asked for is not said.
    let answer = answer_to_receiver(|builder| builder.source(Source::at("q"))).await;
    assert_eq!(answer.source.as_deref(), Some(&Source::at("q")));
    let strange = Source { outcomes: vec![STRANGE].into(), ..Source::at("q") };
    let answer = answer_to_receiver(|builder| builder.source(strange)).await;
    assert_eq!(answer.source.as_deref(), Some(&Source::at("q")));
}

#[tokio::test]
async fn t_2_6_3_3_by_default_a_sender_gets_what_needs_no_support() {
    let mut pair = pair().await;
    let session = pair.session().await;
    let source = Source { address: Some("mine".into()), ..everything() };
    let builder = session.sender("q").target(everywhere()).source(source).settle_mode(SenderSettleMode::Settled);
    let (sender, _link) =
        tokio::join!(soon(builder.attach()), async { pair.offered().await.accept_default().expect("accepted") });
    let answer = sender.expect("attached").remote_attach();
    assert_eq!(answer.target, Some(Target::at("q").into()));
    let granted = Source {
        address: Some("mine".into()),
        default_outcome: everything().default_outcome,
        outcomes: STANDARD_OUTCOMES.to_vec().into(),
        ..Source::default()
    };
    assert_eq!(answer.source.as_deref(), Some(&granted));
    assert_eq!(answer.snd_settle_mode, SenderSettleMode::Settled);
}

/// A client's attach that names no node of ours, or wants one made, is refused with the condition, and ends.
async fn refused(attach: Attach, condition: ErrorCondition) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (mut raw, mut server) = soon(Raw::client(near, far)).await;
    raw.send(attach.clone()).await;
    let link = soon(server.next_link()).await.expect("a link");
    let error = link.accept_default().expect_err("refused");
    assert_eq!((error.kind(), error.condition()), (ErrorKind::Config, Some(&condition)));
    let is_attach = |body: &Performative| matches!(body, Performative::Attach(_));
    let Performative::Attach(answer) = soon(raw.until(is_attach)).await else { panic!("an attach") };
    match attach.role {
        Role::Receiver => assert_eq!(answer.source, None),
        Role::Sender => assert_eq!(answer.target, None),
    }
    let Performative::Detach(detach) = soon(raw.until(|body| matches!(body, Performative::Detach(_)))).await else {
        panic!("a detach")
    };
    assert_eq!((detach.closed, detach.error.map(|error| error.condition)), (true, Some(condition)));
}

fn receives(source: Option<Source>, target: Option<TargetArchetype>) -> Attach {
    Attach { name: "l".into(), role: Role::Receiver, source: source.map(Box::new), target, ..Attach::default() }
}

fn sends(source: Option<Source>, target: Option<TargetArchetype>) -> Attach {
    let initial_delivery_count = Some(SequenceNo(0));
    Attach { role: Role::Sender, initial_delivery_count, ..receives(source, target) }
}

/// A JMS client unsubscribes with a null source, for one.
#[tokio::test]
async fn t_2_6_3_2_a_null_terminus_at_our_end_is_not_found() {
    refused(receives(None, Some(Target::default().into())), ErrorCondition::NOT_FOUND).await;
    refused(receives(None, None), ErrorCondition::NOT_FOUND).await;
    refused(sends(Some(Source::default()), None), ErrorCondition::NOT_FOUND).await;
}

/// Also M-3.5.4-1: of sources and of targets.
#[tokio::test]
async fn m_3_5_3_2_dynamic_nodes_are_refused_unless_they_are_made() {
    let properties = Some(dynamic());
    let source = Source { dynamic: true, dynamic_node_properties: properties.clone(), ..Source::default() };
    refused(receives(Some(source), Some(Target::default().into())), ErrorCondition::NOT_IMPLEMENTED).await;
    let target = Target { dynamic: true, dynamic_node_properties: properties, ..Target::default() };
    refused(sends(Some(Source::default()), Some(target.into())), ErrorCondition::NOT_IMPLEMENTED).await;
}

#[tokio::test]
async fn a_null_terminus_at_the_clients_end_is_tolerated() {
    for attach in [receives(Some(Source::at("q")), None), sends(None, Some(Target::at("q").into()))] {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (mut raw, mut server) = soon(Raw::client(near, far)).await;
        raw.send(attach.clone()).await;
        let link = soon(server.next_link()).await.expect("a link");
        let _accepted = link.accept_default().expect("accepted");
        let is_attach = |body: &Performative| matches!(body, Performative::Attach(_));
        let Performative::Attach(answer) = soon(raw.until(is_attach)).await else { panic!("an attach") };
        assert_eq!((&answer.source, &answer.target), (&attach.source, &attach.target));
    }
}

/// Asks with mode second; what the acceptor with these tolerances answers.
async fn receiver_mode(tolerances: Option<Tolerances>, opt_in: bool) -> ReceiverSettleMode {
    let mut builder = Acceptor::builder();
    if let Some(tolerances) = tolerances {
        builder = builder.config(move |config| config.tolerances = tolerances);
    }
    let mut pair = pair_with(|builder| builder, &builder.build()).await;
    let session = pair.session().await;
    let builder = session.sender("q").receiver_settle_mode(ReceiverSettleMode::Second).allow_differences();
    let (sender, _link) = tokio::join!(soon(builder.attach()), async {
        let link = pair.offered().await;
        if !opt_in {
            return link.accept_default().expect("accepted");
        }
        let mode = link.attach().rcv_settle_mode;
        let accepted = receiver_request(link).receiver_settle_mode(mode).accept();
        accepted.map(AcceptedLink::Receiver).expect("accepted")
    });
    sender.expect("attached").remote_attach().rcv_settle_mode
}

/// uamqp and pyamqp ask for second and never settle.
#[tokio::test]
async fn t_2_7_3_5_mode_second_is_answered_with_first_unless_the_application_opts_in() {
    assert_eq!(receiver_mode(None, false).await, ReceiverSettleMode::First);
    assert_eq!(receiver_mode(None, true).await, ReceiverSettleMode::Second);
    assert_eq!(receiver_mode(Some(Tolerances::STRICT), false).await, ReceiverSettleMode::Second);
}

#[tokio::test]
async fn what_a_node_supports_is_granted_at_either_end() {
    let support = Support {
        distribution_modes: vec![DistributionMode::MOVE, DistributionMode::COPY],
        filters: |descriptor| *descriptor == Value::Ulong(SELECTOR),
        durable: TerminusDurability::Configuration,
        outlives_connections: true,
        timeout: 60,
        ..Support::default()
    };
    let mut pair = pair().await;
    let session = pair.session().await;
    let attaching = session.receiver("q").source(everything()).attach();
    let (receiver, _link) = tokio::join!(soon(attaching), async {
        let link = pair.offered().await;
        with_support(link, &support)
    });
    let granted = receiver.expect("a browser with a selector").remote_attach().source.expect("a source");
    assert_eq!((granted.durable, granted.timeout), (TerminusDurability::Configuration, 60));
    assert_eq!((granted.expiry_policy, granted.filter), (TerminusExpiryPolicy::Never, Some(filters())));
    assert_eq!(granted.distribution_mode, Some(DistributionMode::COPY));
    assert!(granted.capabilities.is_empty());

    let attaching = session.sender("q").target(everywhere()).attach();
    let (sender, _link) = tokio::join!(soon(attaching), async {
        let link = pair.offered().await;
        with_support(link, &support)
    });
    let granted = sender.expect("a sender").remote_attach().target.expect("a target");
    let expected = Target {
        durable: TerminusDurability::Configuration,
        timeout: 60,
        capabilities: Default::default(),
        ..everywhere()
    };
    assert_eq!(granted, expected.into());

    // A node that is made has an address; without one the link is refused, also where the answer is made by hand.
    let wants = Source { dynamic: true, dynamic_node_properties: Some(dynamic()), ..Source::default() };
    for node in [Some(Str::from("made")), None] {
        let attaching = session.receiver("q").source(wants.clone()).attach();
        let (receiver, refused) = tokio::join!(soon(attaching), async {
            let link = pair.offered().await;
            assert!(link.is_dynamic());
            let mut request = sender_request(link);
            match request.grant(&support, node.clone()) {
                Ok(()) => Ok(request.accept().expect("accepted")),
                Err(error) => {
                    let refused = request.grant_everything().accept().expect_err("refused");
                    assert_eq!(refused.condition(), Some(&error.condition));
                    Err(error.condition)
                }
            }
        });
        match (node, receiver) {
            (Some(node), Ok(receiver)) => {
                let source = receiver.remote_attach().source.expect("a source");
                assert_eq!((source.dynamic, source.address), (true, Some(node)));
            }
            (None, Err(error)) => {
                assert_eq!(error.condition(), Some(&ErrorCondition::NOT_IMPLEMENTED));
                assert_eq!(refused.expect_err("refused"), ErrorCondition::NOT_IMPLEMENTED);
            }
            (_, receiver) => panic!("{receiver:?}"),
        }
    }
}

/// Attaches to an acceptor that grants what needs no support. The error, and how the acceptor's end ended.
async fn missing(change: impl FnOnce(ReceiverBuilder) -> ReceiverBuilder) -> amqp1::Error {
    let mut pair = pair().await;
    let session = pair.session().await;
    let attaching = change(session.receiver("q").credit(Credit::Manual(5))).attach();
    let (receiver, link) =
        tokio::join!(soon(attaching), async { pair.offered().await.accept_default().expect("accepted") });
    let AcceptedLink::Sender(sender) = link else { panic!("the client receives") };
    // The link goes, and there never was credit.
    assert_eq!(soon(sender.reserve()).await.expect_err("no credit").kind(), ErrorKind::LinkDetached);
    receiver.expect_err("it is missing")
}

/// Also T-2.6.3-4.
#[tokio::test]
async fn m_3_5_1_2_a_receiver_that_does_not_get_what_it_asked_for_says_what_is_missing() {
    let error = missing(|builder| builder.filter(Filter::new(FILTER, SELECTOR, "colour = 'red'"))).await;
    assert_eq!((error.kind(), error.retry()), (ErrorKind::NotGranted, Retry::Never));
    assert!(error.to_string().contains("the filter \"jms-selector\""), "{error}");
    let copy = Source { distribution_mode: Some(DistributionMode::COPY), ..Source::at("q") };
    let error = missing(|builder| builder.source(copy)).await;
    assert_eq!(error.kind(), ErrorKind::NotGranted);
    assert!(error.to_string().contains("the distribution mode \"copy\""), "{error}");
}

#[tokio::test]
async fn a_sender_that_does_not_get_mode_second_says_so() {
    let mut pair = pair().await;
    let session = pair.session().await;
    let attaching = session.sender("q").receiver_settle_mode(ReceiverSettleMode::Second).attach();
    let (sender, _link) =
        tokio::join!(soon(attaching), async { pair.offered().await.accept_default().expect("accepted") });
    let error = sender.expect_err("answered with first");
    assert_eq!(error.kind(), ErrorKind::NotGranted);
    assert!(error.to_string().contains("receiver-settle-mode second"), "{error}");
}

/// Attaches a receiver to a peer that answers with this source and mode; the error, if it is one.
async fn answered(
    change: impl FnOnce(ReceiverBuilder) -> ReceiverBuilder,
    source: Source,
    snd_settle_mode: SenderSettleMode,
) -> Option<String> {
    let (connection, mut raw) = soon(Raw::connected()).await;
    let (session, ()) = tokio::join!(connection.begin(), raw.begin());
    let session = session.expect("a session");
    let (receiver, ()) = tokio::join!(soon(change(session.receiver("q")).attach()), async {
        let asked = raw.attach().await;
        let answer = Attach {
            name: asked.name.clone(),
            role: Role::Sender,
            source: Some(Box::new(source)),
            target: Some(Target::default().into()),
            snd_settle_mode,
            initial_delivery_count: Some(SequenceNo(0)),
            ..Attach::default()
        };
        raw.send(answer).await;
    });
    receiver.err().map(|error| {
        assert_eq!(error.kind(), ErrorKind::NotGranted, "{error}");
        error.to_string()
    })
}

/// What brokers leave out or write in another way is no reason to fail.
#[tokio::test]
async fn m_3_5_1_2_what_is_in_force_in_another_form_is_no_error() {
    let mixed = SenderSettleMode::Mixed;
    let mut changed = FilterSet::new();
    changed.insert(FILTER, Symbol::from_static("apache.org:selector-filter:string"), "colour = 'red'");
    let mut renamed = FilterSet::new();
    renamed.insert(Symbol::from_static("selector"), SELECTOR, "colour = 'red'");
    for filters in [filters(), changed, renamed] {
        let granted = Source { filter: Some(filters), ..Source::at("queue://q") };
        let error =
            answered(|builder| builder.filter(Filter::new(FILTER, SELECTOR, "colour = 'red'")), granted, mixed).await;
        assert_eq!(error, None);
    }
    // Durability, outcomes and capabilities that are left out; a mode that is not said; an address that is not said.
    let asked = Source { filter: None, distribution_mode: Some(DistributionMode::MOVE), ..everything() };
    assert_eq!(answered(|builder| builder.source(asked), Source::default(), mixed).await, None);
    let made = Source { address: Some("made".into()), ..Source::default() };
    let wants = || Source { dynamic: true, ..Source::default() };
    assert_eq!(answered(|builder| builder.source(wants()), made, mixed).await, None);
    let error = answered(|builder| builder.source(wants()), Source { dynamic: true, ..Source::default() }, mixed).await;
    assert!(error.expect("no address").contains("a dynamic node"));
    for (asked, answer, fails) in [
        (SenderSettleMode::Settled, SenderSettleMode::Unsettled, true),
        (SenderSettleMode::Unsettled, SenderSettleMode::Settled, true),
        (SenderSettleMode::Settled, SenderSettleMode::Mixed, false),
        (SenderSettleMode::Unsettled, SenderSettleMode::Mixed, false),
        (SenderSettleMode::Mixed, SenderSettleMode::Settled, false),
    ] {
        let error = answered(|builder| builder.settle_mode(asked), Source::at("q"), answer).await;
        assert_eq!(error.is_some(), fails, "{asked:?} answered with {answer:?}");
    }
    let unfiltered = || answered(|builder| builder.filter(Filter::new(FILTER, SELECTOR, "x")), Source::at("q"), mixed);
    assert!(unfiltered().await.is_some());
    let allowed = |builder: ReceiverBuilder| builder.filter(Filter::new(FILTER, SELECTOR, "x")).allow_differences();
    assert_eq!(answered(allowed, Source::at("q"), mixed).await, None);
}

/// Credit is given when it is known what is in force.
#[tokio::test]
async fn a_receiver_with_a_filter_has_its_credit_once_it_is_granted() {
    let support = Support { filters: |_| true, ..Support::default() };
    let mut pair = pair().await;
    let session = pair.session().await;
    let attaching = session.receiver("q").filter(Filter::new(FILTER, SELECTOR, "x")).credit(Credit::Manual(3)).attach();
    let (receiver, sender) = tokio::join!(soon(attaching), async {
        let link = pair.offered().await;
        let AcceptedLink::Sender(sender) = with_support(link, &support) else { panic!("the client receives") };
        sender
    });
    let _receiver = receiver.expect("attached");
    drop(soon(sender.reserve()).await.expect("credit"));
    assert_eq!(sender.credit(), 3);
}

/// §3.5.3: some brokers end the session over an outcome that their source does not list.
#[tokio::test]
async fn a_delivery_that_is_dropped_has_an_outcome_that_its_source_lists() {
    let modified = || DeliveryState::Modified(Box::new(Modified { delivery_failed: true, ..Modified::default() }));
    for (listed, outcome) in [
        (&STANDARD_OUTCOMES[..], modified()),
        (&[][..], modified()),
        (&["accepted", "rejected", "released"].map(outcome_symbol)[..], DeliveryState::Released),
    ] {
        for streamed in [false, true] {
            let mut pair = pair().await;
            let session = pair.session().await;
            let builder = session.receiver("q");
            let builder = if streamed { builder.streamed() } else { builder };
            let (receiver, link) = tokio::join!(soon(builder.attach()), async {
                let link = pair.offered().await;
                sender_request(link)
                    .source(Source { outcomes: listed.to_vec().into(), ..Source::at("q") })
                    .accept()
                    .map(AcceptedLink::Sender)
                    .expect("accepted")
            });
            let (mut receiver, AcceptedLink::Sender(sender)) = (receiver.expect("attached"), link) else {
                panic!("the client receives")
            };
            let (sent, ()) = tokio::join!(soon(sender.send("m")), async {
                if streamed {
                    drop(soon(receiver.recv_stream()).await.expect("no error").expect("a delivery"));
                } else {
                    drop(soon(receiver.recv()).await.expect("no error").expect("a delivery"));
                }
            });
            assert_eq!(sent.expect("sent").into_state(), Some(outcome.clone()), "{listed:?} {streamed}");
        }
    }
}

fn outcome_symbol(name: &str) -> Symbol {
    Symbol::new(format!("amqp:{name}:list")).expect("ASCII")
}
