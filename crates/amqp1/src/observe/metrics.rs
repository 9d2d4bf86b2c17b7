//! An observer that keeps metrics.

use super::{ConnectionInfo, DropReason, LinkInfo, Observer, OutcomeKind};
use metrics::{Counter, Gauge, Histogram, Label, Unit};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Counts what connections do with the `metrics` crate, for any recorder that it has.
///
/// Install the recorder first, then make this, and give it to clients and acceptors; one for all of them.
///
/// | name | kind | unit | labels | what it is |
/// |---|---|---|---|---|
/// | `amqp1_connections` | gauge | | `role` | connections that are open |
/// | `amqp1_connections_opened_total` | counter | | `role` | connections that were opened |
/// | `amqp1_octets_total` | counter | bytes | `direction` | octets that were written and read, without TLS |
/// | `amqp1_links` | gauge | | `direction`, `address` | links that are attached |
/// | `amqp1_messages_total` | counter | | `direction`, `address` | messages that were transferred whole |
/// | `amqp1_message_octets_total` | counter | bytes | `direction`, `address` | their octets |
/// | `amqp1_settled_total` | counter | | `direction`, `address`, `outcome` | messages that were settled by a disposition; `outcome` is `accepted`, `rejected`, `released`, `modified`, `none` or `other` |
/// | `amqp1_settle_latency_seconds` | histogram | seconds | `direction`, `address` | the time from the last octet of a message to its settlement |
/// | `amqp1_dropped_total` | counter | | `direction`, `address`, `reason` | deliveries that ended without an outcome; `reason` is `aborted`, `unsettled`, `partial` or `unsent` |
/// | `amqp1_credit` | gauge | | `direction`, `address` | credit of all links |
/// | `amqp1_unsettled` | gauge | | `direction`, `address` | messages that are whole and not settled |
///
/// `role` is `client` or `acceptor`; `direction` is `sent` or `received`. `address` is there only with
/// [`by_address`](Self::by_address).
pub struct Metrics {
    connections: [ConnectionSet; 2],
    octets: [Counter; 2],
    /// Those of links that have no label for an address.
    links: [Arc<LinkSet>; 2],
    /// How many addresses have a label.
    addresses: usize,
    /// Those of links on which this end sends, and of the others.
    by_address: [Mutex<HashMap<Box<str>, Arc<LinkSet>>>; 2],
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// Counters of connections of one role.
struct ConnectionSet {
    open: Gauge,
    opened: Counter,
}

/// Counters of links of one direction.
struct LinkSet {
    links: Gauge,
    messages: Counter,
    octets: Counter,
    outcomes: [(OutcomeKind, Counter); 6],
    latency: Histogram,
    drops: [(DropReason, Counter); 4],
    credit: Gauge,
    unsettled: Gauge,
}

/// The address of links beyond those that have a label.
const OTHER: &str = "other";

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics without a label for addresses.
    pub fn new() -> Self {
        describe();
        Self {
            connections: ["client", "acceptor"].map(ConnectionSet::new),
            octets: [true, false]
                .map(|sends| metrics::counter!("amqp1_octets_total", vec![Label::new("direction", direction(sends))])),
            links: [true, false].map(|sends| Arc::new(LinkSet::new(sends, None))),
            addresses: 0,
            by_address: Default::default(),
        }
    }

    /// Labels what links do with their addresses, of which there are at most `most`; other addresses count as `other`. At an
    /// acceptor the clients choose the addresses.
    #[must_use]
    pub fn by_address(self, most: usize) -> Self {
        Self { addresses: most, ..self }
    }

    fn with(&self, link: &LinkInfo, count: impl FnOnce(&LinkSet)) {
        if self.addresses == 0 {
            let [sent, received] = &self.links;
            return count(if link.sends { sent } else { received });
        }
        let set = {
            let [sent, received] = &self.by_address;
            let sets = if link.sends { sent } else { received };
            let mut sets = sets.lock().unwrap_or_else(PoisonError::into_inner);
            let address = link.address.as_deref().unwrap_or_default();
            let known = sets.get(address).cloned();
            known.unwrap_or_else(|| {
                let address = if sets.len() >= self.addresses { OTHER } else { address };
                let new = || Arc::new(LinkSet::new(link.sends, Some(address)));
                sets.entry(address.into()).or_insert_with(new).clone()
            })
        };
        count(&set);
    }

    fn connections(&self, connection: &ConnectionInfo) -> &ConnectionSet {
        let [client, acceptor] = &self.connections;
        if connection.accepted { acceptor } else { client }
    }
}

const fn direction(sends: bool) -> &'static str {
    if sends { "sent" } else { "received" }
}

