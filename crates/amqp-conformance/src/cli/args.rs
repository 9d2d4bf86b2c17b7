//! The options of the command line.

use crate::{
    decode::Form,
    run::{FailOn, Level, Selection, Selector},
    server::PasswordMechanism,
};
use clap::{Args as ArgGroup, Parser, Subcommand, ValueEnum};
use std::{fmt, net::SocketAddr, path::PathBuf};

/// Tells how well an AMQP 1.0 server or client keeps the specification.
///
/// Exit codes: 0 as expected, 1 something failed, 2 usage, 3 the peer cannot be reached, 4 the peer crashed or hangs, 130
/// interrupted.
#[derive(Debug, Parser)]
#[command(name = "amqp-conformance", version)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Judges a broker, a service, or anything else that listens.
    Server(ServerArgs),
    /// Judges a client: a command that is run for each case, or a program that walks through the cases.
    Client(ClientArgs),
    /// Lists the cases, or the profiles.
    List(ListArgs),
    /// Prints the frames in hexadecimal digits, in a trace of Qpid Proton (PN_TRACE_FRM), or in a capture of packets.
    Decode(DecodeArgs),
    /// Works on reports that were written with --json.
    #[command(subcommand)]
    Report(ReportCommand),
}

/// A password, which is not shown.
#[derive(Clone)]
pub(super) struct Password(pub(super) String);

impl From<String> for Password {
    fn from(password: String) -> Self {
        Self(password)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[derive(Debug, ArgGroup)]
pub(super) struct ServerArgs {
    /// The server, also as amqp://HOST or amqps://HOST; a profile may name it instead.
    #[arg(value_name = "HOST:PORT")]
    pub(super) server: Option<String>,
    /// A known broker, or the path of a profile: address, credentials, node, and expected failures.
    #[arg(long, value_name = "NAME")]
    pub(super) profile: Option<String>,
    /// An existing queue that the tool may fill and empty. It must be empty, or given with --purge. With --jobs, --node is
    /// given once for each job: a comma is a part of the address.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) node: Vec<String>,
    /// Removes the messages of the node before the run: up to 100,000, within four times the --timeout.
    #[arg(long)]
    pub(super) purge: bool,
    /// The user. Without it, that of the profile, or SASL ANONYMOUS.
    #[arg(long, env = "AMQP_CONFORMANCE_USER")]
    pub(super) user: Option<String>,
    /// The password. It is in no log, report or script; in the environment it is not seen in the list of processes.
    #[arg(long, env = "AMQP_CONFORMANCE_PASSWORD", hide_env_values = true)]
    pub(super) password: Option<Password>,
    /// The SASL mechanism of the user and the password: PLAIN, SCRAM-SHA-1, SCRAM-SHA-256 or SCRAM-SHA-512. Without it,
    /// PLAIN if the server offers it, or else the strongest SCRAM.
    #[arg(long, value_name = "NAME", conflicts_with = "no_sasl")]
    pub(super) mechanism: Option<PasswordMechanism>,
    /// Connects with TLS; the server's certificate must be valid for HOST.
    #[arg(long)]
    pub(super) tls: bool,
    /// The authorities that are trusted, in PEM; without it, those of the system.
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
    /// Trusts every certificate. Every report says so.
    #[arg(long, conflicts_with = "ca")]
    pub(super) insecure: bool,
    /// Connects with WebSocket, sub-protocol `amqp`, to this path.
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, default_missing_value = "/")]
    pub(super) ws: Option<String>,
    /// A command for the shell that restarts the server: opens the cases of durability. It ends within a minute, after the
    /// old process has ended.
    #[arg(long, value_name = "COMMAND")]
    pub(super) restart: Option<String>,
    /// Begins with the AMQP header, without SASL.
    #[arg(long, conflicts_with = "user")]
    pub(super) no_sasl: bool,
    #[command(flatten)]
    pub(super) run: RunArgs,
}

