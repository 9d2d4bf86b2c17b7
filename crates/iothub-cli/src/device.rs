//! `iothub device simulate`: a device or a module that sends telemetry, settles what it is sent, answers direct methods and
//! reports what its twin wants.

use crate::{
    cli::{HubOptions, Settle, SimulateOptions},
    connect::{ca, connection_string},
    emulator::interrupted,
    failure::Failure,
    output::{Output, shown},
};
use iothub::{CloudToDevice, DesiredChange, DeviceClient, MethodAnswer, MethodCall, ModuleClient, Telemetry, Twin};
use serde_json::{Value, json};
use std::{pin::pin, process::ExitCode, time::Duration};

/// As whom it acts.
enum Client {
    Device(DeviceClient),
    Module(ModuleClient),
}

/// Calls what both clients have.
macro_rules! either {
    ($client:expr, $inner:ident => $call:expr) => {
        match $client {
            Client::Device($inner) => $call,
            Client::Module($inner) => $call,
        }
    };
}

impl Client {
    async fn connect(options: &HubOptions, module: Option<&str>) -> Result<Self, Failure> {
        let mut string = connection_string(options)?;
        if let Some(module) = module {
            string = format!("{};ModuleId={module}", string.trim_end_matches(';'));
        }
        let ca = ca(options)?;
        let is_module = string
            .split(';')
            .any(|part| part.split_once('=').is_some_and(|(name, _)| name.trim().eq_ignore_ascii_case("ModuleId")));
        let auth = options.auth.into();
        if is_module {
            let mut builder = ModuleClient::builder().connection_string(&string)?.auth(auth);
            if let Some(pem) = ca {
                builder = builder.ca_pem(&pem)?;
            }
            return Ok(Self::Module(builder.connect().await?));
        }
        let mut builder = DeviceClient::builder().connection_string(&string)?.auth(auth);
        if let Some(pem) = ca {
            builder = builder.ca_pem(&pem)?;
        }
        Ok(Self::Device(builder.connect().await?))
    }
}

pub(crate) async fn simulate(options: SimulateOptions) -> Result<ExitCode, Failure> {
    let output = Output::new(options.hub.json);
    let client = Client::connect(&options.hub, options.module.as_deref()).await?;
    let mut messages = either!(&client, client => client.cloud_to_device().await)?;
    let mut methods = either!(&client, client => client.methods().await)?;
    let twin = either!(&client, client => client.twin().await)?;
    let mut desired = twin.watch_desired().await?;
    output.tell("Connected; Ctrl-C ends it.");
    let mut pace = tokio::time::interval(Duration::from_millis(options.interval.max(1)));
    let mut stopped = pin!(interrupted());
    let mut sent = 0u64;
    while options.count.is_none_or(|count| sent < count) {
        tokio::select! {
            _ = pace.tick() => {
                sent += 1;
                let mut telemetry = Telemetry::new(json!({"reading": sent}).to_string()).content_type("application/json");
                if let Some(output) = &options.output {
                    telemetry = telemetry.output_name(output);
                }
                either!(&client, client => client.send(telemetry).await)?;
                output.say(&format!("Sent reading {sent}."), &json!({"event": "sent", "reading": sent}));
            }
            message = messages.next() => match message? {
                Some(message) => settle(message, options.settle, &output)?,
                None => return Err(Failure::new("the hub has ended the link")),
            },
            call = methods.next() => match call? {
                Some(call) => answer(call, options.method_status, &output).await?,
                None => return Err(Failure::new("the hub has ended the link for methods")),
            },
            change = desired.next() => match change? {
                Some(change) => report(&twin, &change, &output).await?,
                None => return Err(Failure::new("the hub has ended the link of the twin")),
            },
            pressed = &mut stopped => { pressed?; break }
        }
    }
    messages.close().await.ok();
    // What was settled last is said only when this has worked.
    either!(&client, client => client.close().await)?;
    Ok(ExitCode::SUCCESS)
}

/// Answers with what was asked.
async fn answer(call: MethodCall, status: i32, output: &Output) -> Result<(), Failure> {
    let payload: Value = call.json().unwrap_or_default();
    let name = call.name().to_owned();
    let echo = json!({"method": name, "payload": payload});
    call.answer(MethodAnswer::new(status).payload(echo)).await?;
    output.say(
        &format!("Method {} answered with {status}: {}", shown(&name), shown(&payload.to_string())),
        &json!({"event": "method", "method": name, "payload": payload, "status": status}),
    );
    Ok(())
}

/// Reports that what is wanted is so now.
async fn report(twin: &Twin, change: &DesiredChange, output: &Output) -> Result<(), Failure> {
    let properties = Value::Object(change.properties().values().clone());
    let kind = if matches!(change, DesiredChange::All(_)) { "all" } else { "change" };
    let reported = match change.properties().values().is_empty() {
        true => None,
        false => twin.update_reported(properties.clone()).await?,
    };
    output.say(
        &format!("Desired properties, version {}: {}", change.version(), shown(&properties.to_string())),
        &json!({"event": "desired", "kind": kind, "version": change.version(), "properties": properties,
                "reported_version": reported}),
    );
    Ok(())
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
