//! The control link: declare and discharge, and what becomes of a transaction (§4.1 to §4.3, §4.5).

use super::bank::{Bank, Work, message_of, source_that, value};
use amqp1_broker::{
    terminus::Support,
    transaction::{CoordinatorConfig, Discharging},
};
use amqp1_codec::{
    Message, Symbol, Value,
    definitions::{AmqpError, ErrorCondition, Role},
    messaging::{Annotations, DeliveryState, DeliveryState::Released, Properties, Source},
    performative::{Performative, TargetArchetype},
    transaction::{Coordinator as CoordinatorTarget, Declare, Declared, Discharge, capability},
};
use amqp1_engine::{
    Event, SendError, Settlement,
    transaction::{Answer, Controller, ControllerError, TxnId},
};
use amqp1_testkit::*;
use bytes::Bytes;

/// Also X-4.2-4 and X-4.3-1.
#[test]
fn x_4_2_1_a_declare_is_a_message_of_one_value_sent_unsettled() {
    let mut bank = Bank::new();
    let before = bank.pair.client.written.len();
    let txn = bank.declare();
    assert!(txn.as_slice().len() <= TxnId::MAX);
    let sent = frames(&bank.pair.client.written[before..]);
    let transfer = sent.iter().find_map(|(_, body, payload)| match body {
        Some(Performative::Transfer(transfer)) => Some((transfer.settled, payload.clone())),
        _ => None,
    });
    let (settled, payload) = transfer.unwrap();
    assert_eq!(settled, Some(false));
    let declared = Message::from_bytes(payload).unwrap().value().unwrap().unwrap();
    assert_eq!(declared, value(&Declare::default()));
    bank.commit(&txn);
    assert!(bank.coordinator.is_empty());
}

#[test]
fn x_4_2_4_a_hundred_transactions_have_a_hundred_names() {
    let mut bank = Bank::new();
    let names: std::collections::BTreeSet<_> = (0..100).map(|_| bank.declare()).collect();
    assert_eq!((names.len(), bank.coordinator.len()), (100, 100));
}

#[test]
fn x_4_2_2_a_settled_declare_or_discharge_costs_the_control_link() {
    for body in [value(&Declare::default()), value(&Discharge::default())] {
        let mut bank = Bank::new();
        // Our controller never does this: its link sends nothing settled.
        let (near, far) = bank.posts;
        bank.pair.client.send(near, message_of(body), settled(1)).unwrap();
        bank.pair.drive();
        let delivery = bank.pair.server.recv(far).unwrap();
        let source = source_that(true);
        let refused = bank.coordinator.handle(far, Some(&source), &delivery, bank.pair.now).unwrap_err();
        assert_eq!((refused.error.condition, refused.detach), (ErrorCondition::ILLEGAL_STATE, true));
    }
    // X-4.2-6, and what makes it so for ours.
    let link = Controller::link("control", []);
    assert_eq!(link.snd_settle_mode, amqp1_codec::definitions::SenderSettleMode::Unsettled);
}

#[test]
fn x_4_2_6_a_control_link_takes_a_rejection_for_an_answer() {
    let link = Controller::link("control", []);
    assert!(link.source.unwrap().outcomes.contains(&Symbol::from_static("amqp:rejected:list")));
}

#[test]
fn x_4_2_3_other_sections_around_a_declare_or_a_discharge_mean_nothing() {
    let key = || Symbol::from_static("x-opt-key");
    let with_all = |body: Value| {
        Message::builder()
            .header(Default::default())
            .delivery_annotation(key(), 1_u32)
            .message_annotations([(key(), 1_u32)].into_iter().collect::<Annotations>())
            .properties(Properties { subject: Some("rollback".into()), ..Properties::default() })
            .application_property("fail", true)
            .value(body)
            .footer(key(), 1_u32)
            .build()
    };
    let mut bank = Bank::new();
    let token = bank.token();
    bank.controller.declare(token, None).unwrap();
    bank.ask(with_all(value(&Declare::default())), token);
    let Some(Answer::Declared(txn)) = bank.answers.pop() else { panic!("{:?}", bank.answers) };
    bank.post(&txn, "a");
    let token = bank.token();
    bank.controller.discharge(token, &txn, false, |_| 0).unwrap();
    let discharge = Discharge { txn_id: Bytes::copy_from_slice(txn.as_slice()), fail: Some(false) };
    bank.ask(with_all(value(&discharge)), token);
    assert_eq!(bank.answers, [Answer::Discharged { txn, committed: true }]);
    assert_eq!(bank.visible(), ["a"]);
}

