//! Sessions coming and going (§2.5).

use super::{After, Connection, Control, FlowDue};
use crate::{
    config::SessionConfig,
    event::{Cause, Ended, Event},
    session::Session,
    store::SessionId,
    violation::PeerMisbehaved,
};
use amqp1_codec::{
    definitions::AmqpError,
    performative::{Begin, End, Performative},
};

impl Connection {
    /// The lowest channel that is free, if both ends allow it.
    pub(super) fn free_channel(&self) -> Option<u16> {
        let remote_max = self.remote_open.as_ref().map_or(u16::MAX, |open| open.channel_max);
        let mut free = 0u16;
        for used in self.by_channel.keys() {
            if *used != free {
                break;
            }
            free = free.checked_add(1)?;
        }
        (free <= remote_max.min(self.config.channel_max)).then_some(free)
    }

    /// Our begin, for a session that the application asked for.
    pub(super) fn send_begin(&mut self, id: SessionId) {
        let Some(channel) = self.free_channel() else {
            let error = AmqpError::new(
                amqp1_codec::definitions::ErrorCondition::RESOURCE_LIMIT_EXCEEDED,
                "all channels that the peer allows are in use",
            );
            return self.drop_session(id, Ended { error: Some(error), by: Cause::Local });
        };
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.channel = channel;
        session.begin_sent = true;
        let begin = session.begin();
        self.by_channel.insert(channel, id);
        self.push(channel, begin);
    }

    pub(super) fn on_begin(&mut self, channel: u16, begin: Begin) {
        if self.by_remote_channel.contains_key(&channel) {
            return self.misbehaved(PeerMisbehaved::BeginOnChannelInUse { channel });
        }
        let Some(remote_channel) = begin.remote_channel else {
            let mut session = Session::new(SessionConfig::default(), 0);
            session.on_begin(&begin, channel);
            let id = self.sessions.insert(session);
            self.by_remote_channel.insert(channel, id);
            self.events.push_back(Event::SessionOffered(id));
            return;
        };
        let answered = self.by_channel.get(&remote_channel).copied();
        let session = answered.and_then(|id| Some((id, self.sessions.get_mut(id)?)));
        let Some((id, session)) = session.filter(|(_, session)| session.begin_sent && !session.begin_received) else {
            return self.misbehaved(PeerMisbehaved::BeginAnswersNothing { remote_channel });
        };
        session.on_begin(&begin, channel);
        self.by_remote_channel.insert(channel, id);
        if session.end_sent {
            return;
        }
        let waiting = core::mem::take(&mut session.waiting);
        self.events.push_back(Event::SessionBegun(id));
        for link in waiting {
            self.send_attach(link);
        }
        self.try_end(id);
    }

    pub(super) fn on_end(&mut self, channel: u16, end: End) {
        let Some(id) = self.by_remote_channel.remove(&channel) else {
            return self.misbehaved(PeerMisbehaved::ChannelUnmapped { channel });
        };
        let Some(session) = self.sessions.get_mut(id) else { return };
        let ended = if session.end_sent {
            Ended { error: session.error.take().or(end.error), by: Cause::Local }
        } else {
            if session.begin_sent {
                session.end_sent = true;
                let channel = session.channel;
                self.forget_control(channel);
                self.push_after(channel, End::default(), After::Channel);
            }
            Ended { error: end.error, by: Cause::Peer }
        };
        self.drop_session(id, ended);
    }

    /// Frames for a session that has gone on the peer's side are not written any more, but a begin must be answered.
    fn forget_control(&mut self, channel: u16) {
        use Performative::{Attach, Detach, Disposition, Flow};
        self.control.retain(|control| {
            control.channel != channel || !matches!(control.body, Attach(_) | Detach(_) | Disposition(_) | Flow(_))
        });
    }

    /// Ends a session with an error, dropping what is queued on it.
    pub(super) fn end_with(&mut self, id: SessionId, error: AmqpError) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if session.end_sent {
            return;
        }
        session.end_sent = true;
        session.error = Some(error.clone());
        let channel = session.channel;
        if !session.begin_sent {
            // The peer's begin is answered before its session is ended.
            let Some(free) = self.free_channel() else {
                return self.drop_session(id, Ended { error: Some(error), by: Cause::Local });
            };
            return self.refuse_session(id, free, error);
        }
        self.flush_marks(id);
        self.push_after(channel, End { error: Some(error.clone()) }, After::Channel);
        self.tell_ended(id, error);
    }

    /// The application learns at once that the session is over; the channels stay taken until both ends are exchanged.
    fn tell_ended(&mut self, id: SessionId, error: AmqpError) {
        self.detach_all(id, Cause::Session, Some(&error));
        if let Some(session) = self.sessions.get_mut(id) {
            session.told = true;
        }
        self.events.push_back(Event::SessionEnded(id, Ended { error: Some(error), by: Cause::Local }));
    }

    fn refuse_session(&mut self, id: SessionId, channel: u16, error: AmqpError) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.channel = channel;
        session.begin_sent = true;
        let begin = session.begin();
        self.by_channel.insert(channel, id);
        self.push(channel, begin);
        self.push_after(channel, End { error: Some(error.clone()) }, After::Channel);
        self.tell_ended(id, error);
    }

    /// The peer broke a rule whose scope is the session.
    pub(super) fn session_misbehaved(&mut self, id: SessionId, violation: PeerMisbehaved) {
        self.end_with(id, AmqpError::new(violation.condition(), alloc::format!("{violation}")));
    }

    /// Ends a session in peace, when everything that can be sent is sent.
    pub(super) fn try_end(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        let waits = session.end_sent
            || session.ending.is_none()
            || !session.begin_sent
            || !session.begin_received
            || self.can_transfer_in(id);
        if waits {
            return;
        }
        self.flush_marks(id);
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.end_sent = true;
        let error = session.ending.take().flatten();
        session.error.clone_from(&error);
        let channel = session.channel;
        self.push_after(channel, End { error }, After::Channel);
    }

    /// Whether a link of this session has something to send and may.
    fn can_transfer_in(&self, id: SessionId) -> bool {
        let Some(session) = self.sessions.get(id) else { return false };
        session.remote_incoming_window > 0
            && self.links.iter().any(|link| link.session == id && link.is_attached() && link.can_transfer())
    }

    /// Takes a session and its links away and says so, unless that was said before.
    pub(super) fn drop_session(&mut self, id: SessionId, ended: Ended) {
        let cause = if ended.by == Cause::Connection { Cause::Connection } else { Cause::Session };
        self.detach_all(id, cause, ended.error.as_ref());
        let Some(session) = self.sessions.remove(id) else { return };
        if let Some(channel) = session.remote_channel {
            self.by_remote_channel.remove(&channel);
        }
        let end_waits = |control: &Control| control.channel == session.channel && control.after == After::Channel;
        if session.begin_sent && !self.control.iter().any(end_waits) {
            self.by_channel.remove(&session.channel);
        }
        if !session.told {
            self.events.push_back(Event::SessionEnded(id, ended));
        }
    }

    /// Asks for the session's state to be told.
    pub(super) fn session_flow(&mut self, id: SessionId) {
        if !self.flows.contains(&FlowDue::Session(id)) {
            self.flows.push_back(FlowDue::Session(id));
        }
    }
}
