//! Two processes that share the partitions of a hub, of which one is killed.

use crate::support::{hub, send, soon};
use iothub::{
    EventConsumer, EventProcessor,
    processor::{FileCheckpointStore, Strategy},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::mpsc,
};

const FOLDER: &str = "PROCESSOR_TEST_FOLDER";
const STRING: &str = "PROCESSOR_TEST_STRING";
const CA: &str = "PROCESSOR_TEST_CA";
const DEVICES: usize = 12;

/// What the processes run: an ordinary test that has nothing to do when it is run as one.
#[tokio::test]
async fn worker() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let variable = |name| std::env::var(name).expect("set beside the folder");
    let consumer = EventConsumer::builder().connection_string(&variable(STRING)).expect("a connection string");
    let consumer = consumer.ca_pem(variable(CA)).expect("a certificate");
    let mut processor = EventProcessor::builder(consumer, FileCheckpointStore::new(folder))
        .interval(Duration::from_millis(200))
        .expiration(Duration::from_secs(2))
        .strategy(Strategy::Greedy)
        .start()
        .await
        .expect("started");
    loop {
        // An error is tried again by the processor itself.
        let Ok(next) = processor.next_partition().await else { continue };
        let mut partition = next.expect("nobody closes it");
        tokio::spawn(async move {
            let mut processed = 0;
            while let Ok(Some(Ok(event))) = partition.next().await {
                // This is the processing; a line is written at once.
                let text = String::from_utf8_lossy(event.body());
                println!(
                    "{}",
                    json!({"partition": event.partition_id(), "number": event.sequence_number(), "text": text})
                );
                processed += 1;
                // Not after every event, so that some are processed again.
                if processed % 3 == 0 {
                    partition.checkpoint(&event).await.ok();
                }
            }
        });
    }
}

struct Worker {
    child: Child,
}

fn start(name: usize, folder: &str, string: &str, ca: &str, tell: &mpsc::UnboundedSender<(usize, Value)>) -> Worker {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "processes::worker", "--nocapture", "--test-threads", "1"])
        .env(FOLDER, folder)
        .env(STRING, string)
        .env(CA, ca)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the test runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a piped output")).lines();
    let tell = tell.clone();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            // The test's own words are not JSON; a line that was cut by the kill was not processed for us.
            if let Some(Ok(event)) = line.find('{').map(|begin| serde_json::from_str(&line[begin..])) {
                tell.send((name, event)).ok();
            }
        }
    });
    Worker { child }
}

#[derive(Default)]
struct Ledger {
    /// What was processed, and how often by each worker.
    texts: BTreeMap<String, usize>,
    by_worker: [usize; 2],
    partitions: [BTreeSet<String>; 2],
    numbers: BTreeMap<String, BTreeSet<i64>>,
}

impl Ledger {
    async fn take(&mut self, events: &mut mpsc::UnboundedReceiver<(usize, Value)>) {
        let (worker, event) = soon("an event", events.recv()).await.expect("workers");
        let text = |key: &str| event[key].as_str().expect("text").to_owned();
        *self.texts.entry(text("text")).or_default() += 1;
        self.by_worker[worker] += 1;
        self.partitions[worker].insert(text("partition"));
        self.numbers.entry(text("partition")).or_default().insert(event["number"].as_i64().expect("a number"));
    }

    fn missing<'a>(&self, sent: &'a BTreeSet<String>) -> Option<&'a String> {
        sent.iter().find(|text| !self.texts.contains_key(*text))
    }
}

#[tokio::test]
async fn when_one_of_two_processes_is_killed_every_event_is_processed_and_none_is_skipped() {
    let hub = hub(DEVICES).await;
    let folder = tempfile::tempdir().expect("a folder");
    let (path, string) = (folder.path().to_str().expect("UTF-8"), hub.service_connection_string());
    let (tell, mut events) = mpsc::unbounded_channel();
    let mut sent: BTreeSet<String> = send(&hub, DEVICES, 0..5).await.into_iter().collect();
    let mut ledger = Ledger::default();
    let mut first = start(0, path, &string, hub.ca_pem(), &tell);
    while ledger.missing(&sent).is_some() {
        ledger.take(&mut events).await;
    }
    // The other one takes its share, which new events show.
    let _second = start(1, path, &string, hub.ca_pem(), &tell);
    let mut number = 5;
    while ledger.by_worker[1] == 0 {
        sent.extend(send(&hub, DEVICES, number..number + 1).await);
        number += 1;
        while tokio::time::timeout(Duration::from_millis(100), ledger.take(&mut events)).await.is_ok() {}
    }
    // Killed while it has partitions, events to come, and some that it has not checkpointed.
    sent.extend(send(&hub, DEVICES, number..number + 2).await);
    let before = ledger.by_worker[0];
    while ledger.by_worker[0] == before {
        ledger.take(&mut events).await;
    }
    first.child.kill().await.expect("killed");
    sent.extend(send(&hub, DEVICES, number + 2..number + 6).await);
    while let Some(missing) = ledger.missing(&sent) {
        assert!(!missing.is_empty());
        ledger.take(&mut events).await;
    }
    assert_eq!(ledger.partitions[1].len(), 4, "the one that is left has all partitions");
    assert_eq!(ledger.texts.len(), sent.len());
    for (partition, numbers) in &ledger.numbers {
        let last = numbers.last().expect("not empty");
        assert!((0..=*last).all(|number| numbers.contains(&number)), "partition {partition} has a gap");
    }
}
