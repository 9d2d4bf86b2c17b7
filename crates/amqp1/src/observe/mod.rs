//! Spans, a log of frames, and an [`Observer`] of messages that are sent and received.
//!
//! All of it costs next to nothing unless it is asked for. `docs/observing.md` in the repository shows the output of each.
//!
//! | what | how to switch it on |
//! |---|---|
//! | a span for each connection, of level INFO; for each session and link, of level DEBUG | a `tracing` subscriber |
//! | the events of a connection, in these spans | the target `amqp1` at DEBUG |
//! | each frame in one line, as Qpid Proton prints it | the target `amqp1::frames` at TRACE, or the environment: `AMQP1_TRACE_FRM=1` prints to standard error |
//! | the first octets of messages in these lines | the environment: `AMQP1_TRACE_FRM_BODY=256` |
//! | counters of messages, octets, credit, unsettled deliveries and drops | [`ClientBuilder::observer`](crate::ClientBuilder::observer), [`AcceptorBuilder::observer`](crate::acceptor::AcceptorBuilder::observer) |
//! | the same as metrics | the feature `metrics`, and `Metrics` as the observer |
//!
//! Messages carry W3C trace context with [`SenderBuilder::trace_context`](crate::link::SenderBuilder::trace_context) or
//! [`TraceContext::carried_by`].
//!
//! Secrets are not shown: see [`FrameLine`](crate::codec::frame::FrameLine).

mod frames;
mod meter;
#[cfg(feature = "metrics")]
mod metrics;
mod spans;
mod splitter;
mod trace_context;
mod wire;

#[cfg(feature = "metrics")]
pub use self::metrics::Metrics;
pub use trace_context::{NoTraceParent, TraceContext};

pub(crate) use spans::{Logged, Spans};
pub(crate) use trace_context::TraceSource;
pub(crate) use wire::Wire;

use amqp1_codec::Str;
use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// A connection, as an [`Observer`] sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// Its number in this process, from 1 on: that in the brackets of the log of frames, and of the connection's span.
    pub id: u64,
    /// Whether this end has accepted it.
    pub accepted: bool,
    /// The peer's address, if the transport has one.
    pub peer: Option<SocketAddr>,
    /// The name of this container.
    pub container_id: Str,
    /// The peer's container, once it has opened the connection.
    pub remote_container_id: Option<Str>,
}

impl ConnectionInfo {
    /// A connection that begins.
    pub(crate) fn new(accepted: bool, peer: Option<SocketAddr>, container_id: Str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { id, accepted, peer, container_id, remote_container_id: None }
    }
}

/// A link, as an [`Observer`] sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LinkInfo {
    /// The connection.
    pub connection: Arc<ConnectionInfo>,
    /// The link's name.
    pub name: Str,
    /// Whether this end sends on it.
    pub sends: bool,
    /// The address at the peer for a client, and at this end for an acceptor: of the target if the client sends, and of the
    /// source if it receives. `None` where there is none, as for a link that is refused.
    pub address: Option<Str>,
}

/// The state that the receiver has stated of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutcomeKind {
    /// It was accepted.
    Accepted,
    /// It was rejected.
    Rejected,
    /// It was released.
    Released,
    /// It was modified.
    Modified,
    /// It was settled without an outcome.
    None,
    /// Another outcome.
    Other,
}

impl OutcomeKind {
    /// Its name, in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Released => "released",
            Self::Modified => "modified",
            Self::None => "none",
            Self::Other => "other",
        }
    }
}

/// Why a delivery ended without an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// Its sender gave it up before it was whole.
    Aborted,
    /// Its link ended before it was settled. The other end may have it.
    Unsettled,
    /// Its link ended before it was whole.
    Partial,
    /// Its link ended while it was queued, before its first frame was written.
    Unsent,
}

impl DropReason {
    /// Its name, in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::Unsettled => "unsettled",
            Self::Partial => "partial",
            Self::Unsent => "unsent",
        }
    }
}

/// Callbacks about the frames that connections write and read.
///
/// An observer sees what is on the wire: a message counts as sent when the last of its octets is given to the transport, and as
/// settled when the frame that settles it is written or read. A message that is queued has not been seen yet, and one that a
/// `Receiver` has not returned yet has. Messages that are still queued when their link ends are
/// [dropped](Self::dropped) as [`DropReason::Unsent`]; on a link that is resumed, they count again at its next endpoint. Only
/// those of a connection whose runtime is shut down are not counted.
///
/// The methods are called by the task of the connection, one at a time for each connection, and never while a lock is
/// held. The connection waits for them: count, and return. A panic ends the connection.
#[expect(unused_variables, reason = "the default methods do nothing")]
pub trait Observer: Send + Sync + 'static {
    /// Both ends have opened a connection.
    fn opened(&self, connection: &ConnectionInfo) {}

    /// A connection that was opened is over. Its links have ended before.
    fn closed(&self, connection: &ConnectionInfo) {}

    /// Octets were read from the transport, those of TLS not counted.
    fn octets_received(&self, connection: &ConnectionInfo, octets: usize) {}

    /// Octets were written to the transport, those of TLS not counted.
    fn octets_sent(&self, connection: &ConnectionInfo, octets: usize) {}

    /// Both ends have attached a link. A link that is refused is attached and ends, too.
    fn attached(&self, link: &LinkInfo) {}

    /// A link that was attached is over: one end has detached it, or its session or connection is over. What is settled
    /// after that does not count.
    fn detached(&self, link: &LinkInfo) {}

    /// A message was sent or received whole, with this many octets. The direction is that of the link.
    fn transferred(&self, link: &LinkInfo, octets: u64, settled: bool) {}

    /// A message was settled. `latency` is the time since it was sent or received whole.
    fn settled(&self, link: &LinkInfo, outcome: OutcomeKind, latency: Duration) {}

    /// Deliveries ended without an outcome. Those that are [`DropReason::Unsent`] may follow [`detached`](Self::detached).
    fn dropped(&self, link: &LinkInfo, reason: DropReason, count: u64) {}

    /// The credit of a link has changed: how many more messages its receiver takes.
    fn credit(&self, link: &LinkInfo, before: u32, now: u32) {}

    /// The number of messages that are whole and not settled has changed.
    fn unsettled(&self, link: &LinkInfo, before: usize, now: usize) {}
}

/// Who observes the connections of a client or an acceptor.
#[derive(Clone, Default)]
pub(crate) struct Observed(pub(crate) Option<Arc<dyn Observer>>);

impl fmt::Debug for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "an observer" } else { "none" })
    }
}
