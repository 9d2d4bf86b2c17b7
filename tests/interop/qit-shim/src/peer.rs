//! The connection to the broker.

use crate::{arguments::Peer, failure::Failure};
use amqp1::{Client, Credit, Message, message::EncodedMessage};
use std::time::Duration;

/// Sends messages one after another, each of which has to be accepted.
pub(crate) async fn send(peer: &Peer, messages: Vec<EncodedMessage>) -> Result<(), Failure> {
    let connection = Client::builder(peer.url()).connect().await?;
    let session = connection.begin().await?;
    let sender = session.sender(peer.queue.as_str()).attach().await?;
    for message in messages {
        sender.send(message).await?.into_result()?;
    }
    sender.close().await?;
    connection.close().await?;
    Ok(())
}

/// Receives as many messages, or fewer if the time is up.
pub(crate) async fn receive(peer: &Peer, count: u32, timeout: Duration) -> Result<Vec<Message>, Failure> {
    let connection = Client::builder(peer.url()).connect().await?;
    let session = connection.begin().await?;
    let mut receiver = session.receiver(peer.queue.as_str()).credit(Credit::Manual(count)).attach().await?;
    let mut messages = Vec::new();
    let all = async {
        while u32::try_from(messages.len()).is_ok_and(|received| received < count) {
            let Some(delivery) = receiver.recv().await? else {
                return Err(Failure::from("the broker has detached the link"));
            };
            let (message, handle) = delivery.into_parts();
            handle.accept()?;
            messages.push(message);
        }
        Ok(())
    };
    if let Ok(received) = tokio::time::timeout(timeout, all).await {
        received?;
    }
    receiver.close().await?;
    connection.close().await?;
    Ok(messages)
}
