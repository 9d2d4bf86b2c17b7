//! The examples `worker`, `service`, `caller` and `copy` as programs, with the example `broker`.
#![cfg(unix)]
#![allow(missing_docs)]

#[path = "support/programs.rs"]
mod programs;
mod support;

use amqp1::{Client, message::EncodedMessage};
use bytes::Bytes;
use programs::{Running, bounded, program};
use serde_json::{Value, json};
use std::process::{Command, Output};

/// A broker, and its URL.
fn broker(arguments: &[&str]) -> (Running, String) {
    let mut broker = Running::start("broker", &[&["127.0.0.1:0"], arguments].concat());
    let line = broker.line();
    let address = line.strip_prefix("listening on ").expect("where it listens");
    let url = format!("amqp://{address}");
    (broker, url)
}

/// Ends a broker. Returns how many messages it has then.
fn left(broker: Running) -> u64 {
    broker.interrupt();
    let (code, _, told) = broker.end();
    assert_eq!(code, Some(0), "{told}");
    let line = told.lines().last().unwrap_or_default();
    let count = line.strip_prefix("broker: ended with ").and_then(|line| line.split(' ').next());
    count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{told}"))
}

fn run(name: &str, arguments: &[&str]) -> Output {
    Command::new(program(name)).args(arguments).output().expect("it runs")
}

fn send(url: &str, queue: &str, arguments: &[&str]) {
    programs::check_success(&run("send", &[&[url, queue], arguments].concat()));
}

/// Sends a message as it is.
fn put(url: &str, queue: &str, octets: &'static [u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let connection = Client::builder(url).connect().await.expect("a connection");
        let sender = connection.begin().await.expect("a session").sender(queue).attach().await.expect("a link");
        let message = EncodedMessage::from_parts([Bytes::from_static(octets)]);
        sender.send(message).await.expect("sent").into_result().expect("accepted");
        connection.close().await.expect("closed");
    });
}

/// Takes messages that are there: of each its octets, in hexadecimal digits, without the header, which the broker
/// writes.
fn take(url: &str, queue: &str, count: usize) -> Vec<String> {
    let output = run("receive", &[url, queue, "--count", &count.to_string()]);
    programs::check_success(&output);
    let payload = |line: Value| line["payload"].as_str().expect("octets").to_owned();
    programs::lines(&output).into_iter().map(payload).map(|octets| bare(&octets).to_owned()).collect()
}

/// Without the header (0x70) and annotations (0x72), which are lists and maps of one octet of size here.
fn bare(octets: &str) -> &str {
    let size = |octets: &str| usize::from_str_radix(octets.get(8..10).expect("a size"), 16).expect("a size");
    match octets.get(..8) {
        Some("005370c0" | "005371c1" | "005372c1") => bare(octets.get(10 + 2 * size(octets)..).expect("a section")),
        _ => octets,
    }
}

#[test]
fn a_worker_settles_each_job_by_how_it_ended() {
    bounded(|| {
        let (broker, url) = broker(&[]);
        for job in ["0", "words", "600"] {
            send(&url, "jobs", &["--body", job]);
        }
        let mut worker = Running::start("worker", &[&url, "jobs", "--jobs", "1", "--limit", "0.01", "--attempts", "2"]);
        let state = |job: &str, state: &str| json!({ "job": job, "state": state });
        let rejected = |job: &str, why: &str| json!({ "job": job, "state": "rejected", "error": why });
        for line in [
            state("0", "begun"),
            state("0", "accepted"),
            rejected("words", "a job is a number of seconds"),
            state("600", "begun"),
            state("600", "modified"),
            // The broker has counted the attempt.
            state("600", "begun"),
            rejected("600", "the job failed too often"),
        ] {
            assert_eq!(worker.json(), line);
        }
        worker.interrupt();
        assert_eq!(worker.end(), (Some(0), String::new(), String::new()));
        assert_eq!(take(&url, "dead-letters", 2), ["005375a005776f726473", "005375a003363030"]);
        assert_eq!(left(broker), 0);
    });
}

#[test]
fn a_worker_begins_as_many_jobs_as_it_may_and_gives_back_what_is_not_done() {
    bounded(|| {
        let (broker, url) = broker(&[]);
        send(&url, "jobs", &["--body", "600", "--count", "5"]);
        let mut worker = Running::start("worker", &[&url, "jobs", "--jobs", "2", "--grace", "0"]);
        for _ in 0..2 {
            assert_eq!(worker.json(), json!({ "job": "600", "state": "begun" }));
        }
        worker.interrupt();
        let (code, output, errors) = worker.end();
        let released = format!("{}\n", json!({ "job": "600", "state": "released" }));
        assert_eq!((code, output, errors.as_str()), (Some(0), released.repeat(2), ""));
        assert_eq!(left(broker), 5);
    });
}

