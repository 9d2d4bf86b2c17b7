//! An end of a transport on which every frame is checked by what the end has read before: order, ids, and the limits of the
//! peer. What breaks a rule ends the process, since the task of a connection may panic without anybody asking.

use amqp1_testkit::{Checker, Item, items};
use bytes::BytesMut;
use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Octets that are divided into headers and frames.
#[derive(Default)]
struct Splitter {
    octets: BytesMut,
    /// A scripted peer may send anything: what comes behind the first that is no frame is not looked at.
    lost: bool,
}

impl Splitter {
    /// What is whole now. `None` if it is neither a header nor a frame.
    fn take(&mut self, octets: &[u8]) -> Option<Vec<Item>> {
        self.octets.extend_from_slice(octets);
        let mut whole = Vec::new();
        while let Some(head) = self.octets.first_chunk::<4>() {
            let size = if head == b"AMQP" { 8 } else { u32::from_be_bytes(*head) as usize };
            if size < 8 {
                return None;
            }
            if self.octets.len() < size {
                break;
            }
            whole.extend_from_slice(&self.octets.split_to(size));
        }
        catch_unwind(|| items(&whole)).ok()
    }
}

/// One end.
pub(crate) struct Checked<IO> {
    io: IO,
    checker: Checker,
    read: Splitter,
    written: Splitter,
}

impl<IO> Checked<IO> {
    pub(crate) fn new(io: IO) -> Self {
        Self { io, checker: Checker::default(), read: Splitter::default(), written: Splitter::default() }
    }

    fn has_read(&mut self, octets: &[u8]) {
        if self.read.lost {
            return;
        }
        match self.read.take(octets) {
            Some(items) => items.iter().for_each(|item| self.checker.heard(item)),
            None => self.read.lost = true,
        }
    }

    fn has_written(&mut self, octets: &[u8]) {
        // What cannot be read of the peer may be its limits.
        if self.read.lost {
            return;
        }
        let Self { checker, written, .. } = self;
        let checked = catch_unwind(AssertUnwindSafe(|| {
            let items = written.take(octets).expect("headers and frames");
            items.iter().for_each(|item| checker.wrote(item));
        }));
        if checked.is_err() {
            eprintln!("a frame breaks a rule: see above");
            std::process::abort();
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Checked<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        let fresh = buf.filled().get(before..).unwrap_or_default().to_vec();
        self.has_read(&fresh);
        polled
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Checked<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, octets);
        if let Poll::Ready(Ok(count)) = &polled {
            self.has_written(octets.get(..*count).unwrap_or_default());
        }
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        if let Poll::Ready(Ok(count)) = &polled {
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(*count).collect();
            self.has_written(&all);
        }
        polled
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
