//! Our client with ActiveMQ Artemis.

mod closing;
mod failing;
mod flow;
mod full;
mod messages;
mod nodes;
mod outcomes;
mod proxy;
mod resuming;
mod security;
mod topics;
mod transactions;
mod world;

use amqp1_tests::expected::{AtLeast, Judgement};
use std::{future::Future, pin::Pin, sync::Arc, time::Duration};
use tokio::time::timeout;

pub(super) use world::Broker;

pub(crate) type Running = Pin<Box<dyn Future<Output = u64> + Send>>;

/// A case: its row, and what runs it against the broker that all share. It gives how many messages it has moved.
type Case = (&'static str, fn(Arc<Broker>) -> Running);

/// Each function under the name of its row.
macro_rules! cases {
    ($($row:literal: $case:path,)*) => { [$(($row, |broker| Box::pin($case(broker)))),*] };
}

const CASES: [Case; 49] = cases! {
    "settled": messages::settled,
    "unsettled": messages::unsettled,
    "10,000 messages, 500 in flight": messages::many_in_flight,
    "all sections": messages::sections,
    "100 MiB streamed": messages::streamed,
    "max-frame-size 512": messages::small_frames,
    "accepted": outcomes::accepted,
    "rejected": outcomes::rejected,
    "released": outcomes::released,
    "modified, delivery-failed": outcomes::delivery_failed,
    "modified, undeliverable-here": outcomes::undeliverable_here,
    "delivery-count limit": outcomes::limit,
    "settled in any order": outcomes::any_order,
    "time to live": outcomes::time_to_live,
    "drain": flow::drain,
    "drain, sixty rounds": flow::drain_rounds,
    "credit one by one": flow::credit_one_by_one,
    "200 links": flow::many_links,
    "dynamic nodes": nodes::dynamic,
    "request and answer": nodes::request,
    "request and answer by a queue": nodes::request_by_queue,
    "anonymous relay": nodes::relay,
    "selector": nodes::selector,
    "selector that is unparsable": nodes::unparsable_selector,
    "browse": nodes::browse,
    "queue deleted": nodes::deleted,
    "topic with two subscribers": topics::two_subscribers,
    "durable subscription": topics::durable,
    "queues of an address": topics::queues_of_an_address,
    "shared subscription": topics::shared,
    "no-local": topics::no_local,
    "resumption of a sender": resuming::sender,
    "resumption of a receiver": resuming::receiver,
    "suspended with outcomes outstanding": resuming::detached,
    "broker stopped": failing::stopped,
    "broker killed": failing::killed,
    "connection cut": failing::cut,
    "broker frozen": failing::frozen,
    "idle time-out": failing::idle,
    "PLAIN": security::plain,
    "SCRAM": security::scram,
    "TLS": security::tls,
    "refused links": security::refused,
    "full address, failing": full::failing,
    "full address, blocking": full::blocking,
    "closing with outcomes outstanding": closing::outstanding,
    "transactions: posting": transactions::posting,
    "transactions: retirement": transactions::retirement,
    "transactions: several at once": transactions::several,
};

/// Each case has its own queues, and at most this long.
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn our_client_with_artemis() {
    let broker = Arc::new(Broker::start().await);
    let mut judgement = Judgement::new("artemis");
    for (row, case) in CASES {
        if !judgement.wants(row) {
            continue;
        }
        let began = std::time::Instant::now();
        let result = outcome(case(broker.clone())).await;
        println!("  {row}: {result:?} in {:.2?}", began.elapsed());
        judgement.record(row, result);
    }
    judgement.check(AtLeast { cases: CASES.len(), messages: 30_000 });
    Arc::into_inner(broker).expect("no case goes on").stop().await;
}

/// How many messages a case has moved, or what it panicked with.
pub(crate) async fn outcome(case: Running) -> Result<u64, String> {
    let task = tokio::spawn(case);
    let abort = task.abort_handle();
    match timeout(LIMIT, task).await {
        Ok(Ok(0)) => Err("no message was moved".to_owned()),
        Ok(Ok(moved)) => Ok(moved),
        Ok(Err(error)) => {
            let panic = error.try_into_panic().map_err(|error| error.to_string())?;
            let text = panic.downcast_ref::<String>().cloned();
            Err(text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default())
        }
        Err(_) => {
            abort.abort();
            Err(format!("not over within {LIMIT:?}"))
        }
    }
}
