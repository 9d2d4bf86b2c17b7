//! What can be asked for on the command line.

mod service;

pub(crate) use service::*;

use crate::uploads::UploadOptions;
use crate::{arguments::Hidden, listen::ListenOn, timing::TimingOptions};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Azure IoT Hub over AMQP 1.0: a hub on your own machine, and tools for any hub.
#[derive(Debug, Parser)]
#[command(name = "iothub", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// A hub, a service and devices in one process, over TLS: messages go out, feedback comes home.
    Demo(DemoOptions),
    /// Serve a hub on this machine until Ctrl-C.
    Emulator(Box<EmulatorOptions>),
    /// Cloud-to-device messages.
    #[command(subcommand)]
    C2d(C2d),
    /// Device-to-cloud messages.
    #[command(subcommand)]
    Telemetry(Telemetry),
    /// Act as a device.
    #[command(subcommand)]
    Device(Device),
    /// Devices and modules of a hub.
    #[command(subcommand)]
    Registry(Registry),
    /// Twins: what a service and a device say about the device.
    #[command(subcommand)]
    Twin(Twin),
    /// Direct methods of devices.
    #[command(subcommand)]
    Method(Method),
    /// Ask for devices, modules or twins, and print each row.
    Query(QueryOptions),
}

#[derive(Debug, Args)]
pub(crate) struct DemoOptions {
    /// How many devices.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) devices: u32,
    /// How many cloud-to-device messages, in all.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) messages: u32,
    /// Print one JSON object a line instead of a story.
    #[arg(long)]
    pub(crate) json: bool,
    /// Give up when nothing has moved for this many seconds.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub(crate) patience: u64,
    /// Let the hub lose this many messages that it has accepted: the ledger must notice.
    #[arg(long, default_value_t = 0, hide = true)]
    pub(crate) lose: u32,
}

#[derive(Debug, Args)]
pub(crate) struct EmulatorOptions {
    /// Where to serve AMQP over TLS: names or addresses, repeated or with commas between them; port 0 takes a free one.
    /// Unless given, port 5671 of 127.0.0.1 and, where there is IPv6, of ::1.
    #[arg(long, value_delimiter = ',', value_name = "HOST:PORT")]
    pub(crate) listen: Vec<ListenOn>,
    /// Where to serve plain AMQP as well.
    #[arg(long, value_delimiter = ',', value_name = "HOST:PORT")]
    pub(crate) amqp_listen: Vec<ListenOn>,
    /// Where to serve HTTPS: REST, and AMQP over WebSockets. Unless given, the hosts of --listen at port 443, or at a free
    /// port where that cannot be had.
    #[arg(long, value_delimiter = ',', value_name = "HOST:PORT")]
    pub(crate) https_listen: Vec<ListenOn>,
    /// A further name or IP address for the server's certificate. The host name, what --listen names, localhost,
    /// 127.0.0.1 and ::1 are always in it.
    #[arg(long = "certificate-name", value_delimiter = ',', value_name = "NAME")]
    pub(crate) certificate_names: Vec<String>,
    /// The name of the hub; its first label is the hub's short name.
    #[arg(long, default_value = "localhost", value_name = "NAME")]
    pub(crate) hostname: String,
    /// A shared access policy; well-known names get their well-known rights.
    #[arg(long = "policy", value_name = "NAME=BASE64KEY")]
    pub(crate) policies: Vec<Hidden>,
    /// A device, by its key; ID=x509:THUMBPRINT or ID=x509:THUMBPRINT,THUMBPRINT by its certificate, ID=x509:ca by one of an authority of --x509-ca.
    #[arg(long = "device", value_name = "ID=BASE64KEY")]
    pub(crate) devices: Vec<Hidden>,
    /// A file with devices: a JSON array of {"deviceId", "primaryKey", "secondaryKey"?, "status"?, "modules"?}, or with
    /// "authentication" as in REST in place of the keys; "modules" is an array of the same with "moduleId".
    #[arg(long = "devices", value_name = "FILE")]
    pub(crate) devices_file: Option<PathBuf>,
    /// How many partitions telemetry is spread over.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=32))]
    pub(crate) partitions: u32,
    /// A consumer group of the built-in endpoint beside $Default.
    #[arg(long = "consumer-group", value_delimiter = ',', value_name = "NAME")]
    pub(crate) consumer_groups: Vec<String>,
    /// Bound what the hub does in a second and in a day as a hub of this tier does: free, basic, s1, s2, s3.
    #[arg(long, value_name = "TIER")]
    pub(crate) tier: Option<iothub_emulator::hub::Tier>,
    /// How many units of the tier.
    #[arg(long, default_value_t = 1, requires = "tier", value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(crate) units: u32,
    /// Which events of the hub itself appear at the built-in endpoint.
    #[arg(long, value_delimiter = ',', value_name = "KIND")]
    pub(crate) events: Vec<HubEvents>,
    /// Where the certificate authority and the keys of policies are kept; a later start with the same folder keeps them.
    #[arg(long, value_name = "DIR")]
    pub(crate) ca_dir: Option<PathBuf>,
    /// A certificate authority (PEM) that issues the certificates of devices; the common name is the device's id.
    #[arg(long, value_name = "FILE")]
    pub(crate) x509_ca: Vec<PathBuf>,
    /// Refuse certificates of an authority over WebSockets, as older pages of the service's documentation have it.
    #[arg(long)]
    pub(crate) websocket_refuses_ca: bool,
    /// Print one JSON line when ready.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) timing: TimingOptions,
    #[command(flatten)]
    pub(crate) uploads: UploadOptions,
}

