//! `iothub telemetry monitor`: what devices send, read through the redirect.

use crate::{
    cli::MonitorOptions,
    connect::configured,
    emulator::interrupted,
    failure::Failure,
    output::{Output, shown},
};
use iothub::{Event, EventConsumer, EventPosition};
use serde_json::json;
use std::{pin::pin, process::ExitCode};
use tokio::sync::mpsc;

/// Events that wait to be printed.
const WAITING: usize = 64;

pub(crate) async fn monitor(options: MonitorOptions) -> Result<ExitCode, Failure> {
    let output = Output::new(options.hub.json);
    let position = position(&options.from)?;
    let partitions = if options.partitions.is_empty() { (0..4).collect() } else { options.partitions.clone() };
    let (events, mut arriving) = mpsc::channel(WAITING);
    for partition in partitions {
        let mut consumer = configured!(EventConsumer, &options.hub)?
            .consumer_group(&options.consumer_group)
            .partition(partition)
            .start(position.clone())
            .connect()
            .await?;
        let events = events.clone();
        tokio::spawn(async move {
            loop {
                let event = match consumer.next().await {
                    Ok(Some(event)) => Ok((partition, event)),
                    Ok(None) => Err(Failure::new(format!("the hub has ended the link to partition {partition}"))),
                    Err(error) => Err(Failure::from(error)),
                };
                let failed = event.is_err();
                if events.send(event).await.is_err() || failed {
                    return;
                }
            }
        });
    }
    drop(events);
    output.tell("Waiting for telemetry; Ctrl-C ends it.");
    let mut stopped = pin!(interrupted());
    let mut seen = 0;
    while options.count.is_none_or(|count| seen < count) {
        let arrived = tokio::select! {
            arrived = arriving.recv() => arrived,
            pressed = &mut stopped => { pressed?; break }
        };
        let Some(event) = arrived else { break };
        let (partition, event) = event?;
        seen += 1;
        show(&output, partition, &event);
    }
    Ok(ExitCode::SUCCESS)
}

fn show(output: &Output, partition: u32, event: &Event) {
    let device = event.device_id().unwrap_or("?");
    let body = String::from_utf8_lossy(event.body());
    output.say(
        &format!("{} [{partition}:{}] {}", shown(device), event.sequence_number().unwrap_or_default(), shown(&body)),
        &json!({
            "event": "telemetry",
            "device": device,
            "partition": partition,
            "sequence_number": event.sequence_number(),
            "offset": event.offset(),
            "body": body,
        }),
    );
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
