//! Telemetry for its readers: the partitions of the Event-Hubs-compatible endpoint.

use std::sync::Arc;

use amqp1::{Sender, Symbol, Value, acceptor::SenderRequest, error::AmqpError, link::FilterSet};

use super::attach::settled;
use super::connection::Context;
use super::requests::SETTLED;
use crate::hub::{Address, ConsumerId, Cursor, EventPosition, SelectorError, Wake};
use crate::messages::{self, error_of};

const SELECTOR: &str = "apache.org:selector-filter:string";
/// The same as a number, as .NET and JavaScript clients write it.
const SELECTOR_CODE: u64 = 0x0000_468C_0000_0004;
const EPOCH: &str = "com.microsoft:epoch";
const RUNTIME_METRIC: &str = "com.microsoft:enable-receiver-runtime-metric";

/// One link's reader.
#[derive(Debug)]
pub(super) struct Reader {
    cursor: Cursor,
    consumer: ConsumerId,
    runtime_metric: bool,
}

impl Reader {
    /// Claims a partition for a link, from where its filter says.
    pub(super) fn new(context: &Context, link: &SenderRequest, address: &Address) -> Result<Self, AmqpError> {
        let attach = link.attach();
        let filter = attach.source.as_ref().and_then(|source| source.filter.as_ref());
        let position = position(filter).map_err(|error| error_of(error.condition(), &error))?;
        let epoch = attach.properties.as_ref().and_then(|properties| properties.get(EPOCH)).and_then(Value::as_integer);
        let epoch = epoch.and_then(|epoch| i64::try_from(epoch).ok());
        let runtime_metric = attach.desired_capabilities.iter().any(|wanted| wanted.as_str() == RUNTIME_METRIC);
        let Address::EventHub { consumer_group, partition, .. } = address else { return Err(no_partition()) };
        context.shared.hub(|hub, _| {
            let number = hub.partition_number(partition).ok_or_else(no_partition)?;
            let cursor = hub.cursor(number, position).map_err(|error| error_of(error.condition(), &error))?;
            let consumer = hub.add_consumer();
            hub.claim(number, consumer_group, consumer, epoch).map_err(|error| error_of(error.condition(), &error))?;
            Ok(Self { cursor, consumer, runtime_metric })
        })
    }

    /// Gives the partition back.
    pub(super) fn leave(&self, context: &Context) {
        context.shared.hub(|hub, _| hub.leave_partition(self.consumer));
    }

    /// Sends events until the link ends, is pushed out or may not go on.
    pub(super) async fn serve(mut self, context: Arc<Context>, sender: Sender, address: Address) {
        let mut displaced = context.shared.waiter(Wake::Reader(self.consumer));
        let reason = tokio::select! {
            error = context.revoked(&address) => Some(error),
            error = async {
                loop {
                    if let Some(displaced) = context.shared.hub(|hub, _| hub.poll_displaced(self.consumer)) {
                        let reason = error_of("amqp:link:stolen", &displaced);
                        context.refused("link", &address, &reason);
                        break reason;
                    }
                    displaced.woken().await;
                }
            } => Some(error),
            () = send(&context, &sender, &mut self.cursor, self.runtime_metric) => None,
        };
        if let Some(reason) = reason {
            let _ = Box::pin(sender.detach_with(Some(reason), true)).await;
        }
        self.leave(&context);
    }
}

/// Resolves when the link is gone.
async fn send(context: &Context, sender: &Sender, cursor: &mut Cursor, runtime_metric: bool) {
    let partition = cursor.partition();
    let hub_name = context.shared.hub(|hub, _| hub.settings().hub_name().to_owned());
    let mut appended = context.shared.waiter(Wake::Partition(partition));
    let detached = sender.detached();
    tokio::pin!(detached);
    loop {
        let Ok(permit) = sender.reserve().await else { return };
        let before = cursor.clone();
        let (event, properties, now) = context.shared.hub(|hub, now| {
            let properties = runtime_metric.then(|| hub.partition_properties(partition)).flatten();
            (hub.read(cursor, 1).pop(), properties, now)
        });
        let Some(event) = event else {
            drop(permit);
            tokio::select! {
                () = appended.woken() => continue,
                _ = &mut detached => return,
            }
        };
        let message = messages::event(&event, &hub_name, properties.as_ref().map(|properties| (properties, now)));
        // Settled from the start: some readers settle nothing.
        if let Err(error) = permit.send_with(message, SETTLED) {
            // The reader took its credit back, or is gone: the event is still to be read.
            tracing::debug!(%error, "event not sent");
            *cursor = before;
        }
    }
}

/// Our attach: the peer's, but only with the filters that are applied.
pub(super) fn granted(link: SenderRequest) -> SenderRequest {
    let mut link = settled(link);
    if let Some(mut source) = link.granted_source().cloned() {
        source.filter = source.filter.as_ref().and_then(|filters| {
            let (name, filter) = selector(filters)?;
            let (Value::Symbol(name), Value::Described(filter)) = (name, filter) else { return None };
            let mut applied = FilterSet::new();
            applied.insert(name.clone(), filter.descriptor.clone(), filter.value.clone());
            Some(applied)
        });
        link = link.source(source);
    }
    let wanted = link.attach().desired_capabilities.iter().any(|wanted| wanted.as_str() == RUNTIME_METRIC);
    if wanted { link.offered_capability(Symbol::from_static(RUNTIME_METRIC)) } else { link }
}

/// The selector among the filters, recognised by its descriptor in either form.
fn selector(filters: &FilterSet) -> Option<(&Value, &Value)> {
    filters.iter().find(|(_, filter)| match filter {
        Value::Described(filter) => match &filter.descriptor {
            Value::Ulong(code) => *code == SELECTOR_CODE,
            Value::Symbol(name) => name.as_str() == SELECTOR,
            _ => false,
        },
        _ => false,
    })
}

/// Where to begin; without a selector at the oldest event.
fn position(filters: Option<&FilterSet>) -> Result<EventPosition, SelectorError> {
    let Some((_, filter)) = filters.and_then(selector) else { return Ok(EventPosition::Start) };
    match filter {
        Value::Described(filter) => filter.value.as_text().unwrap_or_default().parse(),
        _ => Ok(EventPosition::Start),
    }
}

fn no_partition() -> AmqpError {
    error_of("amqp:not-found", &"404006 ErrorCode:AmqpAddressNotFound; no such partition")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, descriptor: impl Into<Value>, value: &str) -> FilterSet {
        let mut filters = FilterSet::new();
        filters.insert(Symbol::from_static(name), descriptor, value);
        filters
    }

    #[test]
    fn both_descriptors_of_the_selector_are_understood() {
        let expression = "amqp.annotation.x-opt-sequence-number > 2995";
        let expected = Ok(EventPosition::SequenceNumber { number: 2995, inclusive: false });
        let by_name = with(SELECTOR, Symbol::from_static(SELECTOR), expression);
        assert_eq!(position(Some(&by_name)), expected);
        assert_eq!(position(Some(&with("selector", SELECTOR_CODE, expression))), expected);
    }

    #[test]
    fn without_a_selector_reading_begins_at_the_start_and_a_bad_one_is_refused() {
        assert_eq!(position(None), Ok(EventPosition::Start));
        assert_eq!(position(Some(&with("colour", 1_u64, "red"))), Ok(EventPosition::Start));
        assert!(position(Some(&with(SELECTOR, SELECTOR_CODE, "colour = 'red'"))).is_err());
    }
}
