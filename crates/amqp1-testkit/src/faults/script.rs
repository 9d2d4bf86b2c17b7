//! One engine, and a peer that keeps to the rules until it does not: sessions and links on which the peer sends.

use crate::{
    HELLO, Peer, attach, begin, error,
    ledger::{Book, Ledger, Operation, Watch},
    receiver, refusal, secs, transfer,
};
use amqp1_codec::{
    SequenceNo,
    definitions::{ErrorCondition, Role},
    messaging::DeliveryState,
    performative::{Begin, Close, Detach, Disposition, End, Performative, Transfer},
};
use amqp1_engine::{Credit, LinkId, ServerSasl, SessionConfig, Settlement};
use core::time::Duration;
use std::collections::BTreeMap;

/// Channel and handle.
pub(super) type Place = (u16, u32);

/// The links: two in each of two sessions.
pub(super) const PLACES: [(Place, &str); 4] = [((0, 0), "a"), ((0, 1), "b"), ((1, 0), "c"), ((1, 1), "d")];

/// How many transfers the engine lets come at a time.
pub(super) const WINDOW: u32 = 20;

/// A peer that sends, and the account of what the engine does with it.
#[derive(Debug)]
pub(super) struct Script {
    peer: Peer,
    watch: Watch,
    book: Book,
    pub(super) ledger: Ledger,
    links: BTreeMap<Place, LinkId>,
    /// The next delivery-id of each session.
    pub(super) next: [u32; 2],
    /// Messages without an outcome, by channel and delivery-id.
    open: BTreeMap<(u16, u32), (Place, u64)>,
    seen: usize,
}

impl Script {
    /// A peer of an engine of either role, with all sessions and links.
    pub(super) fn new(of_client: bool) -> Self {
        let mut peer = if of_client { Peer::of_client() } else { Peer::of_server(ServerSasl::None) }.open();
        let config = SessionConfig { incoming_window: WINDOW, ..SessionConfig::default() };
        peer.end.accept.sessions = Some(config.clone());
        let mut script = Self {
            peer,
            watch: Watch::default(),
            book: Book::default(),
            ledger: Ledger::of_run(),
            links: BTreeMap::new(),
            next: [0; 2],
            open: BTreeMap::new(),
            seen: 0,
        };
        for channel in [0, 1] {
            let links = PLACES.iter().filter(|((at, _), _)| *at == channel);
            if of_client {
                script.begun_by_the_engine(channel, &config, links);
            } else {
                script.peer.send(channel, begin());
                for ((_, handle), name) in links {
                    script.peer.send(channel, attach(name, *handle, Role::Sender));
                    script.links.insert((channel, *handle), script.peer.end.offered(name, Role::Receiver));
                }
            }
        }
        script.look();
        script
    }

