//! Two engines, an application at each, and the account of what they do.

use super::{
    Side,
    stream::{Spec, Stream},
};
use crate::{
    Checker, End, Pair, Pipe, Random,
    ledger::{Book, Ledger, Operation, Watch},
    secs,
};
use amqp1_codec::definitions::AmqpError;
use amqp1_engine::{
    Connection, ConnectionConfig, ConnectionError, Event, Instant, ServerSasl, SessionConfig, SessionId, Suspended,
};
use core::time::Duration;
use std::collections::BTreeMap;

/// More turns than any run needs: whoever takes so many turns in circles.
const TURNS: usize = 2_000_000;

/// The idle time-out of both ends, and what may be waited for beyond it: the close, and a second.
const PATIENCE: Duration = secs(66);

/// A conversation, over as many connections as it takes.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) pair: Pair,
    pub(super) book: Book,
    pub(super) ledger: Ledger,
    pub(super) watches: [Watch; 2],
    pub(super) streams: Vec<Stream>,
    /// What suspended endpoints of links have left, at each end.
    pub(super) kept: [BTreeMap<String, Suspended>; 2],
    /// Links survive their connection.
    pub(super) resumable: bool,
    /// The longest that an operation or a message may wait.
    pub(super) patience: Duration,
    /// An octet takes this long on the line, and the next one waits for it.
    pub(super) slow: Option<Duration>,
    /// An end writes only when all that it wrote before has arrived.
    pub(super) narrow: bool,
    /// Whether what is written is looked at, and kept.
    pub(super) checked: bool,
    /// How the client's sessions behave.
    pub(super) session: SessionConfig,
    /// When an end has received something last.
    pub(super) heard: [Instant; 2],
    configs: (ConnectionConfig, ConnectionConfig),
    free: [Instant; 2],
    checkers: [Checker; 2],
    /// How many events and settlements of each end are done with.
    seen: [(usize, usize); 2],
    began: Instant,
}

impl Run {
    /// Both ends as [`Pair::configs`] has them.
    pub(super) fn new() -> Self {
        let (client, server) = Pair::configs();
        Self::with(client, server)
    }

    /// Two ends of which nothing has been heard yet.
    pub(super) fn with(client: ConnectionConfig, server: ConnectionConfig) -> Self {
        Self::at(Instant::from_nanos(1_000), client, server)
    }

    /// As [`Run::with`], at this time.
    pub(super) fn at(now: Instant, client: ConnectionConfig, server: ConnectionConfig) -> Self {
        let pair = pair_at(now, client.clone(), server.clone());
        let mut run = Self {
            pair,
            book: Book::default(),
            ledger: Ledger::of_run(),
            watches: Default::default(),
            streams: Vec::new(),
            kept: Default::default(),
            resumable: false,
            patience: PATIENCE,
            slow: None,
            narrow: false,
            checked: true,
            session: SessionConfig::default(),
            heard: [now; 2],
            configs: (client, server),
            free: [now; 2],
            checkers: Default::default(),
            seen: [(0, 0); 2],
            began: now,
        };
        run.start();
        run
    }

    fn start(&mut self) {
        // The application here looks at what is attached before it answers.
        self.pair.server.accept.links = None;
        self.pair.client.accept.links = None;
        self.began = self.pair.now;
        for side in Side::BOTH {
            self.watch(side, Operation::Open);
        }
    }

    /// Goes on over a new connection, with pipes that do nothing. The old one must be over.
    pub(super) fn reconnect(&mut self) {
        self.check_over();
        let (client, server) = self.configs.clone();
        let now = self.pair.now;
        self.pair = pair_at(now, client, server);
        (self.heard, self.free) = ([now; 2], [now; 2]);
        (self.watches, self.checkers, self.seen) = Default::default();
        for stream in &mut self.streams {
            stream.links = [None; 2];
        }
        self.start();
    }

