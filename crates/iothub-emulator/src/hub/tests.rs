use core::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::*;

mod model;

const NOW: UnixMillis = UnixMillis(1_000_000);

fn id(text: &str) -> DeviceId {
    DeviceId::new(text).unwrap()
}

fn hub_with(settings: Settings, devices: &[&str]) -> Hub {
    let mut hub = Hub::new(settings, Policies::new()).unwrap();
    for device in devices {
        hub.add_device(DeviceSpec::new(id(device), Key::from_octets(b"key").unwrap())).unwrap();
    }
    hub
}

fn hub(devices: &[&str]) -> Hub {
    hub_with(Settings::default(), devices)
}

fn message(message_id: &str) -> CloudToDevice {
    let payload = Bytes::copy_from_slice(message_id.as_bytes());
    CloudToDevice { message_id: Some(message_id.into()), ack: AckMode::Full, expiry: None, size: 1, payload }
}

fn later(seconds: u64) -> UnixMillis {
    NOW.after(Duration::from_secs(seconds))
}

/// Takes and completes all feedback that is closed: (originalMessageId, statusCode, deviceId) of each record.
fn feedback(hub: &mut Hub, now: UnixMillis) -> Vec<(String, String, String)> {
    let consumer = hub.add_consumer();
    let mut seen = Vec::new();
    while let Some(delivery) = hub.take_feedback(now, consumer) {
        let records: Vec<Value> = serde_json::from_slice(&delivery.body).unwrap();
        assert_eq!(records.len(), delivery.records);
        let text = |record: &Value, field: &str| record[field].as_str().unwrap().to_owned();
        seen.extend(
            records.iter().map(|record| {
                (text(record, "originalMessageId"), text(record, "statusCode"), text(record, "deviceId"))
            }),
        );
        hub.complete_feedback(now, &delivery.token).unwrap();
    }
    seen
}

#[test]
fn a_message_goes_out_and_its_feedback_comes_back() {
    let mut hub = hub(&["dev"]);
    let consumer = hub.add_consumer();
    assert!(hub.take_next(NOW, id("dev"), consumer).is_none());
    let to = Hub::destination(Some("/devices/dev/messages/devicebound")).unwrap();
    hub.enqueue(NOW, &to, message("m-1")).unwrap();
    assert_eq!(hub.take_wakes(), [Wake::DeviceQueue(id("dev").into())]);
    let delivery = hub.take_next(NOW, &to, consumer).unwrap();
    assert_eq!(delivery.payload, Bytes::from_static(b"m-1"));
    assert_eq!(hub.complete(NOW, &to, &delivery.token), Ok(Outcome::Completed));
    assert!(hub.take_wakes().is_empty());
    assert_eq!(hub.next_deadline(), Some(later(15)));
    hub.handle_timeout(later(15));
    assert_eq!(hub.take_wakes(), [Wake::Feedback]);
    assert_eq!(feedback(&mut hub, later(15)), [("m-1".into(), "Success".into(), "dev".into())]);
    assert_eq!((hub.queue_depth(&to), hub.feedback_pending(), hub.next_deadline()), (0, (0, 0), None));
}

#[test]
fn the_destination_must_be_a_device_queue() {
    assert_eq!(Hub::destination(Some("/devices/a%40b/messages/deviceBound")), Ok(id("a@b").into()));
    let module = Hub::destination(Some("/devices/a/modules/m%231/messages/devicebound"));
    assert_eq!(module, Ok(IdentityId::of_module(id("a"), "m#1".parse().unwrap())));
    for to in [None, Some(""), Some("/devices/a/messages/events"), Some("/messages/devicebound")] {
        let error = Hub::destination(to).unwrap_err();
        assert_eq!((error.condition(), error), ("com.microsoft:argument-error", EnqueueError::BadDestination));
    }
}

#[test]
fn unknown_and_disabled_devices_are_not_sent_to() {
    let mut hub = hub(&["off"]);
    hub.set_device_enabled(NOW, &id("off"), false);
    assert_eq!(hub.take_wakes(), [Wake::Device(id("off"))]);
    for device in ["off", "nobody"] {
        let error = hub.enqueue(NOW, id(device), message("m")).unwrap_err();
        assert_eq!(error.condition(), "amqp:not-found");
        assert!(error.to_string().starts_with("404001 ErrorCode:DeviceNotFound"), "{error}");
    }
}

