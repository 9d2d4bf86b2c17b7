//! Octets to frames, for those who only look on.

use bytes::{Bytes, BytesMut};

/// How much of a frame is kept. Of a longer one only the length is known beyond that.
pub(super) const KEPT: usize = 64 * 1024;

/// Octets of a protocol header, and of a frame's header.
const HEADER: usize = 8;

/// One direction of a connection. Nothing is expected of the octets: they are looked at before the engine has.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    kept: BytesMut,
    /// Octets of a frame that are left out.
    skipped: usize,
    /// Frames cannot be told apart any more.
    is_lost: bool,
}

impl Splitter {
    /// Calls `each` with the octets and the length of each frame, or protocol header, that is complete with these octets. A
    /// frame that is longer than what is kept counts as complete when its kept octets are there.
    pub(super) fn take(&mut self, mut octets: &[u8], mut each: impl FnMut(&Bytes, usize)) {
        while !octets.is_empty() && !self.is_lost {
            let skipped = self.skipped.min(octets.len());
            self.skipped = self.skipped.saturating_sub(skipped);
            octets = octets.get(skipped..).unwrap_or_default();
            let size = self.size();
            let wanted = size.unwrap_or(HEADER).min(KEPT);
            let (head, rest) = octets.split_at(wanted.saturating_sub(self.kept.len()).min(octets.len()));
            self.kept.extend_from_slice(head);
            octets = rest;
            // The header is there, and says how much follows.
            let Some(size) = self.size() else { continue };
            if self.kept.len() < size.min(KEPT) {
                continue;
            }
            self.is_lost = size < HEADER;
            self.skipped = size.saturating_sub(self.kept.len());
            let frame = self.kept.split().freeze();
            each(&frame, size);
        }
    }

    /// How long the frame is that begins with what is kept, if that is known.
    fn size(&self) -> Option<usize> {
        let [s0, s1, s2, s3, ..] = *self.kept.first_chunk::<HEADER>()?;
        match [s0, s1, s2, s3] {
            [b'A', b'M', b'Q', b'P'] => Some(HEADER),
            size => Some(usize::try_from(u32::from_be_bytes(size)).unwrap_or(usize::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(splitter: &mut Splitter, octets: &[u8]) -> Vec<(Vec<u8>, usize)> {
        let mut frames = Vec::new();
        splitter.take(octets, |frame, size| frames.push((frame.to_vec(), size)));
        frames
    }

    fn frame(size: usize) -> Vec<u8> {
        let mut frame = vec![7; size];
        frame[..4].copy_from_slice(&u32::try_from(size).expect("it is small").to_be_bytes());
        frame
    }

    #[test]
    fn frames_are_the_same_however_they_are_cut() {
        let frames = [b"AMQP\0\x01\0\0".to_vec(), frame(8), frame(9), frame(300)];
        let octets = frames.concat();
        let expected: Vec<_> = frames.iter().map(|frame| (frame.clone(), frame.len())).collect();
        for size in 1..=octets.len() {
            let mut splitter = Splitter::default();
            let got: Vec<_> = octets.chunks(size).flat_map(|chunk| split(&mut splitter, chunk)).collect();
            assert_eq!(got, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn a_long_frame_is_kept_in_part_and_the_next_one_is_found() {
        let (long, next) = (frame(3 * KEPT), frame(20));
        let mut splitter = Splitter::default();
        let octets = [long.clone(), next.clone()].concat();
        let got: Vec<_> = octets.chunks(1000).flat_map(|chunk| split(&mut splitter, chunk)).collect();
        assert_eq!(got, [(long[..KEPT].to_vec(), long.len()), (next, 20)]);
    }

    #[test]
    fn a_size_that_cannot_be_right_ends_it() {
        let mut splitter = Splitter::default();
        let got = split(&mut splitter, b"\0\0\0\x07\x02\0\0\0 and what follows is not looked at");
        assert_eq!(got, [(b"\0\0\0\x07\x02\0\0\0".to_vec(), 7)]);
        assert_eq!(split(&mut splitter, &frame(8)), []);
    }
}
