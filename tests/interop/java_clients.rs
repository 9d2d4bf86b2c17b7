//! Java clients with our broker, and with Artemis: what differs between the two is looked into.

use super::artemis::Broker as Artemis;
use amqp1_tests::{
    example::ExampleBroker,
    expected::{AtLeast, Judgement},
    peer,
};
use serde_json::Value;
use std::{path::Path, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::Command,
    time::timeout,
};

/// How long a program may take for all of its cases.
const LIMIT: Duration = Duration::from_secs(120);

const JMS: AtLeast = AtLeast { cases: 24, messages: 20_000 };
const PROTON: AtLeast = AtLeast { cases: 10, messages: 10_000 };

/// Runs a program to its end and records its cases. `kill` is called when it wants its broker to be killed.
async fn run(judgement: &mut Judgement, class: &str, arguments: &[String], kill: impl AsyncFnOnce()) {
    let mut command: Command = peer::java("clients", class);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the packages that tests/interop/setup.sh installs");
    let mut input = child.stdin.take().expect("a piped input");
    let mut lines = BufReader::new(child.stdout.take().expect("a piped output")).lines();
    let mut kill = Some(kill);
    let running = async {
        while let Some(line) = lines.next_line().await.expect("a readable output") {
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
            if line["event"] == "kill" {
                kill.take().expect("once")().await;
                input.write_all(b"\n").await.expect("an input");
                continue;
            }
            let case = line["case"].as_str().expect("a case");
            let result = match line["failure"].as_str() {
                Some(failure) => Err(failure.to_owned()),
                None => Ok(line["messages"].as_u64().expect("a number")),
            };
            println!("  {case}: {result:?}");
            if judgement.wants(case) {
                judgement.record(case, result);
            }
        }
    };
    // What was not run is missing among the results.
    if timeout(LIMIT, running).await.is_err() {
        println!("  {class} did not end within {LIMIT:?}");
    }
}

async fn never() {
    panic!("no broker is to be killed");
}

/// A file in which Java finds the CA of a folder that certs.sh has made.
pub(super) fn trust_store(folder: &Path) -> String {
    let store = folder.join("ca.p12");
    let mut keytool = std::process::Command::new("keytool");
    keytool.args(["-importcert", "-noprompt", "-alias", "ca", "-storetype", "PKCS12", "-storepass", "secret"]);
    keytool.arg("-file").arg(folder.join("ca.pem")).arg("-keystore").arg(&store);
    let made = keytool.output().expect("keytool");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
    store.to_str().expect("text").to_owned()
}

fn port(broker: &ExampleBroker) -> String {
    broker.address().port().to_string()
}

async fn with_our_broker(judge: &'static str, class: &str, failover: &str, least: AtLeast) {
    let options = ["--take-durable"];
    let broker = ExampleBroker::start(&options).await;
    let certificates = super::certificates();
    let [certificate, key] = ["server.pem", "server.key"].map(|file| certificates.path().join(file));
    let tls = ["--tls", certificate.to_str().expect("text"), key.to_str().expect("text")];
    let logins = ["--take-durable", "--sasl-plain", "guest:guest", tls[0], tls[1], tls[2]];
    let logins = ExampleBroker::start(&logins).await;
    let mut judgement = Judgement::new(judge);
    let arguments = [port(&broker), port(&logins), trust_store(certificates.path())];
    run(&mut judgement, class, &arguments, never).await;
    let (first, second) = (ExampleBroker::start(&options).await, ExampleBroker::start(&options).await);
    let arguments = [failover.to_owned(), port(&first), port(&second)];
    run(&mut judgement, "Failover", &arguments, async move || drop(first)).await;
    judgement.check(least);
    for broker in [broker, logins, second] {
        broker.stop().await.unwrap_or_else(|why| panic!("{why}"));
    }
}

async fn with_artemis(judge: &'static str, class: &str, failover: &str, least: AtLeast) {
    let (first, second) = tokio::join!(Artemis::start(), Artemis::start());
    let ports = [first.port().to_string(), second.port().to_string()];
    let mut judgement = Judgement::new(judge);
    let (tls, store) = (first.tls_port().to_string(), trust_store(first.certificates()));
    let late = [ports[0].clone(), tls, store, "late".to_owned()];
    run(&mut judgement, class, &late, never).await;
    let arguments = [failover.to_owned(), ports[0].clone(), ports[1].clone()];
    run(&mut judgement, "Failover", &arguments, async move || drop(first.kill().await)).await;
    judgement.check(least);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn qpid_jms_with_our_broker() {
    with_our_broker("qpid-jms", "Jms", "jms", JMS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn qpid_jms_with_artemis() {
    with_artemis("qpid-jms on artemis", "Jms", "jms", JMS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn protonj2_with_our_broker() {
    with_our_broker("protonj2", "Proton", "proton", PROTON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn protonj2_with_artemis() {
    with_artemis("protonj2 on artemis", "Proton", "proton", PROTON).await;
}
