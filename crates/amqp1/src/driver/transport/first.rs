//! A stream that remembers its first octets: what a peer speaks that does not speak TLS.

use amqp1_codec::frame::SpokenProtocol;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many octets reveal a protocol.
const REVEALING: usize = 8;

#[derive(Debug)]
pub(crate) struct First<IO> {
    octets: [u8; REVEALING],
    seen: usize,
    io: IO,
}

impl<IO> First<IO> {
    pub(crate) fn new(io: IO) -> Self {
        Self { octets: [0; REVEALING], seen: 0, io }
    }

    /// The protocol that the peer has begun.
    pub(crate) fn spoken(&self) -> SpokenProtocol {
        SpokenProtocol::of(self.octets.get(..self.seen).unwrap_or_default())
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for First<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if self.seen < REVEALING {
            let this = &mut *self;
            let fresh = buf.filled().get(before..).unwrap_or_default();
            let room = this.octets.get_mut(this.seen..).unwrap_or_default();
            let count = fresh.len().min(room.len());
            room.iter_mut().zip(fresh).for_each(|(slot, octet)| *slot = *octet);
            this.seen = this.seen.saturating_add(count);
        }
        polled
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for First<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
