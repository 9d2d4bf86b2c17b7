//! The command line, which the suite defines.

use crate::large::Content;
use clap::{Args, Parser, Subcommand};
use serde_json::Value as Json;
use std::time::Duration;

/// `Json` takes texts for JSON strings otherwise.
fn json(text: &str) -> Result<Json, serde_json::Error> {
    text.parse()
}

/// The shim of Apache Qpid Interop Test on amqp1.
#[derive(Parser)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Sends messages, and waits until each is accepted.
    Send(Send),
    /// Receives messages, and prints them.
    Receive(Receive),
}

#[derive(Args)]
pub(crate) struct Peer {
    /// amqp://HOST:PORT, or HOST:PORT.
    #[arg(long)]
    broker: String,
    /// The address of the queue.
    #[arg(long)]
    pub(crate) queue: String,
}

impl Peer {
    pub(crate) fn url(&self) -> String {
        if self.broker.contains("://") { self.broker.clone() } else { format!("amqp://{}", self.broker) }
    }
}

#[derive(Args)]
pub(crate) struct Send {
    #[command(flatten)]
    pub(crate) peer: Peer,
    /// The type of the bodies.
    #[arg(long = "type", default_value = "string")]
    pub(crate) kind: String,
    /// How many messages there are, which `--data` says as well.
    #[arg(long)]
    count: Option<u32>,
    /// The messages: index, type and value of each.
    #[arg(long, value_parser = json)]
    pub(crate) data: Option<Json>,
    /// Send what JMS clients send.
    #[arg(long)]
    pub(crate) jms_mode: bool,
    /// JMS headers.
    #[arg(long, value_parser = json)]
    pub(crate) headers: Option<Json>,
    /// Application properties.
    #[arg(long, value_parser = json)]
    pub(crate) properties: Option<Json>,
    /// Fields of the header section.
    #[arg(long, value_parser = json)]
    pub(crate) message_header: Option<Json>,
    #[command(flatten)]
    pub(crate) content: Option<Content>,
}

#[derive(Args)]
pub(crate) struct Receive {
    #[command(flatten)]
    pub(crate) peer: Peer,
    /// How many messages are wanted.
    #[arg(long, default_value_t = 1)]
    pub(crate) count: u32,
    /// How many seconds all of it may take.
    #[arg(long, default_value_t = 30)]
    timeout: u64,
    #[command(flatten)]
    pub(crate) content: Option<Content>,
}

impl Receive {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}
