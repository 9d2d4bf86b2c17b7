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
use iothub_emulator::{CaError, Emulator, EmulatorBuilder, StartError};
use serde_json::json;
use std::{io, path::Path, process::ExitCode};

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
    let started = builder(options, ca_dir)?.start().await;
    started.map_err(|error| Failure::new(format!("the emulator does not start: {}", with_option(&error, options))))
}

/// An error with the option that it is about.
fn with_option(error: &StartError, options: &EmulatorOptions) -> String {
    match error {
        StartError::Bind { place, source } if source.kind() == io::ErrorKind::AddrInUse => {
            let option = match place.rsplit_once(':').map(|(_, port)| port.parse()) {
                Some(Ok(AMQPS_PORT)) => "--listen",
                _ if options.https_listen.is_empty() && options.amqp_listen.is_empty() => "--listen",
                _ => "--listen, --https-listen or --amqp-listen",
            };
            format!(
                "{error}; another program, perhaps another emulator, listens there: give another address with {option}, such as \
                 127.0.0.2:{AMQPS_PORT}, and --hostname 127.0.0.2 for clients to find it"
            )
        }
        StartError::DevicesFile { .. } | StartError::DevicesFileContent { .. } => format!("--devices: {error}"),
        StartError::DeviceCa(_) => format!("--x509-ca: {error}"),
        StartError::Ca(CaError::Certificate(_)) => format!("--hostname or --certificate-name: {error}"),
        StartError::Ca(_) if options.ca_dir.is_some() => format!("--ca-dir: {error}"),
        _ => error.to_string(),
    }
}

