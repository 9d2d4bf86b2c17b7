//! TLS and WebSocket below the frames, as transports that block.

mod blocking;
mod tls;
mod web_socket;

pub use tls::{ClientTls, ServerTls, TlsError};
pub use web_socket::WebSocket;

use amqp1_script::{Tcp, Transport};
use blocking::{Blocking, Stream, runtime};
use std::{
    io,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// The layers between TCP and AMQP.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// TLS.
    pub tls: Option<ClientTls>,
    /// WebSocket.
    pub web_socket: Option<WebSocket>,
}

impl Layers {
    /// Connects, within this time. `host` is the server's name in its certificate and in the WebSocket request.
    ///
    /// # Errors
    ///
    /// If the server does not accept, its certificate is not valid for `host`, or it does not agree to the WebSocket
    /// sub-protocol `amqp`.
    pub fn connect(&self, address: SocketAddr, host: &str, within: Duration) -> io::Result<Box<dyn Transport + Send>> {
        if self.tls.is_none() && self.web_socket.is_none() {
            return Ok(Box::new(Tcp::connect(address, within)?));
        }
        let runtime = runtime()?;
        let connected = async { tokio::time::timeout(within, self.connected(address, host)).await };
        let late = |_| {
            let reason = format!("no answer within {within:?}: the peer may not speak {} there", self.name());
            Err(io::Error::new(io::ErrorKind::TimedOut, reason))
        };
        match runtime.block_on(connected).unwrap_or_else(late)? {
            Either::WebSocket(carrier) => Ok(Box::new(Blocking::new(runtime, *carrier))),
            Either::Stream(stream) => Ok(Box::new(Blocking::new(runtime, blocking::Octets(stream)))),
        }
    }

    async fn connected(&self, address: SocketAddr, host: &str) -> io::Result<Either> {
        let tcp = tokio::net::TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match &self.tls {
            Some(tls) => Box::new(tls.connect(host, tcp).await?),
            None => Box::new(tcp),
        };
        let Some(web_socket) = &self.web_socket else { return Ok(Either::Stream(stream)) };
        let messages = web_socket.connect(host, address.port(), self.tls.is_some(), stream).await?;
        Ok(Either::WebSocket(Box::new(messages)))
    }

    /// The layers in words, for reports: `tls`, `ws over tls, certificate not verified`.
    pub fn name(&self) -> String {
        let tls = match &self.tls {
            None => "tcp",
            Some(tls) if tls.is_verified() => "tls",
            Some(_) => "tls, certificate not verified",
        };
        if self.web_socket.is_some() { format!("ws over {tls}") } else { String::from(tls) }
    }
}

enum Either {
    WebSocket(Box<web_socket::Messages<Box<dyn Stream>>>),
    Stream(Box<dyn Stream>),
}

/// The layers of a listener between TCP and AMQP.
#[derive(Clone, Debug, Default)]
pub struct Listening {
    /// TLS.
    pub tls: Option<ServerTls>,
    /// Whether clients connect with WebSocket.
    pub web_socket: bool,
}

impl Listening {
    /// The scheme of the URL to which a client connects. `is_secure` adds TLS that is not the listener's own.
    pub fn scheme(&self, is_secure: bool) -> &'static str {
        match (self.web_socket, is_secure || self.tls.is_some()) {
            (false, false) => "amqp",
            (false, true) => "amqps",
            (true, false) => "ws",
            (true, true) => "wss",
        }
    }

    /// The layers in words, for reports: `tls`, `ws over tls`.
    pub fn name(&self) -> String {
        let tls = if self.tls.is_some() { "tls" } else { "tcp" };
        if self.web_socket { format!("ws over {tls}") } else { String::from(tls) }
    }

    /// Accepts a client's connection.
    ///
    /// # Errors
    ///
    /// If a handshake does not succeed within this time. That a client does not ask for a WebSocket with the sub-protocol
    /// `amqp` is [`io::ErrorKind::InvalidData`].
    pub fn accept(&self, stream: TcpStream, within: Duration) -> io::Result<Box<dyn Transport + Send>> {
        if self.tls.is_none() && !self.web_socket {
            return Ok(Box::new(Tcp::new(stream)?));
        }
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let runtime = runtime()?;
        let accepted = async { tokio::time::timeout(within, self.accepted(stream)).await };
        match runtime.block_on(accepted).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))? {
            Either::WebSocket(carrier) => Ok(Box::new(Blocking::new(runtime, *carrier))),
            Either::Stream(stream) => Ok(Box::new(Blocking::new(runtime, blocking::Octets(stream)))),
        }
    }

    async fn accepted(&self, stream: TcpStream) -> io::Result<Either> {
        let tcp = tokio::net::TcpStream::from_std(stream)?;
        let stream: Box<dyn Stream> = match &self.tls {
            Some(tls) => Box::new(tls.accept(tcp).await?),
            None => Box::new(tcp),
        };
        if self.web_socket {
            return Ok(Either::WebSocket(Box::new(web_socket::accept(stream).await?)));
        }
        Ok(Either::Stream(stream))
    }
}

#[cfg(test)]
mod tests;
