use crate::{
    connect::Hub,
    error::Error,
    message::{Incoming, incoming_accessors},
    service::Ack,
};
use amqp1::{AmqpError, Credit, Delivery, ErrorCondition, OnDrop, Receiver, ReceiverSettleMode, Uuid};
use std::{sync::Arc, time::SystemTime};

/// Messages that are fetched ahead; a device's queue holds no more.
const CREDIT: u32 = 50;

/// A message that a service has sent to this device, locked for it at the hub for one minute.
///
/// It is settled by [`complete`](Self::complete), [`abandon`](Self::abandon) or [`reject`](Self::reject). Dropped, it
/// is not settled: when the lock runs out, the hub delivers it again and does not count that as a failure.
#[derive(Debug)]
#[must_use = "a message that is not settled comes again"]
pub struct CloudToDevice {
    delivery: Delivery,
    message: Incoming,
    hub: Arc<Hub>,
}

impl CloudToDevice {
    incoming_accessors!();

    /// What feedback the service has asked for.
    pub fn ack(&self) -> Ack {
        self.property(crate::service::ACK).and_then(Ack::from_name).unwrap_or_default()
    }

    /// How often the message was delivered before without having been settled for good. The hub gives it up after a
    /// number of times, 10 unless it was set up otherwise.
    pub fn delivery_count(&self) -> Option<u32> {
        self.message.integer_annotation("iothub-deliverycount").or(self.message.delivery_count)
    }

    /// When the hub took the message into the device's queue.
    pub fn enqueued_time(&self) -> Option<SystemTime> {
        self.message.time_annotation("iothub-enqueuedtime")
    }

    /// The message's place in the device's queue.
    pub fn sequence_number(&self) -> Option<u64> {
        self.message.integer_annotation("x-opt-sequence-number")
    }

    /// The name of the hub's lock on the message; it is the delivery's tag.
    pub fn lock_token(&self) -> Option<String> {
        let stated = self.message.text_annotation("x-opt-lock-token").map(str::to_owned);
        stated.or_else(|| <[u8; 16]>::try_from(self.delivery.tag().as_slice()).ok().map(|tag| Uuid(tag).to_string()))
    }

    /// It was dealt with: the hub forgets it, and gives positive feedback if that was asked for.
    ///
    /// This queues and does not wait; [`DeviceClient::close`](crate::DeviceClient::close) writes what is queued.
    ///
    /// # Errors
    ///
    /// If the link has ended; the message then comes again.
    pub fn complete(self) -> Result<(), Error> {
        self.delivery.accept().map_err(|error| self.hub.error(error))
    }

    /// Not now: the hub puts it back into the queue and counts the attempt. Queues and does not wait.
    ///
    /// # Errors
    ///
    /// If the link has ended; the message then comes again.
    pub fn abandon(self) -> Result<(), Error> {
        self.delivery.release().map_err(|error| self.hub.error(error))
    }

    /// It is no good: the hub forgets it, and gives negative feedback if that was asked for. Queues and does not wait.
    ///
    /// # Errors
    ///
    /// If the link has ended; the message then comes again.
    pub fn reject(self) -> Result<(), Error> {
        self.delivery.reject(None).map_err(|error| self.hub.error(error))
    }
}

/// Receives the messages that services send to a device.
/// See [`DeviceClient::cloud_to_device`](crate::DeviceClient::cloud_to_device).
#[derive(Debug)]
pub struct CloudToDeviceReceiver {
    receiver: Receiver,
    hub: Arc<Hub>,
}

impl CloudToDeviceReceiver {
    pub(super) async fn attach(hub: Arc<Hub>, address: String) -> Result<Self, Error> {
        hub.check()?;
        let receiver = hub
            .session
            .receiver(address)
            .max_message_size(crate::connect::MAX_MESSAGE_SIZE)
            .credit(Credit::Window(CREDIT));
        let receiver = receiver.receiver_settle_mode(ReceiverSettleMode::First).on_drop(OnDrop::LeaveUnsettled);
        let receiver = receiver.attach().await.map_err(|error| hub.error(error))?;
        Ok(Self { receiver, hub })
    }

    /// Waits for the next message, without a limit of time; `None` when the hub has ended the link without an error.
    ///
    /// # Errors
    ///
    /// If the link or the connection ends with an error. A message that cannot be decoded is an error too,
    /// [`ErrorKind::Protocol`](crate::ErrorKind::Protocol); it is rejected, and the next call goes on.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: no message is lost.
    pub async fn next(&mut self) -> Result<Option<CloudToDevice>, Error> {
        let delivery = self.receiver.recv().await.map_err(|error| self.hub.error(error))?;
        let Some(delivery) = delivery else { return self.hub.check().map(|()| None) };
        match Incoming::new(delivery.message()) {
            Ok(message) => Ok(Some(CloudToDevice { delivery, message, hub: self.hub.clone() })),
            Err(error) => {
                let why = AmqpError::new(ErrorCondition::DECODE_ERROR, "the message cannot be decoded");
                let _ = delivery.reject(why);
                Err(error)
            }
        }
    }

    /// Closes the link. Settlements that are queued are written first; messages that were received and not settled
    /// come again.
    ///
    /// # Errors
    ///
    /// If the hub does not answer in time, or ended the link with an error.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it goes on by itself.
    pub async fn close(&self) -> Result<(), Error> {
        self.receiver.close().await.map_err(|error| self.hub.error(error))
    }
}
