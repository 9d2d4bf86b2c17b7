//! File uploads: what devices have announced, what they have sent, and the notifications about it.

mod blob;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use self::blob::Blob;
use super::clock::UnixMillis;
use super::ids::{ConsumerId, DeviceId, IdentityId};
use super::lock_queue::{LockLost, LockQueue, LockRules};
use super::random::{LockToken, Random};
use super::service_error::{ErrorCode, ServiceError};
use super::settings::FileUploadSettings;

/// The content-type of a file notification.
pub const FILE_NOTIFICATION_CONTENT_TYPE: &str = "application/vnd.microsoft.iothub.filenotification.json";

/// Most characters of a blob's name, the device's id included.
const MAX_NAME: usize = 1024;
/// Most blocks of a blob that are not put together yet.
const MAX_BLOCKS: usize = 50_000;
/// Most notifications that wait.
const MAX_NOTIFICATIONS: usize = 10_000;
/// Most blobs that are kept.
const MAX_BLOBS: usize = 100_000;
/// Most octets of names, ids and media types of all blobs and blocks together, and [`ENTRY`] for each: those without octets
/// take memory, too.
const MAX_NAMES: usize = 16 * 1024 * 1024;
/// What an entry of a table takes, more or less.
const ENTRY: usize = 64;

/// An upload that a device has announced and not completed.
#[derive(Debug)]
struct Upload {
    device: DeviceId,
    blob: String,
    expires: UnixMillis,
}

/// Where a device is to put a file.
#[derive(Clone, Debug)]
pub struct UploadTicket {
    /// Names the upload when it is completed.
    pub correlation_id: String,
    /// The container, where it is not the emulator's own.
    pub container: Option<String>,
    /// The blob's name, which begins with the device's id.
    pub blob: String,
    /// The query that the URL of the blob needs, with its `?`.
    pub sas: String,
}

/// A file notification under the lock of the receiver that took it.
#[derive(Clone, Debug)]
pub struct FileNotification {
    /// The delivery-tag, and `x-opt-lock-token`.
    pub token: LockToken,
    /// Number of the notification, from 1.
    pub sequence_number: u64,
    /// How often it was given up before.
    pub delivery_count: u32,
    /// `iothub-enqueuedtime`.
    pub enqueued: UnixMillis,
    /// The body: a JSON object. Its content-type is [`FILE_NOTIFICATION_CONTENT_TYPE`].
    pub body: Bytes,
}

/// A file that a device has sent.
#[derive(Clone, Debug)]
pub struct UploadedFile {
    /// What is in it.
    pub octets: Bytes,
    /// Its media type.
    pub content_type: String,
    /// When it was last written.
    pub written: UnixMillis,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Uploads {
    settings: FileUploadSettings,
    secret: [u8; 16],
    active: BTreeMap<String, Upload>,
    blobs: BTreeMap<String, Blob>,
    stored: usize,
    /// Of [`MAX_NAMES`].
    names: usize,
    /// Set aside for bodies that are being received.
    reserved: usize,
    notifications: LockQueue<Bytes>,
}

impl Uploads {
    pub(crate) fn new(settings: &FileUploadSettings, random: &mut Random) -> Self {
        let rules = LockRules {
            lock: settings.lock,
            max_delivery_count: settings.max_delivery_count,
            count_lock_expiry: false,
        };
        Self {
            settings: settings.clone(),
            secret: *random.lock_token().as_octets(),
            active: BTreeMap::new(),
            blobs: BTreeMap::new(),
            stored: 0,
            names: 0,
            reserved: 0,
            notifications: LockQueue::new(rules),
        }
    }

    /// A device wants to send a file.
    pub(crate) fn begin(
        &mut self,
        now: UnixMillis,
        device: &DeviceId,
        name: &str,
        random: &mut Random,
    ) -> Result<UploadTicket, ServiceError> {
        self.handle_timeout(now);
        let blob = format!("{device}/{name}");
        let is_bad = name.is_empty() || name.chars().any(char::is_control) || blob.chars().count() > MAX_NAME;
        if is_bad || name.split('/').any(|part| matches!(part, "" | "." | "..")) {
            let text = format!("blobName must be a path of at most {MAX_NAME} characters with the device id");
            return Err(ServiceError::new(ErrorCode::ArgumentInvalid, text));
        }
        let active = self.active.values().filter(|upload| upload.device == *device).count();
        if active >= self.settings.max_active {
            let text = format!("device {device} has {active} file uploads in progress, which is the most");
            return Err(ServiceError::new(ErrorCode::DeviceMaximumActiveFileUploadLimitExceeded, text));
        }
        let correlation_id = random.lock_token().to_string();
        let expires = now.after(self.settings.sas_ttl);
        self.active.insert(correlation_id.clone(), Upload { device: device.clone(), blob: blob.clone(), expires });
        let sas = match &self.settings.blob_endpoint {
            Some(endpoint) => endpoint.sas.clone(),
            None => {
                let expiry = expires.0 / 1000;
                format!("?sv=2021-08-06&sr=b&se={expiry}&sp=rw&sig={}", self.signature(&blob, expiry))
            }
        };
        let container = self.settings.blob_endpoint.as_ref().map(|endpoint| endpoint.container.clone());
        Ok(UploadTicket { correlation_id, container, blob, sas })
    }

