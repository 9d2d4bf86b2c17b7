use core::time::Duration;

use super::*;

fn queue() -> DeviceQueue {
    DeviceQueue::new(DeviceId::new("dev").unwrap().into(), &CloudToDeviceSettings::default())
}

fn message() -> CloudToDevice {
    let payload = Bytes::from_static(b"body");
    CloudToDevice { message_id: Some("m".into()), ack: AckMode::Full, expiry: None, size: 4, payload }
}

fn statuses(queue: &mut DeviceQueue) -> Vec<FeedbackStatus> {
    queue.take_finished().into_iter().map(|finished| finished.status).collect()
}

const NOW: UnixMillis = UnixMillis(1_000_000);
const CONSUMER: ConsumerId = ConsumerId(1);

#[test]
fn ack_modes_parse_in_any_case_and_want_what_they_say() {
    use FeedbackStatus::{DeliveryCountExceeded, Expired, Purged, Rejected, Success};
    assert_eq!("FULL".parse(), Ok(AckMode::Full));
    assert_eq!("both".parse::<AckMode>(), Err(EnqueueError::BadAck));
    for status in [Success, Expired, DeliveryCountExceeded, Rejected, Purged] {
        assert!(AckMode::Full.wants(status) && !AckMode::None.wants(status));
        assert_eq!(AckMode::Positive.wants(status), status == Success);
        assert_eq!(AckMode::Negative.wants(status), status != Success);
    }
}

#[test]
fn the_fifty_first_message_is_refused_until_one_is_done() {
    let mut queue = queue();
    for _ in 0..50 {
        queue.enqueue(NOW, message()).unwrap();
    }
    let error = queue.enqueue(NOW, message()).unwrap_err();
    assert_eq!(error.condition(), "amqp:resource-limit-exceeded");
    assert!(error.to_string().contains("ErrorCode:DeviceMaximumQueueDepthExceeded"), "{error}");
    let delivery = queue.take(NOW, CONSUMER, &mut Random::new(1)).unwrap();
    assert!(queue.enqueue(NOW, message()).is_err(), "a locked message still counts");
    queue.complete(NOW, &delivery.token).unwrap();
    assert!(queue.enqueue(NOW, message()).is_ok());
}

#[test]
fn a_full_queue_has_room_again_once_messages_expire() {
    let mut queue = queue();
    for _ in 0..50 {
        queue.enqueue(NOW, message()).unwrap();
    }
    assert!(queue.enqueue(NOW.after(Duration::from_secs(3600)), message()).is_ok());
    assert_eq!(statuses(&mut queue), [FeedbackStatus::Expired; 50]);
}

#[test]
fn size_is_limited_to_64_kib() {
    let mut queue = queue();
    assert!(queue.enqueue(NOW, CloudToDevice { size: 65536, ..message() }).is_ok());
    let error = queue.enqueue(NOW, CloudToDevice { size: 65537, ..message() }).unwrap_err();
    assert_eq!(error.condition(), "amqp:link:message-size-exceeded");
    assert!(error.to_string().contains("413001"));
}

#[test]
fn expiry_must_lie_ahead_and_within_two_days() {
    let mut queue = queue();
    let two_days = Duration::from_secs(2 * 24 * 3600);
    let with = |expiry| CloudToDevice { expiry: Some(expiry), ..message() };
    for bad in [UnixMillis(0), NOW, UnixMillis(NOW.after(two_days).0 + 1)] {
        let error = queue.enqueue(NOW, with(bad)).unwrap_err();
        assert_eq!((error.condition(), &error.to_string()[..6]), ("com.microsoft:argument-error", "403009"));
    }
    assert_eq!(queue.enqueue(NOW, with(NOW.after(two_days))).unwrap().expires, NOW.after(two_days));
    assert_eq!(queue.enqueue(NOW, message()).unwrap().expires, NOW.after(Duration::from_secs(3600)));
}

#[test]
fn message_ids_follow_the_documented_rule() {
    let mut queue = queue();
    let with = |id: String| CloudToDevice { message_id: Some(id), ..message() };
    assert!(queue.enqueue(NOW, with("x".repeat(128))).is_ok());
    assert!(queue.enqueue(NOW, CloudToDevice { message_id: None, ..message() }).is_ok());
    let error = queue.enqueue(NOW, with("x".repeat(129))).unwrap_err();
    assert_eq!(error.condition(), "com.microsoft:argument-error");
    assert!(queue.enqueue(NOW, with("a b".into())).is_err());
}

#[test]
fn a_delivery_tells_what_the_annotations_need() {
    let mut queue = queue();
    queue.enqueue(NOW, message()).unwrap();
    let later = NOW.after(Duration::from_secs(5));
    let delivery = queue.take(later, CONSUMER, &mut Random::new(1)).unwrap();
    assert_eq!((delivery.sequence_number, delivery.delivery_count), (1, 0));
    assert_eq!((delivery.enqueued, delivery.locked_until), (NOW, later.after(Duration::from_secs(60))));
    assert_eq!(delivery.payload, Bytes::from_static(b"body"));
}

#[test]
fn each_way_out_has_its_status() {
    let mut queue = queue();
    let mut random = Random::new(1);
    for _ in 0..5 {
        queue.enqueue(NOW, message()).unwrap();
    }
    let mut next = |queue: &mut DeviceQueue| queue.take(NOW, CONSUMER, &mut random).unwrap().token;
    let token = next(&mut queue);
    assert_eq!(queue.complete(NOW, &token), Ok(Outcome::Completed));
    let token = next(&mut queue);
    assert_eq!(queue.reject(NOW, &token), Ok(Outcome::Rejected));
    for count in 1..=10 {
        let token = next(&mut queue);
        let expected =
            if count < 10 { Outcome::Requeued { delivery_count: count } } else { Outcome::DeliveryCountExceeded };
        assert_eq!(queue.abandon(NOW, &token), Ok(expected));
    }
    assert_eq!(queue.purge(NOW), 2);
    use FeedbackStatus::{DeliveryCountExceeded, Purged, Rejected, Success};
    let mut seen = statuses(&mut queue);
    seen.sort();
    assert_eq!(seen, [Success, DeliveryCountExceeded, Rejected, Purged, Purged]);
}

#[test]
fn a_released_consumer_and_an_absent_one_leave_the_count_alone() {
    let mut queue = queue();
    let mut random = Random::new(1);
    queue.enqueue(NOW, message()).unwrap();
    queue.take(NOW, CONSUMER, &mut random).unwrap();
    assert_eq!((queue.locks_of(CONSUMER), queue.release_all(NOW, CONSUMER)), (1, 1));
    queue.take(NOW, CONSUMER, &mut random).unwrap();
    let after_lock = NOW.after(Duration::from_secs(60));
    assert_eq!(queue.take(after_lock, ConsumerId(2), &mut random).unwrap().delivery_count, 0);
}
