//! One attempt to connect, or to be connected to: with whom, how far it got, and until when.

use crate::{
    handle::connection::Connection,
    types::error::{Error, ErrorKind, Retry},
};
use amqp1_engine::HandshakeStage;
use std::{fmt, future::Future, net::SocketAddr, time::Duration};
use tokio::time::Instant;

/// How far an attempt got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Resolve,
    Tcp,
    #[cfg(feature = "tls")]
    Tls,
    Sasl,
    Open,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "resolve",
            Self::Tcp => "TCP",
            #[cfg(feature = "tls")]
            Self::Tls => "TLS",
            Self::Sasl => "SASL",
            Self::Open => "open",
        })
    }
}

impl From<HandshakeStage> for Stage {
    fn from(stage: HandshakeStage) -> Self {
        match stage {
            HandshakeStage::Sasl => Self::Sasl,
            _ => Self::Open,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// The step that fails, if one does.
    what: String,
    limit: Duration,
    deadline: Instant,
    /// The peer's address, where it is known.
    pub(crate) peer: Option<SocketAddr>,
}

impl Attempt {
    /// The same attempt, when it is known whom it reaches.
    pub(crate) fn with_peer(self, peer: Option<SocketAddr>) -> Self {
        Self { peer, ..self }
    }

    /// An attempt that begins now. `what` is what an error begins with.
    pub(crate) fn begin(what: String, limit: Duration) -> Self {
        let now = Instant::now();
        // A time too far away to be represented is far enough.
        let deadline = now.checked_add(limit).unwrap_or_else(|| now + Duration::from_secs(30 * 365 * 24 * 3600));
        Self { what, limit, deadline, peer: None }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// An error, with where it came about.
    pub(crate) fn failed(&self, stage: Stage, error: Error) -> Error {
        error.with_prefix(format_args!("{} ({stage})", self.what))
    }

    /// The time was up.
    pub(crate) fn late(&self, stage: Stage) -> Error {
        let text = format!("{} ({stage}): no answer within {:?}", self.what, self.limit);
        Error::new(ErrorKind::Timeout, text).with_retry(Retry::ReopenConnection)
    }

    /// The time was up, and this is what was seen.
    pub(crate) fn late_after(&self, stage: Stage, error: Error) -> Error {
        error
            .with_prefix(format_args!("{} ({stage}): no answer within {:?}", self.what, self.limit))
            .with_retry(Retry::ReopenConnection)
    }

    /// Does a part of it.
    pub(crate) async fn stage<T>(
        &self,
        stage: Stage,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match tokio::time::timeout_at(self.deadline, work).await {
            Ok(done) => done.map_err(|error| self.failed(stage, error)),
            Err(_) => Err(self.late(stage)),
        }
    }

    /// Does what an engine has a part in. When the time is up, the peer is told as far as that can be.
    pub(crate) async fn engine<T>(
        &self,
        connection: &Connection,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Failure> {
        let shared = connection.shared();
        let ended = match tokio::time::timeout_at(self.deadline, work).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        let stage = shared.look(|state| state.engine.handshake_stage()).map_or(Stage::Open, Stage::from);
        match ended {
            // The engine may have been the first to see that the time is up.
            Some(error) if Instant::now() < self.deadline || error.kind() != ErrorKind::Timeout => {
                Err(Failure::Ended(stage, error))
            }
            _ => {
                let now = shared.now();
                // Without a driver there is no task to be told.
                let _ = shared.command(|state, _| state.engine.abandon_handshake(now));
                Err(Failure::Late(self.late(stage)))
            }
        }
    }
}

/// The result of the engine's part of an attempt.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It ended before its time, in this stage.
    Ended(Stage, Error),
    /// The time was up.
    Late(Error),
}
