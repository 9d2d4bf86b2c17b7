//! A rule that the peer broke, and the close that may follow in the same input: the close says more.

use super::Connection;
use crate::{error::ConnectionError, violation::PeerMisbehaved};
use amqp1_codec::{Decode, Limits, Reader, definitions::AmqpError, frame::FrameErrorKind, performative::Close};
use bytes::{Bytes, BytesMut};

/// How many octets behind a violation are looked through.
const LOOKED_THROUGH: usize = 64 * 1024;

/// Octets of a frame's header (§2.3.1).
const HEADER: usize = 8;

impl Connection {
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
            // What follows cannot be told apart, so the peer's close will not be seen either.
            self.hear_no_more(input);
        }
    }

    /// The peer broke a rule after our close, which it is not told any more.
    fn violation_after_close(&mut self, violation: PeerMisbehaved, input: &mut BytesMut) {
        if can_read_on(&violation) {
            return;
        }
        match find_close(input, self.config.decode_limits()) {
            Some(close) => self.on_close(close),
            None => self.terminate(ConnectionError::LocallyClosed),
        }
        self.hear_no_more(input);
    }

    fn hear_no_more(&mut self, input: &mut BytesMut) {
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