/// Also X-4.1-2: ordinary data has no place on a control link.
#[test]
fn x_4_2_5_a_failure_is_a_rejection_where_the_source_allows_it_and_a_detach_where_not() {
    let global = value(&Declare { global_id: Some(Value::from("elsewhere")) });
    for (body, condition) in
        [(global, ErrorCondition::NOT_IMPLEMENTED), (Value::from("ordinary data"), ErrorCondition::NOT_ALLOWED)]
    {
        for rejects in [true, false] {
            let mut bank = Bank::with(CoordinatorConfig::default(), rejects);
            let token = bank.token();
            bank.controller.declare(token, None).unwrap();
            bank.ask(message_of(body.clone()), token);
            if rejects {
                let [Answer::NotDeclared(Some(error))] = &bank.answers[..] else { panic!("{:?}", bank.answers) };
                assert_eq!(error.condition, condition);
            } else {
                assert_eq!(bank.detached(), Some(condition.clone()));
                assert_eq!(bank.answers, [Answer::NotDeclared(None)]);
            }
        }
    }
}

/// A failure would cost the control link, and all of its transactions, of a client that asks for nothing.
#[test]
fn a_source_that_names_no_outcomes_allows_a_rejection() {
    let discharging = Discharging::<()> { txn: TxnId::new(b"x").unwrap(), fail: false, spoilt: None, work: Vec::new() };
    let refused = |source: Option<&Source>| {
        let error = AmqpError::new(ErrorCondition::INTERNAL_ERROR, "the work could not be done");
        discharging.answer(source, Err(error)).unwrap_err().detach
    };
    let released = Source { default_outcome: Some(Released), ..Source::default() };
    let sources = [Some(Source::default()), Some(source_that(true)), Some(source_that(false)), Some(released), None];
    assert_eq!(sources.each_ref().map(|source| refused(source.as_ref())), [false, false, true, true, true]);
}

#[test]
fn x_4_1_2_no_work_is_done_on_the_control_link_itself() {
    let mut bank = Bank::new();
    let token = bank.token();
    bank.controller.declare(token, None).unwrap();
    bank.ask(Message::builder().data("work").build(), token);
    let [Answer::NotDeclared(Some(error))] = &bank.answers[..] else { panic!("{:?}", bank.answers) };
    assert_eq!(error.condition, ErrorCondition::NOT_ALLOWED);
    assert!(bank.visible.is_empty());
}

#[test]
fn x_4_1_1_an_end_without_transactions_refuses_the_control_link() {
    let mut pair = Pair::open();
    pair.server.accept.links = None;
    let (session, _) = pair.session();
    let control = pair.client.attach_sender(session, Controller::link("control", [])).unwrap();
    pair.drive();
    let offered = pair.server.offered_links()[0];
    // A node that supports whatever there is to support has no transactions.
    let asked = pair.server.remote_attach(offered).unwrap();
    let reason = Support::default().reply(&asked, None).unwrap_err();
    assert_eq!(reason.condition, ErrorCondition::NOT_IMPLEMENTED);
    let before = pair.server.written.len();
    pair.server.reject_link(offered, reason.clone()).unwrap();
    pair.drive();
    assert_eq!(pair.client.detached(control).unwrap().error, Some(reason.clone()));
    assert_eq!(pair.client.count(|event| matches!(event, Event::LinkAttached(_))), 0, "it was never attached");
    let written: Vec<_> = frames(&pair.server.written[before..]).into_iter().filter_map(|(_, body, _)| body).collect();
    let [Performative::Attach(attach), Performative::Detach(detach)] = &written[..] else { panic!("{written:?}") };
    assert_eq!((&attach.name, attach.role, &attach.target), (&asked.name, Role::Receiver, &None));
    assert_eq!((detach.handle, detach.closed, &detach.error), (attach.handle, true, &Some(reason)));
    // The session is there for other links.
    pair.server.accept.links = Some(amqp1_engine::Credit::Window(1));
    pair.sender(session, "posts");
}

