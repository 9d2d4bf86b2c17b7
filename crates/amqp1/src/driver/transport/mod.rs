//! Byte streams: TCP, and TLS on it.

#[cfg(feature = "tls")]
mod first;
#[cfg(feature = "tls")]
pub(crate) mod header;
mod tcp;
#[cfg(feature = "tls")]
mod tls;

pub(crate) use tcp::{connect, peer_address, resolve, set_nodelay};
#[cfg(feature = "tls")]
pub(crate) use tls::{Connector, accept as accept_tls};
#[cfg(feature = "tls")]
pub use tls::{TlsClient, TlsServer};

use crate::types::error::{Error, ErrorKind};
use std::io;

/// How a stream broke.
pub(crate) fn lost(error: io::Error) -> Error {
    #[cfg(feature = "tls")]
    if error.kind() != io::ErrorKind::UnexpectedEof {
        if let Some(why) = tls::tls_reason(&error) {
            return Error::new(ErrorKind::Tls, format!("TLS failed: {why}")).with_source(error);
        }
    }
    let why = match error.kind() {
        io::ErrorKind::UnexpectedEof => "the peer went away without a close".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "the peer reset the connection".to_owned(),
        _ => format!("the connection broke: {error}"),
    };
    Error::new(ErrorKind::TransportLost, why).with_source(error)
}
