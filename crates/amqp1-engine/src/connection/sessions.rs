//! Sessions coming and going (§2.5).

use super::{Connection, frame_size::too_large};
use crate::{
    event::{Cause, Ended, Event},
    session::{Ending, Session, SessionMut, State},
    store::SessionId,
    violation::{PeerMisbehaved, Scope},
};
use alloc::{boxed::Box, vec::Vec};
use amqp1_codec::{
    definitions::{AmqpError, ErrorCondition},
    performative::{Begin, End},
};

impl Connection {
    /// A session and where it writes to.
    pub(super) fn session_mut(&mut self, id: SessionId) -> Option<SessionMut<'_>> {
        Some(SessionMut { id, session: self.sessions.get_mut(id)?, outbox: &mut self.outbox })
    }

    /// The highest channel that both ends allow.
    fn channel_max(&self) -> u32 {
        let remote = self.remote_open.as_ref().map_or(u16::MAX, |open| open.channel_max);
        u32::from(remote.min(self.config.channel_max))
    }

    pub(super) fn has_free_channel(&self) -> bool {
        self.channels.lowest(self.channel_max()).is_some()
    }

    /// Our begin, for a session that the application asked for, or in answer to the peer's.
    pub(super) fn send_begin(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        let Ok(state) = session.state.send_begin() else { return };
        if self.check_frame(&session.begin()).is_err() {
            return self.drop_session(id, Ended { error: Some(too_large()), by: Cause::Local });
        }
        let number = self.channels.take(self.channel_max());
        let Some(channel) = number.and_then(|number| u16::try_from(number).ok()) else {
            let error =
                AmqpError::new(ErrorCondition::RESOURCE_LIMIT_EXCEEDED, "all channels that both ends allow are in use");
            return self.drop_session(id, Ended { error: Some(error), by: Cause::Local });
        };
        let Some(mut begun) = self.session_mut(id) else { return };
        begun.session.state = state;
        begun.session.channel = Some(channel);
        let begin = begun.session.begin();
        begun.push(begin);
        for body in core::mem::take(&mut begun.session.held) {
            begun.push_body(body);
        }
        begun.wake();
        self.by_channel.insert(channel, id);
    }

    pub(super) fn on_begin(&mut self, channel: u16, begin: Begin) {
        if self.by_remote_channel.contains_key(&channel) {
            return self.misbehaved(PeerMisbehaved::BeginOnChannelInUse { channel });
        }
        let Some(remote_channel) = begin.remote_channel else {
            let Some(charge) = self.charge_session() else {
                return self.misbehaved(PeerMisbehaved::MetadataExceeded { scope: Scope::Connection });
            };
            let mut session = Session::offered(&begin, channel);
            session.charge = charge;
            let id = self.sessions.insert(session);
            self.by_remote_channel.insert(channel, id);
            self.outbox.events.push_back(Event::SessionOffered(id));
            return;
        };
        let answered = self.by_channel.get(&remote_channel).copied();
        let session = answered.and_then(|id| Some((id, self.sessions.get_mut(id)?)));
        let begun = session.and_then(|(id, session)| session.on_answer(&begin, channel).ok().map(|()| (id, session)));
        let Some((id, session)) = begun else {
            return self.misbehaved(PeerMisbehaved::BeginAnswersNothing { remote_channel });
        };
        self.by_remote_channel.insert(channel, id);
        if session.state.is_end_sent() {
            return;
        }
        let waiting = core::mem::take(&mut session.waiting);
        self.outbox.events.push_back(Event::SessionBegun(id));
        for link in waiting {
            self.send_attach(link);
        }
        self.try_end(id);
    }

    /// Our end, whose begin the peer must have seen.
    fn send_end(&mut self, id: SessionId, error: Option<AmqpError>) {
        let Some(mut ended) = self.session_mut(id) else { return };
        let Ok(state) = ended.session.state.send_end(error.is_some()) else { return };
        ended.flush_marks();
        ended.push(End { error });
        ended.session.state = state;
        self.await_end(id);
    }

    pub(super) fn on_end(&mut self, channel: u16, end: End) {
        let (error, charge) = self.admit_error(end.error);
        self.take_end(channel, error);
        self.outbox.events.hold(charge);
    }

    fn take_end(&mut self, channel: u16, error: Option<AmqpError>) {
        let Some(id) = self.by_remote_channel.remove(&channel) else {
            if !self.config.tolerances.end_without_begin {
                self.misbehaved(PeerMisbehaved::ChannelUnmapped { channel });
            }
            return;
        };
        self.ended_up_to = self.ended_up_to.max(Some(channel));
        let can_begin = self.has_free_channel();
        let Some(session) = self.sessions.get_mut(id) else { return };
        if session.state.is_end_sent() {
            let ended = Ended { error, by: Cause::Local };
            return self.drop_session(id, ended);
        }
        match session.channel {
            Some(channel) => self.outbox.drop_frames_of(channel),
            // Both ends may have used up their channels for sessions that the other cannot answer.
            None if !can_begin => return self.misbehaved(PeerMisbehaved::SessionsExceeded),
            None => {
                session.held.clear();
                self.send_begin(id);
            }
        }
        if let Some(session) = self.sessions.get_mut(id) {
            session.state = session.state.receive_end().unwrap_or(session.state);
        }
        self.send_end(id, None);
        self.drop_session(id, Ended { error, by: Cause::Peer });
    }

    /// Answers the sessions that the peer has begun and the application has not answered: there is no time left for that.
    pub(super) fn answer_begins(&mut self) {
        let unanswered =
            |id: &SessionId| self.sessions.get(*id).is_some_and(|session| session.state == State::BeginReceived);
        let unanswered: Vec<_> = self.by_remote_channel.values().copied().filter(unanswered).collect();
        for id in unanswered {
            if self.has_free_channel() {
                self.send_begin(id);
            }
        }
    }

    /// Ends a session at once, dropping what is queued on it. The application learns it at once too; the channels stay
    /// taken until both ends are exchanged.
    pub(super) fn end_now(&mut self, id: SessionId, error: Option<AmqpError>) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if session.state.is_end_sent() {
            return;
        }
        if session.state == State::BeginReceived {
            // The peer's begin is answered before its session is ended.
            self.send_begin(id);
        }
        self.send_end(id, error.clone());
        self.detach_all(id, Cause::Session, error.as_ref());
        let Some(session) = self.sessions.get_mut(id) else { return };
        if core::mem::replace(&mut session.ending, Ending::Reported) == Ending::Reported {
            return;
        }
        self.outbox.events.push_back(Event::SessionEnded(id, Box::new(Ended { error, by: Cause::Local })));
    }

    /// The peer broke a rule whose scope is the session.
    pub(super) fn session_misbehaved(&mut self, id: SessionId, violation: PeerMisbehaved) {
        self.end_now(id, Some(AmqpError::new(violation.condition(), alloc::format!("{violation}"))));
    }

    /// Ends a session cleanly, when everything that can be sent is sent.
    pub(super) fn try_end(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        if session.ending == Ending::Asked && session.state == State::Mapped && !self.has_to_send(session) {
            self.send_end(id, None);
        }
    }

    /// Takes a session and its links away and says so, unless that was said before.
    pub(super) fn drop_session(&mut self, id: SessionId, ended: Ended) {
        let cause = if ended.by == Cause::Connection { Cause::Connection } else { Cause::Session };
        self.detach_all(id, cause, ended.error.as_ref());
        let Some(session) = self.sessions.get_mut(id) else { return };
        if let Some(channel) = session.remote_channel {
            self.by_remote_channel.remove(&channel);
        }
        if core::mem::replace(&mut session.ending, Ending::Reported) != Ending::Reported {
            self.outbox.events.push_back(Event::SessionEnded(id, Box::new(ended)));
        }
        self.forget_session(id);
    }

    fn forget_session(&mut self, id: SessionId) {
        let Some(mut session) = self.sessions.remove(id) else { return };
        self.end_answered(id, session.end_deadline);
        self.shares.set(id, &mut session.share_until, None);
        if let Some(channel) = session.channel {
            self.by_channel.remove(&channel);
            self.channels.give_back(u32::from(channel));
        }
    }

    /// Asks for the session's state to be told.
    pub(super) fn session_flow(&mut self, id: SessionId) {
        if let Some(mut session) = self.session_mut(id) {
            session.tell();
        }
    }
}