/// For both ends: each names what it has lost, once.
#[test]
fn x_4_2_7_the_end_of_the_control_link_rolls_everything_back() {
    for lost in [false, true] {
        let mut bank = Bank::new();
        let (other, txn) = (bank.declare(), bank.declare());
        bank.post(&other, "b");
        bank.post(&txn, "a");
        let delivery = bank.acquire("m");
        let rx = bank.takes.0;
        bank.controller.acquired(&other, rx, delivery.key).unwrap();
        if lost {
            let now = bank.pair.now;
            for end in [&mut bank.pair.client, &mut bank.pair.server] {
                end.engine.handle_eof(now);
                end.look();
            }
        } else {
            bank.pair.client.detach(bank.control.0, true, None).unwrap();
        }
        bank.run();
        let mut rolled_back = [&other, &txn];
        rolled_back.sort_unstable();
        assert_eq!(bank.rolled_back.iter().collect::<Vec<_>>(), rolled_back);
        assert!(bank.coordinator.is_empty() && bank.visible.is_empty());
        assert_eq!(bank.controller.post(&txn), Err(ControllerError::UnknownTransaction));
        let detached = bank.pair.client.detached(bank.control.0).unwrap();
        assert!(detached.suspended.is_none(), "control links are not resumed");
        // A delivery that was acquired within one that is rolled back is free for the next.
        bank.controller.declare(1000, None).unwrap();
        let declared = DeliveryState::Declared(Box::new(Declared { txn_id: Bytes::from_static(b"next") }));
        let answer = bank.controller.handle_settled(1000, &Settlement::Outcome(Some(declared)));
        let Some(Answer::Declared(next)) = answer else { panic!("{answer:?}") };
        assert!(bank.controller.retire(&next, rx, delivery.key, Released).is_ok());
    }
}

/// Also X-4.3-5 and X-4.4.1-2.
#[test]
fn x_4_3_1_a_discharge_commits_or_rolls_back() {
    for fail in [false, true] {
        let mut bank = Bank::new();
        let txn = bank.declare();
        bank.post(&txn, "a");
        bank.post(&txn, "b");
        assert!(bank.visible.is_empty(), "before the discharge");
        if fail {
            bank.roll_back(&txn)
        } else {
            bank.commit(&txn)
        }
        assert_eq!(bank.visible(), if fail { vec![] } else { vec!["a", "b"] });
    }
}

/// Also X-4.5.8-1 and X-4.3-5: an id that was discharged is unknown.
#[test]
fn x_4_3_2_a_discharge_of_what_is_not_known_says_so() {
    for rejects in [true, false] {
        let mut bank = Bank::with(CoordinatorConfig::default(), rejects);
        let txn = bank.declare();
        bank.commit(&txn);
        // Another one is live, and is not meant.
        let live = bank.declare();
        bank.post(&live, "a");
        for (name, token) in [(txn.as_slice(), 90), (b"never", 91)] {
            let discharge = Discharge { txn_id: Bytes::copy_from_slice(name), fail: Some(false) };
            let sent = bank.pair.client.send(bank.control.0, message_of(value(&discharge)), unsettled(token));
            if !rejects && token == 91 {
                assert_eq!(sent, Err(SendError::Detached), "the first one has cost the link");
                continue;
            }
            sent.unwrap();
            bank.run();
            if rejects {
                let Some(Settlement::Outcome(Some(DeliveryState::Rejected(Some(error))))) = bank.outcomes.get(&token)
                else {
                    panic!("{:?}", bank.outcomes)
                };
                assert_eq!(error.condition, ErrorCondition::TRANSACTION_UNKNOWN_ID);
            } else {
                assert_eq!(bank.detached(), Some(ErrorCondition::TRANSACTION_UNKNOWN_ID));
            }
            assert!(bank.visible.is_empty());
        }
        if rejects {
            bank.commit(&live);
            assert_eq!(bank.visible(), ["a"]);
        }
    }
}

