//! A container that coordinates transactions and holds one queue, on the engine alone.

use amqp1::{
    Credit, Message, Symbol,
    codec::sasl::SaslCode,
    connection::{ConnectionConfig, SessionConfig},
    engine::{
        Connection as Engine, Event, Instant, LinkId, SendOptions, ServerSasl, Settlement, TransactionRole,
        TransmitQueue,
        transaction::{Coordinator, CoordinatorConfig, Refusal, Request, TxnId},
    },
    error::{AmqpError, ErrorCondition},
    link::{DeliveryState, Role, TargetArchetype},
    message::EncodedMessage,
};
use bytes::{Bytes, BytesMut};
use std::collections::{BTreeMap, VecDeque};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::{mpsc, watch},
};

/// What a test looks at.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Book {
    /// Messages that others would see.
    pub(crate) visible: Vec<Bytes>,
    /// What became of messages that were sent from the stock.
    pub(crate) outcomes: Vec<(Bytes, Option<DeliveryState>)>,
    /// How many transactions there were.
    pub(crate) declared: usize,
    /// How many there are.
    pub(crate) live: usize,
    /// How many outcomes within a transaction were stated.
    pub(crate) retired: usize,
    /// How many commits were asked for.
    pub(crate) commits: usize,
}

/// What the container does with a commit.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum OnCommit {
    /// What it says.
    #[default]
    Commit,
    /// What it says, but deliveries that are retired are not settled at this end.
    Leave,
    /// The work cannot be done.
    Refuse,
    /// The control link goes without an answer.
    Detach(Option<AmqpError>),
    /// Nothing, until it is told to.
    Wait,
}

/// What a test wants done.
#[derive(Debug)]
pub(crate) enum Order {
    OnCommit(OnCommit),
    /// A message for whoever receives.
    Stock(&'static str),
    /// The control link ends.
    DropControl(Option<AmqpError>),
    /// Declares are answered from now on, or not.
    Declares(bool),
}

#[derive(Debug)]
enum Work {
    Post(Bytes),
    /// The last says whether the receiver has settled.
    Retire(LinkId, u64, DeliveryState, bool),
}

struct Resource {
    engine: Engine,
    coordinator: Coordinator<Work>,
    control: Option<LinkId>,
    posts: Vec<LinkId>,
    takers: Vec<LinkId>,
    stock: VecDeque<Bytes>,
    sent: BTreeMap<u64, Bytes>,
    token: u64,
    on_commit: OnCommit,
    deaf: bool,
    book: Book,
}

/// Whether it coordinates, and what it is told and tells.
pub(crate) fn serve(io: DuplexStream, coordinates: bool) -> (mpsc::UnboundedSender<Order>, watch::Receiver<Book>) {
    let (orders, ordered) = mpsc::unbounded_channel();
    let (told, book) = watch::channel(Book::default());
    // Small frames, and few at a time: links have to take turns.
    let mut config = ConnectionConfig::new("resource");
    (config.idle_timeout, config.max_frame_size) = (None, 1024);
    let sasl = ServerSasl::Allowed(vec![Symbol::from_static("ANONYMOUS")]);
    let resource = Resource {
        engine: {
            let mut engine = Engine::server(config, sasl, Instant::default());
            engine.set_transaction_role(TransactionRole::Resource);
            engine
        },
        coordinator: Coordinator::new(CoordinatorConfig { timeout: None, ..CoordinatorConfig::default() }),
        control: None,
        posts: Vec::new(),
        takers: Vec::new(),
        stock: VecDeque::new(),
        sent: BTreeMap::new(),
        token: 0,
        on_commit: OnCommit::default(),
        deaf: false,
        book: Book::default(),
    };
    tokio::spawn(resource.run(io, coordinates, ordered, told));
    (orders, book)
}

impl Resource {
    async fn run(
        mut self,
        mut io: DuplexStream,
        coordinates: bool,
        mut orders: mpsc::UnboundedReceiver<Order>,
        told: watch::Sender<Book>,
    ) {
        let mut input = BytesMut::new();
        loop {
            while self.turn(coordinates) {}
            self.book.live = self.coordinator.len();
            told.send_if_modified(|book| {
                let changed = *book != self.book;
                book.clone_from(&self.book);
                changed
            });
            let mut output = TransmitQueue::default();
            self.engine.transmit(Instant::default(), usize::MAX, &mut output);
            if io.write_all(&output.to_vec()).await.is_err() {
                return;
            }
            tokio::select! {
                // What a test has asked for counts from then on.
                biased;
                Some(order) = orders.recv() => self.obey(order),
                read = io.read_buf(&mut input) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(_) => self.engine.handle_input(Instant::default(), &mut input),
                },
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::OnCommit(what) => self.on_commit = what,
            Order::Stock(body) => self.stock.push_back(Bytes::from_static(body.as_bytes())),
            Order::DropControl(error) => self.drop_control(error),
            Order::Declares(answered) => self.deaf = !answered,
        }
    }

