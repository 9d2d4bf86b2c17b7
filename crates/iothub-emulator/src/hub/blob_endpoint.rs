//! Storage that is not the emulator's, for file uploads.

use core::fmt;
use core::str::FromStr;

use thiserror::Error;

/// A container of a storage account, and the shared access signature by which devices write to it.
#[derive(Clone, PartialEq, Eq)]
pub struct BlobEndpoint {
    /// The host with its port and, where the account is in the path, the account.
    pub host: String,
    /// The container.
    pub container: String,
    /// The signature as a query, with its `?`. Secret.
    pub sas: String,
}

/// A text is not the URL of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a blob endpoint is https://HOST[:PORT][/ACCOUNT]/CONTAINER?SAS, the container's URL with its signature")]
pub struct BlobEndpointError;

/// Parses the URL of a container with its signature.
impl FromStr for BlobEndpoint {
    type Err = BlobEndpointError;

    fn from_str(text: &str) -> Result<Self, BlobEndpointError> {
        let rest = text.strip_prefix("https://").ok_or(BlobEndpointError)?;
        let (path, sas) = rest.split_once('?').ok_or(BlobEndpointError)?;
        let (host, container) = path.trim_end_matches('/').rsplit_once('/').ok_or(BlobEndpointError)?;
        if host.is_empty() || container.is_empty() || sas.is_empty() {
            return Err(BlobEndpointError);
        }
        Ok(Self { host: host.into(), container: container.into(), sas: format!("?{sas}") })
    }
}

impl fmt::Debug for BlobEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobEndpoint")
            .field("host", &self.host)
            .field("container", &self.container)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_may_be_in_the_host_or_in_the_path() {
        let endpoint: BlobEndpoint = "https://127.0.0.1:10000/devstoreaccount1/files?sv=1&sig=x%3D".parse().unwrap();
        assert_eq!((&*endpoint.host, &*endpoint.container), ("127.0.0.1:10000/devstoreaccount1", "files"));
        assert_eq!(endpoint.sas, "?sv=1&sig=x%3D");
        assert!(!format!("{endpoint:?}").contains("sig"));
        let endpoint: BlobEndpoint = "https://a.blob.core.windows.net/files/?s=1".parse().unwrap();
        assert_eq!((&*endpoint.host, &*endpoint.container), ("a.blob.core.windows.net", "files"));
        for bad in ["", "http://h/c?s", "https://h?s", "https://h/c", "https:///c?s", "https://h/c?"] {
            assert_eq!(bad.parse::<BlobEndpoint>(), Err(BlobEndpointError), "{bad}");
        }
    }
}
