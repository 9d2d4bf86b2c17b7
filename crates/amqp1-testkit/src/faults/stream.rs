//! What the applications do with a link: one writes messages, the other takes and accepts them.

use super::{Side, run::Run};
use crate::{data, ledger::Operation, receiver, sender};
use amqp1_codec::{
    DeliveryTag,
    definitions::{AmqpError, ReceiverSettleMode},
    messaging::DeliveryState,
};
use amqp1_engine::{
    AttachReply, Cause, Credit, DeliveryKey, Detached, IncomingDelivery, LinkId, ReceiverConfig, SendOptions,
    SenderConfig, SessionId, Settled, Suspended, SuspendedReceiver, SuspendedSender,
};
use std::collections::{BTreeMap, VecDeque};

/// A link, as the applications want it.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) name: &'static str,
    /// The end that sends.
    pub(super) from: Side,
    pub(super) mode: ReceiverSettleMode,
    pub(super) credit: Credit,
}

impl Spec {
    pub(super) fn new(name: &'static str, from: Side) -> Self {
        Self { name, from, mode: ReceiverSettleMode::First, credit: Credit::Window(200) }
    }
}

/// Messages from one application to the other, over as many links as it takes.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) name: &'static str,
    pub(super) from: Side,
    mode: ReceiverSettleMode,
    credit: Credit,
    /// The link, at each end, while there is one.
    pub(super) links: [Option<LinkId>; 2],
    /// Messages that wait for credit, or for a link.
    pub(super) todo: VecDeque<u64>,
    /// How many deliveries were reported lost. They are sent again.
    pub(super) lost: usize,
    /// How many deliveries the receiving application will take.
    pub(super) appetite: usize,
    /// Which of those it decides about only when it is told to.
    pub(super) holds: fn(u64) -> bool,
    /// Which messages are sent settled.
    pub(super) settled: fn(u64) -> bool,
    /// What the receiving application says of a message.
    pub(super) outcome: fn(u64) -> DeliveryState,
    held: Vec<(DeliveryKey, u64)>,
    /// What was taken, by tag: a resumed delivery is known by it.
    taken: BTreeMap<DeliveryTag, u64>,
    attached_before: bool,
    /// Where the link is to be attached anew as soon as it is detached.
    reattach: bool,
    session: Option<SessionId>,
}

impl Run {
    /// A stream of messages. It has no link yet.
    pub(super) fn stream(&mut self, spec: Spec) -> usize {
        self.streams.push(Stream {
            name: spec.name,
            from: spec.from,
            mode: spec.mode,
            credit: spec.credit,
            links: [None; 2],
            todo: VecDeque::new(),
            lost: 0,
            appetite: usize::MAX,
            holds: |_| false,
            settled: |_| false,
            outcome: |_| DeliveryState::Accepted,
            held: Vec::new(),
            taken: BTreeMap::new(),
            attached_before: false,
            reattach: false,
            session: None,
        });
        self.streams.len() - 1
    }

    /// On each stream some messages are sent settled, and some released.
    pub(super) fn vary_outcomes(&mut self) {
        for stream in &mut self.streams {
            stream.settled = |number| number % 6 == 5;
            stream.outcome = |number| if number % 7 == 3 { DeliveryState::Released } else { DeliveryState::Accepted };
        }
    }

    /// Writes a message, which leaves when it can.
    pub(super) fn write(&mut self, stream: usize, length: usize) {
        let number = self.book.write(self.streams[stream].name, length, &mut self.ledger);
        self.streams[stream].todo.push_back(number);
    }