#[test]
fn a_service_answers_its_callers_also_with_errors_and_a_caller_does_not_wait_forever() {
    bounded(|| {
        let (broker, url) = broker(&[]);
        let mut service = Running::start("service", &[&url, "prices"]);
        assert_eq!(service.line(), "ready");
        for reply_to in [&[][..], &["--reply-to", "answers"]] {
            let output = run("caller", &[&[url.as_str(), "prices", "tea", "gold", "milk"], reply_to].concat());
            programs::check_success(&output);
            let refused = json!({ "error": "not-found", "text": "no such item" });
            let expected = [
                json!({ "item": "tea", "price": "4.50" }),
                json!({ "item": "gold", "refused": refused }),
                json!({ "item": "milk", "price": "1.20" }),
            ];
            assert_eq!(programs::lines(&output), expected);
        }
        // It does not say where its answer goes.
        send(&url, "prices", &["--body", "tea"]);
        assert_eq!(take(&url, "dead-letters", 1), ["005375a003746561"]);
        service.interrupt();
        assert_eq!(service.end(), (Some(0), String::new(), String::new()));

        // The broker has the request, and no service takes it.
        let output = run("caller", &[&url, "prices", "tea", "--timeout", "0.5"]);
        assert_eq!(programs::sentence(&output, 1), "caller: 1 of 1 requests were not answered");
        let lines = programs::lines(&output);
        assert_eq!((lines.len(), &lines[0]["item"]), (1, &json!("tea")));
        assert!(lines[0]["error"].as_str().is_some_and(|error| error.contains("500ms")), "{lines:?}");
        drop(broker);
    });
}

#[test]
fn messages_are_copied_octet_for_octet_and_leave_the_first_broker() {
    bounded(|| {
        let ((one, from), (two, to)) = (broker(&[]), broker(&[]));
        // A subject in properties with a size of four octets, and data with one as well: nothing here would write it
        // so.
        put(&from, "q", b"\0\x53\x73\xd0\0\0\0\x0a\0\0\0\x04\x40\x40\x40\xa1\x01x\0\x53\x75\xb0\0\0\0\x03abc");
        send(&from, "q", &["--body", "hello"]);
        send(&from, "q", &["--size", "5000000"]);
        send(&from, "q", &["--body", "stays"]);
        let output = run("copy", &[&from, "q", &to, "copies", "--count", "3", "--window", "3"]);
        programs::check_success(&output);
        assert_eq!(programs::lines(&output), vec![json!({ "outcome": "accepted" }); 3]);
        let large = format!("005375b0{:08x}{}", 5_000_000, "78".repeat(5_000_000));
        let copies = take(&to, "copies", 3);
        assert!(
            copies == ["005373d00000000a00000004404040a10178005375b000000003616263", "005375a00568656c6c6f", &large]
        );
        assert_eq!((left(one), left(two)), (1, 0));
    });
}

#[test]
fn a_message_that_the_second_broker_does_not_take_is_settled_by_its_outcome() {
    bounded(|| {
        let ((one, from), (two, to)) = (broker(&[]), broker(&["--max-message-size", "1000"]));
        send(&from, "q", &["--size", "100000"]);
        send(&from, "q", &["--body", "hello"]);
        let output = run("copy", &[&from, "q", &to, "q", "--count", "2"]);
        programs::check_success(&output);
        let lines = programs::lines(&output);
        assert_eq!((lines.len(), &lines[0]["outcome"], &lines[1]["outcome"]), (2, &Value::Null, &json!("accepted")));
        assert_eq!(take(&from, "dead-letters", 1).len(), 1);
        assert_eq!(take(&to, "q", 1), ["005375a00568656c6c6f"]);
        assert_eq!((left(one), left(two)), (0, 0));
    });
}

#[test]
fn messages_are_not_lost_when_the_second_broker_ends() {
    bounded(|| {
        let ((one, from), (two, to)) = (broker(&[]), broker(&["--depth", "1"]));
        send(&from, "q", &["--count", "3"]);
        let mut copy = Running::start("copy", &[&from, "q", &to, "q"]);
        assert_eq!(copy.json(), json!({ "outcome": "accepted" }));
        // The queue is full: the second message waits for credit.
        assert_eq!(left(two), 1);
        let (code, output, errors) = copy.end();
        assert_eq!((code, output.as_str()), (Some(1), ""), "{errors}");
        assert!(errors.starts_with("copy: ") && errors.lines().count() == 1, "{errors}");
        assert_eq!(left(one), 2);
    });
}

#[test]
fn a_copy_ends_in_order_when_it_is_interrupted() {
    bounded(|| {
        let ((one, from), (two, to)) = (broker(&[]), broker(&["--depth", "1"]));
        send(&from, "q", &["--count", "3"]);
        let mut copy = Running::start("copy", &[&from, "q", &to, "q"]);
        assert_eq!(copy.json(), json!({ "outcome": "accepted" }));
        copy.interrupt();
        assert_eq!(copy.end(), (Some(0), String::new(), String::new()));
        assert_eq!((left(one), left(two)), (2, 1));
    });
}
