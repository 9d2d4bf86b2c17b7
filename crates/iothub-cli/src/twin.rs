//! `iothub twin`: what a service and a device say about the device.

use crate::{
    cli::{TwinGetOptions, TwinPatchOptions, TwinWatchOptions},
    emulator::interrupted,
    failure::Failure,
    output::Output,
    registry::time,
    rest::{client, condition, document, identity, json},
};
use iothub::registry::{Twin, TwinProperties, TwinUpdate};
use serde_json::{Map, Value, json};
use std::{pin::pin, process::ExitCode, time::Duration};

pub(crate) async fn get(options: TwinGetOptions) -> Result<ExitCode, Failure> {
    let twin = client(&options.hub)?.twin(identity(&options.identity)).await?;
    document(&Output::new(options.hub.json), &twin_json(&twin));
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn patch(options: TwinPatchOptions) -> Result<ExitCode, Failure> {
    let mut update = TwinUpdate::new();
    if let Some(text) = &options.tags {
        update = update.tags(object(text, "tags")?);
    }
    if let Some(text) = &options.desired {
        update = update.desired_properties(object(text, "desired")?);
    }
    let (registry, identity) = (client(&options.hub)?, identity(&options.identity));
    let condition = condition(options.if_match.as_deref());
    let twin = match options.replace {
        true => registry.replace_twin(identity, &update, condition).await?,
        false => registry.patch_twin(identity, &update, condition).await?,
    };
    document(&Output::new(options.hub.json), &twin_json(&twin));
    Ok(ExitCode::SUCCESS)
}

/// Looks at the twin again and again, which works at every hub. The hub's own events of changes would have to be routed
/// to the built-in endpoint first.
pub(crate) async fn watch(options: TwinWatchOptions) -> Result<ExitCode, Failure> {
    let (output, registry, identity) =
        (Output::new(options.hub.json), client(&options.hub)?, identity(&options.identity));
    let mut pace = tokio::time::interval(Duration::from_millis(options.interval));
    let mut stopped = pin!(interrupted());
    let (mut seen, mut version) = (0, None);
    while options.count.is_none_or(|count| seen < count) {
        let twin = tokio::select! {
            pressed = &mut stopped => { pressed?; break }
            twin = async {
                pace.tick().await;
                registry.twin(identity.clone()).await
            } => twin?,
        };
        // A device that was deleted and created again has a smaller one.
        if version != Some(twin.version) {
            version = Some(twin.version);
            seen += 1;
            document(&output, &twin_json(&twin));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn object(text: &str, option: &str) -> Result<Map<String, Value>, Failure> {
    match json(text, option)? {
        Value::Object(object) => Ok(object),
        _ => Err(Failure::usage(format!("--{option} wants a JSON object"))),
    }
}

fn properties(properties: &TwinProperties) -> Value {
    let mut shown = properties.values().clone();
    shown.insert("$version".to_owned(), properties.version().into());
    shown.into()
}

fn twin_json(twin: &Twin) -> Value {
    json!({
        "device": twin.device_id,
        "module": twin.module_id,
        "etag": twin.etag,
        "version": twin.version,
        "connection_state": twin.connection_state,
        "last_activity": time(twin.last_activity),
        "tags": twin.tags,
        "desired": properties(&twin.desired),
        "reported": properties(&twin.reported),
    })
}
