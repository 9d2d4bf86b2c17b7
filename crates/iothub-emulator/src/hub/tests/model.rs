//! Random operations on one device's queue, against a model that does everything the slow and plain way.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const LOCK: u64 = 100;
const MAX_DELIVERY_COUNT: u32 = 3;
const DEPTH: usize = 6;

#[derive(Clone, Debug)]
enum Op {
    Abandon(usize),
    Advance(u64),
    Complete(usize),
    Enqueue { ttl: u64 },
    Purge,
    Reject(usize),
    Release(usize),
    Take(usize),
    Tick(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => any::<usize>().prop_map(Op::Abandon),
        2 => (0..150_u64).prop_map(Op::Advance),
        2 => any::<usize>().prop_map(Op::Complete),
        4 => (1..400_u64).prop_map(|ttl| Op::Enqueue { ttl }),
        1 => Just(Op::Purge),
        1 => any::<usize>().prop_map(Op::Reject),
        1 => (0..2_usize).prop_map(Op::Release),
        5 => (0..2_usize).prop_map(Op::Take),
        1 => (0..150_u64).prop_map(Op::Tick),
    ]
}

#[derive(Clone, Debug)]
struct Entry {
    number: u64,
    expires: u64,
    count: u32,
    /// Until when, and by whom.
    lock: Option<(u64, usize)>,
    status: Option<&'static str>,
}

impl Entry {
    fn outcome(&self) -> Outcome {
        match self.status {
            Some("Success") => Outcome::Completed,
            Some("Rejected") => Outcome::Rejected,
            Some("Expired") => Outcome::Expired,
            Some(_) => Outcome::DeliveryCountExceeded,
            None => Outcome::Requeued { delivery_count: self.count },
        }
    }
}

#[derive(Debug)]
struct Model {
    entries: Vec<Entry>,
    count_lock_expiry: bool,
}

impl Model {
    fn alive(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.iter_mut().filter(|entry| entry.status.is_none())
    }

    /// One millisecond after the other: no cleverness to get wrong.
    fn pass(&mut self, from: u64, to: u64) {
        let count = self.count_lock_expiry;
        for at in from..=to {
            for entry in self.alive() {
                if entry.lock.is_some_and(|(until, _)| until <= at) {
                    Self::give_back(entry, at, count);
                } else if entry.lock.is_none() && entry.expires <= at {
                    entry.status = Some("Expired");
                }
            }
        }
    }

    fn give_back(entry: &mut Entry, at: u64, count: bool) {
        entry.lock = None;
        entry.count += u32::from(count);
        if count && entry.count >= MAX_DELIVERY_COUNT {
            entry.status = Some("DeliveryCountExceeded");
        } else if entry.expires <= at {
            entry.status = Some("Expired");
        }
    }

    fn locked(&mut self, number: u64, until: u64) -> Option<&mut Entry> {
        self.alive().find(|entry| entry.number == number && entry.lock.is_some_and(|(end, _)| end == until))
    }
}

struct Taken {
    number: u64,
    until: u64,
    token: LockToken,
}

