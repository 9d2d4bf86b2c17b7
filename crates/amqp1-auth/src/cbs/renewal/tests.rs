use alloc::vec::Vec;

use super::*;

const LIFE: u64 = 3600;
const HOUR: i64 = 3600;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A renewal, two clocks that a test moves, and a record of what was asked for.
struct World {
    renewal: Renewal,
    monotonic: Duration,
    /// The wall clock is this far from the monotonic one.
    wall_offset: i64,
}

impl World {
    fn new() -> Self {
        Self::with(RenewalPolicy::default())
    }

    fn with(policy: RenewalPolicy) -> Self {
        Self { renewal: Renewal::new(policy), monotonic: secs(1000), wall_offset: 1_795_000_000 }
    }

    fn clocks(&self) -> Clocks {
        let wall = self.monotonic.as_secs().checked_add_signed(self.wall_offset).expect("a wall time");
        Clocks { monotonic: self.monotonic, wall: UnixSeconds::new(wall) }
    }

    fn poll(&mut self) -> Option<Action> {
        self.renewal.poll(self.clocks())
    }

    /// Sends a token that lives for `life` seconds by the wall clock.
    fn send(&mut self, life: u64) {
        let now = self.clocks();
        self.renewal.handle_sent(now, now.wall.saturating_add(secs(life)));
    }

    fn reply(&mut self, reply: Result<(), Refusal>) {
        self.renewal.handle_reply(self.clocks(), reply);
    }

    /// Asks for the first token and has it accepted.
    fn accepted(life: u64) -> Self {
        let mut world = Self::new();
        assert_eq!(world.poll(), Some(Action::PutToken));
        world.send(life);
        world.reply(Ok(()));
        assert_eq!(world.poll(), None);
        world
    }

    fn advance(&mut self, duration: Duration) {
        self.monotonic += duration;
    }

    /// Goes from wake-up to wake-up until something is asked for, or `limit` has passed.
    fn run(&mut self, limit: Duration) -> Option<Action> {
        let end = self.monotonic + limit;
        for _ in 0..10_000 {
            if let Some(action) = self.poll() {
                return Some(action);
            }
            let next = self.renewal.poll_timeout()?;
            assert!(next > self.monotonic, "a wake-up that does nothing would spin");
            if next > end {
                self.monotonic = end;
                return None;
            }
            self.monotonic = next;
        }
        panic!("no end of wake-ups")
    }
}

#[test]
fn the_first_token_is_due_at_once_and_asked_for_once() {
    let mut world = World::new();
    assert_eq!(world.renewal.state(), RenewalState::Pending);
    assert_eq!(world.poll(), Some(Action::PutToken));
    assert_eq!(world.poll(), None);
    world.send(LIFE);
    world.reply(Ok(()));
    let expiry = world.clocks().wall.saturating_add(secs(LIFE));
    assert_eq!(world.renewal.state(), RenewalState::Valid { expiry });
}

#[test]
fn an_hour_is_renewed_after_48_minutes() {
    let mut world = World::accepted(LIFE);
    let start = world.monotonic;
    assert_eq!(world.run(secs(LIFE)), Some(Action::PutToken));
    assert_eq!(world.monotonic - start, secs(2880));
}

#[test]
fn a_token_is_renewed_at_least_30_seconds_before_expiry() {
    for (life, after) in [(200, 160), (150, 120), (100, 70), (60, 30), (40, 10)] {
        let mut world = World::accepted(life);
        let start = world.monotonic;
        assert_eq!(world.run(secs(life)), Some(Action::PutToken), "{life}");
        assert_eq!(world.monotonic - start, secs(after), "{life}");
    }
}

#[test]
fn a_token_is_never_renewed_sooner_than_after_a_second() {
    for life in [0, 1, 10, 30, 31] {
        let mut world = World::accepted(life);
        let start = world.monotonic;
        assert_eq!(world.run(secs(5)), Some(Action::PutToken), "{life}");
        assert_eq!(world.monotonic - start, secs(1), "{life}");
    }
}

#[test]
fn renewals_go_on_for_days() {
    let mut world = World::accepted(LIFE);
    let start = world.monotonic;
    for _ in 0..90 {
        assert_eq!(world.run(secs(LIFE)), Some(Action::PutToken));
        world.send(LIFE);
        world.reply(Ok(()));
    }
    assert_eq!(world.monotonic - start, secs(90 * 2880));
}

