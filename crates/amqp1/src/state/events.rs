//! Events of the engine, handed to the tasks that wait for them.

use crate::{
    observe::Logged,
    state::{
        aside::Aside,
        ids::{LinkKey, SessionKey},
        link::{LinkState, ROOM, room},
        shared::{SaslStep, SessionState, State},
    },
    types::detached::Detached,
};
use amqp1_codec::{
    DecodeError,
    definitions::{AmqpError, ErrorCondition, SenderSettleMode},
};
use amqp1_engine::{
    ApiMisuse, ConnectionError, Ended, Event, LinkId, SaslChoice, SessionConfig, SessionId, StreamItem,
};

/// How many settlements and events are sorted under one hold of the lock: a peer may settle any number of deliveries with
/// one frame.
const SLICE: usize = 1024;

impl State {
    /// Sorts what the engine has to say, a bounded number of things at a time: with more to come, the engine has output.
    /// Log lines go to `log`, to be written when the lock is released.
    pub(crate) fn dispatch(&mut self, aside: &mut Aside<'_>, log: &mut Option<Vec<Logged>>) {
        for _ in 0..SLICE {
            // Settlements come before the events that followed them, but for what has to be known of them.
            if !self.engine.has_provisional() {
                if let Some(settled) = self.engine.poll_settled() {
                    self.settle(settled, aside);
                    continue;
                }
            }
            let Some(event) = self.engine.poll_event() else { break };
            if let Some(log) = log {
                log.extend(Logged::of(&event, &mut self.engine));
            }
            self.log_link(&event);
            self.on_event(event, aside);
        }
        self.wake_held_controls(aside);
        self.feed_starved(aside);
    }

    fn on_event(&mut self, event: Event, aside: &mut Aside<'_>) {
        let link = match &event {
            Event::Receivable(id)
            | Event::Sendable(id)
            | Event::Drained(id)
            | Event::Undecodable(id, ..)
            | Event::CreditWithheld(id)
            | Event::DrainRequested(id)
            | Event::DrainAnswered(id)
            | Event::LinkAttached(id)
            | Event::LinkDetached(id, _)
            | Event::Reattach(id)
            | Event::Provisional { link: id, .. }
            | Event::FlowProperties(id) => *id,
            _ => return self.on_connection_event(event, aside),
        };
        // A link that was refused unseen has no key.
        if let Some(id) = self.engine.link_key(link) {
            self.on_link_event(id, event, aside);
        }
    }

    fn on_link_event(&mut self, id: LinkKey, event: Event, aside: &mut Aside<'_>) {
        match event {
            Event::Receivable(_) => {
                if let Some(link) = self.links.get_mut(&id) {
                    aside.wake(link.receiver.take());
                    if link.draining {
                        link.waiting.wake(aside);
                    }
                }
            }
            // Those who wait for credit are looked after when all events are seen; here are those who write streams.
            Event::Sendable(_) => {
                if let Some(link) = self.links.get_mut(&id) {
                    link.waiting.wake(aside);
                }
            }
            Event::Drained(_) => self.on_link(id, aside, |link| (link.drained, link.draining) = (true, false)),
            Event::Undecodable(_, tag, error) => self.on_undecodable(id, *tag, error),
            Event::CreditWithheld(_) => self.on_credit_withheld(id, aside),
            Event::DrainRequested(_) => self.on_drain_requested(id, aside),
            Event::DrainAnswered(_) => self.on_drain_answered(id, aside),
            Event::LinkAttached(_) => self.on_link_attached(id, aside),
            Event::LinkDetached(_, detached) => self.on_link_detached(id, *detached, aside),
            Event::Reattach(_) => self.on_reattach(id, aside),
            Event::Provisional { session, token, state, settled, .. } => {
                self.on_provisional((session, id), token, state, settled, aside);
            }
            Event::FlowProperties(_) => self.on_flow_properties(id),
            _ => {}
        }
    }

