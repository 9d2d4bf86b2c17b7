//! WebSocket with the sub-protocol `amqp`.

use super::blocking::{Carrier, Stream};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Buf, Bytes};
use futures_util::{SinkExt, StreamExt};
use std::{fmt, io};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_websockets::{ClientBuilder, Limits, Message, ServerBuilder, WebSocketStream, upgrade::Response};

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
/// The number of pings and pongs that are taken on a connection. The library keeps an answer to each ping until the peer reads
/// it.
const MAX_PINGS: usize = 10_000;

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
            .limits(limits())
            .connect_on(stream)
            .await
            .map_err(|error| other(format!("the peer does not speak WebSocket there: {error}")))?;
        agreed(&response)?;
        Ok(Messages::new(stream))
    }
}

fn limits() -> Limits {
    Limits::default().max_payload_len(Some(MAX_MESSAGE))
}

/// The largest request for a WebSocket that is taken, in octets.
const MAX_REQUEST: usize = 16 * 1024;
/// What a server appends to the key of a request before it answers with its digest (RFC 6455 §1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Answers a client's request for a WebSocket, whatever its path. The client must offer the sub-protocol `amqp`: what a
/// request lacks is an error of [`io::ErrorKind::InvalidData`].
pub(super) async fn accept<S: Stream>(mut stream: S) -> io::Result<Messages<S>> {
    let request = request(&mut stream).await?;
    let Err(reason) = check(&request) else {
        let key = header(&request, "sec-websocket-key").next().unwrap_or_default();
        let digest = sha1_smol::Sha1::from(format!("{key}{GUID}")).digest().bytes();
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: {SUB_PROTOCOL}\r\n\r\n",
            STANDARD.encode(digest)
        );
        stream.write_all(answer.as_bytes()).await?;
        return Ok(Messages::new(ServerBuilder::new().limits(limits()).serve(stream)));
    };
    stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await?;
    stream.shutdown().await?;
    Err(io::Error::new(io::ErrorKind::InvalidData, reason))
}

/// Reads a request to the empty line at its end.
async fn request<S: Stream>(stream: &mut S) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_REQUEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the request for a WebSocket does not end"));
        }
        head.push(stream.read_u8().await?);
        // AMQP and TLS begin otherwise.
        if !b"GET ".starts_with(head.get(..4).unwrap_or(&head)) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the client does not ask for a WebSocket"));
        }
    }
    String::from_utf8(head).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The reason for which a request is refused.
fn check(request: &str) -> Result<(), &'static str> {
    let has = |name, wanted: &str| {
        header(request, name)
            .flat_map(|values| values.split(','))
            .any(|value| value.trim().eq_ignore_ascii_case(wanted))
    };
    if !has("upgrade", "websocket") || header(request, "sec-websocket-key").next().is_none() {
        return Err("the client does not ask for a WebSocket");
    }
    if !has("sec-websocket-protocol", SUB_PROTOCOL) {
        return Err("the client does not offer the sub-protocol amqp");
    }
    Ok(())
}

/// The values of a header.
fn header<'a>(request: &'a str, name: &'static str) -> impl Iterator<Item = &'a str> {
    let fields = request.lines().filter_map(|line| line.split_once(':'));
    fields.filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
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
    pings: usize,
}

impl<S> Messages<S> {
    fn new(stream: WebSocketStream<S>) -> Self {
        Self { stream, unread: Bytes::new(), pings: 0 }
    }
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
                Some(Ok(message)) if message.is_ping() || message.is_pong() => {
                    self.pings = self.pings.saturating_add(1);
                    if self.pings > MAX_PINGS {
                        return Err(other(format!("more than {MAX_PINGS} pings and pongs")));
                    }
                }
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
