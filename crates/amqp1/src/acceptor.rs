//! The acceptor: connections that the peer begins.

use crate::{
    connection::{Connection, Security},
    driver,
    error::Error,
    incoming::{Identity, IncomingConnection},
    names,
    shared::{SaslStep, ServerState, Shared},
    transport,
    wait::{Place, connect_within},
};
use amqp1_auth::sasl::{anonymous, external, plain};
use amqp1_codec::{Str, Symbol, sasl::SaslCode};
use amqp1_engine::{Connection as Engine, ConnectionConfig, ServerSasl, SessionConfig};
use bytes::Bytes;
use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};
use tokio::io::{AsyncRead, AsyncWrite};

#[cfg(feature = "tls")]
use crate::transport::TlsServer;

/// Decides who a client is. It may look things up: the connection waits, within its handshake's time.
pub trait Authenticator: Send + Sync + 'static {
    /// Looks at what the client has said.
    fn authenticate(&self, attempt: SaslAttempt) -> Pin<Box<dyn Future<Output = SaslDecision> + Send + '_>>;
}

/// What a client has said in SASL.
#[derive(Clone)]
#[non_exhaustive]
pub struct SaslAttempt {
    /// The mechanism, one of those offered.
    pub mechanism: Symbol,
    /// What the mechanism begins with. It may hold a password.
    pub response: Option<Bytes>,
    /// The host that the client believes it talks to.
    pub hostname: Option<Str>,
    /// The certificates that the client has shown in TLS, its own first; `None` if it has shown none.
    #[cfg(feature = "tls")]
    pub peer_certificates: Option<Vec<rustls::pki_types::CertificateDer<'static>>>,
}

impl fmt::Debug for SaslAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaslAttempt")
            .field("mechanism", &self.mechanism)
            .field("hostname", &self.hostname)
            .finish_non_exhaustive()
    }
}

/// What is made of a client.
#[derive(Clone, Debug)]
pub enum SaslDecision {
    /// It is this one.
    Accept {
        /// Who it is: for [`IncomingConnection::identity`].
        identity: String,
        /// What the outcome says besides.
        additional_data: Option<Bytes>,
    },
    /// It is refused.
    Refuse(SaslCode),
}

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

/// An acceptor that is to be made.
#[must_use = "call build"]
pub struct AcceptorBuilder {
    mechanisms: Option<Vec<Symbol>>,
    authenticator: Option<Box<dyn Authenticator>>,
    allow_no_sasl: Option<bool>,
    #[cfg(feature = "tls")]
    tls: Option<TlsServer>,
    config: ConnectionConfig,
    session_config: SessionConfig,
    operation_timeout: Duration,
}

impl fmt::Debug for AcceptorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcceptorBuilder").field("mechanisms", &self.mechanisms).finish_non_exhaustive()
    }
}

impl Acceptor {
    /// An acceptor that lets everybody in, until it is told better.
    pub fn builder() -> AcceptorBuilder {
        AcceptorBuilder {
            mechanisms: None,
            authenticator: None,
            allow_no_sasl: None,
            #[cfg(feature = "tls")]
            tls: None,
            config: ConnectionConfig::new(names::container()),
            session_config: SessionConfig::default(),
            operation_timeout: Duration::from_secs(60),
        }
    }

    /// Takes a connection: TLS if that is configured, SASL, and the peer's open. The open is not answered yet.
    ///
    /// # Errors
    ///
    /// If any of that fails, or takes longer than the handshake may.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the connection is closed.
    pub async fn accept<IO>(&self, io: IO) -> Result<IncomingConnection, Error>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limit = self.inner.config.handshake_timeout;
        connect_within(limit, "the handshake was not done", self.handshake(io)).await
    }

    async fn handshake<IO>(&self, io: IO) -> Result<IncomingConnection, Error>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        transport::set_nodelay(&io);
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.inner.tls {
            let (stream, security) = transport::accept_tls(tls, io).await?;
            return self.open(stream, security).await;
        }
        self.open(io, Security::default()).await
    }

    async fn open<IO>(&self, io: IO, security: Security) -> Result<IncomingConnection, Error>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let inner = &self.inner;
        let sasl = inner.sasl(&security);
        let make = |now| {
            let mut engine = Engine::server(inner.config.clone(), sasl, now);
            engine.hold_open(true);
            engine
        };
        let server = ServerState { session_config: inner.session_config.clone(), ..ServerState::default() };
        let shared = Shared::new(make, Some(server), inner.operation_timeout);
        driver::spawn(&shared, io)?;
        let connection = Connection::new(shared, inner.operation_timeout, security);
        let mut dialog = Dialog { acceptor: self, connection: &connection, mechanism: None, hostname: None };
        let mut identity = None;
        while let Some(step) = next_step(connection.shared()).await? {
            identity = dialog.answer(step).await?.or(identity);
        }
        Ok(IncomingConnection::new(connection, identity))
    }
}