fn describe() {
    metrics::describe_gauge!("amqp1_connections", "Connections that are open.");
    metrics::describe_counter!("amqp1_connections_opened_total", "Connections that were opened.");
    metrics::describe_counter!("amqp1_octets_total", Unit::Bytes, "Octets that were written and read, without TLS.");
    metrics::describe_gauge!("amqp1_links", "Links that are attached.");
    metrics::describe_counter!("amqp1_messages_total", "Messages that were transferred whole.");
    metrics::describe_counter!("amqp1_message_octets_total", Unit::Bytes, "Octets of messages.");
    metrics::describe_counter!("amqp1_settled_total", "Messages that were settled by a disposition.");
    metrics::describe_histogram!(
        "amqp1_settle_latency_seconds",
        Unit::Seconds,
        "The time from the last octet of a message to its settlement."
    );
    metrics::describe_counter!("amqp1_dropped_total", "Deliveries that ended without an outcome.");
    metrics::describe_gauge!("amqp1_credit", "Credit of all links.");
    metrics::describe_gauge!("amqp1_unsettled", "Messages that are whole and not settled.");
}

impl ConnectionSet {
    fn new(role: &'static str) -> Self {
        let labels = vec![Label::new("role", role)];
        Self {
            open: metrics::gauge!("amqp1_connections", labels.clone()),
            opened: metrics::counter!("amqp1_connections_opened_total", labels),
        }
    }
}

impl LinkSet {
    fn new(sends: bool, address: Option<&str>) -> Self {
        let mut labels = vec![Label::new("direction", direction(sends))];
        labels.extend(address.map(|address| Label::new("address", address.to_owned())));
        let with = |name, value| {
            let mut labels = labels.clone();
            labels.push(Label::new(name, value));
            labels
        };
        let outcomes = [
            OutcomeKind::Accepted,
            OutcomeKind::Rejected,
            OutcomeKind::Released,
            OutcomeKind::Modified,
            OutcomeKind::None,
            OutcomeKind::Other,
        ];
        let drops = [DropReason::Aborted, DropReason::Unsettled, DropReason::Partial, DropReason::Unsent];
        Self {
            links: metrics::gauge!("amqp1_links", labels.clone()),
            messages: metrics::counter!("amqp1_messages_total", labels.clone()),
            octets: metrics::counter!("amqp1_message_octets_total", labels.clone()),
            outcomes: outcomes
                .map(|kind| (kind, metrics::counter!("amqp1_settled_total", with("outcome", kind.as_str())))),
            latency: metrics::histogram!("amqp1_settle_latency_seconds", labels.clone()),
            drops: drops
                .map(|reason| (reason, metrics::counter!("amqp1_dropped_total", with("reason", reason.as_str())))),
            credit: metrics::gauge!("amqp1_credit", labels.clone()),
            unsettled: metrics::gauge!("amqp1_unsettled", labels.clone()),
        }
    }
}

/// How much a gauge changes.
fn change(gauge: &Gauge, before: f64, now: f64) {
    gauge.increment(now - before);
}

/// A number as gauges have it. It is exact below 2^53.
#[expect(clippy::cast_precision_loss, reason = "there are not that many")]
fn float(number: usize) -> f64 {
    number as f64
}

impl Observer for Metrics {
    fn opened(&self, connection: &ConnectionInfo) {
        let set = self.connections(connection);
        set.open.increment(1.0);
        set.opened.increment(1);
    }

    fn closed(&self, connection: &ConnectionInfo) {
        self.connections(connection).open.decrement(1.0);
    }

    fn octets_received(&self, _: &ConnectionInfo, octets: usize) {
        let [_, received] = &self.octets;
        received.increment(u64::try_from(octets).unwrap_or(u64::MAX));
    }

    fn octets_sent(&self, _: &ConnectionInfo, octets: usize) {
        let [sent, _] = &self.octets;
        sent.increment(u64::try_from(octets).unwrap_or(u64::MAX));
    }

    fn attached(&self, link: &LinkInfo) {
        self.with(link, |set| set.links.increment(1.0));
    }

    fn detached(&self, link: &LinkInfo) {
        self.with(link, |set| set.links.decrement(1.0));
    }

    fn transferred(&self, link: &LinkInfo, octets: u64, _: bool) {
        self.with(link, |set| {
            set.messages.increment(1);
            set.octets.increment(octets);
        });
    }

    fn settled(&self, link: &LinkInfo, outcome: OutcomeKind, latency: Duration) {
        self.with(link, |set| {
            set.latency.record(latency.as_secs_f64());
            if let Some((_, counter)) = set.outcomes.iter().find(|(kind, _)| *kind == outcome) {
                counter.increment(1);
            }
        });
    }

    fn dropped(&self, link: &LinkInfo, reason: DropReason, count: u64) {
        self.with(link, |set| {
            if let Some((_, counter)) = set.drops.iter().find(|(known, _)| *known == reason) {
                counter.increment(count);
            }
        });
    }

    fn credit(&self, link: &LinkInfo, before: u32, now: u32) {
        self.with(link, |set| change(&set.credit, f64::from(before), f64::from(now)));
    }

    fn unsettled(&self, link: &LinkInfo, before: usize, now: usize) {
        self.with(link, |set| change(&set.unsettled, float(before), float(now)));
    }
}
