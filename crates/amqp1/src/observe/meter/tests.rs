//! Frames that no engine would send, or that are sent to do harm. The meter sees them before the engine has refused them.

use super::*;
use crate::observe::{LinkInfo, OutcomeKind};
use amqp1_codec::{
    EncodeStyle, SequenceNo,
    definitions::Role,
    frame::write_frame,
    messaging::{DeliveryState, Target},
    performative::{Attach, Close, Detach, Disposition, End, Flow, Transfer},
};
use bytes::BytesMut;
use std::{sync::Mutex, time::Duration};

const BOTH: [Direction; 2] = [Direction::Incoming, Direction::Outgoing];

/// The sums of what is reported, which have to come out even.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sums {
    connections: i64,
    links: i64,
    credit: i64,
    unsettled: i64,
    transferred: u64,
    unsent: u64,
}

#[derive(Default)]
struct Summing(Mutex<Sums>);

impl Summing {
    fn sums(&self) -> Sums {
        *self.0.lock().expect("no panic under the lock")
    }

    fn add(&self, change: impl FnOnce(&mut Sums)) {
        change(&mut self.0.lock().expect("no panic under the lock"));
    }
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).expect("it is small")
}

impl Observer for Summing {
    fn opened(&self, _: &ConnectionInfo) {
        self.add(|sums| sums.connections += 1);
    }

    fn closed(&self, _: &ConnectionInfo) {
        self.add(|sums| sums.connections -= 1);
    }

    fn attached(&self, _: &LinkInfo) {
        self.add(|sums| sums.links += 1);
    }

    fn detached(&self, _: &LinkInfo) {
        self.add(|sums| sums.links -= 1);
    }

    fn transferred(&self, _: &LinkInfo, _: u64, _: bool) {
        self.add(|sums| sums.transferred += 1);
    }

    fn settled(&self, _: &LinkInfo, _: OutcomeKind, latency: Duration) {
        assert!(latency < Duration::from_secs(3600));
    }

    fn dropped(&self, _: &LinkInfo, reason: DropReason, count: u64) {
        assert!(count > 0);
        self.add(|sums| sums.unsent += if reason == DropReason::Unsent { count } else { 0 });
    }

    fn credit(&self, _: &LinkInfo, before: u32, now: u32) {
        self.add(|sums| sums.credit += i64::from(now) - i64::from(before));
    }

    fn unsettled(&self, _: &LinkInfo, before: usize, now: usize) {
        self.add(|sums| sums.unsettled += signed(now) - signed(before));
    }
}

/// A meter of a client, with room for this many octets.
fn meter(most: usize) -> (Meter, Arc<Summing>) {
    let observer = Arc::new(Summing::default());
    let meter = Meter::new(ConnectionInfo::new(false, None, "client".into()), observer.clone());
    (Meter { most, ..meter }, observer)
}

fn frame(channel: u16, body: impl Into<Performative>, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    write_frame(channel, Some(&body.into()), EncodeStyle::Compact, &mut frame);
    frame.extend_from_slice(payload);
    let size = u32::try_from(frame.len()).expect("it is short");
    frame[..4].copy_from_slice(&size.to_be_bytes());
    frame.freeze()
}

fn attach(handle: u32, name: &str, role: Role) -> Attach {
    let target = Target { address: Some("queue".into()), ..Target::default() };
    let initial_delivery_count = (role == Role::Sender).then_some(SequenceNo(0));
    Attach { name: name.into(), handle, role, target: Some(target.into()), initial_delivery_count, ..Attach::default() }
}

fn see(meter: &mut Meter, direction: Direction, frame: &Bytes) {
    meter.frame(direction, frame, frame.len(), Instant::default());
}

/// What the meter holds, checked against what it believes to hold.
fn held(meter: &Meter) -> usize {
    assert_eq!(meter.sessions.values().map(Session::weight).sum::<usize>(), meter.weight);
    let channels = [&meter.local, &meter.remote];
    assert!(channels.iter().all(|channels| channels.values().all(|session| meter.sessions.contains_key(session))));
    assert!(
        meter.sessions.keys().all(|id| channels.iter().any(|channels| channels.values().any(|known| known == id))),
        "each session has a channel"
    );
    meter.weight
}

/// Begins a session at both ends, and opens the connection.
fn begun(meter: &mut Meter) {
    for direction in BOTH {
        see(meter, direction, &frame(0, Open { container_id: "c".into(), ..Open::default() }, b""));
    }
    session(meter);
}

fn session(meter: &mut Meter) {
    see(meter, Direction::Outgoing, &frame(0, Begin::default(), b""));
    see(meter, Direction::Incoming, &frame(0, Begin { remote_channel: Some(0), ..Begin::default() }, b""));
}

