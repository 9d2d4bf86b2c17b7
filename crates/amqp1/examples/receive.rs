//! Receives messages from any peer, and prints each as one JSON object a line:
//! `cargo run -p amqp1 --example receive -- amqp://user:password@host queue --count 3 --timeout 10`.
//!
//! A section that cannot be read stands in `errors`; the payload is there in any case. Binary data, the tag and
//! the payload are in hexadecimal digits; data that is printable UTF-8 is in `text` as well. It ends with 0 when it has what it
//! was asked for, and otherwise with one sentence.

#[path = "tool/json.rs"]
mod json;
mod tool;

use amqp1::{Credit, Delivery, Receiver, link::DeliveryHandle};
use clap::{Parser, ValueEnum};
use std::{process::ExitCode, time::Duration};
use tool::{Failure, Peer};

/// Receives messages from any peer, and prints each as one JSON object a line.
///
/// Binary data, the tag and the payload are in hexadecimal digits; data that is printable UTF-8 is in "text" as well.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    peer: Peer,
    /// The address of the node.
    address: String,
    /// Stop after this many messages; without it, when the peer ends the link or the time is up.
    #[arg(long)]
    count: Option<u32>,
    /// What becomes of the messages.
    #[arg(long, value_enum, default_value_t = Settle::Accept)]
    settle: Settle,
    /// Ask the peer to send what it has and then to say so, and stop.
    #[arg(long)]
    drain: bool,
    /// Stop when nothing came for this many seconds: a failure if there were to be more.
    #[arg(long, value_name = "S", value_parser = tool::seconds)]
    timeout: Option<Duration>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Settle {
    Accept,
    Reject,
    Release,
    None,
}

/// How many messages may be under way if no number is given.
const WINDOW: u32 = 100;

fn main() -> ExitCode {
    tool::main("receive", run)
}

async fn run(options: Options) -> Result<(), Failure> {
    let connection = options.peer.connect().await?;
    let session = connection.begin().await?;
    let credit = match (options.drain, options.count) {
        // Given when the drain is asked for.
        (true, _) => Credit::Manual(0),
        // No more than are wanted, so that none has to go back.
        (false, Some(count)) => Credit::Manual(count),
        (false, None) => Credit::Window(WINDOW),
    };
    let mut receiver = session.receiver(options.address.as_str()).credit(credit).attach().await?;
    let mut printer = Printer { settle: options.settle, printed: 0, unsettled: Vec::new() };
    let received = if options.drain {
        drain(&mut receiver, &mut printer, &options).await
    } else {
        receive(&mut receiver, &mut printer, &options).await
    };
    // What was settled is said, whatever else went wrong.
    let flushed = connection.flush().await;
    received?;
    flushed?;
    receiver.close().await?;
    connection.close().await?;
    Ok(())
}

async fn receive(receiver: &mut Receiver, printer: &mut Printer, options: &Options) -> Result<(), Failure> {
    while options.count.is_none_or(|count| printer.printed < count) {
        let next = match options.timeout {
            None => receiver.recv().await?,
            Some(limit) => match tokio::time::timeout(limit, receiver.recv()).await {
                Ok(next) => next?,
                Err(_) => return printer.missing(options.count, &format!("nothing came for {limit:?}")),
            },
        };
        match next {
            Some(delivery) => printer.print(delivery)?,
            None => return printer.missing(options.count, "the peer has detached the link"),
        }
    }
    Ok(())
}

/// Asks for what there is, as often as all of what was asked for came.
async fn drain(receiver: &mut Receiver, printer: &mut Printer, options: &Options) -> Result<(), Failure> {
    loop {
        let wanted = options.count.map_or(WINDOW, |count| (count - printer.printed).min(WINDOW));
        receiver.set_credit(Credit::Manual(wanted))?;
        match options.timeout {
            None => receiver.drain().await?,
            Some(limit) => match tokio::time::timeout(limit, receiver.drain()).await {
                Ok(drained) => drained?,
                Err(_) => return Err(Failure::new(format!("the peer did not answer the drain within {limit:?}"))),
            },
        }
        let before = printer.printed;
        while let Ok(delivery) = receiver.try_recv() {
            printer.print(delivery)?;
        }
        if printer.printed - before < wanted || options.count == Some(printer.printed) {
            return Ok(());
        }
    }
}

struct Printer {
    settle: Settle,
    printed: u32,
    /// Held until the link ends, since the sender decides about those that are let go of.
    unsettled: Vec<DeliveryHandle>,
}

impl Printer {
    fn print(&mut self, delivery: Delivery) -> Result<(), Failure> {
        println!("{}", json::delivery(&delivery));
        self.printed += 1;
        match self.settle {
            Settle::Accept => delivery.accept()?,
            Settle::Reject => delivery.reject(None)?,
            Settle::Release => delivery.release()?,
            Settle::None => self.unsettled.push(delivery.leave_unsettled()),
        }
        Ok(())
    }

    /// It ends before its number is full.
    fn missing(&self, count: Option<u32>, why: &str) -> Result<(), Failure> {
        match count {
            Some(count) => Err(Failure::new(format!("{} of {count} messages came: {why}", self.printed))),
            None => Ok(()),
        }
    }
}
