//! Commands that a service gives over HTTPS.

use crate::arguments::Hidden;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Registry {
    /// Create a device, or a module of one.
    Create(CreateOptions),
    /// List devices, or the modules of one.
    List(ListOptions),
    /// Show a device, or a module of one.
    Show(ShowOptions),
    /// Delete a device with its modules, or a module of one.
    Delete(DeleteOptions),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Twin {
    /// Show the twin of a device or a module.
    Get(TwinGetOptions),
    /// Merge tags and desired properties into a twin.
    Patch(TwinPatchOptions),
    /// Show a twin, and show it again whenever it has changed.
    Watch(TwinWatchOptions),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Method {
    /// Invoke a direct method and wait for the device's answer.
    Invoke(InvokeOptions),
}

/// Which hub over HTTPS, and as whom.
#[derive(Debug, Args)]
pub(crate) struct HttpsOptions {
    /// The connection string of a policy; "-" reads it from standard input. It is never printed.
    #[arg(long, env = "IOTHUB_CONNECTION_STRING", hide_env_values = true, value_name = "STRING")]
    pub(crate) connection_string: Option<Hidden>,
    /// The certificate authority of a hub on your own machine (PEM); the platform's trust store otherwise.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// The port of HTTPS; a port in the connection string is that of AMQP.
    #[arg(long, default_value_t = 443, env = "IOTHUB_HTTPS_PORT", value_name = "PORT")]
    pub(crate) https_port: u16,
    /// Print one JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A device or a module.
#[derive(Debug, Args)]
pub(crate) struct IdentityOptions {
    /// The device.
    #[arg(long, value_name = "ID")]
    pub(crate) device: String,
    /// The module of it.
    #[arg(long, value_name = "ID")]
    pub(crate) module: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum AuthType {
    /// Keys; the hub makes them if none are given.
    Sas,
    /// A certificate with a given thumbprint.
    SelfSigned,
    /// A certificate of an authority that the hub knows.
    CertificateAuthority,
    /// None: it cannot connect by itself.
    None,
}

#[derive(Debug, Args)]
pub(crate) struct CreateOptions {
    #[command(flatten)]
    pub(crate) hub: HttpsOptions,
    #[command(flatten)]
    pub(crate) identity: IdentityOptions,
    /// How it will show who it is.
    #[arg(long, value_enum, default_value_t = AuthType::Sas)]
    pub(crate) auth_type: AuthType,
    /// The first key, in Base64.
    #[arg(long, value_name = "BASE64KEY", requires = "secondary_key")]
    pub(crate) primary_key: Option<Hidden>,
    /// The second key, in Base64.
    #[arg(long, value_name = "BASE64KEY", requires = "primary_key")]
    pub(crate) secondary_key: Option<Hidden>,
    /// The thumbprint of its certificate: SHA-1 or SHA-256, in hexadecimal digits.
    #[arg(long, value_name = "HEX")]
    pub(crate) thumbprint: Option<String>,
    /// The thumbprint of its next certificate.
    #[arg(long, value_name = "HEX", requires = "thumbprint")]
    pub(crate) secondary_thumbprint: Option<String>,
    /// Create the device so that it may not connect yet.
    #[arg(long)]
    pub(crate) disabled: bool,
    /// Print its keys and its connection string.
    #[arg(long)]
    pub(crate) keys: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ListOptions {
    #[command(flatten)]
    pub(crate) hub: HttpsOptions,
    /// List the modules of this device.
    #[arg(long, value_name = "ID")]
    pub(crate) device: Option<String>,
    /// How many devices at most.
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) top: u32,
}

#[derive(Debug, Args)]
pub(crate) struct ShowOptions {
    #[command(flatten)]
    pub(crate) hub: HttpsOptions,
    #[command(flatten)]
    pub(crate) identity: IdentityOptions,
    /// Print its keys and its connection string.
    #[arg(long)]
    pub(crate) keys: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteOptions {
    #[command(flatten)]
    pub(crate) hub: HttpsOptions,
    #[command(flatten)]
    pub(crate) identity: IdentityOptions,
    /// Only if its ETag is still this one.
    #[arg(long, value_name = "ETAG")]
    pub(crate) if_match: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct TwinGetOptions {
    #[command(flatten)]
    pub(crate) hub: HttpsOptions,
    #[command(flatten)]
    pub(crate) identity: IdentityOptions,
}

#[derive(Debug, Args)]
pub(crate) struct TwinPatchOptions {
    #[command(flatten)]
    pub(crate) hub: HttpsOptions,
    #[command(flatten)]
    pub(crate) identity: IdentityOptions,
    /// Tags, as a JSON object; null removes one.
    #[arg(long, value_name = "JSON", required_unless_present = "desired")]
    pub(crate) tags: Option<String>,
    /// Desired properties, as a JSON object; null removes one.
    #[arg(long, value_name = "JSON")]
    pub(crate) desired: Option<String>,
    /// Replace all tags and desired properties instead of merging.
    #[arg(long)]
    pub(crate) replace: bool,
    /// Only if the twin's ETag is still this one.
    #[arg(long, value_name = "ETAG")]
    pub(crate) if_match: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct TwinWatchOptions {
    #[command(flatten)]
    pub(crate) hub: HttpsOptions,
    #[command(flatten)]
    pub(crate) identity: IdentityOptions,
    /// Milliseconds between two looks at the twin.
    #[arg(long, default_value_t = 1000, value_name = "MS", value_parser = clap::value_parser!(u64).range(10..))]
    pub(crate) interval: u64,
    /// Stop after this many versions.
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct InvokeOptions {
    #[command(flatten)]
    pub(crate) hub: HttpsOptions,
    #[command(flatten)]
    pub(crate) identity: IdentityOptions,
    /// The method.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,
    /// The payload of the call, as JSON.
    #[arg(long, default_value = "null", value_name = "JSON")]
    pub(crate) payload: String,
    /// How long the device may take, in seconds.
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(5..=300))]
    pub(crate) timeout: u64,
    /// How long to wait for a device that is not online, in seconds.
    #[arg(long, default_value_t = 0, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=300))]
    pub(crate) connect_timeout: u64,
}

#[derive(Debug, Args)]
pub(crate) struct QueryOptions {
    #[command(flatten)]
    pub(crate) hub: HttpsOptions,
    /// The query, such as "SELECT deviceId FROM devices WHERE tags.room = 'kitchen'".
    #[arg(value_name = "QUERY")]
    pub(crate) text: String,
    /// How many rows to ask for at a time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) page_size: Option<u32>,
    /// Stop after this many rows.
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
}
