//! The registry of a hub, twins, queries and direct methods, over HTTPS.
//!
//! This is what the vendor's libraries have as `RegistryManager`, `Registry`, `IoTHubRegistryManager`, `TwinClient`,
//! `QueryClient` and `DirectMethodsClient`. See [`RegistryClient`].

mod authentication;
mod builder;
mod bulk;
mod devices;
mod etag;
mod http;
mod identity;
mod method;
mod query;
mod tokens;
mod twin;
mod twins;

pub use authentication::{Authentication, SymmetricKey};
pub use builder::RegistryClientBuilder;
pub use bulk::{BulkCode, BulkError, BulkOperation, BulkResult, BulkWarning, MAX_BULK};
pub use devices::{PurgeResult, RegistryStatistics, ServiceStatistics};
pub use etag::{ETag, IfMatch};
pub use identity::{Capabilities, ConnectionState, Device, DeviceStatus, IdentityId, Module};
pub use method::{DirectMethod, MethodResponse};
pub use query::Query;
pub use twin::{PropertyMetadata, Twin, TwinProperties, TwinUpdate};

use http::Http;
use std::sync::Arc;

/// The registry of a hub, its twins, queries and direct methods.
///
/// One client does for a whole program; clones share its connections. Connections are kept for the next request, and
/// every request has a token that was signed for it.
///
/// ```no_run
/// use iothub::registry::{Device, IfMatch, RegistryClient, TwinUpdate};
///
/// # async fn example(connection_string: &str) -> Result<(), iothub::Error> {
/// let registry = RegistryClient::builder().connection_string(connection_string)?.build()?;
///
/// let mut device = registry.create_device(&Device::new("thermostat")).await?;
/// let twin = registry.patch_twin("thermostat", &TwinUpdate::new().desired("target", 21), IfMatch::Any).await?;
/// println!("desired version {}", twin.desired.version());
///
/// device.status_reason = Some("in the cellar".to_owned());
/// let device = registry.update_device(&device, device.etag.clone()).await?;
/// registry.delete_device("thermostat", device.etag).await
/// # }
/// ```
///
/// # Errors of all requests
///
/// They are those of the clients over AMQP: [`ErrorKind::Unauthorized`](crate::ErrorKind::Unauthorized) for a policy
/// without the right, [`Throttled`](crate::ErrorKind::Throttled), [`QuotaExceeded`](crate::ErrorKind::QuotaExceeded),
/// [`Connect`](crate::ErrorKind::Connect), [`Tls`](crate::ErrorKind::Tls), [`Timeout`](crate::ErrorKind::Timeout),
/// [`ConnectionLost`](crate::ErrorKind::ConnectionLost), [`ServiceUnavailable`](crate::ErrorKind::ServiceUnavailable).
/// [`Error::http`](crate::Error::http) has the hub's own code.
///
/// # What is repeated
///
/// A request that fails with a [retriable](crate::Error::is_retriable) error is sent again after a pause that doubles,
/// up to [`retries`](RegistryClientBuilder::retries) times within
/// [`operation_timeout`](RegistryClientBuilder::operation_timeout). Reading, and writing without a condition, is repeated
/// whenever that may help. Creating, deleting, purging, bulk requests, and writing on the condition of an ETag, which
/// would fail when done twice, is repeated only when it is certain that the hub has not done it. Direct methods are not
/// repeated.
#[derive(Clone, Debug)]
#[doc(alias = "RegistryManager")]
pub struct RegistryClient {
    http: Arc<Http>,
    host: Arc<str>,
}

impl RegistryClient {
    /// A client that is to be made.
    pub fn builder() -> RegistryClientBuilder {
        RegistryClientBuilder::default()
    }

    fn new(http: Http, host: String) -> Self {
        Self { http: Arc::new(http), host: host.into() }
    }

    fn http(&self) -> &Http {
        &self.http
    }

    fn http_shared(&self) -> Arc<Http> {
        self.http.clone()
    }

    /// The hub's host name, as the connection string has it.
    pub fn host(&self) -> &str {
        &self.host
    }
}
