//! Octets from the network.

use super::{Connection, ConnectionState, Layer, handshake::Step};
use crate::{
    error::ConnectionError,
    session::{Ending, Session},
    time::Instant,
    violation::PeerMisbehaved,
};
use amqp1_codec::{frame::Frame, performative::Performative};
use bytes::{Bytes, BytesMut};

/// Frames that may wait to be written, and events to be polled, before input waits for them.
const MAX_WAITING: usize = 4096;

impl Connection {
    /// Takes all whole frames from the front of `input` and leaves a partial one. Never fails: what is wrong with the
    /// frames is answered on the wire and reported by events.
    ///
    /// While the application has to answer ([`sasl_outcome`](Self::sasl_outcome), [`answer_open`](Self::answer_open))
    /// nothing is taken: call this again after the answer, with what is left. The same holds while
    /// [`is_congested`](Self::is_congested).
    pub fn handle_input(&mut self, now: Instant, input: &mut BytesMut) {
        self.idle.set_now(now);
        if input.len() > self.left_over {
            self.idle.received();
        }
        self.take_input(input);
        self.left_over = input.len();
    }

    /// Whether too many answers wait to be written, or events to be polled: no more input is taken until some are. A
    /// peer that does not read what it asks for is no longer listened to. The same holds for what a client sends ahead,
    /// while the application has to answer its open.
    pub fn is_congested(&self) -> bool {
        let ahead = self.awaits_our_open() && self.left_over >= self.config.handshake_octets;
        ahead || self.outbox.frames() >= MAX_WAITING || self.outbox.events.len() >= MAX_WAITING
    }

    fn take_input(&mut self, input: &mut BytesMut) {
        while !input.is_empty() && !self.is_congested() {
            let before = input.len();
            match self.layer {
                Layer::Dead => {
                    input.clear();
                    return;
                }
                // Input before our outcome, or our open, is looked at after it.
                Layer::ServerPending => {
                    if before > self.config.handshake_octets {
                        self.handshake_incomplete();
                    }
                    return;
                }
                Layer::Frames if self.awaits_our_open() => return,
                Layer::Frames => {
                    if !self.frame_input(input) {
                        return;
                    }
                    if let Some(violation) = self.violation {
                        self.on_violation(violation, input);
                    }
                }
                _ => {
                    if matches!(self.layer_input(input), Step::Wanting) && !matches!(self.layer, Layer::Dead) {
                        return;
                    }
                }
            }
            if self.remote_open.is_none() {
                self.handshake_octets = self.handshake_octets.saturating_add(before).saturating_sub(input.len());
                if self.handshake_octets > self.config.handshake_octets && !matches!(self.layer, Layer::Dead) {
                    self.handshake_incomplete();
                }
            }
        }
    }

    /// The transport has ended.
    pub fn handle_eof(&mut self, now: Instant) {
        self.idle.set_now(now);
        self.enter_end();
        self.preamble.clear();
        self.outbox.drop_frames();
        let reason =
            if self.outbox.is_closed() { ConnectionError::LocallyClosed } else { ConnectionError::TransportLost };
        self.terminate(reason);
    }

    /// Takes a frame; whether to go on.
    fn frame_input(&mut self, input: &mut BytesMut) -> bool {
        let before = input.len();
        match self.decoder.decode(input) {
            Ok(None) => false,
            Ok(Some(Frame::Amqp { channel, performative, payload })) => {
                if self.remote_open.is_none() && self.is_long_open(before.saturating_sub(input.len())) {
                    return true;
                }
                self.on_frame(channel, performative, payload);
                true
            }
            Ok(Some(Frame::Sasl(_))) => {
                self.misbehaved(PeerMisbehaved::SaslOutOfOrder);
                true
            }
            Err(error) => {
                self.on_malformed(error);
                true
            }
        }
    }

    // Inlined whatever the compiler thinks of its size, so that the performative is not moved. Frames that are read
    // twice have a copy of it.
    #[inline(always)]
    pub(super) fn on_frame(&mut self, channel: u16, performative: Option<Performative>, payload: Bytes) {
        if self.outbox.is_closed() && !self.heard_after_close(performative.as_ref()) {
            return;
        }
        let Some(performative) = performative else {
            if self.remote_open.is_none() {
                self.misbehaved(PeerMisbehaved::FrameBeforeOpen);
            }
            return;
        };
        match (performative, self.remote_open.is_some()) {
            (Performative::Open(_), true) => self.misbehaved(PeerMisbehaved::OpenTwice),
            (Performative::Open(open), false) if channel == 0 => self.on_open(open),
            (Performative::Close(close), _) => self.on_close(close),
            (_, false) => self.misbehaved(PeerMisbehaved::FrameBeforeOpen),
            _ if channel > self.config.channel_max => {
                self.misbehaved(PeerMisbehaved::ChannelOutOfRange { channel });
            }
            (Performative::Begin(begin), true) => self.on_begin(channel, *begin),
            (Performative::End(end), true) => self.on_end(channel, end),
            (other, true) => {
                let Some(id) = self.by_remote_channel.get(&channel).copied() else {
                    if !self.tolerates_after_end(channel, &other) {
                        self.misbehaved(PeerMisbehaved::ChannelUnmapped { channel });
                    }
                    return;
                };
                // §2.5.5: after our end, what comes is discarded until the peer's, but for what it says of deliveries.
                let settles = matches!(other, Performative::Disposition(_));
                let discards =
                    |session: &Session| session.ending == Ending::Reported || session.state.is_end_sent() && !settles;
                if self.sessions.get(id).is_none_or(discards) {
                    if let Performative::Transfer(transfer) = &other {
                        self.posting_discarded(None, transfer);
                    }
                    return;
                }
                match other {
                    Performative::Attach(attach) => self.on_attach(id, attach),
                    Performative::Flow(flow) => self.on_flow(id, &flow),
                    Performative::Transfer(transfer) => self.on_transfer(id, &transfer, payload),
                    Performative::Disposition(disposition) => self.on_disposition(id, &disposition),
                    Performative::Detach(detach) => self.on_detach(id, *detach),
                    _ => {}
                }
            }
        }
    }

    /// Whether a frame on a channel without a session is ignored: one has ended there.
    fn tolerates_after_end(&self, channel: u16, performative: &Performative) -> bool {
        let tolerances = &self.config.tolerances;
        let is_tolerated = match performative {
            Performative::Detach(_) => tolerances.detach_after_end,
            Performative::Flow(_) | Performative::Disposition(_) => tolerances.flow_after_end,
            _ => false,
        };
        is_tolerated && self.ended_up_to.is_some_and(|highest| channel <= highest)
    }

    /// §2.4.6: what comes after our close is discarded until the peer's. After a clean one, what it says of deliveries
    /// still counts.
    fn heard_after_close(&mut self, performative: Option<&Performative>) -> bool {
        match performative {
            Some(Performative::Close(_)) => true,
            Some(Performative::Open(_)) if self.state == ConnectionState::ClosePipe => {
                self.step(self.state.receive_open());
                false
            }
            Some(Performative::Disposition(_)) => self.ended().is_none(),
            _ => false,
        }
    }
}