#[test]
fn failed_renewals_back_off_until_the_expiry_and_then_say_so_once() {
    let mut world = World::accepted(LIFE);
    let start = world.monotonic;
    let mut attempts = Vec::new();
    while world.run(secs(LIFE)) == Some(Action::PutToken) {
        attempts.push((world.monotonic - start).as_secs());
        world.send(LIFE);
        world.reply(Err(Refusal::Temporary));
    }
    assert_eq!(attempts[..7], [2880, 2881, 2883, 2887, 2895, 2911, 2941]);
    assert!(attempts.windows(2).all(|pair| pair[1] - pair[0] <= 30));
    assert!(attempts.last().is_some_and(|last| (3570..3600).contains(last)), "{attempts:?}");
    assert_eq!(world.monotonic - start, secs(LIFE), "Expired comes at the expiry");
    assert_eq!(world.renewal.state(), RenewalState::Stopped);
    assert_eq!(world.renewal.poll_timeout(), None);
    world.advance(secs(LIFE));
    assert_eq!(world.poll(), None);
}

#[test]
fn a_refusal_of_a_renewal_is_tried_again_while_the_old_token_is_good() {
    let mut world = World::accepted(LIFE);
    assert_eq!(world.run(secs(LIFE)), Some(Action::PutToken));
    world.send(LIFE);
    world.reply(Err(Refusal::Final));
    assert!(matches!(world.renewal.state(), RenewalState::Valid { .. }));
    assert_eq!(world.run(secs(10)), Some(Action::PutToken));
    world.send(LIFE);
    world.reply(Ok(()));
    assert_eq!(world.run(secs(2000)), None);
}

#[test]
fn a_success_makes_the_next_back_off_short_again() {
    let mut world = World::accepted(LIFE);
    for _ in 0..4 {
        assert_eq!(world.run(secs(LIFE)), Some(Action::PutToken));
        world.reply(Err(Refusal::Temporary));
    }
    assert_eq!(world.run(secs(LIFE)), Some(Action::PutToken));
    world.send(LIFE);
    world.reply(Ok(()));
    assert_eq!(world.run(secs(LIFE)), Some(Action::PutToken));
    world.reply(Err(Refusal::Temporary));
    assert_eq!(world.renewal.poll_timeout(), Some(world.monotonic + secs(1)));
}

#[test]
fn a_first_token_that_is_refused_for_good_ends_it() {
    let mut world = World::new();
    assert_eq!(world.poll(), Some(Action::PutToken));
    world.send(LIFE);
    world.reply(Err(Refusal::Final));
    assert_eq!(world.poll(), Some(Action::Expired));
    assert_eq!(world.poll(), None);
    assert_eq!(world.renewal.state(), RenewalState::Stopped);
}

#[test]
fn a_first_token_that_cannot_be_had_is_given_up_after_a_minute() {
    let mut world = World::new();
    let start = world.monotonic;
    let mut attempts = 0;
    while world.run(secs(LIFE)) == Some(Action::PutToken) {
        attempts += 1;
        world.reply(Err(Refusal::Temporary));
    }
    assert_eq!(world.monotonic - start, secs(60));
    assert_eq!(attempts, 6, "at 0, 1, 3, 7, 15 and 31 seconds");
    assert_eq!(world.renewal.state(), RenewalState::Stopped);
}

#[test]
fn an_answer_that_does_not_come_is_a_failed_attempt() {
    let mut world = World::accepted(LIFE);
    assert_eq!(world.run(secs(LIFE)), Some(Action::PutToken));
    world.send(LIFE);
    let sent = world.monotonic;
    assert_eq!(world.run(secs(120)), Some(Action::PutToken));
    assert_eq!(world.monotonic - sent, secs(31), "30 s of waiting and 1 s of back-off");
}

#[test]
fn an_answer_after_its_time_changes_nothing() {
    let mut world = World::new();
    assert_eq!(world.poll(), Some(Action::PutToken));
    world.send(LIFE);
    world.advance(secs(30));
    assert_eq!(world.poll(), None);
    world.reply(Ok(()));
    assert_eq!(world.renewal.state(), RenewalState::Pending);
}

#[test]
fn an_acceptance_of_nothing_sent_is_no_token() {
    let mut world = World::new();
    assert_eq!(world.poll(), Some(Action::PutToken));
    world.reply(Ok(()));
    assert_eq!(world.renewal.state(), RenewalState::Pending);
    assert_eq!(world.run(secs(10)), Some(Action::PutToken));
}

