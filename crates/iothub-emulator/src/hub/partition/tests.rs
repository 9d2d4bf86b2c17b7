use super::*;

fn origin() -> EventOrigin {
    let device = DeviceId::new("dev").unwrap();
    EventOrigin { device, module: None, auth_method: "{}".into(), generation_id: "1".into(), notice: None }
}

fn partition(max_messages: usize, max_octets: usize) -> Partition {
    Partition::new(2, &TelemetrySettings { max_messages, max_octets, ..TelemetrySettings::default() })
}

/// Five events of 10 octets at 100, 200, … ms.
fn five() -> Partition {
    let mut partition = partition(100, 10_000);
    for at in 1..=5 {
        partition.append(UnixMillis(at * 100), origin(), Bytes::from(vec![0; 10]));
    }
    partition
}

fn numbers(partition: &Partition, position: EventPosition) -> Vec<i64> {
    let mut cursor = partition.cursor(position).unwrap();
    partition.read(&mut cursor, 100).iter().map(|event| event.sequence_number).collect()
}

#[test]
fn events_get_growing_numbers_offsets_and_times() {
    let mut partition = partition(100, 10_000);
    let first = partition.append(UnixMillis(500), origin(), Bytes::from_static(b"abc"));
    let second = partition.append(UnixMillis(400), origin(), Bytes::new());
    let third = partition.append(UnixMillis(600), origin(), Bytes::new());
    assert_eq!((first.partition, first.sequence_number, first.offset, first.enqueued), (2, 0, 0, UnixMillis(500)));
    assert_eq!((second.sequence_number, second.offset, second.enqueued), (1, 3, UnixMillis(500)));
    assert_eq!((third.sequence_number, third.offset), (2, 4));
}

#[test]
fn reading_begins_where_the_position_says() {
    let p = five();
    let offset = |offset, inclusive| EventPosition::Offset { offset, inclusive };
    let number = |number, inclusive| EventPosition::SequenceNumber { number, inclusive };
    for (position, expected) in [
        (EventPosition::Start, vec![0, 1, 2, 3, 4]),
        (EventPosition::Latest, vec![]),
        (offset(20, false), vec![3, 4]),
        (offset(20, true), vec![2, 3, 4]),
        (offset(15, true), vec![2, 3, 4]),
        (offset(40, false), vec![]),
        (number(3, false), vec![4]),
        (number(3, true), vec![3, 4]),
        (number(-1, false), vec![0, 1, 2, 3, 4]),
        (EventPosition::EnqueuedTime(UnixMillis(299)), vec![2, 3, 4]),
        (EventPosition::EnqueuedTime(UnixMillis(300)), vec![3, 4]),
        (EventPosition::EnqueuedTime(UnixMillis(500)), vec![]),
    ] {
        assert_eq!(numbers(&p, position), expected, "{position:?}");
    }
}

#[test]
fn a_cursor_goes_on_where_it_stopped() {
    let mut p = five();
    let mut cursor = p.cursor(EventPosition::Offset { offset: 0, inclusive: false }).unwrap();
    let mut next = |p: &Partition| p.read(&mut cursor, 2).iter().map(|e| e.sequence_number).collect::<Vec<_>>();
    assert_eq!((next(&p), next(&p), next(&p)), (vec![1, 2], vec![3, 4], vec![]));
    p.append(UnixMillis(600), origin(), Bytes::new());
    assert_eq!(next(&p), [5]);
}

#[test]
fn latest_sees_what_comes_after_the_cursor_was_made() {
    let mut p = five();
    let mut cursor = p.cursor(EventPosition::Latest).unwrap();
    p.append(UnixMillis(600), origin(), Bytes::new());
    p.append(UnixMillis(600), origin(), Bytes::new());
    assert_eq!(p.read(&mut cursor, 1)[0].sequence_number, 5);
}

#[test]
fn a_time_ahead_of_the_log_is_waited_for() {
    let mut p = five();
    let mut by_time = p.cursor(EventPosition::EnqueuedTime(UnixMillis(650))).unwrap();
    p.append(UnixMillis(600), origin(), Bytes::new());
    assert!(p.read(&mut by_time, 9).is_empty());
    p.append(UnixMillis(700), origin(), Bytes::new());
    assert_eq!(p.read(&mut by_time, 9)[0].sequence_number, 6);
}

