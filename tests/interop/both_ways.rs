//! rhea and python-qpid-proton, as clients of the example broker and as servers of our client.

use super::{
    LOADS, all_loads,
    artemis::{Running, outcome},
    certificates, read,
};
use amqp1::{Client, tls::TlsClient};
use amqp1_tests::{
    example::ExampleBroker,
    expected::{AtLeast, Judgement},
    peer::{self, Server},
    traffic::{Load, both},
};
use serde_json::{Value, json};

/// What one library brings.
#[derive(Clone, Copy)]
struct Programs {
    client: &'static str,
    server: &'static str,
    outcomes: &'static str,
}

async fn report(command: tokio::process::Command) -> Value {
    let report = peer::run(command).await.unwrap_or_else(|why| panic!("{why}"));
    println!("  {report}");
    report
}

fn port(broker: &ExampleBroker) -> String {
    broker.address().port().to_string()
}

/// Sends and receives a load at the example broker, which is told to take durable messages: rhea's are.
async fn client(file: &'static str, (address, load): (&'static str, Load)) -> u64 {
    let broker = ExampleBroker::start(&["--take-durable"]).await;
    let mut client = peer::program(file);
    client.args(["both", "127.0.0.1", &port(&broker), address, "--sasl", "anonymous", "--json"]);
    client.args(["--count", &load.count.to_string(), "--size", &load.size.to_string()]);
    if load.settled {
        client.arg("--settled");
    }
    let report = report(client).await;
    assert_eq!(report["received"], load.count, "{report}");
    broker.stop().await.expect("a broker that runs to its end");
    load.count
}

async fn client_over_tls(file: &'static str) -> u64 {
    let certificates = certificates();
    let folder = certificates.path();
    let (certificate, key) = (folder.join("server.pem"), folder.join("server.key"));
    let (certificate, key) = (certificate.to_str().expect("text"), key.to_str().expect("text"));
    let login = ["--sasl-plain", "user:secret"];
    let broker = ExampleBroker::start(&[&["--take-durable", "--tls", certificate, key], &login[..]].concat()).await;
    let mut client = peer::program(file);
    client.args(["both", "localhost", &port(&broker), "tls", "--count", "1000", "--json"]);
    client.args(["--sasl", "plain", "--user", "user", "--password", "secret"]).arg("--ca").arg(folder.join("ca.pem"));
    let report = report(client).await;
    assert_eq!(report["received"], 1000, "{report}");
    broker.stop().await.expect("a broker that runs to its end");
    1000
}

/// Each message is settled in its own way; those that are rejected, with info, are dead letters.
async fn outcomes(file: &'static str, mode: &'static str) -> u64 {
    const COUNT: u64 = 60;
    let second = mode == "second";
    let broker = ExampleBroker::start(if second { &["--settle-second"] } else { &[] }).await;
    let mut client = peer::program(file);
    client.args(["127.0.0.1", &port(&broker), "outcomes", "dead-letters", &COUNT.to_string(), mode]);
    let report = report(client).await;
    let received = COUNT + COUNT / 3;
    for (counted, expected) in [
        ("sent", COUNT),
        ("accepted", COUNT),
        ("received", received),
        ("rejected", COUNT / 3),
        ("settled", if second { received } else { 0 }),
    ] {
        assert_eq!(report[counted], expected, "{counted}: {report}");
    }
    broker.stop().await.expect("a broker that runs to its end");
    received
}

/// Our client at their server, plain and then over TLS.
async fn server(file: &'static str) -> u64 {
    let certificates = certificates();
    let folder = certificates.path();
    let mut command = peer::program(file);
    command.arg("--cert").arg(folder.join("server.pem")).arg("--key").arg(folder.join("server.key"));
    command.args(["--tls-port", "0"]);
    let server = Server::start(command).await;
    let url = format!("amqp://127.0.0.1:{}", server.port());
    all_loads(Client::builder(url).connect().await.expect("a connection"), str::to_owned).await;

    let url = format!("amqps://localhost:{}", server.tls_port());
    let tls = TlsClient::with_ca_pem(&read(folder, "ca.pem")).expect("a CA");
    let connection = Client::builder(url).tls(tls).connect().await.expect("a connection over TLS");
    let load = Load { count: 1_000, ..Load::MANY };
    both(&connection, "tls", load).await;
    connection.close().await.expect("a closed connection");
    server.stop().await;
    load.count + LOADS.iter().map(|(_, load)| load.count).sum::<u64>()
}

