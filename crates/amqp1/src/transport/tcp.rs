//! TCP.

use crate::error::{Error, ErrorKind};
use std::{any::Any, io};
use tokio::net::TcpStream;

/// Connects to the first address of the host that answers.
pub(crate) async fn connect(host: &str, port: u16) -> Result<TcpStream, Error> {
    let unresolved = |why: &str| Error::new(ErrorKind::Resolve, format!("the name {host} has no address{why}"));
    let addresses = tokio::net::lookup_host((host, port)).await.map_err(|error| unresolved("").with_source(error))?;
    let mut last = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                set_nodelay(&stream);
                return Ok(stream);
            }
            Err(error) => last = Some((address, error)),
        }
    }
    let Some((address, error)) = last else { return Err(unresolved(" that can be used")) };
    let why = match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("nobody listens on {address}"),
        io::ErrorKind::TimedOut => format!("{address} does not answer"),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            format!("the network does not get to {address}")
        }
        _ => format!("{address} cannot be connected to: {error}"),
    };
    Err(Error::new(ErrorKind::Connect, why).with_source(error))
}

/// Frames are gathered already; to wait for more would only add latency.
pub(crate) fn set_nodelay<IO: Any>(io: &IO) {
    if let Some(tcp) = (io as &dyn Any).downcast_ref::<TcpStream>() {
        // A stream that cannot do this is slower, not wrong.
        let _ = tcp.set_nodelay(true);
    }
}
