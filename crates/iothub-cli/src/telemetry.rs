//! `iothub telemetry monitor`: what devices send, read through the redirect.

use crate::{
    cli::MonitorOptions,
    connect::configured,
    emulator::interrupted,
    failure::Failure,
    output::{Output, shown},
};
use iothub::{Event, EventConsumer, EventPosition, MessageBody, UndecodableEvent};
use serde_json::json;
use std::{borrow::Cow, pin::pin, process::ExitCode};

pub(crate) async fn monitor(options: MonitorOptions) -> Result<ExitCode, Failure> {
    let output = Output::new(options.hub.json);
    let position = position(&options.from)?;
    let builder = configured!(EventConsumer, &options.hub)?.consumer_group(&options.consumer_group).start(position);
    let builder = match &options.partitions[..] {
        [] => builder.all_partitions(),
        partitions => builder.partitions(partitions),
    };
    let mut consumer = builder.connect().await?;
    output.tell("Waiting for telemetry; Ctrl-C ends it.");
    let mut stopped = pin!(interrupted());
    let mut seen = 0;
    while options.count.is_none_or(|count| seen < count) {
        let event = tokio::select! {
            event = consumer.next() => event?,
            pressed = &mut stopped => { pressed?; break }
        };
        let Some(event) = event else { return Err(Failure::new("the hub has ended the link")) };
        seen += 1;
        match event {
            Ok(event) => show(&output, &event),
            Err(undecodable) => show_undecodable(&output, &undecodable),
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(output: &Output, event: &Event) {
    let device = event.device_id().unwrap_or("?");
    let body = body(event);
    output.say(
        &format!(
            "{} [{}:{}] {}",
            shown(device),
            event.partition_id(),
            event.sequence_number().unwrap_or_default(),
            shown(&body)
        ),
        &json!({
            "event": "telemetry",
            "device": device,
            "module": event.module_id(),
            "output": event.output_name(),
            "source": event.source().as_ref().map(|source| source.as_str()),
            "partition": partition(event.partition_id()),
            "sequence_number": event.sequence_number(),
            "offset": event.offset(),
            "body": body,
        }),
    );
}

fn show_undecodable(output: &Output, event: &UndecodableEvent) {
    let octets: String = event.octets().iter().map(|octet| format!("{octet:02x}")).collect();
    output.say(
        &shown(&event.to_string()).to_string(),
        &json!({
            "event": "undecodable",
            "device": event.device_id(),
            "partition": partition(event.partition_id()),
            "sequence_number": event.sequence_number(),
            "offset": event.offset(),
            "error": event.error().to_string(),
            "octets": octets,
        }),
    );
}

/// The number of a partition, as almost all are named; otherwise its name.
fn partition(id: &str) -> serde_json::Value {
    id.parse().map_or_else(|_| json!(id), |number: u32| json!(number))
}

/// A body as text; of one that is not octets, what it is.
fn body(event: &Event) -> Cow<'_, str> {
    match event.content() {
        MessageBody::Data(_) | MessageBody::Empty => String::from_utf8_lossy(event.body()),
        MessageBody::Value(_) if !event.body().is_empty() => String::from_utf8_lossy(event.body()),
        MessageBody::Value(value) => format!("{value:?}").into(),
        other => format!("{other:?}").into(),
    }
}

fn position(text: &str) -> Result<EventPosition, Failure> {
    let wrong = || Failure::usage("--from wants start, latest, offset:N, sequence:N, or time:MILLISECONDS");
    Ok(match text.split_once(':') {
        None if text == "start" => EventPosition::Start,
        None if text == "latest" => EventPosition::Latest,
        Some(("offset", offset)) if !offset.is_empty() => {
            EventPosition::Offset { offset: offset.to_owned(), inclusive: false }
        }
        Some(("sequence", number)) => {
            EventPosition::SequenceNumber { number: number.parse().map_err(|_| wrong())?, inclusive: false }
        }
        Some(("time", millis)) => EventPosition::EnqueuedTime(millis.parse().map_err(|_| wrong())?),
        _ => return Err(wrong()),
    })
}
