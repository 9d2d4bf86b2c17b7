//! An engine with what its application has seen.

mod calls;

use crate::{
    Checker,
    crowded::{Hidden, Numbers},
};
use amqp1_codec::{SequenceNo, definitions::Role, performative::Attach, sasl::SaslCode};
use amqp1_engine::{
    ApiMisuse, AttachReply, Connection, ConnectionError, Credit, Detached, DrainMode, Ended, Event, IncomingDelivery,
    Instant, LinkId, SessionConfig, SessionId, Settled, Settlement, TransactionRole, TransmitQueue,
};
use bytes::BytesMut;
use core::ops::{Deref, DerefMut};
use std::collections::BTreeMap;

/// What an application accepts without being asked.
#[derive(Clone, Debug)]
pub struct Accept {
    /// Any mechanism and any response; the outcome is ok.
    pub sasl: bool,
    /// Sessions, answered with this.
    pub sessions: Option<SessionConfig>,
    /// Links, answered as asked, with this credit where we receive.
    pub links: Option<Credit>,
    /// The largest message that such links take, in octets.
    pub max_message_size: Option<u64>,
    /// Who answers drains of such links where we send.
    pub drain_mode: DrainMode,
    /// What such links count from where we send.
    pub initial_delivery_count: SequenceNo,
}

impl Default for Accept {
    fn default() -> Self {
        Self {
            sasl: true,
            sessions: Some(SessionConfig::default()),
            links: Some(Credit::Window(200)),
            max_message_size: None,
            drain_mode: DrainMode::Automatic,
            initial_delivery_count: SequenceNo(0),
        }
    }
}

/// One of two ends: an engine, and what an application would have seen of it.
///
/// It is the engine for all that is not here.
#[derive(Debug)]
pub struct End {
    /// What is tested.
    pub engine: Connection,
    /// What is accepted without being asked.
    pub accept: Accept,
    /// The events so far, or since [`End::forget`].
    pub events: Vec<Event>,
    /// What became of sent messages, so far or since [`End::forget`].
    pub settled: Vec<Settled>,
    /// The names of links that the peer attached.
    pub names: BTreeMap<String, LinkId>,
    /// The sessions of links that were offered or attached.
    pub session_ids: BTreeMap<LinkId, SessionId>,
    /// Octets that the engine has not taken yet.
    pub input: BytesMut,
    /// Everything that the engine has written.
    pub written: Vec<u8>,
    /// Those of them that were not checked.
    unchecked: Vec<u8>,
    queue: TransmitQueue,
    /// Sessions that the peer has begun and that are to be accepted.
    unanswered: Vec<SessionId>,
    transport_ended: bool,
    /// Where sessions and links begin to count that would begin with 0.
    numbers: Numbers,
    /// The sessions and links that the test does not know.
    pub(crate) hidden: Hidden,
}

impl Deref for End {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.engine
    }
}

impl DerefMut for End {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.engine
    }
}

impl End {
    /// An end that has seen nothing, and accepts by [`Accept::default`]. Transactional states are taken.
    pub fn new(mut engine: Connection) -> Self {
        engine.set_transaction_role(TransactionRole::Resource);
        Self {
            engine,
            accept: Accept::default(),
            events: Vec::new(),
            settled: Vec::new(),
            names: BTreeMap::new(),
            session_ids: BTreeMap::new(),
            input: BytesMut::new(),
            written: Vec::new(),
            unchecked: Vec::new(),
            queue: TransmitQueue::default(),
            unanswered: Vec::new(),
            transport_ended: false,
            numbers: Numbers::default(),
            hidden: Hidden::default(),
        }
    }

    /// The end, which begins to count with these numbers where a test does not say with which.
    pub(crate) fn counting_from(mut self, numbers: Numbers) -> Self {
        self.numbers = numbers;
        self
    }

    /// Gives the engine its input, and looks at what it says; as a driver does. How many octets the engine took.
    pub fn take_input(&mut self, now: Instant) -> usize {
        let before = self.input.len();
        if before > 0 {
            self.engine.handle_input(now, &mut self.input);
        }
        self.look();
        before - self.input.len()
    }

