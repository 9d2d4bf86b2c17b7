//! The one task per connection: it reads, it writes, it keeps the time.

use crate::shared::Shared;
use amqp1_engine::TransmitQueue;
use bytes::{Buf, BytesMut};
use std::{
    future::Future,
    io::IoSlice,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    time::Sleep,
};

/// How much is encoded under one hold of the lock.
const TRANSMIT: usize = 64 * 1024;

/// The read buffer grows from the one to the other.
const READ: std::ops::RangeInclusive<usize> = 2 * 1024..=64 * 1024;

/// Reads before other tasks get their turn.
const READS_IN_A_ROW: usize = 8;

/// Pieces of one vectored write.
const SLICES: usize = 32;

pub(crate) struct Driver<IO> {
    shared: Arc<Shared>,
    io: IO,
    input: BytesMut,
    read_size: usize,
    read_ended: bool,
    output: TransmitQueue,
    unflushed: bool,
    shutting_down: bool,
    timer: Pin<Box<Sleep>>,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Driver<IO> {
    pub(crate) fn new(shared: Arc<Shared>, io: IO) -> Self {
        Self {
            shared,
            io,
            input: BytesMut::new(),
            read_size: *READ.start(),
            read_ended: false,
            output: TransmitQueue::default(),
            unflushed: false,
            shutting_down: false,
            timer: Box::pin(tokio::time::sleep(std::time::Duration::ZERO)),
        }
    }

    /// Reads what is there. Whether anything came, or the stream has ended.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, std::io::Error> {
        if self.read_ended {
            return Ok(false);
        }
        self.input.reserve(self.read_size);
        let read = pin!(self.io.read_buf(&mut self.input)).poll(cx);
        match read {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(0)) => {
                self.read_ended = true;
                Ok(true)
            }
            Poll::Ready(Ok(count)) => {
                self.read_size = if count >= self.read_size { self.read_size * 2 } else { count.next_power_of_two() };
                self.read_size = self.read_size.clamp(*READ.start(), *READ.end());
                Ok(true)
            }
            Poll::Ready(Err(error)) => {
                self.read_ended = true;
                Err(error)
            }
        }
    }

    /// Writes what waits, and flushes when nothing waits: TLS buffers inside.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
        while !self.output.is_empty() {
            let written = {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let mut used = 0;
                for (slot, segment) in slices.iter_mut().zip(self.output.segments()) {
                    *slot = IoSlice::new(segment);
                    used += 1;
                }
                ready!(Pin::new(&mut self.io).poll_write_vectored(cx, slices.get(..used).unwrap_or_default()))?
            };
            if written == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            self.output.advance(written);
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Tells the engine that the transport is gone.
    fn lost(&self, error: Option<&std::io::Error>) {
        let now = self.shared.now();
        self.shared.drive(None, |state, _| {
            if let Some(error) = error {
                state.transport_error.get_or_insert_with(|| error.to_string());
            }
            state.engine.handle_eof(now);
        });
    }

    /// One turn of the loop: whether there was anything to do.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut progress = false;
        let mut failed = None;
        match self.poll_read(cx) {
            Ok(read) => progress |= read,
            Err(error) => failed = Some(error),
        }
        let now = self.shared.now();
        let (input, output) = (&mut self.input, &mut self.output);
        let ended = self.read_ended;
        let room = TRANSMIT.saturating_sub(output.remaining());
        let (finished, deadline, more) = self.shared.drive(Some(cx), |state, aside| {
            if !input.is_empty() {
                state.engine.handle_input(now, input);
            }
            if ended {
                if let Some(error) = &failed {
                    state.transport_error.get_or_insert_with(|| error.to_string());
                }
                if !state.engine.is_finished() {
                    state.engine.handle_eof(now);
                }
            }
            if state.engine.poll_timeout().is_some_and(|deadline| deadline <= now) {
                state.engine.handle_timeout(now);
            }
            let before = output.remaining();
            if room > 0 {
                state.engine.transmit(now, TRANSMIT, output);
            }
            aside.store(&mut state.driver);
            (state.engine.is_finished(), state.engine.poll_timeout(), output.remaining() > before)
        });
        progress |= more;
        // What is written makes room for what the engine has kept back.
        progress |= !self.output.is_empty();
        match self.poll_write(cx) {
            Poll::Ready(Ok(())) if finished => return self.poll_shutdown(cx).map(|()| false),
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => {
                self.lost(Some(&error));
                return Poll::Ready(false);
            }
            Poll::Pending if finished && self.read_ended => return Poll::Ready(false),
            Poll::Pending => progress = false,
        }
        if let Some(deadline) = deadline {
            let deadline = self.shared.deadline(deadline);
            if self.timer.deadline() != deadline {
                self.timer.as_mut().reset(deadline);
            }
            progress |= self.timer.as_mut().poll(cx).is_ready();
        }
        if progress { Poll::Ready(true) } else { Poll::Pending }
    }

    /// The last octets are written: say so to the transport.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.shutting_down = true;
        // A peer that has gone already is none of our worry here.
        let _ = ready!(Pin::new(&mut self.io).poll_shutdown(cx));
        Poll::Ready(())
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Future for Driver<IO> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        for _ in 0..READS_IN_A_ROW {
            if this.shutting_down {
                return this.poll_shutdown(cx);
            }
            match this.turn(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Ends everything for everyone when the task goes, for whatever reason: done, panicked, or its runtime dropped.
#[derive(Debug)]
pub(crate) struct Epitaph(Arc<Shared>);

impl Epitaph {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }
}

impl Drop for Epitaph {
    fn drop(&mut self) {
        let now = self.0.now();
        self.0.drive(None, |state, aside| {
            if state.closed.is_none() {
                state.engine.handle_eof(now);
            }
            state.driver_done = true;
            aside.wake(state.waiting.drain(..));
        });
    }
}

/// Starts the task of a connection.
pub(crate) fn spawn<IO>(shared: Arc<Shared>, io: IO)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Outside the task, so that it is there even if the task is never polled.
    let epitaph = Epitaph::new(shared.clone());
    let driver = Driver::new(shared, io);
    tokio::spawn(async move {
        let _epitaph = epitaph;
        driver.await;
    });
}
