//! A client that controls transactions, and a server with a coordinator and a resource, over real engines.

use amqp1_broker::{
    terminus::default_outcome,
    transaction::{Coordinator, CoordinatorConfig, Request},
};
use amqp1_codec::{
    EncodedMessage, Message, Symbol, Value,
    definitions::{AmqpError, ErrorCondition, ReceiverSettleMode, Role},
    messaging::{DeliveryState, DeliveryState::Accepted, Modified, Source},
    performative::TargetArchetype,
    transaction::capability,
};
use amqp1_engine::{
    AttachReply, Credit, DeliveryKey, Event, LinkId, ReceiverConfig, SendOptions, SessionId, Settlement,
    transaction::{Answer, Controller, TxnId},
};
use amqp1_testkit::*;
use bytes::Bytes;
use std::collections::BTreeMap;

/// What the resource does at the discharge.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Work {
    /// A message becomes visible.
    Post(Bytes),
    /// A delivery is settled with this outcome.
    Retire(u64, DeliveryState),
    /// A delivery was sent within the transaction.
    Acquire(u64),
}

/// A client that controls, and a server that coordinates and holds one queue.
pub(super) struct Bank {
    pub(super) pair: Pair,
    pub(super) session: SessionId,
    pub(super) controller: Controller,
    pub(super) coordinator: Coordinator<Work>,
    /// The control link at either end.
    pub(super) control: (LinkId, LinkId),
    /// The link on which the client posts.
    pub(super) posts: (LinkId, LinkId),
    /// The link on which the client receives.
    pub(super) takes: (LinkId, LinkId),
    /// The messages that can be seen.
    pub(super) visible: Vec<Bytes>,
    /// Those that were sent to the client, by their tokens.
    pub(super) acquired: BTreeMap<u64, Bytes>,
    /// The token of one that is half sent to the client, to be given up at a rollback.
    pub(super) half: Option<u64>,
    /// Answers to discharges, which leave when nothing is being given up any more.
    held: Vec<(DeliveryKey, DeliveryState)>,
    pub(super) answers: Vec<Answer>,
    /// The transactions that the controller was told are rolled back with its link.
    pub(super) rolled_back: Vec<TxnId>,
    /// How the resource does its work.
    pub(super) fails: Option<AmqpError>,
    /// The outcomes of what was posted.
    pub(super) outcomes: BTreeMap<u64, Settlement>,
    /// The server's events that were looked at.
    pub(super) seen: Vec<Event>,
    /// The control link is gone.
    pub(super) gone: bool,
    pub(super) token: u64,
}

/// The default outcome of the source from which the client receives.
pub(super) fn default() -> DeliveryState {
    DeliveryState::Modified(Box::new(Modified { delivery_failed: true, ..Modified::default() }))
}

pub(super) fn source_that(rejects: bool) -> Source {
    let outcomes: Vec<_> =
        [DeliveryState::ACCEPTED].into_iter().chain(rejects.then_some(DeliveryState::REJECTED)).collect();
    Source { outcomes: outcomes.into(), ..Source::default() }
}

impl Bank {
    pub(super) fn new() -> Self {
        Self::with(CoordinatorConfig::default(), true)
    }

