//! TCP: connect attempts to the addresses of a host, overlapping (RFC 8305).

use crate::types::error::{Error, ErrorKind};
use std::{
    any::Any,
    collections::VecDeque,
    fmt,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    time::{Instant, Sleep},
};

/// RFC 8305 §5: how long an attempt is alone before the next one begins beside it.
const STAGGER: Duration = Duration::from_millis(250);

/// Errors of addresses that are told one by one.
const TOLD: usize = 8;

/// The addresses of a host, in the order in which they are tried.
pub(crate) async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
    let unresolved = |why: &str| Error::new(ErrorKind::Resolve, format!("the name {host} has no address{why}"));
    let found = tokio::net::lookup_host((host, port)).await.map_err(|error| unresolved("").with_source(error))?;
    let addresses = interleaved(found);
    if addresses.is_empty() { Err(unresolved(" that can be used")) } else { Ok(addresses) }
}

/// Connects to whichever address answers first. Past the deadline, what became of each is the error.
pub(crate) async fn connect(addresses: Vec<SocketAddr>, deadline: Instant) -> Result<TcpStream, Error> {
    let stream = race(addresses, deadline, TcpStream::connect).await.map_err(Failures::into_error)?;
    set_nodelay(&stream);
    Ok(stream)
}

/// RFC 8305 §4: the families in turn, that of the first address first, and otherwise in the order of the resolver.
fn interleaved(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut rest: VecDeque<SocketAddr> = addresses.into_iter().collect();
    let mut ordered: Vec<SocketAddr> = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let other = |last: &SocketAddr| rest.iter().position(|address| address.is_ipv4() != last.is_ipv4());
        let next = ordered.last().and_then(other).unwrap_or(0);
        ordered.extend(rest.remove(next));
    }
    ordered
}

/// The attempts of which none has succeeded.
#[derive(Debug)]
struct Failures {
    failed: Vec<(SocketAddr, io::Error)>,
    /// Those that had not answered when the time was up.
    silent: Vec<SocketAddr>,
}

type Attempt<F> = (SocketAddr, Pin<Box<F>>);

/// Runs attempts until one succeeds: each begins when the one before has failed, or after [`STAGGER`].
async fn race<S, F: Future<Output = io::Result<S>>>(
    addresses: Vec<SocketAddr>,
    deadline: Instant,
    connect: impl Fn(SocketAddr) -> F,
) -> Result<S, Failures> {
    let mut waiting = VecDeque::from(addresses);
    let mut running: Vec<Attempt<F>> = Vec::new();
    let mut failed = Vec::new();
    let mut begin = |running: &mut Vec<Attempt<F>>, stagger: Pin<&mut Sleep>| {
        let Some(address) = waiting.pop_front() else { return false };
        running.push((address, Box::pin(connect(address))));
        stagger.reset(Instant::now() + STAGGER);
        true
    };
    let mut stagger = Box::pin(tokio::time::sleep(STAGGER));
    let mut time = Box::pin(tokio::time::sleep_until(deadline));
    begin(&mut running, stagger.as_mut());
    poll_fn(|cx| {
        loop {
            let failures = failed.len();
            if let Some(stream) = poll_all(&mut running, &mut failed, cx) {
                return Poll::Ready(Ok(stream));
            }
            // One that has failed makes room at once; one that is slow, in time.
            let due = failed.len() > failures || stagger.as_mut().poll(cx).is_ready();
            if due && begin(&mut running, stagger.as_mut()) {
                continue;
            }
            if running.is_empty() || time.as_mut().poll(cx).is_ready() {
                let silent = running.iter().map(|(address, _)| *address).collect();
                return Poll::Ready(Err(Failures { failed: std::mem::take(&mut failed), silent }));
            }
            return Poll::Pending;
        }
    })
    .await
}

fn poll_all<S, F: Future<Output = io::Result<S>>>(
    running: &mut Vec<Attempt<F>>,
    failed: &mut Vec<(SocketAddr, io::Error)>,
    cx: &mut Context<'_>,
) -> Option<S> {
    let mut stream = None;
    running.retain_mut(|(address, attempt)| match attempt.as_mut().poll(cx) {
        Poll::Pending => true,
        Poll::Ready(Ok(connected)) => {
            stream.get_or_insert(connected);
            false
        }
        Poll::Ready(Err(error)) => {
            failed.push((*address, error));
            false
        }
    });
    stream
}

impl Failures {
    fn into_error(self) -> Error {
        // Those that were not answered say more of the time that it took than those that were refused.
        let kind = if self.silent.is_empty() { ErrorKind::Connect } else { ErrorKind::Timeout };
        let error = Error::new(kind, self.to_string());
        match self.failed.into_iter().next() {
            Some((_, source)) => error.with_source(source),
            None => error,
        }
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = self.failed.iter().map(|(address, error)| (address, Some(error)));
        let all = failed.chain(self.silent.iter().map(|address| (address, None)));
        let count = self.failed.len().saturating_add(self.silent.len());
        for (index, (address, error)) in all.take(TOLD).enumerate() {
            let separator = if index > 0 { "; " } else { "" };
            write!(f, "{separator}")?;
            match error.map(io::Error::kind) {
                Some(io::ErrorKind::ConnectionRefused) => write!(f, "nothing listens on {address}")?,
                Some(io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable) => {
                    write!(f, "the network does not get to {address}")?;
                }
                None | Some(io::ErrorKind::TimedOut) => write!(f, "{address} does not answer")?,
                Some(_) => {
                    let error = error.map(ToString::to_string).unwrap_or_default();
                    write!(f, "{address} cannot be connected to: {error}")?;
                }
            }
        }
        if count > TOLD { write!(f, "; and {} more addresses", count.saturating_sub(TOLD)) } else { Ok(()) }
    }
}

/// Frames are gathered already; to wait for more would only add latency.
pub(crate) fn set_nodelay<IO: Any>(io: &IO) {
    if let Some(tcp) = (io as &dyn Any).downcast_ref::<TcpStream>() {
        // A stream that cannot do this is slower, not wrong.
        let _ = tcp.set_nodelay(true);
    }
}

/// Who is at the other end, if that is known.
pub(crate) fn peer_address<IO: Any>(io: &IO) -> Option<SocketAddr> {
    (io as &dyn Any).downcast_ref::<TcpStream>().and_then(|tcp| tcp.peer_addr().ok())
}

#[cfg(test)]
mod tests;
