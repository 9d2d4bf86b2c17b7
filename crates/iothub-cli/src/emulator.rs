//! `iothub emulator`: serve a hub until Ctrl-C.

use crate::{cli::EmulatorOptions, connect::named_key, failure::Failure, output::Output};
use iothub_emulator::Emulator;
use serde_json::json;
use std::{path::Path, process::ExitCode};

/// Most SDKs use no other port for HTTPS.
const HTTPS_PORT: u16 = 443;

/// Where the official SDKs look for a hub.
const AMQPS_PORT: u16 = 5671;

pub(crate) async fn run(options: EmulatorOptions) -> Result<ExitCode, Failure> {
    let output = Output::new(options.json);
    // Without a folder of one's own the authority lives as long as the hub.
    let temporary = tempfile::tempdir().map_err(|error| Failure::new(format!("no temporary folder: {error}")))?;
    let ca_dir = options.ca_dir.as_deref().unwrap_or_else(|| temporary.path());
    let hub = start(&options, ca_dir).await?;
    announce(&hub, &output);
    interrupted().await?;
    output.say("Closing.", &json!({"event": "closing"}));
    hub.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

async fn start(options: &EmulatorOptions, ca_dir: &Path) -> Result<Emulator, Failure> {
    let mut builder = Emulator::builder()
        .hostname(&options.hostname)
        .partitions(options.partitions)
        .settings(|settings| options.timing.apply(settings))
        .ca_dir(ca_dir);
    if options.listen.is_empty() {
        builder = builder.listen_on_loopback(AMQPS_PORT);
    }
    for place in &options.listen {
        builder = place.over_tls(builder);
    }
    for place in &options.amqp_listen {
        builder = place.without_tls(builder);
    }
    for name in &options.certificate_names {
        builder = builder.certificate_name(name);
    }
    if options.https_listen.is_empty() {
        builder = builder.https_port_or_free_port(HTTPS_PORT);
    }
    for place in &options.https_listen {
        builder = place.https(builder);
    }
    for policy in &options.policies {
        let (name, key) = named_key(policy, "policy", "NAME")?;
        builder = builder.policy(name, key);
    }
    for device in &options.devices {
        let (id, key) = named_key(device, "device", "ID")?;
        builder = builder.device(id, key);
    }
    if let Some(file) = &options.devices_file {
        builder = builder.devices_file(file);
    }
    builder.start().await.map_err(|error| Failure::new(format!("the emulator does not start: {error}")))
}

fn announce(hub: &Emulator, output: &Output) {
    let service = hub.service_connection_string();
    let (ids, partitions) = hub.with_hub(|hub, _| {
        let ids: Vec<String> = hub.devices().map(|device| device.id().to_string()).collect();
        (ids, hub.settings().partitions)
    });
    let devices: Vec<(String, String)> =
        ids.into_iter().filter_map(|id| hub.device_connection_string(&id).map(|string| (id, string))).collect();
    let ca = hub.ca_path().map(|path| path.display().to_string()).unwrap_or_default();
    let plain = hub.amqp_addr().map(|address| address.to_string());
    let mut story = format!("An IoT hub named {} listens on {} (AMQP over TLS).\n", hub.hostname(), hub.local_addr());
    story.push_str(&format!("HTTPS (REST, and AMQP over WebSockets) on {}.\n", hub.https_addr()));
    if let Some(note) = hub.https_note() {
        story.push_str(&format!("{note}\n"));
    }
    if let Some(address) = &plain {
        story.push_str(&format!("Plain AMQP, without TLS, on {address}.\n"));
    }
    story.push_str(&format!("Certificate authority: {ca}\nService: {service}\n"));
    for (id, string) in &devices {
        story.push_str(&format!("Device {id}: {string}\n"));
    }
    story.push_str("Ctrl-C ends it.");
    let devices: Vec<_> = devices.iter().map(|(id, string)| json!({"id": id, "connection_string": string})).collect();
    output.say(
        &story,
        &json!({
            "event": "ready",
            "hostname": hub.hostname(),
            "amqps": hub.local_addr().to_string(),
            "amqp": plain,
            "https": hub.https_addr().to_string(),
            "https_note": hub.https_note(),
            "ca": ca,
            "partitions": partitions,
            "service_connection_string": service,
            "event_hubs_connection_string": hub.event_hubs_connection_string(),
            "devices": devices,
        }),
    );
}

/// Ctrl-C, or the signal with which supervisors stop programs.
pub(crate) async fn interrupted() -> Result<(), Failure> {
    let cannot = |error: std::io::Error| Failure::new(format!("signals cannot be received: {error}"));
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
        tokio::select! {
            pressed = tokio::signal::ctrl_c() => pressed.map_err(cannot),
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.map_err(cannot)
}
