//! One direction of a transport in memory, which takes its time, cuts the octets into pieces, stalls, and breaks.

use crate::Random;
use amqp1_engine::Instant;
use bytes::{Buf, BytesMut};
use core::time::Duration;
use std::collections::VecDeque;

/// How many octets arrive at a time.
#[derive(Clone, Debug, Default)]
pub enum Segment {
    /// All there are.
    #[default]
    Whole,
    /// Always this many.
    Of(usize),
    /// From one to so many.
    UpTo(usize, Random),
}

/// A time in which nothing arrives.
#[derive(Clone, Copy, Debug)]
pub struct Stall {
    /// It begins when so many octets more have arrived.
    pub after: usize,
    /// How long it lasts.
    pub lasts: Duration,
}

/// With a bandwidth, octets travel in pieces of this size.
const PIECE: usize = 1460;

/// One direction of a transport. Octets are not lost and keep their order; all else may happen to them.
///
/// By default they arrive at once and in one piece.
#[derive(Debug, Default)]
pub struct Pipe {
    octets: BytesMut,
    /// When the octets arrive, and how many.
    arrivals: VecDeque<(Instant, usize)>,
    /// When the line has room for the next octet.
    free: Instant,
    stalled_until: Instant,
    finished: bool,
    /// How many octets arrive at a time.
    pub segment: Segment,
    /// How long an octet is on its way.
    pub latency: Duration,
    /// By how much that varies.
    pub jitter: Option<(Duration, Random)>,
    /// Octets per second.
    pub bandwidth: Option<u64>,
    /// Nothing arrives for some time.
    pub stall: Option<Stall>,
    /// Nothing arrives.
    pub stalled: bool,
    /// The transport breaks when so many octets more have arrived.
    pub cut_after: Option<usize>,
}

impl Pipe {
    /// A pipe that a seed has thought out. Half of them have no delay; none breaks.
    ///
    /// An octet is under way for less than ten seconds, so that nobody takes the other end for dead.
    pub fn seeded(random: &mut Random) -> Self {
        let segment = match random.below(4) {
            0 => Segment::Whole,
            1 => Segment::Of(1 + random.below(64)),
            2 => Segment::UpTo(1 + random.below(40), random.fork()),
            _ => Segment::UpTo(1 + random.below(3000), random.fork()),
        };
        let mut pipe = Self { segment, ..Self::default() };
        if random.chance(2) {
            return pipe;
        }
        let millis = |random: &mut Random, most| Duration::from_millis(random.below(most) as u64);
        pipe.latency = millis(random, 1500);
        if random.chance(2) {
            pipe.jitter = Some((millis(random, 1000), random.fork()));
        }
        if random.chance(3) {
            pipe.bandwidth = Some(20_000 + random.below(1_000_000) as u64);
        }
        if random.chance(4) {
            pipe.stall = Some(Stall { after: random.below(6000), lasts: millis(random, 4000) });
        }
        pipe
    }

    /// Octets that were sent long ago: they are there.
    pub fn write(&mut self, octets: &[u8]) {
        self.send(Instant::default(), octets);
    }

    /// Octets that are sent now.
    pub fn send(&mut self, now: Instant, octets: &[u8]) {
        if octets.is_empty() || self.is_cut() {
            return;
        }
        self.octets.extend_from_slice(octets);
        match self.bandwidth {
            None => self.arrive(now, octets.len()),
            Some(bandwidth) => {
                for piece in octets.chunks(PIECE) {
                    let nanos = piece.len() as u64 * 1_000_000_000 / bandwidth.max(1);
                    self.free = self.free.max(now) + Duration::from_nanos(nanos);
                    self.arrive(self.free, piece.len());
                }
            }
        }
    }

    fn arrive(&mut self, sent: Instant, count: usize) {
        let mut at = sent + self.latency;
        if let Some((jitter, random)) = &mut self.jitter {
            at = at + Duration::from_nanos(random.below(jitter.as_nanos() as usize + 1) as u64);
        }
        match self.arrivals.back_mut() {
            Some((before, already)) if *before >= at => *already += count,
            _ => self.arrivals.push_back((at, count)),
        }
    }

    /// Nothing more will be sent: the other end sees the end of the stream behind what is on its way. False if that was
    /// so already.
    pub fn finish(&mut self) -> bool {
        !core::mem::replace(&mut self.finished, true)
    }

    /// Moves the next piece, whenever it arrives; how many octets it has.
    pub fn read(&mut self, into: &mut BytesMut) -> usize {
        self.receive(Instant::from_nanos(u64::MAX), into)
    }

    /// Moves the next piece that has arrived; how many octets it has.
    pub fn receive(&mut self, now: Instant, into: &mut BytesMut) -> usize {
        if !self.is_flowing(now) {
            return 0;
        }
        let piece = match &mut self.segment {
            Segment::Whole => usize::MAX,
            Segment::Of(count) => *count,
            Segment::UpTo(most, random) => random.below(*most) + 1,
        };
        let piece = piece.min(self.cut_after.unwrap_or(usize::MAX)).min(self.stall.map_or(usize::MAX, |s| s.after));
        let mut there: usize = 0;
        let arrived = self.arrivals.iter().take_while(|(at, _)| *at <= now);
        let count = arrived.map(|(_, count)| count).find_map(|count| {
            there = there.saturating_add(*count);
            (there >= piece).then_some(piece)
        });
        let count = count.unwrap_or(there);
        into.extend_from_slice(&self.octets[..count]);
        self.octets.advance(count);
        let mut left = count;
        while let Some((_, first)) = self.arrivals.front_mut().filter(|_| left > 0) {
            let taken = left.min(*first);
            *first -= taken;
            left -= taken;
            if *first == 0 {
                self.arrivals.pop_front();
            }
        }
        if let Some(left) = &mut self.cut_after {
            *left -= count;
        }
        if let Some(stall) = &mut self.stall {
            stall.after -= count;
        }
        count
    }

