//! The acceptor: connections that the peer begins.

use crate::{
    connection::Connection,
    driver,
    error::{Error, ErrorKind},
    incoming::IncomingConnection,
    link::within,
    shared::{SaslStep, Shared},
};
use amqp1_codec::{Str, Symbol, sasl::SaslCode};
use amqp1_engine::{Connection as Engine, ConnectionConfig, ServerSasl, SessionConfig};
use bytes::Bytes;
use std::{fmt, future::Future, pin::Pin, sync::Arc, task::Poll, time::Duration};
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
    /// The certificates that the client has shown in TLS, in DER, its own first.
    pub peer_certificates: Vec<Vec<u8>>,
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
    mechanisms: Vec<Symbol>,
    certificate_mechanisms: Vec<Symbol>,
    authenticator: Option<Box<dyn Authenticator>>,
    without_sasl: bool,
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
    /// An acceptor that offers ANONYMOUS to everyone, until it is told better.
    pub fn builder() -> AcceptorBuilder {
        AcceptorBuilder {
            mechanisms: vec![Symbol::from_static("ANONYMOUS")],
            certificate_mechanisms: Vec::new(),
            authenticator: None,
            without_sasl: true,
            #[cfg(feature = "tls")]
            tls: None,
            config: ConnectionConfig::new("amqp1-acceptor"),
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
        within(limit, "the handshake was not done", self.handshake(io)).await
    }

    async fn handshake<IO>(&self, io: IO) -> Result<IncomingConnection, Error>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.inner.tls {
            let stream = tokio_rustls::TlsAcceptor::from(tls.to_config()?).accept(io).await;
            let stream = stream.map_err(|error| Error::new(ErrorKind::Tls, format!("TLS with a client failed: {error}")))?;
            let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let certificates = certificates.iter().map(|certificate| certificate.to_vec()).collect();
            return self.open(stream, certificates).await;
        }
        self.open(io, Vec::new()).await
    }

    async fn open<IO>(&self, io: IO, certificates: Vec<Vec<u8>>) -> Result<IncomingConnection, Error>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let inner = &self.inner;
        let mut mechanisms = inner.mechanisms.clone();
        if !certificates.is_empty() {
            // First: some clients take the first that they know.
            mechanisms.splice(0..0, inner.certificate_mechanisms.iter().cloned());
        }
        let sasl = match (mechanisms.is_empty(), inner.without_sasl) {
            (true, _) => ServerSasl::None,
            (false, true) => ServerSasl::Allowed(mechanisms),
            (false, false) => ServerSasl::Required(mechanisms),
        };
        let make = |now| {
            let mut engine = Engine::server(inner.config.clone(), sasl, now);
            engine.hold_open(true);
            engine
        };
        let shared = Shared::new(make, Some(inner.session_config.clone()));
        driver::spawn(shared.clone(), io);
        let connection = Connection::new(shared, inner.operation_timeout, certificates);
        let mut identity = None;
        while let Some(step) = next_step(connection.shared()).await? {
            identity = self.answer(&connection, step).await?;
        }
        Ok(IncomingConnection::new(connection, identity))
    }

    /// Answers one step of SASL.
    async fn answer(&self, connection: &Connection, step: SaslStep) -> Result<Option<(Symbol, String)>, Error> {
        let Some(mechanism) = step.mechanism else {
            // No mechanism that is offered here challenges, so no response is due.
            connection.shared().command(|state, _| state.engine.sasl_outcome(SaslCode::Auth, None))?;
            return Ok(None);
        };
        let attempt = SaslAttempt {
            mechanism: mechanism.clone(),
            response: step.response,
            hostname: step.hostname,
            peer_certificates: connection.peer_certificates().to_vec(),
        };
        let decision = match &self.inner.authenticator {
            Some(authenticator) => authenticator.authenticate(attempt).await,
            None => SaslDecision::Accept { identity: String::new(), additional_data: None },
        };
        connection.shared().command(|state, _| match decision {
            SaslDecision::Accept { identity, additional_data } => {
                state.engine.sasl_outcome(SaslCode::Ok, additional_data);
                Some((mechanism, identity))
            }
            SaslDecision::Refuse(code) => {
                state.engine.sasl_outcome(if code == SaslCode::Ok { SaslCode::Auth } else { code }, None);
                None
            }
        })
    }
}

/// The next step of SASL, or `None` when the peer's open is there.
async fn next_step(shared: &Shared) -> Result<Option<SaslStep>, Error> {
    let step = shared.wait(|state, aside| {
        if let Some(step) = state.sasl.pop_front() {
            return Poll::Ready(Ok(Some(step)));
        }
        if state.open_received {
            return Poll::Ready(Ok(None));
        }
        if let Some(error) = state.closed_error() {
            return Poll::Ready(Err(error));
        }
        aside.join(&mut state.waiting);
        Poll::Pending
    });
    step.await?
}

impl AcceptorBuilder {
    /// Sets the SASL mechanisms that every client is offered, most wanted first. None means no SASL layer.
    pub fn mechanisms(mut self, mechanisms: impl IntoIterator<Item = Symbol>) -> Self {
        self.mechanisms = mechanisms.into_iter().collect();
        self
    }

    /// Sets the SASL mechanisms that only clients with a certificate are offered besides: EXTERNAL.
    pub fn certificate_mechanisms(mut self, mechanisms: impl IntoIterator<Item = Symbol>) -> Self {
        self.certificate_mechanisms = mechanisms.into_iter().collect();
        self
    }

    /// Sets who decides who a client is. Without one everybody is accepted, whatever they say.
    pub fn authenticator(mut self, authenticator: impl Authenticator) -> Self {
        self.authenticator = Some(Box::new(authenticator));
        self.without_sasl = false;
        self
    }

    /// Sets whether clients may leave SASL out. With an authenticator they may not, unless this says so after it.
    pub fn allow_no_sasl(mut self, allow: bool) -> Self {
        self.without_sasl = allow;
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

    /// The acceptor.
    pub fn build(self) -> Acceptor {
        Acceptor { inner: Arc::new(self) }
    }
}
