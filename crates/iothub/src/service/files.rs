use super::attach_receiver;
use crate::{connect::Hub, error::Error, message::Incoming, time::parse_iso8601};
use amqp1::{
    Delivery, Receiver,
    codec::printable::{bounded_debug, printable},
};
use serde::Deserialize;
use std::{fmt, sync::Arc, time::SystemTime};

const SOURCE: &str = "/messages/serviceBound/filenotifications";
const CONTENT_TYPE: &str = "application/vnd.microsoft.iothub.filenotification.json";

/// A notification as the hub writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    device_id: String,
    #[serde(default)]
    blob_uri: Option<String>,
    #[serde(default)]
    blob_name: Option<String>,
    #[serde(default)]
    last_updated_time: Option<String>,
    #[serde(default)]
    blob_size_in_bytes: u64,
    #[serde(default)]
    enqueued_time_utc: Option<String>,
}

fn read(message: &Incoming) -> Result<Wire, Error> {
    let content_type = message.properties.content_type.as_deref();
    if content_type.is_some_and(|text| !text.eq_ignore_ascii_case(CONTENT_TYPE)) {
        return Err(Error::protocol(
            "the hub did not keep to the protocol: a message among file notifications is something else",
        ));
    }
    serde_json::from_slice(&message.body).map_err(|error| {
        Error::protocol("the hub did not keep to the protocol: a file notification cannot be read").with_source(error)
    })
}

/// A file that a device has uploaded.
///
/// [Complete](Self::complete) it when it was dealt with. Dropped, it stays locked at the hub for a while and is then
/// sent again.
#[must_use = "a notification that is not completed comes again"]
pub struct FileNotification {
    delivery: Delivery,
    wire: Wire,
    hub: Arc<Hub>,
}

impl fmt::Debug for FileNotification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bounded_debug(f, |f| {
            f.debug_struct("FileNotification")
                .field("delivery", &self.delivery)
                .field("device_id", &printable(&self.wire.device_id))
                .field("blob_name", &self.wire.blob_name.as_deref().map(printable))
                .field("size", &self.wire.blob_size_in_bytes)
                .finish_non_exhaustive()
        })
    }
}

impl FileNotification {
    /// The device.
    pub fn device_id(&self) -> &str {
        &self.wire.device_id
    }

    /// Where the file is.
    pub fn blob_uri(&self) -> Option<&str> {
        self.wire.blob_uri.as_deref()
    }

    /// The file's name: the device's id, a slash, and what the device called it.
    pub fn blob_name(&self) -> Option<&str> {
        self.wire.blob_name.as_deref()
    }

    /// The file's size in octets.
    pub fn size(&self) -> u64 {
        self.wire.blob_size_in_bytes
    }

    /// When the file was written.
    pub fn last_updated(&self) -> Option<SystemTime> {
        self.wire.last_updated_time.as_deref().and_then(parse_iso8601)
    }

    /// When the hub made the notification.
    pub fn enqueued_time(&self) -> Option<SystemTime> {
        self.wire.enqueued_time_utc.as_deref().and_then(parse_iso8601)
    }

    /// It was dealt with: the hub forgets it. This queues and does not wait; [`ServiceClient::close`] writes what is
    /// queued.
    ///
    /// [`ServiceClient::close`]: crate::ServiceClient::close
    ///
    /// # Errors
    ///
    /// If the link has ended; the notification then comes again.
    pub fn complete(self) -> Result<(), Error> {
        self.delivery.accept().map_err(|error| self.hub.error(error))
    }

    /// It was not dealt with: the hub sends it again, a limited number of times.
    ///
    /// # Errors
    ///
    /// If the link has ended; the notification then comes again.
    pub fn abandon(self) -> Result<(), Error> {
        self.delivery.release().map_err(|error| self.hub.error(error))
    }
}

/// Reads file notifications. See [`ServiceClient::file_notifications`](crate::ServiceClient::file_notifications).
#[derive(Debug)]
pub struct FileNotificationReceiver {
    receiver: Receiver,
    hub: Arc<Hub>,
    /// As a stream: its end was given.
    over: bool,
}

crate::stream::stream!(FileNotificationReceiver => FileNotification, |this| this.receiver.is_detached());

impl FileNotificationReceiver {
    pub(super) async fn attach(hub: Arc<Hub>) -> Result<Self, Error> {
        let receiver = attach_receiver(&hub, SOURCE).await?;
        Ok(Self { receiver, hub, over: false })
    }

    /// Waits for the next notification, without a limit of time; `None` when the hub has ended the link without an
    /// error.
    ///
    /// # Errors
    ///
    /// If the link or the connection ends with an error. A notification that cannot be read is an error too,
    /// [`ErrorKind::Protocol`](crate::ErrorKind::Protocol); it is abandoned, and the next call goes on.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: no notification is lost.
    pub async fn next(&mut self) -> Result<Option<FileNotification>, Error> {
        let delivery = self.receiver.recv().await.map_err(|error| self.hub.error(error))?;
        let Some(delivery) = delivery else { return self.hub.check().map(|()| None) };
        match Incoming::new(delivery.message()).and_then(|message| read(&message)) {
            Ok(wire) => Ok(Some(FileNotification { delivery, wire, hub: self.hub.clone() })),
            Err(error) => {
                delivery.release().ok();
                Err(error)
            }
        }
    }

    /// Closes the link; notifications that were received and not settled come again.
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