    /// Whether something can be received now. A stall whose time has come begins.
    fn is_flowing(&mut self, now: Instant) -> bool {
        if let Some(Stall { after: 0, lasts }) = self.stall {
            if !self.arrivals.is_empty() {
                self.stall = None;
                self.stalled_until = now + lasts;
            }
        }
        !self.stalled && self.stalled_until <= now && self.arrivals.front().is_some_and(|(at, _)| *at <= now)
    }

    /// When something arrives, if anything is on its way.
    pub fn next_arrival(&self) -> Option<Instant> {
        let (at, _) = self.arrivals.front().filter(|_| !self.stalled && !self.is_cut())?;
        Some((*at).max(self.stalled_until))
    }

    /// Octets that are on their way.
    pub fn in_flight(&self) -> usize {
        self.octets.len()
    }

    /// Whether the transport has broken.
    pub fn is_cut(&self) -> bool {
        self.cut_after == Some(0)
    }

    /// Whether the reader sees the end of the stream.
    pub fn is_over(&self) -> bool {
        self.is_cut() || self.finished && self.octets.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    /// When each of the octets arrives, in milliseconds, if one looks whenever something does.
    fn arrivals(pipe: &mut Pipe) -> Vec<(u64, usize)> {
        let (mut into, mut seen, mut now) = (BytesMut::new(), Vec::new(), Instant::default());
        while let Some(next) = pipe.next_arrival() {
            now = now.max(next);
            match pipe.receive(now, &mut into) {
                0 => {}
                count => seen.push((now.as_nanos() / 1_000_000, count)),
            }
        }
        seen
    }

    #[test]
    fn octets_arrive_after_their_latency_in_their_order() {
        let mut pipe = Pipe { latency: Duration::from_millis(30), ..Pipe::default() };
        pipe.send(at(1), b"ab");
        pipe.send(at(2), b"cd");
        let mut into = BytesMut::new();
        assert_eq!(pipe.receive(at(30), &mut into), 0);
        assert_eq!(pipe.next_arrival(), Some(at(31)));
        assert_eq!(pipe.receive(at(31), &mut into), 2);
        assert_eq!(pipe.receive(at(40), &mut into), 2);
        assert_eq!(&into[..], b"abcd");
        assert_eq!(pipe.next_arrival(), None);
    }

    #[test]
    fn jitter_does_not_change_the_order() {
        let jitter = Some((Duration::from_millis(900), Random::new(7)));
        let mut pipe = Pipe { jitter, ..Pipe::default() };
        for octet in 0..100 {
            pipe.send(at(u64::from(octet)), &[octet]);
        }
        let mut into = BytesMut::new();
        let mut now = at(0);
        while let Some(next) = pipe.next_arrival() {
            assert!(next >= now);
            now = next;
            pipe.receive(now, &mut into);
        }
        assert!(into.iter().copied().eq(0..100));
    }

    #[test]
    fn a_bandwidth_spreads_octets_over_time() {
        let mut pipe = Pipe { bandwidth: Some(1_460_000), ..Pipe::default() };
        pipe.send(at(10), &[0; 3 * PIECE]);
        assert_eq!(arrivals(&mut pipe), [(11, PIECE), (12, PIECE), (13, PIECE)]);
        // The line is busy until then.
        pipe.send(at(12), &[0; PIECE]);
        assert_eq!(arrivals(&mut pipe), [(14, PIECE)]);
    }

    #[test]
    fn a_stall_holds_everything_back_for_its_time() {
        let stall = Some(Stall { after: 3, lasts: Duration::from_millis(500) });
        let mut pipe = Pipe { stall, ..Pipe::default() };
        pipe.send(at(5), b"abcdef");
        assert_eq!(arrivals(&mut pipe), [(5, 3), (505, 3)]);
    }

    #[test]
    fn what_lies_behind_a_cut_never_arrives() {
        let mut pipe = Pipe { cut_after: Some(4), ..Pipe::default() };
        pipe.write(b"abcdef");
        let mut into = BytesMut::new();
        assert_eq!(pipe.read(&mut into), 4);
        assert_eq!((pipe.read(&mut into), pipe.next_arrival()), (0, None));
        assert!(pipe.is_cut() && pipe.is_over());
    }

    #[test]
    fn the_end_of_the_stream_comes_behind_the_last_octet() {
        let mut pipe = Pipe { segment: Segment::Of(1), ..Pipe::default() };
        pipe.write(b"ab");
        pipe.finish();
        let mut into = BytesMut::new();
        pipe.read(&mut into);
        assert!(!pipe.is_over());
        pipe.read(&mut into);
        assert!(pipe.is_over() && !pipe.is_cut());
    }
}