    fn signature(&self, blob: &str, expiry: u64) -> String {
        let hash = Sha256::new().chain_update(self.secret).chain_update(expiry.to_be_bytes()).chain_update(blob);
        // Half of the hash: the whole of it could be continued.
        URL_SAFE_NO_PAD.encode(hash.finalize().get(..16).unwrap_or_default())
    }

    /// Checks the signature and expiry of a blob's URL.
    pub(crate) fn authorize(&self, now: UnixMillis, blob: &str, expiry: &str, signature: &str) -> bool {
        let expiry = expiry.parse::<u64>().ok().filter(|expiry| now.0 / 1000 < *expiry);
        expiry.is_some_and(|expiry| self.signature(blob, expiry) == signature)
    }

    /// How many octets may still be stored.
    fn room(&self) -> usize {
        self.settings.max_storage.saturating_sub(self.stored).saturating_sub(self.reserved)
    }

    pub(crate) fn reserve(&mut self, octets: usize) -> bool {
        let fits = octets <= self.room();
        if fits {
            self.reserved += octets;
        }
        fits
    }

    pub(crate) fn release(&mut self, octets: usize) {
        self.reserved = self.reserved.saturating_sub(octets);
    }

    /// Changes a blob, which may add that much to the names, and takes away `freed`.
    fn change(
        &mut self,
        blob: &str,
        freed: usize,
        added: usize,
        change: impl FnOnce(&mut Blob) -> Result<(), ServiceError>,
    ) -> Result<(), ServiceError> {
        let own_name = blob.len() + ENTRY;
        let is_new = !self.blobs.contains_key(blob);
        let added = added + if is_new { own_name } else { 0 };
        if is_new && self.blobs.len() >= MAX_BLOBS || (self.names - freed).saturating_add(added) > MAX_NAMES {
            return Err(full());
        }
        let entry = self.blobs.entry(blob.to_owned()).or_default();
        let (size, names) = (entry.size(), entry.names());
        let result = change(entry);
        self.stored = self.stored - size + entry.size();
        self.names = self.names - names + entry.names() + if is_new { own_name } else { 0 };
        if entry.is_empty() {
            self.blobs.remove(blob);
            self.names -= own_name;
        }
        result
    }

    /// Of [`MAX_NAMES`], what a blob takes besides its own name.
    fn names_of(&self, blob: &str) -> usize {
        self.blobs.get(blob).map_or(0, Blob::names)
    }

    /// Stores a whole file.
    pub(crate) fn put(&mut self, blob: &str, file: UploadedFile) -> Result<(), ServiceError> {
        let replaced = self.blobs.get(blob).map_or(0, Blob::size);
        if file.octets.len() > self.room() + replaced {
            return Err(full());
        }
        self.change(blob, self.names_of(blob), file.content_type.len(), |entry| {
            entry.set_file(file);
            Ok(())
        })
    }

    /// Stores a block of a file that is to be put together.
    pub(crate) fn put_block(&mut self, blob: &str, id: &str, octets: Bytes) -> Result<(), ServiceError> {
        if octets.len() > self.room() {
            return Err(full());
        }
        let is_new = self.blobs.get(blob).is_none_or(|entry| entry.block(id).is_none());
        self.change(blob, 0, if is_new { id.len() + ENTRY } else { 0 }, |entry| {
            if entry.blocks() >= MAX_BLOCKS && entry.block(id).is_none() {
                return Err(full());
            }
            entry.set_block(id, octets);
            Ok(())
        })
    }

    /// Puts a file together from its blocks, which are then no longer blocks.
    pub(crate) fn put_block_list(
        &mut self,
        now: UnixMillis,
        blob: &str,
        ids: &[String],
        content_type: String,
    ) -> Result<(), ServiceError> {
        // A list may name a block more than once.
        let limit = self.room() + self.blobs.get(blob).map_or(0, Blob::size);
        self.change(blob, self.names_of(blob), content_type.len(), |entry| {
            let mut octets = BytesMut::new();
            for id in ids {
                let block = entry.block(id).ok_or_else(|| {
                    ServiceError::new(ErrorCode::ArgumentInvalid, "the list names a block that was not sent")
                })?;
                if octets.len() + block.len() > limit {
                    return Err(full());
                }
                octets.extend_from_slice(block);
            }
            entry.set_file(UploadedFile { octets: octets.freeze(), content_type, written: now });
            Ok(())
        })
    }

