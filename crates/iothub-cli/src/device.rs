//! `iothub device simulate`: a device that sends telemetry and settles what it is sent.

use crate::{
    cli::{Settle, SimulateOptions},
    connect::configured,
    emulator::interrupted,
    failure::Failure,
    output::{Output, shown},
};
use iothub::{CloudToDevice, DeviceClient, Telemetry};
use serde_json::json;
use std::{pin::pin, process::ExitCode, time::Duration};

pub(crate) async fn simulate(options: SimulateOptions) -> Result<ExitCode, Failure> {
    let output = Output::new(options.hub.json);
    let device = configured!(DeviceClient, &options.hub)?.connect().await?;
    let mut messages = device.cloud_to_device().await?;
    output.tell("Connected; Ctrl-C ends it.");
    let mut pace = tokio::time::interval(Duration::from_millis(options.interval.max(1)));
    let mut stopped = pin!(interrupted());
    let mut sent = 0u64;
    while options.count.is_none_or(|count| sent < count) {
        tokio::select! {
            _ = pace.tick() => {
                sent += 1;
                let body = json!({"reading": sent}).to_string();
                device.send(Telemetry::new(body).content_type("application/json")).await?;
                output.say(&format!("Sent reading {sent}."), &json!({"event": "sent", "reading": sent}));
            }
            message = messages.next() => match message? {
                Some(message) => settle(message, options.settle, &output)?,
                None => return Err(Failure::new("the hub has ended the link")),
            },
            pressed = &mut stopped => { pressed?; break }
        }
    }
    messages.close().await.ok();
    // What was settled last is said only when this has worked.
    device.close().await?;
    Ok(ExitCode::SUCCESS)
}

fn settle(message: CloudToDevice, how: Settle, output: &Output) -> Result<(), Failure> {
    let id = message.message_id().map(|id| id.to_string());
    let body = String::from_utf8_lossy(message.body()).into_owned();
    let verb = match how {
        Settle::AbandonOnce if message.delivery_count().unwrap_or_default() == 0 => {
            message.abandon()?;
            "abandoned"
        }
        Settle::Reject => {
            message.reject()?;
            "rejected"
        }
        Settle::Complete | Settle::AbandonOnce => {
            message.complete()?;
            "completed"
        }
    };
    let name = id.as_deref().unwrap_or("without an id");
    output.say(
        &format!("Message {} {verb}: {}", shown(name), shown(&body)),
        &json!({"event": "message", "message_id": id, "body": body, "settled": verb}),
    );
    Ok(())
}
