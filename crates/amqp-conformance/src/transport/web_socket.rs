//! WebSocket with the sub-protocol `amqp`.

use super::blocking::{Carrier, Stream};
use bytes::{Buf, Bytes};
use futures_util::{SinkExt, StreamExt};
use std::{fmt, io};
use tokio_websockets::{ClientBuilder, Limits, Message, WebSocketStream, upgrade::Response};

/// The request by which a WebSocket is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocket {
    /// The path.
    pub path: String,
}

/// The sub-protocol of the AMQP WebSocket binding.
const SUB_PROTOCOL: &str = "amqp";
/// The largest message that is taken, in octets.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;

fn other(error: impl fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

impl WebSocket {
    pub(super) async fn connect<S: Stream>(
        &self,
        host: &str,
        port: u16,
        is_secure: bool,
        stream: S,
    ) -> io::Result<Messages<S>> {
        let scheme = if is_secure { "wss" } else { "ws" };
        let host = if host.contains(':') { format!("[{host}]") } else { String::from(host) };
        let uri = format!("{scheme}://{host}:{port}/{}", self.path.trim_start_matches('/'));
        let name = http::header::SEC_WEBSOCKET_PROTOCOL;
        let (stream, response) = ClientBuilder::new()
            .uri(&uri)
            .map_err(other)?
            .add_header(name, http::HeaderValue::from_static(SUB_PROTOCOL))
            .map_err(other)?
            .limits(Limits::default().max_payload_len(Some(MAX_MESSAGE)))
            .connect_on(stream)
            .await
            .map_err(other)?;
        agreed(&response)?;
        Ok(Messages { stream, unread: Bytes::new() })
    }
}

/// The server must have chosen the sub-protocol.
fn agreed(response: &Response) -> io::Result<()> {
    let chosen = response.headers().get(http::header::SEC_WEBSOCKET_PROTOCOL);
    match chosen.map(http::HeaderValue::as_bytes) {
        Some(chosen) if chosen == SUB_PROTOCOL.as_bytes() => Ok(()),
        Some(chosen) => Err(other(format!("the sub-protocol is {:?}", String::from_utf8_lossy(chosen)))),
        None => Err(other("the server has not agreed to the sub-protocol amqp")),
    }
}

/// Octets in binary messages. The limits of messages have no meaning for AMQP.
pub(super) struct Messages<S> {
    stream: WebSocketStream<S>,
    unread: Bytes,
}

impl<S: Stream> Carrier for Messages<S> {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.unread.is_empty() {
            match self.stream.next().await {
                None => return Ok(0),
                Some(Err(error)) => return Err(other(error)),
                Some(Ok(message)) if message.is_close() => return Ok(0),
                Some(Ok(message)) if message.is_binary() => self.unread = message.into_payload().into(),
                // The library answers pings.
                Some(Ok(message)) if message.is_ping() || message.is_pong() => {}
                Some(Ok(_)) => return Err(other("a message of text")),
            }
        }
        let count = self.unread.len().min(buffer.len());
        buffer.get_mut(..count).unwrap_or_default().copy_from_slice(self.unread.get(..count).unwrap_or_default());
        self.unread.advance(count);
        Ok(count)
    }

    async fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.stream.send(Message::binary(Bytes::copy_from_slice(octets))).await.map_err(other)?;
        Ok(octets.len())
    }

    async fn finish(&mut self) -> io::Result<()> {
        self.stream.close().await.map_err(other)
    }
}