/// The next step of SASL, or `None` when the peer's open is there.
async fn next_step(shared: &Shared) -> Result<Option<SaslStep>, Error> {
    let step = shared.wait(Place::Connection, |state| {
        let error = state.closed_error();
        let server = state.server.as_mut()?;
        match server.sasl.pop_front() {
            Some(step) => Some(Ok(Some(step))),
            None if error.is_some() => error.map(Err),
            None => server.open_received.then_some(Ok(None)),
        }
    });
    step.await?
}

/// A SASL dialog with a client.
struct Dialog<'a> {
    acceptor: &'a Acceptor,
    connection: &'a Connection,
    /// What the client chose.
    mechanism: Option<Symbol>,
    hostname: Option<Str>,
}

impl Dialog<'_> {
    /// Answers one step. Who the client is, if that is settled now.
    async fn answer(&mut self, step: SaslStep) -> Result<Option<Identity>, Error> {
        let shared = self.connection.shared();
        if let Some(mechanism) = step.mechanism {
            self.hostname = step.hostname;
            // RFC 4422 §3: these begin with the client's response, which an empty challenge asks for.
            let speaks_first = matches!(mechanism.as_str(), "PLAIN" | "EXTERNAL");
            self.mechanism = Some(mechanism);
            if speaks_first && step.response.is_none() {
                shared.command(|state, _| state.engine.sasl_challenge(Bytes::new()))?;
                return Ok(None);
            }
        }
        let Some(mechanism) = self.mechanism.clone() else { return Ok(None) };
        let attempt = SaslAttempt {
            mechanism: mechanism.clone(),
            response: step.response,
            hostname: self.hostname.clone(),
            #[cfg(feature = "tls")]
            peer_certificates: self.connection.peer_certificates(),
        };
        let decision = match &self.acceptor.inner.authenticator {
            Some(authenticator) => authenticator.authenticate(attempt).await,
            None => SaslDecision::Accept { identity: String::new(), additional_data: None },
        };
        shared.command(|state, _| match decision {
            SaslDecision::Accept { identity, additional_data } => {
                state.engine.sasl_outcome(SaslCode::Ok, additional_data);
                Some(Identity { mechanism, name: identity })
            }
            SaslDecision::Refuse(code) => {
                state.engine.sasl_outcome(if code == SaslCode::Ok { SaslCode::Auth } else { code }, None);
                None
            }
        })
    }
}

impl AcceptorBuilder {
    /// Sets the SASL mechanisms that clients are offered, most wanted first; ANONYMOUS alone unless set, or PLAIN alone
    /// with an authenticator. EXTERNAL is offered only to clients that have shown a certificate, since some clients
    /// take it whenever it is there.
    pub fn mechanisms(mut self, mechanisms: impl IntoIterator<Item = Symbol>) -> Self {
        self.mechanisms = Some(mechanisms.into_iter().collect());
        self
    }

    /// Sets who decides who a client is. Without one everybody is accepted, whatever they say, and SASL may be left
    /// out.
    pub fn authenticator(mut self, authenticator: impl Authenticator) -> Self {
        self.authenticator = Some(Box::new(authenticator));
        self
    }

    /// Sets whether clients may leave SASL out. With an authenticator they may not, unless this says so.
    pub fn allow_no_sasl(mut self, allow: bool) -> Self {
        self.allow_no_sasl = Some(allow);
        self
    }

    /// Begins every connection with TLS.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: TlsServer) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Changes anything about the connections.
    pub fn config(mut self, change: impl FnOnce(&mut ConnectionConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Sets how sessions that clients begin are accepted.
    pub fn session_config(mut self, config: SessionConfig) -> Self {
        self.session_config = config;
        self
    }

    /// Bounds the handshake: TLS, SASL and the peer's open; 30 s unless set.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.config.handshake_timeout = timeout;
        self
    }

    /// Bounds sending, draining, detaching and closing, each; 60 s unless set.
    pub fn operation_timeout(mut self, timeout: Duration) -> Self {
        self.operation_timeout = timeout;
        self
    }

    /// Which layers are wanted of a client.
    fn sasl(&self, security: &Security) -> ServerSasl {
        let default = if self.authenticator.is_some() { plain::NAME } else { anonymous::NAME };
        let mut mechanisms = self.mechanisms.clone().unwrap_or_else(|| vec![Symbol::from_static(default)]);
        if mechanisms.is_empty() {
            return ServerSasl::None;
        }
        let external = |mechanism: &Symbol| mechanism.as_str() == external::NAME;
        // Where there is nothing else, it is offered and the authenticator refuses.
        if !security.has_certificate() && !mechanisms.iter().all(external) {
            mechanisms.retain(|mechanism| !external(mechanism));
        }
        if self.allow_no_sasl.unwrap_or_else(|| self.authenticator.is_none()) {
            ServerSasl::Allowed(mechanisms)
        } else {
            ServerSasl::Required(mechanisms)
        }
    }

    /// The acceptor.
    pub fn build(self) -> Acceptor {
        Acceptor { inner: Arc::new(self) }
    }
}