/// The resource cannot do its work: also X-4.5.8-1, and X-4.4.4-2, that nothing of it is left.
#[test]
fn x_4_3_3_a_commit_that_fails_is_a_rollback_and_says_so() {
    for rejects in [true, false] {
        let mut bank = Bank::with(CoordinatorConfig::default(), rejects);
        let txn = bank.declare();
        bank.post(&txn, "a");
        bank.fails = Some(error(ErrorCondition::INTERNAL_ERROR));
        let (named, error) = match bank.discharge(&txn, false) {
            Some(Answer::RolledBack { txn, error }) => (txn, error),
            // The detach says why, and by its condition what has become of the transaction.
            Some(Answer::InDoubt { txn }) if !rejects => (txn, None),
            other => panic!("{other:?}"),
        };
        assert_eq!(named, txn);
        let condition = error.map(|error| error.condition).or_else(|| bank.detached());
        assert_eq!(condition, Some(ErrorCondition::TRANSACTION_ROLLBACK));
        assert!(bank.visible.is_empty() && bank.coordinator.is_empty());
    }
}

#[test]
fn x_4_3_4_a_rollback_always_succeeds() {
    let mut bank = Bank::new();
    let txn = bank.declare();
    bank.post(&txn, "a");
    bank.post(&txn, "nowhere");
    bank.fails = Some(error(ErrorCondition::INTERNAL_ERROR));
    bank.roll_back(&txn);
}

#[test]
fn x_4_3_5_a_transaction_that_is_over_is_not_worked_in() {
    let mut bank = Bank::new();
    let txn = bank.declare();
    bank.commit(&txn);
    assert_eq!(bank.controller.post(&txn), Err(ControllerError::UnknownTransaction));
    assert_eq!(bank.controller.discharge(9, &txn, false, |_| 0).map(drop), Err(ControllerError::UnknownTransaction));
    let session = bank.session;
    let recorded = bank.coordinator.record(&txn, session, Work::Acquire(0)).unwrap_err();
    assert_eq!(recorded.condition, ErrorCondition::TRANSACTION_UNKNOWN_ID);
}

#[test]
fn x_4_5_2_1_a_global_id_is_for_distributed_transactions() {
    let mut controller = Controller::new(None);
    assert_eq!(controller.declare(1, Some(Value::from("id"))).map(drop), Err(ControllerError::NotDistributed));
    use capability::{DISTRIBUTED_TRANSACTIONS, LOCAL_TRANSACTIONS, MULTI_TXNS_PER_SSN};
    for (offered, is_distributed) in [
        (vec![], false),
        (vec![LOCAL_TRANSACTIONS], false),
        (vec![LOCAL_TRANSACTIONS, MULTI_TXNS_PER_SSN], false),
        (vec![DISTRIBUTED_TRANSACTIONS], true),
        (vec![LOCAL_TRANSACTIONS, DISTRIBUTED_TRANSACTIONS], true),
    ] {
        let capabilities = offered.iter().map(|name| Symbol::from_static(name)).collect();
        let target = TargetArchetype::Coordinator(CoordinatorTarget { capabilities });
        let declared = Controller::new(Some(&target)).declare(1, Some(Value::from("id"))).map(drop);
        let expected = if is_distributed { Ok(()) } else { Err(ControllerError::NotDistributed) };
        assert_eq!(declared, expected, "{offered:?}");
    }
}

