//! `iothub emulator`: serve a hub until Ctrl-C.

use crate::{
    announce::announce,
    arguments::Hidden,
    cli::{EmulatorOptions, HubEvents},
    connect::named_key,
    failure::Failure,
    output::Output,
};
use iothub_emulator::hub::Scale;
use iothub_emulator::{Emulator, EmulatorBuilder};
use serde_json::json;
use std::{path::Path, process::ExitCode};

/// Most SDKs use no other port for HTTPS.
const HTTPS_PORT: u16 = 443;

/// Where the official SDKs look for a hub.
const AMQPS_PORT: u16 = 5671;

pub(crate) async fn run(options: EmulatorOptions) -> Result<ExitCode, Failure> {
    // Before anything is there that would stay behind.
    let mut interruption = Interruption::catch()?;
    let output = Output::new(options.json);
    // Without a folder of one's own the authority lives as long as the hub.
    let temporary = match &options.ca_dir {
        Some(_) => None,
        None => Some(tempfile::tempdir().map_err(|error| Failure::new(format!("no temporary folder: {error}")))?),
    };
    let ca_dir = options.ca_dir.as_deref().or_else(|| temporary.as_ref().map(|folder| folder.path()));
    let hub = tokio::select! {
        hub = start(&options, ca_dir) => hub?,
        caught = interruption.next() => return caught.map(|()| ExitCode::SUCCESS),
    };
    announce(&hub, AMQPS_PORT, &output);
    interruption.next().await?;
    output.say("Closing.", &json!({"event": "closing"}));
    tokio::select! {
        () = hub.shutdown() => {}
        // A user who asks twice does not want to wait for clients.
        caught = interruption.next() => caught?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn start(options: &EmulatorOptions, ca_dir: Option<&Path>) -> Result<Emulator, Failure> {
    let mut builder =
        Emulator::builder().hostname(&options.hostname).partitions(options.partitions).settings(|settings| {
            options.timing.apply(settings);
            options.uploads.apply(settings);
            settings.scale = options.tier.map(|tier| Scale { tier, units: options.units });
            settings.events.connection_state = options.events.contains(&HubEvents::ConnectionState);
            settings.events.lifecycle = options.events.contains(&HubEvents::Lifecycle);
            settings.events.twin_changes = options.events.contains(&HubEvents::TwinChanges);
            settings.https.websocket_refuses_ca = options.websocket_refuses_ca;
        });
    if let Some(directory) = ca_dir {
        builder = builder.ca_dir(directory);
    }
    for name in &options.consumer_groups {
        builder = builder.consumer_group(name);
    }
    for file in &options.x509_ca {
        builder = builder.device_ca_file(file);
    }
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
        builder = with_device(builder, device)?;
    }
    if let Some(file) = &options.devices_file {
        builder = builder.devices_file(file);
    }
    builder.start().await.map_err(|error| Failure::new(format!("the emulator does not start: {error}")))
}

/// A device of the command line.
fn with_device(builder: EmulatorBuilder, device: &Hidden) -> Result<EmulatorBuilder, Failure> {
    if device.expose().contains("=x509:") {
        let spec = device.expose().parse().map_err(|error| Failure::usage(format!("--device: {error}")))?;
        return Ok(builder.device_spec(spec));
    }
    let (id, key) = named_key(device, "device", "ID")?;
    Ok(builder.device(id, key))
}

/// Ctrl-C, or the signal with which supervisors stop programs. Both are caught as soon as this exists.
pub(crate) struct Interruption {
    #[cfg(unix)]
    signals: [tokio::signal::unix::Signal; 2],
}

impl Interruption {
    #[cfg(unix)]
    pub(crate) fn catch() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let cannot = |error: std::io::Error| Failure::new(format!("signals cannot be received: {error}"));
        let interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
        let terminate = signal(SignalKind::terminate()).map_err(cannot)?;
        Ok(Self { signals: [interrupt, terminate] })
    }

    #[cfg(not(unix))]
    pub(crate) fn catch() -> Result<Self, Failure> {
        Ok(Self {})
    }

    /// Waits for the next one.
    #[cfg(unix)]
    pub(crate) async fn next(&mut self) -> Result<(), Failure> {
        let [interrupt, terminate] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    }

    #[cfg(not(unix))]
    pub(crate) async fn next(&mut self) -> Result<(), Failure> {
        let pressed = tokio::signal::ctrl_c().await;
        pressed.map_err(|error| Failure::new(format!("signals cannot be received: {error}")))
    }
}

/// Waits for an [`Interruption`].
pub(crate) async fn interrupted() -> Result<(), Failure> {
    Interruption::catch()?.next().await
}