    fn drop_control(&mut self, error: Option<AmqpError>) {
        let Some(control) = self.control.take() else { return };
        self.engine.link(control).and_then(|mut link| link.detach(true, error)).expect("a control link");
        drop(self.coordinator.handle_detached(control));
    }

    /// Does what there is to do; whether there was something.
    fn turn(&mut self, coordinates: bool) -> bool {
        let mut any = false;
        while let Some(settled) = self.engine.poll_settled() {
            any = true;
            let Settlement::Outcome(state) = settled.settlement else { continue };
            let body = self.sent.remove(&settled.token).expect("what was sent");
            self.book.outcomes.push((body, state));
        }
        while let Some(event) = self.engine.poll_event() {
            any = true;
            self.on_event(event, coordinates);
        }
        // What came before a discharge is done before it.
        any | self.serve_posts() | self.serve_control() | self.serve_takers()
    }

    fn on_event(&mut self, event: Event, coordinates: bool) {
        match event {
            Event::SaslInit { .. } => self.engine.sasl_outcome(SaslCode::Ok, None),
            Event::SessionOffered(id) => {
                let config = SessionConfig { incoming_window: 4, ..SessionConfig::default() };
                self.engine.session(id).and_then(|mut session| session.accept(config)).expect("a session");
            }
            Event::LinkOffered(id) => self.accept(id, coordinates),
            Event::LinkDetached(id, _) => {
                self.posts.retain(|link| *link != id);
                self.takers.retain(|link| *link != id);
                if self.control == Some(id) {
                    self.control = None;
                    drop(self.coordinator.handle_detached(id));
                }
            }
            Event::Provisional { link, token, state: DeliveryState::Transactional(state), settled, .. } => {
                self.book.retired += 1;
                let txn = TxnId::new(&state.txn_id).expect("a name");
                let outcome = *state.outcome.expect("an outcome");
                let session = self.engine.link(link).map(|link| link.session_id()).expect("a session");
                let owned = self.coordinator.own(&txn, link, token);
                let work = Work::Retire(link, token, outcome, settled);
                if let Err(error) = owned.and_then(|()| self.coordinator.record(&txn, session, work)) {
                    self.drop_control(Some(error));
                }
            }
            _ => {}
        }
    }

    fn accept(&mut self, id: LinkId, coordinates: bool) {
        let remote = self.engine.link(id).ok().and_then(|link| link.remote_attach()).expect("an attach");
        let mut reply = amqp1::engine::AttachReply::echo(&remote);
        match (&remote.target, remote.role) {
            (Some(TargetArchetype::Coordinator(_)), _) if !coordinates => {
                let error = AmqpError::new(ErrorCondition::NOT_IMPLEMENTED, "there are no transactions here");
                return self.engine.link(id).and_then(|mut link| link.reject(error)).expect("a link");
            }
            (Some(TargetArchetype::Coordinator(_)), _) => {
                reply.target = Some(TargetArchetype::Coordinator(self.coordinator.target()));
                self.control = Some(id);
            }
            (_, Role::Sender) => self.posts.push(id),
            (_, Role::Receiver) => self.takers.push(id),
        }
        reply.credit = Credit::Window(20);
        self.engine.link(id).and_then(|mut link| link.accept(reply)).expect("a link");
    }

