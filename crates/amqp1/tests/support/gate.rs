//! A transport that can be made to stand still, to end, or to panic.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, Waker},
};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

const OPEN: u8 = 0;
const STUCK: u8 = 1;
const BROKEN: u8 = 2;
const PANICS: u8 = 3;
const DEAF: u8 = 4;

/// Sits at one end of a transport.
#[derive(Clone, Default)]
pub(crate) struct Gate {
    state: Arc<AtomicU8>,
    waker: Arc<std::sync::Mutex<Option<Waker>>>,
}

impl Gate {
    fn set(&self, state: u8) {
        self.state.store(state, Ordering::SeqCst);
        let waker = self.waker.lock().expect("no panic under the lock").take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Nothing is read or written any more, and nobody is told.
    pub(crate) fn stick(&self) {
        self.set(STUCK);
    }

    /// It goes on where it has stuck.
    pub(crate) fn unstick(&self) {
        self.set(OPEN);
    }

    /// What is written stays where it is; reading goes on.
    pub(crate) fn deafen(&self) {
        self.set(DEAF);
    }

    /// Reading and writing fail.
    pub(crate) fn break_off(&self) {
        self.set(BROKEN);
    }

    /// Reading panics.
    pub(crate) fn panic(&self) {
        self.set(PANICS);
    }

    pub(crate) fn around(&self, io: DuplexStream) -> Gated {
        Gated { gate: self.clone(), io }
    }

    fn poll(&self, cx: &Context<'_>, reads: bool) -> Poll<io::Result<()>> {
        *self.waker.lock().expect("no panic under the lock") = Some(cx.waker().clone());
        match self.state.load(Ordering::SeqCst) {
            OPEN => Poll::Ready(Ok(())),
            DEAF if reads => Poll::Ready(Ok(())),
            STUCK | DEAF => Poll::Pending,
            BROKEN => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            _ => panic!("on purpose"),
        }
    }
}

pub(crate) struct Gated {
    gate: Gate,
    io: DuplexStream,
}

impl AsyncRead for Gated {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.gate.poll(cx, true))?;
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Gated {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        std::task::ready!(self.gate.poll(cx, false))?;
        Pin::new(&mut self.io).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
