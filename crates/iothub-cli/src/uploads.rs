//! The emulator's file uploads, as they are set up on the command line.

use std::fmt;

use clap::Args;
use iothub_emulator::hub::{BlobEndpoint, Settings};

use crate::timing::Span;

#[derive(Args)]
#[command(next_help_heading = "File uploads")]
pub(crate) struct UploadOptions {
    /// Do not notify the service of files that devices have uploaded. The real hub does so only where it is switched on.
    #[arg(long)]
    no_file_notifications: bool,
    /// Most MiB of uploaded files that are kept in memory.
    #[arg(long, default_value_t = 64, value_name = "MIB")]
    upload_storage: u32,
    /// How long a device may take for an upload.
    #[arg(long, default_value = "1h", value_name = "TIME")]
    upload_ttl: Span,
    /// Have devices put files to this container, such as one of Azurite, instead of the emulator. The URL has a shared access
    /// signature that may write there.
    #[arg(long, env = "IOTHUB_BLOB_ENDPOINT", hide_env_values = true, value_name = "URL?SAS")]
    blob_endpoint: Option<BlobEndpoint>,
}

/// Without the signature.
impl fmt::Debug for UploadOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadOptions").field("blob_endpoint", &self.blob_endpoint).finish_non_exhaustive()
    }
}

impl UploadOptions {
    pub(crate) fn apply(&self, settings: &mut Settings) {
        let uploads = &mut settings.file_uploads;
        uploads.notifications = !self.no_file_notifications;
        uploads.max_storage = usize::try_from(self.upload_storage).unwrap_or(usize::MAX).saturating_mul(1024 * 1024);
        uploads.sas_ttl = self.upload_ttl.duration();
        uploads.blob_endpoint.clone_from(&self.blob_endpoint);
    }
}
