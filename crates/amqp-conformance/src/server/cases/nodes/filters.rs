//! Filters (§3.5.1, §3.5.8).

use super::support::{MALFORMED, ROUND_TRIP, attach_refused, frame, from_source, octets, set_up, texts};
use crate::{
    case::{Case, Check, Need},
    server::{Consumer, ServerTrial, twins},
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    Message, Symbol, Value,
    messaging::{DeliveryState, FilterSet, Source},
};

/// `apache.org:selector-filter:string`.
const SELECTOR: u64 = 0x0000_468c_0000_0004;

const NEEDS: &[Need] = &[Need::Queue, Need::Selector];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "M-3.5.1-1",
        rule: "Filters that the source does not support are not in the source of its attach (§3.5.1).",
        sends: "an attach with a filter of a type that does not exist",
        wants: "an attach without the filter, or its refusal",
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(unknown_filter),
        ..Case::SERVER
    },
    Case {
        id: "M-3.5.1-3",
        rule: "The verdict of a filter on a message does not change unless the message does (§3.5.1).",
        sends: "a selector; the messages that come are released, and the link drains again",
        wants: "the same messages both times",
        needs: NEEDS,
        twin: Some(&ROUND_TRIP),
        check: Check::Server(same_verdict),
        ..Case::SERVER
    },
    Case {
        id: "M-3.5.8-1/undescribed",
        rule: "The value of a filter is described, or null (§3.5.8).",
        sends: "an attach with a filter whose value is the string \"a=1\"",
        wants: "a refusal with amqp:decode-error or amqp:invalid-field",
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(|trial| malformed(trial, b"\xc1\x09\x02\xa3\x01f\xa1\x03a=1")),
        ..Case::SERVER
    },
    Case {
        id: "M-3.5.8-1/string-key",
        rule: "The name of a filter is a symbol (§3.5.8).",
        sends: "an attach with a filter whose name is a string",
        wants: "a refusal with amqp:decode-error or amqp:invalid-field",
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(|trial| malformed(trial, b"\xc1\x0d\x02\xa1\x01f\0\xa3\x03x:y\xa1\x011")),
        ..Case::SERVER
    },
    Case {
        id: "M-3.5.8-1/null",
        rule: "A filter whose value is null does not filter (§3.5.8).",
        sends: "an attach with a filter whose value is null",
        wants: "an attach, and each message of the queue",
        needs: &[Need::Queue],
        twin: Some(&ROUND_TRIP),
        check: Check::Server(null_filter),
        ..Case::SERVER
    },
    Case {
        id: "M-3.5.8-2",
        rule: "A message passes if it passes each filter (§3.5.8).",
        sends: "two selectors in one filter-set",
        wants: "the message that passes both alone, if both are in force",
        needs: NEEDS,
        twin: Some(&ROUND_TRIP),
        check: Check::Server(two_filters),
        ..Case::SERVER
    },
    Case {
        id: "E-filt-1",
        rule: "A source that grants apache.org:selector-filter:string sends the messages alone that it selects.",
        sends: "an attach with the selector colour = 'green'",
        wants: "the filter in the reply, and the green message alone",
        needs: NEEDS,
        twin: Some(&ROUND_TRIP),
        check: Check::Server(selector),
        ..Case::SERVER
    },
];

fn unknown_filter(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut filter = FilterSet::new();
    filter.insert(Symbol::from_static("nothing"), Symbol::from_static("amqp-conformance:no-such-filter"), "x");
    let source = Source { filter: Some(filter), ..Source::at(trial.node()) };
    let mut begun = trial.begun()?;
    begun.connection.raw(octets(from_source("receiver", source)));
    let reply = match begun.connection.expect_skipping::<amqp1_codec::performative::Attach>(amqp1_script::Skip::FLOWS) {
        Ok(reply) => reply.body,
        Err(unexpected) => match amqp1_script::Refusal::of(&unexpected.got) {
            Some(refusal) => return Ok(Outcome::pass_with(format!("refused with {}", refusal.error.condition))),
            None => return Err(unexpected.into()),
        },
    };
    let granted = reply.source.and_then(|source| source.filter);
    match granted.as_ref().and_then(|filter| filter.get("nothing")) {
        Some(value) if !value.is_null() => Ok(Outcome::fail("the reply has the filter that does not exist")),
        _ => Ok(Outcome::pass()),
    }
}

