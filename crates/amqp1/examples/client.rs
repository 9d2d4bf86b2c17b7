//! Sends a message: `cargo run -p amqp1 --example client [amqp://HOST[:PORT] [MESSAGE]]`.
use amqp1::{Client, Error};
use bytes::Bytes;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "amqp://localhost".to_owned());
    let message = arguments.next().unwrap_or_else(|| "hello".to_owned());

    let connection = Client::builder(&url).connect().await?;
    let session = connection.begin().await?;
    let sender = session.sender("greetings").attach().await?;
    let outcome = sender.send(Bytes::from(message)).await?;
    println!("{outcome:?}");
    outcome.accepted()?;
    connection.close().await
}