    /// Attaches a stream's link, with what is left of an earlier one.
    pub(super) fn attach(&mut self, stream: usize, session: SessionId) -> Option<LinkId> {
        let kept = self.kept[Side::Client.index()].remove(self.streams[stream].name);
        let resumable = self.resumable;
        let (name, from, mode, credit, again) = {
            let stream = &mut self.streams[stream];
            let again = core::mem::replace(&mut stream.attached_before, true);
            (stream.name, stream.from, stream.mode, stream.credit, again && resumable)
        };
        let attached = match from {
            Side::Client => {
                let kept = match kept {
                    Some(Suspended::Sender(kept)) => Some(kept),
                    _ => None,
                };
                self.resume(kept.as_ref());
                let resume = kept.or_else(|| again.then(SuspendedSender::new));
                let config = SenderConfig { resumable, resume, rcv_settle_mode: mode, ..sender(name) };
                self.pair.client.attach_sender(session, config)
            }
            Side::Server => {
                let kept = match kept {
                    Some(Suspended::Receiver(kept)) => Some(kept),
                    _ => None,
                };
                let resume = kept.or_else(|| again.then(SuspendedReceiver::new));
                let config = ReceiverConfig { resumable, resume, rcv_settle_mode: mode, ..receiver(name, credit) };
                self.pair.client.attach_receiver(session, config)
            }
        };
        let Ok(id) = attached else {
            self.ledger.wrong(format!("attach: {attached:?}"));
            return None;
        };
        self.watch(Side::Client, Operation::Attach(id));
        self.streams[stream].links[Side::Client.index()] = Some(id);
        self.streams[stream].session = Some(session);
        Some(id)
    }

    /// Answers a link that the client has attached.
    pub(super) fn answer(&mut self, side: Side, id: LinkId) {
        let Some(offered) = self.end(side).remote_attach(id) else { return };
        let Some(at) = self.streams.iter().position(|stream| *stream.name == *offered.name) else {
            return self.ledger.wrong(format!("a link of the name {}", offered.name));
        };
        let stream = &mut self.streams[at];
        stream.links[side.index()] = Some(id);
        let (from, credit) = (stream.from, stream.credit);
        let kept = self.kept[side.index()].remove(self.streams[at].name);
        let again = offered.unsettled.is_some();
        let mut reply = AttachReply { credit, resumable: self.resumable, ..AttachReply::echo(&offered) };
        match (kept, from == side) {
            (Some(Suspended::Sender(kept)), true) => {
                self.resume(Some(&kept));
                reply.resume_sender = Some(kept);
            }
            (Some(Suspended::Receiver(kept)), false) => reply.resume_receiver = Some(kept),
            (_, true) => reply.resume_sender = again.then(SuspendedSender::new),
            (_, false) => reply.resume_receiver = again.then(SuspendedReceiver::new),
        }
        let accepted = self.end(side).accept_link(id, reply);
        self.ledger.expect(accepted.is_ok(), || format!("accept: {accepted:?}"));
    }

    fn resume(&mut self, kept: Option<&SuspendedSender>) {
        for delivery in kept.into_iter().flat_map(|kept| &kept.deliveries) {
            self.book.resumed(delivery.token, self.pair.now);
        }
    }

    /// Detaches a stream's link from one end.
    pub(super) fn detach(&mut self, side: Side, stream: usize, closed: bool, error: Option<AmqpError>) {
        let Some(id) = self.streams[stream].links[side.index()] else { return };
        self.watch(side, Operation::Detach(id));
        let detached = self.end(side).detach(id, closed, error);
        self.ledger.expect(detached.is_ok(), || format!("detach: {detached:?}"));
    }

    /// Asks the sender of a stream to use its credit up or give it up.
    pub(super) fn drain(&mut self, stream: usize) {
        let side = self.streams[stream].from.other();
        let Some(id) = self.streams[stream].links[side.index()] else { return };
        self.watch(side, Operation::Drain(id));
        let drained = self.end(side).drain(id);
        self.ledger.expect(drained.is_ok(), || format!("drain: {drained:?}"));
    }

    /// Grants credit on a stream.
    pub(super) fn grant(&mut self, stream: usize, credit: Credit) {
        let side = self.streams[stream].from.other();
        let Some(id) = self.streams[stream].links[side.index()] else { return };
        let granted = self.end(side).set_credit(id, credit);
        self.ledger.expect(granted.is_ok(), || format!("credit: {granted:?}"));
    }

    /// Not all deliveries could be named: the link is detached, and will be attached anew.
    pub(super) fn reattach(&mut self, side: Side, id: LinkId) {
        let Some(at) = self.streams.iter().position(|stream| stream.links[side.index()] == Some(id)) else { return };
        self.ledger.reattached += 1;
        self.streams[at].reattach = true;
        self.detach(side, at, false, None);
    }