#[test]
fn a_token_of_one_device_settles_nothing_of_another() {
    let mut hub = hub(&["a", "b"]);
    let consumer = hub.add_consumer();
    for device in ["a", "b"] {
        hub.enqueue(NOW, id(device), message("m")).unwrap();
    }
    let delivery = hub.take_next(NOW, id("a"), consumer).unwrap();
    assert_eq!(hub.complete(NOW, id("b"), &delivery.token), Err(LockLost));
    assert_eq!(hub.abandon(NOW, id("nobody"), &delivery.token), Err(LockLost));
    assert_eq!(hub.complete(NOW, id("a"), &delivery.token), Ok(Outcome::Completed));
}

#[test]
fn deadlines_of_all_queues_are_served_in_time() {
    let mut hub = hub(&["a", "b", "c"]);
    let consumer = hub.add_consumer();
    hub.enqueue(NOW, id("a"), message("a")).unwrap();
    hub.enqueue(later(1), id("b"), message("b")).unwrap();
    hub.enqueue(later(1), id("c"), CloudToDevice { expiry: Some(later(30)), ..message("c") }).unwrap();
    hub.take_next(later(2), id("a"), consumer).unwrap();
    hub.take_wakes();
    assert_eq!(hub.next_deadline(), Some(later(30)));
    hub.handle_timeout(later(30));
    assert_eq!((hub.queue_depth(id("c")), hub.take_wakes()), (0, vec![]));
    assert_eq!(hub.next_deadline(), Some(later(45)), "the feedback on c");
    hub.handle_timeout(later(45));
    assert_eq!(hub.take_wakes(), [Wake::Feedback]);
    assert_eq!(feedback(&mut hub, later(45)), [("c".into(), "Expired".into(), "c".into())]);
    assert_eq!(hub.next_deadline(), Some(later(62)), "the lock in a");
    hub.handle_timeout(later(62));
    assert_eq!(hub.take_wakes(), [Wake::DeviceQueue(id("a").into())]);
    assert_eq!(hub.next_deadline(), Some(later(3600)));
}

#[test]
fn a_gone_receiver_keeps_its_locks_or_gives_them_back() {
    let mut hub = hub(&["a"]);
    let [first, second] = [(); 2].map(|()| hub.add_consumer());
    hub.enqueue(NOW, id("a"), message("m")).unwrap();
    hub.take_next(NOW, id("a"), first).unwrap();
    hub.take_wakes();
    assert_eq!(hub.leave_device(NOW, id("a"), first, Locks::Keep), 1);
    assert!(hub.take_next(later(59), id("a"), second).is_none());
    assert_eq!(hub.leave_device(later(59), id("a"), first, Locks::Release), 1);
    assert_eq!(hub.take_wakes(), [Wake::DeviceQueue(id("a").into())]);
    assert_eq!(hub.take_next(later(59), id("a"), second).unwrap().delivery_count, 0);
    assert_eq!(hub.leave_device(later(200), id("a"), second, Locks::Keep), 0, "its lock has run out");
}

#[test]
fn a_module_has_a_queue_of_its_own() {
    let mut hub = hub(&["a"]);
    let module = IdentityId::of_module(id("a"), "m".parse().unwrap());
    let error = hub.enqueue(NOW, &module, message("1")).unwrap_err();
    assert_eq!((error.condition(), error), ("amqp:not-found", EnqueueError::ModuleNotFound(id("a"))));
    hub.create_identity(NOW, IdentitySpec::new(&module)).unwrap();
    hub.enqueue(NOW, &module, message("1")).unwrap();
    hub.enqueue(NOW, &module, message("2")).unwrap();
    assert_eq!(hub.take_wakes(), [Wake::DeviceQueue(module.clone())]);
    let consumer = hub.add_consumer();
    assert!(hub.take_next(NOW, id("a"), consumer).is_none());
    let delivery = hub.take_next(NOW, &module, consumer).unwrap();
    assert_eq!(hub.complete(NOW, id("a"), &delivery.token), Err(LockLost));
    assert_eq!(hub.complete(NOW, &module, &delivery.token), Ok(Outcome::Completed));
    let count = |hub: &Hub| hub.identity(&module).unwrap().cloud_to_device_messages();
    assert_eq!((count(&hub), hub.queue_depth(&module), hub.queue_depth(id("a"))), (1, 1, 0));
    assert_eq!((hub.purge(NOW, id("a")), hub.purge(NOW, &module), count(&hub)), (0, 1, 0));
    hub.flush_feedback(NOW);
    let seen = feedback(&mut hub, NOW);
    assert_eq!(seen, [("1".into(), "Success".into(), "a".into()), ("2".into(), "Purged".into(), "a".into())]);
    hub.enqueue(NOW, &module, message("3")).unwrap();
    assert!(hub.remove_device(&id("a")));
    assert_eq!((hub.next_deadline(), hub.queue_depth(&module)), (None, 0), "the queue goes with the device");
}

