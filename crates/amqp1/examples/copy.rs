//! Moves messages from a queue of one broker to a queue of another, octet for octet and of any size:
//! `cargo run -p amqp1 --example copy -- amqp://one queue amqp://two queue`.
//!
//! Each arrives at least once: the first broker is told the outcome that the second has stated. One that the second does
//! not take stays with the first, as does one that is under way when a connection breaks or the program ends.

mod tool;

use amqp1::{
    Error, ErrorKind, Outcome, Receipt, Receiver, Sender,
    error::{AmqpError, ErrorCondition},
    link::{DeliveryHandle, DeliveryState, OnDrop, SendOptions, SenderSettleMode},
    message::EncodedMessage,
    stream::{IncomingStream, SendStream},
};
use clap::Parser;
use serde_json::json;
use std::{path::PathBuf, pin::pin, process::ExitCode};
use tokio::{
    signal::ctrl_c,
    task::{JoinError, JoinSet},
};
use tool::{Failure, Peer};

/// Moves messages from a queue of one broker to a queue of another, until Ctrl-C.
///
/// Prints what the second broker made of each as one JSON object a line.
#[derive(Parser)]
struct Options {
    /// Where messages come from: amqp:// or amqps://, then [user[:password]@]host[:port].
    from: String,
    /// The address of the queue there.
    from_queue: String,
    /// Where they go.
    to: String,
    /// The address of the queue there.
    to_queue: String,
    /// Stop after this many messages.
    #[arg(long)]
    count: Option<u64>,
    /// How many messages may be under way.
    #[arg(long, default_value_t = 100)]
    window: u32,
    /// Trust the certificates of this PEM file in place of those that the platform trusts; for amqps://.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

fn main() -> ExitCode {
    tool::main("copy", run)
}

async fn run(options: Options) -> Result<(), Failure> {
    let from = Peer { url: options.from, ca: options.ca.clone() }.connect().await?;
    let to = Peer { url: options.to, ca: options.ca }.connect().await?;
    let sender = to.begin().await?.sender(options.to_queue).attach().await?;
    let mut receiver = from
        .begin()
        .await?
        .receiver(options.from_queue)
        .streamed()
        .max_unsettled(options.window)
        // Messages that the first broker forgets when it sends them could be lost.
        .settle_mode(SenderSettleMode::Unsettled)
        // A copy that is given up on the way is not the message's fault.
        .on_drop(OnDrop::Release)
        .attach()
        .await?;

    let mut settling = JoinSet::new();
    let copied = copy_all(&mut receiver, &sender, options.count, &mut settling).await;
    // Messages that were not taken go back. The link lives until the others are settled.
    drop(receiver);
    let mut settled = Ok(());
    while let Some(done) = settling.join_next().await {
        let done = flatten(done);
        settled = settled.and(done);
    }
    let closed = to.close().await;
    // Writes the last settlements.
    let closed = from.close().await.and(closed);
    copied?;
    settled?;
    Ok(closed?)
}

/// Copies messages until Ctrl-C, the count, or the end of a link.
async fn copy_all(
    receiver: &mut Receiver,
    sender: &Sender,
    count: Option<u64>,
    settling: &mut JoinSet<Result<(), Error>>,
) -> Result<(), Failure> {
    let mut interrupted = pin!(ctrl_c());
    let mut begun = 0;
    while count.is_none_or(|count| begun < count) {
        let sent = tokio::select! {
            biased;
            // Dropped on the way, the message is released there and aborted here.
            _ = &mut interrupted => break,
            sent = copy(receiver, sender) => sent?,
        };
        match sent {
            Copied::Sent(receipt, handle) => drop(settling.spawn(settle(receipt, handle))),
            Copied::Left => {}
            Copied::End => break,
        }
        begun += 1;
        while let Some(done) = settling.try_join_next() {
            flatten(done)?;
        }
    }
    Ok(())
}

enum Copied {
    /// It is whole at this end. Its outcome comes later.
    Sent(Receipt, Option<DeliveryHandle>),
    /// It cannot be sent, or its sender gave it up.
    Left,
    /// No more messages come.
    End,
}

/// Sends the next message on.
async fn copy(receiver: &mut Receiver, sender: &Sender) -> Result<Copied, Error> {
    let Some(mut incoming) = receiver.recv_stream().await? else { return Ok(Copied::End) };
    // A queue that is full gives no credit: that is waited for without a limit.
    let permit = sender.reserve().await?;
    let options = SendOptions { message_format: incoming.message_format(), ..SendOptions::default() };
    // The head comes with the octets of the message.
    let mut outgoing = permit.stream_with(EncodedMessage::default(), options)?;
    match pass_on(&mut incoming, &mut outgoing).await {
        // `finish` has the outcome of a message that was settled before its end.
        Ok(()) => Ok(Copied::Sent(outgoing.finish()?, incoming.into_handle())),
        Err(Stop::Left(error)) => {
            // The second broker forgets what it has.
            outgoing.abort();
            println!("{}", json!({ "outcome": null, "error": error.to_string() }));
            let reason = AmqpError::new(condition(&error), error.to_string());
            // One that its sender gave up needs no settlement.
            if error.kind() != ErrorKind::Aborted {
                incoming.reject(reason)?;
            }
            Ok(Copied::Left)
        }
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// Why a message is not sent to its end.
enum Stop {
    /// It cannot be: others may.
    Left(Error),
    /// A link has ended.
    Failed(Error),
}

async fn pass_on(incoming: &mut IncomingStream<'_>, outgoing: &mut SendStream) -> Result<(), Stop> {
    loop {
        let octets = match incoming.encoded().await {
            Ok(Some(octets)) => octets,
            Ok(None) => return Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::Aborted | ErrorKind::Protocol) => {
                return Err(Stop::Left(error));
            }
            Err(error) => return Err(Stop::Failed(error)),
        };
        match outgoing.write_encoded(octets).await {
            Ok(()) => {}
            // The second broker has settled the message already.
            Err(error) if error.kind() == ErrorKind::Aborted => return Ok(()),
            Err(error) if error.kind() == ErrorKind::MessageTooLarge => return Err(Stop::Left(error)),
            Err(error) => return Err(Stop::Failed(error)),
        }
    }
}

/// The error that the first broker gets for a message that cannot be copied.
fn condition(error: &Error) -> ErrorCondition {
    match error.kind() {
        ErrorKind::MessageTooLarge => ErrorCondition::MESSAGE_SIZE_EXCEEDED,
        _ => ErrorCondition::DECODE_ERROR,
    }
}

/// Tells the first broker what the second has made of a message.
async fn settle(receipt: Receipt, handle: Option<DeliveryHandle>) -> Result<(), Error> {
    match receipt.await {
        Ok(outcome) => {
            println!("{}", json!({ "outcome": name(&outcome) }));
            // Without an outcome it is not known whether the message is safe: it is sent again.
            let state = outcome.into_state().unwrap_or(DeliveryState::Released);
            handle.map_or(Ok(()), |handle| handle.settle(state))
        }
        // Neither is it here.
        Err(error) => {
            handle.map_or(Ok(()), DeliveryHandle::release)?;
            Err(error)
        }
    }
}

fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted => "accepted",
        Outcome::Modified(_) => "modified",
        Outcome::Rejected(_) => "rejected",
        Outcome::Released => "released",
        _ => "unknown",
    }
}

fn flatten(done: Result<Result<(), Error>, JoinError>) -> Result<(), Failure> {
    match done {
        Ok(settled) => Ok(settled?),
        Err(error) => Err(Failure::new(error.to_string())),
    }
}
