//! A small broker in memory: `cargo run -p amqp1 --example broker -- [ADDR:PORT]`; `--help` lists its options.
//!
//! Each address is a queue, made when a client first attaches to it, or a topic. A message is gone when a consumer has
//! accepted it; one that is rejected goes to the queue `dead-letters`. SIGTERM, ctrl-C, or the end of a pipe on its
//! standard input end the broker; the messages that it still has are lost then, and counted.

mod attach;
mod broker;
mod clock;
mod consumer;
mod incoming;
mod left;
mod outgoing;
mod queue;
pub(crate) mod server;
mod termini;
mod topic;
mod transactions;
mod users;
mod waiting;

use amqp1::link::DEFAULT_MAX_MESSAGE_SIZE;
use clap::Parser;
use std::{error::Error, io, path::PathBuf, process::ExitCode};
use tokio::{net::TcpListener, sync::oneshot};

/// A small broker in memory.
///
/// It serves queues, which are made when a client attaches to their address, and topics, at addresses that begin with
/// topic:// or by the capability "topic" of JMS. Consumers may have message selectors and no-local filters, browse
/// (distribution mode copy), and have durable subscriptions to topics. Clients may ask for dynamic nodes, send through the
/// anonymous relay, use transactions, and resume links. Rejected messages go to the queue dead-letters.
///
/// It ends on SIGTERM, ctrl-C, or at the end of a pipe on its standard input, and loses the messages that it has.
#[derive(Clone, Parser)]
pub(crate) struct Options {
    /// Where to listen; port 0 is any free port. The first line on the standard output says which.
    #[arg(default_value = "127.0.0.1:5672")]
    pub(crate) address: String,
    /// Requires SASL PLAIN with this user and password. Without it everyone is let in.
    #[arg(long, value_name = "USER:PASS")]
    pub(crate) sasl_plain: Option<String>,
    /// Requires SASL SCRAM with this user and password; with --sasl-plain besides, either of both.
    #[arg(long, value_name = "USER:PASS")]
    pub(crate) sasl_scram: Option<String>,
    /// Offers ANONYMOUS alone where everyone is let in. Without it PLAIN is offered as well, since some clients know nothing
    /// else.
    #[arg(long)]
    pub(crate) only_anonymous: bool,
    /// Begins every connection with TLS, with this certificate chain and key, in PEM.
    #[arg(long, num_args = 2, value_names = ["CERT", "KEY"])]
    pub(crate) tls: Vec<PathBuf>,
    /// Honours the wish of senders for receiver-settle-mode second. Without it they are answered with first, since
    /// some senders ask for second and never settle.
    #[arg(long)]
    pub(crate) settle_second: bool,
    /// Accepts durable messages. A restart loses them all the same: what is in the queues and what is out with
    /// consumers, and with them the durable subscriptions and the unsettled state of links. Without this option durable
    /// messages are refused with amqp:precondition-failed.
    #[arg(long)]
    pub(crate) take_durable: bool,
    /// Accepts no deviation from the specification: no tolerance is on, and without a login ANONYMOUS alone is offered.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Gives up a connection on which nothing comes for this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) idle_time_out: u64,
    /// Gives up a connection that is not open after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) handshake_time_out: u64,
    /// How many messages a queue holds. A sender gets credit for no more than there is room for, and for 256 at most.
    /// Several senders to a queue may have more together: what they send to a full one waits without an outcome.
    #[arg(long, default_value_t = 50_000)]
    pub(crate) depth: usize,
    /// How many queues and topics there may be.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) max_nodes: usize,
    /// How many deliveries may be unsettled with one consumer.
    #[arg(long, default_value_t = 4096)]
    pub(crate) max_unsettled: u32,
    /// The largest message that is taken, in octets.
    #[arg(long, default_value_t = DEFAULT_MAX_MESSAGE_SIZE)]
    pub(crate) max_message_size: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(help) if !help.use_stderr() => help.exit(),
        // It may be a password that is not where it belongs.
        Err(error) => {
            eprintln!("broker: {}: see --help", error.kind());
            return ExitCode::from(2);
        }
    };
    match listen(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("broker: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn listen(options: Options) -> Result<(), Box<dyn Error>> {
    let address = options.address.clone();
    let server = server::Server::new(options)?;
    let listener = TcpListener::bind(&address).await.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let stop = stop_requested()?;
    println!("listening on {}", listener.local_addr()?);
    let lost = server.run(listener, stop).await;
    eprintln!("broker: ended with {lost} messages in its queues");
    Ok(())
}

/// Completes on SIGTERM, ctrl-C, or the end of a pipe on the standard input. A terminal or `/dev/null` there says nothing.
#[cfg(unix)]
fn stop_requested() -> io::Result<impl Future<Output = ()>> {
    use std::{
        fs::File,
        os::{fd::AsFd, unix::fs::FileTypeExt},
    };
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminated, mut interrupted) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (ends, ended) = oneshot::channel();
    let mut stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let kind = stdin.metadata()?.file_type();
    if kind.is_fifo() || kind.is_socket() {
        std::thread::spawn(move || {
            // Whether it ends or fails, the other end is closed.
            io::copy(&mut stdin, &mut io::sink()).ok();
            ends.send(()).ok();
        });
    } else {
        std::mem::forget(ends);
    }
    Ok(async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
            _ = ended => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_requested() -> io::Result<impl Future<Output = ()>> {
    Ok(async { drop(tokio::signal::ctrl_c().await) })
}
