//! The acceptor: connections that the peer begins.

mod authenticator;
mod builder;
mod dialog;
mod sole;

use self::dialog::Dialog;
use crate::{
    connect::attempt::{Attempt, Failure, Stage},
    driver::{self, Setup, transport},
    handle::{
        connection::Connection,
        incoming::{Identity, IncomingConnection},
    },
    observe::ConnectionInfo,
    state::{
        ids::Place,
        shared::{SaslStep, ServerState, Shared},
    },
    types::{error::Error, security::Security},
};
use amqp1_codec::Symbol;
use amqp1_engine::{Connection as Engine, ConnectionConfig, ServerSasl};
pub use authenticator::{Authenticator, SaslAttempt, SaslDecision};
pub use builder::AcceptorBuilder;
use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};
use tokio::io::{AsyncRead, AsyncWrite};

#[cfg(feature = "tls")]
use self::builder::Tls;
#[cfg(feature = "tls")]
use crate::driver::transport::header::Begun;

/// Takes connections that others have made to us. Clones share their configuration.
#[derive(Clone)]
pub struct Acceptor {
    inner: Arc<AcceptorBuilder>,
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("container_id", &self.inner.config.container_id).finish_non_exhaustive()
    }
}

impl Acceptor {
    /// An acceptor that admits everybody until it is given an authenticator.
    pub fn builder() -> AcceptorBuilder {
        AcceptorBuilder::new()
    }

    /// Takes a connection: TLS if that is configured, SASL, and the peer's open. The open is not answered yet.
    ///
    /// # Errors
    ///
    /// If any of that fails, or takes longer than the handshake may. A client that takes too long is told: by a SASL
    /// outcome while it is in SASL, by a close with `amqp:resource-limit-exceeded` after that.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the connection is closed.
    pub async fn accept<IO>(&self, io: IO) -> Result<IncomingConnection, Error>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        transport::set_nodelay(&io);
        let peer = transport::peer_address(&io);
        let what = match peer {
            Some(address) => format!("the handshake with {address} failed"),
            None => "the handshake with a client failed".to_owned(),
        };
        let attempt = Attempt::begin(what, self.inner.config.handshake_timeout).with_peer(peer);
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.inner.tls {
            let (server, io) = match tls {
                Tls::AtOnce(server) => (server, io),
                Tls::ByHeader { server, required } => {
                    let heard = attempt.stage(Stage::Tls, transport::header::hear(io, *required));
                    match heard.await? {
                        Begun::Tls(io) => (server, io),
                        Begun::Plain(io) => return self.open(io, Security::default(), &attempt).await,
                    }
                }
            };
            let (stream, security) = attempt.stage(Stage::Tls, transport::accept_tls(server, io)).await?;
            return self.open(stream, security, &attempt).await;
        }
        self.open(io, Security::default(), &attempt).await
    }

    async fn open<IO>(&self, io: IO, security: Security, attempt: &Attempt) -> Result<IncomingConnection, Error>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let inner = &self.inner;
        let sasl = inner.sasl(&security);
        let offered = match &sasl {
            ServerSasl::Required(mechanisms) | ServerSasl::Allowed(mechanisms) => mechanisms.clone(),
            ServerSasl::None => Vec::new(),
        };
        let make = |now| {
            let config = ConnectionConfig { handle_timeout: inner.operation_timeout, ..inner.config.clone() };
            let mut engine = Engine::server(config, sasl, now);
            engine.hold_open(true);
            if inner.hold_authentication {
                engine.hold_authentication();
            }
            engine
        };
        let server = ServerState { session_config: inner.session_config.clone(), ..ServerState::default() };
        let shared = Shared::new(make, Some(server), inner.outcome_timeout);
        let setup = Setup {
            write_timeout: inner.write_timeout.unwrap_or(inner.config.idle_timeout),
            connection: ConnectionInfo::new(true, attempt.peer, inner.config.container_id.clone()),
            observed: inner.observed.clone(),
        };
        driver::spawn(&shared, io, setup)?;
        let connection = Connection::new(shared, inner.operation_timeout, security);
        let identity = match attempt.engine(&connection, self.introduction(&connection, &offered)).await {
            Ok(identity) => identity,
            Err(Failure::Late(error)) => return Err(error),
            Err(Failure::Ended(stage, error)) => return Err(attempt.failed(stage, error)),
        };
        let incoming = IncomingConnection::new(connection, identity);
        match &inner.sole {
            Some(register) => {
                let admitted = tokio::time::timeout_at(attempt.deadline(), register.admit(incoming));
                admitted.await.unwrap_or_else(|_| Err(attempt.late(Stage::Open)))
            }
            None => Ok(incoming),
        }
    }

    /// SASL, until the client's open is there: who it is.
    async fn introduction(&self, connection: &Connection, offered: &[Symbol]) -> Result<Option<Identity>, Error> {
        let mut dialog = Dialog::new(&self.inner, connection);
        let mut identity = None;
        loop {
            match next_step(connection.shared()).await {
                Ok(Some(step)) => {
                    let answered = while_open(connection, dialog.answer(step)).await;
                    identity = answered.transpose()?.flatten().or(identity);
                }
                Ok(None) => return Ok(identity),
                Err(error) => return Err(dialog.explain(error, offered)),
            }
        }
    }
}

/// The result of a future while the client is there. Otherwise the next step reports why it is gone.
async fn while_open<T>(connection: &Connection, work: impl Future<Output = T>) -> Option<T> {
    let (mut work, mut closed) = (pin!(work), pin!(connection.closed()));
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => closed.as_mut().poll(cx).map(|_| None),
    })
    .await
}

/// The next step of SASL, or `None` when the peer's open is there.
async fn next_step(shared: &Shared) -> Result<Option<SaslStep>, Error> {
    let step = shared.wait(Place::Connection, |state| {
        let error = state.closed_error();
        let server = state.server.as_mut()?;
        if let Some(error) = error {
            return Some(Err(error));
        }
        match server.sasl.pop_front() {
            Some(step) => Some(Ok(Some(step))),
            None => server.open_received.then_some(Ok(None)),
        }
    });
    step.await?
}

impl AcceptorBuilder {
    /// The acceptor.
    pub fn build(self) -> Acceptor {
        Acceptor { inner: Arc::new(self) }
    }
}
