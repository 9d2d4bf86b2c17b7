//! A WebSocket as a stream of octets. Where a message ends means nothing.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;

use bytes::{Buf, Bytes};
use futures_core::Stream;
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_websockets::{Error, Message, WebSocketStream};

/// Most answers to pings that may wait for a client that does not read.
const MAX_PONGS: usize = 1000;

/// The octets of binary messages.
pub(super) struct ByteStream<IO> {
    socket: WebSocketStream<IO>,
    /// What has been received and not been read.
    unread: Bytes,
    /// Answers to pings since all that was to be written had been.
    pongs: usize,
}

impl<IO> ByteStream<IO> {
    pub(super) fn new(socket: WebSocketStream<IO>) -> Self {
        Self { socket, unread: Bytes::new(), pongs: 0 }
    }
}

fn broken(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for ByteStream<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Ok(message)) if message.is_binary() => self.unread = message.into_payload().into(),
                Some(Ok(message)) if message.is_text() => {
                    let text = "the client sent text, and AMQP is binary";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
                }
                // The answer is in the stream's buffer, which has no end of its own.
                Some(Ok(message)) if message.is_ping() => {
                    self.pongs += 1;
                    if self.as_mut().poll_flush(cx)?.is_pending() && self.pongs > MAX_PONGS {
                        let text = "the client pings and does not read the answers";
                        return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
                    }
                }
                // The stream answers pings and closes itself; after a close it ends.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
            }
        }
        let length = buffer.remaining().min(self.unread.len());
        buffer.put_slice(&self.unread[..length]);
        self.unread.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ByteStream<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        if octets.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(broken)?;
        let message = Message::binary(Bytes::copy_from_slice(octets));
        Pin::new(&mut self.socket).start_send(message).map_err(broken)?;
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_flush(cx)).map_err(broken)?;
        self.pongs = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx).map_err(broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio_websockets::ServerBuilder;

    /// A ping of no octets, masked as those of clients are.
    const PING: [u8; 6] = [0x89, 0x80, 0, 0, 0, 0];

    fn pair() -> (ByteStream<DuplexStream>, DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(4096);
        (ByteStream::new(ServerBuilder::new().serve(ours)), theirs)
    }

    #[tokio::test]
    async fn pings_whose_answers_nobody_reads_end_the_stream() {
        let (mut stream, mut client) = pair();
        let flood = async { while client.write_all(&PING).await.is_ok() {} };
        let error = tokio::select! {
            read = stream.read_u8() => read.unwrap_err(),
            () = flood => unreachable!("the stream is there"),
        };
        assert!(error.to_string().contains("pings"), "{error}");
    }

    #[tokio::test]
    async fn any_number_of_pings_is_answered_to_a_client_that_reads() {
        let (mut stream, client) = pair();
        let (mut reading, mut writing) = tokio::io::split(client);
        let pings = 20 * MAX_PONGS;
        let client = async {
            for _ in 0..pings {
                writing.write_all(&PING).await.unwrap();
            }
            // Binary, of one octet.
            writing.write_all(&[0x82, 0x81, 0, 0, 0, 0, 7]).await.unwrap();
        };
        let answers = async {
            let mut octets = vec![0; 2 * pings];
            reading.read_exact(&mut octets).await.unwrap();
        };
        let server = async {
            assert_eq!(stream.read_u8().await.unwrap(), 7);
            stream.flush().await.unwrap();
        };
        tokio::join!(server, client, answers);
    }
}
