//! Direct methods: calls of a service that wait for the device's answer.

mod call;
mod handlers;

pub use call::{MethodAnswer, MethodCall};
pub use handlers::{MethodHandlers, MethodRequest};

use super::links::{Identity, Subscription};
use crate::{connect::Hub, error::Error};
use amqp1::{Receiver, Sender};
use call::Received;
use std::sync::Arc;

/// Calls that are fetched ahead.
const CREDIT: u32 = 50;

/// Receives the calls of direct methods. See [`DeviceClient::methods`](crate::DeviceClient::methods).
///
/// Take the calls one by one with [`next`](Self::next), or let [`serve`](Self::serve) hand them to functions. Several
/// calls may be in the application's hands at a time, and be answered in any order.
///
/// ```no_run
/// use iothub::{DeviceClient, MethodAnswer};
///
/// # async fn example(device: &DeviceClient) -> Result<(), iothub::Error> {
/// let mut methods = device.methods().await?;
/// while let Some(call) = methods.next().await? {
///     match call.name() {
///         "reboot" => call.answer(MethodAnswer::new(200)).await?,
///         other => {
///             let text = format!("there is no method {other}");
///             call.answer(MethodAnswer::new(404).payload(text)).await?;
///         }
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Methods {
    receiver: Receiver,
    sender: Sender,
    hub: Arc<Hub>,
    /// As a stream: its end was given.
    over: bool,
}

crate::stream::stream!(Methods => MethodCall, |this| this.receiver.is_detached());

impl Methods {
    pub(super) async fn attach(hub: Arc<Hub>, identity: &Identity) -> Result<Self, Error> {
        let (sender, receiver) = Subscription::Methods.attach_pair(&hub, identity, CREDIT).await?;
        Ok(Self { receiver, sender, hub, over: false })
    }

    /// Waits for the next call, without a limit of time; `None` when the hub has ended the link without an error.
    ///
    /// # Errors
    ///
    /// If a link or the connection ends with an error.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: no call is lost.
    pub async fn next(&mut self) -> Result<Option<MethodCall>, Error> {
        loop {
            let delivery = self.receiver.recv().await.map_err(|error| self.hub.error(error))?;
            let Some(delivery) = delivery else { return self.hub.check().map(|()| None) };
            let received = Received::parse(delivery.message());
            if !delivery.is_settled()
                && let Err(error) = delivery.accept()
            {
                tracing::debug!(%error, "a call of a method was not accepted");
            }
            match received {
                Some(received) => return Ok(Some(MethodCall::new(received, self.sender.clone(), self.hub.clone()))),
                // Nothing says where an answer would go to.
                None => tracing::warn!("a call of a method has no correlation-id, and is ignored"),
            }
        }
    }

    /// Hands the calls to functions until the hub ends the link. See [`MethodHandlers`].
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    ///
    /// # Cancel safety
    ///
    /// Cancelled, calls in the hands of functions are aborted, and answered with status 500.
    pub async fn serve(mut self, handlers: MethodHandlers) -> Result<(), Error> {
        let mut running = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(ended) = running.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "the handler of a method panicked");
                    }
                }
                call = self.next(), if running.len() < handlers.concurrency() => match call? {
                    Some(call) => drop(running.spawn(handlers.clone().handle(call))),
                    None => break,
                },
            }
        }
        while running.join_next().await.is_some() {}
        Ok(())
    }

    /// Closes the links: the hub counts the device as offline for methods. Calls that are not answered yet are answered
    /// no more.
    ///
    /// # Errors
    ///
    /// If the hub does not answer in time, or ended a link with an error.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, a link may be left open, until this is dropped.
    pub async fn close(&self) -> Result<(), Error> {
        let receiver = self.receiver.close().await;
        let sender = self.sender.close().await;
        receiver.and(sender).map_err(|error| self.hub.error(error))
    }
}