#[test]
fn a_position_beyond_the_end_is_refused_in_the_words_of_the_service() {
    let (empty, used) = (partition(9, 99), five());
    for inclusive in [false, true] {
        let offset = |offset| EventPosition::Offset { offset, inclusive };
        let number = |number| EventPosition::SequenceNumber { number, inclusive };
        for (partition, position, text) in [
            (&empty, offset(0), "The supplied offset '0' is invalid. The last offset in the system is '-1'"),
            (
                &empty,
                number(0),
                "The supplied sequence number '0' is invalid. The last sequence number in the system is '-1'",
            ),
            (&used, offset(41), "The supplied offset '41' is invalid. The last offset in the system is '40'"),
            (
                &used,
                number(5),
                "The supplied sequence number '5' is invalid. The last sequence number in the system is '4'",
            ),
        ] {
            let error = partition.cursor(position).unwrap_err();
            assert_eq!((error.condition(), &*error.to_string()), ("com.microsoft:argument-error", text));
        }
        for (partition, position) in [
            (&empty, number(-1)),
            (&empty, EventPosition::Start),
            (&empty, EventPosition::Latest),
            (&used, offset(40)),
            (&used, number(4)),
            (&used, EventPosition::Latest),
        ] {
            assert!(partition.cursor(position).is_ok(), "{position:?}");
        }
    }
}

#[test]
fn the_oldest_events_are_dropped_beyond_the_number_kept() {
    let mut p = partition(3, 10_000);
    let mut cursor = p.cursor(EventPosition::Start).unwrap();
    for _ in 0..5 {
        p.append(UnixMillis(1), origin(), Bytes::from_static(b"x"));
    }
    assert_eq!(p.properties().begin_sequence_number, 2);
    let seen: Vec<_> = p.read(&mut cursor, 9).iter().map(|e| e.sequence_number).collect();
    assert_eq!(seen, [2, 3, 4]);
}

#[test]
fn the_oldest_events_are_dropped_beyond_the_octets_kept_but_never_the_newest() {
    let mut p = partition(100, 25);
    for _ in 0..3 {
        p.append(UnixMillis(1), origin(), Bytes::from(vec![0; 10]));
    }
    assert_eq!(numbers(&p, EventPosition::Start), [1, 2]);
    p.append(UnixMillis(1), origin(), Bytes::from(vec![0; 100]));
    assert_eq!(numbers(&p, EventPosition::Start), [3]);
    // What fits exactly is kept, however many came before.
    let mut p = partition(100, 20);
    for count in 1..=30 {
        p.append(UnixMillis(1), origin(), Bytes::from(vec![0; 10]));
        assert_eq!(numbers(&p, EventPosition::Start).len(), count.min(2));
    }
}

#[test]
fn properties_tell_an_empty_partition_from_a_used_one() {
    let empty = partition(9, 99).properties();
    assert_eq!((empty.begin_sequence_number, empty.last_sequence_number, empty.is_empty), (0, -1, true));
    assert_eq!((&*empty.last_offset, empty.last_enqueued), ("-1", None));
    let used = five().properties();
    assert_eq!((used.begin_sequence_number, used.last_sequence_number, used.is_empty), (0, 4, false));
    assert_eq!((&*used.last_offset, used.last_enqueued), ("40", Some(UnixMillis(500))));
}

#[test]
fn a_device_stays_in_its_partition_and_devices_spread() {
    let id = |n: u32| DeviceId::new(&format!("device-{n}")).unwrap();
    // Fixed figures: a change here would move the devices of a hub that is running on.
    let first: Vec<u32> = (0..8).map(|n| partition_of(&id(n), 4)).collect();
    assert_eq!(first, FIRST_EIGHT);
    let mut counts = [0_u32; 4];
    for n in 0..4000 {
        counts[partition_of(&id(n), 4) as usize] += 1;
    }
    assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    assert_eq!(partition_of(&id(1), 1), 0);
}

const FIRST_EIGHT: [u32; 8] = [2, 3, 0, 0, 0, 3, 1, 0];