fn attached(meter: &mut Meter, handle: u32, name: &str) {
    see(meter, Direction::Outgoing, &frame(0, attach(handle, name, Role::Sender), b""));
    see(meter, Direction::Incoming, &frame(0, attach(handle, name, Role::Receiver), b""));
}

/// Numbers that are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    fn small(&mut self) -> u32 {
        let numbers = [0, 1, 2, 3, 4, 5, 6, 7, u32::MAX - 1, u32::MAX];
        numbers[usize::try_from(self.next(10)).expect("it is small")]
    }

    fn flag(&mut self) -> bool {
        self.next(2) == 0
    }

    fn role(&mut self) -> Role {
        if self.flag() { Role::Sender } else { Role::Receiver }
    }

    fn id(&mut self) -> SequenceNo {
        SequenceNo(self.small())
    }

    fn performative(&mut self) -> Performative {
        let channel = u16::try_from(self.next(4)).expect("it is small");
        match self.next(40) {
            0 => Open { container_id: "c".into(), ..Open::default() }.into(),
            1..4 => Begin { remote_channel: self.flag().then_some(channel), ..Begin::default() }.into(),
            4..12 => {
                let (handle, role) = (self.small(), self.role());
                let count = self.flag().then_some(self.id());
                Attach { initial_delivery_count: count, ..attach(handle, ["a", "b"][self.0 as usize % 2], role) }.into()
            }
            12..18 => Flow {
                handle: self.flag().then_some(self.small()),
                delivery_count: self.flag().then_some(self.id()),
                link_credit: self.flag().then_some(self.small()),
                ..Flow::default()
            }
            .into(),
            18..32 => Transfer {
                handle: self.small(),
                delivery_id: self.flag().then_some(self.id()),
                settled: self.flag().then_some(self.flag()),
                more: self.flag(),
                aborted: self.next(8) == 0,
                ..Transfer::default()
            }
            .into(),
            32..36 => Disposition {
                role: self.role(),
                first: self.id(),
                last: self.flag().then_some(self.id()),
                settled: self.flag(),
                state: self.flag().then_some(DeliveryState::Accepted),
                ..Disposition::default()
            }
            .into(),
            36..38 => Detach { handle: self.small(), ..Detach::default() }.into(),
            38 => End::default().into(),
            // Rarely: nothing counts after it.
            _ if self.next(64) == 0 => Close::default().into(),
            _ => End::default().into(),
        }
    }
}

#[test]
fn frames_in_any_order_neither_panic_nor_leave_anything_behind() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut transferred = 0;
    for _ in 0..300 {
        let (mut meter, observer) = meter(8 * 1024);
        begun(&mut meter);
        for _ in 0..400 {
            // Some make sense, so that the others meet links with deliveries.
            if numbers.next(16) == 0 {
                if !(meter.local.contains_key(&0) && meter.remote.contains_key(&0)) {
                    session(&mut meter);
                }
                attached(&mut meter, numbers.small(), "a");
            }
            let channel = u16::try_from(numbers.next(8).saturating_sub(4)).expect("it is small");
            let mut octets = frame(channel, numbers.performative(), &[0; 20]).to_vec();
            if numbers.next(8) == 0 {
                let place =
                    usize::try_from(numbers.next(u64::try_from(octets.len()).expect("it fits"))).expect("it fits");
                octets[place] = u8::try_from(numbers.next(256)).expect("an octet");
            }
            let octets = Bytes::from(octets);
            // Of a long frame only a part is kept, and the length may be anything.
            let size = if numbers.next(8) == 0 { usize::MAX } else { octets.len() };
            match numbers.next(12) {
                0 => meter.lost(&octets, size),
                1 => meter.unsent(&[("a".into(), 3), ("never attached".into(), 1)]),
                turn => meter.frame(BOTH[usize::from(turn % 2 == 0)], &octets, size, Instant::default()),
            }
            let most = 8 * 1024 + 2 * 1024;
            assert!(held(&meter) < most, "{}", meter.weight);
        }
        meter.end();
        transferred += observer.sums().transferred;
        let sums = Sums { transferred: 0, unsent: 0, ..observer.sums() };
        assert_eq!((held(&meter), sums), (0, Sums::default()));
    }
    assert!(transferred > 500, "the frames mean something: {transferred}");
}

#[test]
fn octets_that_are_no_frames_are_passed_over() {
    let mut numbers = Numbers(7);
    let (mut meter, observer) = meter(MOST);
    let good = frame(0, attach(0, "l", Role::Sender), b"");
    for end in 0..good.len() {
        meter.frame(Direction::Incoming, &good.slice(..end), end, Instant::default());
        meter.lost(&good.slice(..end), 0);
    }
    for _ in 0..2000 {
        let octets: Bytes = (0..numbers.next(64)).map(|_| u8::try_from(numbers.next(256)).expect("an octet")).collect();
        meter.frame(Direction::Incoming, &octets, octets.len(), Instant::default());
        meter.lost(&octets, octets.len());
    }
    meter.end();
    assert_eq!(observer.sums(), Sums::default());
}