    fn on_connection_event(&mut self, event: Event, aside: &mut Aside<'_>) {
        match event {
            Event::OddAdvisoryData(performative, error) => self.on_odd(performative, error),
            Event::HandleAwaited(_) => self.on_handle_awaited(),
            Event::Opened => {
                self.opened = true;
                self.waiting.wake(aside);
            }
            Event::Closed(reason) => self.on_closed(*reason, aside),
            Event::SessionBegun(id) => self.on_session(id, aside, |session| session.begun = true),
            Event::EndUnanswered(id) => self.on_session(id, aside, |session| session.unanswered = true),
            Event::SessionEnded(id, ended) => self.on_session_ended(id, ended, aside),
            Event::SessionOffered(id) => self.on_session_offered(id),
            Event::LinkOffered(id) => self.on_link_offered(id, aside),
            Event::OpenReceived => {
                if let Some(server) = &mut self.server {
                    server.open_received = true;
                    // Nothing comes any more.
                    server.sasl.shrink_to_fit();
                }
                self.waiting.wake(aside);
            }
            Event::SaslInit(choice) => {
                let SaslChoice { mechanism, response, hostname } = *choice;
                self.on_sasl(SaslStep { mechanism: Some(mechanism), response, hostname }, aside);
            }
            Event::SaslResponse(response) => {
                self.on_sasl(SaslStep { mechanism: None, response: Some(response), hostname: None }, aside);
            }
            Event::PostingLost(_, txn) => self.on_posting_lost(&txn, aside),
            Event::RetirementLost(_, txn) => self.on_retirement_lost(&txn, aside),
            _ => {}
        }
    }

    fn on_session_ended(&mut self, id: SessionId, ended: Box<Ended>, aside: &mut Aside<'_>) {
        self.on_session(id, aside, |session| session.ended = Some(ended));
        let Some(key) = self.engine.session_key(id) else { return };
        // Without a handle nothing asks for it, and nothing drops it.
        if self.sessions.get(&key).is_none_or(|session| session.unheld) {
            self.sessions.remove(&key);
            self.engine.forget_session(key, true);
        }
    }

    fn on_link_detached(&mut self, id: LinkKey, detached: amqp1_engine::Detached, aside: &mut Aside<'_>) {
        let ended = Detached::new(&detached);
        self.stops_acquiring(id);
        self.control_link_ended(id, aside);
        if let Some(suspended) = detached.suspended {
            self.on_suspended(id, suspended, aside);
        }
        // The application has not seen it, and will not miss it.
        let unseen = self.server.as_mut().is_some_and(|server| server.withdraw(id));
        if unseen || self.links.get(&id).is_none() {
            self.links.remove(&id);
            self.engine.forget_link(id, true);
            return;
        }
        let undelivered: Vec<_> =
            detached.undelivered.into_iter().map(|delivery| self.engine.arrival(delivery)).collect();
        self.on_link(id, aside, |link| {
            link.detached = Some(Box::new(ended));
            link.undelivered.extend(undelivered);
            if let Some(rest) = detached.stream_rest {
                link.stream_rest.extend(rest.into_iter().map(StreamItem::Data));
                link.stream_rest.push_back(StreamItem::End { settled: true });
            }
        });
    }

    /// Logs the first of them as a warning. The others are among the events that are logged at debug level: a peer may send
    /// any number.
    fn on_odd(&mut self, performative: &str, error: DecodeError) {
        if !std::mem::replace(&mut self.odd_reported, true) {
            self.warnings.push(format!(
                "the peer's {performative} is malformed: {error}. What only advises was ignored (odd_advisory_data); more \
                 of this is logged at debug level"
            ));
        }
    }

    fn on_sasl(&mut self, step: SaslStep, aside: &mut Aside<'_>) {
        if let Some(server) = &mut self.server {
            server.sasl.push_back(step);
        }
        self.waiting.wake(aside);
    }

    fn on_closed(&mut self, reason: ConnectionError, aside: &mut Aside<'_>) {
        self.closed = Some(reason);
        self.wake_all(aside);
    }

    fn on_session(&mut self, id: SessionId, aside: &mut Aside<'_>, change: impl FnOnce(&mut SessionState)) {
        let key = self.engine.session_key(id);
        if let Some(session) = key.and_then(|key| self.sessions.get_mut(&key)) {
            change(session);
            session.waiting.wake(aside);
        }
    }

    fn on_link(&mut self, id: LinkKey, aside: &mut Aside<'_>, change: impl FnOnce(&mut LinkState)) {
        if let Some(link) = self.links.get_mut(&id) {
            change(link);
            link.wake_all(aside);
        }
    }

    fn on_session_offered(&mut self, id: SessionId) {
        let id = self.engine.name_session(id);
        let mut accept = |config| self.engine.session(id).and_then(|mut session| session.accept(config));
        match &self.server {
            Some(server) => match accept(server.session_config.clone()) {
                Ok(()) => {
                    let state = SessionState { begun: true, unheld: true, ..SessionState::default() };
                    self.sessions.insert(id, state);
                }
                Err(misuse) => self.unanswered_session(id, misuse),
            },
            None => match accept(SessionConfig::default()) {
                // It cannot be refused before it is answered (§2.5.1).
                Ok(()) => {
                    let error = AmqpError::new(ErrorCondition::NOT_ALLOWED, "this client takes no sessions of others");
                    let _ = self.engine.session(id).and_then(|mut session| session.end(Some(error)));
                }
                Err(misuse) => self.unanswered_session(id, misuse),
            },
        }
    }