/// Events of the hub itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HubEvents {
    /// Devices and modules connect and disconnect.
    ConnectionState,
    /// Devices and modules are registered and removed.
    Lifecycle,
    /// Twins change.
    TwinChanges,
}

#[derive(Debug, Subcommand)]
pub(crate) enum C2d {
    /// Send a message to a device.
    Send(SendOptions),
    /// Print what became of messages, as it comes.
    Feedback(FeedbackOptions),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Telemetry {
    /// Print what devices send, as it comes.
    Monitor(MonitorOptions),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Device {
    /// Send telemetry, settle cloud-to-device messages, answer direct methods, and report what the twin wants.
    Simulate(SimulateOptions),
}

/// Which hub, and as whom.
#[derive(Debug, Args)]
pub(crate) struct HubOptions {
    /// The connection string; "-" reads it from standard input. It is never printed.
    #[arg(long, env = "IOTHUB_CONNECTION_STRING", hide_env_values = true, value_name = "STRING")]
    pub(crate) connection_string: Option<Hidden>,
    /// The certificate authority of a hub on your own machine (PEM); the platform's trust store otherwise.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// How to authenticate.
    #[arg(long, value_enum, default_value_t = AuthMethod::Cbs)]
    pub(crate) auth: AuthMethod,
    /// Print one JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum AuthMethod {
    /// Claims-based security: a token that is renewed.
    Cbs,
    /// SASL PLAIN: one token for the connection's life.
    Plain,
}

impl From<AuthMethod> for iothub::Auth {
    fn from(method: AuthMethod) -> Self {
        match method {
            AuthMethod::Cbs => Self::Cbs,
            AuthMethod::Plain => Self::SaslPlain,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum AckMode {
    /// No feedback.
    None,
    /// Feedback when the device completes the message.
    Positive,
    /// Feedback when it does not.
    Negative,
    /// Feedback either way.
    Full,
}

#[derive(Debug, Args)]
pub(crate) struct SendOptions {
    #[command(flatten)]
    pub(crate) hub: HubOptions,
    /// The device.
    #[arg(long, value_name = "ID")]
    pub(crate) device: String,
    /// The body.
    #[arg(long, value_name = "TEXT")]
    pub(crate) body: String,
    /// Which feedback to ask for.
    #[arg(long, value_enum, default_value_t = AckMode::Full)]
    pub(crate) ack: AckMode,
    /// The message's id; made up if there is none.
    #[arg(long, value_name = "ID")]
    pub(crate) message_id: Option<String>,
    /// An application property.
    #[arg(long = "property", value_name = "NAME=VALUE")]
    pub(crate) properties: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct FeedbackOptions {
    #[command(flatten)]
    pub(crate) hub: HubOptions,
    /// Stop after this many records.
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct MonitorOptions {
    #[command(flatten)]
    pub(crate) hub: HubOptions,
    /// The consumer group.
    #[arg(long, default_value = "$Default", value_name = "NAME")]
    pub(crate) consumer_group: String,
    /// Which partitions; all of them if none is given.
    #[arg(long = "partition", value_name = "N")]
    pub(crate) partitions: Vec<u32>,
    /// Where to begin: start, latest, offset:N, sequence:N, or time:MILLISECONDS since 1970.
    #[arg(long, default_value = "latest", value_name = "POSITION")]
    pub(crate) from: String,
    /// Stop after this many events.
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct SimulateOptions {
    #[command(flatten)]
    pub(crate) hub: HubOptions,
    /// How many telemetry messages to send; without end if not given.
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Milliseconds between them.
    #[arg(long, default_value_t = 1000, value_name = "MS")]
    pub(crate) interval: u64,
    /// What to do with cloud-to-device messages.
    #[arg(long, value_enum, default_value_t = Settle::Complete)]
    pub(crate) settle: Settle,
    /// Act as this module of the device; for connection strings that do not name one.
    #[arg(long, value_name = "ID")]
    pub(crate) module: Option<String>,
    /// The module's output that telemetry goes to.
    #[arg(long, value_name = "NAME")]
    pub(crate) output: Option<String>,
    /// The status that direct methods are answered with; the payload is what was asked.
    #[arg(long, default_value_t = 200, value_name = "STATUS")]
    pub(crate) method_status: i32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Settle {
    /// Complete them.
    Complete,
    /// Reject them.
    Reject,
    /// Abandon them once, then complete them.
    AbandonOnce,
}