    fn begun_by_the_engine(
        &mut self,
        channel: u16,
        config: &SessionConfig,
        links: impl Iterator<Item = &'static (Place, &'static str)>,
    ) {
        let now = self.peer.now;
        let session = self.peer.end.begin(config.clone()).expect("the connection is open");
        self.watch.begin(Operation::Begin(session), now, &mut self.ledger);
        self.peer.flush();
        self.peer.send(channel, Begin { remote_channel: Some(channel), ..begin() });
        for (place, name) in links {
            let attached = self.peer.end.attach_receiver(session, receiver(name, Credit::Window(200)));
            let link = attached.expect("the session is there");
            self.watch.begin(Operation::Attach(link), now, &mut self.ledger);
            self.peer.flush();
            self.peer.send(channel, attach(name, place.1, Role::Sender));
            self.links.insert(*place, link);
        }
    }

    /// Time passes, less than the idle time-out.
    pub(super) fn pass(&mut self, time: Duration) {
        self.peer.now = self.peer.now + time.min(secs(20));
    }

    /// A frame from the peer.
    pub(super) fn say(&mut self, channel: u16, body: impl Into<Performative>) {
        self.peer.send(channel, body);
    }

    /// A transfer that is none of the counted messages.
    pub(super) fn wrong_transfer(&mut self, channel: u16, transfer: Transfer) {
        self.peer.send_payload(channel, transfer, HELLO);
    }

    /// The octets of a new message, which counts as sent.
    pub(super) fn message(&mut self, place: Place, length: usize) -> Vec<u8> {
        let name = name_of(place);
        let number = self.book.write(name, length, &mut self.ledger);
        self.book.sent(number, self.peer.now, &mut self.ledger);
        let next = &mut self.next[usize::from(place.0)];
        let octets = self.book.message(number).into_parts().concat();
        let frame = crate::frame(place.0, transfer(place.1, *next), &octets);
        self.open.insert((place.0, *next), (place, number));
        *next += 1;
        frame.to_vec()
    }

    /// Octets from the peer.
    pub(super) fn raw(&mut self, octets: &[u8]) {
        self.peer.raw(octets);
    }

    /// Sends a message, which the application takes and accepts.
    pub(super) fn deliver(&mut self, place: Place, length: usize) {
        let octets = self.message(place, length);
        self.peer.raw(&octets);
        self.take(place);
        let refused = self.look();
        self.ledger.expect(refused.is_none(), || format!("{place:?} is refused: {refused:?}"));
    }

    /// The application takes and accepts what there is on a link.
    fn take(&mut self, place: Place) {
        let Some(link) = self.links.get(&place).copied() else { return };
        for delivery in self.peer.end.take_all(link) {
            let octets = crate::data(&delivery.message);
            self.book.received(name_of(place), &octets, false, &mut self.ledger);
            let disposed = self.peer.end.dispose(link, delivery.key, DeliveryState::Accepted);
            self.ledger.expect(disposed.is_ok(), || format!("dispose: {disposed:?}"));
        }
    }

    /// The engine's application detaches a link.
    pub(super) fn detach(&mut self, place: Place) {
        let Some(link) = self.links.get(&place).copied() else { return };
        self.watch.begin(Operation::Detach(link), self.peer.now, &mut self.ledger);
        let detached = self.peer.end.detach(link, true, Some(error(ErrorCondition::DETACH_FORCED)));
        self.ledger.expect(detached.is_ok(), || format!("detach: {detached:?}"));
        self.peer.flush();
    }

    /// Reads what the engine has said and reported. What it refuses, if it does.
    pub(super) fn look(&mut self) -> Option<(&'static str, ErrorCondition)> {
        let frames = self.peer.read();
        for (channel, body, _) in &frames {
            if let Performative::Disposition(disposition) = body {
                self.disposed(*channel, disposition);
            }
        }
        let now = self.peer.now;
        for event in &self.peer.end.events[self.seen..] {
            self.watch.note(event, now, &mut self.ledger);
        }
        self.seen = self.peer.end.events.len();
        refusal(&frames)
    }

    fn disposed(&mut self, channel: u16, disposition: &Disposition) {
        let SequenceNo(first) = disposition.first;
        let SequenceNo(last) = disposition.last.unwrap_or(disposition.first);
        for id in first..=last {
            let Some((_, number)) = self.open.remove(&(channel, id)) else { continue };
            let outcome = Settlement::Outcome(disposition.state.clone());
            self.book.settled(number, &outcome, self.peer.now, &mut self.ledger);
        }
    }

    /// The peer agrees that a link or a session is over; its messages are lost.
    pub(super) fn give_up(&mut self, (channel, handle): Place, scope: &str) {
        if scope == "end" {
            self.say(channel, End::default());
        } else {
            self.say(channel, Detach { handle, closed: true, error: None });
        }
        let gone = |place: Place| place.0 == channel && (scope == "end" || place.1 == handle);
        let now = self.peer.now;
        let (lost, left) = core::mem::take(&mut self.open).into_iter().partition(|(_, (place, _))| gone(*place));
        self.open = left;
        for (_, (_, number)) in lost {
            self.book.settled(number, &Settlement::Lost { sent: true }, now, &mut self.ledger);
        }
        self.look();
    }

    /// The peer closes. Everything must be over.
    pub(super) fn over(mut self) -> Ledger {
        self.say(0, Close::default());
        self.look();
        self.watch.check_over("engine", &self.peer.end.engine, &mut self.ledger);
        let (open, pending) = (self.book.open(), self.watch.pending());
        self.ledger.expect(open + pending == 0, || format!("{open} messages and {pending} operations have no end"));
        self.ledger.time = self.peer.now - amqp1_engine::Instant::default();
        self.ledger
    }
}

fn name_of(place: Place) -> &'static str {
    PLACES.iter().find(|(at, _)| *at == place).map_or("", |(_, name)| name)
}
