//! Sends a message and receives one: `cargo run -p amqp1 --example client [amqp://HOST[:PORT] [MESSAGE]]`. The example
//! `broker` is something to connect to.
use amqp1::{Client, Error};
use bytes::Bytes;
use std::{error::Error as _, process::ExitCode};

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "amqp://localhost".to_owned());
    let message = arguments.next().unwrap_or_else(|| "hello".to_owned());
    match run(&url, message.into()).await {
        Ok(received) => {
            println!("{received:?}");
            ExitCode::SUCCESS
        }
        // A sentence for people, which a `main` that returned the error would not show.
        Err(error) => {
            eprintln!("error: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  caused by: {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

/// What was received.
pub(crate) async fn run(url: &str, message: Bytes) -> Result<Option<Bytes>, Error> {
    let connection = Client::builder(url).connect().await?;
    let session = connection.begin().await?;

    let sender = session.sender("greetings").attach().await?;
    sender.send(message).await?.into_result()?;

    let mut receiver = session.receiver("greetings").attach().await?;
    let mut received = None;
    if let Some(delivery) = receiver.recv().await? {
        received = delivery.message().data();
        delivery.accept()?;
    }
    connection.close().await?;
    Ok(received)
}
