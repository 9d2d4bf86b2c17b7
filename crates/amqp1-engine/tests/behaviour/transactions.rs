//! Transactions (part 4): a controller and a coordinator with a resource, over real engines.

use amqp1_codec::{
    EncodedMessage, Message, Symbol, Value,
    definitions::{AmqpError, ErrorCondition, ReceiverSettleMode, Role},
    messaging::{DeliveryState, Source},
    performative::{Performative, TargetArchetype},
    transaction::{Coordinator as CoordinatorTarget, Declare, Discharge, capability},
};
use amqp1_engine::{
    AttachReply, Credit, Event, LinkId, ReceiverConfig, SendError, SendOptions, SessionId, Settlement,
    transaction::{Answer, Controller, ControllerError, Coordinator, CoordinatorConfig, Discharging, Request, TxnId},
};
use amqp1_testkit::*;
use bytes::Bytes;
use std::collections::BTreeMap;

use DeliveryState::{Accepted, Released};

/// What the resource does at the discharge.
#[derive(Clone, Debug, PartialEq)]
enum Work {
    /// A message becomes visible.
    Post(Bytes),
    /// A delivery is settled with this outcome.
    Retire(u64, DeliveryState),
    /// A delivery was sent within the transaction.
    Acquire(u64),
}

/// A client that controls, and a server that coordinates and holds one queue.
struct Bank {
    pair: Pair,
    session: SessionId,
    controller: Controller,
    coordinator: Coordinator<Work>,
    /// The control link at either end.
    control: (LinkId, LinkId),
    /// The link on which the client posts.
    posts: (LinkId, LinkId),
    /// The link on which the client receives.
    takes: (LinkId, LinkId),
    /// The messages that can be seen.
    visible: Vec<Bytes>,
    /// Those that were sent to the client, by their tokens.
    acquired: BTreeMap<u64, Bytes>,
    answers: Vec<Answer>,
    /// The transactions that the controller was told are rolled back with its link.
    rolled_back: Vec<TxnId>,
    /// How the resource does its work.
    fails: Option<AmqpError>,
    /// The outcomes of what was posted.
    outcomes: BTreeMap<u64, Settlement>,
    /// The server's events that were looked at.
    seen: Vec<Event>,
    /// The control link is gone.
    gone: bool,
    token: u64,
}

