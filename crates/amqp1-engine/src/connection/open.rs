//! Opens (§2.4.1): ours, which the application may hold back, and the peer's.

use super::{Connection, ConnectionState, frame_size::cut, idle};
use crate::{
    error::{ApiMisuse, ConnectionError},
    event::Event,
    violation::{PeerMisbehaved, Scope},
};
use alloc::boxed::Box;
use amqp1_codec::{
    Symbol, Value,
    definitions::{AmqpError, ErrorCondition, Fields},
    frame::MIN_MAX_FRAME_SIZE,
    performative::Open,
};

/// Octets of the longest name that stays in an open which is only written to be followed by a close.
const SHORT_NAME: usize = 128;

impl Connection {
    /// The peer's open. It is kept as octets and decoded at each call.
    pub fn remote_open(&self) -> Option<Open> {
        self.remote_open.as_ref()?.kept.decode(self.config.decode_limits())
    }

    /// Server: lets the application see the peer's open, by `Event::OpenReceived`, before ours leaves.
    pub fn hold_open(&mut self, hold: bool) {
        self.hold_open = hold;
    }

    /// Sets a property of this end's open, if that has not left: for one that answers what the peer's open has said.
    pub fn set_open_property(&mut self, name: impl Into<Symbol>, value: impl Into<Value>) {
        if !self.state.is_open_sent() {
            self.config.properties.insert(name.into(), value);
        }
    }

    /// Answers the peer's open that was held.
    pub fn answer_open(&mut self) {
        if self.state == ConnectionState::OpenReceived {
            self.opened();
        }
    }

    /// Refuses the peer's open that was held: open, then close with the reason (§2.4.6). The open has the property
    /// `amqp:connection-establishment-failed`, by which clients of several makes know that a close follows.
    pub fn refuse_open(&mut self, error: AmqpError) {
        if self.ended().is_none() {
            if !self.state.is_open_sent() {
                self.config.properties.insert(Open::CONNECTION_ESTABLISHMENT_FAILED, true);
            }
            self.close_now(Some(error), ConnectionError::LocallyClosed);
        }
    }

    pub(super) fn on_open(&mut self, open: Box<Open>) {
        let max_frame_size = open.max_frame_size;
        let open_time_out = open.idle_time_out;
        self.idle.opened(open.idle_time_out);
        self.remote_open = self.keep_open(&open);
        if self.remote_open.is_none() {
            return self.misbehaved(PeerMisbehaved::MetadataExceeded { scope: Scope::Connection });
        }
        if max_frame_size < MIN_MAX_FRAME_SIZE && !self.config.tolerances.small_max_frame_size {
            return self.misbehaved(PeerMisbehaved::MaxFrameSizeTooSmall { size: max_frame_size });
        }
        if let Some(millis) = open_time_out.filter(|millis| (1..idle::LEAST_MILLIS).contains(millis)) {
            return self.misbehaved(PeerMisbehaved::IdleTimeoutTooShort { millis });
        }
        self.step(self.state.receive_open());
        if self.hold_open && !self.state.is_open_sent() {
            self.outbox.events.push_back(Event::OpenReceived);
            return;
        }
        self.opened();
    }

    /// Refuses a frame that the peer has sent without having heard our open, and that is larger than it may be then.
    #[cold]
    pub(super) fn is_long_open(&mut self, size: usize) -> bool {
        let max = usize::try_from(MIN_MAX_FRAME_SIZE).unwrap_or(usize::MAX);
        let is_long = size > max && !self.state.is_open_sent() && !self.config.tolerances.long_open;
        if is_long {
            self.misbehaved(PeerMisbehaved::OpenTooLong { size });
        }
        is_long
    }

    /// Both opens are there, or ours is sent now.
    pub(super) fn opened(&mut self) {
        if !self.state.is_open_sent() {
            if self.open_too_large() {
                return;
            }
            self.send_open();
        }
        self.let_in();
        self.outbox.events.push_back(Event::Opened);
        for id in core::mem::take(&mut self.waiting) {
            self.send_begin(id);
        }
    }

    /// Whether the application has to answer the peer's open before more input can be taken.
    pub(super) fn awaits_our_open(&self) -> bool {
        self.state == ConnectionState::OpenReceived
    }

    /// Our open. If it only precedes a close, it is cut to what the peer takes.
    pub(super) fn send_open(&mut self) {
        let mut open = self.config.open(self.idle.announced());
        if self.check_frame(&open).is_err() {
            let named = |fields: &Fields| fields.get(Open::CONNECTION_ESTABLISHMENT_FAILED.as_str()).is_some();
            let failed = open.properties.as_ref().is_some_and(named);
            open = Open {
                container_id: cut(open.container_id.as_str(), SHORT_NAME).into(),
                max_frame_size: open.max_frame_size,
                channel_max: open.channel_max,
                idle_time_out: open.idle_time_out,
                properties: failed.then(|| {
                    let mut fields = Fields::new();
                    fields.insert(Open::CONNECTION_ESTABLISHMENT_FAILED, true);
                    fields
                }),
                ..Open::default()
            };
        }
        self.step(self.state.send_open());
        self.outbox.push(0, open);
    }

    /// Ends a connection whose open the peer does not take. Whether it did.
    pub(super) fn open_too_large(&mut self) -> bool {
        let open = self.config.open(self.idle.announced());
        let Err(ApiMisuse::FrameTooLarge { size, max }) = self.check_frame(&open) else { return false };
        let text = "the open of this end is larger than the peer's max-frame-size";
        let error = AmqpError::new(ErrorCondition::FRAME_SIZE_TOO_SMALL, text);
        self.close_now(Some(error), ConnectionError::OpenTooLarge { size, max });
        true
    }
}