    pub(super) fn with(config: CoordinatorConfig, rejects: bool) -> Self {
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
        let source = Source { default_outcome: Some(default()), ..Source::at("q") };
        let takes = ReceiverConfig {
            rcv_settle_mode: ReceiverSettleMode::Second,
            source: Some(source),
            ..receiver("takes", Credit::Manual(0))
        };
        let takes = pair.client.attach_receiver(session, takes).unwrap();
        pair.drive();
        let takes = (takes, pair.server.offered("takes", Role::Sender));
        let control = (near, far);
        let (visible, acquired, answers, rolled_back, fails, token) = Default::default();
        let (outcomes, seen, gone, half, held) = Default::default();
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
            half,
            held,
            answers,
            rolled_back,
            fails,
            outcomes,
            seen,
            gone,
            token,
        }
    }

    pub(super) fn token(&mut self) -> u64 {
        self.token += 1;
        self.token
    }

    /// Sends a message on the control link and lets everything happen.
    pub(super) fn ask(&mut self, message: EncodedMessage, token: u64) {
        self.pair.client.send(self.control.0, message, unsettled(token)).unwrap();
        self.run();
    }

    pub(super) fn declare(&mut self) -> TxnId {
        let token = self.token();
        let message = self.controller.declare(token, None).unwrap();
        self.ask(message, token);
        match self.answers.pop() {
            Some(Answer::Declared(txn)) => txn,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn discharge(&mut self, txn: &TxnId, fail: bool) -> Option<Answer> {
        let token = self.token();
        let message = self.controller.discharge(token, txn, fail, |_| 0).unwrap();
        self.ask(message, token);
        self.answers.pop()
    }

    pub(super) fn commit(&mut self, txn: &TxnId) {
        assert_eq!(self.discharge(txn, false), Some(Answer::Discharged { txn: txn.clone(), committed: true }));
    }

    pub(super) fn roll_back(&mut self, txn: &TxnId) {
        assert_eq!(self.discharge(txn, true), Some(Answer::Discharged { txn: txn.clone(), committed: false }));
    }

    pub(super) fn post(&mut self, txn: &TxnId, body: &'static str) -> u64 {
        let token = self.token();
        let state = Some(self.controller.post(txn).unwrap());
        let message = Message::builder().data(body).build();
        self.pair.client.send(self.posts.0, message, SendOptions { state, ..unsettled(token) }).unwrap();
        self.run();
        token
    }

    /// The client gets a message, by the transaction that its flow names if there is one.
    pub(super) fn acquire(&mut self, body: &'static str) -> amqp1_engine::IncomingDelivery {
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
    pub(super) fn run(&mut self) {
        loop {
            self.pair.drive();
            let told = self.tell_controller();
            // What came before a discharge is done before it.
            let served = self.serve_posts() | self.serve_retirements() | self.serve_control() | self.serve_held();
            if !told && !served {
                return;
            }
        }
    }

    pub(super) fn tell_controller(&mut self) -> bool {
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

    /// A wrong request ends the control link.
    fn end_control(&mut self, error: AmqpError) {
        self.pair.server.detach(self.control.1, true, Some(error)).unwrap();
        self.undo_control();
    }

    fn undo(&mut self, work: Vec<Work>) {
        for work in work {
            if let Work::Acquire(token) = work {
                // §4.4.4: the default outcome of the source applies to what was acquired.
                if let Some(body) = self.acquired.remove(&token) {
                    let source = self.pair.server.remote_attach(self.takes.1).unwrap().source.unwrap();
                    self.pair.server.settle_sent(self.takes.1, token, Some(default_outcome(&source))).unwrap();
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
                        self.undo(discharging.work);
                        if let Some(half) = self.half.take() {
                            self.pair.server.abort(self.takes.1, half).unwrap();
                        }
                    }
                    answer
                }
                Err(refusal) => Err(refusal),
            };
            let (control, key) = (self.control.1, delivery.key);
            match answered {
                Ok(state) => self.held.push((key, state)),
                Err(refusal) if refusal.detach => {
                    self.pair.server.detach(control, true, Some(refusal.error)).unwrap();
                    self.undo_control();
                }
                Err(refusal) => self.pair.server.dispose(control, key, refusal.state()).unwrap(),
            }
        }
        !deliveries.is_empty()
    }

    /// Answers that a discharge is done, when what was half sent within it is gone from the wire (§4.4.3).
    fn serve_held(&mut self) -> bool {
        if self.pair.server.is_aborting(self.takes.1) {
            return false;
        }
        let held = std::mem::take(&mut self.held);
        let any = !held.is_empty();
        for (key, state) in held {
            self.pair.server.dispose(self.control.1, key, state).unwrap();
        }
        any
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
    pub(super) fn detached(&self) -> Option<ErrorCondition> {
        self.pair.client.detached(self.control.0).and_then(|detached| detached.error).map(|error| error.condition)
    }

    pub(super) fn visible(&self) -> Vec<&str> {
        self.visible.iter().map(|body| std::str::from_utf8(body).unwrap()).collect()
    }
}

pub(super) fn message_of(value: impl Into<Value>) -> EncodedMessage {
    Message::builder().value(value).build()
}

pub(super) fn value(body: &impl amqp1_codec::Encode) -> Value {
    use amqp1_codec::{Decode, Reader};
    Value::decode(&mut Reader::new(&body.to_octets())).unwrap()
}

pub(super) fn unknown() -> TxnId {
    TxnId::new(b"nobody's").unwrap()
}
