//! File uploads: what the hub does with them.

use bytes::Bytes;

use super::clock::UnixMillis;
use super::ids::{ConsumerId, DeviceId};
use super::lock_queue::LockLost;
use super::random::LockToken;
use super::service_error::ServiceError;
use super::uploads::{FileNotification, UploadTicket, UploadedFile};
use super::{Hub, Wake};

impl Hub {
    /// A device wants to send a file: says where to.
    ///
    /// # Errors
    /// *DeviceNotFound*; *ArgumentInvalid* for the name; *DeviceMaximumActiveFileUploadLimitExceeded*.
    pub fn begin_upload(
        &mut self,
        now: UnixMillis,
        device: &DeviceId,
        name: &str,
    ) -> Result<UploadTicket, ServiceError> {
        self.identity(&device.into())?;
        self.uploads.begin(now, device, name, &mut self.random)
    }

    /// A device is done with an upload. `container_url` is what the notification says of where blobs are.
    ///
    /// # Errors
    /// *DeviceNotFound*, *InvalidFileUploadCorrelationId*; *InvalidFileUploadCompletionStatus* if nothing was sent.
    pub fn complete_upload(
        &mut self,
        now: UnixMillis,
        device: &DeviceId,
        correlation_id: &str,
        is_success: bool,
        container_url: &str,
    ) -> Result<(), ServiceError> {
        self.identity(&device.into())?;
        let result = self.uploads.complete(now, device, correlation_id, is_success, container_url);
        self.wake_file_notifications();
        result
    }

    /// Whether the query of a blob's URL allows to read and write it.
    #[must_use]
    pub fn authorize_blob(&self, now: UnixMillis, blob: &str, expiry: &str, signature: &str) -> bool {
        self.uploads.authorize(now, blob, expiry, signature)
    }

    /// Sets room for octets that are about to be received aside. `false`: there is not as much.
    pub fn reserve_storage(&mut self, octets: usize) -> bool {
        self.uploads.reserve(octets)
    }

    /// Gives back what [`Hub::reserve_storage`] set aside.
    pub fn release_storage(&mut self, octets: usize) {
        self.uploads.release(octets);
    }

    /// Stores a whole file.
    ///
    /// # Errors
    /// *MessageTooLarge*: there is no room for it.
    pub fn put_blob(&mut self, blob: &str, file: UploadedFile) -> Result<(), ServiceError> {
        self.uploads.put(blob, file)
    }

    /// Stores a block of a file.
    ///
    /// # Errors
    /// *MessageTooLarge*: there is no room for it.
    pub fn put_block(&mut self, blob: &str, id: &str, octets: Bytes) -> Result<(), ServiceError> {
        self.uploads.put_block(blob, id, octets)
    }

    /// Puts a file together from its blocks.
    ///
    /// # Errors
    /// *ArgumentInvalid*: a block has not been sent. *MessageTooLarge*.
    pub fn put_block_list(
        &mut self,
        now: UnixMillis,
        blob: &str,
        ids: &[String],
        content_type: String,
    ) -> Result<(), ServiceError> {
        self.uploads.put_block_list(now, blob, ids, content_type)
    }

    /// A file that was sent, by its name with the device's id.
    #[must_use]
    pub fn uploaded_file(&self, blob: &str) -> Option<&UploadedFile> {
        self.uploads.file(blob)
    }

    /// Locks the next file notification for `consumer`. `None`: wait for [`Wake::FileNotifications`].
    pub fn take_file_notification(&mut self, now: UnixMillis, consumer: ConsumerId) -> Option<FileNotification> {
        let notification = self.uploads.take(now, consumer, &mut self.random);
        self.wake_file_notifications();
        notification
    }

    /// The receiver is done with a file notification (outcome *accepted* or *rejected*).
    ///
    /// # Errors
    /// [`LockLost`] if `token` locks none.
    pub fn complete_file_notification(&mut self, now: UnixMillis, token: &LockToken) -> Result<(), LockLost> {
        self.uploads.settle(now, token)
    }

    /// The receiver gives a file notification back; it counts unless it was never sent.
    ///
    /// # Errors
    /// [`LockLost`] if `token` locks none.
    pub fn give_up_file_notification(
        &mut self,
        now: UnixMillis,
        token: &LockToken,
        counted: bool,
    ) -> Result<(), LockLost> {
        let result = self.uploads.give_up(now, token, counted);
        self.wake_file_notifications();
        result
    }

    /// Locks that a receiver of file notifications holds.
    #[must_use]
    pub fn file_notification_locks(&self, consumer: ConsumerId) -> usize {
        self.uploads.locks_of(consumer)
    }

    pub(super) fn wake_file_notifications(&mut self) {
        if self.uploads.poll_available() {
            self.wakes.insert(Wake::FileNotifications);
        }
    }
}