fn source_that(rejects: bool) -> Source {
    let outcomes: &[&'static str] =
        if rejects { &["amqp:accepted:list", "amqp:rejected:list"] } else { &["amqp:accepted:list"] };
    let outcomes: Vec<_> = outcomes.iter().copied().map(Symbol::from_static).collect();
    Source { outcomes: outcomes.into(), ..Source::default() }
}

impl Bank {
    fn new() -> Self {
        Self::with(CoordinatorConfig::default(), true)
    }

    fn with(config: CoordinatorConfig, rejects: bool) -> Self {
        let mut pair = Pair::open();
        let (session, _) = pair.session();
        let coordinator = Coordinator::new(config);
        pair.server.accept.links = None;
        let mut link = Controller::link("control", [Symbol::from_static(capability::LOCAL_TRANSACTIONS)]);
        if !rejects {
            link.source = Some(source_that(false));
        }
        let near = pair.client.attach_sender(session, link).unwrap();
        pair.drive();
        let far = pair.server.offered_links()[0];
        let offered = pair.server.remote_attach(far).unwrap();
        assert!(matches!(offered.target, Some(TargetArchetype::Coordinator(_))));
        let target = Some(TargetArchetype::Coordinator(coordinator.target()));
        pair.server.accept_link(far, AttachReply { target, ..AttachReply::echo(&offered) }).unwrap();
        pair.drive();
        let controller = Controller::new(pair.client.remote_attach(near).unwrap().target.as_ref());
        pair.server.accept.links = Some(Credit::Window(50));
        let posts = pair.sender(session, "posts");
        // Of mode second: what the controller retires is not settled before the discharge.
        let takes =
            ReceiverConfig { rcv_settle_mode: ReceiverSettleMode::Second, ..receiver("takes", Credit::Manual(0)) };
        let takes = pair.client.attach_receiver(session, takes).unwrap();
        pair.drive();
        let takes = (takes, pair.server.offered("takes", Role::Sender));
        let control = (near, far);
        let (visible, acquired, answers, rolled_back, fails, token) = Default::default();
        let (outcomes, seen, gone) = Default::default();
        Self {
            pair,
            session,
            controller,
            coordinator,
            control,
            posts,
            takes,
            visible,
            acquired,
            answers,
            rolled_back,
            fails,
            outcomes,
            seen,
            gone,
            token,
        }
    }

    fn token(&mut self) -> u64 {
        self.token += 1;
        self.token
    }

    /// Sends a message on the control link and lets everything happen.
    fn ask(&mut self, message: EncodedMessage, token: u64) {
        self.pair.client.send(self.control.0, message, unsettled(token)).unwrap();
        self.run();
    }

    fn declare(&mut self) -> TxnId {
        let token = self.token();
        let message = self.controller.declare(token, None).unwrap();
        self.ask(message, token);
        match self.answers.pop() {
            Some(Answer::Declared(txn)) => txn,
            other => panic!("{other:?}"),
        }
    }

    fn discharge(&mut self, txn: &TxnId, fail: bool) -> Option<Answer> {
        let token = self.token();
        let message = self.controller.discharge(token, txn, fail, |_| 0).unwrap();
        self.ask(message, token);
        self.answers.pop()
    }

    fn commit(&mut self, txn: &TxnId) {
        assert_eq!(self.discharge(txn, false), Some(Answer::Discharged { txn: txn.clone(), committed: true }));
    }

    fn roll_back(&mut self, txn: &TxnId) {
        assert_eq!(self.discharge(txn, true), Some(Answer::Discharged { txn: txn.clone(), committed: false }));
    }

    fn post(&mut self, txn: &TxnId, body: &'static str) -> u64 {
        let token = self.token();
        let state = Some(self.controller.post(txn).unwrap());
        let message = Message::builder().data(body).build();
        self.pair.client.send(self.posts.0, message, SendOptions { state, ..unsettled(token) }).unwrap();
        self.run();
        token
    }

    /// The client gets a message, by the transaction that its flow names if there is one.
    fn acquire(&mut self, body: &'static str) -> amqp1_engine::IncomingDelivery {
        self.pair.client.set_credit(self.takes.0, Credit::Manual(1)).unwrap();
        self.pair.drive();
        let token = self.token();
        let txn =
            self.pair.server.remote_flow_properties(self.takes.1).and_then(|properties| TxnId::of_flow(&properties));
        let state = txn.as_ref().map(|txn| txn.state(None));
        let message = Message::builder().data(body).build();
        self.pair
            .server
            .send(self.takes.1, message, SendOptions { state, acquired: true, ..unsettled(token) })
            .unwrap();
        self.acquired.insert(token, Bytes::from_static(body.as_bytes()));
        if let Some(txn) = txn {
            self.coordinator.own(&txn, self.takes.1, token).unwrap();
            let session = self.pair.server.session_of(self.takes.1).unwrap();
            self.coordinator.record(&txn, session, Work::Acquire(token)).unwrap();
        }
        self.run();
        self.pair.client.recv(self.takes.0).expect("a delivery")
    }

    /// Both applications do what they have to, until nothing is left to do.
    fn run(&mut self) {
        loop {
            self.pair.drive();
            let told = self.tell_controller();
            // What came before a discharge is done before it.
            let served = self.serve_posts() | self.serve_retirements() | self.serve_control();
            if !told && !served {
                return;
            }
        }
    }

    fn tell_controller(&mut self) -> bool {
        let settled = std::mem::take(&mut self.pair.client.settled);
        let any = !settled.is_empty();
        for settled in settled {
            match self.controller.handle_settled(settled.token, &settled.settlement) {
                Some(answer) => self.answers.push(answer),
                None => drop(self.outcomes.insert(settled.token, settled.settlement)),
            }
        }
        let gone = !self.gone && self.pair.client.detached(self.control.0).is_some();
        if gone {
            self.gone = true;
            self.rolled_back.extend(self.controller.handle_detached());
            self.undo_control();
        }
        any || gone
    }

    /// The server sees its end of the control link go.
    fn undo_control(&mut self) {
        for (_, work) in self.coordinator.handle_detached(self.control.1) {
            self.undo(work);
        }
    }

    /// What is wrong costs the control link.
    fn end_control(&mut self, error: AmqpError) {
        self.pair.server.detach(self.control.1, true, Some(error)).unwrap();
        self.undo_control();
    }

    fn undo(&mut self, work: Vec<Work>) {
        for work in work {
            if let Work::Acquire(token) = work {
                // §4.4.4: the default outcome applies to what was acquired, and not retired since.
                if let Some(body) = self.acquired.remove(&token) {
                    self.pair.server.settle_sent(self.takes.1, token, Some(Released)).unwrap();
                    self.visible.push(body);
                }
            }
        }
    }

    fn serve_control(&mut self) -> bool {
        let deliveries = self.pair.server.take_all(self.control.1);
        for delivery in &deliveries {
            let source = self.pair.server.remote_attach(self.control.1).and_then(|attach| attach.source.clone());
            let source = source.as_deref();
            let answered = match self.coordinator.handle(self.control.1, source, delivery, self.pair.now) {
                Ok(Request::Declared(_, state)) => Ok(state),
                Ok(Request::Discharge(discharging)) => {
                    let done = self.fails.take().map_or(Ok(()), Err);
                    let answer = discharging.answer(source, done);
                    let commits = answer.is_ok() && discharging.commits();
                    if commits {
                        self.apply(discharging.work)
                    } else {
                        self.undo(discharging.work)
                    }
                    answer
                }
                Err(refusal) => Err(refusal),
            };
            let (control, key) = (self.control.1, delivery.key);
            match answered {
                Ok(state) => self.pair.server.dispose(control, key, state).unwrap(),
                Err(refusal) if refusal.detach => {
                    self.pair.server.detach(control, true, Some(refusal.error)).unwrap();
                    self.undo_control();
                }
                Err(refusal) => self.pair.server.dispose(control, key, refusal.state()).unwrap(),
            }
        }
        !deliveries.is_empty()
    }

    fn apply(&mut self, work: Vec<Work>) {
        for work in work {
            match work {
                Work::Post(body) => self.visible.push(body),
                Work::Retire(token, outcome) => {
                    let body = self.acquired.remove(&token).unwrap();
                    if outcome != Accepted {
                        self.visible.push(body);
                    }
                    self.pair.server.settle_sent(self.takes.1, token, Some(outcome)).unwrap();
                }
                Work::Acquire(_) => {}
            }
        }
    }

    fn serve_posts(&mut self) -> bool {
        let deliveries = self.pair.server.take_all(self.posts.1);
        for delivery in &deliveries {
            let txn = delivery.state.as_ref().and_then(TxnId::of);
            let body = data(&delivery.message);
            let state = match &txn {
                None => {
                    self.visible.push(body);
                    Accepted
                }
                Some(txn) => {
                    let session = self.pair.server.session_of(self.posts.1).unwrap();
                    if body == "nowhere" {
                        let error = error(ErrorCondition::NOT_FOUND);
                        self.coordinator.spoil(txn, error);
                        txn.state(Some(DeliveryState::rejected(AmqpError::new(ErrorCondition::NOT_FOUND, "no"))))
                    } else if let Err(error) = self.coordinator.record(txn, session, Work::Post(body)) {
                        self.end_control(error);
                        return true;
                    } else {
                        txn.state(Some(Accepted))
                    }
                }
            };
            self.pair.server.dispose(self.posts.1, delivery.key, state).unwrap();
        }
        !deliveries.is_empty()
    }

    fn serve_retirements(&mut self) -> bool {
        let events = std::mem::take(&mut self.pair.server.events);
        let mut any = false;
        for event in &events {
            let Event::Provisional { link, token, state: DeliveryState::Transactional(state), .. } = event else {
                continue;
            };
            any = true;
            let txn = TxnId::new(&state.txn_id).unwrap();
            let session = self.pair.server.session_of(*link).unwrap();
            let outcome = state.outcome.as_deref().cloned().unwrap_or(Accepted);
            let owned = self.coordinator.own(&txn, *link, *token);
            let done = owned.and_then(|()| self.coordinator.record(&txn, session, Work::Retire(*token, outcome)));
            if let Err(error) = done {
                self.end_control(error);
            }
        }
        self.seen.extend(events);
        any
    }

    /// With what the server has detached the control link.
    fn detached(&self) -> Option<ErrorCondition> {
        self.pair.client.detached(self.control.0).and_then(|detached| detached.error).map(|error| error.condition)
    }

    fn visible(&self) -> Vec<&str> {
        self.visible.iter().map(|body| std::str::from_utf8(body).unwrap()).collect()
    }
}

fn message_of(value: impl Into<Value>) -> EncodedMessage {
    Message::builder().value(value).build()
}

fn value(body: &impl amqp1_codec::Encode) -> Value {
    use amqp1_codec::{Decode, Reader};
    Value::decode(&mut Reader::new(&body.to_octets())).unwrap()
}

fn unknown() -> TxnId {
    TxnId::new(b"nobody's").unwrap()
}

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
fn x_4_2_3_other_sections_around_a_declare_mean_nothing() {
    let mut bank = Bank::new();
    let token = bank.token();
    bank.controller.declare(token, None).unwrap();
    let message = Message::builder()
        .header(Default::default())
        .application_property("key", 1_u32)
        .value(value(&Declare::default()))
        .build();
    bank.ask(message, token);
    assert!(matches!(bank.answers[..], [Answer::Declared(_)]));
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
    pair.server.reject_link(offered, error(ErrorCondition::NOT_IMPLEMENTED)).unwrap();
    pair.drive();
    assert_eq!(pair.client.detached(control).unwrap().error.unwrap().condition, ErrorCondition::NOT_IMPLEMENTED);
    let answer = frames(&pair.server.written).into_iter().find_map(|(_, body, _)| match body {
        Some(Performative::Attach(attach)) => Some(attach.target),
        _ => None,
    });
    assert_eq!(answer, Some(None), "a null target before the detach");
}

/// For both ends: each names what it has lost, once.
#[test]
fn x_4_2_7_the_end_of_the_control_link_rolls_everything_back() {
    for lost in [false, true] {
        let mut bank = Bank::new();
        let txn = bank.declare();
        bank.post(&txn, "a");
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
        assert_eq!(bank.rolled_back, std::slice::from_ref(&txn));
        assert!(bank.coordinator.is_empty() && bank.visible.is_empty());
        assert_eq!(bank.controller.post(&txn), Err(ControllerError::UnknownTransaction));
        let detached = bank.pair.client.detached(bank.control.0).unwrap();
        assert!(detached.suspended.is_none(), "control links are not resumed");
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

/// Also X-4.3-5: an id that was discharged is unknown.
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

/// The resource cannot do its work: also X-4.4.4-2, that nothing of it is left.
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

/// Also X-4.4.1-4: the outcome is provisional, and comes before the discharge.
#[test]
fn x_4_4_1_1_a_posting_names_its_transaction_and_gets_a_provisional_outcome() {
    let mut bank = Bank::new();
    let txn = bank.declare();
    let before = bank.pair.client.written.len();
    let token = bank.post(&txn, "a");
    let states: Vec<_> = frames(&bank.pair.client.written[before..])
        .into_iter()
        .filter_map(|(_, body, _)| if let Some(Performative::Transfer(t)) = body { Some(t.state) } else { None })
        .collect();
    assert_eq!(states, [Some(txn.state(None))]);
    assert_eq!(bank.outcomes.get(&token), Some(&Settlement::Outcome(Some(txn.state(Some(Accepted))))));
    bank.commit(&txn);
}

#[test]
fn x_4_4_1_2_a_posting_is_seen_after_the_commit_and_never_after_a_rollback() {
    let mut bank = Bank::new();
    let (one, two) = (bank.declare(), bank.declare());
    bank.post(&one, "one");
    bank.post(&two, "two");
    bank.roll_back(&one);
    assert!(bank.visible.is_empty());
    bank.commit(&two);
    assert_eq!(bank.visible(), ["two"]);
}

/// All frames carry the state, and a commit with a half of a delivery costs the control link.
#[test]
fn x_4_4_1_3_a_delivery_that_is_not_whole_is_no_work() {
    let mut bank = Bank::new();
    let txn = bank.declare();
    let state = Some(bank.controller.post(&txn).unwrap());
    let before = bank.pair.client.written.len();
    let (near, far) = bank.posts;
    bank.pair.client.begin_delivery(near, SendOptions { state: state.clone(), ..unsettled(70) }).unwrap();
    for _ in 0..3 {
        bank.pair.client.write(near, body(0, 100)).unwrap();
        bank.pair.drive();
    }
    let states: Vec<_> = frames(&bank.pair.client.written[before..])
        .into_iter()
        .filter_map(|(_, body, _)| if let Some(Performative::Transfer(t)) = body { Some(t.state) } else { None })
        .collect();
    assert_eq!(states, [state.clone(), state.clone(), state]);
    // The resource has seen the first of it.
    let session = bank.pair.server.session_of(far).unwrap();
    bank.coordinator.posting(&txn, session, far, 0).unwrap();
    assert!(matches!(bank.discharge(&txn, false), Some(Answer::InDoubt { .. })));
    assert_eq!(bank.detached(), Some(ErrorCondition::TRANSACTION_ROLLBACK));
    assert!(bank.coordinator.is_empty());
    // Whole, it is work like any other.
    let mut bank = Bank::new();
    let txn = bank.declare();
    bank.coordinator.posting(&txn, session, far, 0).unwrap();
    bank.coordinator.posted(&txn, far, 0);
    bank.commit(&txn);
}

#[test]
fn x_4_4_1_4_the_outcome_of_a_posting_comes_before_that_of_its_discharge() {
    let mut bank = Bank::new();
    let txn = bank.declare();
    let before = bank.pair.server.written.len();
    let token = bank.token();
    let state = Some(bank.controller.post(&txn).unwrap());
    bank.pair
        .client
        .send(bank.posts.0, Message::builder().data("a").build(), SendOptions { state, ..unsettled(token) })
        .unwrap();
    bank.commit(&txn);
    let states: Vec<_> = frames(&bank.pair.server.written[before..])
        .into_iter()
        .filter_map(|(_, body, _)| if let Some(Performative::Disposition(d)) = body { d.state } else { None })
        .collect();
    assert_eq!(states, [txn.state(Some(Accepted)), Accepted]);
}

#[test]
fn x_4_4_1_5_what_cannot_be_posted_spoils_the_commit() {
    let mut bank = Bank::new();
    let txn = bank.declare();
    bank.post(&txn, "a");
    bank.post(&txn, "nowhere");
    let Some(Answer::RolledBack { error: Some(error), .. }) = bank.discharge(&txn, false) else { panic!("spoilt") };
    assert_eq!(error.condition, ErrorCondition::TRANSACTION_ROLLBACK);
    assert!(bank.visible.is_empty());
}

#[test]
fn x_4_4_1_6_a_posting_in_an_unknown_transaction_costs_the_control_link() {
    let mut bank = Bank::new();
    // Another that is live has no part in it.
    let live = bank.declare();
    let state = Some(unknown().state(None));
    let message = Message::builder().data("a").build();
    bank.pair.client.send(bank.posts.0, message, SendOptions { state, ..unsettled(70) }).unwrap();
    bank.run();
    assert_eq!(bank.detached(), Some(ErrorCondition::TRANSACTION_UNKNOWN_ID));
    assert!(bank.visible.is_empty() && bank.rolled_back == [live]);
}

/// Also X-4.4.4-2: what is unsettled afterwards is what was applied.
#[test]
fn x_4_4_2_1_a_retirement_takes_effect_at_the_commit() {
    for outcome in [Accepted, Released] {
        let mut bank = Bank::new();
        let txn = bank.declare();
        let delivery = bank.acquire("m");
        let (rx, tx) = bank.takes;
        let state = bank.controller.retire(&txn, rx, delivery.key, outcome.clone()).unwrap();
        bank.pair.client.dispose(rx, delivery.key, state).unwrap();
        bank.run();
        assert_eq!(bank.acquired.len(), 1, "it is acquired still");
        bank.commit(&txn);
        assert!(bank.acquired.is_empty());
        assert_eq!(bank.visible(), if outcome == Accepted { vec![] } else { vec!["m"] });
        let told = bank.pair.client.events.iter().any(|event| {
            matches!(event, Event::SettledBySender(link, key, Some(state))
                if *link == rx && *key == delivery.key && *state == outcome)
        });
        assert!(told, "the receiver learns that it is settled");
        assert_eq!(bank.pair.server.settle_sent(tx, 0, None), Err(amqp1_engine::ApiMisuse::WrongState));
    }
}

/// Also X-4.4.2-3: after a rollback the delivery is the receiver's as before, and can be retired anew.
#[test]
fn x_4_4_2_3_after_a_rollback_a_delivery_can_be_settled_anew() {
    let mut bank = Bank::new();
    let txn = bank.declare();
    let delivery = bank.acquire("m");
    let rx = bank.takes.0;
    let state = bank.controller.retire(&txn, rx, delivery.key, Accepted).unwrap();
    bank.pair.client.dispose(rx, delivery.key, state).unwrap();
    bank.run();
    bank.roll_back(&txn);
    assert_eq!(bank.acquired.len(), 1);
    // In another transaction, or in none.
    let txn = bank.declare();
    let state = bank.controller.retire(&txn, rx, delivery.key, Accepted).unwrap();
    bank.pair.client.dispose(rx, delivery.key, state).unwrap();
    bank.run();
    bank.commit(&txn);
    assert!(bank.acquired.is_empty() && bank.visible.is_empty());
}

/// At the controller, and at the resource where a controller does it all the same.
#[test]
fn x_4_4_2_2_a_delivery_is_not_retired_in_two_transactions() {
    let mut bank = Bank::new();
    let (one, two) = (bank.declare(), bank.declare());
    let delivery = bank.acquire("m");
    let rx = bank.takes.0;
    let state = bank.controller.retire(&one, rx, delivery.key, Accepted).unwrap();
    bank.pair.client.dispose(rx, delivery.key, state).unwrap();
    bank.run();
    let refused = bank.controller.retire(&two, rx, delivery.key, Accepted);
    assert_eq!(refused, Err(ControllerError::OtherTransaction));
    bank.pair.client.dispose(rx, delivery.key, two.state(Some(Accepted))).unwrap();
    bank.run();
    assert_eq!(bank.detached(), Some(ErrorCondition::TRANSACTION_ROLLBACK));
    assert_eq!(bank.rolled_back.len(), 2);
}

#[test]
fn x_4_4_2_4_a_retirement_in_an_unknown_transaction_costs_the_control_link() {
    let mut bank = Bank::new();
    // Another that is live has no part in it.
    bank.declare();
    let delivery = bank.acquire("m");
    let refused = bank.coordinator.own(&unknown(), bank.takes.1, 0).unwrap_err();
    assert_eq!(refused.condition, ErrorCondition::TRANSACTION_UNKNOWN_ID);
    bank.pair.client.dispose(bank.takes.0, delivery.key, unknown().state(Some(Accepted))).unwrap();
    bank.run();
    assert_eq!(bank.detached(), Some(ErrorCondition::TRANSACTION_UNKNOWN_ID));
    assert_eq!(bank.acquired.len(), 1, "it stays acquired");
}

/// Also X-4.4.3-2: the flow's properties end with the transaction, and the credit stays.
#[test]
fn x_4_4_3_1_deliveries_that_a_flow_acquires_are_part_of_the_transaction() {
    let mut bank = Bank::new();
    let txn = bank.declare();
    let rx = bank.takes.0;
    let properties = bank.controller.acquire(&txn, rx).unwrap();
    bank.pair.client.set_flow_properties(rx, properties).unwrap();
    let delivery = bank.acquire("m");
    assert_eq!(delivery.state.as_ref().and_then(TxnId::of), Some(txn.clone()));
    bank.controller.acquired(&txn, rx, delivery.key).unwrap();
    let state = bank.controller.retire(&txn, rx, delivery.key, Accepted).unwrap();
    bank.pair.client.dispose(rx, delivery.key, state).unwrap();
    bank.run();
    bank.commit(&txn);
    assert!(bank.acquired.is_empty() && bank.visible.is_empty());
    bank.pair.client.set_flow_properties(rx, Default::default()).unwrap();
    let delivery = bank.acquire("n");
    assert_eq!(delivery.state, None);
    // A resource that does not know acquisitions detaches the link.
    let mut bank = Bank::new();
    let txn = bank.declare();
    let (rx, tx) = bank.takes;
    let properties = bank.controller.acquire(&txn, rx).unwrap();
    bank.pair.client.set_flow_properties(rx, properties).unwrap();
    bank.pair.drive();
    assert!(bank.pair.server.count(|event| matches!(event, Event::FlowProperties(id) if *id == tx)) == 1);
    bank.pair.server.detach(tx, true, Some(error(ErrorCondition::NOT_IMPLEMENTED))).unwrap();
    bank.pair.drive();
    let detached = bank.pair.client.detached(rx).unwrap();
    assert_eq!(detached.error.unwrap().condition, ErrorCondition::NOT_IMPLEMENTED);
}

#[test]
fn x_4_4_3_3_credit_is_drained_before_the_discharge() {
    let mut bank = Bank::new();
    let txn = bank.declare();
    let (rx, tx) = bank.takes;
    bank.pair.client.set_credit(rx, Credit::Manual(5)).unwrap();
    let properties = bank.controller.acquire(&txn, rx).unwrap();
    bank.pair.client.set_flow_properties(rx, properties).unwrap();
    bank.pair.drive();
    let left = |bank: &Bank| bank.pair.server.credit(tx);
    let credit = left(&bank);
    assert_eq!(bank.controller.discharge(70, &txn, false, |_| credit).map(drop), Err(ControllerError::CreditLeft(rx)));
    bank.pair.client.drain(rx).unwrap();
    bank.pair.drive();
    assert!(bank.pair.client.drained(rx));
    let credit = left(&bank);
    assert!(bank.controller.discharge(71, &txn, false, |_| credit).is_ok());
}

/// The resource gives up what it has half sent before it answers the discharge.
#[test]
fn x_4_4_3_4_an_acquisition_that_is_half_sent_is_aborted_before_the_rollback_is_answered() {
    let mut bank = Bank::new();
    let txn = bank.declare();
    let (rx, tx) = bank.takes;
    let properties = bank.controller.acquire(&txn, rx).unwrap();
    bank.pair.client.set_flow_properties(rx, properties).unwrap();
    bank.pair.client.set_credit(rx, Credit::Manual(1)).unwrap();
    bank.pair.drive();
    let options = SendOptions { state: Some(txn.state(None)), ..unsettled(70) };
    bank.pair.server.begin_delivery(tx, options).unwrap();
    bank.pair.server.write(tx, body(0, 100)).unwrap();
    bank.pair.drive();
    let before = bank.pair.server.written.len();
    bank.pair.server.abort(tx, 70).unwrap();
    bank.roll_back(&txn);
    let order: Vec<_> = frames(&bank.pair.server.written[before..])
        .into_iter()
        .filter_map(|(_, body, _)| match body {
            Some(Performative::Transfer(transfer)) => Some(if transfer.aborted { "aborted" } else { "transfer" }),
            Some(Performative::Disposition(_)) => Some("discharged"),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["aborted", "discharged"]);
    assert!(bank.pair.client.recv(rx).is_none());
}

#[test]
fn x_4_4_4_1_the_default_outcome_is_for_what_a_rollback_leaves() {
    for fail in [true, false] {
        let mut bank = Bank::new();
        let txn = bank.declare();
        let rx = bank.takes.0;
        let properties = bank.controller.acquire(&txn, rx).unwrap();
        bank.pair.client.set_flow_properties(rx, properties).unwrap();
        let delivery = bank.acquire("m");
        let state = bank.controller.retire(&txn, rx, delivery.key, Accepted).unwrap();
        bank.pair.client.dispose(rx, delivery.key, state).unwrap();
        bank.run();
        if fail {
            bank.roll_back(&txn)
        } else {
            bank.commit(&txn)
        }
        let applied = bank.pair.client.events.iter().find_map(|event| match event {
            Event::SettledBySender(_, key, state) if *key == delivery.key => state.clone(),
            _ => None,
        });
        // X-4.4.4-2: and nothing else is said of it.
        assert_eq!(applied, Some(if fail { Released } else { Accepted }));
        assert_eq!(bank.visible(), if fail { vec!["m"] } else { vec![] });
    }
}

#[test]
fn x_4_4_4_2_after_a_discharge_nothing_is_left_in_doubt() {
    let mut bank = Bank::new();
    let txn = bank.declare();
    let delivery = bank.acquire("m");
    let rx = bank.takes.0;
    let state = bank.controller.retire(&txn, rx, delivery.key, Accepted).unwrap();
    bank.pair.client.dispose(rx, delivery.key, state).unwrap();
    bank.run();
    bank.commit(&txn);
    // The delivery is settled at both ends: neither has anything to say of it.
    let (up, down) = (bank.pair.client.written.len(), bank.pair.server.written.len());
    bank.pair.client.dispose(rx, delivery.key, Released).unwrap();
    bank.run();
    assert_eq!((bank.pair.client.written.len(), bank.pair.server.written.len()), (up, down));
}

#[test]
fn x_4_5_2_1_a_global_id_is_for_distributed_transactions() {
    let mut controller = Controller::new(None);
    assert_eq!(controller.declare(1, Some(Value::from("id"))).map(drop), Err(ControllerError::NotDistributed));
    let capabilities = [Symbol::from_static(capability::DISTRIBUTED_TRANSACTIONS)].into_iter().collect();
    let offered = TargetArchetype::Coordinator(CoordinatorTarget { capabilities });
    assert!(Controller::new(Some(&offered)).declare(1, Some(Value::from("id"))).is_ok());
}

/// What is offered is kept to (X-4.5.7-1).
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
    let Some(Answer::RolledBack { error: Some(error), .. }) = bank.discharge(&txn, false) else { panic!("too late") };
    assert_eq!(error.condition, ErrorCondition::TRANSACTION_TIMEOUT);
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
