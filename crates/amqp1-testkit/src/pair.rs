//! Two engines, a clock that is moved by hand, and a pipe each way.

use crate::{
    Checker, End, Judge, Pipe, Side,
    crowded::{Numbers, crowd_connection, crowd_session, styled},
    receiver, secs, sender,
    turned::turned,
};
use amqp1_auth::sasl::ClientMechanism;
use amqp1_codec::definitions::Role;
use amqp1_engine::{
    AttachReply, Connection, ConnectionConfig, Credit, Event, Instant, LinkId, ServerSasl, SessionConfig, SessionId,
};
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
    /// Whether an end whose engine has finished ends its stream, as a driver does that closes the socket.
    pub hangup: bool,
    /// Who judges every frame by what its writer has said and heard. Without one their order and the limits of the
    /// other end are checked.
    pub judge: Option<Box<Judge>>,
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
        let (client, server) = (styled(client), styled(server));
        let [of_client, of_server] = Numbers::of_pair();
        let turned = turned() && mechanism.is_none() && matches!(sasl, ServerSasl::None);
        let (client, server) = if turned {
            (Connection::server(client, sasl, now), Connection::client(server, mechanism, now))
        } else {
            (Connection::client(client, mechanism, now), Connection::server(server, sasl, now))
        };
        Self {
            client: End::new(client).counting_from(of_client),
            server: End::new(server).counting_from(of_server),
            now,
            up: Pipe::default(),
            down: Pipe::default(),
            limit: 16 * 1024,
            hangup: false,
            judge: None,
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
        crowd_connection(&mut pair);
        pair
    }

    /// Lets everything happen that can: what is on its way arrives, and the clock moves for that alone. What was written
    /// is checked.
    pub fn drive(&mut self) {
        for _ in 0..STEPS {
            if !self.step() && !self.wait_for_arrival() && !self.end_streams() {
                return;
            }
        }
        panic!("still busy after {STEPS} steps");
    }

    /// Each end writes once and reads one piece. Whether anything has moved.
    pub fn step(&mut self) -> bool {
        let mut moved = false;
        let up = (Side::Client, &mut self.client, &mut self.up);
        let down = (Side::Server, &mut self.server, &mut self.down);
        for (side, end, pipe) in [up, down] {
            let octets = end.write_out(self.now, self.limit);
            moved |= !octets.is_empty();
            pipe.send(self.now, octets);
            let [client, server] = &mut self.checkers;
            let (checker, other) = if side == Side::Client { (client, server) } else { (server, client) };
            if self.judge.is_none() {
                // It has no use for a begin before it has heard it.
                other.heard_octets(octets);
            }
            match &mut self.judge {
                Some(judge) => {
                    judge.wrote(side, octets);
                    end.leave_unchecked();
                }
                None => end.check(checker),
            }
        }
        let up = (Side::Server, &mut self.server, &mut self.up);
        let down = (Side::Client, &mut self.client, &mut self.down);
        for (side, end, pipe) in [up, down] {
            moved |= pipe.receive(self.now, &mut end.input) > 0;
            let taken = end.take_input(self.now);
            moved |= taken > 0;
            if let Some(judge) = &mut self.judge {
                judge.took(side, taken);
            }
        }
        moved
    }

    /// Moves the clock to the next arrival, past the deadlines that come before. Whether there is one.
    pub fn wait_for_arrival(&mut self) -> bool {
        let Some(arrival) = [self.up.next_arrival(), self.down.next_arrival()].into_iter().flatten().min() else {
            return false;
        };
        let next = self.next_deadline().map_or(arrival, |deadline| deadline.min(arrival));
        self.move_clock(next);
        true
    }

    /// The next deadline of an end.
    pub fn next_deadline(&self) -> Option<Instant> {
        [self.client.poll_timeout(), self.server.poll_timeout()].into_iter().flatten().min()
    }

    /// Moves the clock, never back, and tells the ends whose time has come.
    fn move_clock(&mut self, to: Instant) {
        self.now = self.now.max(to);
        self.client.take_timeout(self.now);
        self.server.take_timeout(self.now);
    }

    /// Tells the ends of streams that are over. Whether one of them did not know.
    fn end_streams(&mut self) -> bool {
        let mut any = false;
        if self.hangup {
            for (pipe, end) in [(&mut self.up, &self.client), (&mut self.down, &self.server)] {
                any |= end.is_finished() && pipe.finish();
            }
        }
        for (pipe, end) in [(&self.up, &mut self.server), (&self.down, &mut self.client)] {
            any |= pipe.is_over() && end.take_end(self.now);
        }
        any
    }

    /// Lets time pass, from one arrival or deadline to the next.
    pub fn sleep(&mut self, duration: Duration) {
        let until = self.now + duration;
        for _ in 0..10_000 {
            self.drive();
            let next = self.next_deadline().filter(|next| *next <= until);
            self.move_clock(next.unwrap_or(until));
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
        let server = *self.server.offered_sessions().last().expect("the session was offered");
        if self.client.count(|event| matches!(event, Event::SessionBegun(id) if *id == client)) > 0 {
            crowd_session(self, client, server);
        }
        (client, server)
    }

    /// A link from the client to the server, as both know it.
    pub fn sender(&mut self, session: SessionId, name: &'static str) -> (LinkId, LinkId) {
        let sends = self.client.attach_sender(session, sender(name)).expect("the session is there");
        self.drive();
        assert!(self.client.attached(sends), "{:?}", self.client.events);
        (sends, self.server.offered(name, Role::Receiver))
    }

    /// A link from the client to the server, which is answered as `change` says: the client's sender and the server's
    /// receiver.
    pub fn sender_answered(
        &mut self,
        session: SessionId,
        name: &'static str,
        change: impl FnOnce(&mut AttachReply),
    ) -> (LinkId, LinkId) {
        self.server.accept.links = None;
        let sends = self.client.attach_sender(session, sender(name)).expect("the session is there");
        self.drive();
        let receives = self.server.offered(name, Role::Receiver);
        let mut reply = AttachReply::echo(&self.server.remote_attach(receives).expect("an attach"));
        change(&mut reply);
        self.server.accept_link(receives, reply).expect("the link is there");
        self.drive();
        (sends, receives)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Random, Stall, data, message, unsettled};
    use amqp1_codec::messaging::DeliveryState;
    use amqp1_engine::{Event, Settlement};

    /// A pair whose pipes take their time.
    fn slow(latency: Duration) -> Pair {
        let (client, server) = Pair::configs();
        let mut pair = Pair::with(client, server);
        (pair.up.latency, pair.down.latency) = (latency, latency);
        pair
    }

    #[test]
    fn the_clock_moves_to_the_next_arrival_and_no_further() {
        let mut pair = slow(Duration::from_millis(40));
        let start = pair.now;
        pair.drive();
        assert!(pair.client.opened() && pair.server.opened());
        // The header, the open and their answers: a round trip and what it takes to come back.
        let taken = pair.now - start;
        assert!(taken >= Duration::from_millis(80) && taken <= Duration::from_millis(160), "{taken:?}");
    }

    #[test]
    fn deadlines_before_an_arrival_are_met() {
        let mut pair = slow(Duration::ZERO);
        pair.drive();
        // A stall that is longer than the idle time-out: the server gives up before the octets arrive.
        pair.up.stall = Some(Stall { after: 0, lasts: secs(100) });
        pair.client.begin(SessionConfig::default()).unwrap();
        pair.drive();
        assert_eq!(pair.server.closed(), amqp1_engine::ConnectionError::IdleTimeout);
    }

    #[test]
    fn any_seeded_pipes_carry_a_conversation() {
        for seed in 0..40 {
            let mut random = Random::new(seed);
            let mut pair = slow(Duration::ZERO);
            (pair.up, pair.down) = (Pipe::seeded(&mut random), Pipe::seeded(&mut random));
            pair.drive();
            let (session, _) = pair.session();
            let (tx, rx) = pair.sender(session, "q");
            for number in 0..5 {
                pair.client.send(tx, message(number, 3000), unsettled(number as u64)).unwrap();
            }
            pair.drive();
            for (number, delivery) in pair.server.take_all(rx).into_iter().enumerate() {
                assert_eq!(data(&delivery.message), crate::body(number, 3000));
                pair.server.dispose(rx, delivery.key, DeliveryState::Accepted).unwrap();
            }
            pair.drive();
            let accepted = |number| (number, Settlement::Outcome(Some(DeliveryState::Accepted)));
            assert_eq!(pair.client.settlements(), (0..5).map(accepted).collect::<Vec<_>>(), "seed {seed}");
        }
    }

    #[test]
    fn a_finished_stream_ends_the_reader_behind_its_last_octet() {
        let mut pair = slow(Duration::from_millis(5));
        pair.drive();
        let (_, far) = pair.session();
        pair.up.finish();
        pair.drive();
        assert!(pair.server.ended_session(far).is_some() && pair.server.is_closed());
        assert_eq!(pair.client.count(|event| matches!(event, Event::Closed(_))), 0);
    }
}