#[derive(Debug, ArgGroup)]
pub(super) struct ClientArgs {
    /// The address at which the tool listens. With port 0, each case has a free port of its own. Without COMMAND, the
    /// control address.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(super) listen: SocketAddr,
    /// The certificates of the listener, in PEM: the client connects with TLS.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(super) tls_cert: Option<PathBuf>,
    /// The private key of the listener's certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(super) tls_key: Option<PathBuf>,
    /// Clients connect with WebSocket, sub-protocol `amqp`, at any path: the scheme of {url} is `ws`.
    #[arg(long)]
    pub(super) ws: bool,
    /// Writes every field of the frames that lead to a case, for clients that cannot read lists whose null fields at the
    /// end are left out. Octets that a case is about are not changed.
    #[arg(long)]
    pub(super) whole_lists: bool,
    /// The command that runs the client once, with {url}, {address}, {scenario} and {count} in its arguments. Without it,
    /// the tool serves each case at a port of its own, and list and report at --listen.
    #[arg(last = true, value_name = "COMMAND")]
    pub(super) command: Vec<String>,
    /// A known client, or the path of a profile: its command, and expected failures.
    #[arg(long, value_name = "NAME")]
    pub(super) profile: Option<String>,
    #[command(flatten)]
    pub(super) run: RunArgs,
}

#[derive(Debug, ArgGroup)]
#[command(next_help_heading = "Cases")]
pub(super) struct SelectArgs {
    /// Only these cases: the beginning of an id, a pattern with `*` and `?`, or a tag; repeated or separated by commas.
    #[arg(long, value_name = "SELECTOR", value_delimiter = ',')]
    pub(super) only: Vec<Selector>,
    /// Not these cases.
    #[arg(long, value_name = "SELECTOR", value_delimiter = ',')]
    pub(super) exclude: Vec<Selector>,
    /// The rules that are judged: must, should or strict.
    #[arg(long, default_value = "should")]
    pub(super) level: Level,
    /// Runs hostile cases too: they may stop a peer that does not defend itself.
    #[arg(long)]
    pub(super) robustness: bool,
    /// Runs the cases that take more than five seconds too.
    #[arg(long)]
    pub(super) slow: bool,
}

impl SelectArgs {
    pub(super) fn selection(&self, restart: bool) -> Selection {
        Selection {
            level: self.level,
            robustness: self.robustness,
            slow: self.slow,
            restart,
            only: self.only.clone(),
            exclude: self.exclude.clone(),
        }
    }
}

#[derive(Debug, ArgGroup)]
#[command(next_help_heading = "Run")]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) select: SelectArgs,
    /// Lists the cases that would run, and connects to nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Runs this case alone, and writes a script of its conversation to standard output.
    #[arg(long, value_name = "ID")]
    pub(super) repro: Option<String>,
    /// Runs a script that --repro has written, and tells where the peer answers otherwise.
    #[arg(long, value_name = "FILE", conflicts_with = "repro")]
    pub(super) replay: Option<PathBuf>,
    /// The number of cases that run at the same time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(super) jobs: u16,
    /// The time in seconds within which a case must be over; slow ones have four times as long.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(super) timeout: std::time::Duration,
    /// The longest time in seconds that is waited for one answer; a profile may ask for more.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub(super) patience: std::time::Duration,
    /// Stops at the first case that fails.
    #[arg(long)]
    pub(super) fail_fast: bool,
    /// Goes on after the peer has crashed, though it does not come back within ten seconds.
    #[arg(long)]
    pub(super) keep_going: bool,
    /// The least verdict at which the exit code is not 0.
    #[arg(long, value_name = "VERDICT", default_value = "fail")]
    pub(super) fail_on: FailOnArg,
    /// The name of the peer in reports; without it, the product and version of its open.
    #[arg(long, value_name = "NAME")]
    pub(super) peer_name: Option<String>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, ArgGroup)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// Writes the report as JSON.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Writes the report as JUnit XML.
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,
    /// Writes the report as one HTML page.
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// An earlier report in JSON: only what has changed is shown, and only what fails now and did not before changes the
    /// exit code.
    #[arg(long, value_name = "FILE")]
    pub(super) baseline: Option<PathBuf>,
    /// A file of expected failures with their reasons, in TOML; they do not change the exit code.
    #[arg(long, value_name = "FILE")]
    pub(super) expected: Option<PathBuf>,
    /// Shows every case, not only those that do not pass.
    #[arg(long, short)]
    pub(super) verbose: bool,
    /// Shows no progress: neither the bar in a terminal, nor the line every ten seconds elsewhere.
    #[arg(long, short)]
    pub(super) quiet: bool,
}