fn run(ops: Vec<Op>, count_lock_expiry: bool) {
    let mut settings = Settings::default();
    settings.cloud_to_device = CloudToDeviceSettings {
        lock: Duration::from_millis(LOCK),
        max_delivery_count: MAX_DELIVERY_COUNT,
        max_depth: DEPTH,
        count_lock_expiry,
        ..settings.cloud_to_device
    };
    let mut hub = hub_with(settings, &["d"]);
    let device = id("d");
    let consumers = [(); 2].map(|()| hub.add_consumer());
    let mut model = Model { entries: Vec::new(), count_lock_expiry };
    let mut taken: Vec<Taken> = Vec::new();
    let mut now = NOW.0;

    for op in ops {
        let at = UnixMillis(now);
        match op {
            Op::Advance(span) | Op::Tick(span) => {
                model.pass(now, now + span);
                now += span;
                if matches!(op, Op::Tick(_)) {
                    hub.handle_timeout(UnixMillis(now));
                    assert_eq!(hub.queue_depth(&device), model.alive().count());
                    assert!(hub.next_deadline().is_none_or(|deadline| deadline.0 > now));
                }
            }
            Op::Enqueue { ttl } => {
                let number = model.entries.len() as u64 + 1;
                let message = CloudToDevice { expiry: Some(UnixMillis(now + ttl)), ..message(&number.to_string()) };
                let result = hub.enqueue(at, &device, message);
                if model.alive().count() < DEPTH {
                    assert_eq!(result.unwrap().sequence_number, number);
                    model.entries.push(Entry { number, expires: now + ttl, count: 0, lock: None, status: None });
                } else {
                    assert_eq!(result.unwrap_err().condition(), "amqp:resource-limit-exceeded");
                }
            }
            Op::Take(who) => {
                let delivery = hub.take_next(at, &device, consumers[who]);
                let expected = model.alive().find(|entry| entry.lock.is_none());
                let seen = delivery.as_ref().map(|d| (d.sequence_number, d.delivery_count));
                assert_eq!(seen, expected.as_ref().map(|entry| (entry.number, entry.count)));
                if let (Some(delivery), Some(entry)) = (delivery, expected) {
                    assert_eq!(delivery.payload, entry.number.to_string().as_bytes());
                    entry.lock = Some((now + LOCK, who));
                    taken.push(Taken { number: entry.number, until: now + LOCK, token: delivery.token });
                }
            }
            Op::Complete(which) | Op::Reject(which) | Op::Abandon(which) => {
                if taken.is_empty() {
                    continue;
                }
                let index = which % taken.len();
                let Taken { number, until, token } = taken.remove(index);
                // A lock of the same entry that ends at the same moment is an older one of it, given back and taken
                // again within one millisecond: only the newest counts.
                let newer = taken.iter().skip(index).any(|other| (other.number, other.until) == (number, until));
                let entry = model.locked(number, until).filter(|_| !newer);
                let result = match op {
                    Op::Complete(_) => hub.complete(at, &device, &token),
                    Op::Reject(_) => hub.reject(at, &device, &token),
                    _ => hub.abandon(at, &device, &token),
                };
                let expected = entry.map(|entry| {
                    match op {
                        Op::Complete(_) => entry.status = Some("Success"),
                        Op::Reject(_) => entry.status = Some("Rejected"),
                        _ => Model::give_back(entry, now, true),
                    }
                    entry.outcome()
                });
                assert_eq!(result, expected.ok_or(LockLost), "{op:?} of {number}");
            }
            Op::Release(who) => {
                let released = hub.leave_device(at, &device, consumers[who], Locks::Release);
                let mut expected = 0;
                for entry in model.alive().filter(|entry| entry.lock.is_some_and(|(_, by)| by == who)) {
                    Model::give_back(entry, now, false);
                    expected += 1;
                }
                assert_eq!(released, expected);
            }
            Op::Purge => {
                assert_eq!(hub.purge(at, &device), model.alive().count());
                model.alive().for_each(|entry| entry.status = Some("Purged"));
            }
        }
    }

    // Whatever is left expires in the end, and then the feedback must account for each message exactly once.
    let end = now + 10_000;
    model.pass(now, end);
    hub.handle_timeout(UnixMillis(end));
    hub.flush_feedback(UnixMillis(end));
    assert_eq!(hub.queue_depth(&device), 0);
    let mut seen = BTreeMap::new();
    for (message, status, _) in feedback(&mut hub, UnixMillis(end)) {
        assert_eq!(seen.insert(message.clone(), status), None, "{message} was reported twice");
    }
    let expected: BTreeMap<_, _> = model
        .entries
        .iter()
        .map(|entry| (entry.number.to_string(), entry.status.unwrap_or("nothing").to_owned()))
        .collect();
    assert_eq!(seen, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn the_queue_loses_nothing_repeats_nothing_and_keeps_its_order(
        ops in proptest::collection::vec(op(), 0..80),
        count_lock_expiry: bool,
    ) {
        run(ops, count_lock_expiry);
    }
}