#[test]
fn purged_messages_are_reported() {
    let mut hub = hub(&["a"]);
    for n in ["1", "2"] {
        hub.enqueue(NOW, id("a"), message(n)).unwrap();
    }
    assert_eq!((hub.purge(NOW, id("a")), hub.purge(NOW, id("a"))), (2, 0));
    hub.flush_feedback(NOW);
    let statuses: Vec<_> = feedback(&mut hub, NOW).into_iter().map(|(message, status, _)| (message, status)).collect();
    assert_eq!(statuses, [("1".into(), "Purged".into()), ("2".into(), "Purged".into())]);
}

#[test]
fn a_removed_device_takes_its_queue_and_its_feedback_along() {
    let mut hub = hub(&["a"]);
    let consumer = hub.add_consumer();
    for n in ["1", "2"] {
        hub.enqueue(NOW, id("a"), message(n)).unwrap();
    }
    let delivery = hub.take_next(NOW, id("a"), consumer).unwrap();
    hub.complete(NOW, id("a"), &delivery.token).unwrap();
    let generation = hub.device(&id("a")).unwrap().generation_id().clone();
    hub.take_wakes();
    assert!(hub.remove_device(&id("a")) && !hub.remove_device(&id("a")));
    assert_eq!(hub.take_wakes(), [Wake::Device(id("a"))]);
    assert_eq!((hub.next_deadline(), hub.feedback_pending()), (None, (0, 0)));
    hub.add_device(DeviceSpec::new(id("a"), Key::from_octets(b"key").unwrap())).unwrap();
    assert!(hub.take_next(NOW, id("a"), consumer).is_none());
    assert_ne!(*hub.device(&id("a")).unwrap().generation_id(), generation);
}

#[test]
fn telemetry_lands_in_the_devices_partition_with_its_origin() {
    let mut hub = hub(&["a"]);
    let number = hub.partition_of(&id("a"));
    let mut cursor = hub.cursor(number, EventPosition::Latest).unwrap();
    let auth: std::sync::Arc<str> = "{}".into();
    for body in ["one", "two"] {
        hub.append(NOW, &id("a"), None, &auth, 3, Bytes::copy_from_slice(body.as_bytes())).unwrap();
    }
    assert_eq!(hub.take_wakes(), [Wake::Partition(number)]);
    let events = hub.read(&mut cursor, 10);
    let seen: Vec<_> = events.iter().map(|event| (event.sequence_number, event.offset, &event.payload[..])).collect();
    assert_eq!(seen, [(0, 0, &b"one"[..]), (1, 3, b"two")]);
    assert_eq!(events[0].origin.device, id("a"));
    assert_eq!(events[0].origin.generation_id, *hub.device(&id("a")).unwrap().generation_id());
    assert!(hub.read(&mut cursor, 10).is_empty());
    assert_eq!(hub.partition_properties(number).unwrap().last_sequence_number, 1);
    assert!(
        hub.cursor(4, EventPosition::Start) == Err(PositionError::NoPartition) && hub.partition_properties(4).is_none()
    );
}

#[test]
fn telemetry_is_refused_by_size_and_by_device() {
    let mut hub = hub(&["a"]);
    let auth: std::sync::Arc<str> = "{}".into();
    let append = |hub: &mut Hub, device, size| {
        hub.append(NOW, &id(device), None, &auth, size, Bytes::new()).map(|_| ()).map_err(|error| error.condition())
    };
    assert_eq!(append(&mut hub, "a", 256 * 1024), Ok(()));
    assert_eq!(append(&mut hub, "a", 256 * 1024 + 1), Err("amqp:link:message-size-exceeded"));
    assert_eq!(append(&mut hub, "nobody", 1), Err("amqp:not-found"));
    hub.set_device_enabled(NOW, &id("a"), false);
    assert_eq!(append(&mut hub, "a", 1), Err("amqp:unauthorized-access"));
}

#[test]
fn the_same_seed_and_calls_give_the_same_tokens() {
    let run = |seed| {
        let mut hub = hub_with(Settings { seed, ..Settings::default() }, &["a"]);
        let consumer = hub.add_consumer();
        hub.enqueue(NOW, id("a"), message("m")).unwrap();
        let token = hub.take_next(NOW, id("a"), consumer).unwrap().token;
        (token, hub.device(&id("a")).unwrap().generation_id().clone())
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
