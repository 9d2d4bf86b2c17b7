//! The metrics are what the test has done.

use crate::{pair, soon};
use amqp1::{Credit, IncomingLink, Message, Outcome, observe::Metrics};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Keeps what it is told by name and labels.
#[derive(Default)]
struct Kept {
    counters: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    gauges: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    histograms: Mutex<BTreeMap<String, Arc<Samples>>>,
    described: Mutex<Vec<String>>,
}

#[derive(Default)]
struct Samples(Mutex<Vec<f64>>);

impl metrics::HistogramFn for Samples {
    fn record(&self, value: f64) {
        self.0.lock().expect("no panic under the lock").push(value);
    }
}

fn name(key: &Key) -> String {
    let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
    format!("{}{{{}}}", key.name(), labels.join(","))
}

fn entry<T: Default>(map: &Mutex<BTreeMap<String, Arc<T>>>, key: &Key) -> Arc<T> {
    map.lock().expect("no panic under the lock").entry(name(key)).or_default().clone()
}

impl Recorder for Kept {
    fn describe_counter(&self, key: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().expect("no panic under the lock").push(key.as_str().to_owned());
    }

    fn describe_gauge(&self, key: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().expect("no panic under the lock").push(key.as_str().to_owned());
    }

    fn describe_histogram(&self, key: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().expect("no panic under the lock").push(key.as_str().to_owned());
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(entry(&self.counters, key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(entry(&self.gauges, key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(entry(&self.histograms, key))
    }
}

impl Kept {
    fn counters(&self) -> BTreeMap<String, u64> {
        let counters = self.counters.lock().expect("no panic under the lock");
        let counts = counters.iter().map(|(name, count)| (name.clone(), count.load(Ordering::SeqCst)));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    fn gauges(&self) -> BTreeMap<String, f64> {
        let gauges = self.gauges.lock().expect("no panic under the lock");
        let values = gauges.iter().map(|(name, value)| (name.clone(), f64::from_bits(value.load(Ordering::SeqCst))));
        values.filter(|(_, value)| *value != 0.0).collect()
    }
}

fn expected<T: Copy>(values: &[(&str, T)]) -> BTreeMap<String, T> {
    values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

/// Three messages of which two are settled, five seconds after they came.
async fn exchange(near: Arc<Metrics>, far: Arc<Metrics>, look: impl Fn()) -> u64 {
    let (client, mut server) = pair(|builder| builder.observer(near), |builder| builder.observer(far)).await;
    let session = client.begin().await.expect("a session");
    let (sender, receiver) = tokio::join!(session.sender("queue").attach(), async {
        let link = server.next_link().await.expect("a link");
        let IncomingLink::Receiver(request) = link else { panic!("the client sends") };
        request.credit(Credit::Manual(10)).accept().expect("accepted")
    });
    let (sender, mut receiver) = (sender.expect("a sender"), receiver);
    let (mut octets, mut receipts, mut deliveries) = (0, Vec::new(), Vec::new());
    for size in [10, 200, 3000] {
        let message = Message::builder().data(vec![b'x'; size]).build();
        octets += u64::try_from(message.len()).expect("it fits");
        receipts.push(soon(sender.reserve()).await.expect("credit").send(message).expect("queued"));
        deliveries.push(soon(receiver.recv()).await.expect("the link is there").expect("a delivery"));
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let kept = deliveries.pop().expect("three").leave_unsettled();
    deliveries.pop().expect("two").reject(None).expect("settled");
    deliveries.pop().expect("one").accept().expect("settled");
    let last = receipts.pop().expect("three");
    for (receipt, outcome) in receipts.into_iter().zip([Outcome::Accepted, Outcome::Rejected(None)]) {
        assert_eq!(soon(receipt).await.expect("an outcome"), outcome);
    }
    look();
    drop((kept, last));
    soon(client.close()).await.expect("closed");
    drop(server);
    // Both tasks end when they have seen each other leave.
    tokio::time::sleep(Duration::from_secs(60)).await;
    octets
}

fn on_a_virtual_clock<T>(recorder: &Kept, work: impl FnOnce() -> T) -> T {
    metrics::with_local_recorder(recorder, work)
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().expect("a runtime").block_on(work)
}

#[test]
fn what_is_counted_is_what_was_done() {
    let (near, far) = (Kept::default(), Kept::default());
    let metrics = |kept: &Kept| on_a_virtual_clock(kept, || Arc::new(Metrics::new()));
    let (at_client, at_server) = (metrics(&near), metrics(&far));
    let mut described = near.described.lock().expect("no panic under the lock").clone();
    described.sort_unstable();
    assert_eq!(described.len(), 11, "{described:?}");
    let octets = run(exchange(at_client, at_server, || {
        for (kept, role, direction) in [(&near, "client", "sent"), (&far, "acceptor", "received")] {
            let connections = format!("amqp1_connections{{role={role}}}");
            let [links, credit, unsettled] =
                ["links", "credit", "unsettled"].map(|name| format!("amqp1_{name}{{direction={direction}}}"));
            let values = [(&*connections, 1.0), (&*links, 1.0), (&*credit, 7.0), (&*unsettled, 1.0)];
            assert_eq!(kept.gauges(), expected(&values));
        }
    }));
    for (kept, role, direction) in [(&near, "client", "sent"), (&far, "acceptor", "received")] {
        // Everything has ended.
        assert_eq!(kept.gauges(), BTreeMap::new());
        let mut counters = kept.counters();
        let mut transport = |direction| counters.remove(&format!("amqp1_octets_total{{direction={direction}}}"));
        assert!(transport("sent").is_some_and(|octets| octets > 0));
        assert!(transport("received").is_some_and(|octets| octets > 0));
        let names = [
            (format!("amqp1_connections_opened_total{{role={role}}}"), 1),
            (format!("amqp1_messages_total{{direction={direction}}}"), 3),
            (format!("amqp1_message_octets_total{{direction={direction}}}"), octets),
            (format!("amqp1_settled_total{{direction={direction},outcome=accepted}}"), 1),
            (format!("amqp1_settled_total{{direction={direction},outcome=rejected}}"), 1),
            (format!("amqp1_dropped_total{{direction={direction},reason=unsettled}}"), 1),
        ];
        assert_eq!(counters, names.into_iter().collect());
        let histograms = kept.histograms.lock().expect("no panic under the lock");
        let samples = &histograms[&format!("amqp1_settle_latency_seconds{{direction={direction}}}")];
        assert_eq!(*samples.0.lock().expect("no panic under the lock"), [5.0, 5.0]);
    }
    let total = |kept: &Kept, direction| kept.counters()[&format!("amqp1_octets_total{{direction={direction}}}")];
    assert_eq!((total(&near, "sent"), total(&near, "received")), (total(&far, "received"), total(&far, "sent")));
}

#[test]
fn addresses_are_labels_up_to_a_number() {
    let kept = Kept::default();
    on_a_virtual_clock(&kept, || {
        let metrics = Arc::new(Metrics::new().by_address(2));
        run(async {
            let (client, mut server) = pair(|builder| builder.observer(metrics), |builder| builder).await;
            let session = client.begin().await.expect("a session");
            let serving = tokio::spawn(async move {
                while let Some(link) = server.next_link().await {
                    drop(link.accept_default().expect("accepted"));
                }
            });
            for address in ["a", "b", "c", "a", "d"] {
                let sender = session.sender(address).attach().await.expect("attached");
                soon(sender.detached()).await;
            }
            soon(client.close()).await.expect("closed");
            soon(serving).await.expect("no panic");
        });
    });
    let gauges = kept.gauges.lock().expect("no panic under the lock");
    let labelled: Vec<_> = gauges.keys().filter_map(|name| name.strip_prefix("amqp1_links{direction=sent")).collect();
    assert_eq!(labelled, [",address=a}", ",address=b}", ",address=other}", "}"]);
}
