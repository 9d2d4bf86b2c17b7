//! Plays the five scenarios that `amqp-conformance client` asks of a client:
//! `amqp-conformance client -- conformance_client {url} {address} {scenario} {count}`.

use amqp1::{
    Client, Connection, ErrorKind, Message, Outcome, Sender, Session, Value,
    codec::messaging::{Annotations, Header},
    connection::Tolerances,
    link::{ReceiverSettleMode, SenderSettleMode},
};
use clap::{Parser, ValueEnum};
use std::{error::Error, time::Duration};

/// Plays a scenario of amqp-conformance.
#[derive(Parser)]
struct Options {
    /// The server.
    url: String,
    /// The address of the node.
    address: String,
    /// The scenario.
    #[arg(value_enum)]
    scenario: Scenario,
    /// The number of messages or requests; for the scenario idle, of seconds.
    count: u32,
    /// Accepts no deviation from the specification.
    #[arg(long)]
    strict: bool,
    /// Sends with this settle mode: mixed if neither is said.
    #[arg(long, conflicts_with = "unsettled")]
    settled: bool,
    /// Sends with this settle mode.
    #[arg(long)]
    unsettled: bool,
    /// Receives with receiver-settle-mode second.
    #[arg(long)]
    second: bool,
    /// Gives up a connection on which nothing comes for this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    idle_time_out: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Scenario {
    Send,
    Receive,
    Request,
    Transaction,
    Idle,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let idle = Duration::from_secs(options.idle_time_out);
    let mut client = Client::builder(options.url.as_str()).config(|config| config.idle_timeout = Some(idle));
    if options.strict {
        client = client.config(|config| {
            config.tolerances = Tolerances::STRICT;
            config.errant_links = amqp1::engine::ErrantLinks::EndSession;
        });
    }
    let connection = client.connect().await?;
    let played = play(&connection, &options).await;
    connection.close().await?;
    played
}

async fn play(connection: &Connection, options: &Options) -> Result<(), Box<dyn Error>> {
    let Options { address, count, .. } = options;
    if let Scenario::Idle = options.scenario {
        tokio::time::sleep(Duration::from_secs(u64::from(*count))).await;
        return Ok(());
    }
    let session = connection.begin().await?;
    match options.scenario {
        Scenario::Send => send(&session, options).await?,
        Scenario::Receive => receive(&session, options).await?,
        Scenario::Request => request(&session, address, *count).await?,
        Scenario::Transaction => transaction(&session, address, *count).await?,
        Scenario::Idle => {}
    }
    session.end().await?;
    Ok(())
}

/// The number of times that a message is sent which the server gives back.
const ATTEMPTS: u32 = 3;

/// A link that the server detaches without closing it is resumed, and its deliveries go on. A message that the server
/// releases or modifies is sent again, as §3.4 says.
async fn send(session: &Session, options: &Options) -> Result<(), Box<dyn Error>> {
    let Options { address, count, .. } = options;
    let mode = match options {
        Options { settled: true, .. } => SenderSettleMode::Settled,
        Options { unsettled: true, .. } => SenderSettleMode::Unsettled,
        _ => SenderSettleMode::Mixed,
    };
    let mut sender = session.sender(address.as_str()).settle_mode(mode).resumable(true).attach().await?;
    for number in 0..*count {
        let (mut header, mut annotations) = (Header::default(), Annotations::new());
        let mut attempts = 0;
        loop {
            attempts += 1;
            let message = Message::builder().data(format!("message {number}"));
            let message = message.header(header.clone()).message_annotations(annotations.clone()).build();
            match sender.send(message).await {
                Ok(Outcome::Released) if attempts < ATTEMPTS => {}
                Ok(Outcome::Modified(modified)) if attempts < ATTEMPTS && !modified.undeliverable_here => {
                    header.delivery_count += u32::from(modified.delivery_failed);
                    for (key, value) in modified.message_annotations.iter().flat_map(|fields| fields.iter()) {
                        if let Value::Symbol(key) = key {
                            annotations.insert(key.clone(), value.clone());
                        }
                    }
                }
                Ok(outcome) => break outcome.into_result()?,
                Err(error) => {
                    let is_kept = error.kind() == ErrorKind::Suspended;
                    sender = resumed(session, address, sender).await.map_err(|_| error)?;
                    if is_kept {
                        break;
                    }
                }
            }
        }
    }
    sender.close().await?;
    Ok(())
}

/// Resumes a sender, as often as the server detaches it, until its deliveries have an outcome.
async fn resumed(session: &Session, address: &str, mut sender: Sender) -> Result<Sender, Box<dyn Error>> {
    loop {
        let left = sender.suspend().await?;
        sender = session.sender(address).resume(&left).attach().await?;
        let mut is_suspended = false;
        for (_, receipt) in sender.resumed() {
            match receipt.await {
                Err(error) if error.kind() == ErrorKind::Suspended => is_suspended = true,
                outcome => outcome?.into_result()?,
            }
        }
        if !is_suspended {
            return Ok(sender);
        }
    }
}

async fn receive(session: &Session, options: &Options) -> Result<(), Box<dyn Error>> {
    let address = options.address.as_str();
    let mode = if options.second { ReceiverSettleMode::Second } else { ReceiverSettleMode::First };
    let receiver = session.receiver(address).receiver_settle_mode(mode).reject_undecodable(true).resumable(true);
    let mut receiver = receiver.attach().await?;
    let mut received = 0;
    while received < options.count {
        match receiver.recv().await {
            Ok(Some(delivery)) => {
                delivery.accept()?;
                received += 1;
            }
            ended => {
                let Ok(left) = receiver.suspend().await else {
                    ended?;
                    return Err("the link ended before every message had come".into());
                };
                receiver = session.receiver(address).resume(&left).attach().await?;
            }
        }
    }
    receiver.close().await?;
    Ok(())
}

async fn request(session: &Session, address: &str, count: u32) -> Result<(), Box<dyn Error>> {
    let requester = session.requester(address).attach().await?;
    for number in 0..count {
        requester.request(Message::builder().data(format!("request {number}"))).await?;
    }
    requester.close().await?;
    Ok(())
}

async fn transaction(session: &Session, address: &str, count: u32) -> Result<(), Box<dyn Error>> {
    let controller = session.transactions().await?;
    let sender = session.sender(address).attach().await?;
    let transaction = controller.declare().await?;
    for number in 0..count {
        transaction.send(&sender, Message::builder().data(format!("message {number}")).build()).await?.into_result()?;
    }
    transaction.commit().await?;
    sender.close().await?;
    controller.close().await?;
    Ok(())
}