    pub(crate) fn file(&self, blob: &str) -> Option<&UploadedFile> {
        self.blobs.get(blob)?.file()
    }

    /// A device says that it is done with an upload. `container_url` is where blobs are, for those who are notified.
    pub(crate) fn complete(
        &mut self,
        now: UnixMillis,
        device: &DeviceId,
        correlation_id: &str,
        is_success: bool,
        container_url: &str,
    ) -> Result<(), ServiceError> {
        self.handle_timeout(now);
        let upload = self.active.get(correlation_id).filter(|upload| upload.device == *device).ok_or_else(|| {
            let text = "no upload of this device is in progress under this correlationId";
            ServiceError::new(ErrorCode::InvalidFileUploadCorrelationId, text)
        })?;
        let file = self.file(&upload.blob);
        if is_success && file.is_none() && self.settings.blob_endpoint.is_none() {
            let text =
                "nothing has been put to the URL of the upload: complete it with isSuccess false, or send the file";
            return Err(ServiceError::new(ErrorCode::InvalidFileUploadCompletionStatus, text));
        }
        let (size, written) = file.map_or((0, now), |file| (file.octets.len(), file.written));
        let body = notification(device, &upload.blob, container_url, size, written, now);
        if is_success && self.settings.notifications {
            if self.notifications.len() >= MAX_NOTIFICATIONS {
                let text = format!("{MAX_NOTIFICATIONS} file notifications wait to be read, which is the most");
                return Err(ServiceError::new(ErrorCode::ThrottlingException, text));
            }
            self.notifications.push(now, body, now.after(self.settings.ttl));
        }
        self.active.remove(correlation_id);
        Ok(())
    }

    /// Forgets the uploads of a deleted device that are in progress. Its files stay.
    pub(crate) fn forget(&mut self, id: &IdentityId) {
        if id.module.is_none() {
            self.active.retain(|_, upload| upload.device != id.device);
        }
    }

    pub(crate) fn take(
        &mut self,
        now: UnixMillis,
        consumer: ConsumerId,
        random: &mut Random,
    ) -> Option<FileNotification> {
        self.handle_timeout(now);
        let locked = self.notifications.take(now, consumer, random)?;
        Some(FileNotification {
            token: locked.token,
            sequence_number: locked.sequence_number,
            delivery_count: locked.delivery_count,
            enqueued: locked.enqueued,
            body: locked.item.clone(),
        })
    }

    pub(crate) fn settle(&mut self, now: UnixMillis, token: &LockToken) -> Result<(), LockLost> {
        self.notifications.settle(now, token).map(drop)
    }

    /// `counted`: the receiver gave it up, rather than never having had it.
    pub(crate) fn give_up(&mut self, now: UnixMillis, token: &LockToken, counted: bool) -> Result<(), LockLost> {
        let given_up = match counted {
            true => self.notifications.abandon(now, token),
            false => self.notifications.give_back(now, token),
        };
        while self.notifications.poll_dead().is_some() {}
        given_up.map(drop)
    }

    pub(crate) fn locks_of(&self, consumer: ConsumerId) -> usize {
        self.notifications.locks_of(consumer)
    }

    pub(crate) fn poll_available(&mut self) -> bool {
        self.notifications.poll_available()
    }

    pub(crate) fn next_deadline(&self) -> Option<UnixMillis> {
        self.notifications.next_deadline()
    }

    pub(crate) fn handle_timeout(&mut self, now: UnixMillis) {
        self.active.retain(|_, upload| now < upload.expires);
        self.notifications.handle_timeout(now);
        while self.notifications.poll_dead().is_some() {}
    }
}

fn full() -> ServiceError {
    ServiceError::new(
        ErrorCode::MessageTooLarge,
        "the emulator has no room for this file: see file_uploads.max_storage",
    )
}

/// One client reads the time of the last write by a pattern that has an offset and no fraction.
fn notification(
    device: &DeviceId,
    blob: &str,
    container_url: &str,
    size: usize,
    written: UnixMillis,
    now: UnixMillis,
) -> Bytes {
    let written = written.to_iso8601().to_string();
    let seconds = written.split('.').next().unwrap_or_default();
    let document: Value = json!({
        "deviceId": device.as_str(),
        "blobUri": format!("{container_url}/{blob}"),
        "blobName": blob,
        "lastUpdatedTime": format!("{seconds}+00:00"),
        "blobSizeInBytes": size,
        "enqueuedTimeUtc": now.to_iso8601().to_string(),
    });
    document.to_string().into()
}

#[cfg(test)]
mod tests;
