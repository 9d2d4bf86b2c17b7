//! go-amqp at the example broker: its own integration tests, unmodified, and programs of ours on it.

use super::certificates;
use amqp1_tests::{
    example::ExampleBroker,
    expected::{AtLeast, Judgement},
    peer,
    relay::Relay,
};
use std::{collections::BTreeMap, path::Path, process::Stdio, time::Duration};
use tokio::{process::Command, time::timeout};

/// How often each test of the suite runs.
const ROUNDS: u64 = 3;

/// What a case has moved so far, or why it failed.
type Results = BTreeMap<String, Result<u64, String>>;

fn add(results: &mut Results, case: &str, result: Result<u64, String>) {
    let sum = results.entry(case.to_owned()).or_insert(Ok(0));
    *sum = match (std::mem::replace(sum, Ok(0)), result) {
        (Ok(before), Ok(moved)) => Ok(before + moved),
        (Err(why), _) | (_, Err(why)) => Err(why),
    };
}

/// The names of the suite's integration tests.
fn suite() -> Vec<String> {
    let list = peer::built("go/go-amqp.tests");
    let names = std::fs::read_to_string(&list).expect("the list that tests/interop/setup.sh makes");
    names.lines().map(str::to_owned).collect()
}

/// Runs one test of the suite, built with the race detector.
async fn suite_test(name: &str, url: &str, ca: Option<&Path>) -> Result<(), String> {
    let mut test = Command::new(peer::built("go/go-amqp.test"));
    test.args(["-test.v", "-test.count=1", "-test.timeout=60s", "-test.run", &format!("^{name}$")]);
    test.env("AMQP_BROKER_ADDR", url).stdin(Stdio::null()).kill_on_drop(true);
    if let Some(ca) = ca {
        test.env("SSL_CERT_FILE", ca);
    }
    let output = timeout(Duration::from_secs(90), test.output()).await.map_err(|_| "it did not end".to_owned())?;
    let output = output.map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() && text.lines().any(|line| line.starts_with(&format!("--- PASS: {name} "))) {
        return Ok(());
    }
    Err(format!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// One broker for all tests.
async fn suite_at_one_broker() -> Judgement {
    let mut judgement = Judgement::new("go-amqp suite, one broker");
    let broker = ExampleBroker::start(&["--settle-second"]).await;
    let relay = Relay::start(broker.address()).await;
    let url = format!("amqp://{}", relay.address());
    let mut results = Results::new();
    for _ in 0..ROUNDS {
        for name in suite().iter().filter(|name| judgement.wants(name)) {
            let before = relay.transfers();
            let result = suite_test(name, &url, None).await;
            let result = result.map_err(|why| format!("{why}{}", broker.printed()));
            add(&mut results, name, result.map(|()| relay.transfers() - before));
        }
    }
    record(&mut judgement, results);
    broker.stop().await.expect("a broker that runs to its end");
    judgement
}

/// A fresh broker for each test.
async fn suite_at_fresh_brokers() -> Judgement {
    let mut judgement = Judgement::new("go-amqp suite, fresh brokers");
    let mut results = Results::new();
    for _ in 0..ROUNDS {
        for name in suite().iter().filter(|name| judgement.wants(name)) {
            let broker = ExampleBroker::start(&["--settle-second"]).await;
            let relay = Relay::start(broker.address()).await;
            let result = suite_test(name, &format!("amqp://{}", relay.address()), None).await;
            let result = result.map_err(|why| format!("{why}{}", broker.printed()));
            let ended = broker.stop().await;
            add(&mut results, name, result.and(ended).map(|_| relay.transfers()));
        }
    }
    record(&mut judgement, results);
    judgement
}

/// One broker for all tests, which speaks TLS. What is left of one test's 5,000 messages, which nothing takes, counts as
/// moved.
async fn suite_over_tls() -> Judgement {
    const SENDS: &str = "TestMultipleSendersSharedSession";
    let mut judgement = Judgement::new("go-amqp suite, TLS");
    let certificates = certificates();
    let folder = certificates.path();
    let (certificate, key) = (folder.join("server.pem"), folder.join("server.key"));
    let (certificate, key) = (certificate.to_str().expect("text"), key.to_str().expect("text"));
    let broker = ExampleBroker::start(&["--settle-second", "--tls", certificate, key]).await;
    let url = format!("amqps://localhost:{}", broker.address().port());
    let mut results = Results::new();
    for name in suite().iter().filter(|name| judgement.wants(name)) {
        let result = suite_test(name, &url, Some(&folder.join("ca.pem"))).await;
        add(&mut results, name, result.map(|()| 0).map_err(|why| format!("{why}{}", broker.printed())));
    }
    let left = broker.stop().await.expect("a broker that runs to its end");
    if judgement.wants(SENDS) {
        add(&mut results, SENDS, Ok(left));
    }
    record(&mut judgement, results);
    judgement
}

fn record(judgement: &mut Judgement, results: Results) {
    for (case, result) in results {
        judgement.record(case, result);
    }
}

/// The programs, with the arguments of theirs and of the broker that differ from the others'.
const PROGRAMS: [(&str, &[&str], &[&str]); 21] = [
    ("batches", &[], &[]),
    ("browse", &[], &[]),
    ("cut-short", &[], &[]),
    ("drain", &[], &[]),
    ("durable-refused", &[], &[]),
    ("durable-taken", &[], &["--take-durable"]),
    ("dynamic", &[], &[]),
    ("expired", &[], &[]),
    ("given-up", &[], &[]),
    ("isolated", &[], &[]),
    ("large", &[], &[]),
    ("links", &[], &[]),
    ("login", &["user", "secret"], &["--sasl-plain", "user:secret"]),
    ("many", &[], &[]),
    ("max-size", &[], &[]),
    ("modified", &[], &[]),
    ("reject", &["dead-letters"], &[]),
    ("reject-second", &["dead-letters"], &["--settle-second"]),
    ("resets", &[], &[]),
    ("selector", &[], &[]),
    ("settled", &[], &[]),
];

/// Runs a program to its end and returns how many messages arrived.
async fn program(case: &str, arguments: &[&str], broker: &[&str], folder: &Path) -> Result<u64, String> {
    let (certificate, key) = (folder.join("server.pem"), folder.join("server.key"));
    let mut all = vec!["--tls", certificate.to_str().expect("text"), key.to_str().expect("text")];
    all.extend(broker);
    let broker = ExampleBroker::start(&all).await;
    let mut command = peer::program("go/programs");
    command.arg(case).arg(format!("amqps://localhost:{}", broker.address().port())).args(arguments);
    command.env("SSL_CERT_FILE", folder.join("ca.pem"));
    let report = peer::run(command).await.map_err(|why| format!("{why}{}", broker.printed()))?;
    println!("  go-amqp {case}: {report}");
    broker.stop().await?;
    report["received"].as_u64().filter(|received| *received > 0).ok_or_else(|| format!("nothing received: {report}"))
}

/// Each program at a broker of its own, over TLS.
async fn programs() -> Judgement {
    let mut judgement = Judgement::new("programs on go-amqp");
    let certificates = certificates();
    let folder = certificates.path();
    for (case, arguments, broker) in PROGRAMS {
        if judgement.wants(case) {
            judgement.record(case, program(case, arguments, broker, folder).await);
        }
    }
    judgement
}

/// Work of 70 s on each of three messages, beside everything else.
async fn long_work() -> Judgement {
    let mut judgement = Judgement::new("long work on go-amqp");
    let certificates = certificates();
    if judgement.wants("long-work") {
        judgement.record("long-work", program("long-work", &["70"], &[], certificates.path()).await);
    }
    judgement
}

/// All at the same time, since most of them wait most of the time.
#[tokio::test(flavor = "multi_thread")]
async fn go_amqp_with_the_example_broker() {
    let fresh = async { (suite_at_fresh_brokers().await, suite_over_tls().await) };
    let (one, (fresh, tls), programs, long) = tokio::join!(suite_at_one_broker(), fresh, programs(), long_work());
    one.check(AtLeast { cases: 17, messages: 27_000 });
    fresh.check(AtLeast { cases: 17, messages: 27_000 });
    tls.check(AtLeast { cases: 17, messages: 5_000 });
    programs.check(AtLeast { cases: 21, messages: 20_000 });
    long.check(AtLeast { cases: 1, messages: 3 });
}