    /// A link is over: what it has left is put where it belongs.
    pub(super) fn detached(&mut self, side: Side, id: LinkId, detached: &Detached) {
        let Some(at) = self.streams.iter().position(|stream| stream.links[side.index()] == Some(id)) else { return };
        self.streams[at].links[side.index()] = None;
        if side != self.streams[at].from {
            self.streams[at].held.clear();
        }
        for delivery in &detached.undelivered {
            self.received(at, delivery);
        }
        if let Some(suspended) = &detached.suspended {
            self.keep(side, at, suspended);
        }
        let stream = &mut self.streams[at];
        if side == Side::Client && core::mem::take(&mut stream.reattach) && detached.by != Cause::Connection {
            if let Some(session) = stream.session {
                self.attach(at, session);
            }
        }
    }

    /// What an endpoint of a stream's link has left.
    fn keep(&mut self, side: Side, at: usize, suspended: &Suspended) {
        if let Suspended::Sender(suspended) = suspended {
            let now = self.pair.now;
            for delivery in &suspended.deliveries {
                let first = self.streams[at].mode == ReceiverSettleMode::First;
                self.book.suspended(delivery.token, delivery.begun, first, now, &mut self.ledger);
            }
        }
        self.kept[side.index()].insert(self.streams[at].name.to_owned(), suspended.clone());
    }

    /// A message is lost: if it is to be sent again, it goes before the newer ones.
    pub(super) fn lost(&mut self, side: Side, settled: &Settled) {
        let number = settled.token;
        let name = self.book.stream_of(number);
        let mut streams = self.streams.iter_mut();
        let Some(stream) = streams.find(|stream| stream.from == side && name == Some(stream.name)) else { return };
        stream.lost += 1;
        let place = stream.todo.iter().position(|other| *other > number).unwrap_or(stream.todo.len());
        stream.todo.insert(place, number);
    }

    /// Sends what there is credit for.
    pub(super) fn pump(&mut self) -> bool {
        let now = self.pair.now;
        let mut any = false;
        for stream in &mut self.streams {
            let Some(link) = stream.links[stream.from.index()] else { continue };
            let end = match stream.from {
                Side::Client => &mut self.pair.client,
                Side::Server => &mut self.pair.server,
            };
            while let Some(number) = stream.todo.front().copied().filter(|_| end.credit(link) > 0) {
                let options =
                    SendOptions { token: number, settled: (stream.settled)(number), ..SendOptions::default() };
                if end.send(link, self.book.message(number), options).is_err() {
                    break;
                }
                stream.todo.pop_front();
                self.book.sent(number, now, &mut self.ledger);
                any = true;
            }
        }
        any
    }

    /// Takes what there is, as far as the application wants it.
    pub(super) fn take(&mut self) -> bool {
        let mut any = false;
        for at in 0..self.streams.len() {
            let side = self.streams[at].from.other();
            while let Some(link) = self.streams[at].links[side.index()].filter(|_| self.streams[at].appetite > 0) {
                let Some(delivery) = self.end(side).recv(link) else { break };
                any = true;
                self.streams[at].appetite -= 1;
                let number = self.received(at, &delivery);
                if delivery.settled {
                    continue;
                }
                if (self.streams[at].holds)(number) {
                    self.streams[at].held.push((delivery.key, number));
                } else {
                    self.dispose(at, delivery.key, number);
                }
            }
        }
        any
    }

    fn dispose(&mut self, stream: usize, key: DeliveryKey, number: u64) {
        let outcome = (self.streams[stream].outcome)(number);
        let side = self.streams[stream].from.other();
        let Some(link) = self.streams[stream].links[side.index()] else { return };
        let disposed = self.end(side).dispose(link, key, outcome);
        self.ledger.expect(disposed.is_ok(), || format!("dispose: {disposed:?}"));
    }

    /// Decides about what was held.
    pub(super) fn release(&mut self, stream: usize) {
        for (key, number) in core::mem::take(&mut self.streams[stream].held) {
            self.dispose(stream, key, number);
        }
    }

    fn received(&mut self, at: usize, delivery: &IncomingDelivery) -> u64 {
        let octets = data(&delivery.message);
        let stream = &mut self.streams[at];
        let before = if self.resumable { stream.taken.get(&delivery.tag) } else { None };
        let known = delivery.resumed && before.is_some();
        let number = self.book.received(stream.name, &octets, known, &mut self.ledger);
        if self.resumable {
            self.streams[at].taken.insert(delivery.tag, number);
        }
        number
    }
}
