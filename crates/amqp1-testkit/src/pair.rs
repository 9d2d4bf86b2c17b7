//! Two engines, a clock that is moved by hand, and a pipe each way.

use crate::{Checker, End, Pipe, receiver, secs, sender};
use amqp1_auth::sasl::ClientMechanism;
use amqp1_codec::definitions::Role;
use amqp1_engine::{Connection, ConnectionConfig, Credit, Instant, LinkId, ServerSasl, SessionConfig, SessionId};
use core::time::Duration;

/// More steps than any test needs: whoever takes so many turns in circles.
const STEPS: usize = 4_000_000;

/// Two engines with a pipe each way.
#[derive(Debug)]
pub struct Pair {
    /// The end that was the first to speak.
    pub client: End,
    /// The other end.
    pub server: End,
    /// The clock. It moves when it is asked to.
    pub now: Instant,
    /// From the client to the server.
    pub up: Pipe,
    /// From the server to the client.
    pub down: Pipe,
    /// How much an end may write at a time.
    pub limit: usize,
    checkers: [Checker; 2],
}

impl Pair {
    /// Two ends that have said nothing yet.
    pub fn with(client: ConnectionConfig, server: ConnectionConfig) -> Self {
        Self::sasl(client, None, server, ServerSasl::None)
    }

    /// As [`Pair::with`], with a security layer.
    pub fn sasl(
        client: ConnectionConfig,
        mechanism: Option<Box<dyn ClientMechanism>>,
        server: ConnectionConfig,
        sasl: ServerSasl,
    ) -> Self {
        let now = Instant::from_nanos(1_000);
        Self {
            client: End::new(Connection::client(client, mechanism, now)),
            server: End::new(Connection::server(server, sasl, now)),
            now,
            up: Pipe::default(),
            down: Pipe::default(),
            limit: 16 * 1024,
            checkers: Default::default(),
        }
    }

    /// The configurations that [`Pair::open`] uses, to be changed.
    pub fn configs() -> (ConnectionConfig, ConnectionConfig) {
        (ConnectionConfig::new("client"), ConnectionConfig::new("server"))
    }

    /// An open connection.
    pub fn open() -> Self {
        let (client, server) = Self::configs();
        Self::open_with(client, server)
    }

    /// An open connection with these configurations.
    pub fn open_with(client: ConnectionConfig, server: ConnectionConfig) -> Self {
        let mut pair = Self::with(client, server);
        pair.drive();
        assert!(pair.client.opened() && pair.server.opened());
        pair
    }

    /// Lets everything happen that can, without time passing. What was written is checked.
    pub fn drive(&mut self) {
        self.drive_unchecked();
        let [up, down] = &mut self.checkers;
        up.check(&self.client.written, &self.server.written);
        down.check(&self.server.written, &self.client.written);
    }

    fn drive_unchecked(&mut self) {
        for _ in 0..STEPS {
            if !self.step() {
                for (pipe, end) in [(&self.up, &mut self.server), (&self.down, &mut self.client)] {
                    if pipe.is_cut() && !end.is_closed() {
                        end.engine.handle_eof(self.now);
                        end.look();
                    }
                }
                return;
            }
        }
        panic!("still busy after {STEPS} steps");
    }

    /// Each end writes once and reads one piece. Whether anything has moved.
    pub fn step(&mut self) -> bool {
        let up = self.client.output(self.now, self.limit);
        self.up.write(&up);
        let down = self.server.output(self.now, self.limit);
        self.down.write(&down);
        let moved = self.up.read(&mut self.server.input) + self.down.read(&mut self.client.input);
        self.server.take_input(self.now);
        self.client.take_input(self.now);
        moved > 0 || !up.is_empty() || !down.is_empty()
    }

    /// Lets time pass, from one deadline to the next.
    pub fn sleep(&mut self, duration: Duration) {
        let until = self.now + duration;
        for _ in 0..10_000 {
            self.drive();
            let deadlines = [self.client.poll_timeout(), self.server.poll_timeout()];
            let next = deadlines.into_iter().flatten().min().filter(|next| *next <= until);
            self.now = next.unwrap_or(until).max(self.now);
            for end in [&mut self.client, &mut self.server] {
                if end.poll_timeout().is_some_and(|deadline| deadline <= self.now) {
                    end.engine.handle_timeout(self.now);
                    end.look();
                }
            }
            if next.is_none() {
                return self.drive();
            }
        }
        panic!("a deadline does not go away: {:?} {:?}", self.client.poll_timeout(), self.server.poll_timeout());
    }

    /// A session, as the client and the server know it.
    pub fn session(&mut self) -> (SessionId, SessionId) {
        self.session_with(SessionConfig::default())
    }

    /// A session that the client begins with this configuration.
    pub fn session_with(&mut self, config: SessionConfig) -> (SessionId, SessionId) {
        let client = self.client.begin(config).expect("the connection is open");
        self.drive();
        (client, *self.server.offered_sessions().last().expect("the session was offered"))
    }

    /// A link from the client to the server, as both know it.
    pub fn sender(&mut self, session: SessionId, name: &'static str) -> (LinkId, LinkId) {
        let sends = self.client.attach_sender(session, sender(name)).expect("the session is there");
        self.drive();
        assert!(self.client.attached(sends), "{:?}", self.client.events);
        (sends, self.server.offered(name, Role::Receiver))
    }

    /// A link from the server to the client: the client's receiver and the server's sender.
    pub fn receiver(&mut self, session: SessionId, name: &'static str, credit: Credit) -> (LinkId, LinkId) {
        let receives = self.client.attach_receiver(session, receiver(name, credit)).expect("the session is there");
        self.drive();
        assert!(self.client.attached(receives), "{:?}", self.client.events);
        (receives, self.server.offered(name, Role::Sender))
    }

    /// Both ends have said and heard all there is.
    pub fn assert_closed(&mut self) {
        self.sleep(secs(60));
        for end in [&self.client, &self.server] {
            assert!(end.is_finished(), "{end:?}");
            end.closed();
        }
    }
}
