//! The end of a connection (§2.4.3, §2.4.4): closes, the violations that lead to one, and what else ends it.

use super::{Connection, ConnectionState, Ending, Layer};
use crate::{
    error::ConnectionError,
    event::{Cause, Ended, Event},
    metadata::bounded_error,
    time::Instant,
    violation::PeerMisbehaved,
};
use alloc::boxed::Box;
use amqp1_codec::{Decode, Limits, Reader, definitions::AmqpError, frame::FrameErrorKind, performative::Close};
use bytes::{Bytes, BytesMut};

/// How many octets behind a violation are looked through.
const LOOKED_THROUGH: usize = 64 * 1024;

/// Octets of a frame's header (§2.3.1).
const HEADER: usize = 8;

impl Connection {
    /// Why the connection ended, if it has.
    pub fn ended(&self) -> Option<&ConnectionError> {
        match &self.ending {
            Ending::Reported(reason) => Some(reason),
            Ending::No | Ending::Asked => None,
        }
    }

    /// Whether nothing more will be read or said: when what is transmitted is written, the transport can go.
    pub fn is_finished(&self) -> bool {
        self.state == ConnectionState::End && self.preamble.is_empty() && self.outbox.frames() == 0
    }

    /// Closes the connection. Deliveries that can leave go first; with an error, none does. Settlements that were
    /// stated go first in any case. With an error, a close that waits for deliveries waits no longer.
    pub fn close(&mut self, now: Instant, error: Option<AmqpError>) {
        self.idle.set_now(now);
        match self.ending {
            _ if self.outbox.is_closed() => return,
            Ending::Reported(_) => return,
            Ending::Asked if error.is_none() => return,
            Ending::Asked | Ending::No => {}
        }
        if error.is_some() || self.remote_open.is_none() {
            return self.close_now(error, ConnectionError::LocallyClosed);
        }
        self.ending = Ending::Asked;
        self.idle.start_close(self.config.close_timeout);
    }

    /// Closes now, dropping what is queued, and ends for the application.
    pub(super) fn close_now(&mut self, error: Option<AmqpError>, reason: ConnectionError) {
        if self.state.can_send() {
            self.flush_all_marks();
            self.push_close(error);
            self.idle.start_close(self.config.close_timeout);
        } else {
            self.enter_end();
        }
        self.terminate(reason);
    }

    /// Queues our close.
    pub(super) fn push_close(&mut self, error: Option<AmqpError>) {
        if !self.state.is_open_sent() {
            self.send_open();
        }
        self.step(self.state.send_close(error.is_some()));
        self.outbox.push_close(Close { error });
    }

    pub(super) fn on_close(&mut self, close: Close) {
        let is_answer = self.outbox.is_closed();
        if !is_answer {
            // Requests of the peer before its close are answered, as they would have been in a read of their own.
            self.answer_begins();
            if !self.state.is_open_sent() {
                self.send_open();
            }
        }
        self.step(self.state.receive_close());
        if !is_answer {
            self.push_close(None);
        }
        self.enter_end();
        let reason = self.closed_by_peer(&close);
        self.terminate(reason);
    }

    /// The meaning of the peer's close.
    pub(super) fn closed_by_peer(&self, close: &Close) -> ConnectionError {
        match &close.error {
            None if matches!(self.ending, Ending::Asked) => ConnectionError::LocallyClosed,
            error => {
                let error =
                    error.as_ref().map(|error| bounded_error(error, self.config.max_info, self.config.decode_limits()));
                ConnectionError::ClosedByPeer(error)
            }
        }
    }

    /// Ends everything for the application: links, then sessions, then the connection. Once.
    pub(super) fn terminate(&mut self, reason: ConnectionError) {
        if self.ended().is_some() {
            return;
        }
        for id in self.sessions.keys() {
            self.drop_session(id, Ended { error: None, by: Cause::Connection });
        }
        self.outbox.forget_sessions();
        self.drains.clear();
        self.waiting.clear();
        self.stops.clear();
        self.shares.clear();
        self.ending = Ending::Reported(reason.clone());
        self.outbox.events.push_back(Event::Closed(Box::new(reason)));
    }

    /// Nothing more is read or said.
    pub(super) fn enter_end(&mut self) {
        self.state = ConnectionState::End;
        self.layer = Layer::Dead;
    }

    /// Whether the peer has not answered our close within
    /// [`ConnectionConfig::close_timeout`](crate::ConnectionConfig::close_timeout), so that the connection is over
    /// without it.
    pub fn close_unanswered(&self) -> bool {
        self.close_unanswered
    }

    /// The peer broke a rule whose scope is the connection. What follows from it is done when the frame is dealt with.
    pub(super) fn misbehaved(&mut self, violation: PeerMisbehaved) {
        self.violation.get_or_insert(violation);
    }

    /// Closes the connection because of a violation. If the peer's close is among the octets that came with it, that is
    /// what is reported: it may say why the peer closes, and the connection would have ended without the violation.
    #[cold]
    pub(super) fn on_violation(&mut self, violation: PeerMisbehaved, input: &mut BytesMut) {
        self.violation = None;
        if self.outbox.is_closed() {
            return self.violation_after_close(violation, input);
        }
        let error = AmqpError::new(violation.condition(), alloc::format!("{violation}"));
        if let Some(close) = find_close(input, self.config.decode_limits()) {
            let reason = self.closed_by_peer(&close);
            self.close_now(Some(error), reason);
            return self.hear_no_more(input);
        }
        self.close_now(Some(error), ConnectionError::Misbehaved(violation));
        if !can_read_on(&violation) {
            // The octets that follow cannot be told apart, so the peer's close will not be seen either.
            self.hear_no_more(input);
        }
    }

    /// The peer broke a rule after our close, which it is not told any more.
    pub(super) fn violation_after_close(&mut self, violation: PeerMisbehaved, input: &mut BytesMut) {
        if can_read_on(&violation) {
            return;
        }
        match find_close(input, self.config.decode_limits()) {
            Some(close) => self.on_close(close),
            None => self.terminate(ConnectionError::LocallyClosed),
        }
        self.hear_no_more(input);
    }

    pub(super) fn hear_no_more(&mut self, input: &mut BytesMut) {
        self.enter_end();
        input.clear();
    }
}

/// Whether the frames that follow can be told apart by the decoder.
fn can_read_on(violation: &PeerMisbehaved) -> bool {
    match violation {
        PeerMisbehaved::Frame(error) => matches!(error.kind, FrameErrorKind::Body(_)),
        _ => true,
    }
}

/// The first close among whole frames. Frames are told apart by their sizes alone, so that one that is wrong in other
/// ways hides no close.
fn find_close(input: &[u8], limits: Limits) -> Option<Close> {
    let octets = Bytes::copy_from_slice(input.get(..LOOKED_THROUGH).unwrap_or(input));
    let mut at = 0_usize;
    while let Some(&[s0, s1, s2, s3, doff, kind, _, _]) = octets.get(at..)?.first_chunk::<HEADER>() {
        let size = usize::try_from(u32::from_be_bytes([s0, s1, s2, s3])).ok()?;
        let end = at.checked_add(size).filter(|end| size >= HEADER && *end <= octets.len())?;
        let start = at.saturating_add(usize::from(doff).saturating_mul(4));
        if kind == 0 && doff >= 2 && start <= end {
            let body = octets.slice(start..end);
            if let Ok(close) = Close::decode(&mut Reader::with_limits(&body, limits)) {
                return Some(close);
            }
        }
        at = end;
    }
    None
}
