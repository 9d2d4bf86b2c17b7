use super::*;

const RULES: LockRules = LockRules { lock: Duration::from_millis(60), max_delivery_count: 3, count_lock_expiry: false };
const NEVER: UnixMillis = UnixMillis(1_000_000);
const A: ConsumerId = ConsumerId(1);
const B: ConsumerId = ConsumerId(2);

struct Fixture {
    queue: LockQueue<&'static str>,
    random: Random,
}

impl Fixture {
    fn new(rules: LockRules) -> Self {
        Self { queue: LockQueue::new(rules), random: Random::new(1) }
    }

    fn with(items: &[&'static str]) -> Self {
        let mut fixture = Self::new(RULES);
        for item in items {
            fixture.queue.push(UnixMillis(0), item, NEVER);
        }
        fixture
    }

    fn take(&mut self, now: u64, consumer: ConsumerId) -> Option<(&'static str, LockToken, u32)> {
        let locked = self.queue.take(UnixMillis(now), consumer, &mut self.random)?;
        Some((*locked.item, locked.token, locked.delivery_count))
    }

    fn dead(&mut self) -> Vec<(&'static str, DeathCause, u64)> {
        core::iter::from_fn(|| self.queue.poll_dead()).map(|dead| (dead.item, dead.cause, dead.at.0)).collect()
    }
}

#[test]
fn m_3_3_1_items_are_taken_in_order_and_by_one_consumer_only() {
    let mut f = Fixture::with(&["one", "two"]);
    assert_eq!(f.take(1, A).unwrap().0, "one");
    assert_eq!(f.take(1, B).unwrap().0, "two");
    assert!(f.take(1, A).is_none());
    assert_eq!((f.queue.len(), f.queue.locks_of(A), f.queue.locks_of(B)), (2, 1, 1));
}

/// Also M-3.2.1-9: the count is of attempts before.
#[test]
fn m_3_4_5_1_an_abandoned_item_returns_to_the_front_and_is_counted() {
    let mut f = Fixture::with(&["one", "two", "three"]);
    let (_, first, _) = f.take(1, A).unwrap();
    f.take(1, A).unwrap();
    assert_eq!(f.queue.abandon(UnixMillis(2), &first), Ok(Abandoned::Requeued { delivery_count: 1 }));
    let (item, again, count) = f.take(2, A).unwrap();
    assert_eq!((item, count), ("one", 1));
    assert_ne!(first, again);
    assert_eq!(f.queue.abandon(UnixMillis(2), &first), Err(LockLost));
}

#[test]
fn a_lock_that_has_run_out_settles_nothing() {
    let mut f = Fixture::with(&["one"]);
    let (_, token, _) = f.take(1, A).unwrap();
    assert_eq!(f.queue.settle(UnixMillis(61), &token), Err(LockLost));
    assert_eq!(f.queue.len(), 1);
    let (_, token, _) = f.take(62, A).unwrap();
    assert_eq!(f.queue.settle(UnixMillis(121), &token), Ok("one"));
}

#[test]
fn an_item_given_up_too_often_dies() {
    let mut f = Fixture::with(&["one"]);
    for expected in [0, 1, 2] {
        let (_, token, count) = f.take(5, A).unwrap();
        assert_eq!(count, expected);
        let result = f.queue.abandon(UnixMillis(5), &token).unwrap();
        assert_eq!(result == Abandoned::Dead(DeathCause::DeliveryCountExceeded), expected == 2);
    }
    assert_eq!(f.dead(), [("one", DeathCause::DeliveryCountExceeded, 5)]);
    assert_eq!((f.queue.len(), f.queue.next_deadline()), (0, None));
}

#[test]
fn a_lock_that_runs_out_puts_the_item_back_uncounted() {
    let mut f = Fixture::with(&["one", "two"]);
    let (_, token, _) = f.take(0, A).unwrap();
    assert_eq!(f.queue.next_deadline(), Some(UnixMillis(60)));
    assert!(f.queue.poll_available());
    f.queue.handle_timeout(UnixMillis(59));
    assert!(!f.queue.poll_available());
    f.queue.handle_timeout(UnixMillis(60));
    assert!(f.queue.poll_available());
    assert_eq!(f.queue.settle(UnixMillis(60), &token), Err(LockLost));
    let (item, _, count) = f.take(60, B).unwrap();
    assert_eq!((item, count), ("one", 0));
}

#[test]
fn settling_one_tick_before_the_lock_ends_is_in_time() {
    let mut f = Fixture::with(&["one"]);
    let (_, token, _) = f.take(0, A).unwrap();
    assert_eq!(f.queue.settle(UnixMillis(59), &token), Ok("one"));
    assert_eq!(f.queue.settle(UnixMillis(59), &token), Err(LockLost));
    assert_eq!(LockLost.condition(), "com.microsoft:message-lock-lost");
}

#[test]
fn a_lock_that_runs_out_is_counted_on_request() {
    let mut f = Fixture::new(LockRules { count_lock_expiry: true, max_delivery_count: 2, ..RULES });
    f.queue.push(UnixMillis(0), "one", NEVER);
    f.take(0, A).unwrap();
    assert_eq!(f.take(60, A).unwrap().2, 1);
    f.queue.handle_timeout(UnixMillis(500));
    assert_eq!(f.dead(), [("one", DeathCause::DeliveryCountExceeded, 120)]);
}

#[test]
fn m_3_2_1_7_a_waiting_item_dies_at_its_expiry() {
    let mut f = Fixture::new(RULES);
    f.queue.push(UnixMillis(0), "late", UnixMillis(100));
    f.queue.push(UnixMillis(0), "early", UnixMillis(50));
    assert_eq!(f.queue.next_deadline(), Some(UnixMillis(50)));
    assert_eq!(f.take(99, A).unwrap().0, "late");
    assert_eq!(f.dead(), [("early", DeathCause::Expired, 50)]);
}

#[test]
fn a_locked_item_past_its_expiry_dies_when_the_lock_ends() {
    let mut f = Fixture::new(RULES);
    f.queue.push(UnixMillis(0), "one", UnixMillis(50));
    f.take(40, A).unwrap();
    f.queue.handle_timeout(UnixMillis(99));
    assert_eq!((f.dead().len(), f.queue.len()), (0, 1));
    f.queue.handle_timeout(UnixMillis(200));
    assert_eq!(f.dead(), [("one", DeathCause::Expired, 100)]);
}

#[test]
fn a_locked_item_past_its_expiry_can_still_be_settled_but_not_requeued() {
    let mut f = Fixture::new(RULES);
    for item in ["one", "two"] {
        f.queue.push(UnixMillis(0), item, UnixMillis(50));
    }
    let ((_, one, _), (_, two, _)) = (f.take(40, A).unwrap(), f.take(40, A).unwrap());
    assert_eq!(f.queue.settle(UnixMillis(60), &one), Ok("one"));
    assert_eq!(f.queue.abandon(UnixMillis(60), &two), Ok(Abandoned::Dead(DeathCause::Expired)));
    assert_eq!(f.dead(), [("two", DeathCause::Expired, 60)]);
}

#[test]
fn releasing_a_consumer_gives_back_its_items_only_and_counts_none() {
    let mut f = Fixture::with(&["one", "two", "three"]);
    f.take(0, A).unwrap();
    let (_, held, _) = f.take(0, B).unwrap();
    f.take(0, A).unwrap();
    assert_eq!(f.queue.release_all(UnixMillis(1), A), 2);
    let taken: Vec<_> = (0..2).map(|_| f.take(1, B).map(|(item, _, count)| (item, count)).unwrap()).collect();
    assert_eq!(taken, [("one", 0), ("three", 0)]);
    assert_eq!(f.queue.settle(UnixMillis(1), &held), Ok("two"));
}

#[test]
fn purging_takes_locked_and_waiting_items() {
    let mut f = Fixture::with(&["one", "two"]);
    let (_, token, _) = f.take(0, A).unwrap();
    assert_eq!(f.queue.purge(UnixMillis(1)), ["one", "two"]);
    assert_eq!(f.queue.settle(UnixMillis(1), &token), Err(LockLost));
    assert_eq!((f.queue.len(), f.queue.next_deadline()), (0, None));
    assert_eq!(f.queue.push(UnixMillis(2), "three", NEVER), 3);
}
