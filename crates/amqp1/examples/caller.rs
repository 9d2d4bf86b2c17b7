//! Asks the example `service` for prices, and prints each answer as one JSON object a line:
//! `cargo run -p amqp1 --example caller -- amqp://localhost prices tea milk gold`.

mod tool;

use amqp1::{Error, Message, message::Str, request::Requester};
use clap::Parser;
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::{process::ExitCode, time::Duration};
use tool::{Failure, Peer};

/// Asks a service for prices, all at once, and prints each answer as one JSON object a line.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    peer: Peer,
    /// The address of the queue of requests.
    queue: String,
    /// What to ask for.
    #[arg(required = true)]
    items: Vec<String>,
    /// A node that is there, for the answers to this caller alone; unless given, the broker makes one.
    #[arg(long, value_name = "ADDRESS")]
    reply_to: Option<String>,
    /// How many seconds to wait for an answer.
    #[arg(long, value_name = "S", value_parser = tool::seconds, default_value = "10")]
    timeout: Duration,
}

fn main() -> ExitCode {
    tool::main("caller", run)
}

async fn run(options: Options) -> Result<(), Failure> {
    let connection = options.peer.connect().await?;
    let session = connection.begin().await?;
    let requester = session.requester(options.queue).timeout(options.timeout);
    let requester = match options.reply_to {
        Some(address) => requester.reply_to(address),
        None => requester.dynamic(),
    };
    let requester = requester.attach().await?;

    // Answers may come in any order. The requester tells them apart by their correlation-ids.
    let asked = options.items.iter().map(|item| ask(&requester, item, options.timeout));
    let answers = join_all(asked).await;
    let mut missing = 0;
    for (item, answer) in options.items.iter().zip(answers) {
        let line = match answer {
            Ok(Ok(price)) => json!({ "item": item, "price": price.as_str() }),
            Ok(Err(refusal)) => json!({ "item": item, "refused": refusal }),
            // The service may have the request, or get it yet.
            Err(error) => {
                missing += 1;
                json!({ "item": item, "error": error.to_string() })
            }
        };
        println!("{line}");
    }
    requester.close().await?;
    connection.close().await?;
    match missing {
        0 => Ok(()),
        count => Err(Failure::new(format!("{count} of {} requests were not answered", options.items.len()))),
    }
}

/// The price, or why the service has none.
async fn ask(requester: &Requester, item: &str, timeout: Duration) -> Result<Result<Str, Value>, Error> {
    // After that time the broker drops the request: its answer would be of no use.
    let request = Message::builder().ttl(timeout).data(item.to_owned());
    let answer = requester.request(request).await?;
    let text = answer.text()?.unwrap_or_default();
    Ok(match answer.application_property("error")?.and_then(|word| word.as_text()) {
        None => Ok(text),
        Some(word) => Err(json!({ "error": word, "text": text.as_str() })),
    })
}