    fn serve_posts(&mut self) -> bool {
        let mut any = false;
        for link in self.posts.clone() {
            while let Some(delivery) = self.engine.receiver(link).expect("a link").recv() {
                any = true;
                let body = delivery.message.data().expect("a body");
                let Some(txn) = delivery.state.as_ref().and_then(TxnId::of) else {
                    self.book.visible.push(body);
                    self.engine
                        .receiver(link)
                        .and_then(|mut receiver| receiver.dispose(delivery.key, DeliveryState::Accepted))
                        .expect("a link");
                    continue;
                };
                let session = self.engine.link(link).map(|link| link.session_id()).expect("a session");
                let outcome = if body == "nowhere" {
                    let error = AmqpError::new(ErrorCondition::NOT_FOUND, "no such queue");
                    self.coordinator.spoil(&txn, error.clone());
                    DeliveryState::rejected(error)
                } else {
                    DeliveryState::Accepted
                };
                match self.coordinator.record(&txn, session, Work::Post(body)) {
                    Ok(()) => {
                        let mut receiver = self.engine.receiver(link).expect("a link");
                        let _ = receiver.dispose(delivery.key, txn.state(Some(outcome)));
                    }
                    Err(error) => self.drop_control(Some(error)),
                }
            }
        }
        any
    }

    fn serve_takers(&mut self) -> bool {
        let mut any = false;
        for link in self.takers.clone() {
            while self.engine.sender(link).map_or(0, |sender| sender.credit()) > 0 {
                let Some(body) = self.stock.pop_front() else { break };
                any = true;
                self.token += 1;
                let message: EncodedMessage = Message::builder().data(body.clone()).build();
                let options = SendOptions { token: self.token, ..SendOptions::default() };
                self.engine.sender(link).expect("a link").send(message, options).expect("credit");
                self.sent.insert(self.token, body);
            }
        }
        any
    }

    fn serve_control(&mut self) -> bool {
        let Some(control) = self.control else { return false };
        if self.deaf {
            return false;
        }
        let Some(delivery) = self.engine.receiver(control).expect("a link").recv() else { return false };
        let source = self
            .engine
            .link(control)
            .ok()
            .and_then(|link| link.remote_attach())
            .and_then(|attach| attach.source.clone());
        let source = source.as_deref();
        let answer = match self.coordinator.handle(control, source, &delivery, Instant::default()) {
            Ok(Request::Declared(_, state)) => {
                self.book.declared += 1;
                Ok(state)
            }
            Ok(Request::Discharge(discharging)) if discharging.fail => discharging.answer(source, Ok(())),
            Ok(Request::Discharge(discharging)) => {
                self.book.commits += 1;
                match self.on_commit.clone() {
                    OnCommit::Leave => {
                        self.keep_posted(discharging.work.iter());
                        discharging.answer(source, Ok(()))
                    }
                    OnCommit::Commit => {
                        let answer = discharging.answer(source, Ok(()));
                        if answer.is_ok() {
                            self.apply(discharging.work);
                        }
                        answer
                    }
                    OnCommit::Refuse => discharging
                        .answer(source, Err(AmqpError::new(ErrorCondition::RESOURCE_LIMIT_EXCEEDED, "no room"))),
                    OnCommit::Detach(error) => {
                        self.drop_control(error);
                        return true;
                    }
                    OnCommit::Wait => return true,
                }
            }
            Err(refusal) => Err(refusal),
        };
        match answer {
            Ok(state) => self
                .engine
                .receiver(control)
                .and_then(|mut receiver| receiver.dispose(delivery.key, state))
                .expect("a link"),
            Err(Refusal { error, detach: true }) => self.drop_control(Some(error)),
            Err(refusal) => self
                .engine
                .receiver(control)
                .and_then(|mut receiver| receiver.dispose(delivery.key, refusal.state()))
                .expect("a link"),
        }
        true
    }

    /// Those that the receiver has settled have their outcome now; the others wait for it to be stated again.
    fn keep_posted<'a>(&mut self, work: impl Iterator<Item = &'a Work>) {
        for work in work {
            if let Work::Retire(link, token, outcome, true) = work {
                self.engine
                    .sender(*link)
                    .and_then(|mut sender| sender.settle(*token, Some(outcome.clone())))
                    .expect("a delivery");
            }
        }
    }

    fn apply(&mut self, work: Vec<Work>) {
        for work in work {
            match work {
                Work::Post(body) => self.book.visible.push(body),
                Work::Retire(link, token, outcome, _) => {
                    self.engine
                        .sender(link)
                        .and_then(|mut sender| sender.settle(token, Some(outcome)))
                        .expect("an unsettled delivery");
                }
            }
        }
    }
}
