//! Sends messages to any peer, and prints what became of each as one JSON object a line:
//! `cargo run -p amqp1 --example send -- amqp://user:password@host queue --count 3 --body hello`.
//!
//! It ends with 0 if all were accepted (or left settled, as `--settled` asks), and otherwise with one sentence.

mod tool;

use amqp1::{Client, Outcome, SendOptions};
use clap::Parser;
use serde_json::json;
use std::process::ExitCode;
use tool::Failure;

/// Sends messages to any peer, and prints what became of each as one JSON object a line.
#[derive(Parser)]
struct Options {
    /// amqp:// or amqps://, then [user[:password]@]host[:port].
    url: String,
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
}

fn main() -> ExitCode {
    tool::main("send", run)
}

async fn run(options: Options) -> Result<(), Failure> {
    let connection = Client::builder(&options.url).connect().await?;
    let session = connection.begin().await?;
    let sender = session.sender(options.address).attach().await?;
    let body = options.size.map_or_else(|| options.body.into_bytes(), |size| vec![b'x'; size]);
    let body = amqp1::Message::builder().data(body).build();
    let mut refused = 0;
    for number in 1..=options.count {
        let settled = SendOptions { settled: options.settled, ..SendOptions::default() };
        match sender.send_with(body.clone(), settled).await {
            Ok(outcome) => {
                let name = name(&outcome);
                let accepted = outcome.accepted();
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
