use core::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::hub::ids::DeviceId;
use crate::hub::queue::AckMode;

const NOW: UnixMillis = UnixMillis(1_795_377_253_045);
const A: ConsumerId = ConsumerId(1);
const B: ConsumerId = ConsumerId(2);

fn id(device: &str) -> IdentityId {
    DeviceId::new(device).unwrap().into()
}

struct Fixture {
    feedback: Feedback,
    random: Random,
}

impl Fixture {
    fn new() -> Self {
        Self { feedback: Feedback::new(&FeedbackSettings::default()), random: Random::new(1) }
    }

    fn record(
        &mut self,
        now: UnixMillis,
        device: &str,
        message_id: Option<&str>,
        ack: AckMode,
        status: FeedbackStatus,
    ) {
        let finished = Finished { message_id: message_id.map(Into::into), ack, status, at: now };
        self.feedback.record(now, &id(device), &"123".into(), finished);
    }

    fn success(&mut self, now: UnixMillis, device: &str) {
        self.record(now, device, Some("m"), AckMode::Full, FeedbackStatus::Success);
    }

    fn take(&mut self, now: UnixMillis, consumer: ConsumerId) -> Option<FeedbackDelivery> {
        self.feedback.take(now, consumer, &mut self.random)
    }
}

fn later(seconds: u64) -> UnixMillis {
    NOW.after(Duration::from_secs(seconds))
}

#[test]
fn the_body_has_exactly_the_documented_fields() {
    let mut f = Fixture::new();
    f.record(NOW, "dev'1", Some("m-1"), AckMode::Full, FeedbackStatus::Rejected);
    let delivery = f.take(later(15), A).unwrap();
    let body: Value = serde_json::from_slice(&delivery.body).unwrap();
    let record = json!({
        "originalMessageId": "m-1", "statusCode": "Rejected", "description": "Rejected", "deviceId": "dev'1",
        "deviceGenerationId": "123", "enqueuedTimeUtc": "2026-11-22T19:54:13.045Z",
    });
    assert_eq!(body, json!([record]));
    assert_eq!(delivery.records, 1);
}

#[test]
fn records_are_made_only_when_asked_for_and_only_with_a_message_id() {
    use FeedbackStatus::{Expired, Success};
    let mut f = Fixture::new();
    f.record(NOW, "d", Some("a"), AckMode::None, Success);
    f.record(NOW, "d", Some("b"), AckMode::Negative, Success);
    f.record(NOW, "d", Some("c"), AckMode::Positive, Expired);
    f.record(NOW, "d", None, AckMode::Full, Success);
    assert_eq!((f.feedback.pending(), f.feedback.next_deadline()), ((0, 0), None));
    f.record(NOW, "d", Some("d"), AckMode::Negative, Expired);
    f.record(NOW, "d", Some("e"), AckMode::Positive, Success);
    assert_eq!(f.feedback.pending(), (2, 0));
}

#[test]
fn a_batch_closes_at_64_records() {
    let mut f = Fixture::new();
    for _ in 0..63 {
        f.success(NOW, "d");
    }
    assert!(f.take(NOW, A).is_none());
    f.success(NOW, "d");
    f.success(NOW, "d");
    let delivery = f.take(NOW, A).unwrap();
    assert_eq!((delivery.records, delivery.enqueued), (64, NOW));
    assert_eq!(f.feedback.pending(), (1, 1));
}

#[test]
fn a_batch_closes_15_seconds_after_its_first_record() {
    let mut f = Fixture::new();
    f.success(NOW, "d");
    f.success(later(14), "d");
    assert_eq!(f.feedback.next_deadline(), Some(later(15)));
    assert!(f.take(later(14), A).is_none());
    f.feedback.handle_timeout(later(15));
    assert!(f.feedback.poll_available());
    assert_eq!(f.take(later(15), A).unwrap().records, 2);
    f.success(later(16), "d");
    assert_eq!(f.take(later(40), A).unwrap().enqueued, later(31), "a late look finds it closed in time");
}

#[test]
fn receivers_compete_and_an_abandoned_batch_goes_to_the_next() {
    let mut f = Fixture::new();
    f.success(NOW, "d");
    let first = f.take(later(15), A).unwrap();
    assert!(f.take(later(15), B).is_none());
    assert_eq!(f.feedback.abandon(later(16), &first.token), Ok(Outcome::Requeued { delivery_count: 1 }));
    let second = f.take(later(16), B).unwrap();
    assert_eq!((second.sequence_number, second.delivery_count, &second.body), (1, 1, &first.body));
    assert_eq!(f.feedback.complete(later(17), &first.token), Err(LockLost));
    assert_eq!(f.feedback.complete(later(17), &second.token), Ok(Outcome::Completed));
    assert_eq!(f.feedback.pending(), (0, 0));
}

#[test]
fn the_lock_of_a_batch_runs_out_after_60_seconds() {
    let mut f = Fixture::new();
    f.success(NOW, "d");
    let first = f.take(later(15), A).unwrap();
    assert!(f.take(later(74), B).is_none());
    assert_eq!(f.take(later(75), B).unwrap().delivery_count, 0);
    assert_eq!(f.feedback.reject(later(75), &first.token), Err(LockLost));
}

#[test]
fn a_batch_is_dropped_after_ten_abandons() {
    let mut f = Fixture::new();
    f.success(NOW, "d");
    for count in 1..=10 {
        let delivery = f.take(later(15), A).unwrap();
        let expected =
            if count < 10 { Outcome::Requeued { delivery_count: count } } else { Outcome::DeliveryCountExceeded };
        assert_eq!(f.feedback.abandon(later(15), &delivery.token), Ok(expected));
    }
    assert_eq!(f.feedback.pending(), (0, 0));
}

#[test]
fn a_batch_that_nobody_reads_expires_after_an_hour() {
    let mut f = Fixture::new();
    f.success(NOW, "d");
    f.feedback.handle_timeout(later(15));
    assert_eq!(f.feedback.next_deadline(), Some(later(15 + 3600)));
    assert!(f.take(later(15 + 3600), A).is_none());
    assert_eq!(f.feedback.pending(), (0, 0));
}

#[test]
fn a_receiver_that_leaves_keeps_its_lock_unless_it_is_released() {
    let mut f = Fixture::new();
    f.success(NOW, "d");
    f.take(later(15), A).unwrap();
    assert_eq!((f.feedback.locks_of(A), f.feedback.locks_of(B)), (1, 0));
    assert!(f.take(later(16), B).is_none());
    assert_eq!(f.feedback.release_all(later(16), A), 1);
    assert_eq!(f.take(later(16), B).unwrap().delivery_count, 0);
}

#[test]
fn deleting_a_device_drops_its_records_and_batches_that_become_empty() {
    let mut f = Fixture::new();
    f.success(NOW, "gone");
    f.feedback.close_batch(NOW);
    f.success(NOW, "gone");
    f.success(NOW, "kept");
    f.feedback.close_batch(NOW);
    f.success(NOW, "gone");
    f.feedback.forget(&id("gone"));
    assert_eq!(f.feedback.pending(), (0, 1));
    assert_eq!(f.take(NOW, A).unwrap().records, 1);
}