/// An attach as a receiver, whose source has the queue's address and this filter map, written by hand.
fn malformed(trial: &mut ServerTrial<'_>, filter: &[u8]) -> Result<Outcome, Stop> {
    let address = trial.node().as_bytes();
    let length = u8::try_from(address.len()).unwrap_or(u8::MAX);
    let fields = [b"\xa1", &[length][..], address, b"\x40\x40\x40\x40\x40\x40", filter].concat();
    let source =
        [b"\0\x53\x28\xc0", &[u8::try_from(fields.len().saturating_add(1)).unwrap_or(u8::MAX), 8][..], &fields]
            .concat();
    // name, handle 0, role receiver, both settle modes null, source, target().
    let fields = [b"\xa1\x08receiver\x43\x41\x40\x40", &source[..], b"\0\x53\x29\x45"].concat();
    let body = [b"\0\x53\x12\xc0", &[u8::try_from(fields.len().saturating_add(1)).unwrap_or(u8::MAX), 7][..], &fields]
        .concat();
    attach_refused(trial, &frame(&body), &MALFORMED)
}

fn null_filter(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    trial.queued(&["any"])?;
    let mut filter = FilterSet::new();
    filter.insert_undescribed(Symbol::from_static("nothing"), Value::Null);
    let source = Source { filter: Some(filter), ..Source::at(trial.node()) };
    let begun = trial.begun()?;
    let (mut connection, session) = (begun.connection, begun.session);
    let link = connection.attached(&session, from_source("receiver", source))?;
    let mut consumer = Consumer::new(connection, session, link);
    let delivered = consumer.take()?;
    consumer.settle(&delivered, DeliveryState::Accepted);
    set_up(consumer.close())?;
    Ok(Outcome::pass())
}

/// Puts four messages into the empty queue, with the properties colour and size.
fn fill_coloured(trial: &mut ServerTrial<'_>) -> Result<(), Stop> {
    trial.purge()?;
    let messages: Vec<bytes::Bytes> = [("green", "big"), ("red", "big"), ("green", "small"), ("red", "small")]
        .into_iter()
        .map(|(colour, size)| {
            let builder = Message::builder()
                .application_property("colour", colour)
                .application_property("size", size)
                .data(format!("{size} {colour}"));
            bytes::Bytes::from(builder.build().into_parts().concat())
        })
        .collect();
    trial.fill(&messages)
}

/// A receiver with these selectors; the number of those that the server grants.
fn selecting(
    trial: &mut ServerTrial<'_>,
    selectors: &[(&'static str, &'static str)],
) -> Result<(Consumer, usize), Stop> {
    let mut filter = FilterSet::new();
    for (name, selector) in selectors {
        filter.insert(Symbol::from_static(name), SELECTOR, *selector);
    }
    let source = Source { filter: Some(filter), ..Source::at(trial.node()) };
    let consumer = trial.consumer_with(from_source("receiver", source))?;
    let granted = consumer.link.attach.source.as_ref().and_then(|source| source.filter.clone()).unwrap_or_default();
    let count = selectors.iter().filter(|(name, _)| granted.get(name).is_some_and(|value| !value.is_null())).count();
    Ok((consumer, count))
}

fn selector(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    fill_coloured(trial)?;
    let (mut consumer, granted) = selecting(trial, &[("selector", "colour = 'green'")])?;
    let got = texts(&consumer.drain(10)?);
    drop(consumer);
    trial.purge()?;
    if granted != 1 {
        return Ok(Outcome::fail("the reply does not have the filter"));
    }
    if got == ["big green", "small green"] {
        Ok(Outcome::pass())
    } else {
        Ok(Outcome::fail(format!("expected both green messages, got {got:?}")))
    }
}

fn two_filters(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    fill_coloured(trial)?;
    let (mut consumer, granted) = selecting(trial, &[("colour", "colour = 'green'"), ("size", "size = 'big'")])?;
    let got = texts(&consumer.drain(10)?);
    drop(consumer);
    trial.purge()?;
    match granted {
        2 if got == ["big green"] => Ok(Outcome::pass()),
        2 => Ok(Outcome::fail(format!("expected the big green message alone, got {got:?}"))),
        _ => Ok(Outcome::skip("the source does not grant both filters")),
    }
}

fn same_verdict(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    fill_coloured(trial)?;
    let (mut consumer, _) = selecting(trial, &[("selector", "size = 'small'")])?;
    let first = consumer.drain(10)?;
    for delivered in &first {
        consumer.settle(delivered, DeliveryState::Released);
    }
    let mut again = Vec::new();
    for _ in &first {
        again.push(consumer.take()?);
    }
    let rest = consumer.drain(10)?;
    drop(consumer);
    trial.purge()?;
    let (mut first, mut again) = (texts(&first), texts(&again));
    first.sort();
    again.sort();
    if first == again && rest.is_empty() && first.len() == 2 {
        Ok(Outcome::pass())
    } else {
        Ok(Outcome::fail(format!("first {first:?}, then {again:?} and {} more", rest.len())))
    }
}
