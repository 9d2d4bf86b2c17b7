//! Sends messages to any peer, and prints what became of each as one JSON object a line:
//! `cargo run -p amqp1 --example send -- amqp://user:password@host queue --count 3 --body hello`.
//!
//! It ends with 0 if all were accepted (or left settled, as `--settled` asks), and otherwise with one sentence.

mod tool;

use amqp1::{Outcome, link::SendOptions};
use clap::Parser;
use serde_json::json;
use std::{cell::Cell, process::ExitCode, time::Duration};
use tool::{Failure, Peer};

/// Sends messages to any peer, and prints what became of each as one JSON object a line.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    peer: Peer,
    /// The address of the node.
    address: String,
    /// How many messages.
    #[arg(long, default_value_t = 1)]
    count: u64,
    /// The body, as a data section.
    #[arg(long, default_value = "hello", conflicts_with = "size")]
    body: String,
    /// A body of this many octets.
    #[arg(long)]
    size: Option<usize>,
    /// Send them settled: there is no outcome then.
    #[arg(long)]
    settled: bool,
    /// Give up when a message has no outcome, or no credit to be sent with, after this many seconds.
    #[arg(long, value_name = "S", value_parser = tool::seconds)]
    timeout: Option<Duration>,
}

fn main() -> ExitCode {
    tool::main("send", run)
}

async fn run(options: Options) -> Result<(), Failure> {
    let connection = options.peer.connect().await?;
    let session = connection.begin().await?;
    let sender = session.sender(options.address).attach().await?;
    let body = options.size.map_or_else(|| options.body.into_bytes(), |size| vec![b'x'; size]);
    let body = amqp1::Message::builder().data(body).build();
    let mut refused = 0;
    for number in 1..=options.count {
        let settled = SendOptions { settled: options.settled, ..SendOptions::default() };
        let has_credit = Cell::new(false);
        let sending = async {
            let permit = sender.reserve().await?;
            has_credit.set(true);
            permit.send_with(body.clone(), settled)?.await
        };
        let sent = match options.timeout {
            None => sending.await,
            Some(limit) => match tokio::time::timeout(limit, sending).await {
                Ok(sent) => sent,
                Err(_) => return Err(late(number, has_credit.get(), limit)),
            },
        };
        match sent {
            Ok(outcome) => {
                let name = name(&outcome);
                let accepted = outcome.into_result();
                refused += u64::from(accepted.is_err());
                let error = accepted.err().map(|error| error.to_string());
                println!("{}", json!({ "message": number, "outcome": name, "error": error }));
            }
            Err(error) => {
                let delivered = format!("{:?}", error.delivered()).to_lowercase();
                let line = json!({
                    "message": number,
                    "outcome": null,
                    "error": error.to_string(),
                    "delivered": delivered,
                });
                println!("{line}");
                return Err(error.into());
            }
        }
    }
    sender.close().await?;
    connection.close().await?;
    match refused {
        0 => Ok(()),
        count => Err(Failure::new(format!("{count} of {} messages were not accepted", options.count))),
    }
}

/// Prints that a message has no outcome in time.
fn late(number: u64, has_credit: bool, limit: Duration) -> Failure {
    let (what, delivered) = match has_credit {
        true => ("outcome", "unknown"),
        false => ("credit", "no"),
    };
    let error = format!("no {what} came within {limit:?}");
    println!("{}", json!({ "message": number, "outcome": null, "error": error, "delivered": delivered }));
    Failure::new(format!("message {number}: {error}"))
}

fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted => "accepted",
        Outcome::Modified(_) => "modified",
        Outcome::Rejected(_) => "rejected",
        Outcome::Released => "released",
        Outcome::SentSettled => "sent-settled",
        Outcome::SettledWithoutState => "settled-without-outcome",
        _ => "other",
    }
}
