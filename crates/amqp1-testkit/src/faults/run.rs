//! Two engines, an application at each, and the account of what they do.

use super::{
    Side,
    drive::outbound,
    stream::{Spec, Stream},
};
use crate::{
    Checker, End, Pair, Pipe, Random,
    ledger::{Book, Ledger, Operation, Watch},
    secs,
};
use amqp1_codec::definitions::AmqpError;
use amqp1_engine::{
    Connection, ConnectionConfig, ConnectionError, Instant, ServerSasl, SessionConfig, SessionId, Suspended,
};
use core::time::Duration;
use std::collections::BTreeMap;

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
    /// When the line from each end has room for the next octet.
    pub(super) free: [Instant; 2],
    pub(super) checkers: [Checker; 2],
    /// How many events and settlements of each end are done with.
    pub(super) seen: [(usize, usize); 2],
    began: Instant,
    /// How often the clock was moved to where it was.
    pub(super) standstills: usize,
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
            standstills: 0,
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
        let limit = self.pair.limit;
        self.pair = pair_at(now, client, server);
        self.pair.limit = limit;
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

    /// All messages were settled, all that was asked for was answered, and nothing waits at either end.
    pub(super) fn check_done(&mut self) {
        let left = self.book.undone();
        self.ledger.expect(left == 0, || format!("{left} messages were not settled"));
        let to_send: usize = self.streams.iter().map(|stream| stream.todo.len()).sum();
        self.ledger.expect(to_send == 0, || format!("{to_send} messages were not sent"));
        let pending: usize = self.watches.iter().map(Watch::pending).sum();
        self.ledger.expect(pending == 0, || format!("{pending} operations were not answered"));
        for stream in &self.streams {
            let [client, server] = stream.links;
            for (end, link) in [(&mut self.pair.client, client), (&mut self.pair.server, server)] {
                let left = link.map_or(0, |link| end.queued(link) + end.buffered(link));
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