#[test]
fn a_wall_clock_set_back_an_hour_does_not_delay_the_renewal() {
    let mut world = World::accepted(LIFE);
    let start = world.monotonic;
    world.advance(secs(600));
    assert_eq!(world.poll(), None);
    world.wall_offset -= HOUR;
    assert_eq!(world.run(secs(LIFE)), Some(Action::PutToken));
    assert_eq!(world.monotonic - start, secs(2880));
    // The next token is dated by the new time of day and lives as long.
    world.send(LIFE);
    world.reply(Ok(()));
    let start = world.monotonic;
    assert_eq!(world.run(secs(LIFE)), Some(Action::PutToken));
    assert_eq!(world.monotonic - start, secs(2880));
}

#[test]
fn a_wall_clock_set_forward_an_hour_brings_the_renewal_within_a_minute_and_no_end() {
    let mut world = World::accepted(LIFE);
    world.advance(secs(600));
    assert_eq!(world.poll(), None);
    let step = world.monotonic;
    world.wall_offset += HOUR;
    // Nobody is told of the step: it is found at the next wake-up.
    world.monotonic = world.renewal.poll_timeout().expect("a wake-up");
    assert_eq!(world.run(secs(LIFE)), Some(Action::PutToken));
    assert!(world.monotonic - step <= secs(60));
    world.send(LIFE);
    world.reply(Ok(()));
    let renewed = world.monotonic;
    assert_eq!(world.run(secs(LIFE)), Some(Action::PutToken));
    assert_eq!(world.monotonic - renewed, secs(2880));
}

#[test]
fn a_wall_clock_set_forward_does_not_end_a_token_while_renewals_fail() {
    let mut world = World::accepted(LIFE);
    let start = world.monotonic;
    world.wall_offset += 10 * HOUR;
    while world.run(secs(2 * LIFE)) == Some(Action::PutToken) {
        world.reply(Err(Refusal::Temporary));
    }
    assert_eq!(world.monotonic - start, secs(LIFE), "the monotonic clock says when it is over");
}

#[test]
fn a_wall_clock_set_back_while_renewals_fail_does_not_stretch_the_token() {
    let mut world = World::accepted(LIFE);
    let start = world.monotonic;
    assert_eq!(world.run(secs(LIFE)), Some(Action::PutToken));
    world.wall_offset -= HOUR;
    world.reply(Err(Refusal::Temporary));
    while world.run(secs(2 * LIFE)) == Some(Action::PutToken) {
        world.reply(Err(Refusal::Temporary));
    }
    assert_eq!(world.monotonic - start, secs(LIFE));
}

#[test]
fn after_a_sleep_past_the_expiry_one_attempt_is_made_before_it_is_over() {
    let mut world = World::accepted(LIFE);
    world.advance(secs(10 * LIFE));
    assert_eq!(world.poll(), Some(Action::PutToken));
    world.send(LIFE);
    world.reply(Ok(()));
    assert!(matches!(world.renewal.state(), RenewalState::Valid { .. }));

    world.advance(secs(10 * LIFE));
    assert_eq!(world.poll(), Some(Action::PutToken));
    world.reply(Err(Refusal::Temporary));
    assert_eq!(world.poll(), Some(Action::Expired));
}

#[test]
fn a_new_token_can_be_demanded_at_any_time() {
    let mut world = World::accepted(LIFE);
    world.renewal.renew_now(world.clocks());
    assert_eq!(world.poll(), Some(Action::PutToken));
    assert!(matches!(world.renewal.state(), RenewalState::Valid { .. }), "the old one is good meanwhile");

    let mut world = World::new();
    assert_eq!(world.poll(), Some(Action::PutToken));
    world.reply(Err(Refusal::Final));
    assert_eq!(world.poll(), Some(Action::Expired));
    world.advance(secs(LIFE));
    world.renewal.renew_now(world.clocks());
    assert_eq!(world.poll(), Some(Action::PutToken));
    world.reply(Err(Refusal::Temporary));
    assert_eq!(world.run(secs(10)), Some(Action::PutToken), "the minute for a first token runs anew");
}

#[test]
fn a_new_connection_starts_over() {
    let mut world = World::accepted(LIFE);
    world.renewal.reset(world.clocks());
    assert_eq!(world.renewal.state(), RenewalState::Pending);
    assert_eq!(world.poll(), Some(Action::PutToken));
    world.reply(Err(Refusal::Final));
    assert_eq!(world.poll(), Some(Action::Expired));
}

#[test]
fn extreme_times_do_not_overflow() {
    let mut world = World::accepted(u64::MAX / 2);
    assert_eq!(world.run(secs(10 * LIFE)), None);
    world.renewal.renew_now(world.clocks());
    assert_eq!(world.poll(), Some(Action::PutToken));
    world.renewal.handle_sent(world.clocks(), UnixSeconds::new(u64::MAX));
    world.reply(Ok(()));
    assert_eq!(world.run(secs(10 * LIFE)), None);
}