#[derive(Debug, ArgGroup)]
pub(super) struct ListArgs {
    /// Tells everything about one case or row: the rule, the frames, the wanted answer.
    #[arg(long, value_name = "ID", conflicts_with = "coverage")]
    pub(super) explain: Option<String>,
    /// Tells which rows of the checklist have a case in each role, and the reasons of the others.
    #[arg(long)]
    pub(super) coverage: bool,
    /// Names the profiles with the role of their peer, or prints one: how the peer is set up, and its expected failures.
    #[arg(long, value_name = "NAME", num_args = 0..=1, conflicts_with_all = ["explain", "coverage", "only", "exclude"])]
    pub(super) profiles: Option<Option<String>>,
    /// Only these cases: the beginning of an id, a pattern with `*` and `?`, or a tag.
    #[arg(long, value_name = "SELECTOR", value_delimiter = ',')]
    pub(super) only: Vec<Selector>,
    /// Not these cases.
    #[arg(long, value_name = "SELECTOR", value_delimiter = ',')]
    pub(super) exclude: Vec<Selector>,
}

#[derive(Debug, Subcommand)]
pub(super) enum ReportCommand {
    /// Puts several peers side by side in one HTML page, written to standard output unless --html is given.
    Merge(MergeArgs),
}

#[derive(Debug, ArgGroup)]
pub(super) struct MergeArgs {
    /// The reports, in JSON.
    #[arg(required = true, value_name = "FILE")]
    pub(super) reports: Vec<PathBuf>,
    /// Writes the page to a file.
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Writes the summary as a table in Markdown.
    #[arg(long, value_name = "FILE")]
    pub(super) markdown: Option<PathBuf>,
    /// Leaves out how a peer can be stopped (verdicts hung and crashed), and says how many results these were.
    #[arg(long)]
    pub(super) withhold: bool,
}

#[derive(Debug, ArgGroup)]
pub(super) struct DecodeArgs {
    /// The input; standard input without it.
    #[arg(value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// The form of the input; told by its beginning without it.
    #[arg(long)]
    pub(super) form: Option<FormArg>,
    /// A port of AMQP: connections to it are decoded though their beginning was not captured.
    #[arg(long)]
    pub(super) port: Option<u16>,
    /// Shows the passwords of SASL PLAIN, other responses, and the tokens of claims-based security.
    #[arg(long)]
    pub(super) show_secrets: bool,
}

/// `--form`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum FormArg {
    Hex,
    Trace,
    Pcap,
}

impl From<FormArg> for Form {
    fn from(arg: FormArg) -> Self {
        match arg {
            FormArg::Hex => Self::Hex,
            FormArg::Trace => Self::Trace,
            FormArg::Pcap => Self::Pcap,
        }
    }
}

/// `--fail-on`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum FailOnArg {
    PassWider,
    Unreachable,
    Warn,
    Fail,
    Hung,
    Crashed,
    Never,
}

impl From<FailOnArg> for FailOn {
    fn from(arg: FailOnArg) -> Self {
        match arg {
            FailOnArg::PassWider => Self::PassWider,
            FailOnArg::Unreachable => Self::Unreachable,
            FailOnArg::Warn => Self::Warn,
            FailOnArg::Fail => Self::Fail,
            FailOnArg::Hung => Self::Hung,
            FailOnArg::Crashed => Self::Crashed,
            FailOnArg::Never => Self::Never,
        }
    }
}

fn seconds(text: &str) -> Result<std::time::Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| String::from("it is not a number of seconds"))?;
    if !(0.01..=86_400.0).contains(&seconds) {
        return Err(String::from("it must be between 0.01 and 86400 seconds"));
    }
    Ok(std::time::Duration::from_secs_f64(seconds))
}
