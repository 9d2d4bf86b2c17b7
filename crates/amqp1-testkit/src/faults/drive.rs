//! The clock, the pipes and the applications of a run, one turn after the other.

use super::{Side, run::Run};
use crate::{End, Pair, Pipe};
use amqp1_engine::{Event, Instant};
use core::time::Duration;

/// More turns than any run needs: whoever takes so many turns in circles.
const TURNS: usize = 2_000_000;

/// How often the clock may be moved to a time that it has already: then a deadline does not go away.
const STANDSTILLS: usize = 1_000;

impl Run {
    /// Each end writes once and reads one piece. Whether anything has moved.
    fn step(&mut self) -> bool {
        let now = self.pair.now;
        let limit = self.pair.limit;
        let mut moved = false;
        for side in Side::BOTH {
            let (end, pipe) = outbound(&mut self.pair, side);
            match self.slow {
                None if self.narrow && (pipe.in_flight() > 0 || pipe.is_cut()) => {}
                None => {
                    let octets = end.write_out(now, limit);
                    moved |= !octets.is_empty();
                    pipe.send(now, octets);
                }
                Some(_) if pipe.in_flight() > 0 => {}
                Some(time) => {
                    let free = &mut self.free[side.index()];
                    for octet in end.write_out(now, 1) {
                        moved = true;
                        *free = (*free).max(now) + time;
                        pipe.send(*free, &[*octet]);
                    }
                }
            }
            if self.checked {
                end.check(&mut self.checkers[side.index()]);
            } else {
                end.written.clear();
                end.leave_unchecked();
            }
        }
        for side in Side::BOTH {
            let (end, pipe) = inbound(&mut self.pair, side);
            if pipe.receive(now, &mut end.input) > 0 {
                self.heard[side.index()] = now;
                moved = true;
            }
            moved |= end.take_input(now) > 0;
        }
        moved
    }

    /// An end that has finished lets the transport go; its peer sees that. Whether anything has happened.
    fn end_streams(&mut self) -> bool {
        let now = self.pair.now;
        let mut any = false;
        for side in Side::BOTH {
            let (end, pipe) = outbound(&mut self.pair, side);
            if end.is_finished() && !end.has_output() && !pipe.stalled {
                pipe.finish();
            }
            let (end, pipe) = inbound(&mut self.pair, side);
            if pipe.is_over() && !end.is_finished() {
                end.take_end(now);
                any = true;
            }
        }
        any
    }

    /// Moves the clock, never back, and tells the ends whose time has come.
    pub(super) fn move_clock(&mut self, to: Instant) {
        self.pair.now = self.pair.now.max(to);
        let now = self.pair.now;
        self.pair.client.take_timeout(now);
        self.pair.server.take_timeout(now);
    }

    /// As [`Run::move_clock`], and notes when time stands still.
    fn advance(&mut self, to: Instant) {
        self.standstills = if to > self.pair.now { 0 } else { self.standstills + 1 };
        self.move_clock(to);
        if self.standstills == STANDSTILLS {
            let deadlines = [self.pair.client.poll_timeout(), self.pair.server.poll_timeout()];
            self.ledger.wrong(format!("a deadline does not go away: {deadlines:?}"));
        }
    }

    /// Everything that happens now. Whether that came to an end.
    fn settle(&mut self) -> bool {
        if self.standstills >= STANDSTILLS {
            return false;
        }
        for _ in 0..TURNS {
            let moved = self.step();
            let acted = self.application();
            if !moved && !acted && !self.end_streams() {
                self.forget();
                return true;
            }
        }
        self.ledger.wrong(format!("still busy after {TURNS} turns"));
        false
    }

    /// Lets everything happen that can without waiting: the clock moves for arrivals alone.
    pub(super) fn quiet(&mut self) {
        while self.settle() {
            let arrivals = [self.pair.up.next_arrival(), self.pair.down.next_arrival()];
            let Some(arrival) = arrivals.into_iter().flatten().min() else { return };
            self.advance(self.pair.next_deadline().map_or(arrival, |deadline| deadline.min(arrival)));
        }
    }

    /// Lets time pass, from one arrival or deadline to the next, until something holds. Whether it does.
    pub(super) fn wait(&mut self, time: Duration, until: impl Fn(&Self) -> bool) -> bool {
        let last = self.pair.now + time;
        for _ in 0..TURNS {
            if !self.settle() || until(self) {
                break;
            }
            let times = [self.pair.up.next_arrival(), self.pair.down.next_arrival(), self.pair.next_deadline()];
            let next = times.into_iter().flatten().min().filter(|next| *next <= last);
            if next.is_none() && self.pair.now >= last {
                break;
            }
            self.advance(next.unwrap_or(last));
        }
        until(self)
    }

    /// Lets time pass.
    pub(super) fn sleep(&mut self, time: Duration) {
        self.wait(time, |_| false);
    }

    fn forget(&mut self) {
        if !self.checked && Side::BOTH.iter().all(|side| self.watches[side.index()].closed.is_none()) {
            self.pair.client.forget();
            self.pair.server.forget();
            self.seen = Default::default();
        }
    }

    /// The applications look at what there is, and do what they have to. Whether there was anything.
    fn application(&mut self) -> bool {
        let mut acted = false;
        for side in Side::BOTH {
            acted |= self.look(side);
        }
        acted | self.pump() | self.take()
    }

    /// Takes note of events and settlements.
    fn look(&mut self, side: Side) -> bool {
        let now = self.pair.now;
        let (events_seen, settled_seen) = self.seen[side.index()];
        let end = self.end(side);
        if (events_seen, settled_seen) == (end.events.len(), end.settled.len()) {
            return false;
        }
        let events = core::mem::take(&mut end.events);
        let settled: Vec<_> = end.settled[settled_seen..].to_vec();
        self.seen[side.index()] = (events.len(), settled_seen + settled.len());
        for settled in settled {
            if self.book.settled(settled.token, &settled.settlement, now, &mut self.ledger) {
                self.lost(side, &settled);
            }
        }
        for event in &events[events_seen..] {
            self.watches[side.index()].note(event, now, &mut self.ledger);
            match event {
                Event::LinkOffered(id) => self.answer(side, *id),
                Event::LinkDetached(id, detached) => self.detached(side, *id, detached),
                Event::Reattach(id) => self.reattach(side, *id),
                _ => {}
            }
        }
        // What has come meanwhile stands behind.
        let later = core::mem::replace(&mut self.end(side).events, events);
        self.end(side).events.extend(later);
        true
    }
}

pub(super) fn outbound(pair: &mut Pair, side: Side) -> (&mut End, &mut Pipe) {
    match side {
        Side::Client => (&mut pair.client, &mut pair.up),
        Side::Server => (&mut pair.server, &mut pair.down),
    }
}

fn inbound(pair: &mut Pair, side: Side) -> (&mut End, &mut Pipe) {
    match side {
        Side::Client => (&mut pair.client, &mut pair.down),
        Side::Server => (&mut pair.server, &mut pair.up),
    }
}
