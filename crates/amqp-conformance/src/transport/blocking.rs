//! An asynchronous stream as a transport that blocks.

use amqp1_script::{Read, Transport, Written};
use std::{
    fmt, io,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    runtime::{self, Runtime},
    time::timeout,
};

/// A stream of octets.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Carries octets in both directions.
pub(super) trait Carrier {
    /// Reads some octets; 0 at the end.
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes some of these octets.
    async fn write(&mut self, octets: &[u8]) -> io::Result<usize>;

    /// Says that nothing more is written.
    async fn finish(&mut self) -> io::Result<()>;
}

/// A stream that carries octets as they are.
pub(super) struct Octets<S>(pub(super) S);

impl<S: Stream> Carrier for Octets<S> {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).await
    }

    async fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let count = self.0.write(octets).await?;
        self.0.flush().await?;
        Ok(count)
    }

    async fn finish(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }
}

/// A runtime on the thread that uses it.
pub(super) fn runtime() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_all().build()
}

/// A carrier on a runtime of its own.
pub(super) struct Blocking<C> {
    runtime: Runtime,
    carrier: C,
    start: Instant,
}

/// The time that the end of writing may take.
const FINISHING: Duration = Duration::from_secs(1);
/// The shortest wait: what is there already is read even after the deadline.
const SHORTEST: Duration = Duration::from_millis(1);

impl<C> Blocking<C> {
    pub(super) fn new(runtime: Runtime, carrier: C) -> Self {
        Self { runtime, carrier, start: Instant::now() }
    }

    fn left(&self, deadline: Duration) -> Duration {
        deadline.saturating_sub(self.start.elapsed()).max(SHORTEST)
    }
}

impl<C: Carrier> Transport for Blocking<C> {
    fn write(&mut self, octets: &[u8], deadline: Duration) -> Written {
        let mut done = 0usize;
        while let Some(rest) = octets.get(done..).filter(|rest| !rest.is_empty()) {
            let left = self.left(deadline);
            let Self { runtime, carrier, .. } = self;
            match runtime.block_on(async { timeout(left, carrier.write(rest)).await }) {
                Err(_) => return Written::Timeout(done),
                Ok(Err(_) | Ok(0)) => return Written::Reset(done),
                Ok(Ok(count)) => done = done.saturating_add(count),
            }
        }
        Written::All
    }

    fn read(&mut self, buffer: &mut [u8], deadline: Duration) -> Read {
        let left = self.left(deadline);
        let Self { runtime, carrier, .. } = self;
        match runtime.block_on(async { timeout(left, carrier.read(buffer)).await }) {
            Err(_) => Read::Timeout,
            Ok(Ok(0)) => Read::Eof,
            Ok(Ok(count)) => Read::Octets(count),
            // The end of TCP without the end of TLS.
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Read::Eof,
            Ok(Err(_)) => Read::Reset,
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn finish(&mut self) {
        let Self { runtime, carrier, .. } = self;
        // The peer may be gone, or may not read.
        let _ = runtime.block_on(async { timeout(FINISHING, carrier.finish()).await });
    }
}

impl<C> fmt::Debug for Blocking<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocking").finish_non_exhaustive()
    }
}
