//! TCP.

use crate::error::{Error, ErrorKind};
use tokio::net::TcpStream;

/// Connects to the first address of the host that answers.
pub(crate) async fn connect(host: &str, port: u16) -> Result<TcpStream, Error> {
    let addresses = tokio::net::lookup_host((host, port)).await;
    let addresses =
        addresses.map_err(|error| Error::new(ErrorKind::Resolve, format!("the name {host} cannot be resolved: {error}")))?;
    let mut last = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Frames are gathered already; waiting for more only adds latency.
                stream.set_nodelay(true).map_err(|error| Error::new(ErrorKind::Connect, error.to_string()))?;
                return Ok(stream);
            }
            Err(error) => last = Some((address, error)),
        }
    }
    Err(match last {
        Some((address, error)) => Error::new(ErrorKind::Connect, format!("{address} does not answer: {error}")),
        None => Error::new(ErrorKind::Resolve, format!("the name {host} has no address")),
    })
}
