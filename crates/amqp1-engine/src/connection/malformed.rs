//! Frames that cannot be read to the letter, and what of them is read all the same.

use super::Connection;
use crate::{event::Event, violation::PeerMisbehaved};
use amqp1_codec::{
    Decode, DecodeError, Limits, Reader,
    frame::{FrameError, FrameErrorKind},
    performative::{Attach, Performative},
};
use bytes::Bytes;

impl Connection {
    /// A frame that cannot be read. If that is only because of data that advises, and this is tolerated, the rest is read
    /// and the application is told; an attach of which other fields cannot be read costs its link. Otherwise the
    /// connection ends.
    #[cold]
    pub(super) fn on_malformed(&mut self, error: FrameError) {
        let body = self.decoder.take_malformed();
        let limits = self.config.decode_limits();
        let (FrameErrorKind::Body(wrong), Some(channel), Some(body), true) =
            (error.kind, error.channel, body, limits.odd_advisory_data)
        else {
            return self.misbehaved(PeerMisbehaved::Frame(error));
        };
        if let Ok((performative, payload)) = read(&body, limits) {
            if !self.outbox.is_closed() {
                self.outbox.events.push_back(Event::OddAdvisoryData(performative.name(), wrong));
            }
            return self.on_readable(channel, performative, payload);
        }
        match Attach::decode_head(&mut Reader::with_limits(&body, limits)) {
            Ok(attach) => {
                self.unreadable_attach = Some(wrong);
                self.on_readable(channel, attach.into(), Bytes::new());
                self.unreadable_attach = None;
            }
            Err(_) => self.misbehaved(PeerMisbehaved::Frame(error)),
        }
    }

    #[inline(never)]
    fn on_readable(&mut self, channel: u16, performative: Performative, payload: Bytes) {
        self.on_frame(channel, Some(performative), payload);
    }
}

/// A performative and the payload behind it.
fn read(body: &Bytes, limits: Limits) -> Result<(Performative, Bytes), DecodeError> {
    let mut reader = Reader::with_limits(body, limits);
    let performative = Performative::decode(&mut reader)?;
    if !matches!(performative, Performative::Transfer(_)) {
        reader.finish()?;
    }
    Ok((performative, reader.rest()))
}