#[test]
fn channels_and_handles_that_are_used_twice_do_not_pile_up() {
    let (mut meter, observer) = meter(MOST);
    begun(&mut meter);
    for _ in 0..1000 {
        for direction in BOTH {
            see(&mut meter, direction, &frame(1, Begin::default(), b""));
        }
    }
    assert_eq!((meter.sessions.len(), meter.local.len(), meter.remote.len()), (3, 2, 2));
    attached(&mut meter, 0, "l");
    let one = held(&meter);
    for _ in 0..1000 {
        attached(&mut meter, 0, "l");
        for direction in BOTH {
            see(
                &mut meter,
                direction,
                &frame(0, Transfer { delivery_id: Some(SequenceNo(0)), ..Transfer::default() }, b"x"),
            );
        }
    }
    // A delivery of each end is not settled.
    assert!(held(&meter) > one && held(&meter) < 2 * one, "{one} {}", meter.weight);
    meter.end();
    assert_eq!(Sums { transferred: 0, ..observer.sums() }, Sums::default());
}

#[test]
fn links_and_deliveries_beyond_the_room_are_not_followed_and_there_is_room_again() {
    const ROOM: usize = 1024 * 1024;
    let (mut meter, observer) = meter(ROOM);
    begun(&mut meter);
    let name = "n".repeat(10_000);
    for handle in 0..1000 {
        see(&mut meter, Direction::Incoming, &frame(0, attach(handle, &format!("{name}{handle}"), Role::Sender), b""));
    }
    assert!((ROOM * 9 / 10..=ROOM).contains(&held(&meter)), "{}", meter.weight);
    for handle in 0..1000 {
        see(&mut meter, Direction::Incoming, &frame(0, Detach { handle, ..Detach::default() }, b""));
    }
    assert_eq!(held(&meter), 0);
    attached(&mut meter, 0, "l");
    for id in 0..100_000 {
        let transfer = Transfer { delivery_id: Some(SequenceNo(id)), ..Transfer::default() };
        see(&mut meter, Direction::Outgoing, &frame(0, transfer, b"x"));
    }
    assert!((ROOM * 9 / 10..=ROOM).contains(&held(&meter)), "{}", meter.weight);
    let unsettled = observer.sums().unsettled;
    assert!(unsettled > 1000 && observer.sums().transferred == 100_000, "{unsettled}");
    // One disposition settles all that are followed.
    let last = Some(SequenceNo(u32::MAX));
    let all = Disposition { role: Role::Receiver, last, settled: true, ..Disposition::default() };
    see(&mut meter, Direction::Incoming, &frame(0, all, b""));
    assert_eq!(observer.sums().unsettled, 0);
    meter.end();
    assert_eq!(held(&meter), 0);
}

/// A peer may send on until the connection is cut.
#[test]
fn what_follows_a_close_is_not_followed() {
    for ends in [Meter::input_ended as fn(&mut Meter), |meter| {
        see(meter, Direction::Incoming, &frame(0, Close::default(), b""))
    }] {
        let (mut meter, observer) = meter(MOST);
        begun(&mut meter);
        attached(&mut meter, 0, "l");
        ends(&mut meter);
        let before = held(&meter);
        for channel in 0..1000 {
            see(&mut meter, Direction::Incoming, &frame(channel, Begin::default(), b""));
            see(&mut meter, Direction::Incoming, &frame(channel, attach(7, "more", Role::Sender), b""));
        }
        assert_eq!((held(&meter), meter.sessions.len()), (before, 1));
        meter.end();
        assert_eq!(observer.sums(), Sums::default());
    }
}

/// Frames of this end behind the peer's detach, end or close are dropped by the peer.
#[test]
fn messages_that_are_written_when_their_link_is_over_count_once_as_unsent() {
    let detach = frame(0, Detach::default(), b"");
    for over in [detach, frame(0, End::default(), b""), frame(0, Close::default(), b"")] {
        let (mut meter, observer) = meter(MOST);
        begun(&mut meter);
        attached(&mut meter, 0, "l");
        see(&mut meter, Direction::Incoming, &over);
        let transfer =
            |more| frame(0, Transfer { more, delivery_id: Some(SequenceNo(0)), ..Transfer::default() }, b"x");
        // One of two frames, then one that is not written at all.
        see(&mut meter, Direction::Outgoing, &transfer(true));
        see(&mut meter, Direction::Outgoing, &transfer(false));
        meter.lost(&transfer(false), transfer(false).len());
        meter.unsent(&[("l".into(), 5)]);
        meter.end();
        assert_eq!(observer.sums(), Sums { unsent: 7, ..Sums::default() });
    }
}
