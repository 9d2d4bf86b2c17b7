//! Byte streams: TCP, and TLS on it.

mod tcp;
#[cfg(feature = "tls")]
mod tls;

pub(crate) use tcp::connect;
#[cfg(feature = "tls")]
pub use tls::{TlsClient, TlsServer};
#[cfg(feature = "tls")]
pub(crate) use tls::{tls_error, tls_name};
