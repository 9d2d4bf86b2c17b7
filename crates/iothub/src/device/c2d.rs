use super::links;
use crate::{
    connect::Hub,
    error::Error,
    message::{Incoming, incoming_accessors},
    service::Ack,
};
use amqp1::{
    Credit, Delivery, Receiver,
    error::{AmqpError, ErrorCondition},
    link::{OnDrop, ReceiverSettleMode},
    message::Uuid,
};
use std::{sync::Arc, time::SystemTime};

/// Messages that are fetched ahead; a device's queue holds no more.
const CREDIT: u32 = 50;

/// How a message is settled.
macro_rules! settlements {
    () => {
        /// Completes the message: the hub forgets it, and gives positive feedback if that was asked for.
        ///
        /// This queues and does not wait; the client's `close` writes what is queued. If the hub's lock on the message has
        /// run out meanwhile, the settlement has no effect: the hub delivers the message again. Work that takes longer
        /// than the lock, which lasts one minute, has to recognise a message that it has dealt with.
        ///
        /// # Errors
        ///
        /// If the link has ended; the message then comes again.
        pub fn complete(self) -> Result<(), Error> {
            self.delivery.accept().map_err(|error| self.hub.error(error))
        }

        /// Abandons the message (outcome released): the hub puts it back into the queue and counts the attempt. Queues
        /// and does not wait.
        ///
        /// # Errors
        ///
        /// If the link has ended; the message then comes again.
        pub fn abandon(self) -> Result<(), Error> {
            self.delivery.release().map_err(|error| self.hub.error(error))
        }

        /// Rejects the message: the hub forgets it, and gives negative feedback if that was asked for. Queues and does
        /// not wait.
        ///
        /// # Errors
        ///
        /// If the link has ended; the message then comes again.
        pub fn reject(self) -> Result<(), Error> {
            self.delivery.reject(None).map_err(|error| self.hub.error(error))
        }
    };
}

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

    settlements!();
}

/// A message that an IoT Edge gateway has routed to an input of this module.
///
/// It is settled as a [`CloudToDevice`] message is.
#[derive(Debug)]
#[must_use = "a message that is not settled comes again"]
pub struct InputMessage {
    delivery: Delivery,
    message: Incoming,
    hub: Arc<Hub>,
}

impl InputMessage {
    incoming_accessors!();

    /// The input that the message has come on.
    pub fn input_name(&self) -> Option<&str> {
        self.message.text_annotation("x-opt-input-name")
    }

    /// The device that has sent the message.
    pub fn sender_device_id(&self) -> Option<&str> {
        self.message.text_annotation("iothub-connection-device-id")
    }

    /// The module that has sent the message.
    pub fn sender_module_id(&self) -> Option<&str> {
        self.message.text_annotation("iothub-connection-module-id")
    }

    settlements!();
}

/// Declares a receiver of messages that are settled one by one.
macro_rules! receiver {
    ($(#[$doc:meta])* $receiver:ident of $message:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $receiver {
            receiver: Receiver,
            hub: Arc<Hub>,
            /// As a stream: its end was given.
            over: bool,
        }

        crate::stream::stream!($receiver => $message, |this| this.receiver.is_detached());

        impl $receiver {
            pub(super) async fn attach(hub: Arc<Hub>, address: String) -> Result<Self, Error> {
                let receiver = attach(&hub, address).await?;
                Ok(Self { receiver, hub, over: false })
            }

            /// Waits for the next message, without a limit of time; `None` when the hub has ended the link without an
            /// error.
            ///
            /// # Errors
            ///
            /// If the link or the connection ends with an error. A message that cannot be decoded is an error too,
            /// [`ErrorKind::Protocol`](crate::ErrorKind::Protocol); it is rejected, and the next call goes on.
            ///
            /// # Cancel safety
            ///
            /// Cancel-safe: no message is lost.
            pub async fn next(&mut self) -> Result<Option<$message>, Error> {
                let next = next(&mut self.receiver, &self.hub).await?;
                Ok(next.map(|(delivery, message)| $message { delivery, message, hub: self.hub.clone() }))
            }

            /// Closes the link. Settlements that are queued are written first; messages that were received and not
            /// settled come again.
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
    };
}

receiver! {
    /// Receives the messages that services send to a device.
    /// See [`DeviceClient::cloud_to_device`](crate::DeviceClient::cloud_to_device).
    CloudToDeviceReceiver of CloudToDevice
}

receiver! {
    /// Receives the messages that an IoT Edge gateway routes to a module's inputs.
    /// See [`ModuleClient::inputs`](crate::ModuleClient::inputs).
    InputReceiver of InputMessage
}

async fn attach(hub: &Hub, address: String) -> Result<Receiver, Error> {
    hub.check()?;
    let receiver = hub
        .session
        .receiver(address)
        .max_message_size(crate::connect::MAX_MESSAGE_SIZE)
        .credit(Credit::Window(CREDIT))
        .receiver_settle_mode(ReceiverSettleMode::First)
        .on_drop(OnDrop::LeaveUnsettled);
    let properties = links::properties().into_iter();
    let receiver = properties.fold(receiver, |receiver, (name, value)| receiver.property(name, value));
    receiver.attach().await.map_err(|error| hub.error(error))
}

async fn next(receiver: &mut Receiver, hub: &Hub) -> Result<Option<(Delivery, Incoming)>, Error> {
    let delivery = receiver.recv().await.map_err(|error| hub.error(error))?;
    let Some(delivery) = delivery else { return hub.check().map(|()| None) };
    match Incoming::new(delivery.message()) {
        Ok(message) => Ok(Some((delivery, message))),
        Err(error) => {
            let why = AmqpError::new(ErrorCondition::DECODE_ERROR, "the message cannot be decoded");
            if let Err(over) = delivery.reject(why) {
                tracing::debug!(error = %over, "a message that cannot be decoded was not rejected");
            }
            Err(error)
        }
    }
}