/// Keeps the offered capabilities (X-4.5.7-1).
#[test]
fn x_4_5_7_1_what_is_not_offered_is_refused() {
    let config = CoordinatorConfig { multi_txns_per_ssn: false, multi_ssns_per_txn: false, ..Default::default() };
    let mut bank = Bank::with(config, true);
    let offered = bank.coordinator.target().capabilities;
    assert!(!offered.contains(&Symbol::from_static(capability::MULTI_TXNS_PER_SSN)));
    let (one, two) = (bank.declare(), bank.declare());
    let here = bank.session;
    let elsewhere = bank.pair.client.begin(Default::default()).unwrap();
    bank.coordinator.record(&one, here, Work::Acquire(1)).unwrap();
    for (txn, session) in [(&two, here), (&one, elsewhere)] {
        let refused = bank.coordinator.record(txn, session, Work::Acquire(2)).unwrap_err();
        assert_eq!(refused.condition, ErrorCondition::NOT_ALLOWED);
    }
}

#[test]
fn x_4_5_8_1_a_transaction_that_takes_too_long_is_rolled_back_and_its_discharge_says_so() {
    let mut bank = Bank::with(CoordinatorConfig { timeout: Some(secs(10)), ..Default::default() }, true);
    let txn = bank.declare();
    bank.post(&txn, "a");
    let deadline = bank.coordinator.poll_timeout().unwrap();
    assert_eq!(deadline, bank.pair.now + secs(10));
    bank.pair.sleep(secs(10));
    let undone = bank.coordinator.handle_timeout(bank.pair.now);
    assert_eq!(undone, [(txn.clone(), vec![Work::Post(Bytes::from_static(b"a"))])]);
    assert_eq!(bank.coordinator.poll_timeout(), None);
    let discharge = Discharge { txn_id: Bytes::copy_from_slice(txn.as_slice()), fail: Some(false) };
    let (near, other) = bank.posts;
    bank.pair.client.send(near, message_of(value(&discharge)), unsettled(1)).unwrap();
    bank.pair.drive();
    let delivery = bank.pair.server.recv(other).unwrap();
    let (now, source) = (bank.pair.now, source_that(true));
    // To another control link it is unknown, however often that asks.
    for _ in 0..2 {
        let refused = bank.coordinator.handle(other, Some(&source), &delivery, now).unwrap_err();
        assert_eq!((refused.error.condition, refused.detach), (ErrorCondition::TRANSACTION_UNKNOWN_ID, false));
    }
    let Some(Answer::RolledBack { error: Some(error), .. }) = bank.discharge(&txn, false) else { panic!("too late") };
    assert_eq!(error.condition, ErrorCondition::TRANSACTION_TIMEOUT);
    // Once it was told, it is unknown to its own as well.
    let refused = bank.coordinator.handle(bank.control.1, Some(&source), &delivery, now).unwrap_err();
    assert_eq!((refused.error.condition, refused.detach), (ErrorCondition::TRANSACTION_UNKNOWN_ID, false));
    assert!(bank.visible().is_empty());
}

/// The coordinator may have done it: doing the work again would double it.
#[test]
fn a_commit_whose_answer_is_lost_is_in_doubt() {
    let mut bank = Bank::new();
    let txn = bank.declare();
    bank.post(&txn, "a");
    let token = bank.token();
    let message = bank.controller.discharge(token, &txn, false, |_| 0).unwrap();
    assert_eq!(bank.controller.post(&txn), Err(ControllerError::UnknownTransaction), "its discharge is asked for");
    bank.pair.client.send(bank.control.0, message, unsettled(token)).unwrap();
    let now = bank.pair.now;
    assert!(!bank.pair.client.output(now, usize::MAX).is_empty());
    bank.pair.client.engine.handle_eof(now);
    bank.pair.client.look();
    bank.tell_controller();
    assert_eq!(bank.answers, [Answer::InDoubt { txn }]);
    assert!(bank.rolled_back.is_empty(), "it is named once");
}

#[test]
fn a_coordinator_has_a_bound_on_its_transactions() {
    let mut bank = Bank::with(CoordinatorConfig { max: 2, ..Default::default() }, true);
    bank.declare();
    bank.declare();
    let token = bank.token();
    let message = bank.controller.declare(token, None).unwrap();
    bank.ask(message, token);
    let [Answer::NotDeclared(Some(error))] = &bank.answers[..] else { panic!("{:?}", bank.answers) };
    assert_eq!(error.condition, ErrorCondition::RESOURCE_LIMIT_EXCEEDED);
}