    pub(super) fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.pair.client,
            Side::Server => &mut self.pair.server,
        }
    }

    /// The pipe into which an end writes.
    pub(super) fn pipe_from(&mut self, side: Side) -> &mut Pipe {
        outbound(&mut self.pair, side).1
    }

    /// Pipes that segment, delay and stall, as a seed has it; an octet takes a millisecond at least.
    pub(super) fn rough_pipes(&mut self, random: &mut Random) {
        for side in Side::BOTH {
            let mut pipe = Pipe::seeded(random);
            pipe.latency = pipe.latency.max(Duration::from_millis(1));
            *self.pipe_from(side) = pipe;
        }
    }

    /// An operation begins.
    pub(super) fn watch(&mut self, side: Side, operation: Operation) {
        self.watches[side.index()].begin(operation, self.pair.now, &mut self.ledger);
    }

    /// Begins a session at the client.
    pub(super) fn begin(&mut self) -> Option<SessionId> {
        let begun = self.pair.client.begin(self.session.clone());
        match begun {
            Ok(id) => {
                self.watch(Side::Client, Operation::Begin(id));
                Some(id)
            }
            Err(error) => {
                self.ledger.expect(self.pair.client.is_closed(), || format!("begin: {error}"));
                None
            }
        }
    }

    /// Ends a session.
    pub(super) fn end_session(&mut self, side: Side, id: SessionId, error: Option<AmqpError>) {
        self.watch(side, Operation::End(id));
        let ended = self.end(side).end(id, error);
        self.ledger.expect(ended.is_ok(), || format!("end: {ended:?}"));
    }

    /// Closes the connection.
    pub(super) fn close(&mut self, side: Side, error: Option<AmqpError>) {
        if self.watches[side.index()].closed.is_none() {
            let now = self.pair.now;
            self.watch(side, Operation::Close);
            self.end(side).close(now, error);
        }
    }

    /// A connection with one session, and these links in it.
    pub(super) fn converse(&mut self, specs: impl IntoIterator<Item = Spec>) -> Option<SessionId> {
        let session = self.begin()?;
        self.quiet();
        for spec in specs {
            let stream = self.stream(spec);
            self.attach(stream, session);
        }
        self.quiet();
        Some(session)
    }

    /// Each end writes once and reads one piece. Whether anything has moved.
    fn step(&mut self) -> bool {
        let now = self.pair.now;
        let limit = self.pair.limit;
        let mut moved = false;
        for side in Side::BOTH {
            let (end, pipe) = outbound(&mut self.pair, side);
            match self.slow {
                None if self.narrow && (pipe.in_flight() > 0 || pipe.is_cut()) => {}
                None => {
                    let octets = end.write_out(now, limit);
                    moved |= !octets.is_empty();
                    pipe.send(now, octets);
                }
                Some(_) if pipe.in_flight() > 0 => {}
                Some(time) => {
                    let free = &mut self.free[side.index()];
                    for octet in end.write_out(now, 1) {
                        moved = true;
                        *free = (*free).max(now) + time;
                        pipe.send(*free, &[*octet]);
                    }
                }
            }
            if !self.checked {
                end.written.clear();
            }
        }
        for side in Side::BOTH {
            let (end, pipe) = inbound(&mut self.pair, side);
            if pipe.receive(now, &mut end.input) > 0 {
                self.heard[side.index()] = now;
                moved = true;
            }
            moved |= end.take_input(now) > 0;
        }
        moved
    }

    /// An end that has finished lets the transport go; its peer sees that. Whether anything has happened.
    fn end_streams(&mut self) -> bool {
        let now = self.pair.now;
        let mut any = false;
        for side in Side::BOTH {
            let (end, pipe) = outbound(&mut self.pair, side);
            if end.is_finished() && !end.has_output() && !pipe.stalled {
                pipe.finish();
            }
            let (end, pipe) = inbound(&mut self.pair, side);
            if pipe.is_over() && !end.is_finished() {
                end.take_end(now);
                any = true;
            }
        }
        any
    }

    /// Moves the clock, never back, and tells the ends whose time has come.
    pub(super) fn move_clock(&mut self, to: Instant) {
        self.pair.now = self.pair.now.max(to);
        let now = self.pair.now;
        self.pair.client.take_timeout(now);
        self.pair.server.take_timeout(now);
    }

    /// Everything that happens now. Whether that came to an end.
    fn settle(&mut self) -> bool {
        for _ in 0..TURNS {
            let moved = self.step();
            let acted = self.application();
            if !moved && !acted && !self.end_streams() {
                self.check_order();
                return true;
            }
        }
        self.ledger.wrong(format!("still busy after {TURNS} turns"));
        false
    }

    /// Lets everything happen that can without waiting: the clock moves for arrivals alone.
    pub(super) fn quiet(&mut self) {
        while self.settle() {
            let arrivals = [self.pair.up.next_arrival(), self.pair.down.next_arrival()];
            let Some(arrival) = arrivals.into_iter().flatten().min() else { return };
            self.move_clock(self.pair.next_deadline().map_or(arrival, |deadline| deadline.min(arrival)));
        }
    }

    /// Lets time pass, from one arrival or deadline to the next, until something holds. Whether it does.
    pub(super) fn wait(&mut self, time: Duration, until: impl Fn(&Self) -> bool) -> bool {
        let last = self.pair.now + time;
        for _ in 0..TURNS {
            if !self.settle() || until(self) {
                break;
            }
            let times = [self.pair.up.next_arrival(), self.pair.down.next_arrival(), self.pair.next_deadline()];
            let next = times.into_iter().flatten().min().filter(|next| *next <= last);
            if next.is_none() && self.pair.now >= last {
                break;
            }
            self.move_clock(next.unwrap_or(last));
        }
        until(self)
    }

    /// Lets time pass.
    pub(super) fn sleep(&mut self, time: Duration) {
        self.wait(time, |_| false);
    }

    fn check_order(&mut self) {
        if self.checked {
            let [up, down] = &mut self.checkers;
            up.check(&self.pair.client.written, &self.pair.server.written);
            down.check(&self.pair.server.written, &self.pair.client.written);
        } else if Side::BOTH.iter().all(|side| self.watches[side.index()].closed.is_none()) {
            self.pair.client.forget();
            self.pair.server.forget();
            self.seen = Default::default();
        }
    }

    /// The applications look at what there is, and do what they have to. Whether there was anything.
    fn application(&mut self) -> bool {
        let mut acted = false;
        for side in Side::BOTH {
            acted |= self.look(side);
        }
        acted | self.pump() | self.take()
    }

    /// Takes note of events and settlements.
    fn look(&mut self, side: Side) -> bool {
        let now = self.pair.now;
        let (events_seen, settled_seen) = self.seen[side.index()];
        let end = self.end(side);
        if (events_seen, settled_seen) == (end.events.len(), end.settled.len()) {
            return false;
        }
        let events = core::mem::take(&mut end.events);
        let settled: Vec<_> = end.settled[settled_seen..].to_vec();
        self.seen[side.index()] = (events.len(), settled_seen + settled.len());
        for settled in settled {
            if self.book.settled(settled.token, &settled.settlement, now, &mut self.ledger) {
                self.lost(side, &settled);
            }
        }
        for event in &events[events_seen..] {
            self.watches[side.index()].note(event, now, &mut self.ledger);
            match event {
                Event::LinkOffered(id) => self.answer(side, *id),
                Event::LinkDetached(id, detached) => self.detached(side, *id, detached),
                _ => {}
            }
        }
        // What has come meanwhile stands behind.
        let later = core::mem::replace(&mut self.end(side).events, events);
        self.end(side).events.extend(later);
        true
    }

    /// Why an end's connection is over.
    pub(super) fn closed(&self, side: Side) -> Option<&ConnectionError> {
        self.watches[side.index()].closed.as_ref().map(|(_, reason)| reason)
    }

    /// Whether both ends know that the connection is over, and have nothing more to do.
    pub(super) fn is_over(&self) -> bool {
        self.pair.client.is_finished() && self.pair.server.is_finished()
    }

    /// Lets the connection come to its end, which must not take long.
    pub(super) fn await_end(&mut self) {
        self.wait(self.patience, Self::is_over);
    }

    /// The connection is over, and took nothing along.
    pub(super) fn check_over(&mut self) {
        self.ledger.time += self.pair.now - self.began;
        for (side, name) in [(Side::Client, "client"), (Side::Server, "server")] {
            let engine = &outbound(&mut self.pair, side).0.engine;
            self.watches[side.index()].check_over(name, engine, &mut self.ledger);
        }
        let open = self.book.open();
        self.ledger.expect(open == 0, || format!("{open} messages have no end"));
        let (worst, patience) = (self.ledger.worst_wait, self.patience);
        self.ledger.expect(worst <= patience, || format!("something took {worst:?}"));
    }

    /// All messages were settled, and nothing waits at either end.
    pub(super) fn check_done(&mut self) {
        let left = self.book.undone();
        self.ledger.expect(left == 0, || format!("{left} messages were not settled"));
        let to_send: usize = self.streams.iter().map(|stream| stream.todo.len()).sum();
        self.ledger.expect(to_send == 0, || format!("{to_send} messages were not sent"));
        for stream in &self.streams {
            let [client, server] = stream.links;
            for (engine, link) in [(&self.pair.client.engine, client), (&self.pair.server.engine, server)] {
                let left = link.map_or(0, |link| engine.queued(link) + engine.buffered(link));
                self.ledger.expect(left == 0, || format!("{left} octets or deliveries wait on {}", stream.name));
            }
        }
    }

    /// Everything was settled: closes, and gives the account.
    pub(super) fn done(mut self) -> Ledger {
        self.check_done();
        self.over()
    }

    /// Closes, and gives the account.
    pub(super) fn over(mut self) -> Ledger {
        self.close(Side::Client, None);
        self.await_end();
        self.check_over();
        let pending: usize = self.watches.iter().map(Watch::pending).sum();
        self.ledger.expect(pending == 0, || format!("{pending} operations have no end"));
        self.ledger
    }
}

/// Two engines that begin at this time.
fn pair_at(now: Instant, client: ConnectionConfig, server: ConnectionConfig) -> Pair {
    let mut pair = Pair::with(client.clone(), server.clone());
    pair.client = End::new(Connection::client(client, None, now));
    pair.server = End::new(Connection::server(server, ServerSasl::None, now));
    pair.now = now;
    pair
}

fn outbound(pair: &mut Pair, side: Side) -> (&mut End, &mut Pipe) {
    match side {
        Side::Client => (&mut pair.client, &mut pair.up),
        Side::Server => (&mut pair.server, &mut pair.down),
    }
}

fn inbound(pair: &mut Pair, side: Side) -> (&mut End, &mut Pipe) {
    match side {
        Side::Client => (&mut pair.client, &mut pair.down),
        Side::Server => (&mut pair.server, &mut pair.up),
    }
}