/// What there is without waiting: more than there is, of an empty queue, and once more.
async fn drained() -> u64 {
    let broker = ExampleBroker::start(&[]).await;
    let mut client = peer::program("proton_drain.py");
    client.args(["127.0.0.1", &port(&broker), "pulled", "--count", "5"]);
    let report = report(client).await;
    assert_eq!((&report["sent"], &report["received"]), (&5.into(), &5.into()), "{report}");
    assert_eq!((&report["empty"], &report["again"]), (&0.into(), &1.into()), "{report}");
    broker.stop().await.expect("a broker that runs to its end");
    6
}

/// Credit and drain in one flow: less than there is, and more.
async fn pulled() -> u64 {
    let broker = ExampleBroker::start(&[]).await;
    let connection = Client::builder(format!("amqp://{}", broker.address())).connect().await.expect("a connection");
    let sender = connection.begin().await.expect("a session").sender("pull").attach().await.expect("a link");
    let bodies: Vec<_> = (0..5).map(|number| format!("message {number}")).collect();
    for body in &bodies {
        sender.send(body.clone()).await.expect("an outcome").into_result().expect("accepted");
    }
    connection.close().await.expect("a closed connection");
    let mut client = peer::program("proton_pull.py");
    client.args(["127.0.0.1", &port(&broker), "pull", "1", "1", "10", "3"]);
    let report = report(client).await;
    assert_eq!((&report["pulled"], &report["bodies"]), (&json!([1, 1, 3, 0]), &json!(bodies)), "{report}");
    broker.stop().await.expect("a broker that runs to its end");
    5
}

/// Transactions that are committed, aborted, or left with their connection.
async fn transactions() -> u64 {
    let broker = ExampleBroker::start(&[]).await;
    let mut client = peer::program("proton_transactions.py");
    client.args(["127.0.0.1", &port(&broker)]);
    let report = report(client).await;
    let ends = [("commit", "committed"), ("abort", "aborted"), ("leave", "left")];
    for (end, said) in ends {
        let posted = if end == "commit" { json!(["m0", "m1", "m2"]) } else { json!([]) };
        let case = &report["cases"][format!("post, {end}")];
        assert_eq!((&case["log"], &case["left"]), (&json!([said]), &posted), "post, {end}: {report}");
        for taken in ["take", "take settled"] {
            let rest = if end == "commit" { json!(["m2"]) } else { json!(["m0", "m1", "m2"]) };
            let case = &report["cases"][format!("{taken}, {end}")];
            assert_eq!(
                (&case["log"], &case["got"]),
                (&json!([said]), &json!(["m0", "m1"])),
                "{taken}, {end}: {report}"
            );
            assert_eq!(case["left"], rest, "{taken}, {end}: {report}");
        }
    }
    assert_eq!(report["cases"]["post large, commit"]["left"], json!(["m0", "m1"]), "{report}");
    broker.stop().await.expect("a broker that runs to its end");
    3 + 2 + 6 * 3
}

async fn run(judgement: &mut Judgement, case: &str, running: impl FnOnce() -> Running) {
    if judgement.wants(case) {
        judgement.record(case, outcome(running()).await);
    }
}

async fn both_ways(judge: &'static str, programs: Programs) -> Judgement {
    let Programs { client: file, server: server_file, outcomes: outcomes_file } = programs;
    let mut judgement = Judgement::new(judge);
    let of = &mut judgement;
    for (case, load) in ["client: 10,000 messages", "client: settled", "client: 10 MiB"].into_iter().zip(LOADS) {
        run(of, case, || Box::pin(client(file, load))).await;
    }
    run(of, "client: TLS and PLAIN", || Box::pin(client_over_tls(file))).await;
    run(of, "client: outcomes, mode first", || Box::pin(outcomes(outcomes_file, "first"))).await;
    run(of, "client: outcomes, mode second", || Box::pin(outcomes(outcomes_file, "second"))).await;
    run(of, "server", || Box::pin(server(server_file))).await;
    judgement
}

#[tokio::test(flavor = "multi_thread")]
async fn rhea_both_ways() {
    let programs = Programs { client: "rhea_client.js", server: "rhea_server.js", outcomes: "rhea_outcomes.js" };
    both_ways("rhea", programs).await.check(AtLeast { cases: 7, messages: 26_000 });
}

#[tokio::test(flavor = "multi_thread")]
async fn python_qpid_proton_both_ways() {
    let programs = Programs { client: "proton_client.py", server: "proton_server.py", outcomes: "proton_outcomes.py" };
    let mut judgement = both_ways("python-qpid-proton", programs).await;
    run(&mut judgement, "client: drains", || Box::pin(drained())).await;
    run(&mut judgement, "client: pulls", || Box::pin(pulled())).await;
    run(&mut judgement, "client: transactions", || Box::pin(transactions())).await;
    judgement.check(AtLeast { cases: 10, messages: 26_000 });
}