/// The hub that was asked for.
fn builder(options: &EmulatorOptions, ca_dir: Option<&Path>) -> Result<EmulatorBuilder, Failure> {
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
    Ok(builder)
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
        let cannot = |error: io::Error| Failure::new(format!("signals cannot be received: {error}"));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;
    use iothub_emulator::hub::{Settings, Tier};
    use std::time::Duration;

    fn parsed(options: &[&str]) -> EmulatorOptions {
        let cli = Cli::try_parse_from(["iothub", "emulator"].iter().chain(options)).expect("options");
        let Command::Emulator(options) = cli.command else { panic!("another command") };
        *options
    }

    fn settings(options: &[&str]) -> Settings {
        let mut found = None;
        let built =
            builder(&parsed(options), None).map(|builder| builder.settings(|settings| found = Some(settings.clone())));
        assert!(built.is_ok());
        found.expect("settings")
    }

    #[test]
    fn every_option_reaches_the_setting_of_its_name() {
        let settings = settings(&[
            "--hostname",
            "hub.example",
            "--partitions",
            "7",
            "--consumer-group",
            "first,second",
            "--consumer-group",
            "third",
            "--tier",
            "s2",
            "--units",
            "3",
            "--websocket-refuses-ca",
            "--feedback-delay",
            "1s",
            "--feedback-lock",
            "2s",
            "--feedback-ttl",
            "3s",
            "--feedback-max-delivery-count",
            "4",
            "--c2d-lock",
            "5s",
            "--c2d-ttl",
            "6s",
            "--c2d-max-delivery-count",
            "8",
            "--c2d-count-lock-expiry",
            "--token-clock-skew",
            "9s",
            "--no-file-notifications",
            "--upload-storage",
            "11",
            "--upload-ttl",
            "12s",
            "--blob-endpoint",
            "https://blobs.example/files?sig=x",
        ]);
        let seconds = Duration::from_secs;
        assert_eq!((&*settings.host_name, settings.partitions), ("hub.example", 7));
        for group in ["first", "second", "third", "$Default"] {
            assert!(settings.is_consumer_group(group), "{group}");
        }
        assert_eq!(settings.scale, Some(Scale { tier: Tier::S2, units: 3 }));
        assert!(settings.https.websocket_refuses_ca);
        let feedback = &settings.feedback;
        assert_eq!((feedback.batch_delay, feedback.lock, feedback.ttl), (seconds(1), seconds(2), seconds(3)));
        assert_eq!(feedback.max_delivery_count, 4);
        let c2d = &settings.cloud_to_device;
        assert_eq!((c2d.lock, c2d.default_ttl), (seconds(5), seconds(6)));
        assert_eq!((c2d.max_delivery_count, c2d.count_lock_expiry), (8, true));
        assert_eq!(settings.token_clock_skew, seconds(9));
        let uploads = &settings.file_uploads;
        assert_eq!((uploads.notifications, uploads.max_storage), (false, 11 * 1024 * 1024));
        assert_eq!(uploads.sas_ttl, seconds(12));
        assert_eq!(uploads.blob_endpoint, "https://blobs.example/files?sig=x".parse().ok());
    }

    #[test]
    fn each_kind_of_event_is_switched_on_by_its_name() {
        for (events, expected) in [
            (&[][..], (false, false, false)),
            (&["--events", "connection-state"], (true, false, false)),
            (&["--events", "lifecycle"], (false, true, false)),
            (&["--events", "twin-changes"], (false, false, true)),
            (&["--events", "connection-state,lifecycle,twin-changes"], (true, true, true)),
        ] {
            let on = settings(events).events;
            assert_eq!((on.connection_state, on.lifecycle, on.twin_changes), expected, "{events:?}");
        }
    }

    #[test]
    fn each_tier_has_its_name_and_units_need_one() {
        assert_eq!(settings(&[]).scale, None);
        for (name, tier) in
            [("free", Tier::Free), ("basic", Tier::Basic), ("s1", Tier::S1), ("s2", Tier::S2), ("s3", Tier::S3)]
        {
            assert_eq!(settings(&["--tier", name]).scale, Some(Scale { tier, units: 1 }));
        }
        assert!(Cli::try_parse_from(["iothub", "emulator", "--units", "2"]).is_err());
    }

    #[tokio::test]
    async fn what_keeps_the_hub_from_starting_names_the_option_that_helps() {
        let folder = tempfile::tempdir().expect("a folder");
        let refused = async |options: &[&str]| {
            let options = parsed(options);
            match start(&options, options.ca_dir.as_deref()).await {
                Ok(_) => panic!("it starts"),
                Err(failure) => failure.to_string(),
            }
        };
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let place = taken.local_addr().expect("an address").to_string();
        let text = refused(&["--listen", &place]).await;
        assert!(text.contains(&place) && text.contains("--listen") && text.contains("--hostname"), "{text}");
        let here = ["--listen", "127.0.0.1:0", "--https-listen", "127.0.0.1:0"];
        let text = refused(&[&here[..], &["--devices", "missing-devices.json"]].concat()).await;
        assert!(text.contains("--devices: missing-devices.json"), "{text}");
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("written");
        let text = refused(&[&here[..], &["--ca-dir", file.to_str().expect("text")]].concat()).await;
        assert!(text.contains("--ca-dir: "), "{text}");
    }

    #[tokio::test]
    async fn names_of_the_certificate_and_authorities_of_devices_reach_the_hub() {
        let folder = tempfile::tempdir().expect("a folder");
        let here = ["--listen", "127.0.0.1:0", "--https-listen", "127.0.0.1:0"];
        let with = |more: &[&str]| parsed(&[&here[..], more].concat());
        let hub = start(&with(&["--certificate-name", "one.example,two.example"]), Some(folder.path())).await;
        let Ok(hub) = hub else { panic!("it starts") };
        for name in ["one.example", "two.example"] {
            assert!(hub.with_hub(|hub, _| hub.settings().is_host(name)), "{name}");
        }
        let ca = hub.ca_path().expect("a file").display().to_string();
        // One that is an authority is taken; a file that is missing is noticed, so the files are read.
        let taken = start(&with(&["--x509-ca", &ca]), None).await;
        assert!(taken.is_ok());
        let missing = start(&with(&["--x509-ca", &ca, "--x509-ca", "missing-authority.pem"]), None).await;
        assert!(missing.is_err_and(|failure| failure.to_string().contains("missing-authority.pem")));
    }
}