    /// A session that the peer has begun was not answered.
    fn unanswered_session(&mut self, id: SessionKey, misuse: ApiMisuse) {
        match misuse {
            // The peer has ended it, or the connection, in the same read: then the engine has answered.
            ApiMisuse::Closed | ApiMisuse::UnknownSession | ApiMisuse::WrongState => {
                self.engine.forget_session(id, true);
            }
            // There is no way to refuse a begin but to answer it (§2.5.1), for which there is no channel.
            ApiMisuse::NoChannel => {
                let text = "all channels that both ends allow are in use";
                let error = AmqpError::new(ErrorCondition::RESOURCE_LIMIT_EXCEEDED, text);
                self.engine.close(amqp1_engine::Instant::default(), Some(error));
            }
            // The session alone ends by what is wrong with our answer.
            other => {
                let error = AmqpError::new(ErrorCondition::INTERNAL_ERROR, other.to_string());
                let _ = self.engine.session(id).and_then(|mut session| session.end(Some(error)));
            }
        }
    }

    /// A link that was accepted waits for a handle. One line says so for the connection: its peer could make many of them.
    fn on_handle_awaited(&mut self) {
        if !std::mem::replace(&mut self.handle_awaited, true) {
            self.warnings.push(
                "the peer attaches more links than its handle-max lets us answer: they wait for a handle, and their session \
                 ends if none is free in time"
                    .to_owned(),
            );
        }
    }

    fn on_link_attached(&mut self, id: LinkKey, aside: &mut Aside<'_>) {
        let remote = self.remote_attach(id).map(|attach| attach.snd_settle_mode);
        let default = self.default_outcome(id);
        self.on_link(id, aside, |link| {
            link.attached = true;
            link.default_outcome = default.map(Box::new);
            link.negotiate(remote);
        });
    }

    fn on_link_offered(&mut self, id: LinkId, aside: &mut Aside<'_>) {
        let id = self.engine.name_link(id);
        match &mut self.server {
            Some(server) if !server.deaf => {
                server.offered.push_back(id);
                self.links.insert(id, Box::new(LinkState::new(SenderSettleMode::Mixed)));
                self.waiting.wake(aside);
            }
            _ => {
                let error = AmqpError::new(ErrorCondition::NOT_ALLOWED, "no links are taken here");
                let _ = self.engine.link(id).and_then(|mut link| link.reject(error));
                self.engine.forget_link(id, true);
            }
        }
    }

    /// Wakes those who wait for credit, as many of them as there is credit for, and about as many as there is room for on
    /// the connection. Links take turns.
    pub(crate) fn feed_starved(&mut self, aside: &mut Aside<'_>) {
        /// The assumed size of a message in octets, while it is not known.
        const EXPECTED: usize = 16 * 1024;
        let mut slots = match self.engine.all_queued() {
            // A task that does not come although there is room keeps no other waiting then.
            0 => usize::MAX,
            _ => self.engine.queue_room().div_ceil(EXPECTED),
        };
        for _ in 0..self.starved.len() {
            if slots == 0 {
                return;
            }
            let Some(id) = self.starved.pop_front() else { break };
            let Some(link) = self.links.get_mut(&id) else { continue };
            slots = slots.saturating_sub(link.feed(&mut self.engine, id, slots, aside));
            if link.is_starved() {
                self.starved.push_back(id);
            }
        }
        self.awaits_room &= slots == 0;
    }

    /// How many messages a newcomer may queue on a link.
    pub(crate) fn room(&mut self, id: LinkKey) -> u32 {
        if self.awaits_room || !self.engine.has_queue_room() { 0 } else { room(&mut self.engine, id) }
    }

    /// Whether a permit may add a message to what is queued. Where there is no room on the connection, permits that were
    /// given before add as much again and no more; and one link does not queue more than a connection may.
    pub(crate) fn admits_permit(&mut self, id: LinkKey, octets: usize) -> bool {
        let most = self.engine.max_queued();
        if self.engine.has_queue_room() {
            self.overdrawn = 0;
            return self.engine.sender(id).map_or(0, |sender| sender.queued()) < most.max(ROOM);
        }
        let admitted =
            self.overdrawn < most && self.engine.sender(id).map_or(0, |sender| sender.queued()) < most.max(ROOM);
        if admitted {
            self.overdrawn = self.overdrawn.saturating_add(octets);
        }
        admitted
    }

    /// How many messages may be queued on a link for those in its line.
    pub(crate) fn room_in_line(&mut self, id: LinkKey) -> u32 {
        if self.engine.has_queue_room() { room(&mut self.engine, id) } else { 0 }
    }
}