    /// Tells the engine that its time has come, if it has.
    pub fn take_timeout(&mut self, now: Instant) {
        if self.engine.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.engine.handle_timeout(now);
            self.look();
        }
    }

    /// Tells the engine that the transport has ended. False if it was told already.
    pub fn take_end(&mut self, now: Instant) -> bool {
        if core::mem::replace(&mut self.transport_ended, true) {
            return false;
        }
        self.engine.handle_eof(now);
        self.look();
        true
    }

    /// Takes the engine's events, and answers those that are to be accepted.
    pub fn look(&mut self) {
        while let Some(event) = self.engine.poll_event() {
            let hidden = self.hidden.hides(&event);
            match &event {
                Event::SaslInit { .. } if self.accept.sasl => self.engine.sasl_outcome(SaslCode::Ok, None),
                Event::SessionOffered(id) => {
                    self.unanswered.push(*id);
                    self.answer_sessions();
                }
                Event::LinkAttached(id) if !hidden => self.note_session(*id),
                Event::LinkOffered(id) if hidden => self.answer_link(*id),
                Event::LinkOffered(id) => {
                    self.note_session(*id);
                    if let Some(attach) = self.remote_attach(*id) {
                        self.names.insert(attach.name.as_str().to_owned(), *id);
                    }
                    self.answer_link(*id);
                }
                _ => {}
            }
            if !hidden {
                self.events.push(event);
            }
        }
        while let Some(settled) = self.engine.poll_settled() {
            self.settled.push(settled);
        }
        if !self.unanswered.is_empty() {
            self.answer_sessions();
        }
    }

    /// Answers the sessions that were offered. Where all channels are in use, one must become free first.
    fn answer_sessions(&mut self) {
        let Some(config) = self.accept.sessions.clone() else { return self.unanswered.clear() };
        let config = self.numbers.session(config);
        let engine = &mut self.engine;
        // One that is gone by now needs no answer.
        self.unanswered.retain(|id| {
            let accepted = engine.session(*id).and_then(|mut session| session.accept(config.clone()));
            accepted == Err(ApiMisuse::NoChannel)
        });
    }

    fn note_session(&mut self, link: LinkId) {
        if let Some(session) = self.session_of(link) {
            self.session_ids.insert(link, session);
        }
    }

    fn answer_link(&mut self, id: LinkId) {
        let (Some(credit), Some(attach)) = (self.accept.links, self.remote_attach(id)) else { return };
        let Accept { max_message_size, drain_mode, initial_delivery_count, .. } = self.accept;
        let reply = AttachReply { credit, max_message_size, drain_mode, ..AttachReply::echo(&attach) };
        let reply = AttachReply { initial_delivery_count, ..reply };
        let _ = self.accept_link(id, reply);
    }

    /// What the engine has to write, at most about `limit` octets at a time.
    pub fn output(&mut self, now: Instant, limit: usize) -> Vec<u8> {
        self.write_out(now, limit).to_vec()
    }

    /// As [`End::output`], without a copy: the last octets of [`End::written`].
    pub fn write_out(&mut self, now: Instant, limit: usize) -> &[u8] {
        let before = self.written.len();
        self.engine.transmit(now, limit, &mut self.queue);
        for segment in self.queue.segments() {
            self.written.extend_from_slice(segment);
        }
        self.queue.clear();
        self.unchecked.extend_from_slice(&self.written[before..]);
        self.look();
        &self.written[before..]
    }

    /// Has a checker look at what was written since it last did.
    pub(crate) fn check(&mut self, checker: &mut Checker) {
        checker.check_fresh(&self.unchecked, || self.engine.remote_open());
        self.unchecked.clear();
    }

    /// Nobody checks what was written since.
    pub(crate) fn leave_unchecked(&mut self) {
        self.unchecked.clear();
    }

    /// Forgets the events, not what was written.
    pub fn forget(&mut self) {
        self.events.clear();
        self.settled.clear();
    }

    /// Whether the connection was opened.
    pub fn opened(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Opened))
    }

    /// Why the connection ended. It must have, once.
    pub fn closed(&self) -> ConnectionError {
        let mut reasons = self.events.iter().filter_map(|event| match event {
            Event::Closed(reason) => Some((**reason).clone()),
            _ => None,
        });
        let reason = reasons.next().expect("the connection has ended");
        assert!(reasons.next().is_none(), "Closed came twice");
        assert!(matches!(self.events.last(), Some(Event::Closed(_))), "Closed is the last event");
        reason
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Closed(_)))
    }

    /// How a session ended, if it has.
    pub fn ended_session(&self, session: SessionId) -> Option<Ended> {
        self.events.iter().find_map(|event| match event {
            Event::SessionEnded(id, ended) if *id == session => Some((**ended).clone()),
            _ => None,
        })
    }

    /// How a link ended, if it has.
    pub fn detached(&self, link: LinkId) -> Option<Detached> {
        self.events.iter().find_map(|event| match event {
            Event::LinkDetached(id, detached) if *id == link => Some((**detached).clone()),
            _ => None,
        })
    }

    /// How many events are like that.
    pub fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| wanted(event)).count()
    }

    /// Whether the link was attached, once.
    pub fn attached(&self, link: LinkId) -> bool {
        self.count(|event| matches!(event, Event::LinkAttached(id) if *id == link)) == 1
    }

    /// Whether the link was offered or attached, and is not over.
    pub fn attached_now(&self, link: LinkId) -> bool {
        let begun = |e: &Event| matches!(e, Event::LinkAttached(id) | Event::LinkOffered(id) if *id == link);
        self.count(begun) > 0 && self.detached(link).is_none()
    }

    /// Whether the link was drained.
    pub fn drained(&self, link: LinkId) -> bool {
        self.count(|event| matches!(event, Event::Drained(id) if *id == link)) > 0
    }

    /// The sessions that the peer began, in their order.
    pub fn offered_sessions(&self) -> Vec<SessionId> {
        self.events.iter().filter_map(|e| if let Event::SessionOffered(id) = e { Some(*id) } else { None }).collect()
    }

    /// The links that the peer attached, in their order.
    pub fn offered_links(&self) -> Vec<LinkId> {
        self.events.iter().filter_map(|e| if let Event::LinkOffered(id) = e { Some(*id) } else { None }).collect()
    }

    /// The link that the peer attached under this name.
    pub fn offered(&mut self, name: &str, role: Role) -> LinkId {
        let named = |attach: Attach| attach.name == *name && attach.role == role.opposite();
        let links = self.offered_links();
        let id = links.into_iter().rev().find(|id| self.remote_attach(*id).is_some_and(named));
        id.expect("the link was offered")
    }

    /// Takes all deliveries of a link.
    pub fn take_all(&mut self, link: LinkId) -> Vec<IncomingDelivery> {
        core::iter::from_fn(|| self.recv(link)).collect()
    }

    /// What became of the messages, by their tokens.
    pub fn settlements(&self) -> Vec<(u64, Settlement)> {
        self.settled.iter().map(|settled| (settled.token, settled.settlement.clone())).collect()
    }
}
