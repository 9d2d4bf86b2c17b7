//! A sending link that is attached when it is first needed, and again after the hub has detached it.

use crate::{
    connect::Hub,
    error::{Error, ErrorKind},
    receipt::SendReceipt,
};
use amqp1::{
    Sender, Symbol,
    link::{SendOptions, SenderSettleMode},
    message::EncodedMessage,
};
use std::sync::Arc;
use tokio::sync::Mutex;

#[derive(Debug)]
pub(crate) struct LazySender {
    hub: Arc<Hub>,
    address: String,
    properties: Vec<(Symbol, String)>,
    slot: Mutex<Option<Sender>>,
}

impl LazySender {
    pub(crate) fn new(hub: Arc<Hub>, address: impl Into<String>) -> Self {
        Self { hub, address: address.into(), properties: Vec::new(), slot: Mutex::new(None) }
    }

    /// Sets properties of the link.
    pub(crate) fn with_properties(mut self, properties: impl IntoIterator<Item = (Symbol, String)>) -> Self {
        self.properties.extend(properties);
        self
    }

    /// Sends a message and waits until the hub has accepted it.
    pub(crate) async fn send(&self, message: EncodedMessage) -> Result<(), Error> {
        self.send_with(message, SendOptions::default()).await
    }

    /// Sends a message as the options say and waits until the hub has accepted it.
    pub(crate) async fn send_with(&self, message: EncodedMessage, options: SendOptions) -> Result<(), Error> {
        self.hub.check()?;
        let sender = self.sender().await?;
        let sent = sender.send_with(message, options).await.and_then(amqp1::Outcome::into_result);
        sent.map_err(|error| self.hub.error(error))
    }

    /// Queues a message when the hub takes one, and gives what becomes of it.
    pub(crate) async fn begin_send(&self, message: EncodedMessage) -> Result<SendReceipt, Error> {
        self.hub.check()?;
        let sender = self.sender().await?;
        let queueing = async {
            loop {
                let permit = sender.reserve().await?;
                match permit.send(message.clone()) {
                    // The hub has taken its credit back, or too much is queued: there will be another permit.
                    Err(error) if error.kind() == amqp1::ErrorKind::CreditRevoked => {}
                    queued => return queued,
                }
            }
        };
        match tokio::time::timeout(self.hub.operation_timeout(), queueing).await {
            Ok(Ok(receipt)) => Ok(SendReceipt::new(receipt, self.hub.clone())),
            Ok(Err(error)) => Err(self.hub.error(error)),
            Err(_) => {
                Err(Error::new(ErrorKind::Timeout, "the hub did not answer in time: it takes no message on this link"))
            }
        }
    }

    /// The link; attached first if it is not.
    pub(crate) async fn sender(&self) -> Result<Sender, Error> {
        // Bounded as a whole: the caller that holds the lock attaches.
        let attaching = async {
            let mut slot = self.slot.lock().await;
            if let Some(sender) = slot.as_ref().filter(|sender| !is_over(sender)) {
                return Ok(sender.clone());
            }
            let sender = self.hub.session.sender(self.address.as_str()).settle_mode(SenderSettleMode::Unsettled);
            let properties = self.properties.iter();
            let sender = properties.fold(sender, |sender, (name, value)| sender.property(name.clone(), value.as_str()));
            let sender = sender.attach().await.map_err(|error| self.hub.error(error))?;
            Ok(slot.insert(sender).clone())
        };
        tokio::time::timeout(self.hub.operation_timeout(), attaching).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Timeout, "the hub did not answer in time: the link was not attached"))
        })
    }
}

/// Whether the link has ended, as far as is known now.
fn is_over(sender: &Sender) -> bool {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Waker},
    };
    pin!(sender.detached()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}
